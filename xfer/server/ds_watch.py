"""Looks at the parent for the DS of zones that are signed here, in the background."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import looks
from xfer.dnssec.keystate import ZoneKeys
from xfer.dnssec.parent import ParentSaid, ds_text
from xfer.server.parent import ParentWatch
from xfer.server.signed import Signing
from xfer.server.zones import Zone

log = structlog.get_logger()


@attrs.define(eq=False)
class DsWatch:
    """look_soon: has keys move on what was seen."""

    parents: ParentWatch
    nursery: trio.Nursery
    clock: Clock
    look_soon: Callable[[Zone], None]

    def look(
        self, zone: Zone, signing: Signing, keys: ZoneKeys, policy: DnssecPolicy, now: float
    ) -> float | None:
        """Ask the parent for the DS where it is time; when it is time again."""
        if signing.asking:
            return None
        settled = signing.said is None or signing.said.seen is not None
        when = looks.next_look(keys, policy, signing.asked_at, settled, now)
        if when is None or when > now:
            return when
        signing.asking = True
        self.nursery.start_soon(self._ask, zone, signing, policy)
        return None

    async def ask(self, zone: Zone, signing: Signing, policy: DnssecPolicy) -> None:
        """Ask the parent for the DS now, where anybody is known to ask."""
        if policy.parent:
            signing.asking = True
            await self._ask(zone, signing, policy)

    async def _ask(self, zone: Zone, signing: Signing, policy: DnssecPolicy) -> None:
        try:
            said = await self.parents.ask(zone.origin, policy)
        except Exception as error:  # a mistake of ours with one zone must not end the others
            log.error("internal error", zone=zone.name, error=str(error), exc_info=error)
            said = ParentSaid(None, f"{type(error).__name__}: {error}")
        before = signing.said
        signing.asking, signing.asked_at, signing.said = False, self.clock.wall(), said
        if said.seen is not None:
            signing.ds = said.seen
        if before is None or (before.why, before.seen and before.seen.rdata) != (
            said.why,
            said.seen and said.seen.rdata,
        ):
            told = said.why or ds_text(said.seen.rdata if said.seen is not None else frozenset())
            log.info("parent", zone=zone.name, says=told)
        self.look_soon(zone)
