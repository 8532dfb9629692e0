"""When a secondary zone is looked at next, and when it expires: pure functions of its SOA timers.

    REFRESH   after a success                           RFC 1034 §4.3.5, RFC 1035 §3.3.13
    RETRY     after a failure, doubling with each       up to REFRESH, or `retry_max`
    EXPIRE    after the last success                    and RFC 7314, the primary's EXPIRE option

Every delay is spread by ±10 %, so that zones that failed together do not ask together for ever.
No delay passes the expiry: there is always a try shortly before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import attrs

from xfer.wire.records import soa_fields

JITTER = 0.1
MIN_TIMER = 1.0  # seconds; a REFRESH or RETRY of 0 would make us a flood
MOST_RAISED = 604_800  # seconds that an EXPIRE out of proportion is raised to at most
LAST_TRY = 30.0  # seconds before the expiry; less where less than four times that is left
KNOWN = 1024  # sets of timers that are kept at hand
FIRST_MAX = 300.0  # seconds between tries for a first version, and for one in place of an expired


@attrs.frozen
class Timers:
    """Of a version, in seconds, as we keep to them."""

    refresh: float
    retry: float
    expire: int

    @classmethod
    def of(cls, soa: bytes, refresh: int | None = None) -> Timers:
        """soa: the record; refresh: the zone's own, in place of the SOA's.

        An EXPIRE below REFRESH + RETRY would end a zone that missed one check, or none at all, so
        it counts as that sum, up to a week; a `refresh` of the zone's own never prolongs it.
        """
        _, _, _, own, retry, expire, _ = soa_fields(soa)
        return _timers(own, retry, expire, refresh)

    def lifetime(self, option: int | None) -> int:
        """Seconds until the version expires, of which a primary's EXPIRE option may leave less."""
        return self.expire if option is None else min(option, self.expire)


@lru_cache(KNOWN)
def _timers(own: int, retry: int, expire: int, refresh: int | None) -> Timers:
    """Zones of one operator have the same timers; so many share one value."""
    kept = max(expire, _least_expire(own, retry))
    wanted = float(own if refresh is None else refresh)
    every = max(MIN_TIMER, min(wanted, kept / 2))
    return Timers(every, max(MIN_TIMER, min(float(retry), every)), kept)


def warnings(soa: bytes) -> tuple[str, ...]:
    """What in the SOA's timers is not kept to, in sentences."""
    _, _, _, refresh, retry, expire, _ = soa_fields(soa)
    least = _least_expire(refresh, retry)
    if expire >= least:
        return ()
    return (
        f"soa-timers: expected EXPIRE not below REFRESH + RETRY ({refresh} + {retry}), "
        f"got {expire}: the zone is kept {least} seconds without a successful check",
    )


def _least_expire(refresh: int, retry: int) -> int:
    return min(max(int(MIN_TIMER), refresh) + max(int(MIN_TIMER), retry), MOST_RAISED)


def refresh_after(timers: Timers, left: float | None, spread: float) -> float:
    """Seconds until the next check after a success. left: until the expiry, None for never;
    spread: from -1 to 1, at random."""
    return before_expiry(timers.refresh * (1 + JITTER * spread), left)


def retry_after(
    timers: Timers, failures: int, longest: float, left: float | None, spread: float
) -> float:
    """Seconds until the next try after `failures` in a row, at least 1.

    longest: `retry_max`, which never goes below RETRY. An expired zone is tried at least every
    FIRST_MAX seconds.
    """
    cap = max(timers.retry, min(timers.refresh, longest))
    if left is not None and left <= 0:
        cap = min(cap, FIRST_MAX)
    delay = min(timers.retry * 2.0 ** min(max(failures, 1) - 1, 30), cap)
    return before_expiry(delay * (1 + JITTER * spread), left)


def first_after(failures: int, spread: float) -> float:
    """Seconds until the next try for a zone's first version: from 1 second, doubling."""
    return float(min(2.0 ** min(failures, 9), FIRST_MAX)) * (1 + JITTER * spread)


def before_expiry(delay: float, left: float | None) -> float:
    """The delay, or less where it would pass the last try before the expiry."""
    if left is None or left <= 0:
        return delay
    last = left - min(LAST_TRY, left / 4)
    return min(delay, last) if last >= MIN_TIMER else delay


def ladder_after(ladder: Sequence[float], step: int, spread: float) -> float | None:
    """Seconds until the try number `step` (from 0) after a NOTIFY that has not led to what it told
    of; None after the last one."""
    return ladder[step] * (1 + JITTER * spread) if step < len(ladder) else None
