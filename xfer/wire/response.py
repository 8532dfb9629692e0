"""Responses as a client reads them: header, question, EDNS, and where the answers start."""

from __future__ import annotations

from xfer.errors import WireError
from xfer.wire import names
from xfer.wire.codes import opcode_text
from xfer.wire.edns import Edns, read_tail
from xfer.wire.header import Header, Question, parse_header, read_question, skip_record


class Response:
    """header; question: None where the section is empty; answer_offset: of the first record;
    edns: None without OPT, or where the records were not walked."""

    def __init__(
        self, header: Header, question: Question | None, answer_offset: int, edns: Edns | None
    ) -> None:
        self.header = header
        self.question = question
        self.answer_offset = answer_offset
        self.edns = edns

    @property
    def rcode(self) -> int:
        """The RCODE with the upper bits that EDNS holds."""
        high = 0 if self.edns is None else self.edns.rcode_high
        return (high << 4) | self.header.rcode


def parse_response(msg: bytes, walk: bool = True) -> Response:
    """A response.

    walk: step over all records to the exact end, read EDNS and refuse TSIG; without it only header
    and question are read, and the caller, who parses the answers, calls `parse_tail` after them.
    Raises WireError for QR=0, more than one question and whatever cannot be read.
    """
    header = parse_header(msg)
    if not header.qr:
        raise WireError("a response", "a request (QR is not set)", 2)
    if header.qdcount > 1:
        raise WireError("at most one question", f"{header.qdcount}", 4)
    question: Question | None = None
    at = 12
    if header.qdcount:
        question, at = read_question(msg, at)
    edns: Edns | None = None
    if walk:
        tail = read_tail(msg, at, header.ancount + header.nscount, header.arcount)
        if tail.tsig:
            raise WireError("no TSIG beside a verified one", "one")
        edns = tail.edns
    return Response(header, question, at, edns)


def check_response(
    response: Response, id: int, opcode: int, question: Question, *, first: bool = True
) -> None:
    """Whether it answers that request: ID, opcode and question, the name without case.

    first: False for the later messages of a transfer, which may leave out the question (RFC 5936
    §2.2.1); so may every response with an error RCODE: its sender may have read only the
    header.  Raises WireError.
    """
    header = response.header
    if header.id != id:
        raise WireError(f"a response with ID {id}", f"ID {header.id}", 0)
    if header.opcode != opcode:
        raise WireError(
            f"a response to {opcode_text(opcode)}", f"one to {opcode_text(header.opcode)}", 2
        )
    if response.question is None:
        if first and header.rcode == 0:
            raise WireError("the question repeated in the response", "no question", 12)
        return
    if not response.question.same(question):
        raise WireError(
            f"a response about {_text(question)}", f"one about {_text(response.question)}", 12
        )


def _text(question: Question) -> str:
    return f"{names.to_text(question.name)} class {question.rclass} type {question.rtype}"


def soa_serial_of(msg: bytes, response: Response, question: Question) -> int | None:
    """The serial of the SOA that answers an SOA query; None where the answer section has none.

    Looks at the first 64 answers: names in a hostile message may cost 127 jumps each, and an honest
    answer has the SOA and its signatures.  Raises WireError for an SOA that cannot be read.
    """
    wanted = names.lower(question.name)
    at = response.answer_offset
    for _ in range(min(response.header.ancount, 64)):
        rtype, fields, end = skip_record(msg, at)
        if rtype == 6:
            owner, _ = names.read(msg, at)
            if names.lower(owner) == wanted:
                _, after = names.read(msg, fields + 10)
                _, after = names.read(msg, after)
                if after + 20 != end:
                    raise WireError("20 octets after the names of an SOA", f"{end - after}", after)
                return int.from_bytes(msg[after : after + 4], "big")
        at = end
    return None
