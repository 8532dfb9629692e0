"""From a request to the message that answers it, a pure function of request and version.

What does not fit is left out by whole RRsets (RFC 2181 §9): where answer, authority or glue that
the client cannot do without (RFC 9471 §3.1) is concerned, nothing is sent but TC, and it comes back
over TCP; other addresses are left out in silence.
"""

from __future__ import annotations

from typing import Final

from xfer.answer.denial import Denial
from xfer.answer.lookup import look_up
from xfer.answer.sections import Answer, Line, Reader
from xfer.wire.codes import FLAG_AA, FLAG_QR, FLAG_RD, FLAG_TC
from xfer.wire.edns import Edns
from xfer.wire.records import SOA
from xfer.wire.render import Renderer
from xfer.wire.request import Request
from xfer.zone.snapshot import APEX, Snapshot

ANSWER: Final = 1
AUTHORITY: Final = 2
ADDITIONAL: Final = 3
_WHOLE: Final = 65_535


class Responder:
    """Answers from one version of a zone. denial: all of whose steps are taken."""

    def __init__(self, snapshot: Snapshot, denial: Denial) -> None:
        self.snapshot = snapshot
        self.denial = denial
        self.reader = Reader(snapshot)

    def respond(self, request: Request, limit: int, edns: Edns | None, tcp: bool = False) -> bytes:
        """The answer to a query at or below the apex.

        limit: octets for the whole message, room for a TSIG already taken off; edns: what our OPT
        says, None without one; tcp: whether it was asked over TCP. Raises SigningBusy where it
        would have to be signed and may not be.
        """
        question = request.question
        do = edns is not None and edns.do
        co = edns is not None and edns.co
        self.denial.over_tcp = tcp
        try:
            answer = look_up(self.reader, question.name, question.rtype, do, self.denial, co)
        finally:
            self.denial.over_tcp = False
        return render(request, answer, limit, edns)


def soa_only(request: Request, snapshot: Snapshot, limit: int, edns: Edns | None) -> bytes:
    """IXFR over UDP: the SOA says whether to come back over TCP (RFC 1995 §2, §4).

    limit, edns: as for `Responder.respond`.
    """
    answer = Answer()
    answer.answer = Reader(snapshot).rrset(APEX, SOA)
    return render(request, answer, limit, edns)


def truncated(request: Request, edns: Edns | None) -> bytes:
    """TC and no records: the answer may be had over TCP."""
    return render(request, Answer(), _WHOLE, edns, True)


def render(
    request: Request, answer: Answer, limit: int, edns: Edns | None, cut: bool = False
) -> bytes:
    """The message for an answer; cut: TC instead; other arguments as for `Responder.respond`."""
    opt = edns.build(answer.rcode) if edns is not None else b""
    flags = FLAG_QR | answer.rcode
    if answer.aa:
        flags |= FLAG_AA
    if request.rd:
        flags |= FLAG_RD
    question = request.question
    renderer = Renderer(request.id, flags, limit - len(opt))
    renderer.question(question.name, question.rtype, question.rclass)
    whole = not cut and (
        renderer.rrset(ANSWER, answer.answer)
        and renderer.rrset(AUTHORITY, answer.authority)
        and renderer.rrset(ADDITIONAL, answer.additional[: answer.needed])
    )
    if whole:
        _put_rrsets(renderer, answer.additional[answer.needed :])
    else:
        renderer = Renderer(request.id, flags | FLAG_TC, limit - len(opt))
        renderer.question(question.name, question.rtype, question.rclass)
    if opt:
        renderer.raw(ADDITIONAL, opt)
    return renderer.message()


def _put_rrsets(renderer: Renderer, lines: list[Line]) -> None:
    """Add as many whole RRsets of the additional section as fit."""
    start = 0
    while start < len(lines):
        stop = start + 1
        while stop < len(lines) and lines[stop][:2] == lines[start][:2]:
            stop += 1
        if not renderer.rrset(ADDITIONAL, lines[start:stop]):
            return
        start = stop
