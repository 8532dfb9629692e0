"""What one change costs: a secondary is told, fetches the delta, and serves it.

    changing ──NOTIFY, IXFR──> server under test ──IXFR──> our own client
       └──── the moment it serves the new serial ─ until ─ UDP answers it ────┘

`latency`: one record changed at a time, many times, in zones of each size. `ixfr`: deltas of a
thousand changes into the zone, and out of it, also after a restart (so from what is stored).
A server that asks for the whole zone instead makes the run fail.

The servers are configured for it as their operators would: BIND with its rates for SOA queries
and NOTIFY raised, no delay and no differences of its own; Knot with the whole zone in its journal
and no zone file; NSD reloading at once.
"""

from __future__ import annotations

import random
import shutil
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from tests.bench import zone
from tests.bench.changing import Changing
from tests.bench.drain import DrainFailed, serial_in, soa_query, wait_served
from tests.bench.proc import Meter
from tests.bench.signing import Signer
from tests.peers import Knot, Named, Nsd, Remote, SecondaryZone, Server, TsigKey, Xferd

INTO = "into the zone"
OUT = "out of it"
OUT_RESTARTED = "out of it, restarted"
# Seconds between an answer with the old serial and the next query: a tenth of what is measured.
# Asking as fast as answers come would keep a server busy with that.
_POLL = 0.0002
_PAUSE = (0.02, 0.06)  # seconds between two changes, drawn anew each time
_PATIENCE = 30.0

Make = Callable[[list[SecondaryZone], Path], Server]

SERVERS: dict[str, Make] = {
    "xfer": lambda zones, at: Xferd(zones, directory=at),
    "BIND": lambda zones, at: Named(
        zones,
        directory=at,
        options="serial-query-rate 1000; notify-rate 1000; ixfr-from-differences no;",
    ),
    "Knot": lambda zones, at: Knot(
        zones,
        directory=at,
        zone_options=["zonefile-sync: -1", "zonefile-load: none", "journal-content: all"],
    ),
    "NSD": lambda zones, at: Nsd(zones, directory=at),
}


class Wrong(Exception):
    """A server did something else than take or send a delta."""


@attrs.frozen
class Latencies:
    """Seconds of each change, and the CPU seconds of all of them together."""

    seconds: list[float]
    cpu_seconds: float


@attrs.frozen
class Cost:
    """One delta: seconds and CPU seconds."""

    seconds: float
    cpu_seconds: float


def serving(address: str, port: int, serial: int) -> float:
    """When `serial` was answered, on the monotonic clock; asks as fast as answers come."""
    query = soa_query()
    deadline = time.monotonic() + _PATIENCE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1.0)
        sock.connect((address, port))
        while True:
            sock.send(query)
            try:
                seen = serial_in(sock.recv(4096))
            except OSError:
                seen = None
            now = time.monotonic()
            if seen == serial:
                return now
            if now > deadline:
                raise DrainFailed(f"expected serial {serial} within {_PATIENCE} s, got {seen}")
            time.sleep(_POLL)


def ask_ixfr(server: Remote, key: TsigKey, since: int, wanted: int) -> tuple[float, bool]:
    """IXFR from serial `since`, which must bring `wanted` records: seconds, and whether it did.

    False where the whole zone came, or began to come.
    """
    soa = zone.soa_record(since - zone.serial_of(0))
    body = zone.QUESTION_NAME + struct.pack("!HH", 251, 1) + soa
    request = Signer(key).sign(4711, 0, (1, 0, 1), body)
    answers = 0
    data = b""
    with socket.create_connection((server.address, server.port)) as sock:
        sock.settimeout(_PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        start = time.monotonic()
        sock.sendall(request)
        while answers < wanted:
            part = sock.recv(1 << 20)
            if not part:
                return time.monotonic() - start, False
            data += part
            while len(data) >= 2 and len(data) >= (end := 2 + (data[0] << 8 | data[1])):
                if data[5] & 15:
                    raise Wrong(f"IXFR answered with rcode {data[5] & 15}")
                answers += data[8] << 8 | data[9]
                data = data[end:]
        return time.monotonic() - start, answers == wanted


class Secondary:
    """One server as secondary of the changing primary, from its first transfer on."""

    def __init__(self, name: str, primary: Changing) -> None:
        self.name = name
        self._primary = primary
        self.directory = Path(tempfile.mkdtemp(prefix="xfer-bench-"))
        key = primary.key
        self.server = SERVERS[name](
            [SecondaryZone(zone.ZONE, [primary.remote], keys=[key])], self.directory
        )

    def __enter__(self) -> Secondary:
        try:
            self.server.start()
            wait_served(self.server.address, self.server.port, zone.serial_of(1))
            with Meter(self.server.pid) as meter:
                meter.settle()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        self._primary.tell(self.server.remote())
        self._primary.events()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print(f"--- {self.name} ---\n{self.server.logs()[-4000:]}", file=sys.stderr)
        self.server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def change(self, changes: int) -> tuple[int, float]:
        """One edit, until it is served: the serial, and seconds."""
        serial, start = self._primary.edit(changes)
        return serial, serving(self.server.address, self.server.port, serial) - start

    def deltas_only(self) -> None:
        """Raises Wrong where it asked for anything but SOA and IXFR."""
        kinds = {kind for kind, _ in self._primary.events()}
        if not kinds <= {"soa", "ixfr"}:
            raise Wrong(f"{self.name} asked for the whole zone")


def measure_latency(name: str, primary: Changing, times: int) -> Latencies:
    """`times` changes of one record each, after five that do not count."""
    with Secondary(name, primary) as secondary:
        found = []
        for _ in range(5):
            secondary.change(1)
        with Meter(secondary.server.pid, sampling=False) as meter:
            for _ in range(times):
                time.sleep(random.uniform(*_PAUSE))
                found.append(secondary.change(1)[1])
        secondary.deltas_only()
    return Latencies(found, meter.cpu_seconds)


def measure_ixfr(name: str, primary: Changing, changes: int, times: int) -> dict[str, list[Cost]]:
    """`times` deltas into the zone and out of it; OUT is missing where no delta is sent."""
    found: dict[str, list[Cost]] = {}
    wanted = 2 * changes + 4
    with Secondary(name, primary) as secondary:
        server = secondary.server

        def out(stage: str, serial: int) -> None:
            server.wait_serving(zone.ZONE, serial)
            with Meter(server.pid, sampling=False) as meter:
                seconds, whole = ask_ixfr(server.remote(), primary.key, serial - 1, wanted)
                meter.settle(0.1)
            if whole:
                found.setdefault(stage, []).append(Cost(seconds, meter.cpu_seconds))

        serial = zone.serial_of(1)
        for _ in range(times):
            with Meter(server.pid) as meter:
                serial, seconds = secondary.change(changes)
                meter.settle()
            found.setdefault(INTO, []).append(Cost(seconds, meter.cpu_seconds))
            out(OUT, serial)
        secondary.deltas_only()
        if isinstance(server, Nsd):
            server.control("write", zone.ZONE)  # it keeps no journal
            time.sleep(1.0)
        server.stop()
        server.launch()
        wait_served(server.address, server.port, serial, _PATIENCE)
        out(OUT_RESTARTED, serial)
    return found


def fresh(counts: list[int], key: TsigKey) -> Iterator[tuple[int, Path]]:
    """Messages of version 1 of a zone of each size; the file is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="xfer-bench-") as directory:
        for count in counts:
            path = Path(directory) / "1.messages"
            size = zone.write_messages(path, zone.records(count))
            print(f"{count:,} records: {size / 1e6:.1f} MB", file=sys.stderr)
            yield count, path
