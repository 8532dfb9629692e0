"""Looks at a zone's other signers for our new keys, in the background (RFC 8901 §6).

A ZSK of ours signs once all of the other signers publish it; where their servers are known
(`other_signers`), a rollover waits for nobody's word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import agreement, migration
from xfer.dnssec.keystate import KeyState, ZoneKeys
from xfer.dnssec.timing import Facts
from xfer.errors import StepRefused
from xfer.server.elsewhere import Elsewhere
from xfer.server.signed import Signing
from xfer.server.status import Refused
from xfer.server.zones import Zone

log = structlog.get_logger()

Change = Callable[[ZoneKeys, DnssecPolicy, float, Facts], ZoneKeys]


@attrs.define(eq=False)
class ShareWatch:
    """change: changes what is kept of a zone's keys, and has them move on."""

    elsewhere: Elsewhere
    nursery: trio.Nursery
    clock: Clock
    change: Callable[[Zone, Change], Awaitable[None]]

    def look(
        self, zone: Zone, signing: Signing, keys: ZoneKeys, policy: DnssecPolicy, now: float
    ) -> float | None:
        """Ask the other signers where a key waits for them and it is time; when it is again."""
        waiting = migration.unshared(keys)
        if not waiting or not zone.config.other_signers:
            return None
        last = signing.shares_asked_at
        if last is not None and last <= now < last + policy.parent_check:
            return last + policy.parent_check
        signing.shares_asked_at = now
        self.nursery.start_soon(self._ask, zone, waiting)
        return now + policy.parent_check

    async def _ask(self, zone: Zone, waiting: tuple[KeyState, ...]) -> None:
        sides = await self.elsewhere.ask(zone.origin, zone.config.other_signers, ())
        there = tuple(key for key in waiting if not agreement.keys_there(sides, [key]))
        if there:
            told = " and ".join(key.ident for key in there)
            log.info("signers", zone=zone.name, says=f"all of the others publish {told}")
            await self._take(zone, [key.ident for key in there])

    async def _take(self, zone: Zone, idents: list[str]) -> None:
        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            for ident in idents:
                if keys.key(ident) is not None:
                    keys = migration.share(keys, ident, now)
            return keys

        try:
            await self.change(zone, change)
        except (StepRefused, Refused) as error:  # the zone has gone, or ended its signing
            log.info("signers", zone=zone.name, says=str(error))
