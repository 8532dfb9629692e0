"""What a wall clock that is set while a zone's keys roll means for their waits."""

from __future__ import annotations

from typing import Final

import attrs
import structlog

from xfer.clock import Clock
from xfer.dnssec import observing
from xfer.server import signed
from xfer.server.publish import Publisher
from xfer.server.signed import Signing
from xfer.server.zones import Zone

log = structlog.get_logger()

CLOCK_SET: Final = 60.0  # seconds by which a wall clock was set, and not only slowed down


def ahead_of(clock: Clock) -> float:
    """By how many seconds the wall clock is ahead of the monotonic one."""
    return clock.wall() - clock.monotonic()


async def keep_waits(zone: Zone, signing: Signing, clock: Clock, publisher: Publisher) -> None:
    """Draw waits out where the wall clock was set ahead since the last look at the zone.

    Caches count seconds, so a wait is over when they have passed, whatever the clock says. One
    that was set back draws them out by itself (`observing.clamped`). A machine that slept looks
    as one whose clock was set: it waits for longer than it has to.
    """
    ahead, before = ahead_of(clock), signing.ahead
    if before is not None and abs(ahead - before) <= CLOCK_SET:
        return
    if before is not None and ahead > before and signing.keys is not None:
        by = ahead - before
        keys = observing.clock_set(signing.keys, by)
        if not signing.fresh:
            mark = signed.mark_of(zone.origin, keys, signing.made_of, signing.print)
            await publisher.remember(mark)
        signing.keys = keys
        if signing.ds is not None:
            at = min(signing.ds.at + by, clock.wall())
            signing.ds = attrs.evolve(signing.ds, at=at)
        log.warning("wall clock set ahead", zone=zone.name, seconds=round(by), kept="waits")
    signing.ahead = ahead
