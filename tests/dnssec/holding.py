"""Whoever has the KSK, in tests: signs DNSKEY RRsets by dnspython, not by what is tested."""

from __future__ import annotations

from collections.abc import Iterable

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from xfer.dnssec import ds
from xfer.dnssec.idents import tag_of
from xfer.dnssec.keys import SigningKey
from xfer.dnssec.keyset import Handed
from xfer.dnssec.keystate import Imported
from xfer.wire import names, records
from xfer.zone.snapshot import APEX

DAY = 86400


def rrset_of(origin: bytes, rtype: str, rdata: Iterable[bytes], ttl: int = 3600) -> dns.rrset.RRset:
    """An RRset of the apex, of rdata on the wire."""
    name = dns.name.from_wire(origin, 0)[0]
    number = dns.rdatatype.from_text(rtype)
    items = [dns.rdata.from_wire(dns.rdataclass.IN, number, one, 0, len(one)) for one in rdata]
    found: dns.rrset.RRset = dns.rrset.from_rdata_list(name, ttl, items)
    return found


def signature(
    rrset: dns.rrset.RRset, key: SigningKey, begins: float, ends: float
) -> dns.rrset.RRset:
    """Its RRSIG by that key."""
    public = dns.rdata.from_wire(
        dns.rdataclass.IN, dns.rdatatype.DNSKEY, key.public, 0, len(key.public)
    )
    assert isinstance(public, DNSKEY)
    rrsig = dns.dnssec.sign(
        rrset, key.reveal(), rrset.name, public, int(begins), int(ends), verify=True
    )
    return dns.rrset.from_rdata(rrset.name, rrset.ttl, rrsig)


def handed(
    origin: bytes,
    zsks: Iterable[bytes],
    ksks: Iterable[SigningKey],
    now: float,
    *,
    days: float = 14.0,
    signing: Iterable[SigningKey] | None = None,
    ttl: int = 3600,
    cds: bool = False,
    begins: float = -3600.0,
) -> str:
    """The DNSKEY RRset of these keys as text, signed by `signing` (all KSKs where not given) from
    `begins` seconds after `now` on, for so many days; cds: with CDS and CDNSKEY of the KSKs."""
    tops = list(ksks)
    keys = [key.public for key in tops]
    rrsets = [rrset_of(origin, "DNSKEY", [*zsks, *keys], ttl)]
    if cds:
        rrsets.append(rrset_of(origin, "CDS", [ds.cds_of(origin, key) for key in keys], ttl))
        rrsets.append(rrset_of(origin, "CDNSKEY", keys, ttl))
    out = []
    for rrset in rrsets:
        out.append(rrset.to_text())
        for key in tops if signing is None else signing:
            out.append(signature(rrset, key, now + begins, now + days * DAY).to_text())
    return "\n".join(out) + "\n"


def as_verified(
    origin: bytes,
    zsks: Iterable[bytes],
    tops: Iterable[bytes],
    begins: float,
    ends: float,
    *,
    signing: Iterable[bytes] | None = None,
    ttl: int = 3600,
) -> Handed:
    """What `keyset.verified` makes of an RRset of these keys (DNSKEY rdata), had somebody signed
    it: by `signing`, all of `tops` where not given."""
    ksks = list(tops)
    by = ksks if signing is None else list(signing)
    dnskeys = tuple(sorted({*zsks, *ksks}))
    kept = [records.make(APEX, records.DNSKEY, ttl, rdata) for rdata in dnskeys]
    for top in by:
        head = bytes((0, 48, top[3], len(names.labels(origin)))) + ttl.to_bytes(4, "big")
        times = int(ends).to_bytes(4, "big") + int(begins).to_bytes(4, "big")
        rdata = head + times + tag_of(top).to_bytes(2, "big") + origin + bytes(64)
        kept.append(records.make(APEX, records.RRSIG, ttl, rdata))
    imported = Imported(tuple(sorted(kept)), int(begins), int(ends))
    return Handed(imported, dnskeys, frozenset(ksks), frozenset(by), ttl)
