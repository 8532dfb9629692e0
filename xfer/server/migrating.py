"""Orders of a migration between two signers of a zone: asking everybody, then the next step.

The way is that of `xfer.dnssec.migration`. Before anything is done, the other signer's servers and
the parent's are asked what they publish (`xfer.server.elsewhere`), and a step counts only where all
of them say what it needs (`xfer.dnssec.agreement`). The keys of the other signer that we publish
come from the operator or in the zone's content, never from these answers, which nobody has signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import structlog

from xfer.clock import Clock
from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import agreement, commands, lifecycle, migration, observing
from xfer.dnssec.ds import dnskey_from_text
from xfer.dnssec.elsewhere import Sides
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import ZoneKeys
from xfer.dnssec.parent import ds_text
from xfer.dnssec.stages import ORDER, Next, Stage
from xfer.dnssec.timing import FOREVER, Facts
from xfer.errors import KeyRefused, StepRefused, WireError
from xfer.idn import absolute, wire_name
from xfer.server.dnssec_orders import DnssecOrders
from xfer.server.dnssec_status import DnssecOrder, MigrationStatus, Ordered
from xfer.server.elsewhere import Elsewhere
from xfer.server.migration_sides import (
    algorithms,
    all_there,
    alone,
    direction,
    lacking,
    refuse,
    served_ns,
    servers_amiss,
    told,
    zone_signers,
)
from xfer.server.signing import Change, Signers
from xfer.server.signing_terms import policy_of
from xfer.server.status import Refused
from xfer.server.zones import Zone
from xfer.wire import names

log = structlog.get_logger()

MOST_RECORDS = 100  # DNSKEYs in one order


@attrs.define(eq=False)
class Migrations:
    """What operators may ask of zones that have several signers, or change theirs."""

    signers: Signers
    orders: DnssecOrders
    elsewhere: Elsewhere
    clock: Clock

    async def status(self, zone: Zone) -> MigrationStatus:
        """Where the zone is between signers, after asking both sides and the parent."""
        sides = await self._look(zone)
        keys = _keys(zone)
        found: list[Next] = []

        def look(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            found.append(migration.stage(keys, policy, now, facts))
            return keys

        await self.signers.try_change(zone, look)
        at = found[0].at
        return MigrationStatus(
            zone.name,
            found[0].stage.value,
            found[0].says,
            None if at == FOREVER else at,
            direction(keys),
            tuple(told(zone, keys, sides)),
            tuple(lacking(zone, keys, sides, found[0].stage, self.clock.wall())),
        )

    async def join(self, zone: Zone, order: Ordered) -> DnssecOrder:
        """Begin to sign a zone that another signer serves."""
        sides = await self._look(zone)
        first = "set `algorithm` in the zone's [dnssec_policy] to theirs"
        refuse("join the zone's signer", algorithms(zone, sides), first)
        await self.signers.join(zone, dry_run=order.dry_run)
        return await self._ordered(zone, order, "join the zone's signer")

    async def next(
        self, zone: Zone, order: Ordered, step: str = "", servers: Sequence[str] = ()
    ) -> DnssecOrder:
        """Take the next step. step: the one that is meant, "" for whichever is next; servers: names
        of those that were added to the zone's NS RRset, or taken from it.

        Raises StepRefused where that is too early, with the reason.
        """
        named = _names(servers)
        sides = await self._look(zone)
        did: list[str] = []

        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            found = migration.stage(keys, policy, now, facts)
            wanted = Stage(step) if step else found.stage
            if wanted is not Stage.SERVERS_MOVED or not migration.may_move(keys):
                _in_turn(found, step, now)
            changed = self._take(zone, keys, policy, now, facts, wanted, sides, named)
            did[:] = [_DID[wanted]]
            return changed

        await self.signers.try_change(zone, change)
        if not order.dry_run:
            await self.signers.change(zone, change)
        stake = alone(sides) if did[0] == _DID[Stage.SERVERS_MOVED] else ()
        return await self._ordered(zone, order, did[0], stake)

    async def leave(self, zone: Zone, order: Ordered, servers: Sequence[str]) -> DnssecOrder:
        """We are the signer that goes: `servers` are ours, and have left the zone's NS RRset."""
        named = _names(servers)
        sides = await self._look(zone)
        step = "leave the zone to its other signer"

        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            if keys.leaving:
                says = migration.stage(keys, policy, now, facts).says
                raise StepRefused(step, "that is under way", says)
            ttl = agreement.delegation_ttl(sides, served_ns(zone))
            changed = migration.servers_moved(keys, policy, now, facts, ttl, leaving=True)
            all_there(zone, keys, sides, now, step)
            refuse(step, servers_amiss(sides, zone, named, there=False))
            return changed

        await self.signers.try_change(zone, change)
        if not order.dry_run:
            await self.signers.change(zone, change)
        return await self._ordered(zone, order, step, alone(sides))

    async def add_foreign(self, zone: Zone, order: Ordered, text: str) -> DnssecOrder:
        """Publish DNSKEYs of another signer, lines of a zone file. Raises KeyRefused."""
        keys = dnskeys_of(zone, text)

        def change(state: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            for one in keys:
                state = migration.add_foreign(state, one, now, policy)
            return state

        return await self._do(zone, order, f"publish {_listed(keys)}", change)

    async def remove_foreign(self, zone: Zone, order: Ordered, named: str) -> DnssecOrder:
        """Take out a DNSKEY of another signer, by its ident or tag."""
        given = _keys(zone).foreign
        found = [
            key.public for key in given if named in (ident_of(key.public), ident_of(key.public)[4:])
        ]
        if len(found) != 1:
            known = _listed(key.public for key in given) or "none"
            raise StepRefused(
                f"take out {named[:40]}", f"we were given {known} of other signers' DNSKEYs"
            )

        sides = await self._look(zone)

        def change(state: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            if state.delegated_at is not None and state.moved_at is None:
                refuse(f"take out {_listed(found)}", agreement.publishing(sides, found[0]))
            return migration.remove_foreign(state, found[0], policy, now, facts)

        return await self._do(zone, order, f"take out {_listed(found)}", change)

    # -- inside

    async def _do(self, zone: Zone, order: Ordered, did: str, change: Change) -> DnssecOrder:
        await self.signers.try_change(zone, change)
        if not order.dry_run:
            await self.signers.change(zone, change)
        return await self._ordered(zone, order, did)

    async def _ordered(
        self, zone: Zone, order: Ordered, did: str, stake: Sequence[str] = ()
    ) -> DnssecOrder:
        if not order.dry_run:
            log.info("dnssec order", zone=zone.name, order=did, by=order.by)
        return DnssecOrder(zone.name, did, order.dry_run, self.orders.status(zone), tuple(stake))

    async def _look(self, zone: Zone) -> Sides:
        """Ask everybody; what the parent has as DS goes into the zone's state."""
        if zone.signing is None:
            raise Refused(
                f'{zone.name} is not signed here: write dnssec = "live-signed" in its config'
            )
        await self.signers.ask_parent(zone)
        sides = await self.elsewhere.ask(
            zone.origin, zone.config.other_signers, policy_of(zone).parent
        )
        await self.signers.shares.heard(zone, sides)
        return sides

    def _take(
        self,
        zone: Zone,
        keys: ZoneKeys,
        policy: DnssecPolicy,
        now: float,
        facts: Facts,
        wanted: Stage,
        sides: Sides,
        named: Sequence[bytes],
    ) -> ZoneKeys:
        """The state after that step. Raises StepRefused."""
        step = _DID[wanted]
        if wanted is Stage.KEYS_THERE:
            refuse(step, algorithms(zone, sides))
            refuse(step, agreement.keys_there(sides, zone_signers(keys)), "`xfer dnssec zsk`")
            for key in zone_signers(keys):
                keys = migration.share(keys, key.ident, now)
            return keys
        ttl = agreement.delegation_ttl(sides, served_ns(zone))
        if wanted is Stage.SERVERS_ADDED:
            all_there(zone, keys, sides, now, step)
            refuse(step, servers_amiss(sides, zone, named, there=True))
            return migration.servers_added(keys, policy, now, facts, ttl)
        if wanted is Stage.SERVERS_MOVED:
            # Whatever the other signer lacks, or does not say, leaving it makes that no worse.
            refuse(step, servers_amiss(sides, zone, named, there=False, silent=True))
            return migration.servers_moved(keys, policy, now, facts, ttl, leaving=False)
        if wanted is Stage.DS_TAKEN and keys.leaving and keys.state in lifecycle.SIGNED:
            return migration.leave(keys, policy, now, facts)
        if wanted is Stage.KEYS_TAKEN and keys.leaving:
            refuse(step, agreement.keys_gone_there(sides, keys.keys))
            if keys.state in lifecycle.SIGNED:  # our DS was taken without a word
                keys = commands.disable(keys)
            return commands.delete(keys, policy, now, facts)
        given_keys = [key for key in keys.foreign if key.public not in facts.foreign]
        if wanted is Stage.KEYS_TAKEN and given_keys:
            for given in given_keys:
                keys = migration.remove_foreign(keys, given.public, policy, now, facts)
            return keys
        # What is left is done by others, and seen as soon as it is.
        found = migration.stage(keys, policy, now, facts)
        raise StepRefused(step, "it is not seen yet", _how(keys, found, facts))


def _how(keys: ZoneKeys, found: Next, facts: Facts) -> str:
    if found.stage in (Stage.DS_ADDED, Stage.DS_TAKEN):
        told = "nobody has said, `parent` in the policy names whom to ask"
        if facts.ds is not None:
            told = ds_text(facts.ds.rdata)
        return f"{found.says} (the parent: {told})"
    if found.stage is Stage.KEYS_TAKEN and observing.strangers(keys, facts):
        return f"{found.says}: they come in its content"
    return found.says


def _in_turn(found: Next, step: str, now: float) -> None:
    """Refuse a step that is not the next one, or whose time has not come."""
    if step:
        wanted = Stage(step)
        if ORDER.index(found.stage) < ORDER.index(wanted):
            first = f"{found.stage.value} comes first: {found.says}"
            raise StepRefused(_DID[wanted], "it is too early", first, found.at)
        if found.stage is not wanted:
            raise StepRefused(_DID[wanted], "that is done already", found.says)
    if found.stage is Stage.DONE:
        raise StepRefused(_DID[Stage.DONE], found.says)
    if found.at is not None and found.at > now:
        at = None if found.at == FOREVER else found.at
        raise StepRefused(_DID[found.stage], "it is too early", found.says, at)


def _names(texts: Sequence[str]) -> tuple[bytes, ...]:
    try:
        return tuple(names.lower(wire_name(absolute(text))) for text in texts)
    except WireError as error:
        raise Refused(f"expected names of servers: {error}") from error


def dnskeys_of(zone: Zone, text: str) -> list[bytes]:
    """Rdata of the DNSKEYs in text: a record a line, as `xfer dnssec zsk`, BIND's .key files and
    `dig +nosplit +noall +answer` have it. Raises KeyRefused."""
    found = []
    for line in text.splitlines():
        words = line.split(";", 1)[0].split()
        if not words:
            continue
        kinds = [number for number, word in enumerate(words) if word.upper() == "DNSKEY"]
        if not kinds or kinds[0] == 0:
            raise KeyRefused("lines `OWNER [TTL] [IN] DNSKEY 256 3 13 …`", repr(line[:80]))
        if absolute(words[0]).lower() != absolute(zone.name).lower():
            raise KeyRefused(f"DNSKEYs of {zone.name}", f"one of {words[0][:80]}")
        found.append(dnskey_from_text(" ".join(words[kinds[0] + 1 :])).rdata)
    if not 0 < len(found) <= MOST_RECORDS:
        raise KeyRefused(f"1 to {MOST_RECORDS} DNSKEYs", str(len(found)))
    return found


def _listed(keys: Iterable[bytes]) -> str:
    return " and ".join(f"DNSKEY {ident_of(one)}" for one in keys)


def _keys(zone: Zone) -> ZoneKeys:
    signing = zone.signing
    if signing is None or signing.keys is None:
        why = signing.error if signing is not None else ""
        raise Refused(
            f"{zone.name} has no keys yet: {why or 'it is not signed here'}; `xfer dnssec migrate "
            f"{zone.name} join` begins where another signer serves it now"
        )
    return signing.keys


_DID = {
    Stage.KEYS_THERE: "take our keys as published by the other signer",
    Stage.KEYS_HERE: "take the other signer's keys as published here",
    Stage.DS_ADDED: "take the DS of both signers as there",
    Stage.SERVERS_ADDED: "take the new signer's servers as added",
    Stage.SERVERS_MOVED: "take the old signer's servers as gone",
    Stage.DS_TAKEN: "have the old signer's DS taken from the parent",
    Stage.KEYS_TAKEN: "take the old signer's keys out",
    Stage.DONE: "take a step of a migration",
}
