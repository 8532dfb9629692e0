"""Answers per second: dnsperf against each server, one thread each, one large zone.

The names are drawn from the zone and from what is not in it. `hot` asks a thousand questions again
and again, `cold` asks each question once. Queries per second count per core: by the CPU time that
the server used, so that dnsperf's own share of a small machine does not blur them. Latencies are
those of a load well below the limit.
"""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from tests.bench import zone
from tests.bench.load import percentile
from tests.bench.proc import Meter
from tests.bench.replay import Replay
from tests.bench.table import Verdict
from tests.peers import Knot, Named, Nsd, SecondaryZone, Server, TsigKey, Xferd

HOT, COLD = "hot", "cold"
HOT_NAMES = 1000
SECONDS = 5
RATE = 5000
"""Queries a second while latency is looked at."""


class OneNamed(Named):
    """BIND with one thread."""

    def command(self) -> list[str]:
        return [*super().command(), "-n", "1"]


class OneKnot(Knot):
    """Knot with one worker of each sort."""

    def configure(self) -> None:
        super().configure()
        path = self.directory / "knot.conf"
        workers = "server:\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
        path.write_text(path.read_text().replace("server:\n", workers, 1))


ONE_WORKER = "xfer 1 worker"
MAKERS: dict[str, Callable[[list[SecondaryZone]], Server]] = {
    "xfer": lambda zones: Xferd(zones),
    ONE_WORKER: lambda zones: Xferd(zones, server="workers = 1\n"),
    "BIND": lambda zones: OneNamed(zones, options="minimal-responses yes;"),
    "Knot": lambda zones: OneKnot(zones),
    "NSD": lambda zones: Nsd(zones),
}


@attrs.frozen
class Rate:
    """What one run of dnsperf says: queries completed and lost, elapsed and the server's CPU time,
    latencies in seconds of the run at a limited rate."""

    completed: int
    lost: int
    seconds: float
    cpu_seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        return self.completed / self.seconds

    @property
    def per_core(self) -> float:
        return self.completed / max(self.cpu_seconds, 0.01)


def questions(records: int, count: int, seed: int = 4) -> list[str]:
    """`count` different questions in dnsperf's form; one in five for a name that is not there."""
    draw = random.Random(seed)
    units = (records - 6) // 10
    found: dict[str, None] = {}
    while len(found) < count:
        number = draw.randrange(units)
        aim = draw.random()
        if aim < 0.5:
            line = f"host-{number:07d}.{zone.ZONE} {draw.choice(['A', 'AAAA', 'MX', 'TXT'])}"
        elif aim < 0.65:
            line = f"www{number:07d}.{zone.ZONE} A"
        elif aim < 0.8:
            line = f"{draw.choice(['', 'www.', 'ns1.'])}customer-{number:07d}.{zone.ZONE} A"
        else:
            line = f"{draw.choice(['no', 'host-x', 'zz'])}{number}.{zone.ZONE} A"
        found[line] = None
    return list(found)


def dnsperf(server: Server, data: Path, *options: str) -> tuple[int, int, float, list[float]]:
    """Queries completed, lost, seconds, and with -v each latency."""
    command = [
        "dnsperf", "-s", server.address, "-p", str(server.port), "-d", str(data), "-c", "4", "-e",
        *options,
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)

    def figure(name: str) -> float:
        match = re.search(rf"{name}:\s+([\d.]+)", done.stdout)
        if match is None:
            raise RuntimeError(f"dnsperf said no {name!r}: {done.stdout[-2000:]}{done.stderr}")
        return float(match[1])

    latencies = [
        float(line.rsplit(None, 1)[1]) for line in done.stdout.splitlines() if line[:2] == "> "
    ]
    completed, lost = int(figure("Queries completed")), int(figure("Queries lost"))
    return completed, lost, figure("Run time \\(s\\)"), latencies


def measure(server: Server, data: Path, *length: str) -> Rate:
    """As fast as it goes, and then at a limited rate for the latencies."""
    with Meter(server.pid, sampling=False) as meter:
        completed, lost, seconds, _ = dnsperf(server, data, *length)
    _, late, _, latencies = dnsperf(server, data, "-v", "-Q", str(RATE), "-l", "3")
    return Rate(completed, lost + late, seconds, meter.cpu_seconds, latencies)


@contextlib.contextmanager
def serving(name: str, replay: Replay) -> Iterator[Server]:
    """The server, serving the replay's version 1."""
    replay.use(1)
    with MAKERS[name]([SecondaryZone(zone.ZONE, [replay.remote], keys=[replay.key])]) as server:
        server.wait_serving(zone.ZONE, zone.serial_of(1))
        with Meter(server.pid) as meter:
            meter.settle()
        yield server


def run(records: int, names: list[str], rounds: int) -> dict[str, dict[str, list[Rate]]]:
    """hot and cold → server → a figure a round; each round starts the server anew."""
    key = TsigKey.make("k1.")
    results: dict[str, dict[str, list[Rate]]] = {HOT: {}, COLD: {}}
    with tempfile.TemporaryDirectory(prefix="xfer-bench-") as text:
        directory = Path(text)
        hot, cold, messages = (directory / part for part in (HOT, COLD, "messages"))
        # Where the zone is small, cold asks all there is; where it is large, this many.
        every = questions(records, min(400_000, records // 4))
        cold.write_text("\n".join(every) + "\n")
        hot.write_text("\n".join(questions(records, HOT_NAMES, seed=5)) + "\n")
        zone.write_messages(messages, zone.records(records, 1))
        with Replay(key, {1: messages}) as replay:
            for number in range(rounds):
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    with serving(name, replay) as server:
                        rate = measure(server, cold, "-n", "1")
                        results[COLD].setdefault(name, []).append(rate)
                        threading.Event().wait(0.5)
                        rate = measure(server, hot, "-l", str(SECONDS))
                        results[HOT].setdefault(name, []).append(rate)
    return results


def median_of(rates: list[Rate], figure: Callable[[Rate], float]) -> float:
    """The median over the rounds."""
    return percentile([figure(rate) for rate in rates], 0.5)


def lines(records: int, results: dict[str, dict[str, list[Rate]]]) -> Iterator[str]:
    """The table."""
    yield ""
    yield (
        f"{f'answers, {records:,} records':28}{'server':8}{'queries/s':>11}{'/s and core':>13}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'lost':>7}{'× BIND':>9}"
    )
    for kind, servers in results.items():
        bind = median_of(servers["BIND"], lambda r: r.per_core) if "BIND" in servers else None
        for number, (name, rates) in enumerate(servers.items()):
            core = median_of(rates, lambda r: r.per_core)
            latencies = [value for rate in rates for value in rate.latencies]
            share = f"{core / bind:9.2f}" if bind else ""
            yield (
                f"{kind if number == 0 else '':28}{name:8}"
                f"{median_of(rates, lambda r: r.per_second):11,.0f}{core:13,.0f}"
                f"{percentile(latencies, 0.5) * 1e3:9.2f}{percentile(latencies, 0.99) * 1e3:9.2f}"
                f"{sum(rate.lost for rate in rates):7}{share}"
            )


def verdicts(results: dict[str, dict[str, list[Rate]]], slack: float) -> Iterator[Verdict]:
    """The goal: a hot set is answered at 0.7 of BIND's rate, per core."""
    servers = results.get(HOT, {})
    if "xfer" in servers and "BIND" in servers:
        ours, theirs = (median_of(servers[n], lambda r: r.per_core) for n in ("xfer", "BIND"))
        yield Verdict("hot answers per second and core, × BIND", ours / theirs, 0.7 / slack)
        yield Verdict("queries lost", sum(r.lost for r in servers["xfer"]), 0, at_least=False)
