"""What a restart has to know of secondary zones, written where it has changed by enough.

    failures, their end           at once, each
    the expiry                    where it has moved back, or an eighth of what is left; and last
    a primary's serial, error, …  at once; its times and counts along with those

After a crash a zone may so expire somewhat early, but never late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import trio

from xfer.clock import Clock
from xfer.journal import GroupCommitter, PeerState, ZoneState
from xfer.server import primaries
from xfer.server.status import PrimaryStatus
from xfer.server.stored import Stored
from xfer.server.zones import Zone

LAST = 1.0  # seconds that an expiry has to have moved by to be worth a write at the end
AT_ONCE = 500  # zones at the end between two looks at the event loop


@attrs.define(eq=False)
class Saving:
    """Hands states to the committer; never waits for the journal."""

    committer: GroupCommitter
    clock: Clock

    def keep(self, zone: Zone, before: Mapping[str, PrimaryStatus]) -> None:
        """After a check. before: what was known of its primaries."""
        known = zone.stored
        if known is not None and known.lost != self.committer.lost:
            self._save(zone)
            self._keep_peers(zone, {})
            return
        failing = zone.failures > 0 or zone.error is not None
        if known is None or failing or known.failing or not self._outlasts(known, zone):
            self._save(zone)
        self._keep_peers(zone, before)

    def committed(self, zone: Zone, before: Mapping[str, PrimaryStatus]) -> None:
        """After a transfer: the commit of its version has stored the zone's state."""
        zone.stored = Stored(self._expire_at(zone), False, self.committer.lost)
        self.keep(zone, before)

    async def last(self, zones: Iterable[Zone]) -> None:
        """At the end: what has moved though not by enough."""
        for number, zone in enumerate(list(zones)):
            self.leave(zone)
            if number % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    def leave(self, zone: Zone) -> None:
        """The zone has left the config, or all end."""
        known = zone.stored
        if not zone.secondary or zone.expires is None or known is None:
            return
        expire_at = self._expire_at(zone)
        assert expire_at is not None
        if known.expire_at is None or abs(expire_at - known.expire_at) > LAST:
            self._save(zone)
            self._keep_peers(zone, {})

    def _outlasts(self, known: Stored, zone: Zone) -> bool:
        left = zone.left(self.clock.monotonic())
        if left is None:
            return known.outlasts(None, 0.0)
        return known.outlasts(self.clock.wall() + left, left)

    def _expire_at(self, zone: Zone) -> float | None:
        left = zone.left(self.clock.monotonic())
        return None if left is None else self.clock.wall() + left

    def _save(self, zone: Zone) -> None:
        error = zone.error
        expire_at = self._expire_at(zone)
        failing = zone.failures > 0 or error is not None
        zone.stored = Stored(expire_at, failing, self.committer.lost)
        self.committer.save(
            ZoneState(
                zone.origin,
                last_check_ok=zone.checked_at,
                expire_at=expire_at,
                last_attempt=self.clock.wall(),
                failures=zone.failures,
                error_class=error.failure if error is not None else "",
                error=error.sentence if error is not None else "",
            )
        )

    def _keep_peers(self, zone: Zone, before: Mapping[str, PrimaryStatus]) -> None:
        for name, known in zone.primaries.items():
            if primaries.worth_saving(before.get(name), known):
                self.committer.save_peer(
                    PeerState(zone.origin, name, "primary", primaries.to_data(known))
                )
