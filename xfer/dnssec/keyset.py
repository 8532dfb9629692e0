"""A DNSKEY RRset that somebody else has signed: reading it, and whether its signatures hold.

RFC 8901 §2.1.1 (model 1), RFC 4034 §3.1.8.1 and RFC 4035 §5.3 (verifying), RFC 7344 §4.1 (CDS and
CDNSKEY may come along). Nothing here knows what the zone has served; `xfer.dnssec.holder` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs
import dns.exception
import dns.name
import dns.zonefile

from xfer.dnssec.idents import ident_of, tag_of
from xfer.dnssec.keys import PROTOCOL, SEP, ZONE, verify
from xfer.dnssec.keystate import Imported
from xfer.dnssec.timing import moment
from xfer.errors import KeyRefused, WireError
from xfer.wire import names, records
from xfer.wire.records import CDNSKEY, CDS, DNSKEY, RRSIG

MOST_RECORDS: Final = 100  # a validator tries only a few keys and signatures
MOST_OCTETS: Final = 8_192  # of all of them, in what is kept of the zone's keys
LONGEST: Final = 4_000  # octets of one of them, there; an RSA key of 4096 bits has 530
TYPES: Final = (DNSKEY, CDS, CDNSKEY)
_APEX: Final = b"\0"
_REVOKE: Final = 0x0080
_SIGNER: Final = 18  # where the signer's name begins in an RRSIG's rdata


@attrs.frozen
class Signature:
    """An RRSIG's fields that count here; begins, ends: Unix seconds; data: its rdata up to the
    signature itself, which is signed as well."""

    covered: int
    ident: str
    ttl: int
    begins: int
    ends: int
    data: bytes
    signature: bytes


@attrs.frozen
class Handed:
    """What was handed in, and holds.

    tops: DNSKEY rdata of the KSKs among `dnskeys`, which are all that sign the RRset or have the
    SEP bit; signing: of those that sign it.
    """

    imported: Imported
    dnskeys: tuple[bytes, ...]
    tops: frozenset[bytes]
    signing: frozenset[bytes]
    ttl: int


def rdata_of(imported: Iterable[bytes], rtype: int) -> tuple[bytes, ...]:
    """The rdata of records of that type."""
    return tuple(rdata for _, kind, _, _, rdata in map(records.split, imported) if kind == rtype)


def read(origin: bytes, text: str) -> tuple[bytes, ...]:
    """The records of lines of a zone file, with absolute names and TTLs: DNSKEY, and CDS and
    CDNSKEY where they come along, with their RRSIGs. origin: wire name. An RRset has the lowest TTL
    of its records (RFC 2181 §5.2). Raises KeyRefused for anything else."""
    zone = dns.name.from_wire(origin, 0)[0]
    try:
        # With an origin, what is not below that would be left out.
        rrsets = dns.zonefile.read_rrsets(text, rdclass=None)
    except (dns.exception.DNSException, ValueError) as error:
        got = str(error) or type(error).__name__
        raise KeyRefused("lines of a zone file, each with its TTL", got[:200]) from None
    found = set()
    for rrset in rrsets:
        rtype, covered = int(rrset.rdtype), int(rrset.covers)
        if rtype not in TYPES and not (rtype == RRSIG and covered in TYPES):
            of = f" of {records.type_text(covered)}" if rtype == RRSIG else ""
            raise KeyRefused(
                "DNSKEY, CDS and CDNSKEY records with their RRSIGs, and no others",
                records.type_text(rtype) + of,
            )
        if rrset.name != zone:
            raise KeyRefused(f"records of {names.to_text(origin)}", f"one of {rrset.name}")
        for rdata in rrset:
            try:
                canonical = records.canonical_rdata(rtype, rdata.to_wire() or b"")
            except WireError as error:
                raise KeyRefused(error.expected, error.got) from error
            found.add(records.make(_APEX, rtype, rrset.ttl, canonical))
    if len(found) > MOST_RECORDS:
        raise KeyRefused(f"at most {MOST_RECORDS} records", str(len(found)))
    longest = max(map(len, found), default=0)
    if longest > LONGEST:
        raise KeyRefused(f"records, each of at most {LONGEST} octets", str(longest))
    octets = sum(map(len, found))
    if octets > MOST_OCTETS:
        raise KeyRefused(f"records of at most {MOST_OCTETS} octets", str(octets))
    return tuple(sorted(found))


def verified(origin: bytes, given: tuple[bytes, ...], now: float) -> Handed:
    """What these records are where every signature among them holds at `now`. Raises KeyRefused.

    origin: lower-case wire name; given: as from `read`.
    """
    rrsets: dict[int, list[bytes]] = {}
    ttls: dict[int, int] = {}
    for record in given:
        _, rtype, _, ttl, rdata = records.split(record)
        if rtype == RRSIG:
            continue
        ttls[rtype] = ttl
        rrsets.setdefault(rtype, []).append(rdata)
    if DNSKEY not in rrsets:
        raise KeyRefused("a DNSKEY RRset", "none")
    for rdata in rrsets[DNSKEY]:
        if len(rdata) < 5 or rdata[2] != PROTOCOL:
            raise KeyRefused(f"DNSKEYs of protocol {PROTOCOL}", "another one")
    signatures = [
        _signature(origin, rdata, ttl)
        for _, rtype, _, ttl, rdata in map(records.split, given)
        if rtype == RRSIG
    ]
    keys = [rdata for rdata in rrsets[DNSKEY] if _of_zone(rdata)]
    signing: set[bytes] = set()
    for one in signatures:
        if one.covered not in rrsets:
            kind = records.type_text(one.covered)
            raise KeyRefused(f"the {kind} RRset with its RRSIG", "the RRSIG alone")
        if one.ttl != ttls[one.covered]:
            kind = records.type_text(one.covered)
            raise KeyRefused(
                f"the TTL of the {kind} records as it was signed, {one.ttl}",
                str(ttls[one.covered]),
            )
        by = _verified(origin, one, rrsets[one.covered], keys, now)
        if one.covered == DNSKEY:
            signing.add(by)
    for rtype in sorted(rrsets):
        if all(one.covered != rtype for one in signatures):
            raise KeyRefused(f"an RRSIG of the {records.type_text(rtype)} RRset", "none")
    tops = {rdata for rdata in keys if rdata[1] & SEP and not rdata[1] & _REVOKE}
    return Handed(
        Imported(
            tuple(sorted(given)),
            max(one.begins for one in signatures),
            min(one.ends for one in signatures),
        ),
        tuple(sorted(rrsets[DNSKEY])),
        frozenset(tops | signing),
        frozenset(signing),
        ttls[DNSKEY],
    )


def _of_zone(rdata: bytes) -> bool:
    return bool(rdata[0] << 8 & ZONE)


def _signature(origin: bytes, rdata: bytes, ttl: int) -> Signature:
    """Refuses what is no RRSIG of an RRset at this apex, with one TTL."""
    signer, end = names.read(rdata, _SIGNER)
    if names.lower(signer) != origin:
        raise KeyRefused(f"RRSIGs by {names.to_text(origin)}", f"one by {names.to_text(signer)}")
    if rdata[3] != len(names.labels(origin)):
        raise KeyRefused(f"RRSIGs of {len(names.labels(origin))} labels", str(rdata[3]))
    original = int.from_bytes(rdata[4:8], "big")
    if ttl != original:
        raise KeyRefused(f"the RRSIG's TTL as it was signed, {original}", str(ttl))
    return Signature(
        int.from_bytes(rdata[:2], "big"),
        f"{rdata[2]:03d}+{int.from_bytes(rdata[16:18], 'big'):05d}",
        original,
        int.from_bytes(rdata[12:16], "big"),
        int.from_bytes(rdata[8:12], "big"),
        rdata[:_SIGNER] + origin,
        rdata[end:],
    )


def _verified(
    origin: bytes, one: Signature, rrset: list[bytes], keys: list[bytes], now: float
) -> bytes:
    """The DNSKEY that made a signature which holds now."""
    kind = records.type_text(one.covered)
    made = f"the RRSIG of the {kind} RRset by {one.ident}"
    if one.begins > now:
        raise KeyRefused(f"{made} to hold now", f"one that begins {moment(one.begins)}")
    if one.ends <= now:
        raise KeyRefused(f"{made} to hold now", f"one that ended {moment(one.ends)}")
    named = [rdata for rdata in keys if ident_of(rdata) == one.ident]
    if not named:
        tags = ", ".join(str(tag_of(rdata)) for rdata in keys) or "none"
        raise KeyRefused(f"{made} to be by a zone key of the RRset (tags {tags})", "another one")
    head = origin + one.covered.to_bytes(2, "big") + b"\0\1" + one.ttl.to_bytes(4, "big")
    data = one.data + b"".join(
        head + len(rdata).to_bytes(2, "big") + rdata for rdata in sorted(rrset)
    )
    for rdata in named:
        if verify(rdata, data, one.signature):
            return rdata
    raise KeyRefused(f"{made} to verify", "one that does not: records or signature were changed")
