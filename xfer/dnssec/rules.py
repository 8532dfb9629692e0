"""The one rule of every rollover: whatever caches put together has to validate.

`holds` says what a validator makes of a DS set, a DNSKEY RRset and signatures (RFC 4035 §5, with
the strict reading of §2.2 and RFC 6840 §5.11: each algorithm of the DS set signs the DNSKEY RRset,
each algorithm of the DNSKEY RRset signs the zone). `Served` holds everything that may be in caches;
`Served.allows` says whether something new may be published beside it.

All rollovers follow from that rule and from the order in which `lifecycle` tries changes:

    ZSK pre-publication   DNSKEY in · (old RRsets gone) · signatures change · (old ones gone) · out
    KSK double-KSK        DNSKEY in, signing · (old RRsets gone) · DS changes · (old DS gone) · out
    KSK double-DS         DS in · (old DS gone) · DNSKEY changes · (old RRsets gone) · DS out
    CSK                   as the first two at once; out when both are done
    algorithm             signatures in · (old ones gone) · DNSKEYs in · (old RRsets gone) · DS
                          changes · (old DS gone) · DNSKEYs out · (old RRsets gone) · signatures out
    enabling              DNSKEY and signatures in · (unsigned data gone) · DS in
    disabling             DS out · (old DS gone) · unsigned
"""

from __future__ import annotations

import attrs

from xfer.dnssec.idents import algorithm_in
from xfer.dnssec.keystate import Keyset, ZoneKeys, own


def holds(ds: frozenset[str], keyset: Keyset, signers: frozenset[str], elsewhere: bool) -> str:
    """Why a validator that has these would call the zone bogus; "" where it would not.

    elsewhere: our servers are not delegated to while the DS set is all of other signers.
    """
    if not ds:
        return ""
    ours = own(ds)
    if not ours:
        return "" if elsewhere else "the DS at the parent is of no key of ours"
    if not keyset.keys:
        return "there is a DS, and no DNSKEY"
    for algorithm in sorted({algorithm_in(ident) for ident in ours}):
        chained = (ident for ident in ours & keyset.keys if algorithm_in(ident) == algorithm)
        if keyset.signers.isdisjoint(chained):
            return f"no key that the DS of algorithm {algorithm} names signs the DNSKEY RRset"
    for algorithm in sorted({algorithm_in(ident) for ident in keyset.keys}):
        known = (i for i in keyset.keys | keyset.foreign if algorithm_in(i) == algorithm)
        if signers.isdisjoint(known):
            return f"no DNSKEY of algorithm {algorithm} has signed the zone"
    return ""


@attrs.frozen
class Served:
    """What caches may hold, and what is to be served beside it.

    ds: every DS set, also those that a slow parent may still put in; keysets, signers: every older
    one and the published one.
    """

    ds: frozenset[frozenset[str]]
    keysets: frozenset[Keyset]
    signers: frozenset[frozenset[str]]
    elsewhere: bool

    @classmethod
    def of(cls, zone: ZoneKeys) -> Served:
        """What a zone may have in caches; its own next version not counted where not published."""
        keysets = {past.what for past in zone.past_keysets}
        if all(past.at is not None for past in zone.past_keysets):
            keysets.add(zone.keyset)
        signers = {past.what for past in zone.past_signers}
        if all(past.at is not None for past in zone.past_signers):
            signers.add(zone.signers)
        sets = {zone.ds, *zone.asked, *(past.what for past in zone.past_ds)}
        if zone.wanted_serial is not None:
            sets.add(zone.wanted)
        elsewhere = zone.joining or zone.leaving
        return cls(frozenset(sets), frozenset(keysets), frozenset(signers), elsewhere)

    def allows(self, wanted: frozenset[str], keyset: Keyset, signers: frozenset[str]) -> str:
        """Why these must not be published beside what is in caches; "" where they may."""
        keysets = self.keysets | {keyset}
        signed = self.signers | {signers}
        for ds in self.ds | {wanted}:
            for old in keysets:
                for by in signed:
                    broken = holds(ds, old, by, self.elsewhere)
                    if broken:
                        return broken
        return ""
