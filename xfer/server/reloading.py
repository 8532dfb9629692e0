"""What a reload makes of the zones: some come, some go, some have another config."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from xfer.clock import Clock
from xfer.config import Config, ZoneConfig
from xfer.server.attempts import Attempts
from xfer.server.downstream import Downstream
from xfer.server.file_news import FileNews
from xfer.server.removed import RemovedZones
from xfer.server.signing import Signers
from xfer.server.status import Outcome
from xfer.server.zone_table import ZoneTable
from xfer.server.zones import Zone


@attrs.define(eq=False)
class Reloading:
    """make: a zone, not loaded yet; load: reads what the journal has of it; read_file: publishes a
    primary zone's file; news: of the files of the last reload."""

    nursery: trio.Nursery
    clock: Clock
    table: ZoneTable
    attempts: Attempts
    downstream: Downstream
    signers: Signers
    removed: RemovedZones
    make: Callable[[ZoneConfig], Zone]
    load: Callable[[Zone], Awaitable[None]]
    read_file: Callable[[Zone], Awaitable[Outcome]]
    news: FileNews = attrs.Factory(FileNews)
    _added: dict[Zone, FileNews] = attrs.Factory(dict)  # primary zones, until they are loaded

    def loaded(self, zone: Zone) -> None:
        """A primary zone is loaded, at the start or after a reload brought it: read its file."""
        self.nursery.start_soon(self.read_and_tell, zone, self._added.pop(zone, FileNews()))

    async def read_and_tell(self, zone: Zone, news: FileNews) -> None:
        """Read a zone's file, and tell the reload that asked for it what came of that."""
        news.told(zone, await self.read_file(zone))

    def apply(self, config: Config) -> tuple[int, int, int]:
        """Zones that came, went and changed: how many of each."""
        self.news = FileNews()
        wanted = {zone.origin: zone for zone in config.zones.values()}
        zones = self.table.zones
        gone = [origin for origin in zones if origin not in wanted]
        for origin in gone:
            zone = zones.pop(origin)
            zone.removed = True
            self._not_read(zone)
            self.attempts.schedule.forget(zone)
            self.signers.reminders.forget(zone)
            self.attempts.saving.leave(zone)
            self.downstream.removed(zone)
        self.nursery.start_soon(self.removed.left, gone)
        added = changed = 0
        for origin, settings in wanted.items():
            known = zones.get(origin)
            if known is None:
                zones[origin] = self.make(settings)
                if not zones[origin].secondary:
                    self.news.expect(zones[origin])
                    self._added[zones[origin]] = self.news
                self.nursery.start_soon(self.load, zones[origin])
                added += 1
            elif known.config != settings:
                known.config = settings
                changed += 1
                if not known.loading:
                    self.downstream.changed(known)
                    self.signers.look_soon(known)
                if known.secondary:
                    self._not_read(known)
                    if known.expires is None:  # it was a primary zone
                        known.keep_alive(self.clock.monotonic(), None, True)
                    self.attempts.soon(known)
                else:
                    known.expires = None
                    self.attempts.schedule.forget(known)
            elif known.signing is not None and known.signing.error:
                self.signers.look_soon(known)  # what was wrong may have been mended
            if known is not None and not known.secondary:
                self.news.expect(known)
                self.nursery.start_soon(self.read_and_tell, known, self.news)
        return added, len(gone), changed

    def _not_read(self, zone: Zone) -> None:
        """A zone that a reload brought is gone, or has no file any more, before it was loaded."""
        news = self._added.pop(zone, None)
        if news is not None:
            news.told(zone, None)
