"""Zones as the journal has them: read at the start, and when a reload brings one.

At the start small ones are read many at a time, large ones one after the other, but a zone that
gets a NOTIFY meanwhile is read at once, beside the others (REQUIREMENTS C7). What was saved is
advice: wall times are clamped, since the clock may have jumped while nothing ran.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.dnssec.returned import without_ours
from xfer.errors import Failure, XferError
from xfer.journal import Journal, Mark, PeerState, Version
from xfer.journal import ZoneState as SavedState
from xfer.journal.reading import Readable
from xfer.journal.versions import PUBLISHED, RECEIVED
from xfer.server import digests, dropped, primaries, rollback
from xfer.server.downstream import Downstream
from xfer.server.executor import Executor
from xfer.server.readiness import responder_for
from xfer.server.signed import Signing
from xfer.server.status import FailureReport
from xfer.server.stored import Stored
from xfer.server.zones import Content, Zone, lifetime
from xfer.zone.snapshot import Snapshot

if TYPE_CHECKING:
    from xfer.dnssec.online import OnlineSigner

log = structlog.get_logger()

LOST = bytes(32)  # the root of no content: a version was made of something else
WITHOUT = 500  # zones without a version between two looks at the event loop
SMALL = 64 << 10  # octets of a version that is read together with others
TOGETHER = 128  # versions read at a time
TOGETHER_OCTETS = 2 << 20
ENDED = 16  # zones that have been read between two looks at the event loop
KNOWN_FAILURES = frozenset(kind.value for kind in Failure)


@attrs.define(eq=False)
class _Saved:
    """What the journal has, by origin; stored: the newest versions."""

    stored: dict[bytes, Version]
    states: dict[bytes, SavedState]
    peers: dict[bytes, list[PeerState]]
    marks: dict[bytes, list[Mark]]


class Signs(Protocol):
    """Knows which zones are signed here (`xfer.server.signing.Signers`)."""

    def known(self, zone: Zone, marks: Sequence[Mark]) -> Signing | None:
        """What is known of a zone's signing, by its marks, None where it is not signed here."""

    async def online(self, zone: Zone, signing: Signing) -> OnlineSigner | None:
        """Who signs proofs of what it has served, where that is done as they are asked for."""


@attrs.define(eq=False)
class Loading:
    """loaded: called with each zone as soon as it may be served and checked; signs: of zones that
    are signed here."""

    nursery: trio.Nursery
    journal: Journal
    executor: Executor
    clock: Clock
    downstream: Downstream
    loaded: Callable[[Zone], None]
    signs: Signs | None = None
    _saved: _Saved | None = None
    _reading: set[Zone] = attrs.Factory(set)
    _hurried: list[Zone] = attrs.Factory(list)

    async def all(self, zones: Iterable[Zone]) -> None:
        """Read what the journal has of every zone."""
        self._saved = saved = await self.executor.run(self._all_saved)
        for zone in self._hurried:
            self.hurry(zone)
        together: list[tuple[Zone, Version]] = []
        octets = 0
        for number, zone in enumerate(list(zones)):
            version = saved.stored.get(zone.origin)
            if version is None or version.size > SMALL or zone.config.signed_here:
                await self._one(zone, saved)
            elif zone.loading and zone not in self._reading:
                together.append((zone, version))
                octets += version.size
            if len(together) == TOGETHER or octets > TOGETHER_OCTETS:
                await self._several(together, saved)
                together, octets = [], 0
                # What has been read stays; to look through all of it for garbage, as often as it
                # grows by a quarter, would hold up the event loop for long.
                gc.freeze()
            if number % WITHOUT == 0:
                await trio.lowlevel.checkpoint()
        await self._several(together, saved)
        self._saved = None

    def hurry(self, zone: Zone) -> None:
        """Read that zone now, beside the one that is being read."""
        if self._saved is None:
            self._hurried.append(zone)
        elif zone.loading and zone not in self._reading:
            self.nursery.start_soon(self._one, zone, self._saved)

    async def added(self, zone: Zone) -> None:
        """A zone that a reload brought; it may have been served here before."""
        origin = zone.origin
        state, peers, marks, unknown = None, [], [], ""
        try:
            state = await self.executor.run(self.journal.state, origin)
            peers = await self.executor.run(self.journal.peer_states, origin)
            marks = await self.executor.run(self.journal.marks, origin)
        except XferError as error:
            log.error("zone state unreadable", zone=zone.name, error=str(error))
            unknown = str(error)
        await self._read(zone, state, peers, marks, unknown)

    def _all_saved(self) -> _Saved:
        """In a worker thread."""
        journal = self.journal
        peers: dict[bytes, list[PeerState]] = defaultdict(list)
        for peer in journal.peer_states():
            peers[peer.origin].append(peer)
        marks: dict[bytes, list[Mark]] = defaultdict(list)
        for mark in journal.marks():
            marks[mark.origin].append(mark)
        return _Saved(
            {version.origin: version for version in journal.latest_all()},
            {state.origin: state for state in journal.states()},
            peers,
            marks,
        )

    async def _one(self, zone: Zone, saved: _Saved) -> None:
        if not zone.loading or zone in self._reading:
            return
        origin = zone.origin
        state = saved.states.pop(origin, None)
        peers = saved.peers.pop(origin, [])
        if origin in saved.stored or zone.config.signed_here:
            await self._read(zone, state, peers, saved.marks.get(origin, []))
        else:
            self._know(zone, peers)
            self._end(zone)

    async def _several(self, some: list[tuple[Zone, Version]], saved: _Saved) -> None:
        """Small zones, by one call; each that cannot be read so, by itself."""
        some = [pair for pair in some if pair[0].loading and pair[0] not in self._reading]
        if not some:
            return
        found: Sequence[Snapshot | None] = [None] * len(some)
        try:
            versions = [version for _, version in some]
            found = await self.executor.run(self.journal.load_each, versions)
        except XferError as error:
            log.error("versions unreadable", error=str(error))
        for number, ((zone, version), snapshot) in enumerate(zip(some, found, strict=True)):
            if snapshot is None:
                await self._one(zone, saved)
            elif zone.loading and zone not in self._reading:  # not hurried meanwhile
                origin = zone.origin
                marks = saved.marks.get(origin, [])
                if self._signing(zone, marks) is not None:
                    await self._one(zone, saved)
                    continue
                zone.snapshot, zone.version = snapshot, version
                self._restore(zone, saved.states.pop(origin, None))
                _restore_marks(zone, marks)
                self._know(zone, saved.peers.pop(origin, []))
                self._end(zone)
            if number % ENDED == ENDED - 1:
                await trio.lowlevel.checkpoint()

    async def _read(
        self,
        zone: Zone,
        state: SavedState | None,
        peers: Sequence[PeerState],
        marks: list[Mark],
        unknown: str = "",
    ) -> None:
        """unknown: why its marks could not be read, "" where they could."""
        self._reading.add(zone)
        try:
            zone.signing = self._signing(zone, marks)
            if unknown and zone.signing is not None:
                zone.signing = Signing(damaged=unknown)  # it may have keys, and needs no others
            newest = await self._read_served(zone)
            self._restore(zone, state)
            if zone.signing is not None:
                await self._read_received(zone, zone.signing, newest)
            if zone.snapshot is None:
                self._restore(zone, state)  # of what came and was not signed yet
        finally:
            self._reading.discard(zone)
        if zone.content is not None:
            _restore_marks(zone, marks)
        self._know(zone, peers)
        self._end(zone)

    async def _read_served(self, zone: Zone) -> bool:
        """What it served; from then on it is served again. Whether that is the last version."""
        readable = await self._readable(zone, PUBLISHED)
        if readable is None:
            return not zone.damaged
        online = None
        if zone.signing is not None and self.signs is not None:
            online = await self.signs.online(zone, zone.signing)
        responder = await responder_for(zone, readable.snapshot, self.executor, online)
        zone.online = online
        zone.snapshot, zone.version = readable.snapshot, readable.version
        zone.prepared(responder)
        return not readable.damaged

    async def _read_received(self, zone: Zone, signing: Signing, newest: bool) -> None:
        """What had come, of a zone that is signed here; newest: what is served is the last one."""
        readable = await self._readable(zone, RECEIVED)
        came = Content(readable.snapshot, readable.version) if readable is not None else None
        served, version = zone.snapshot, zone.version
        back = readable is None or (
            bool(readable.damaged) and readable.snapshot.root != signing.made_of
        )
        if served is None or version is None:
            zone.received = came
        elif signing.fresh:
            # It was not signed until now: what it has served is what came, unless more came since.
            if came is None or came.version.id < version.id:
                came = Content(served, version)
            zone.received = came
        elif back and (came is None or came.version.id < version.id):
            # What is served was made of something newer, which is not to be taken back.
            if zone.secondary:
                zone.received = None  # its primaries have it
            elif newest and signing.keys is not None:
                content = await self.executor.run(without_ours, served, signing.keys)
                zone.received = Content(content, version)
            else:
                zone.received = came
        else:
            zone.received = came
        if not (newest or back or signing.fresh):
            signing.made_of = LOST  # it is of older content, and to be made again

    async def _readable(self, zone: Zone, chain: str) -> Readable | None:
        """The newest version of a chain that can be read; what cannot is told."""
        try:
            found = await self.executor.run(self.journal.latest_readable, zone.origin, chain)
        except XferError as error:
            log.error("version unreadable", zone=zone.name, error=str(error))
            zone.damaged += (str(error),)
            return None
        for damage in found.damaged if found is not None else ():
            log.error("version damaged", zone=zone.name, error=str(damage))
            zone.damaged += (str(damage),)
        return found

    def _signing(self, zone: Zone, marks: Sequence[Mark]) -> Signing | None:
        return self.signs.known(zone, marks) if self.signs is not None else None

    def _know(self, zone: Zone, peers: Sequence[PeerState]) -> None:
        """What was known of its peers."""
        if zone.removed:
            return
        saved = {state.peer: state for state in peers if state.role == "primary"}
        wall = self.clock.wall()
        for peer in zone.config.primaries if zone.secondary else ():
            if peer.name in saved:
                data = saved[peer.name].data
                zone.primaries[peer.name] = primaries.from_data(peer, data, wall)
        if zone.snapshot is not None:
            self.downstream.loaded(zone, peers)

    def _end(self, zone: Zone) -> None:
        zone.loading = False
        zone.rest()
        log.debug("loaded", zone=zone.name, serial_to=zone.serial)
        if not zone.removed:
            self.loaded(zone)

    def _restore(self, zone: Zone, saved: SavedState | None) -> None:
        """When a secondary zone expires, and what came of its last check."""
        snapshot, version = zone.snapshot, zone.version
        if snapshot is None:
            snapshot, version = zone.content, zone.content_version
        if not zone.secondary or snapshot is None or version is None:
            return
        wall = self.clock.wall()
        limit = lifetime(snapshot, None)
        expire_at = version.created + limit
        if saved is not None:
            failing = saved.failures > 0 or bool(saved.error_class)
            zone.stored = Stored(saved.expire_at, failing, 0)
            if saved.expire_at is not None:
                expire_at = saved.expire_at
            zone.failures = saved.failures
            if saved.error_class in KNOWN_FAILURES:
                at = min(saved.last_attempt or wall, wall)
                zone.error = FailureReport(saved.error_class, saved.error, at)
            if saved.last_check_ok is not None:
                zone.checked_at = min(saved.last_check_ok, wall)
        # Where it has expired, since when stays known.
        zone.expires = self.clock.monotonic() + min(expire_at - wall, float(limit))


def _restore_marks(zone: Zone, marks: list[Mark]) -> None:
    """What was stored with versions of the zone, and still holds for the one that it has."""
    rollback.restore(zone, marks)
    dropped.restore(zone, marks)
    digests.restore(zone, marks)
