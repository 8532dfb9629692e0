"""What a version holds for the state of a zone's keys: DNSKEY, CDS, CDNSKEY, and who signs."""

from __future__ import annotations

import hashlib

import attrs

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec.ds import DELETE_CDNSKEY, DELETE_CDS, cds_of
from xfer.dnssec.idents import foreign_dnskey
from xfer.dnssec.keyset import rdata_of
from xfer.dnssec.keystate import NOTHING, ZoneKeys, ZoneState
from xfer.wire import records

APEX = b"\0"


@attrs.frozen
class Publication:
    """What is published for a zone.

    unsigned: no DNSSEC at all, and all else is empty. dnskeys: DNSKEY rdata besides those in the
    content, sorted; key_signers, zone_signers: idents of the keys that sign the DNSKEY, CDS and
    CDNSKEY RRsets, and all else; each signs every such RRset. cds, cdnskeys: rdata, sorted; both
    empty, or both not. ttl: seconds, of all of them. handed: complete records with their RRSIGs,
    where somebody else has signed them; these are published then.
    """

    unsigned: bool
    dnskeys: tuple[bytes, ...]
    key_signers: frozenset[str]
    zone_signers: frozenset[str]
    cds: tuple[bytes, ...]
    cdnskeys: tuple[bytes, ...]
    ttl: int
    handed: tuple[bytes, ...] = ()

    def records(self) -> tuple[bytes, ...]:
        """The apex records, as `Terms.apex` takes them."""
        if self.handed:
            return tuple(one for one in self.handed if one not in self.presigned)
        found = []
        for rtype, rdata in (
            (records.DNSKEY, self.dnskeys),
            (records.CDS, self.cds),
            (records.CDNSKEY, self.cdnskeys),
        ):
            found += [records.make(APEX, rtype, self.ttl, one) for one in rdata]
        return tuple(found)

    @property
    def presigned(self) -> tuple[bytes, ...]:
        """Their RRSIGs that were made elsewhere, as `Terms.presigned` takes them."""
        return tuple(one for one in self.handed if records.split(one)[1] == records.RRSIG)

    def fingerprint(self) -> str:
        """The same for the same publication, and no other; 16 hexadecimal digits."""
        signers = "\n".join([*sorted(self.key_signers), "", *sorted(self.zone_signers)])
        digest = hashlib.sha256()
        for octets in (*self.records(), *self.presigned, signers.encode()):
            digest.update(len(octets).to_bytes(4, "big") + octets)
        return digest.hexdigest()[:16]


def publication(zone: ZoneKeys, policy: DnssecPolicy) -> Publication:
    """What the next version of the zone holds (the published one, where nothing is new)."""
    if not zone.signed:
        return Publication(True, (), NOTHING, NOTHING, (), (), policy.dnskey_ttl)
    if zone.imported is not None:
        given = zone.imported.records
        return Publication(
            False,
            rdata_of(given, records.DNSKEY),
            zone.keyset.signers,
            zone.signers,
            rdata_of(given, records.CDS),
            rdata_of(given, records.CDNSKEY),
            zone.keyset.ttl,
            given,
        )
    dnskeys = {key.public for key in zone.keys if key.ident in zone.keyset.keys}
    theirs = {key.public for key in zone.foreign}
    dnskeys |= {public for public in theirs if foreign_dnskey(public) in zone.keyset.foreign}
    cds, cdnskeys = _for_parent(zone, policy)
    return Publication(
        False,
        tuple(sorted(dnskeys)),
        zone.keyset.signers,
        zone.signers,
        cds,
        cdnskeys,
        zone.keyset.ttl,
    )


def _for_parent(
    zone: ZoneKeys, policy: DnssecPolicy
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Rdata of CDS and CDNSKEY: of the keys whose DS is wanted, or the delete form (RFC 8078 §4)
    where none may stay. None at all where there are other signers: CDS replaces the whole DS set,
    theirs as well (RFC 8901 §8), so there the DS are changed by hand."""
    if not policy.cds or zone.multi_signer or zone.joining or zone.leaving:
        return (), ()
    if zone.state in (ZoneState.PENDING_DISABLED, ZoneState.DISABLED):
        return (DELETE_CDS,), (DELETE_CDNSKEY,)
    keys = [key for key in zone.keys if key.ident in zone.wanted]
    return (
        tuple(sorted(cds_of(zone.origin, key.public) for key in keys)),
        tuple(sorted(key.public for key in keys)),
    )
