"""What is known of secondaries: what a restart must find again, and how far behind each is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from xfer.journal import PeerState, Version
from xfer.journal.versions import JSON
from xfer.server.status import SecondaryStatus, has
from xfer.server.zones import Zone
from xfer.wire.serial import newer

ROLE = "secondary"
_KEPT: Mapping[str, tuple[type, ...]] = {
    "address": (str,),
    "notified_serial": (int,),
    "notified_at": (int, float),
    "notify_result": (str,),
    "delivered_serial": (int,),
    "pending": (int,),
    "tries": (int,),
    "given_up_at": (int, float),
    "asked_at": (int, float),
    "fetched_serial": (int,),
    "fetched_at": (int, float),
    "fetched_kind": (str,),
    "fetched_from": (int,),
    "seen_serial": (int,),
    "seen_at": (int, float),
    "probed_at": (int, float),
    "probe_error": (str,),
}
"""What is stored of a SecondaryStatus, and the types that may be read back."""


def to_state(origin: bytes, status: SecondaryStatus) -> PeerState:
    """What the journal keeps; what is not known is left out."""
    data: dict[str, JSON] = {}
    for name in _KEPT:
        value: JSON = getattr(status, name)
        if value is not None and value != "":
            data[name] = value
    return PeerState(origin, status.peer, ROLE, data)


def from_state(state: PeerState) -> SecondaryStatus | None:
    """What the journal kept; None where that is of no use, e.g. written by a newer xfer."""
    known = {}
    for name, types in _KEPT.items():
        value = state.data.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, types):
            return None
        known[name] = value
    if "address" not in known:
        return None
    return SecondaryStatus(peer=state.peer, **known)  # type: ignore[arg-type]


def restore(zone: Zone, states: Iterable[PeerState]) -> None:
    """Know again what was known of the zone's secondaries; those elsewhere now are new."""
    wanted = {peer.name: peer.endpoint for peer in zone.config.secondaries}
    for state in states:
        if state.role != ROLE or state.peer in zone.secondaries:
            continue
        status = from_state(state)
        if status is not None and wanted.get(status.peer) == status.address:
            zone.secondaries[status.peer] = status


def with_lag(
    status: SecondaryStatus, versions: Sequence[Version], now: float, *, whole: bool
) -> SecondaryStatus:
    """The status with its lag filled in.

    versions: newest first, the served one in front; whole: they are the zone's history, not only
    the served version; now: wall clock. Versions count as newer along the unbroken line of rising
    serials (RFC 1982), until the one it has, or one that is no newer, is met.
    """
    serial = has(status)
    if serial is None or not versions:
        return status
    ahead = 0
    for version in versions:
        if not newer(version.serial, serial):
            break
        if ahead and not newer(versions[ahead - 1].serial, version.serial):
            break
        ahead += 1
    if not ahead:
        return attrs.evolve(status, lag_serials=0, lag_versions=0, lag_seconds=0.0)
    return attrs.evolve(
        status,
        lag_serials=(versions[0].serial - serial) & 0xFFFFFFFF,
        lag_versions=ahead if whole else None,
        lag_seconds=max(0.0, now - versions[ahead - 1].created),
    )
