"""What the parent's servers say of a zone's DS: reading one answer, and what all of them agree on.

RFC 4035 §3.1.4.1 (the DS is the parent's: its servers answer for it, the child's say that there is
none), RFC 2308 §2.2 (no data), RFC 6840 §4.4.

A change at the parent reaches its servers one after the other, so nothing counts before all that
are asked say the same; and a server that cannot know, such as one of the zone's own, is found by
the SOA it gives: "no DS" taken from there would have keys removed that validators need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from xfer.dnssec.reply import read_reply
from xfer.dnssec.timing import DsSeen
from xfer.errors import Failure, TransferError, WireError
from xfer.wire import names, records
from xfer.wire.message import (
    FLAG_RA,
    FORMERR,
    NOTAUTH,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    Response,
)
from xfer.wire.parse import RecordParser

MOST_RECORDS: Final = 64  # in the answer, and beside it; a parent has two or three DS
LONGEST_TTL: Final = 30 * 86400  # seconds; the most that `parent_ds_ttl` may say
_SHOWN: Final = 4  # DS in a sentence

_HINTS: Final = {
    FORMERR: "it is too old for EDNS, or no DNS server",
    SERVFAIL: "a resolver that cannot reach the parent or finds it bogus, or a server without a "
    "valid copy of the parent zone",
    NXDOMAIN: "the zone is not delegated there",
    REFUSED: "it is not one of the parent's servers, or a resolver that does not serve us",
    NOTAUTH: "it is not one of the parent's servers",
}


@attrs.frozen
class DsAnswer:
    """One server's answer. rdata: of the DS records, empty: there is none; ttl: their largest TTL
    where the answer is authoritative, else None."""

    rdata: frozenset[bytes]
    ttl: int | None = None


@attrs.frozen
class ServerSaid:
    """What came of asking one server, "192.0.2.1#53": its answer, or why there is none."""

    server: str
    answer: DsAnswer | None = None
    error: TransferError | None = None

    @property
    def text(self) -> str:
        """ "192.0.2.1#53 has DS 12345 13 2 9F86D081…", "192.0.2.1#53 has no DS", or the error."""
        if self.answer is None:
            return str(self.error)
        return f"{self.server} has {ds_text(self.answer.rdata)}"


@attrs.frozen
class ParentSaid:
    """What came of a look at the parent.

    seen: what all servers agree on, None where they do not, or one of them failed; why: the reason
    then, with who said what, else ""; servers: each of them, in the order of the config.
    """

    seen: DsSeen | None
    why: str = ""
    servers: tuple[ServerSaid, ...] = ()

    @property
    def differ(self) -> bool:
        """Whether answers came that are not the same: a change is on its way, or one lags."""
        return len({one.answer.rdata for one in self.servers if one.answer is not None}) > 1


def ds_text(rdata: frozenset[bytes]) -> str:
    """ "no DS", or "DS 12345 13 2 9F86D081…" for a sentence: digests are cut, sets too."""
    if not rdata:
        return "no DS"
    ordered = sorted(rdata)
    shown = [
        f"{int.from_bytes(one[:2], 'big')} {one[2]} {one[3]} {one[4:8].hex().upper()}…"
        for one in ordered[:_SHOWN]
    ]
    more = len(ordered) - len(shown)
    return "DS " + ", ".join(shown) + (f" and {more} more" if more else "")


def agreed(servers: Sequence[ServerSaid], at: float) -> ParentSaid:
    """What is seen where every server answers, and all the same; at: Unix seconds of the last
    answer."""
    servers = tuple(servers)
    if not servers:
        return ParentSaid(None, "nobody is asked: `parent` in the policy is empty")
    said = "; ".join(one.text for one in servers)
    answers = [one.answer for one in servers if one.answer is not None]
    if len(answers) < len(servers):
        if len(servers) == 1:
            return ParentSaid(None, said, servers)
        failed = len(servers) - len(answers)
        return ParentSaid(
            None, f"{failed} of {len(servers)} servers did not say what the DS is: {said}", servers
        )
    if any(answer.rdata != answers[0].rdata for answer in answers):
        return ParentSaid(None, f"the parent's servers do not agree: {said}", servers)
    ttls = [answer.ttl for answer in answers if answer.ttl is not None]
    seen = DsSeen(answers[0].rdata, at, max(ttls, default=None))
    return ParentSaid(seen, "", servers)


def read_ds(message: bytes, id: int, origin: bytes) -> DsAnswer | None:
    """What the answer to the question for the zone's DS says; None where it was truncated.

    origin: lower-case wire name. Raises TransferError: DENIED where the server says no or cannot
    know, PROTOCOL where it is no answer to that question, CONTENT where the records cannot be.
    """
    try:
        response = read_reply(message, id, origin, records.DS, lambda rcode: _HINTS.get(rcode, ""))
        return _read(message, response, origin) if response is not None else None
    except WireError as error:
        raise TransferError(Failure.PROTOCOL, error.expected, error.got) from error


def _read(message: bytes, response: Response, origin: bytes) -> DsAnswer:
    header = response.header
    for count, where in ((header.ancount, "answer"), (header.nscount, "authority")):
        if count > MOST_RECORDS:
            raise TransferError(
                Failure.CONTENT,
                f"at most {MOST_RECORDS} records in the {where} section for {_name(origin)} DS",
                str(count),
            )
    parser = RecordParser(origin)
    batch = parser.parse(message, response.answer_offset, header.ancount)
    for owner, rtype, _ in batch.outside:
        raise _stranger(origin, names.to_text(owner), rtype)
    rdata: set[bytes] = set()
    longest = 0
    for record in batch.records:
        key, rtype, covered, ttl, one = records.split(record)
        if len(key) != 1 or (rtype != records.DS and covered != records.DS):
            raise _stranger(origin, names.to_text(names.wire_of(key, origin)), rtype)
        if rtype == records.DS:
            rdata.add(one)
            longest = max(longest, ttl)
    if header.ancount and not rdata:
        raise TransferError(Failure.CONTENT, f"{_name(origin)} DS", "its signatures alone")
    if not rdata:
        _check_no_data(parser, message, batch.end, header.nscount, origin)
    if not (header.aa or header.flags & FLAG_RA):
        raise TransferError(
            Failure.DENIED,
            f"an answer for {_name(origin)} DS by the parent's server or a resolver (AA or RA set)",
            "one with neither",
            hint="it is not authoritative for the parent zone, or its copy has expired",
        )
    if longest > LONGEST_TTL:
        raise TransferError(
            Failure.CONTENT,
            f"a TTL of {_name(origin)} DS of at most {LONGEST_TTL} s",
            f"{longest} s",
            hint="caches would hold it for that long",
        )
    return DsAnswer(frozenset(rdata), longest if rdata and header.aa else None)


def _check_no_data(
    parser: RecordParser, message: bytes, offset: int, count: int, origin: bytes
) -> None:
    """Refuse an answer without records that is not the parent's word that there is none."""
    batch = parser.parse(message, offset, count)
    split = [records.split(record) for record in batch.records]
    found = {names.wire_of(key, origin) for key, rtype, *_ in split if rtype == records.SOA}
    found |= {names.lower(owner) for owner, rtype, _ in batch.outside if rtype == records.SOA}
    if origin in found:
        raise TransferError(
            Failure.DENIED,
            f"the SOA of the parent zone with the answer that {_name(origin)} has no DS",
            f"the SOA of {_name(origin)} itself",
            hint="it serves the zone and not its parent, so it cannot know",
        )
    if len(found) == 1:
        (owner,) = found
        if names.is_below(origin, owner):
            return
        got = f"the SOA of {names.to_text(owner)}, which is not above it"
    elif found:
        got = f"{len(found)} SOAs"
    else:
        got = "an answer without records (a referral)" if count else "an empty answer"
    raise TransferError(
        Failure.DENIED,
        f"the DS of {_name(origin)}, or the SOA of the parent zone for none",
        got,
        hint="it is neither the parent's server nor a resolver that passes the SOA on",
    )


def _stranger(origin: bytes, owner: str, rtype: int) -> TransferError:
    """A record that has no place in the answer."""
    return TransferError(
        Failure.CONTENT,
        f"nothing but {_name(origin)} DS in the answer",
        f"{owner} {records.type_text(rtype)}",
        hint="the parent does not delegate the zone" if rtype in (5, 39) else "",
    )


def _name(origin: bytes) -> str:
    return names.to_text(origin)
