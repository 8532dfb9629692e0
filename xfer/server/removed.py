"""Zones that left the config: kept for a while, then forgotten (REQUIREMENTS A36).

    leaves at a reload, or while the daemon is down     mark "removed" with the time
    comes back within limits.keep_removed days          the mark goes; it serves what it had
    stays away longer                                   its versions are deleted, bit by bit;
                                                        private keys stay (`xfer.server.left_keys`)

What is deleted is deleted in transactions of a few versions each, zone after zone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.errors import KeyRefused, XferError
from xfer.journal import JSON, Journal, Mark
from xfer.journal.states import MarkKey, mark_row
from xfer.server.edited import RemovedZone
from xfer.server.executor import Executor
from xfer.server.keystore import KeyStore
from xfer.server.left_keys import in_directory, left_keys
from xfer.server.zone_table import ZoneTable
from xfer.wire import names

log = structlog.get_logger()

MARK: Final = "removed"
DAY: Final = 86400.0
LOOK: Final = 3600.0  # seconds between two looks at most, because wall clocks jump
MARKS_AT_ONCE: Final = 1000


class Collects(Protocol):
    """Frees the room of what was deleted (`xfer.journal.GroupCommitter`)."""

    def collect(self) -> None: ...


@attrs.define(eq=False)
class RemovedZones:
    """days: for which a zone is kept (limits.keep_removed), asked each time: reloads change it."""

    table: ZoneTable
    journal: Journal
    collects: Collects
    executor: Executor
    clock: Clock
    store: KeyStore
    days: Callable[[], float]
    _left: dict[bytes, float] = attrs.field(factory=dict, init=False)  # when, Unix seconds
    _forgetting: dict[bytes, trio.Event] = attrs.field(factory=dict, init=False)
    _look: trio.Event = attrs.field(factory=trio.Event, init=False)
    _writing: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def load(self) -> None:
        """Once at the start: what the journal has and the config has not.

        Without a mark it was removed while the daemon was down, and counts from now.
        """
        try:
            stored, marks = await self.executor.run(self._stored)
            configured = self.table.zones
            for origin, mark in marks.items():
                if origin not in configured:
                    self._left.setdefault(origin, _when(mark.data, self.clock.wall()))
            await self._change((origin, MARK) for origin in marks if origin in configured)
        except XferError as error:
            log.error("removed zones unknown", error=str(error))
            return
        await self.left([o for o in stored if o not in configured and o not in self._left])

    async def left(self, origins: Collection[bytes]) -> None:
        """Zones have left the config."""
        now = self.clock.wall()
        for origin in origins:
            self._left[origin] = now
            name = names.to_text(origin)
            log.info("zone removed", zone=name, kept_until=self._until(now))
        try:
            await self._change(Mark(origin, MARK, {"at": now}) for origin in origins)
        except XferError as error:
            # They are away all the same, and noticed at the next start.
            log.error("zone removed, not marked", error=str(error))
        self.look()

    async def returned(self, origin: bytes) -> None:
        """A zone is in the config again. Waits while it is being forgotten.

        Raises JournalError; the mark is then removed at the next start.
        """
        forgetting = self._forgetting.get(origin)
        if forgetting is not None:
            await forgetting.wait()
        if self._left.pop(origin, None) is not None:
            log.info("zone returned", zone=names.to_text(origin))
            await self._change([(origin, MARK)])

    def look(self) -> None:
        """Look at once for what is to be forgotten, as after a reload."""
        self._look.set()

    async def run(self) -> None:
        """Forget what has been away for too long, whenever that is due. Never returns."""
        while True:
            self._look = trio.Event()
            wait = await self.forget_due()
            with trio.move_on_after(min(wait, LOOK)):
                await self._look.wait()

    def said(self, origin: bytes) -> str:
        """What to tell who asks for the zone; "" where it is not one of ours."""
        at = self._left.get(origin)
        if at is None:
            return ""
        return (
            f"it left the config {_time(at)}, and its versions are kept until "
            f"{self._until(at)}: put it back and `xfer reload`"
        )

    async def listed(self, limit: int) -> list[RemovedZone]:
        """The zones that are kept, those that go first in front; then those of which only private
        keys are left. Raises JournalError."""
        chosen = sorted(self._left.items(), key=lambda item: (item[1], item[0]))[:limit]
        known = set(self.table.zones) | set(self._left)
        return await self.executor.run(self._listed, chosen, known, self.days() * DAY, limit)

    async def forget_due(self) -> float:
        """Forget what is due; returns the seconds after which to look again."""
        for origin, at in sorted(self._left.items(), key=lambda item: item[1]):
            left = at + self.days() * DAY - self.clock.wall()
            if left > 0:
                return left
            if origin in self.table.zones or self._left.get(origin) != at:
                continue  # it came back while others were forgotten
            try:
                await self._forget(origin)
            except XferError as error:
                log.error("zone not forgotten", zone=names.to_text(origin), error=str(error))
                return LOOK
        return LOOK

    # -- inside

    async def _forget(self, origin: bytes) -> None:
        done = self._forgetting[origin] = trio.Event()
        try:
            while await self.executor.run(self.journal.forget_some, origin):
                pass  # whoever else wants to write takes turns with this
            self._left.pop(origin, None)
        finally:
            del self._forgetting[origin]
            done.set()
        self.collects.collect()
        log.info("zone forgotten", zone=names.to_text(origin), days=self.days())
        await self._tell_of_keys(origin)

    async def _tell_of_keys(self, origin: bytes) -> None:
        """A secret that stays on a disk is worth a warning."""
        place, zone = self.store.zone_directory(origin), names.to_text(origin)
        try:
            count = await self.executor.run(in_directory, place)
        except XferError as error:
            log.error("private keys unknown", zone=zone, error=str(error))
            return
        if count:
            note = (
                "they are needed if it comes back while its DS is at the parent; else remove them"
            )
            log.warning("private keys stay", zone=zone, keys=count, directory=str(place), note=note)

    async def _change(self, marks: Iterable[Mark | MarkKey]) -> None:
        """Set marks, or clear those given by their keys, some in a transaction."""
        change: dict[MarkKey, str | None] = dict(
            mark_row(mark) if isinstance(mark, Mark) else (mark, None) for mark in marks
        )
        keys = list(change)
        async with self._writing:
            for start in range(0, len(keys), MARKS_AT_ONCE):
                some = {key: change[key] for key in keys[start : start + MARKS_AT_ONCE]}
                await self.executor.run(self.journal.change_marks, some)

    def _stored(self) -> tuple[set[bytes], dict[bytes, Mark]]:
        marks = {mark.origin: mark for mark in self.journal.marks() if mark.name == MARK}
        return self.journal.origins(), marks

    def _listed(
        self,
        chosen: Sequence[tuple[bytes, float]],
        known: Collection[bytes],
        kept: float,
        limit: int,
    ) -> list[RemovedZone]:
        """In a worker thread; known: zones that are configured or kept."""
        found = []
        for origin, at in chosen:
            versions = self.journal.versions(origin)
            if versions:  # else it was configured, and nothing ever came
                name, serial = names.to_text(origin), versions[0].serial
                found.append(RemovedZone(name, at, at + kept, serial, len(versions)))
        try:
            return self._with_keys(found, known, limit)
        except KeyRefused as error:
            log.error("private keys unknown", error=str(error))
            return found

    def _with_keys(
        self, found: Sequence[RemovedZone], known: Collection[bytes], limit: int
    ) -> list[RemovedZone]:
        """With what the key directory has of them, and of zones that are not known any more."""
        told = []
        for zone in found:
            place = self.store.zone_directory(names.from_text(zone.zone))
            keys = in_directory(place)
            told.append(attrs.evolve(zone, keys=keys, key_directory=str(place) if keys else ""))
        for left in left_keys(self.store, known, limit - len(found)):
            told.append(RemovedZone(left.zone, None, None, None, 0, left.keys, str(left.directory)))
        return told

    def _until(self, at: float) -> str:
        return _time(at + self.days() * DAY)


def _when(data: Mapping[str, JSON], now: float) -> float:
    at = data.get("at")
    return float(at) if isinstance(at, (int, float)) else now


def _time(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}Z"
    except (OverflowError, ValueError):  # beyond the year 9999
        return "for ever"
