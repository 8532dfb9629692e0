"""The zones as they run: what is served, what is known of primaries and secondaries.

Only the event loop touches these values. What is served is one immutable snapshot per zone, and
publishing replaces it in one assignment. Times inside are monotonic; wall times are for people.
"""

from __future__ import annotations

import attrs
import trio

from xfer.config import Role, ZoneConfig
from xfer.journal import Version
from xfer.peers import Peer
from xfer.server.pull import PullProgress
from xfer.server.status import FailureReport, Phase, PrimaryStatus, SecondaryStatus, ZoneState
from xfer.wire.records import soa_fields
from xfer.zone.snapshot import Snapshot

MIN_TIMER = 1.0  # seconds; a REFRESH or RETRY of 0 would make us a flood


@attrs.define(eq=False)
class Zone:
    """One configured zone.

    snapshot, version: what is served, None before the first; loading: it is still being read;
    expires: monotonic time at which a secondary zone stops being served, None for never;
    busy: a check or transfer runs; again: another was asked for meanwhile; idle: set when what
    keeps it busy, or loading, has ended.
    """

    config: ZoneConfig
    snapshot: Snapshot | None = None
    version: Version | None = None
    loading: bool = False
    expires: float | None = None
    expired: bool = False
    checked_at: float | None = None
    failures: int = 0
    error: FailureReport | None = None
    findings: tuple[str, ...] = ()
    due: float | None = None
    next_action: str = ""
    busy: bool = False
    again: bool = False
    idle: trio.Event = attrs.Factory(trio.Event)
    removed: bool = False
    phase: Phase = Phase.QUEUED
    transfer_from: Peer | None = None
    transfer_started: float = 0.0
    progress: PullProgress | None = None
    primaries: dict[str, PrimaryStatus] = attrs.Factory(dict)
    secondaries: dict[str, SecondaryStatus] = attrs.Factory(dict)

    @property
    def name(self) -> str:
        """Absolute lower-case text."""
        return self.config.name

    @property
    def origin(self) -> bytes:
        return self.config.origin

    @property
    def serial(self) -> int | None:
        return self.snapshot.serial if self.snapshot is not None else None

    @property
    def secondary(self) -> bool:
        """Whether its content comes from primaries."""
        return self.config.role is Role.SECONDARY

    def serving(self, now: float) -> Snapshot | None:
        """What may be answered from; None where there is nothing, or it has expired."""
        if self.expires is not None and now >= self.expires:
            return None
        return self.snapshot

    def expires_in(self, now: float) -> int | None:
        """Seconds left, for the EXPIRE option; None without a version (RFC 7314 §4): of a primary
        zone, always the SOA's EXPIRE."""
        if self.expires is None:
            return lifetime(self.snapshot, None) if self.snapshot is not None else None
        return max(0, int(self.expires - now))

    def keep_alive(self, now: float, option: int | None, transferred: bool) -> None:
        """A check succeeded: when the zone expires now (RFC 1035 §3.3.13, RFC 7314 §4).

        option: the primary's EXPIRE option in seconds; transferred: a new version came.
        """
        if self.snapshot is None:
            return
        if transferred or self.expires is None or option is None:
            left: float = lifetime(self.snapshot, option)
        else:
            left = min(max(self.expires - now, option), lifetime(self.snapshot, None))
        self.expires = now + left
        self.expired = False

    def refresh_after(self) -> float:
        """Seconds until the next check after a success."""
        if self.config.refresh is not None:
            return float(self.config.refresh)
        assert self.snapshot is not None
        return max(MIN_TIMER, float(soa_fields(self.snapshot.soa)[3]))

    def retry_after(self) -> float:
        """Seconds until the next try after a failure: RETRY; rising while there is no version."""
        if self.snapshot is None:
            return min(2.0 ** min(self.failures, 9), 300.0)
        retry = max(MIN_TIMER, float(soa_fields(self.snapshot.soa)[4]))
        return min(retry, self.refresh_after())

    def state(self, now: float) -> ZoneState:
        """One word for the operator."""
        if self.loading:
            return ZoneState.LOADING
        if self.transfer_from is not None:
            return ZoneState.TRANSFERRING
        if self.snapshot is None:
            return ZoneState.FAILING if self.error is not None else ZoneState.EMPTY
        if self.expires is not None and now >= self.expires:
            return ZoneState.EXPIRED
        if self.error is not None:
            return ZoneState.FAILING
        if self.secondary and self.checked_at is None:
            return ZoneState.STALE
        return ZoneState.CURRENT

    def primary(self, peer: Peer) -> PrimaryStatus:
        """What is known of that primary so far."""
        known = self.primaries.get(peer.name)
        if known is None or known.address != peer.endpoint:
            known = PrimaryStatus(peer=peer.name, address=peer.endpoint)
        return known

    def secondary_status(self, peer: Peer) -> SecondaryStatus:
        """What is known of that secondary so far."""
        known = self.secondaries.get(peer.name)
        if known is None or known.address != peer.endpoint:
            known = SecondaryStatus(peer=peer.name, address=peer.endpoint)
        return known


def lifetime(snapshot: Snapshot, option: int | None) -> int:
    """Seconds until a version just transferred expires: SOA EXPIRE, or less by the primary's EXPIRE
    option (RFC 7314 §4)."""
    limit = soa_fields(snapshot.soa)[5]
    return limit if option is None else min(option, limit)


class ZoneTable:
    """All zones by origin, and the search for the one that holds a name."""

    def __init__(self) -> None:
        self.zones: dict[bytes, Zone] = {}

    def find(self, name: bytes) -> Zone | None:
        """The zone of the closest enclosing apex; name: lower-case wire name."""
        zones = self.zones
        at = 0
        while True:
            zone = zones.get(name[at:] if at else name)
            if zone is not None:
                return zone
            if name[at] == 0:
                return None
            at += name[at] + 1

    def exact(self, name: bytes) -> Zone | None:
        """The zone with that apex."""
        return self.zones.get(name)
