"""Answers about a zone's apex: SOA, NS and whatever else stands there (RFC 1034 §4.3.2, RFC 2308).

A pure function of request and snapshot. The apex is all that is answered so far; names below it
get REFUSED with Extended DNS Error 21, "Not Supported" (RFC 8914 §4.22): a resolver then asks
another server of the zone, which is right as long as this one only passes zones on.

- NODATA has the SOA in the authority section, its TTL no more than MINIMUM (RFC 2308 §3), and with
  DO its RRSIG and the apex's NSEC, which is the proof (RFC 4035 §3.1.3.1).
- ANY gets one RRset, the SOA (RFC 8482 §4.1).
- What does not fit the limit is left out whole, with TC (RFC 2181 §9).
"""

from __future__ import annotations

from typing import Final

from xfer.transfer.outbound import AXFR, IXFR
from xfer.wire.codes import FLAG_AA, FLAG_QR, FLAG_RD, FLAG_TC
from xfer.wire.edns import Edns, asks_expire, expire_option
from xfer.wire.records import NSEC, RRSIG, SOA, soa_fields, split
from xfer.wire.render import Renderer
from xfer.wire.request import Kind, Request
from xfer.wire.serial import newer
from xfer.zone.snapshot import Snapshot

APEX: Final = b"\0"
ANY: Final = 255
ANSWER, AUTHORITY, ADDITIONAL = 1, 2, 3
EDE: Final = 15
EDE_NOT_READY: Final = 14
EDE_PROHIBITED: Final = 18
EDE_NOT_AUTHORITATIVE: Final = 20
EDE_NOT_SUPPORTED: Final = 21


def extended_error(code: int, text: str) -> tuple[int, bytes]:
    """An Extended DNS Error option (RFC 8914 §2)."""
    return EDE, code.to_bytes(2, "big") + text.encode()


def answer_apex(request: Request, snapshot: Snapshot, limit: int, edns: Edns | None) -> bytes:
    """The answer to a query for the apex.

    limit: octets for the whole message, room for a TSIG already taken off; edns: what our OPT says,
    see `edns_for`.
    """
    do = edns is not None and edns.do
    return _render(request, snapshot, _sections(request.question.rtype, snapshot, do), limit, edns)


def _render(
    request: Request,
    snapshot: Snapshot,
    sections: list[_Item],
    limit: int,
    edns: Edns | None,
) -> bytes:
    """All of the sections, or none of them and TC."""
    opt = edns.build() if edns is not None else b""
    flags = FLAG_QR | FLAG_AA | (FLAG_RD if request.rd else 0)
    for truncated in (False, True):
        renderer = Renderer(request.id, flags | (FLAG_TC if truncated else 0), limit - len(opt))
        question = request.question
        renderer.question(question.name, question.rtype, question.rclass)
        if truncated or _put(renderer, sections, snapshot):
            break
    if opt:
        renderer.raw(ADDITIONAL, opt)
    return renderer.message()


def answer_soa_only(request: Request, snapshot: Snapshot, limit: int, edns: Edns | None) -> bytes:
    """IXFR over UDP: the SOA says whether to come back over TCP (RFC 1995 §2, §4).

    limit, edns: as for `answer_apex`.
    """
    return _render(request, snapshot, [(ANSWER, snapshot.soa, None)], limit, edns)


def up_to_date(request: Request, snapshot: Snapshot) -> bool:
    """Whether an IXFR's client has this version, or a newer one."""
    serial = request.ixfr_serial
    return request.kind is Kind.IXFR and serial is not None and not newer(snapshot.serial, serial)


def edns_for(request: Request, payload: int, expires_in: int | None) -> Edns | None:
    """What our OPT says; None where the request had none.

    payload: the UDP size it offers; expires_in: seconds until the zone expires, for SOA queries and
    transfers that ask for it (RFC 7314 §3), None where that is not known.
    """
    if request.edns is None:
        return None
    options = []
    asked = asks_expire(request.edns) and request.question.rtype in (SOA, IXFR, AXFR)
    if asked and expires_in is not None:
        options.append(expire_option(expires_in))
    return Edns(0, payload, request.edns.do, options)


_Item = tuple[int, bytes, int | None]  # section, record, TTL in place of its own


def _sections(rtype: int, snapshot: Snapshot, do: bool) -> list[_Item]:
    if rtype == ANY:
        rtype = SOA
    if rtype == RRSIG:
        found = snapshot.having(APEX + RRSIG.to_bytes(2, "big"))
    else:
        found = snapshot.rrset(APEX, rtype)
    if found:
        if do and rtype != RRSIG:
            found = found + snapshot.rrset(APEX, RRSIG, rtype)
        return [(ANSWER, record, None) for record in found]
    ttl = min(split(snapshot.soa)[3], soa_fields(snapshot.soa)[6])
    proof = [snapshot.soa]
    if do:
        proof += snapshot.rrset(APEX, RRSIG, SOA)
        nsec = snapshot.rrset(APEX, NSEC)
        if nsec:
            proof += nsec + snapshot.rrset(APEX, RRSIG, NSEC)
    return [(AUTHORITY, record, ttl) for record in proof]


def _put(renderer: Renderer, sections: list[_Item], snapshot: Snapshot) -> bool:
    for section, record, ttl in sections:
        _, rtype, _, own_ttl, _ = split(record)
        owner, rdata = snapshot.spelled(record)
        shown = own_ttl if ttl is None else min(ttl, own_ttl)
        if not renderer.record(section, owner, rtype, shown, rdata):
            return False
    return True
