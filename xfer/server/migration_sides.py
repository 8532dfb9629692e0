"""What the sides of a migration are seen to have, and what they lack of each other.

Sentences and values for `xfer.server.migrating`, out of what was asked (`xfer.server.elsewhere`)
and what is served here.
"""

from __future__ import annotations

from collections.abc import Sequence

from xfer.dnssec import agreement, ds
from xfer.dnssec.elsewhere import RrsetAnswer, Sides, SignerSaid
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import FOREIGN, KeyState, ZoneKeys, own
from xfer.dnssec.stages import ORDER, Stage
from xfer.errors import StepRefused
from xfer.server.dnssec_status import MigrationSide
from xfer.server.signing_terms import policy_of
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.wire.records import CDNSKEY, CDS, DNSKEY, NS, split
from xfer.zone.snapshot import APEX


def lacking(zone: Zone, keys: ZoneKeys, sides: Sides, stage: Stage, now: float) -> list[str]:
    """What the two sides lack of each other where that is known to matter."""
    if stage is Stage.DONE:
        return []
    if keys.moved_at is not None:
        return agreement.unanswered(sides) + _for_parent(zone, keys, Sides())
    together = ORDER.index(stage) >= ORDER.index(Stage.SERVERS_ADDED)
    found = agreement.keys_there(sides, zone_signers(keys)) + _keys_here(sides, zone, keys)
    found += _answers(zone, sides, now)
    if together or keys.delegated_at is not None:
        found += _chain(zone, keys, sides, now)
    found += agreement.name_servers(sides, served_ns(zone))
    if keys.joining:
        found += agreement.serials(sides, zone.serial)
    return list(dict.fromkeys(found))


def all_there(zone: Zone, keys: ZoneKeys, sides: Sides, now: float, step: str) -> None:
    """Refuse what leads validators to both signers while one lacks what the other needs.

    Raises StepRefused."""
    refuse(step, agreement.keys_there(sides, zone_signers(keys)), "`xfer dnssec zsk`")
    refuse(step, _keys_here(sides, zone, keys), "`xfer dnssec foreign add`")
    refuse(step, _answers(zone, sides, now) + _chain(zone, keys, sides, now))


def refuse(step: str, lacking: Sequence[str], first: str = "") -> None:
    """Refuse a step where something is lacking. Raises StepRefused."""
    if lacking:
        raise StepRefused(step, "; ".join(dict.fromkeys(lacking)), first)


def _answers(zone: Zone, sides: Sides, now: float) -> list[str]:
    return algorithms(zone, sides) + agreement.signed(sides, now)


def _chain(zone: Zone, keys: ZoneKeys, sides: Sides, now: float) -> list[str]:
    """What is amiss with the DS of the other signers, or would take ours from the parent."""
    found: list[str] = []
    seen = zone.signing.ds if zone.signing is not None else None
    if seen is not None:
        found += agreement.chained(sides, zone.origin, seen.rdata, now)
    return found + _for_parent(zone, keys, sides)


def _for_parent(zone: Zone, keys: ZoneKeys, sides: Sides) -> list[str]:
    """What a CDS, also one of the content that we serve, would take from the parent."""
    if not policy_of(zone).cds:
        return []
    ours = [key.public for key in keys.keys if key.ident in keys.wanted]
    here = SignerSaid("the zone here", cds=_served(zone, CDS), cdnskeys=_served(zone, CDNSKEY))
    return agreement.for_parent(Sides((*sides.signers, here)), zone.origin, ours)


def _keys_here(sides: Sides, zone: Zone, keys: ZoneKeys) -> list[str]:
    published = _served(zone, DNSKEY).rdata
    return agreement.keys_here(sides, published, [key.public for key in keys.keys])


def algorithms(zone: Zone, sides: Sides) -> list[str]:
    """Where another signer's algorithms are not ours, or, before we sign, the policy's."""
    signing = zone.signing
    keys = signing.keys.serving() if signing is not None and signing.keys is not None else ()
    wanted = {key.algorithm for key in keys} or {policy_of(zone).algorithm}
    return agreement.algorithms(sides, [key.public for key in keys], wanted)


def servers_amiss(
    sides: Sides, zone: Zone, named: Sequence[bytes], *, there: bool, silent: bool = False
) -> list[str]:
    """Where the servers of these names are not in the zone's NS yet (there), or still are."""
    if not named:
        what = "added" if there else "taken out"
        return [f"say which servers were {what}, by their names in NS (`--ns`)"]
    return agreement.servers(sides, served_ns(zone), named, there=there, silent=silent)


def told(zone: Zone, keys: ZoneKeys, sides: Sides) -> list[MigrationSide]:
    """What each server says, in words."""
    ours = {key.public: key.ident for key in keys.keys}
    found = []
    for said in sides.signers:
        has = said.dnskeys.rdata if said.dnskeys is not None else frozenset()
        mine = sorted(ours[one] for one in has if one in ours)
        theirs = sorted(ident_of(one) for one in has if one not in ours and len(one) > 4)
        found.append(
            MigrationSide(
                "signer",
                said.server,
                tuple(mine),
                tuple(theirs),
                _ns_text(said.ns),
                said.error,
                said.serial,
            )
        )
    there = _ds_there(zone, keys)
    for parent in sides.parent:
        known = there.get(parent.server, frozenset())
        present = own(known)
        others = {one.removeprefix(FOREIGN).partition(":")[0] for one in known - present}
        found.append(
            MigrationSide(
                "parent",
                parent.server,
                tuple(sorted(present)),
                tuple(sorted(others)),
                _ns_text(parent.ns),
                parent.error,
            )
        )
    return found


def _ds_there(zone: Zone, keys: ZoneKeys) -> dict[str, frozenset[str]]:
    """Idents of the DS that each of the parent's servers was last seen with."""
    said = zone.signing.said if zone.signing is not None else None
    return {
        one.server: ds.whose(keys, one.answer.rdata)
        for one in (said.servers if said is not None else ())
        if one.answer is not None
    }


def alone(sides: Sides) -> tuple[str, ...]:
    """What is at stake where one signer's servers have gone: that all of them are meant."""
    left = {names.lower(ns) for one in sides.parent if one.ns is not None for ns in one.ns.rdata}
    if not left:
        return ()
    listed = " and ".join(names.to_text(one) for one in sorted(left))
    return (
        f"validators are led to {listed} from now on: if one of these belongs to the signer that "
        "goes, its answers are bogus once its DS has gone",
    )


def _ns_text(answer: RrsetAnswer | None) -> tuple[str, ...]:
    return () if answer is None else tuple(sorted(names.to_text(one) for one in answer.rdata))


def direction(keys: ZoneKeys) -> str:
    """Which way the zone goes, as `MigrationStatus` has it."""
    if keys.leaving:
        return "leaving"
    if keys.joining:
        return "joining"
    if keys.moved_at is not None:
        return "staying"
    return "together" if keys.multi_signer else "alone"


def zone_signers(keys: ZoneKeys) -> tuple[KeyState, ...]:
    """Our keys that sign the zone, and are to stay."""
    return tuple(key for key in keys.serving() if key.role.signs_zone)


def served_ns(zone: Zone) -> RrsetAnswer:
    """The NS RRset that we serve."""
    return _served(zone, NS)


def _served(zone: Zone, rtype: int) -> RrsetAnswer:
    records = zone.snapshot.rrset(APEX, rtype) if zone.snapshot is not None else ()
    fields = [split(record) for record in records]
    ttl = max((one[3] for one in fields), default=0)
    return RrsetAnswer(frozenset(one[4] for one in fields), ttl)
