"""Rounds of life, death and resurrection on one journal, each ending in a full examination.

A round: the primary (Knot or BIND) gets a new version; the daemon starts, or is asked with
`force-axfr --wait`, pulls it and is killed on its way; the primary goes away; the daemon starts as
it is, and must serve a complete version from its journal. Whatever told anyone that a version is
published binds: a later version than the one reported may serve, an earlier one may not.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import zone
from tests.kill import plan as plans
from tests.kill.deaths import Death
from tests.kill.parts import KEY, PATIENCE, Content, Daemon, Witness, alive
from tests.kill.plan import Note, Plan, Point
from tests.peers import (
    Knot,
    Named,
    PrimaryZone,
    Remote,
    SecondaryZone,
    axfr,
    events,
    free_port,
    run_xfer,
)
from xfer.clock import SystemClock
from xfer.journal import Journal
from xfer.wire import names

PRIMARIES: Mapping[str, type[Knot] | type[Named]] = {"knot": Knot, "bind": Named}
ORPHANED = PATIENCE  # seconds that a child may live on without its parent, on a busy machine


class Broken(AssertionError):
    """A promise was broken; the sentence says which, and after what death."""


class Rounds:
    """Everything that one run shares. A context manager."""

    def __init__(self, directory: Path, *, size: int, primary: str = "knot") -> None:
        self.content = Content(size)
        self.kind = primary
        self.plan: Plan | None = None  # of the last round
        self.newest = 2  # the primary's last version
        self.served = 2  # xfer's, as it was last seen whole
        self.reported: set[int] = set()
        self.deaths: list[Death] = []
        self.lengths: dict[Point, float] = {}
        self.octets = 0
        self._directory = directory
        self._primary_port = free_port("127.0.0.1")
        self._zone_file = directory / "primary.zone"
        self._notes = directory / "notes"
        self._witness = Witness()
        self._primary: Knot | Named | None = None
        remote = Remote("127.0.0.1", self._primary_port, KEY)
        secondary = SecondaryZone(zone.ZONE, [remote], keys=[KEY], notify=[self._witness.remote])
        self.daemon = Daemon(
            [secondary],
            directory=directory / "xfer",
            extra="[limits]\nkeep_versions = 10000\njournal_share = 1000\n",
        )

    def __enter__(self) -> Rounds:
        try:
            self._rehearse()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self.daemon.kill()
        self._stop_primary()
        self._witness.close()

    def _rehearse(self) -> None:
        """One whole transfer of each kind, to learn how long its phases take."""
        self.daemon.prepare()
        for version in (1, 2):
            self._start_primary(version)
            self.lengths = plans.lengths_of(self._whole_transfer())
            self.reported.add(version)
            self._stop_primary()
        self.octets = self._bytes_of_last_transfer()
        self._examine(None, {2})

    def round(self, point: Point, *, forced: bool = False) -> Death | None:
        """Die at a point, if it comes to that; examine what is left. None where it did not die.

        Raises Broken.
        """
        plan = self.plan = plans.draw(point, self.lengths, self.octets, str(self._notes))
        self.newest += 1
        old, new = self.served, self.newest
        seen: set[int] = set()
        stop = threading.Event()
        watching = threading.Thread(
            target=self._witness.watch, args=(self.daemon, seen, stop), daemon=True
        )
        log_start = len(self.daemon.logs())
        self._start_primary(old if forced else new)
        self._notes.unlink(missing_ok=True)
        self.daemon.plan = plan
        self.daemon.launch()
        session = self.daemon.pid
        told = ""
        watching.start()
        try:
            if forced:
                told = self._force(new)
            code = self.daemon.wait_dead()
        finally:
            stop.set()
            watching.join()
        if code is None:
            self.daemon.kill()
        elif code != -9:
            raise Broken(f"{plan}: expected death by SIGKILL, got exit code {code}\n{self._log()}")
        self._no_survivors(session, plan)
        notes = self._read_notes()
        events = {note.event for note in notes}
        where = plans.place(notes)
        published = {
            int(line["serial_to"])
            for line in self._log_lines(log_start)
            if line.get("event") == "transfer" and line.get("published")
        }
        said = {
            serial - zone.serial_of(0) for serial in seen | published | self._witness.notified()
        }
        if told or events & set(plans.COMMITTED):
            said.add(new)
        if not said <= {old, new} | self.reported:
            raise Broken(f"{plan}: versions were reported that never were: {said}")
        self.reported |= said
        if where in ("before", "receiving", "checking", "writing") and new in said:
            raise Broken(f"{plan}: died {where}, and version {new} had been reported: {said}")
        self._stop_primary()
        allowed = {new} if new in said else {old, new} if where == "flipping" else {old}
        self.served = self._examine(plan, allowed)
        if code is None:
            return None
        death = Death(
            plan,
            where,
            plans.was_writing_ahead(notes),
            self.served == new,
            "child" in events,
            forced,
        )
        self.deaths.append(death)
        return death

    def finish(self) -> None:
        """Every version ever reported is there with its content; no orphans are left in time."""
        self.daemon.plan = None
        self.daemon.launch()
        self.daemon.wait_serving(zone.ZONE, zone.serial_of(self.served))
        with Journal.open(str(self._journal), SystemClock(), writable=False) as journal:
            deadline = time.monotonic() + PATIENCE
            while journal.stats().orphans:
                if time.monotonic() > deadline:
                    raise Broken(f"{journal.stats().orphans} orphaned blocks are not collected")
                time.sleep(0.05)
        self.daemon.stop()
        done = run_xfer("journal", "verify", "-c", str(self.daemon.config_file))
        if done.returncode:
            raise Broken(f"xfer journal verify: {done.stdout}{done.stderr}")
        self._all_there()

    # -- parts of a round

    def _start_primary(self, version: int) -> None:
        zone.write_zone_file(self._zone_file, iter(self.content.items(version)))
        primary = PRIMARIES[self.kind](
            [PrimaryZone(zone.ZONE, path=self._zone_file, keys=[KEY])], port=self._primary_port
        )
        self._primary = primary.start()
        primary.wait_serving(zone.ZONE, zone.serial_of(version))

    def _edit_primary(self, version: int) -> None:
        assert self._primary is not None
        zone.write_zone_file(self._zone_file, iter(self.content.items(version)))
        self._primary.reload(zone.ZONE)
        self._primary.wait_serving(zone.ZONE, zone.serial_of(version))

    def _stop_primary(self) -> None:
        if self._primary is not None:
            self._primary.__exit__(None, None, None)
            self._primary = None

    def _whole_transfer(self) -> list[Note]:
        """A life with one whole transfer, ended by SIGKILL once that is done."""
        self._notes.unlink(missing_ok=True)
        self.daemon.plan = Plan(str(self._notes))
        self.daemon.launch()
        deadline = time.monotonic() + PATIENCE
        while not (notes := self._read_notes()) or notes[-1].event != "done":
            if time.monotonic() > deadline:
                raise Broken(f"no transfer in {PATIENCE} s: {notes}\n{self._log()}")
            time.sleep(0.01)
        self.daemon.kill()
        return notes

    def _force(self, version: int) -> str:
        """Ask for the next version; what the command said where it was done, "" otherwise."""
        deadline = time.monotonic() + PATIENCE
        while not self.daemon.control.exists() or not _accepts(self.daemon.control):
            if time.monotonic() > deadline:
                raise Broken(f"no control socket in {PATIENCE} s\n{self._log()}")
            time.sleep(0.02)
        self._edit_primary(version)
        done = self.daemon.cli("force-axfr", zone.ZONE, "--wait")
        return done.stdout or "done" if done.returncode == 0 else ""

    def _examine(self, plan: Plan | None, allowed: set[int]) -> int:
        """Start the daemon without its primary; the version that it serves, whole."""
        self.daemon.plan = None
        self.daemon.launch()
        said = f"after {plan}" if plan is not None else "after the rehearsal"
        deadline = time.monotonic() + PATIENCE
        while (serial := self.daemon.serial(zone.ZONE)) is None:
            self.daemon._check_alive()
            if time.monotonic() > deadline:
                raise Broken(f"{said}: no version serves\n{self._log()}")
            time.sleep(0.01)
        version = serial - zone.serial_of(0)
        if version not in allowed:
            raise Broken(f"{said}: expected version {allowed}, got {version}\n{self._log()}")
        got = axfr(self.daemon.address, self.daemon.port, zone.ZONE, KEY)
        expected = self.content.records(version)
        if got != expected:
            raise Broken(
                f"{said}: version {version} is not whole: {len(got)} records of {len(expected)}, "
                f"{len(set(expected) - set(got))} missing, {len(set(got) - set(expected))} strange"
            )
        with Journal.open(str(self._journal), SystemClock(), writable=False) as journal:
            result = journal.verify()
            if not result.ok:
                raise Broken(f"{said}: the journal does not verify: {result.problems()}")
            kept = {v.serial - zone.serial_of(0) for v in journal.versions(_ORIGIN)}
        if not self.reported <= kept:
            raise Broken(f"{said}: versions {self.reported - kept} were reported and are gone")
        # Neither a clean end nor a second kill, this one at rest, may change anything.
        if random.random() < 0.5:
            self.daemon.stop()
        else:
            self.daemon.kill()
        return version

    def _all_there(self) -> None:
        with Journal.open(str(self._journal), SystemClock(), writable=False) as journal:
            for version in journal.versions(_ORIGIN):
                number = version.serial - zone.serial_of(0)
                expected = len(self.content.items(number))
                snapshot = journal.load(version)
                if snapshot.count != expected or snapshot.serial != version.serial:
                    raise Broken(f"{version}: {snapshot.count} records, expected {expected}")

    def _no_survivors(self, session: int, plan: Plan) -> None:
        deadline = time.monotonic() + ORPHANED
        while left := alive(session):
            if time.monotonic() > deadline:
                raise Broken(f"{plan}: children live on without the daemon: {left}")
            time.sleep(0.005)

    # -- what is left to read

    @property
    def _journal(self) -> Path:
        return self.daemon.directory / "journal.db"

    def _read_notes(self) -> list[Note]:
        return plans.read_notes(self._notes.read_text() if self._notes.exists() else "")

    def _log(self) -> str:
        return self.daemon.logs()[-4000:]

    def _log_lines(self, start: int) -> list[dict[str, Any]]:
        """The log's complete events from `start` on."""
        return events(self.daemon.logs()[start:])

    def _bytes_of_last_transfer(self) -> int:
        sizes = [line["bytes"] for line in self._log_lines(0) if line.get("event") == "transfer"]
        return int(sizes[-1])


_ORIGIN = names.from_text(zone.ZONE)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0
