"""What another server of a zone says of one of its RRsets: reading the answer. Pure.

The other signers of a zone (RFC 8901) are asked for its DNSKEY and NS RRsets, and the parent's
servers for the NS RRset of the delegation, which they give as a referral (RFC 1034 §4.3.2). Nothing
is validated here: what is read only says whether a step of a migration is too early, and the keys
that we publish are those that the operator, or the content, has given us.
"""

from __future__ import annotations

from typing import Final

import attrs

from xfer.dnssec.reply import read_reply
from xfer.errors import Failure, TransferError, WireError
from xfer.wire import names, records
from xfer.wire.message import FLAG_RA, Response
from xfer.wire.parse import RecordParser

MOST_RECORDS: Final = 256  # in a section


@attrs.frozen
class RrsetAnswer:
    """An RRset as one server has it. rdata: of each record, none where there is no such RRset;
    ttl: seconds."""

    rdata: frozenset[bytes]
    ttl: int = 0


@attrs.frozen
class SignerSaid:
    """What came of asking a server of another signer, "192.0.2.1#53": its DNSKEY and NS RRsets, or
    why it has not told them."""

    server: str
    dnskeys: RrsetAnswer | None = None
    ns: RrsetAnswer | None = None
    error: str = ""


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
    found = _of(batch.records, rtype)
    if not found and delegation:
        batch = parser.parse(message, batch.end, header.nscount)
        found = _of(batch.records, rtype)
    elif not (header.aa or (delegation and header.flags & FLAG_RA)):
        raise TransferError(
            Failure.DENIED,
            f"an authoritative answer for {asked} (AA set)",
            "one without AA",
            hint="it does not serve the zone, or its copy has expired",
        )
    return RrsetAnswer(frozenset(found), max(found.values(), default=0))


def _of(batch: list[bytes], rtype: int) -> dict[bytes, int]:
    """Rdata of the apex's records of that type, with their TTL."""
    found = {}
    for record in batch:
        key, kind, _, ttl, rdata = records.split(record)
        if len(key) == 1 and kind == rtype:
            found[rdata] = ttl
    return found
