"""A large zone is replaced twenty times under full query load: no answer lost, mixed or late.

dnsperf asks as fast as it gets answers; beside it a client asks in open loop for addresses that
differ from version to version. A host has two addresses, each the other's complement in its last
octet: an answer whose two do not match holds records of two versions.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.bench import answers, zone
from tests.bench.drain import wait_served
from tests.bench.load import RATE, Client, ahead, ask, latencies_of, percentile
from tests.bench.replay import Replay
from tests.bench.table import Verdict
from tests.peers import Server, TsigKey

TIMES = 20
BEFORE = 3
"""Seconds of load before the first replacement, for comparison."""


@attrs.frozen
class Replaced:
    """What the client and dnsperf saw while the zone was replaced.

    latencies: seconds, infinite where no answer came; mixed: answers of two versions, or otherwise
    not as the zone has it; versions: how many versions' addresses came; completed, lost: dnsperf's
    queries; seconds: each replacement, from asking to serving.
    """

    latencies: list[float]
    mixed: int
    versions: int
    completed: int
    lost: int
    seconds: list[float]


def run(records: int, name: str, times: int = TIMES) -> Replaced:
    """Two contents in turn, under a new serial each time."""
    with tempfile.TemporaryDirectory(prefix="xfer-bench-") as text:
        directory = Path(text)
        files = write_versions(directory, records, times + 1)
        hot = directory / "hot"
        hot.write_text("\n".join(answers.questions(records, answers.HOT_NAMES)) + "\n")
        key = TsigKey.make("k1.")
        with Replay(key, files) as replay, answers.serving(name, replay) as server:
            return _replace(server, replay, records, times, hot)


def write_versions(directory: Path, records: int, count: int) -> dict[int, Path]:
    """The messages of each version: of the first and the second one's content in turn."""
    contents = []
    for version in (1, 2):
        path = directory / "content"
        zone.write_messages(path, zone.records(records, version))
        contents.append(path.read_bytes())
    files = {}
    for version in range(1, count + 1):
        own = zone.soa_fields(2 - version % 2)
        files[version] = directory / f"{version}.messages"
        content = contents[(version - 1) % 2]
        files[version].write_bytes(content.replace(own, zone.soa_fields(version)))
    return files


def _replace(server: Server, replay: Replay, records: int, times: int, hot: Path) -> Replaced:
    seconds = []
    units = (records - 6) // 10
    with _dnsperf(server, hot) as perf, Watch(server.address, server.port, units) as watch:
        threading.Event().wait(BEFORE)
        for version in range(2, times + 2):
            replay.use(version)
            start = time.monotonic()
            check = threading.Thread(target=_check, args=[server])
            check.start()
            seconds.append(
                wait_served(server.address, server.port, zone.serial_of(version)) - start
            )
            check.join()
        threading.Event().wait(1.0)
        seen = watch.finish()
        perf.send_signal(signal.SIGINT)
        out, _ = perf.communicate(timeout=30)
    counts = [int(m) for m in re.findall(r"Queries (?:completed|lost):\s+(\d+)", out)]
    latencies = latencies_of(seen["latencies"])
    return Replaced(latencies, seen["mixed"], seen["versions"], counts[0], counts[1], seconds)


def _check(server: Server) -> None:
    server.refresh(zone.ZONE)


@contextlib.contextmanager
def _dnsperf(server: Server, data: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            "dnsperf",
            "-s",
            server.address,
            "-p",
            str(server.port),
            "-d",
            str(data),
            "-e",
            "-q",
            "50",
            "-l",
            "3600",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


class Watch(Client):
    """The client in the background; `finish` ends it and returns what it saw."""

    def __init__(self, address: str, port: int, units: int) -> None:
        super().__init__("tests.bench.replacing", address, port, units)

    def finish(self) -> dict[str, Any]:
        found: dict[str, Any] = self.end()
        return found


def addresses(answer: bytes) -> list[int]:
    """The addresses of an answer, none where it is not a whole good one."""
    flags, _, count = struct.unpack_from("!3H", answer, 2)
    if flags & 0x8600 != 0x8400 or flags & 15:
        return []
    found = []
    at = answer.index(b"\0", 12) + 5
    for _ in range(count):
        if answer[at] < 0xC0:
            return []  # each owner is the question's name
        rtype, _, _, length = struct.unpack_from("!HHIH", answer, at + 2)
        if rtype == zone.A:
            found.append(int.from_bytes(answer[at + 12 : at + 16], "big"))
        at += 12 + length
    return found


class Addresses:
    """Asks for the addresses that differ from version to version, of so many hosts in all.

    mixed: answers that are not one version's; versions: how many came of one host, at most.
    """

    def __init__(self, units: int) -> None:
        self.mixed = 0
        self._hosts = range(0, units, 100)
        self._seen: dict[int, set[int]] = {}

    @property
    def versions(self) -> int:
        return max((len(found) for found in self._seen.values()), default=0)

    def _host(self, number: int) -> int:
        return self._hosts[number * 7919 % len(self._hosts)]

    def make(self, number: int) -> bytes:
        name = b"\x0chost-%07d" % self._host(number) + zone.QUESTION_NAME
        return struct.pack("!5H", 0, 1, 0, 0, 0) + name + struct.pack("!HH", zone.A, 1)

    def took(self, number: int, answer: bytes) -> bool:
        """Any answer is one; what is wrong with it is counted apart."""
        pair = addresses(answer)
        if len(pair) != 2 or pair[0] ^ pair[1] != 0xFF:
            self.mixed += 1
        else:
            self._seen.setdefault(self._host(number), set()).add(max(pair))
        return True


def lines(records: int, name: str, found: Replaced) -> Iterator[str]:
    """What happened, in words."""
    p50, p99 = (percentile(found.latencies, share) * 1e3 for share in (0.5, 0.99))
    yield ""
    yield (
        f"{name}: {records:,} records replaced {len(found.seconds)} times, "
        f"{percentile(found.seconds, 0.5):.2f} s each (median), {found.versions} contents seen"
    )
    before = percentile(found.latencies[: BEFORE * RATE], 0.99) * 1e3
    yield (
        f"  client: {len(found.latencies):,} queries, p50 {p50:.2f} ms, p99 {p99:.2f} ms "
        f"({before:.2f} before the first), "
        f"max {max(found.latencies) * 1e3:.1f} ms, "
        f"lost {sum(map(math.isinf, found.latencies))}, mixed {found.mixed}"
    )
    yield f"  dnsperf: {found.completed:,} queries completed, {found.lost} lost"


def verdicts(name: str, found: Replaced, slack: float) -> Iterator[Verdict]:
    """No lost or mixed answer; p99 below 20 ms, where a process of their own answers queries: else
    they share an interpreter with the transfer, and under full load each waits for the other."""
    lost = found.lost + sum(map(math.isinf, found.latencies))
    yield Verdict(f"{name}: answers lost while replaced", lost, 0, at_least=False)
    yield Verdict(f"{name}: answers mixed while replaced", found.mixed, 0, at_least=False)
    if name == answers.ONE_WORKER:
        p99 = percentile(found.latencies, 0.99) * 1e3
        yield Verdict(f"{name}: p99 ms while replaced", p99, 20 * slack, at_least=False)


def main() -> None:
    ahead()
    address, port, units = sys.argv[1:]
    asked = Addresses(int(units))
    found = ask(address, int(port), asked.make, asked.took)
    print(json.dumps({"latencies": found, "mixed": asked.mixed, "versions": asked.versions}))


if __name__ == "__main__":
    main()
