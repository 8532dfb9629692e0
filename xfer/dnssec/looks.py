"""When to look at the parent for a zone's DS: often while something is waited for, else daily.

The daily look finds what nobody announced: a DS that was taken away, or put in by hand.
"""

from __future__ import annotations

import zlib
from typing import Final

from xfer.config_dnssec import DAY, DnssecPolicy
from xfer.dnssec.keystate import ZoneKeys, ZoneState, own

_SPREAD: Final = DAY // 8  # seconds
_ROOT: Final = b"\0"


def waits_for_parent(zone: ZoneKeys) -> bool:
    """Whether the next step of the zone's keys hangs on what the parent has.

    A DS is to come or to go; the zone's state turns on it; it was not looked at since another DS
    was asked for; or a slow parent may still put in one that was asked for before.
    """
    return (
        zone.state in (ZoneState.PENDING, ZoneState.PENDING_DISABLED)
        or own(zone.ds) != zone.wanted
        or (zone.wanted_at is not None and zone.ds_at < zone.wanted_at)
        or bool(zone.asked)
        or zone.joining
    )


def next_look(
    zone: ZoneKeys, policy: DnssecPolicy, last: float | None, settled: bool, now: float
) -> float | None:
    """When to ask the parent (Unix seconds; `now`: at once); None: nobody is to be asked.

    last: when it was asked before, None: not since the start, and what the kept state says counts;
    settled: whether all of its servers agreed then. Where they did not, or one failed, a change may
    be on its way. The daily looks of zones that were all looked at together drift apart.
    """
    if not policy.parent or zone.origin == _ROOT:
        return None
    if last is None:
        last = zone.ds_at
    if last > now:  # the clock was set back
        return now
    if waits_for_parent(zone) or not settled:
        return max(now, last + policy.parent_check)
    early = zlib.crc32(zone.origin) % _SPREAD
    return max(now, last + max(DAY - early, policy.parent_check))
