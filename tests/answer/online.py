"""A zone signed as a live-signed one is, without a chain, and its answers held to a validator.

The validator is dnspython's for signatures, and the rules of RFC 4035 §5.4, RFC 5155 §8, RFC 7129
and RFC 9824 for what is denied, written out here a second time.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset

from xfer.answer.online import OnlineDenial
from xfer.answer.respond import Responder
from xfer.dnssec.keys import SigningKey, make_key
from xfer.dnssec.online import Lasting, OnlineSigner
from xfer.dnssec.signatures import Signatures
from xfer.wire.edns import Edns
from xfer.wire.records import DNSKEY, DS, NS, make, rrset_end, split
from xfer.wire.request import parse_request
from xfer.zone.block import Block
from xfer.zone.snapshot import APEX, Snapshot

NOW = 1_700_000_000.0
LASTING = Lasting(14 * 86400, 5 * 86400, 3600)
DO, CO = 0x8000, 0x4000


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
        out += signer.sign(rrset, True)
    return Snapshot(plain.origin, [Block.make(sorted(out), plain.spelling())])


@attrs.define(eq=False)
class Served:
    """A signed zone and what answers it."""

    origin: str
    keys: Sequence[SigningKey]
    responder: Responder
    signatures: Signatures

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

    def trusted(self) -> dict[dns.name.Name, dns.rdataset.Rdataset]:
        origin = dns.name.from_text(self.origin)
        records = [
            dns.rdata.from_wire(
                dns.rdataclass.IN, dns.rdatatype.DNSKEY, key.public, 0, len(key.public)
            )
            for key in self.keys
        ]
        return {origin: dns.rrset.from_rdata_list(origin, 3600, records)}
