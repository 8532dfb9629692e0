"""What a reload made of the zone files of primary zones, for who waits to be told."""

from __future__ import annotations

import attrs
import trio

from xfer.server.status import Outcome, RefusedFile
from xfer.server.zones import Zone

MOST = 1000  # refused files that are listed


@attrs.define(eq=False)
class FileNews:
    """The files that one reload has to read, and those that were refused."""

    _left: set[Zone] = attrs.field(factory=set, init=False)
    _refused: list[RefusedFile] = attrs.field(factory=list, init=False)
    _whole: trio.Event = attrs.field(factory=trio.Event, init=False)
    more: int = attrs.field(default=0, init=False)
    """Refused files that are not listed."""

    def expect(self, zone: Zone) -> None:
        """Its file is going to be read."""
        self._left.add(zone)

    def told(self, zone: Zone, outcome: Outcome | None) -> None:
        """It was read; None: it needs not be any more."""
        if zone not in self._left:
            return
        self._left.discard(zone)
        failure = None if outcome is None or outcome.ok else outcome.failure
        if failure is not None and len(self._refused) >= MOST:
            self.more += 1
        elif failure is not None:
            self._refused.append(RefusedFile(zone.name, failure.sentence, failure.hint))
        if not self._left:
            self._whole.set()

    async def refused(self) -> tuple[RefusedFile, ...]:
        """Wait until all have been read; those that were refused, by zone."""
        if self._left:
            await self._whole.wait()
        return tuple(sorted(self._refused, key=lambda item: item.zone))
