"""The secondaries of all zones: telling them, seeing what they have, remembering both.

Core ── new version, start, reload, transfers out ──→ Downstream ─┬→ Notifier
                                                                  └→ Prober
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.config import Limits
from xfer.errors import JournalError
from xfer.journal import PeerState
from xfer.peers import Peer
from xfer.server import secondaries
from xfer.server.alarms import Alarms
from xfer.server.notify import Notifier
from xfer.server.probe import Prober
from xfer.server.settings import notify_policy, probe_policy
from xfer.server.zones import Zone
from xfer.wire.serial import newer

log = structlog.get_logger()


class SavesPeers(Protocol):
    """Stores what is known of peers (`xfer.journal.GroupCommitter`)."""

    def save_peer(self, state: PeerState) -> None: ...


def _nobody(_: Zone) -> None:
    """Nobody wants to know."""


class Downstream:
    """Everything towards the secondaries but the transfers themselves.

    on_seen: called when more is known of a zone's secondaries.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        clock: Clock,
        rng: random.Random,
        limits: Limits,
        saves: SavesPeers,
    ) -> None:
        self._clock = clock
        self._saves = saves
        self.on_seen: Callable[[Zone], None] = _nobody
        alarms = Alarms(nursery, clock)
        self.prober = Prober(nursery, clock, rng, probe_policy(limits), alarms, self._save)
        self.notifier = Notifier(
            nursery, clock, rng, notify_policy(limits), alarms, self._save, self.prober.look
        )

    def apply(self, limits: Limits) -> None:
        """New limits, of a reload."""
        self.notifier.policy = notify_policy(limits)
        self.prober.policy = probe_policy(limits)

    def loaded(self, zone: Zone, states: Iterable[PeerState]) -> None:
        """The zone has been read: go on with what a restart has cut off.

        states: what the journal knows of the zone's peers.
        """
        secondaries.restore(zone, states)
        self.changed(zone)

    def changed(self, zone: Zone) -> None:
        """The zone's config is another: whoever is new in it is told (REQUIREMENTS A14)."""
        self.notifier.resume(zone)
        for peer in zone.config.secondaries:
            status = zone.secondaries.get(peer.name)
            if status is not None and status.pending is None and status.seen_serial != zone.serial:
                self.prober.look(zone, peer)

    def removed(self, zone: Zone) -> None:
        """The zone has left the config."""
        self.notifier.forget(zone)
        self.prober.forget(zone)

    def asked(self, zone: Zone, client: str) -> None:
        """A client has asked for a transfer, and may have it. client: the name of the peer."""
        peer = _secondary(zone, client)
        if peer is not None:
            zone.secondaries[client] = attrs.evolve(
                zone.secondary_status(peer), asked_at=self._clock.wall()
            )

    def fetched(
        self, zone: Zone, client: str, kind: str, serial_from: int | None, serial_to: int
    ) -> None:
        """A client has got a transfer. kind: "axfr", "ixfr", "soa" for the SOA alone.

        serial_from: what an IXFR's client said it has; serial_to: the version it was sent.
        """
        peer = _secondary(zone, client)
        if peer is None:
            return
        wall = self._clock.wall()
        status = zone.secondary_status(peer)
        status = attrs.evolve(status, asked_at=status.asked_at or wall)
        current = serial_from is not None and not newer(serial_to, serial_from)
        if kind != "soa" or current:  # else the SOA over UDP says: ask again over TCP
            status = attrs.evolve(
                status,
                fetched_serial=serial_to,
                fetched_at=wall,
                fetched_kind=kind,
                fetched_from=serial_from,
            )
        if kind == "soa" and current:
            status = attrs.evolve(status, seen_serial=serial_from, seen_at=wall)
        zone.secondaries[client] = status
        if status.fetched_serial == zone.serial:
            self.notifier.fetched(zone, peer)
        if kind != "soa":
            self.prober.look(zone, peer, anew=kind == "axfr")
        self._save(zone, peer)

    def _save(self, zone: Zone, peer: Peer) -> None:
        if zone.removed:
            return
        self.on_seen(zone)
        try:
            self._saves.save_peer(secondaries.to_state(zone.origin, zone.secondary_status(peer)))
        except JournalError as error:  # it closes: what is lost costs a NOTIFY after the restart
            log.debug("secondary not saved", zone=zone.name, peer=str(peer), error=str(error))


def _secondary(zone: Zone, name: str) -> Peer | None:
    for peer in zone.config.secondaries:
        if peer.name == name:
            return peer
    return None
