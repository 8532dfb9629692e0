"""What is known of a zone's primaries: whom to ask first, whom for IXFR; kept over restarts.

`PrimaryStatus` is the record; everything here makes a new one out of the last and of what came. A
failure of IXFR is remembered by the serial it was asked from, since that is where it fails again;
one that timed out, by how often, since that costs `idle_timeout` each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from xfer.errors import Failure, TransferError
from xfer.journal import JSON
from xfer.peers import Peer
from xfer.server.hints import Hint
from xfer.server.status import FailureReport, IxfrState, PrimaryStatus
from xfer.server.zones import Zone
from xfer.wire.serial import newer

SLOW = 0.5  # seconds; a primary that takes longer to answer is asked after the others
TIMEOUTS = 2  # IXFRs in a row that may time out
IXFR_PAUSE = 3600.0  # seconds after which IXFR is tried again where it timed out


def in_order(zone: Zone, hint: Hint | None) -> Sequence[Peer]:
    """The zone's primaries as they are to be asked: who sent NOTIFY, then by score, then as
    configured."""
    primaries = zone.config.primaries
    if len(primaries) < 2:
        return primaries
    return sorted(primaries, key=lambda peer: (not _told(peer, hint), _score(zone.primary(peer))))


def notifier(zone: Zone, hint: Hint | None) -> Peer | None:
    """The primary that sent the NOTIFY; None where it came from elsewhere."""
    return next((peer for peer in zone.config.primaries if _told(peer, hint)), None)


def _told(peer: Peer, hint: Hint | None) -> bool:
    return hint is not None and str(peer.address) == hint.source


def _score(known: PrimaryStatus) -> tuple[int, bool, bool]:
    """Less is better: failures in a row (beyond three, all are alike), behind, slow."""
    slow = known.rtt is not None and known.rtt > SLOW
    return min(known.failures, 3), known.behind, slow


def may_ixfr(zone: Zone, peer: Peer, wall: float) -> bool:
    """Whether to ask that primary for the changes since what is served.

    Not where its content under that serial is another, in what the checks have dropped for one:
    such changes may well apply, and what comes of it is no primary's zone.
    """
    serial = zone.content_serial
    if serial is None or not peer.ixfr or zone.made_here or not zone.complete:
        return False
    if any(other.diverged == serial for other in zone.primaries.values()):
        return False
    known = zone.primary(peer)
    if known.ixfr_broken == serial:
        return False
    waited = wall - (known.ixfr_error.at if known.ixfr_error is not None else 0.0)
    return known.ixfr_timeouts < TIMEOUTS or not 0 <= waited < IXFR_PAUSE


def answered(
    known: PrimaryStatus, serial: int, served: int | None, rtt: float, wall: float
) -> PrimaryStatus:
    """It told its serial. served: our own; rtt: seconds until the answer. Where it has news, its
    failures count until a transfer has succeeded."""
    news = served is None or newer(serial, served)
    # In full, and not by `attrs.evolve`, which is slow: each check of each zone comes here.
    return PrimaryStatus(
        peer=known.peer,
        address=known.address,
        serial=serial,
        checked_at=wall,
        transferred_at=known.transferred_at,
        error=known.error if news else None,
        failures=known.failures if news else 0,
        rtt=rtt,
        behind=served is not None and newer(served, serial),
        diverged=known.diverged,
        diverged_here=known.diverged_here,
        ixfr=known.ixfr,
        ixfr_broken=known.ixfr_broken,
        ixfr_timeouts=known.ixfr_timeouts,
        ixfr_error=known.ixfr_error,
        notified_serial=known.notified_serial,
        notified_at=known.notified_at,
        notifies=known.notifies,
        checks=known.checks + 1,
        transfers=known.transfers,
    )


def transferred(
    known: PrimaryStatus, serial: int, asked_ixfr: bool, kind: str, published: bool, wall: float
) -> PrimaryStatus:
    """A transfer from it succeeded. kind: "ixfr", "axfr", or "soa" for an IXFR without changes."""
    changes: dict[str, Any] = {}
    if asked_ixfr:
        state = IxfrState.FULL if kind == "axfr" else IxfrState.WORKS
        changes = {"ixfr": state, "ixfr_timeouts": 0, "ixfr_broken": None}
        if state is IxfrState.WORKS:
            changes["ixfr_error"] = None
    return attrs.evolve(
        known,
        serial=serial,
        checked_at=wall,
        transferred_at=wall if published else known.transferred_at,
        transfers=known.transfers + (kind != "soa"),
        behind=False,
        failures=0,
        error=None,
        **changes,
    )


def failed(known: PrimaryStatus, report: FailureReport) -> PrimaryStatus:
    """An attempt with it failed."""
    return attrs.evolve(known, failures=known.failures + 1, error=report)


def ixfr_failed(
    known: PrimaryStatus, serial: int, error: TransferError, report: FailureReport
) -> PrimaryStatus:
    """IXFR from `serial` failed, and AXFR is next."""
    if error.failure is Failure.TRANSPORT:
        return attrs.evolve(known, ixfr_timeouts=known.ixfr_timeouts + 1, ixfr_error=report)
    return attrs.evolve(
        known, ixfr=IxfrState.BROKEN, ixfr_broken=serial, ixfr_timeouts=0, ixfr_error=report
    )


def notified(known: PrimaryStatus, serial: int | None, wall: float) -> PrimaryStatus:
    """It sent a NOTIFY."""
    return attrs.evolve(
        known, notifies=known.notifies + 1, notified_serial=serial, notified_at=wall
    )


# -- over a restart

_KEPT = (
    "serial",
    "checked_at",
    "transferred_at",
    "rtt",
    "failures",
    "behind",
    "diverged",
    "diverged_here",
    "ixfr_broken",
    "ixfr_timeouts",
    "notified_serial",
    "notified_at",
)
_WORTH = ("serial", "transferred_at", "error", "behind", "diverged", "ixfr", "ixfr_error")


def worth_saving(before: PrimaryStatus | None, after: PrimaryStatus) -> bool:
    """Whether more has changed than times and counts: those are not worth a write a check."""
    return before is None or any(getattr(before, name) != getattr(after, name) for name in _WORTH)


def to_data(known: PrimaryStatus) -> dict[str, JSON]:
    """What is worth keeping, without what is as it was at the start."""
    data: dict[str, JSON] = {
        name: getattr(known, name)
        for name in _KEPT
        if getattr(known, name) != getattr(_UNKNOWN, name)
    }
    if known.ixfr is not IxfrState.UNKNOWN:
        data["ixfr"] = known.ixfr.value
    for name in ("error", "ixfr_error"):
        report = getattr(known, name)
        if report is not None:
            data[name] = attrs.asdict(report)
    data["address"] = known.address
    return data


def from_data(peer: Peer, data: Mapping[str, JSON], wall: float) -> PrimaryStatus:
    """What `to_data` made; what is not fit is as unknown, and so is all of another address. Times
    that lie in the future, as after a jump of the clock, are now."""
    if data.get("address") != peer.endpoint:
        return PrimaryStatus(peer=peer.name, address=peer.endpoint)
    changes: dict[str, Any] = {}
    for name in ("serial", "diverged", "ixfr_broken", "notified_serial"):
        value = data.get(name)
        if _whole(value) and 0 <= value < 1 << 32:  # type: ignore[operator]
            changes[name] = value
    for name in ("failures", "ixfr_timeouts"):
        value = data.get(name)
        if _whole(value) and value >= 0:  # type: ignore[operator]
            changes[name] = value
    for name in ("checked_at", "transferred_at", "notified_at"):
        value = data.get(name)
        if isinstance(value, (int, float)):
            changes[name] = min(float(value), wall)
    rtt = data.get("rtt")
    if isinstance(rtt, (int, float)) and rtt >= 0:
        changes["rtt"] = float(rtt)
    for name in ("behind", "diverged_here"):
        changes[name] = data.get(name) is True
    state = data.get("ixfr")
    if isinstance(state, str) and state in _STATES:
        changes["ixfr"] = _STATES[state]
    for name in ("error", "ixfr_error"):
        changes[name] = _report(data.get(name), wall)
    return PrimaryStatus(peer=peer.name, address=peer.endpoint, **changes)


def _whole(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _report(data: JSON, wall: float) -> FailureReport | None:
    if data is None or not isinstance(data, Mapping):
        return None
    failure, sentence, at = data.get("failure"), data.get("sentence"), data.get("at")
    hint = data.get("hint", "")
    if not (
        isinstance(failure, str)
        and isinstance(sentence, str)
        and isinstance(at, (int, float))
        and isinstance(hint, str)
    ):
        return None
    return FailureReport(failure, sentence, min(float(at), wall), hint)


_UNKNOWN = PrimaryStatus(peer="", address="")
_STATES = {kind.value: kind for kind in IxfrState}
