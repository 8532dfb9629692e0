"""What config, content and the state of keys say together of how a zone is signed. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from xfer.config_dnssec import DenialChoice, DnssecPolicy
from xfer.dnssec import commands
from xfer.dnssec.ds import cds_of
from xfer.dnssec.idents import ident_of, ident_text, tag_of
from xfer.dnssec.keys import SEP, SigningKey
from xfer.dnssec.keyset import rdata_of
from xfer.dnssec.keystate import Role, ZoneKeys
from xfer.dnssec.signing import Denial, Terms
from xfer.dnssec.timing import Seen
from xfer.server.unconfigured import policy_left
from xfer.server.zones import Zone
from xfer.wire.records import DNSKEY, RRSIG, SOA, split
from xfer.zone.snapshot import APEX, Snapshot


def is_signed(content: Snapshot) -> bool:
    """Whether it came with signatures of its own."""
    return bool(content.rrset(APEX, RRSIG, SOA))


def signers_of(content: Snapshot) -> frozenset[str]:
    """Idents of the keys by whose signatures it came, those of its SOA record."""
    found = (split(record)[4] for record in content.rrset(APEX, RRSIG, SOA))
    return frozenset(ident_text(rdata[2], int.from_bytes(rdata[16:18], "big")) for rdata in found)


def own_keys(keys: Iterable[SigningKey]) -> tuple[commands.OwnKey, ...]:
    """Keys that have signed a zone, in their roles; where there is no other, a KSK is a CSK."""
    found = list(keys)
    alone = all(key.flags & SEP for key in found)
    top = Role.CSK if alone else Role.KSK
    return tuple(commands.OwnKey(top if key.flags & SEP else Role.ZSK, key.public) for key in found)


def waits(keys: ZoneKeys) -> bool:
    """Whether keys wait for secondaries to have a version."""
    changes = [(past.at, past.everywhere) for past in keys.past_keysets]
    changes += [(past.at, past.everywhere) for past in keys.past_signers]
    changes.append((keys.wanted_at, keys.wanted_everywhere))
    return any(at is not None and everywhere is None for at, everywhere in changes)


def seen_at_secondaries(zone: Zone, expire: int) -> tuple[Seen, ...]:
    """What is known of each of its secondaries; expire: the SOA's, in seconds."""
    status = [zone.secondary_status(peer) for peer in zone.config.secondaries]
    return tuple(Seen(one.peer, one.seen_serial, one.seen_at or 0.0, expire) for one in status)


def taken_tags(keys: ZoneKeys) -> list[int]:
    """Tags of other signers' keys that the zone publishes."""
    given = () if keys.imported is None else rdata_of(keys.imported.records, DNSKEY)
    return [tag_of(rdata) for rdata in (*(foreign.public for foreign in keys.foreign), *given)]


def has_removed(served: Snapshot, terms: Terms) -> bool:
    """Whether what is served has keys of ours that were removed, and that the terms leave out."""
    if not terms.without:
        return False
    there = {split(record)[4] for record in served.rrset(APEX, DNSKEY)}
    return bool(there & terms.without - {split(record)[4] for record in terms.apex})


def came_back(zone: Zone, terms: Terms) -> tuple[str, ...]:
    """What to do about keys of ours that were removed and are in the content."""
    without = terms.without
    dnskeys = sorted(rdata for rdata in without if cds_of(zone.origin, rdata) in without)
    return tuple(
        f"the content of {zone.name} has DNSKEY {ident_of(rdata)}, a key of ours that was removed, "
        "which is not published: take it out where the content is from; or, where another signer "
        f"has been given it, `xfer dnssec foreign add {zone.name}`"
        for rdata in dnskeys
    )


def policy_of(zone: Zone) -> DnssecPolicy:
    """The policy of its config; where it has none, one by which the zone goes on as it is."""
    if zone.config.policy is not None:
        return zone.config.policy
    if zone.signing is None or zone.signing.keys is None:
        return DnssecPolicy()
    return policy_left(zone.signing.keys, None if zone.signing.fresh else zone.snapshot)


def keyset_news(zone: Zone, now: float) -> str:
    """Of the signatures of the DNSKEY RRset that somebody else makes: "near" where they end within
    signature_refresh, "ended", or "" for neither."""
    keys = zone.signing.keys if zone.signing is not None else None
    if keys is None or keys.imported is None:
        return ""
    left = keys.imported.ends - now
    if left <= 0:
        return "ended"
    return "near" if left <= policy_of(zone).signature_refresh else ""


def denial_of(zone: Zone, policy: DnssecPolicy) -> Denial:
    """How its next version proves what is not there."""
    choice = policy.denial
    if choice is DenialChoice.AUTO:
        shared = zone.config.secondaries or zone.config.allow_transfer
        choice = DenialChoice.NSEC if shared else DenialChoice.COMPACT
    if choice is DenialChoice.NSEC3:
        return Denial("nsec3", policy.nsec3_iterations, policy.nsec3_salt, policy.nsec3_opt_out)
    return Denial("nsec" if choice is DenialChoice.NSEC else "none")


def fingerprint(terms: Terms, choice: DenialChoice) -> str:
    """What tells terms apart by which versions, or the proofs that are made of them online, would
    differ; holds nothing secret."""
    told = hashlib.sha256()
    for records in (terms.apex, terms.presigned):
        for record in records:
            told.update(len(record).to_bytes(4, "big") + record)
        told.update(b"\0\0\0\0")
    told.update(",".join(key.ident for key in terms.ksks).encode() + b";")
    told.update(",".join(key.ident for key in terms.zsks).encode() + b";")
    online = choice is DenialChoice.WHITE_LIES
    told.update(repr((terms.denial, online, terms.zonemd, terms.unsigned)).encode())
    return told.hexdigest()[:32]
