"""`python -m tests.bench`: build the zones, run everybody in turn, print the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import attrs

from tests.bench import answers_table, changes_table, signed, signed_table, table, zone, zones
from tests.bench.answers import ONE_WORKER
from tests.bench.changes import SERVERS
from tests.bench.changes_table import Report
from tests.bench.many import MANY
from tests.bench.replay import Replay
from tests.bench.servers import CONTESTANTS, PEERS
from tests.bench.stages import VERSIONS, Life
from tests.peers import TsigKey

WHOLE = ("sender", "receiver", "udp", "pure")
CHANGES = ("latency", "ixfr", "zones")
ANSWERS = ("answers", "replacing")
SIGNING = ("signing",)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--records",
        help="zone sizes (10000,100000,1000000; latency: 10000,1000000; others: 1000000)",
    )
    parser.add_argument("--rounds", type=int, help="rounds, interleaved (5; with most of --only 2)")
    parser.add_argument("--only", choices=[*WHOLE, *CHANGES, *ANSWERS, *SIGNING])
    parser.add_argument(
        "--changes", type=int, default=100, help="latency, signing: changes a round"
    )
    parser.add_argument("--zones", help="zones: how many (100000; 10000 with --quick)")
    parser.add_argument("--rest", type=float, help="zones: seconds at rest (30; 5 with --quick)")
    parser.add_argument("--delta", type=int, default=1000, help="ixfr: changes in a delta")
    parser.add_argument("--servers", help=f"of {', '.join(CONTESTANTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="10 k and 100 k, one round")
    parser.add_argument("--json", type=Path, help="write every figure of every round there")
    parser.add_argument(
        "--slack",
        type=float,
        help="exit 1 where a claim is missed by more than this factor (4 with --quick)",
    )
    arguments = parser.parse_args()
    if arguments.quick:
        quick = "10000" if arguments.only in SIGNING else "10000,100000"
        arguments.records = arguments.records or quick
        arguments.rounds = arguments.rounds or 1
        arguments.slack = arguments.slack or 4.0
    arguments.zones = arguments.zones or ("10000" if arguments.quick else "100000")
    arguments.rest = arguments.rest or (5.0 if arguments.quick else 30.0)
    largest = "1000000" if arguments.only in ("ixfr", *ANSWERS, *SIGNING) else None
    sizes = {"latency": "10000,1000000"}.get(arguments.only, largest or "10000,100000,1000000")
    arguments.records = arguments.records or sizes
    arguments.rounds = arguments.rounds or (
        2 if arguments.only in (*CHANGES, *ANSWERS, *SIGNING) else 5
    )
    return arguments


def contestants(arguments: argparse.Namespace) -> list[str]:
    if arguments.servers:
        return [name.strip() for name in arguments.servers.split(",")]
    if arguments.only == "answers":
        return list(answers_table.MAKERS)
    if arguments.only == "replacing":
        return ["xfer", ONE_WORKER]
    if arguments.only in SIGNING:
        return list(signed.NAMES)
    if arguments.only in CHANGES:
        return list(MANY if arguments.only == "zones" else SERVERS)
    if arguments.only in (None, "pure"):
        return list(CONTESTANTS)
    return ["xfer", *PEERS]


def run(arguments: argparse.Namespace) -> table.Results:
    """All sizes, all rounds; the servers' order turns with each round."""
    names = contestants(arguments)
    results: table.Results = {}
    key = TsigKey.make("k1.")
    with tempfile.TemporaryDirectory(prefix="xfer-bench-") as directory:
        for count in (int(text) for text in arguments.records.split(",")):
            files = {number: Path(directory) / f"{number}.messages" for number in VERSIONS}
            size = 0
            for number, path in files.items():
                size = zone.write_messages(path, zone.records(count, number))
            print(f"{count:,} records: {size / 1e6:.1f} MB", file=sys.stderr)
            rows = results.setdefault(count, {})
            with Replay(key, files) as replay:
                for number in range(arguments.rounds):
                    turn = number % len(names)
                    for name in names[turn:] + names[:turn]:
                        start = time.monotonic()
                        life = Life(CONTESTANTS[name], replay, count, arguments.only)
                        for stage, figures in life.run().items():
                            servers = rows.setdefault(stage, {known: [] for known in names})
                            servers[name] += figures
                        spent = time.monotonic() - start
                        print(f"  round {number + 1}: {name} {spent:.1f} s", file=sys.stderr)
    return results


def to_json(results: table.Results) -> str:
    """Every figure, unrounded; a lost query's latency is null."""
    plain = {
        str(size): {
            stage: {name: [attrs.asdict(f) for f in figures] for name, figures in servers.items()}
            for stage, servers in rows.items()
        }
        for size, rows in results.items()
    }
    return json.dumps(plain, indent=1).replace("Infinity", "null")


def run_changes(arguments: argparse.Namespace) -> Report:
    """What one change costs, or one delta, or one answer."""
    names = contestants(arguments)
    if arguments.only == "zones":
        counts = [int(text) for text in arguments.zones.split(",")]
        refresh = 60 if arguments.quick else 300
        return zones.run(counts, names, arguments.rest, refresh, arguments.slack or 1.0)
    counts = [int(text) for text in arguments.records.split(",")]
    slack = arguments.slack or 1.0
    if arguments.only == "answers":
        return answers_table.answers(counts, names, arguments.rounds, slack)
    if arguments.only == "replacing":
        return answers_table.replacing(counts, names, slack)
    if arguments.only in SIGNING:
        return signed_table.signing(counts, names, arguments.rounds, arguments.changes, slack)
    if arguments.only == "latency":
        return changes_table.latency(counts, names, arguments.rounds, arguments.changes, slack)
    return changes_table.ixfr(counts, names, arguments.rounds, arguments.delta, 5, slack)


def report(found: Report, arguments: argparse.Namespace) -> int:
    """Print it; 1 where a claim is missed and --slack asks for that."""
    print("\n".join([*found.lines, "", *map(str, found.verdicts)]))
    if arguments.json:
        arguments.json.write_text(json.dumps(found.figures, indent=1))
    missed = any(not verdict.holds for verdict in found.verdicts)
    return 1 if missed and arguments.slack else 0


def main() -> int:
    arguments = parse_arguments()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    print(f"load average before: {load:.1f}" + (" - the machine is not ours" if load > 1 else ""))
    if arguments.only in (*CHANGES, *ANSWERS, *SIGNING):
        return report(run_changes(arguments), arguments)
    results = run(arguments)
    for line in table.lines(results):
        print(line)
    print()
    for verdict in table.verdicts(results):
        print(verdict)
    if arguments.json:
        arguments.json.write_text(to_json(results))
    missed = [v for v in table.verdicts(results, arguments.slack or 1e9) if not v.holds]
    for verdict in missed:
        print(f"beyond the slack: {verdict}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
