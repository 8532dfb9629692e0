"""Very many zones on one secondary: its first load, its sweep, its rest, and a NOTIFY meanwhile.

first load   start with nothing stored, until every zone is served
memory       resident, all processes, when that is done and quiet; by zone
sweep        start again with all zones stored: from the first SOA query that the primary
             counts until it has counted one for each zone. Knot and NSD are told to check all
             zones (they would wait for their timers); BIND's timers spread over RETRY, 5 s
NOTIFY       while the sweep runs: one zone changed at the primary by an update, NOTIFY sent,
             until the change is served; one zone after the other
rest         CPU of a while about one REFRESH after the sweep, in which zones are checked again, by
             check; times the checks that a second has where they are spread evenly
"""

from __future__ import annotations

import shutil
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rrset
import dns.tsig
import dns.update

from tests.bench.changes_table import Report
from tests.bench.drain import DrainFailed
from tests.bench.load import percentile
from tests.bench.many import MANY, PROBED, Layout, ManyPrimary, zone_name
from tests.bench.proc import Meter
from tests.bench.table import Verdict
from tests.peers import Server, TsigKey

_SWEEP_PATIENCE = 1200.0
_PROBE_PATIENCE = 600.0  # where a NOTIFY waits its turn behind the sweep
_PROBE_PAUSE = 0.02
_LEAST_PROBES = 30  # where the sweep is shorter than that many take, the rest come after it


@attrs.frozen
class Figures:
    """Seconds, bytes; `during`: how many NOTIFYs were sent while the sweep ran."""

    load_seconds: float
    load_cpu: float
    memory: int
    answers_after: float
    sweep_seconds: float
    sweep_cpu: float
    notify_seconds: list[float]
    during: int
    rest_cpu_share: float


def soa_query(zone: str) -> bytes:
    labels = zone.rstrip(".").split(".")
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    return struct.pack("!6H", 1, 0, 1, 0, 0, 0) + name + struct.pack("!HH", 6, 1)


def serial_of(answer: bytes, query: bytes) -> int | None:
    """The serial of an SOA answer, None for any other."""
    if answer[3] & 15 or answer[6:8] == b"\0\0":
        return None
    at = len(query)
    while answer[at] and answer[at] < 0xC0:
        at += answer[at] + 1
    at += 2 if answer[at] else 1
    rtype, _, _, length = struct.unpack_from("!HHIH", answer, at)
    end = at + 10 + length
    return int.from_bytes(answer[end - 20 : end - 16], "big") if rtype == 6 else None


def wait_serial(server: Server, zone: str, serial: int, pause: float, timeout: float) -> float:
    """When the zone was served with that serial, on the monotonic clock."""
    query = soa_query(zone)
    deadline = time.monotonic() + timeout
    seen: int | None = None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect((server.address, server.port))
        while time.monotonic() < deadline:
            try:
                sock.send(query)
                seen = serial_of(sock.recv(4096), query)
            except OSError:
                seen = None
            if seen == serial:
                return time.monotonic()
            time.sleep(pause)
    raise DrainFailed(f"{zone}: expected serial {serial} within {timeout} s, got {seen}")


class Prober:
    """Changes one zone after the other and tells the secondary; from a thread of its own."""

    def __init__(self, primary: ManyPrimary, server: Server, layout: Layout) -> None:
        self.seconds: list[float] = []
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self.queries = 0  # that the primary counts, and that belong to no sweep
        self._primary = primary
        self._server = server
        self._probed = min(PROBED, layout.count)
        name = dns.name.from_text(layout.key.name)
        self._keyring = {name: dns.tsig.Key(name, layout.key.secret, layout.key.algorithm)}
        self._serials: dict[str, int] = {}

    def run(self) -> None:
        number = 0
        try:
            while not self.stop.is_set() or len(self.seconds) < _LEAST_PROBES:
                self.seconds.append(self.probe(zone_name(number % self._probed)))
                number += 1
                time.sleep(_PROBE_PAUSE)
        except Exception as error:
            self.error = error

    def probe(self, zone: str) -> float:
        """Change one zone: seconds from NOTIFY until the change is served."""
        # Two of our own at first; then one, and the secondary's, which is no part of its sweep.
        self.queries += 2
        before = self._serials.get(zone) or _serial_at(self._primary, zone)
        update = dns.update.UpdateMessage(zone, keyring=self._keyring)
        update.replace("probe", 60, "TXT", f'"{before}"')
        dns.query.tcp(update, self._primary.address, port=self._primary.port, timeout=60)
        serial = _serial_at(self._primary, zone)
        if serial == before:
            raise DrainFailed(f"{zone}: the primary did not take an update")
        self._serials[zone] = serial
        notify = dns.message.make_query(zone, "SOA")
        notify.set_opcode(dns.opcode.NOTIFY)
        notify.flags = notify.flags & ~dns.flags.RD | dns.flags.AA
        soa = f"ns1.{zone} hostmaster.{zone} {serial} 300 5 86400 60"
        notify.answer.append(dns.rrset.from_text(zone, 300, "IN", "SOA", soa))
        notify.use_tsig(self._keyring)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((self._primary.address, 0))
            wire = notify.to_wire()
            start = time.monotonic()
            sock.sendto(wire, (self._server.address, self._server.port))
            return wait_serial(self._server, zone, serial, 0.0005, _PROBE_PATIENCE) - start


def _serial_at(server: Server, zone: str) -> int:
    serial = server.serial(zone)
    if serial is None:
        raise DrainFailed(f"the primary does not serve {zone}")
    return serial


def resident(leader: int) -> int:
    """VmRSS of all processes of a session, in bytes."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(") ")[2].split()
            if int(fields[3]) == leader:
                total += int((process / "statm").read_text().split()[1]) * 4096
        except OSError:
            continue
    return total


def measure(name: str, primary: ManyPrimary, layout: Layout, rest: float) -> Figures:
    """One server's life with all zones. rest: seconds to watch it at rest."""
    contestant = MANY[name]
    directory = Path(tempfile.mkdtemp(prefix="xfer-bench-"))
    server = contestant.make(layout, primary.remote(layout.key), directory)
    try:
        server.prepare()
        server.launch()
        start = time.monotonic()
        with Meter(server.pid) as meter:
            for zone in layout.names():
                current = 1 if not zone_probed(zone) else _serial_at(primary, zone)
                end = wait_serial(server, zone, current, 0.02, _SWEEP_PATIENCE)
            meter.settle()
        load, load_cpu = end - start, meter.cpu_seconds
        memory = resident(server.pid)
        contestant.flush(server)
        time.sleep(2.0)
        server.stop()
        before = primary.checks()
        start = time.monotonic()
        server.launch()
        with Meter(server.pid) as meter:
            wait_serial(server, zone_name(0), _serial_at(primary, zone_name(0)), 0.005, 300)
            answers = time.monotonic() - start
            contestant.sweep(server)
            prober = Prober(primary, server, layout)
            thread = threading.Thread(target=prober.run)
            thread.start()
            try:
                sweep, first = _sweep(primary, prober, before, layout.count)
                during, swept = len(prober.seconds), time.monotonic()
            finally:
                prober.stop.set()
                thread.join()
        if prober.error is not None:
            raise prober.error
        sweep_cpu = meter.cpu_seconds
        with Meter(server.pid) as meter:
            meter.settle()
        share = _at_rest(server, primary, layout, swept, rest)
        figures = Figures(
            load,
            load_cpu,
            memory,
            answers,
            sweep - first,
            sweep_cpu,
            prober.seconds,
            during,
            share,
        )
    except BaseException:
        print(f"--- {name} ---\n{server.logs()[-3000:]}", file=sys.stderr)
        raise
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return figures


def _at_rest(
    server: Server, primary: ManyPrimary, layout: Layout, swept: float, rest: float
) -> float:
    """The share of a core that checks once a REFRESH take, watched for `rest` seconds."""
    time.sleep(max(0.0, swept + 0.95 * layout.refresh - time.monotonic()))
    before = primary.checks()
    with Meter(server.pid) as meter:
        time.sleep(rest)
    checks = primary.checks() - before
    if not checks:
        return meter.cpu_seconds / rest
    return meter.cpu_seconds / checks * layout.count / layout.refresh


def zone_probed(zone: str) -> bool:
    return zone < zone_name(PROBED)


def _sweep(primary: ManyPrimary, prober: Prober, before: int, count: int) -> tuple[float, float]:
    """When the primary had counted a query for each zone, and when the first."""
    first: float | None = None
    deadline = time.monotonic() + _SWEEP_PATIENCE
    seen = 0
    while time.monotonic() < deadline:
        seen = primary.checks() - before - prober.queries
        now = time.monotonic()
        if seen > 5 and first is None:  # a few are the benchmark's own
            first = now
        if first is not None and seen >= count:
            return now, first
        time.sleep(0.05)
    raise DrainFailed(f"{seen} of {count} zones were checked in {_SWEEP_PATIENCE:.0f} s")


def run(counts: list[int], names: list[str], rest: float, refresh: int, slack: float) -> Report:
    """All servers, one after the other, with each number of zones."""
    results: dict[int, dict[str, Figures]] = {}
    for count in counts:
        layout = Layout(count, refresh, TsigKey.make("k1."))
        with ManyPrimary(layout) as primary:
            wait_serial(primary, zone_name(count - 1), 1, 0.05, 300)
            for name in names:
                results.setdefault(count, {})[name] = measure(name, primary, layout, rest)
                print(f"  {count:,} zones: {name}", file=sys.stderr)
    figures = {
        str(count): {name: attrs.asdict(one) for name, one in found.items()}
        for count, found in results.items()
    }
    return Report(list(_lines(results)), figures, list(_verdicts(results, slack)))


def _lines(results: dict[int, dict[str, Figures]]) -> Iterator[str]:
    for count, found in results.items():
        yield ""
        yield (
            f"{f'{count:,} zones of 10 records':24}{'load s':>9}{'CPU s':>8}{'MB':>7}"
            f"{'kB/zone':>9}{'answers s':>11}{'sweep s':>9}{'CPU s':>8}{'NOTIFY p50':>12}"
            f"{'p99 ms':>8}{'(in sweep)':>12}{'rest CPU':>10}"
        )
        for name, one in found.items():
            p50, p99 = statistics.median(one.notify_seconds), percentile(one.notify_seconds, 0.99)
            told = f"{one.during}/{len(one.notify_seconds)}"
            yield (
                f"{'':12}{name:12}{one.load_seconds:9.1f}{one.load_cpu:8.1f}"
                f"{one.memory / 1e6:7.0f}{one.memory / count / 1e3:9.1f}{one.answers_after:11.1f}"
                f"{one.sweep_seconds:9.1f}{one.sweep_cpu:8.1f}{p50 * 1e3:12.1f}{p99 * 1e3:8.1f}"
                f"{told:>12}{one.rest_cpu_share:10.1%}"
            )


def _verdicts(results: dict[int, dict[str, Figures]], slack: float) -> Iterator[Verdict]:
    count = max(results)
    if "xfer" not in results[count]:
        return
    ours = results[count]["xfer"]
    claim = f"{count:,} zones: NOTIFY during the sweep, p99 ms"
    p99 = percentile(ours.notify_seconds, 0.99) * 1e3
    yield Verdict(claim, p99, 100.0 * slack, at_least=False)
    claim = f"{count:,} zones: seconds of the sweep"
    wanted = 10.0 * max(1.0, count / 100_000)
    yield Verdict(claim, ours.sweep_seconds, wanted * slack, at_least=False)
