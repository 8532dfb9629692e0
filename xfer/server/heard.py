"""What the counters and the rate limit want to know of a request, noted while it is answered."""

from __future__ import annotations

from xfer.answer.options import NOTHING, Offered
from xfer.server.statistics import (
    NAMED_TYPES,
    NO_ANSWER,
    NOTIFY,
    OTHER_OPCODE,
    OTHER_TYPE,
    UNREADABLE,
)
from xfer.wire.request import Kind, Request


class Heard:
    """request: None while unread; options: what its own options got; signed: a TSIG was verified;
    extended: the answer's RCODE where it is above 15, else 0."""

    __slots__ = ("extended", "options", "request", "signed")

    def __init__(self) -> None:
        self.request: Request | None = None
        self.options: Offered = NOTHING
        self.signed = False
        self.extended = 0

    @property
    def genuine(self) -> bool:
        """Whether the address it came from is its sender's."""
        return self.signed or self.options.genuine

    def kind(self) -> int:
        """As `Statistics.count` wants it."""
        request = self.request
        if request is None:
            return UNREADABLE
        if request.kind is Kind.NOTIFY:
            return NOTIFY
        if request.kind is Kind.OTHER:
            return OTHER_OPCODE
        rtype = request.question.rtype
        return rtype if 0 < rtype < NAMED_TYPES else OTHER_TYPE

    def rcode(self, reply: bytes | None) -> int:
        """As `Statistics.count` wants it."""
        if reply is None:
            return NO_ANSWER
        return self.extended or reply[3] & 15
