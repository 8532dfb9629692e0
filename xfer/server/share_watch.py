"""Looks at a zone's other signers in the background (RFC 8901 §6).

A ZSK of ours signs once all of the other signers publish it; where their servers are known
(`other_signers`), a rollover waits for nobody's word. One that publishes no more what our answers
are signed by, or signs by what we do not publish, is told of at once: validators that ask both of
us fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import agreement, migration
from xfer.dnssec.elsewhere import Sides
from xfer.dnssec.keystate import ZoneKeys
from xfer.dnssec.lifecycle import SIGNED
from xfer.dnssec.timing import Facts
from xfer.errors import XferError
from xfer.server.elsewhere import Elsewhere
from xfer.server.signed import Signing
from xfer.server.status import Refused
from xfer.server.zones import Zone
from xfer.wire.records import DNSKEY, split
from xfer.zone.snapshot import APEX

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
        """Ask the other signers where it is time; when it is again."""
        if not _with_others(keys) or not zone.config.other_signers:
            signing.others = ()
            return None
        last = signing.shares_asked_at
        if last is not None and last <= now < last + policy.parent_check:
            return last + policy.parent_check
        signing.shares_asked_at = now
        self.nursery.start_soon(self._ask, zone)
        return now + policy.parent_check

    async def _ask(self, zone: Zone) -> None:
        try:
            await self._hear_all(zone)
        except Exception as error:  # a mistake of ours with one zone must not end the others
            log.error("internal error", zone=zone.name, error=str(error), exc_info=error)

    async def _hear_all(self, zone: Zone) -> None:
        sides = await self.elsewhere.ask(zone.origin, zone.config.other_signers, ())
        await self.heard(zone, sides)
        signing = zone.signing
        waiting = migration.unshared(signing.keys) if signing is not None and signing.keys else ()
        there = tuple(key for key in waiting if not agreement.keys_there(sides, [key]))
        if there:
            told = " and ".join(key.ident for key in there)
            log.info("signers", zone=zone.name, says=f"all of the others publish {told}")
            await self._take(zone, [key.ident for key in there])

    async def heard(self, zone: Zone, sides: Sides) -> None:
        """Take into account what the other signers say, and tell of what has gone wrong there."""
        signing = zone.signing
        if signing is None or signing.keys is None or not _with_others(signing.keys):
            return
        keys = signing.keys
        dropped = agreement.dropped(sides, [key for key in keys.keys if key.shared is not None])
        ttl = agreement.dnskey_ttl(sides)
        if migration.heard(keys, ttl, dropped) != keys:
            await self._change(zone, lambda keys, *_: migration.heard(keys, ttl, dropped))
        self._tell(zone, signing, sides)

    def _tell(self, zone: Zone, signing: Signing, sides: Sides) -> None:
        """What breaks answers where both are asked for the zone, in words."""
        keys = signing.keys
        if keys is None or keys.joining:  # nobody is sent to our servers yet
            signing.others = ()
            return
        heard = Sides(tuple(said for said in sides.signers if not said.error))
        if not heard.signers:
            return
        signs = [key for key in keys.keys if key.ident in keys.signers]
        served = zone.snapshot.rrset(APEX, DNSKEY) if zone.snapshot is not None else ()
        published = [split(record)[4] for record in served]
        amiss = agreement.keys_there(heard, signs)
        amiss += agreement.keys_here(heard, published, [key.public for key in keys.keys])
        amiss += agreement.signed(heard, self.clock.wall())
        if keys.delegated_at is not None and signing.ds is not None:
            there = signing.ds.rdata
            amiss += agreement.chained(heard, zone.origin, there, self.clock.wall())
        said = tuple(dict.fromkeys(amiss))
        for one in said:
            if one not in signing.others:
                log.warning("another signer", zone=zone.name, says=one)
        signing.others = said

    async def _take(self, zone: Zone, idents: list[str]) -> None:
        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            for ident in idents:
                if keys.key(ident) is not None:
                    keys = migration.share(keys, ident, now)
            return keys

        await self._change(zone, change)

    async def _change(self, zone: Zone, change: Change) -> None:
        try:
            await self.change(zone, change)
        except (XferError, Refused) as error:  # the zone has gone, or ended its signing
            log.info("signers", zone=zone.name, says=str(error))


def _with_others(keys: ZoneKeys) -> bool:
    """Whether other signers' servers are asked for the zone, or are to be."""
    return keys.multi_signer and keys.moved_at is None and keys.state in SIGNED
