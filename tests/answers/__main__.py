"""`python -m tests.answers`: ask, compare, prove, print."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.answers import report
from tests.answers.compare import Comparison, Tally
from tests.answers.kinds import KINDS
from tests.answers.proofs import Validator
from tests.answers.queries import Generator
from tests.answers.world import REAL_TIMES, ZoneFile, generated, indexes, real, running

ENOUGH, LEAST = 200_000, 1000
"""In a run of so many queries each kind of answer comes so often at least."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.answers", description=__doc__)
    parser.add_argument("--queries", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=20, help="print so many findings")
    parser.add_argument("--subject", default="xfer", help="who is on trial; BIND tries the rig")
    parser.add_argument("--workers", type=int, default=0, help="xfer's worker processes")
    return parser.parse_args()


def run(queries: int, seed: int, subject: str, workers: int) -> Tally:
    """Five of six queries to the generated zones, the rest to the root and arpa."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="xfer-answers-") as directory:
        files = generated(Path(directory), seed)
    run_world(files, queries * 5 // 6, seed, subject, tally, workers)
    run_world(real(), queries - queries * 5 // 6, seed, subject, tally, workers)
    return tally


def run_world(
    files: list[ZoneFile], queries: int, seed: int, subject: str, tally: Tally, workers: int = 0
) -> None:
    """One set of servers, started, asked, and stopped."""
    with running(files, xfer=subject == "xfer", workers=workers) as servers:
        zones = indexes(servers["BIND"], files)
        validator = Validator(zones, REAL_TIMES)
        comparison = Comparison(servers, zones, tally, subject=subject, check=validator.check)
        comparison.run(Generator(zones, seed).queries(queries))


def main() -> int:
    arguments = parse_arguments()
    start = time.monotonic()
    tally = run(arguments.queries, arguments.seed, arguments.subject, arguments.workers)
    for line in report.lines(tally, arguments.show):
        print(line)
    print(f"\n{sum(tally.asked.values()):,} queries, {time.monotonic() - start:.0f} s")
    few = [kind for kind in KINDS if tally.asked[kind] < LEAST]
    if arguments.queries >= ENOUGH and few:
        print(f"fewer than {LEAST} queries of: {', '.join(few)}", file=sys.stderr)
        return 1
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
