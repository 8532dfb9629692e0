"""Zones signed as live-signed ones are, without a chain; and a validator for what they answer.

The validator is dnspython's for signatures, and for what is denied the rules of RFC 4035 §5.4,
RFC 5155 §8 and RFC 9824 §3, written out here a second time, from the side of who reads the answer.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import attrs
import dns.dnssec
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset

from xfer.answer.online import EXISTS, NXNAME, OnlineDenial
from xfer.answer.respond import Responder
from xfer.dnssec.keys import SigningKey, make_key
from xfer.dnssec.online import Lasting, OnlineSigner
from xfer.dnssec.signatures import Signatures
from xfer.wire.edns import Edns
from xfer.wire.records import (
    CNAME,
    DNAME,
    DNSKEY,
    DS,
    NS,
    NSEC,
    NSEC3,
    RRSIG,
    SOA,
    make,
    rrset_end,
    soa_fields,
    split,
)
from xfer.wire.request import parse_request
from xfer.zone.block import Block
from xfer.zone.snapshot import APEX, Snapshot

NOW = 1_700_000_000.0
LASTING = Lasting(14 * 86400, 5 * 86400, 3600)
DO, CO = 0x8000, 0x4000
PROOFS = (NSEC, NSEC3)


@attrs.define
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def unlimited(clock: Clock | None = None, memory: int = 1 << 20, rate: float = 0.0) -> Signatures:
    clock = clock or Clock()
    return Signatures(memory, rate, clock, clock)


def signer_of(
    origin: bytes,
    keys: Sequence[SigningKey],
    compact: bool,
    signatures: Signatures | None = None,
) -> OnlineSigner:
    return OnlineSigner(origin, keys, compact, LASTING, signatures or unlimited())


def sign(plain: Snapshot, keys: Sequence[SigningKey], wall: float = NOW) -> Snapshot:
    """The zone with its DNSKEYs and RRSIGs, no chain: what is published of it."""
    clock = Clock(wall)
    signer = signer_of(plain.origin, keys, True, unlimited(clock))
    whole = sorted(
        {*plain.records(), *(make(APEX, DNSKEY, 3600, key.public) for key in keys)},
    )
    cuts = {split(r)[0] for r in whole if split(r)[1] == NS and split(r)[0] != APEX}
    rrsets: dict[bytes, list[bytes]] = {}
    for record in whole:
        rrsets.setdefault(record[: rrset_end(record)], []).append(record)
    out = list(whole)
    for rrset in rrsets.values():
        key, rtype, *_ = split(rrset[0])
        if any(key.startswith(cut[:-1]) and (key != cut or rtype != DS) for cut in cuts):
            continue
        out += signer.sign(rrset, EXISTS)
    return Snapshot(plain.origin, [Block.make(sorted(out), plain.spelling())])


@attrs.define(eq=False)
class Served:
    """A signed zone and what answers it."""

    origin: str
    keys: Sequence[SigningKey]
    responder: Responder
    signatures: Signatures
    now: float = NOW

    @staticmethod
    def of(
        plain: Snapshot,
        origin: str,
        compact: bool,
        algorithms: Sequence[int] = (13,),
        signatures: Signatures | None = None,
    ) -> Served:
        keys = [make_key(algorithm, True) for algorithm in algorithms]
        signed = sign(plain, keys)
        signatures = signatures or unlimited()
        signer = signer_of(plain.origin, keys, compact, signatures)
        denial = OnlineDenial(signed, signer.sign, compact)
        return Served(origin, keys, Responder(signed, denial), signatures)

    def ask(self, name: str | dns.name.Name, rtype: str, flags: int = DO) -> dns.message.Message:
        query = dns.message.make_query(name, rtype, use_edns=0, payload=1232, ednsflags=flags)
        edns = Edns(0, 1232, bool(flags & DO), co=flags & (DO | CO) == DO | CO)
        wire = self.responder.respond(parse_request(query.to_wire()), 65_535, edns)
        answer = dns.message.from_wire(wire)
        assert query.is_response(answer)
        return answer

    def trusted(self) -> dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset]:
        origin = dns.name.from_text(self.origin)
        records = [
            dns.rdata.from_wire(
                dns.rdataclass.IN, dns.rdatatype.DNSKEY, key.public, 0, len(key.public)
            )
            for key in self.keys
        ]
        return {origin: dns.rrset.from_rdata_list(origin, 3600, records)}

    # What a validator has to find in an answer.

    def check(self, name: dns.name.Name, rtype: str) -> str:
        """Hold the signed answers to a question to the unsigned one; returns what kind it is."""
        plain = self.ask(name, rtype, 0)
        signed = self.ask(name, rtype)
        compact = self.ask(name, rtype, DO | CO)
        assert compact.rcode() == plain.rcode()
        missing = plain.rcode() == dns.rcode.NXDOMAIN
        hidden = missing and self.responder.denial.compact
        assert signed.rcode() == (dns.rcode.NOERROR if hidden else plain.rcode())
        for answer in (signed, compact):
            assert _lines(answer.answer) == _lines(plain.answer), (name, rtype)
            self.check_signatures(answer)
        if plain.rcode() == dns.rcode.YXDOMAIN:
            return "too long"
        proof = [rrset for rrset in signed.authority if rrset.rdtype in PROOFS]
        apex = dns.name.from_text(self.origin)
        referral = next((r for r in signed.authority if r.rdtype == dns.rdatatype.NS), None)
        last = _followed(name, rtype, plain)
        if not last.is_subdomain(apex):
            assert not proof
            return "elsewhere"
        if referral is not None and referral.name != apex:
            ds = [r for r in signed.authority if r.rdtype == dns.rdatatype.DS]
            if not ds:
                types = self._matching(proof, referral.name)
                assert NS in types
                assert not {DS, SOA} & types
                assert len(proof) == 1
            return "secure" if ds else "insecure"
        if self.responder.denial.compact:
            return self._check_compact(signed, proof, last, rtype, missing)
        return self._check_lies(signed, proof, last, rtype, missing)

    def _check_compact(
        self,
        answer: dns.message.Message,
        proof: list[dns.rrset.RRset],
        name: dns.name.Name,
        rtype: str,
        missing: bool,
    ) -> str:
        if _has(answer, name):
            assert not proof
            return "positive"
        (rrset,) = proof
        (nsec,) = rrset
        assert rrset.ttl == self.negative_ttl()
        types = self._matching(proof, name)
        assert {RRSIG, NSEC} <= types
        assert not {dns.rdatatype.from_text(rtype), CNAME} & types
        assert (types == {RRSIG, NSEC, NXNAME}) if missing else (NXNAME not in types)
        # Nothing lies between it and the next name, but for what is below a delegation.
        cut = NS in types and SOA not in types
        labels = (name.labels[0] + b"\0", *name.labels[1:]) if cut else (b"\0", *name.labels)
        assert nsec.next == dns.name.Name(labels)
        if missing:
            return "name error"
        return "no data" if types - {RRSIG, NSEC} else "empty"

    def _check_lies(
        self,
        answer: dns.message.Message,
        proof: list[dns.rrset.RRset],
        name: dns.name.Name,
        rtype: str,
        missing: bool,
    ) -> str:
        for rrset in proof:
            (nsec3,) = rrset
            assert (nsec3.algorithm, nsec3.flags, nsec3.iterations, nsec3.salt) == (1, 0, 0, b"")
            assert rrset.ttl == self.negative_ttl()
        expanded = 0
        for rrset in answer.answer:
            closer = _next_closer(rrset)
            if closer is not None:
                assert any(self._covers(cover, closer) for cover in proof)
                expanded += 1
        if _has(answer, name):
            assert len(proof) == expanded
            return "expanded" if expanded else "positive"
        if not missing and any(self._digest(name) == _label(rrset) for rrset in proof):
            types = self._matching(proof, name)
            assert not {dns.rdatatype.from_text(rtype), CNAME} & types
            assert len(proof) == expanded + 1
            return "no data" if types else "empty"
        closer, encloser = name, name.parent()
        while not any(self._digest(encloser) == _label(rrset) for rrset in proof):
            closer, encloser = encloser, encloser.parent()
        assert any(self._covers(rrset, closer) for rrset in proof)
        star = dns.name.Name((b"*", *encloser.labels))
        assert not {NS, DNAME} & self._matching(proof, encloser) or SOA in self._matching(
            proof, encloser
        )
        if missing:
            assert any(self._covers(rrset, star) for rrset in proof)
            return "name error"
        assert dns.rdatatype.from_text(rtype) not in self._matching(proof, star)
        return "wildcard no data"

    def negative_ttl(self) -> int:
        return min(
            split(self.responder.snapshot.soa)[3], soa_fields(self.responder.snapshot.soa)[6]
        )

    def _digest(self, name: dns.name.Name) -> str:
        return dns.dnssec.nsec3_hash(name, None, 0, "SHA1").lower()

    def _matching(self, proof: list[dns.rrset.RRset], name: dns.name.Name) -> set[int]:
        """The types that the record of an existing name has."""
        for rrset in proof:
            if rrset.rdtype == NSEC and rrset.name == name:
                return types_in(rrset)
            if rrset.rdtype == NSEC3 and _label(rrset) == self._digest(name):
                return types_in(rrset)
        raise AssertionError(f"nothing matches {name} in {proof}")

    def _covers(self, rrset: dns.rrset.RRset, name: dns.name.Name) -> bool:
        digest, first = self._digest(name), _label(rrset)
        last = base64.b32hexencode(rrset[0].next).decode().lower()
        return first < digest < last or (last < first and (digest > first or digest < last))

    def check_signatures(self, answer: dns.message.Message) -> None:
        """All is signed that has to be, by each algorithm."""
        apex = dns.name.from_text(self.origin)
        for section in (answer.answer, answer.authority):
            dnames = [rrset.name for rrset in section if rrset.rdtype == DNAME]
            for rrset in section:
                if rrset.rdtype == RRSIG or (rrset.rdtype == NS and rrset.name != apex):
                    continue
                below = any(
                    rrset.name != dname and rrset.name.is_subdomain(dname) for dname in dnames
                )
                if rrset.rdtype == CNAME and below:
                    continue  # made of the DNAME
                found = [
                    other
                    for other in section
                    if other.name == rrset.name and other.covers == rrset.rdtype
                ]
                assert len(found) == 1, (rrset, answer.question)
                assert {sig.algorithm for sig in found[0]} == {key.algorithm for key in self.keys}
                for sig in found[0]:
                    dns.dnssec.validate_rrsig(rrset, sig, self.trusted(), now=self.now)


def _next_closer(signatures: dns.rrset.RRset) -> dns.name.Name | None:
    """The name that is to be denied, where these signatures are of what a wildcard gave."""
    if signatures.rdtype != RRSIG:
        return None
    labels, owner = signatures[0].labels, signatures.name
    if labels >= len(owner) - 1 - (owner.labels[0] == b"*"):
        return None
    return dns.name.Name(owner.labels[-labels - 2 :])


def types_in(rrset: dns.rrset.RRset) -> set[int]:
    return {
        window * 256 + octet * 8 + bit
        for window, octets in rrset[0].windows
        for octet, value in enumerate(octets)
        for bit in range(8)
        if value & 0x80 >> bit
    }


def _label(rrset: dns.rrset.RRset) -> str:
    return rrset.name.labels[0].decode()


def _lines(section: list[dns.rrset.RRset]) -> list[str]:
    return sorted(
        f"{rrset.name} {rrset.ttl} {rrset.rdtype} {rdata}"
        for rrset in section
        if rrset.rdtype != RRSIG
        for rdata in rrset
    )


def _has(answer: dns.message.Message, name: dns.name.Name) -> bool:
    return any(rrset.name == name for rrset in answer.answer)


def _followed(name: dns.name.Name, rtype: str, answer: dns.message.Message) -> dns.name.Name:
    """The name at the end of the answer's CNAMEs."""
    targets = {r.name: r[0].target for r in answer.answer if r.rdtype == CNAME}
    seen = {name}
    while rtype not in ("CNAME", "ANY") and name in targets and targets[name] not in seen:
        name = targets[name]
        seen.add(name)
    return name
