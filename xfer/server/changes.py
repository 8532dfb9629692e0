"""What changed between the versions of each zone, for IXFR out (RFC 1995 §4, §5).

`Changes` has the differences from the serial that a client holds to the version that is served:

    noted when a version was published       in memory, least recently noted dropped first
    a few small ones in a row, condensed     in memory as well
    those of large zones, where they are few stored with the versions, read and condensed
    everything else                          both versions from the journal, compared

Only along the unbroken line of rising serials (RFC 1982) that leads to the served version: after a
forced transfer to a lower serial, an old serial may stand for content that never led here. Where
the line does not reach the client's serial, or the differences outweigh the zone, there are none,
and the client gets an AXFR.

Versions, not serials, are linked, so a version that is published meanwhile changes nothing for a
transfer of the one before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

import attrs
import structlog
import trio

from xfer.errors import ChangeRefused, JournalDamaged, XferError
from xfer.journal import Version
from xfer.server.executor import Executor
from xfer.wire import names
from xfer.wire.serial import newer
from xfer.zone.changeset import Changeset, Differ, condense
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()

FLOOR: Final = 16_000  # octets of differences that are sent as such, however tiny the zone is
AT_ONCE: Final = 4_000  # records that are condensed without leaving the event loop: about 1 ms
STEPS: Final = 100  # versions of which the stored changes are read; from more on, two are compared
_RECORD: Final = 90  # octets of a record beside its own: its object, and its place in a list


class History(Protocol):
    """What is kept of a zone's past (`xfer.journal.Journal`)."""

    def line(self, origin: bytes) -> list[Version]: ...

    def load(self, version: Version, held: Snapshot | None = None) -> Snapshot: ...

    def changes(self, version: Version) -> Changeset | None: ...


@attrs.frozen
class _Noted:
    changes: Changeset
    parent: int | None
    cost: int


@attrs.frozen
class _Made:
    changes: Changeset | None  # None: it is known that there are none
    cost: int


@attrs.define(eq=False)
class _Computation:
    ended: trio.Event = attrs.Factory(trio.Event)
    finished: bool = False  # else it was cancelled, and another one has to do it
    changes: Changeset | None = None


Pair = tuple[int, int]  # id of the served version, serial of the client


@attrs.define(eq=False)
class Changes:
    """Differences by served version and the client's serial.

    limit: octets held in memory; share: octets of differences at most, in sizes of the zone;
    `size` is what is held.
    """

    history: History
    executor: Executor
    limit: int
    share: float
    size: int = 0
    _noted: OrderedDict[int, _Noted] = attrs.Factory(OrderedDict)  # by version
    _made: OrderedDict[Pair, _Made] = attrs.Factory(OrderedDict)
    _running: dict[Pair, _Computation] = attrs.Factory(dict)

    def note(self, version: Version, changes: Changeset) -> None:
        """A version is served now; changes: what it changed in its parent's content."""
        cost = _cost(changes)
        if cost <= self.limit and newer(changes.serial_to, changes.serial_from):
            self._noted[version.id] = _Noted(changes, version.parent, cost)
            self.size += cost
            self._shrink()

    def ready(self, version: Version, snapshot: Snapshot, serial: int) -> Changeset | None:
        """What can be had at once of `find`; None where that may or may not find more."""
        made = self._made.get((version.id, serial))
        if made is not None:
            self._made.move_to_end((version.id, serial))
            return self._light(made.changes, snapshot)
        steps: list[Changeset] = []
        count = 0
        at: int | None = version.id
        while not steps or steps[-1].serial_from != serial:
            noted = self._noted.get(at) if at is not None else None
            if noted is None or (steps and noted.changes.serial_to != steps[-1].serial_from):
                return None
            steps.append(noted.changes)
            count += len(noted.changes.removed) + len(noted.changes.added)
            if len(steps) > 1 and count > AT_ONCE:
                return None
            at = noted.parent
        if len(steps) > 1:
            steps.reverse()
            changes = condense(steps)
            self._keep((version.id, serial), changes)
        else:
            changes = steps[0]
        return self._light(changes, snapshot)

    async def find(self, version: Version, snapshot: Snapshot, serial: int) -> Changeset | None:
        """The differences from the version with that serial to this one; None for an AXFR.

        version, snapshot: what is served to this client. Those who ask for the same meanwhile wait
        for the one computation.
        """
        pair = version.id, serial
        while True:
            found = self.ready(version, snapshot, serial)
            if found is not None or pair in self._made:
                return found
            running = self._running.get(pair)
            if running is None:
                break
            await running.ended.wait()
            if running.finished:
                return running.changes
        running = self._running[pair] = _Computation()
        try:
            running.changes = await self.executor.run(self._compute, version, snapshot, serial)
            running.finished = True
            self._keep(pair, running.changes)
        except XferError as error:
            # What cannot be read now may be mended later; this client gets the whole zone.
            running.finished = True
            log.error(
                "history unreadable",
                zone=names.to_text(snapshot.origin),
                serial_from=serial,
                serial_to=snapshot.serial,
                error=str(error),
            )
        finally:
            del self._running[pair]
            running.ended.set()
        return running.changes

    def room(self, snapshot: Snapshot) -> int:
        """Octets that the differences may have until the whole zone is sent instead."""
        return max(FLOOR, int(self.share * snapshot.size))

    def resize(self, limit: int, share: float) -> None:
        """A new budget and share, from a reload."""
        self.limit = limit
        self.share = share
        self.size -= sum(made.cost for made in self._made.values())
        self._made.clear()
        self._shrink()

    def _light(self, changes: Changeset | None, snapshot: Snapshot) -> Changeset | None:
        return changes if changes is not None and changes.octets <= self.room(snapshot) else None

    def _compute(self, version: Version, snapshot: Snapshot, serial: int) -> Changeset | None:
        """In a worker thread: what the journal has of changes, or compare what it has."""
        line = self.history.line(snapshot.origin)
        ids = [kept.id for kept in line]
        if version.id not in ids:
            return None
        start = ids.index(version.id)
        for at in range(start + 1, len(line)):
            if line[at].serial == serial:
                stored = self._stored(line[start:at])
                if stored is not None:
                    return self._light(stored, snapshot)
                old = self.history.load(line[at], snapshot)
                return difference(old, snapshot, self.room(snapshot))
        return None

    def _stored(self, versions: Sequence[Version]) -> Changeset | None:
        """What versions, newest first, have changed together, where that is stored for all."""
        if len(versions) > STEPS:
            return None
        steps: list[Changeset] = []
        for version in versions:
            try:
                changes = self.history.changes(version)
                if changes is None:
                    return None
                steps.append(changes)
            except JournalDamaged as error:
                log.error("history unreadable", error=str(error))
                return None
        steps.reverse()
        try:
            return condense(steps) if len(steps) > 1 else steps[0]
        except ChangeRefused as error:
            log.error("history unreadable", error=str(error))
            return None

    def _keep(self, pair: Pair, changes: Changeset | None) -> None:
        cost = _cost(changes) if changes is not None else _RECORD
        if cost <= self.limit and pair not in self._made:
            self._made[pair] = _Made(changes, cost)
            self.size += cost
            self._shrink()

    def _shrink(self) -> None:
        while self.size > self.limit:
            if self._made:
                self.size -= self._made.popitem(last=False)[1].cost
            else:
                self.size -= self._noted.popitem(last=False)[1].cost


def difference(old: Snapshot, new: Snapshot, room: int) -> Changeset | None:
    """What changed between two snapshots, in steps; None as soon as it is more than `room` octets.

    For a worker thread: the event loop has its turn after every step.
    """
    differ = Differ(old, new)
    most = room * new.count // new.size + AT_ONCE  # records, of the zone's average size
    while differ.step():
        if differ.records > most:
            return None
    changes = differ.changeset()
    return changes if changes.octets <= room else None


def _cost(changes: Changeset) -> int:
    records = len(changes.removed) + len(changes.added)
    spelled = len(changes.spelling_removed) + len(changes.spelling_added)
    # A spelling holds owner and rdata beside the record.
    return changes.octets + _RECORD * records + 4 * _RECORD * spelled
