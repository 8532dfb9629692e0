"""Edits flow through the daemon while it is killed over and over.

    fake primary ──NOTIFY, IXFR──> the daemon, killed and started again ──> BIND, Knot
      an edit each 40 ms              its journal                             as they are

Who saw a serial binds: our own queries, the secondaries, its log. Each version that anyone saw
must be in the journal, with exactly the content that the primary had under that serial; so must
every other version that is there. At the end all servers have the primary's records.
"""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.bench import zone as bench_zone
from tests.kill import plan as plans
from tests.kill.harness import Broken
from tests.kill.parts import KEY, PATIENCE, Daemon
from tests.kill.plan import Plan, Point
from tests.peers import (
    Knot,
    Named,
    Remote,
    SecondaryZone,
    Server,
    axfr,
    events,
    free_port,
    query_soa,
)
from tests.peers.fake import FakePrimary
from xfer.clock import SystemClock
from xfer.journal import Journal
from xfer.wire import names
from xfer.zone.zonefile import write_zone_file

ZONE = bench_zone.ZONE
ORIGIN = names.from_text(ZONE)
PACE = 0.04  # seconds from one edit to the next
RECORDS = 300
MOST = 12  # transfers between a start and a death
ROUND = 60.0  # seconds that a round may take

POINTS: dict[str, tuple[Point, ...]] = {
    "receiving": (Point("receiving"), Point("receiving", until="writing")),
    "checking": (Point("checking"), Point("checking", until="writing")),
    "writing": (Point("writing"), Point("writing", until="flipping")),
    "flipping": (
        Point("flipping"),
        Point("flip begin"),
        Point("flip added"),
        Point("flip inserted"),
        Point("flip inserted", until="flip committed"),
        Point("flip committed"),
    ),
    "swapping": (Point("swapping"), Point("swapped")),
    "notifying": (Point("notifying"), Point("notify queued"), Point("notifying", until="done")),
}
LONGEST = 0.004  # seconds; delays are drawn up to here, which is about what one change takes


def base() -> list[str]:
    return [
        f"{ZONE} 300 NS ns1.{ZONE}",
        f"ns1.{ZONE} 300 A 192.0.2.1",
        *(f"host{i}.{ZONE} 300 A 10.0.{i >> 8}.{i & 255}" for i in range(RECORDS)),
    ]


class Edits(threading.Thread):
    """Edits the primary's zone and tells the daemon, until `stop`. contents: serial → records."""

    def __init__(self, primary: FakePrimary, to: Remote) -> None:
        super().__init__(daemon=True)
        self.contents: dict[int, list[str]] = {}
        self.end = threading.Event()
        self._primary = primary
        self._to = to
        self._now = base()
        self._publish(1)

    def run(self) -> None:
        serial = 1
        while not self.end.wait(PACE):
            serial += 1
            at = 2 + serial % RECORDS
            owner = self._now[at].split(" ", 1)[0]
            self._now[at] = f"{owner} 300 A 172.16.{serial >> 8 & 255}.{serial & 255}"
            if serial % 3 == 0:
                self._now.append(f'added{serial}.{ZONE} 300 TXT "edit {serial}"')
            if len(self._now) > RECORDS + 100:
                del self._now[RECORDS + 50]
            self._publish(serial)
            self._primary.notify(self._to, timeout=0.2)

    def _publish(self, serial: int) -> None:
        self._primary.publish(serial, self._now)
        self.contents[serial] = sorted(self._primary.records())


class Watcher(threading.Thread):
    """Asks a server for its serial all the time. seen: (when, serial), the first time each."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, int]] = []
        self.end = threading.Event()
        self.lowered: tuple[int, int] | None = None
        self._server = server

    def run(self) -> None:
        last = 0
        while not self.end.is_set():
            answer = query_soa(self._server.address, self._server.port, ZONE, timeout=0.2)
            if answer is not None and answer.serial is not None and answer.serial != last:
                if answer.serial < last:
                    self.lowered = (last, answer.serial)
                last = answer.serial
                self.seen.append((time.monotonic(), last))
            time.sleep(0.002)

    @property
    def serials(self) -> set[int]:
        return {serial for _, serial in list(self.seen)}


class EditRounds:
    """One run. A context manager; `deaths` counts in which phase the daemon died."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.deaths: Counter[str] = Counter()
        self.plan: Plan | None = None  # of the last round
        self._environment = dict(environment or {})

    def __enter__(self) -> EditRounds:
        self.primary = FakePrimary(ZONE, KEY).__enter__()
        told = [Remote("127.0.0.1", free_port("127.0.0.1"), KEY) for _ in range(2)]
        self.daemon = Daemon(
            [SecondaryZone(ZONE, [self.primary.remote], keys=[KEY], notify=told)],
            directory=self.directory / "xfer",
            extra="[limits]\nkeep_versions = 100000\njournal_share = 1000\n",
        )
        self.daemon.environment_more = self._environment
        upstream = [SecondaryZone(ZONE, [self.daemon.remote(KEY)], keys=[KEY])]
        self.secondaries: list[Server] = [
            Named(
                upstream,
                port=told[0].port,
                options="min-retry-time 1; max-retry-time 2; serial-query-rate 1000;",
            ),
            Knot(upstream, port=told[1].port),
        ]
        self.edits = Edits(self.primary, self.daemon.remote())
        self.watchers = [Watcher(server) for server in (self.daemon, *self.secondaries)]
        try:
            self.daemon.prepare()
            self.daemon.launch()
            self.daemon.wait_serving(ZONE, 1)
            for secondary in self.secondaries:
                secondary.start().wait_serving(ZONE, 1)
            for thread in (*self.watchers, self.edits):
                thread.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.edits.end.set()
        for watcher in self.watchers:
            watcher.end.set()
        for thread in (self.edits, *self.watchers):
            if thread.is_alive():
                thread.join(5)
        self.daemon.kill()
        for secondary in self.secondaries:
            secondary.__exit__(None, None, None)
        self.primary.__exit__(None, None, None)

    @property
    def journal(self) -> Path:
        return self.daemon.directory / "journal.db"

    def round(self, point: Point) -> str:
        """Let it run to a point and die there; where it died, "" where it lived on."""
        notes = self.directory / "notes"
        notes.unlink(missing_ok=True)
        delay = max(1e-6, random.random() * LONGEST) if point.until else 0.0
        plan = Plan(str(notes), point.event, delay, skip=random.randrange(MOST))
        self.daemon.kill()
        self.plan = self.daemon.plan = plan
        self.daemon.launch()
        deadline = time.monotonic() + ROUND
        process = self.daemon._process
        assert process is not None
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if process.poll() is None:
            return ""
        if process.returncode != -9:
            raise Broken(f"{plan}: died with {process.returncode}\n{self.daemon.logs()[-3000:]}")
        self.daemon.kill()
        where = plans.place(plans.read_notes(notes.read_text()))
        self.deaths[where] += 1
        self.look(plan)
        return where

    def acknowledged(self) -> set[int]:
        """Every serial that anyone has seen of the daemon's."""
        logged = set()
        for event in events(self.daemon.logs()):
            if event.get("event") == "transfer" and event.get("published"):
                logged.add(int(event["serial_to"]))
        return set().union(logged, *(watcher.serials for watcher in self.watchers))

    def look(self, plan: Plan | None) -> None:
        """What was acknowledged is in the journal. Raises Broken."""
        wanted = self.acknowledged()
        with Journal.open(str(self.journal), SystemClock(), writable=False) as journal:
            kept = {version.serial for version in journal.versions(ORIGIN)}
        if lost := wanted - kept:
            raise Broken(f"after {plan}: serials {sorted(lost)} were seen and are gone")
        if self.watchers[0].lowered is not None:
            raise Broken(f"after {plan}: the serial went back: {self.watchers[0].lowered}")

    def finish(self) -> list[str]:
        """End the edits; all is there and whole, everybody has it. Lines for people."""
        self.daemon.kill()
        self.daemon.plan = None
        self.daemon.launch()
        self.edits.end.set()
        self.edits.join()
        last = max(self.edits.contents)
        self.primary.notify(self.daemon.remote(), timeout=0.5)
        for server in (self.daemon, *self.secondaries):
            server.wait_serving(ZONE, last, timeout=PATIENCE)
            records = axfr(server.address, server.port, ZONE, KEY)
            got = sorted(f"{r.owner} {r.ttl} {r.rtype} {r.rdata}" for r in records)
            if got != self.edits.contents[last]:
                raise Broken(f"{server.program} has other records than the primary")
        self.look(None)
        count = check_journal(self.journal, self.edits.contents)
        return [
            f"{last} edits, {len(self.acknowledged())} serials seen, {count} versions kept whole",
            *(f"died {where:<12} {times:>5}" for where, times in sorted(self.deaths.items())),
        ]


def check_journal(
    path: Path,
    contents: dict[int, list[str]],
    known: dict[bytes, int] | None = None,
    *,
    writable: bool = False,
) -> int:
    """Every version in the journal is what the primary had; how many there are. Raises Broken.

    known: root hash → serial of what was compared before; the journal itself is verified each time.
    """
    known = {} if known is None else known
    with Journal.open(str(path), SystemClock(), writable=writable) as journal:
        result = journal.verify()
        if not result.ok:
            raise Broken(f"the journal does not verify: {result.problems()}")
        versions = journal.versions(ORIGIN)
        for version in versions:
            if known.get(version.root) == version.serial:
                continue
            text = io.StringIO()
            write_zone_file(journal.load(version), text)
            if plain_lines(text.getvalue()) != contents[version.serial]:
                raise Broken(f"serial {version.serial} is in the journal with other records")
            known[version.root] = version.serial
    return len(versions)


def plain_lines(text: str) -> list[str]:
    """A zone file of ours as the fake primary writes records, sorted."""
    lines = []
    for line in text.splitlines():
        if line and line[0] not in ";$":
            owner, ttl, _, rtype, rdata = line.split(None, 4)
            lines.append(f"{owner} {ttl} {rtype} {rdata}")
    return sorted(lines)


def run(rounds: EditRounds, times: int) -> list[str]:
    """Die `times` times, each row of POINTS in turn. Raises Broken."""
    rows = list(POINTS)
    number = 0
    while rounds.deaths.total() < times:
        row = rows[number % len(rows)]
        point = random.choice(POINTS[row])
        where = rounds.round(point)
        print(
            f"{number + 1:4} {row}: {f'died {where}' if where else 'lived on'} [{rounds.plan}]",
            flush=True,
        )
        number += 1
        if number > 3 * times + 10:
            raise Broken(f"only {rounds.deaths.total()} deaths in {number} rounds")
    return rounds.finish()
