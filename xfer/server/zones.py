"""The zones as they run: what is served, what is known of primaries and secondaries.

Only the event loop touches these values. What is served is one immutable snapshot per zone, and
publishing replaces it in one assignment. Times inside are monotonic; wall times are for people.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import trio

from xfer.answer.denial import Denial
from xfer.answer.fast import Service
from xfer.answer.kept import Lease
from xfer.answer.online import OnlineDenial
from xfer.answer.respond import Responder
from xfer.config import Role, ZoneConfig
from xfer.journal import Version
from xfer.journal.versions import PUBLISHED, RECEIVED
from xfer.peers import Peer
from xfer.server import timers
from xfer.server.hints import Hint
from xfer.server.pull import PullProgress
from xfer.server.signed import CameSigned, Signing
from xfer.server.status import (
    FailureReport,
    Held,
    Phase,
    PrimaryStatus,
    SecondaryStatus,
    ZoneState,
    has,
)
from xfer.server.stored import Stored
from xfer.server.timers import Timers
from xfer.wire.records import soa_fields
from xfer.wire.serial import newer
from xfer.zone.check import Finding
from xfer.zone.snapshot import Snapshot

if TYPE_CHECKING:
    from xfer.dnssec.online import OnlineSigner

RAISED = "raised"  # kind of a version that has a primary's content under a serial of our own


def denial_of(snapshot: Snapshot, previous: Denial | None, online: OnlineSigner | None) -> Denial:
    """The proofs of a version, with all steps taken; arguments as `Denial` and `Zone` have them."""
    if online is not None:
        return OnlineDenial(snapshot, online.sign, online.compact)
    return Denial.finished(snapshot, previous)


def _nobody(_: object) -> None:
    """Nobody wants to know."""


def _another(zone: Zone, _: attrs.Attribute[Any], value: Any) -> Any:
    """What is served, or to whom, becomes another: nothing that was kept is good any more."""
    service, zone._service = zone._service, None
    if service is not None:
        service.lease.end()
    zone.changed(zone)
    return value


def _otherwise_signed(zone: Zone, _: attrs.Attribute[Any], value: Any) -> Any:
    """Proofs are signed by others: what was prepared is no good any more either."""
    zone._responder = None
    return _another(zone, _, value)


def _expiring(zone: Zone, _: attrs.Attribute[Any], value: float | None) -> float | None:
    """What was kept is good until then."""
    if zone._service is not None:
        zone._service.lease.until = math.inf if value is None else value
    zone.changed(zone)
    return value


@attrs.frozen
class Content:
    """A version that came, of a zone that publishes another one made of it."""

    snapshot: Snapshot
    version: Version


@attrs.define(eq=False)
class Zone:
    """One configured zone.

    snapshot, version: what is served, None before the first; signing: where it is signed here, what
    is known of that, and then received: what came, of which the served version is made;
    came_signed: where it is not, when the signatures end that came with what is served; online:
    where proofs for the served version are signed as they are asked for, who does; loading: it is
    still being read;
    expires: monotonic time at which a secondary zone stops being served, None for never;
    stored: what the journal has of its state, None where it has none;
    armed: when its expiry is looked at next; paid: how many tokens what is due has got;
    held: its primaries are not followed; damaged: newer versions that the journal could not give;
    lacking: root of the last version from which the checks
    dropped records that an IXFR may not bring again (`xfer.server.dropped`); busy: a check or
    transfer runs; hint: a NOTIFY that came meanwhile; pursued: the NOTIFY last followed up,
    hinted_at: when; rung: how often it was tried again, -1 where it need not be;
    changed: called before another version, expiry or config of it is used.
    """

    config: ZoneConfig = attrs.field(on_setattr=_another)
    snapshot: Snapshot | None = attrs.field(default=None, on_setattr=_another)
    version: Version | None = None
    online: OnlineSigner | None = attrs.field(default=None, on_setattr=_otherwise_signed)
    signing: Signing | None = None
    came_signed: CameSigned | None = None
    received: Content | None = None
    loading: bool = False
    expires: float | None = attrs.field(default=None, on_setattr=_expiring)
    expired: bool = False
    checked_at: float | None = None
    stored: Stored | None = None
    failures: int = 0
    error: FailureReport | None = None
    findings: tuple[Finding, ...] = ()
    held: Held | None = None
    damaged: tuple[str, ...] = ()
    lacking: str = ""
    due: float | None = None
    next_action: str = ""
    armed: float | None = None
    paid: int = 0
    busy: bool = False
    again: bool = False
    hint: Hint | None = None
    pursued: Hint | None = None
    rung: int = -1
    hinted_at: float = float("-inf")
    notifies: int = 0
    removed: bool = attrs.field(default=False, on_setattr=_another)
    phase: Phase = Phase.QUEUED
    transfer_from: Peer | None = None
    transfer_kind: str = ""
    transfer_started: float = 0.0
    progress: PullProgress | None = None
    primaries: dict[str, PrimaryStatus] = attrs.Factory(dict)
    secondaries: dict[str, SecondaryStatus] = attrs.Factory(dict)
    changed: Callable[[Zone], None] = _nobody
    _responder: Responder | None = None
    _service: Service | None = None
    _timers: Timers | None = None  # of `_timed`, with that REFRESH of the zone's own
    _timed: Snapshot | None = None
    _refresh: int | None = None
    _idle: trio.Event | None = None  # made by who waits: a hundred thousand idle ones cost memory

    async def until_idle(self) -> None:
        """Wait until it is loaded, and no check, transfer or edit of it runs."""
        while self.busy or self.loading:
            if self._idle is None:
                self._idle = trio.Event()
            await self._idle.wait()

    def rest(self) -> None:
        """It is loaded, or what kept it busy has ended: who waits for that may go on."""
        if self._idle is not None:
            self._idle.set()
            self._idle = None

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
    def content(self) -> Snapshot | None:
        """What came, from primaries or an editor: what is served, unless it is signed here."""
        if self.signing is None:
            return self.snapshot
        return self.received.snapshot if self.received is not None else None

    @property
    def content_version(self) -> Version | None:
        """The version of `content`."""
        if self.signing is None:
            return self.version
        return self.received.version if self.received is not None else None

    @property
    def content_serial(self) -> int | None:
        content = self.content
        return content.serial if content is not None else None

    def served_as(self) -> str:
        """What became of content that has just come: "is served", where it is signed here "is
        served as serial 7", or why it is not."""
        if self.signing is None:
            return "is served"
        if self.signing.error:
            return f"came and is not served yet: {self.signing.error}"
        return f"is served as serial {self.serial}"

    @property
    def content_chain(self) -> str:
        """The chain in the journal to which `content_version` belongs."""
        return PUBLISHED if self.signing is None else RECEIVED

    @property
    def secondary(self) -> bool:
        """Whether its content comes from primaries."""
        return self.config.role is Role.SECONDARY

    @property
    def made_here(self) -> bool:
        """Whether a secondary zone serves what no primary gave as it is: a rollback, what it had as
        a primary zone, or a primary's content under a higher serial. Its serial says nothing about
        theirs then, even where it is the same."""
        version = self.content_version
        return self.secondary and version is not None and version.kind not in ("axfr", "ixfr")

    @property
    def raised(self) -> bool:
        """Whether it serves a primary's content under a serial of our own."""
        version = self.content_version
        return self.secondary and version is not None and version.kind == RAISED

    @property
    def complete(self) -> bool:
        """Whether what came has all that changes of it may go on from."""
        content = self.content
        return not self.lacking or content is None or content.root.hex() != self.lacking

    def serving(self, now: float) -> Snapshot | None:
        """What may be answered from; None where there is nothing, or it has expired."""
        if self.expires is not None and now >= self.expires:
            return None
        return self.snapshot

    def holding(self, now: float) -> Snapshot | None:
        """What came, None where there is nothing, or it has expired."""
        if self.expires is not None and now >= self.expires:
            return None
        return self.content

    def responder(self, snapshot: Snapshot) -> Responder:
        """Answers from what it serves; made when somebody asks first."""
        responder = self._responder
        if responder is None or responder.snapshot is not snapshot:
            responder = Responder(snapshot, denial_of(snapshot, self.denial, self.online))
            self._responder = responder
        return responder

    @property
    def denial(self) -> Denial | None:
        """Of the version that was answered from last, for the next one to share."""
        return self._responder.denial if self._responder is not None else None

    def prepared(self, responder: Responder | None) -> None:
        """What is served now has been made ready to be answered from; None where it has not."""
        if responder is not None:
            self._responder = responder

    def service(self) -> Service | None:
        """What answers plain queries, until its lease ends; None without a version."""
        service, snapshot = self._service, self.snapshot
        if service is None and snapshot is not None and not self.removed:
            lease = Lease(math.inf if self.expires is None else self.expires)
            service = Service(self.responder(snapshot), lease, not self.config.allow_query)
            self._service = service
        return service

    def expires_in(self, now: float) -> int | None:
        """Seconds left, for the EXPIRE option; None without a version (RFC 7314 §4): of a primary
        zone, always the SOA's EXPIRE."""
        if self.expires is None:
            return soa_fields(self.snapshot.soa)[5] if self.snapshot is not None else None
        return max(0, int(self.expires - now))

    def keep_alive(self, now: float, option: int | None, transferred: bool) -> None:
        """A check succeeded: when the zone expires now (RFC 1035 §3.3.13, RFC 7314 §4).

        option: the primary's EXPIRE option in seconds; transferred: a new version came.
        """
        if self.content is None:
            return
        own = self.timers()
        assert own is not None
        if transferred or self.expires is None or option is None:
            left: float = own.lifetime(option)
        else:
            left = min(max(self.expires - now, option), own.lifetime(None))
        self.expires = now + left
        self.expired = False

    def timers(self) -> Timers | None:
        """The timers of what came; None before the first version."""
        snapshot, wanted = self.content, self.config.refresh
        if snapshot is None:
            return None
        if self._timed is not snapshot or self._refresh != wanted:
            self._timers = Timers.of(snapshot.soa, wanted)
            self._timed, self._refresh = snapshot, wanted
        return self._timers

    def left(self, now: float) -> float | None:
        """Seconds until it expires, at most 0 once it has; None for never."""
        return None if self.expires is None else self.expires - now

    def warnings(self) -> tuple[str, ...]:
        """What the checks said of the version, and what in its timers is not kept to."""
        said = tuple(map(str, self.findings))
        if self.snapshot is None or not self.secondary:
            return said
        return said + timers.warnings(self.snapshot.soa)

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
        if self.secondary and (self.checked_at is None or self._outdated()):
            return ZoneState.STALE
        return ZoneState.CURRENT

    def _outdated(self) -> bool:
        """Whether a primary is known to have more than came, and would be followed, or none gave
        what is served."""
        serial = self.content_serial
        if serial is None or self.held is not None:
            return False
        if self.made_here:
            return True
        told = (self.primary(peer).serial for peer in self.config.primaries)
        return any(other is not None and newer(other, serial) for other in told)

    def content_serials(self) -> list[int | None]:
        """Serials that one for new content should follow besides that of `content`: what
        secondaries know of, where they get the content as it is."""
        return [] if self.signing is not None else self.known_serials()

    def known_serials(self) -> list[int | None]:
        """Serials that secondaries have, or were told of last.

        Not those they once had: two of these may lie further apart than 2^31, where RFC 1982 takes
        the older one for the newer.
        """
        return [
            serial
            for item in self.secondaries.values()
            for serial in (item.delivered_serial, has(item))
        ]

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
    """Seconds until a version just transferred expires: SOA EXPIRE as `Timers` has it, or less by
    the primary's EXPIRE option (RFC 7314 §4)."""
    return Timers.of(snapshot.soa).lifetime(option)
