"""What another server of a zone says of one of its RRsets: reading the answer. Pure.

The other signers of a zone (RFC 8901) are asked for its DNSKEY, SOA, NS, CDS and CDNSKEY RRsets and
their signatures, the parent's servers for the NS RRset of the delegation, which they give as a
referral (RFC 1034 §4.3.2). No signature is verified here, only whose it is and for how long: what
is read only says whether a step of a migration is too early, and the keys that we publish are those
that the operator, or the content, has given us.
"""

from __future__ import annotations

from typing import Final

import attrs

from xfer.dnssec.idents import ident_text
from xfer.dnssec.reply import read_reply
from xfer.errors import Failure, TransferError, WireError
from xfer.wire import names, records
from xfer.wire.message import FLAG_RA, Response
from xfer.wire.parse import RecordParser

MOST_RECORDS: Final = 256  # in a section
_MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31


@attrs.frozen
class Signature:
    """An RRSIG. ident: of the key that made it, "013+12345"; inception, expiration: as they stand
    there, seconds modulo 2³² (RFC 4034 §3.1.5)."""

    ident: str
    inception: int
    expiration: int

    def valid(self, now: float) -> bool:
        """Whether a validator takes it at that time."""
        at = int(now)
        return (at - self.inception) & _MASK < _HALF and (self.expiration - at) & _MASK < _HALF


@attrs.frozen
class RrsetAnswer:
    """An RRset as one server has it. rdata: of each record, none where there is no such RRset;
    ttl: seconds; signatures: of the RRset."""

    rdata: frozenset[bytes]
    ttl: int = 0
    signatures: tuple[Signature, ...] = ()

    def signed_by(self, now: float) -> frozenset[str]:
        """Idents of the keys that have signed it, as far as a validator takes that now."""
        return frozenset(one.ident for one in self.signatures if one.valid(now))


@attrs.frozen
class SignerSaid:
    """What came of asking a server of another signer, "192.0.2.1#53": the zone's RRsets there, or
    why it has not told them."""

    server: str
    dnskeys: RrsetAnswer | None = None
    ns: RrsetAnswer | None = None
    soa: RrsetAnswer | None = None
    cds: RrsetAnswer | None = None
    cdnskeys: RrsetAnswer | None = None
    error: str = ""

    @property
    def serial(self) -> int | None:
        """The SOA serial there, None where it has not told that."""
        for rdata in self.soa.rdata if self.soa is not None else ():
            if len(rdata) > 20:
                return int.from_bytes(rdata[-20:-16], "big")
        return None


@attrs.frozen
class DelegationSaid:
    """What came of asking a server of the parent for the NS RRset of the delegation."""

    server: str
    ns: RrsetAnswer | None = None
    error: str = ""


@attrs.frozen
class Sides:
    """What everybody says: each server of the other signers, and of the parent."""

    signers: tuple[SignerSaid, ...] = ()
    parent: tuple[DelegationSaid, ...] = ()


def read_rrset(
    message: bytes, id: int, origin: bytes, rtype: int, *, delegation: bool = False
) -> RrsetAnswer | None:
    """The RRset of that type at the zone's apex as the answer has it; None where that was cut.

    origin: lower-case wire name; delegation: asked of the parent, so a referral counts as well.
    Raises TransferError: DENIED where the server does not serve the zone, PROTOCOL where it is no
    answer to that question, CONTENT for too many records.
    """
    asked = f"{names.to_text(origin)} {records.type_text(rtype)}"
    try:
        response = read_reply(message, id, origin, rtype, lambda _: "it does not serve the zone")
        if response is None:
            return None
        return _read(message, response, origin, rtype, asked, delegation)
    except WireError as error:
        raise TransferError(Failure.PROTOCOL, error.expected, error.got) from error


def _read(
    message: bytes, response: Response, origin: bytes, rtype: int, asked: str, delegation: bool
) -> RrsetAnswer:
    header = response.header
    if header.ancount + header.nscount > MOST_RECORDS:
        raise TransferError(
            Failure.CONTENT,
            f"at most {MOST_RECORDS} records for {asked}",
            str(header.ancount + header.nscount),
        )
    parser = RecordParser(origin)
    batch = parser.parse(message, response.answer_offset, header.ancount)
    found, signatures = _of(batch.records, rtype)
    if not found and delegation:
        batch = parser.parse(message, batch.end, header.nscount)
        found, signatures = _of(batch.records, rtype)
    elif not (header.aa or (delegation and header.flags & FLAG_RA)):
        raise TransferError(
            Failure.DENIED,
            f"an authoritative answer for {asked} (AA set)",
            "one without AA",
            hint="it does not serve the zone, or its copy has expired",
        )
    return RrsetAnswer(frozenset(found), max(found.values(), default=0), signatures)


def _of(batch: list[bytes], rtype: int) -> tuple[dict[bytes, int], tuple[Signature, ...]]:
    """Rdata of the apex's records of that type, with their TTL, and the signatures of these."""
    found, signatures = {}, []
    for record in batch:
        key, kind, _, ttl, rdata = records.split(record)
        if len(key) != 1:
            continue
        if kind == rtype:
            found[rdata] = ttl
        elif kind == records.RRSIG and len(rdata) > 18 and rdata[:2] == rtype.to_bytes(2, "big"):
            expiration, inception = (int.from_bytes(rdata[i : i + 4], "big") for i in (8, 12))
            tag = int.from_bytes(rdata[16:18], "big")
            signatures.append(Signature(ident_text(rdata[2], tag), inception, expiration))
    return found, tuple(signatures)
