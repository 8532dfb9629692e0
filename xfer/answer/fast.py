"""The short way from a datagram to its answer, for plain queries (`xfer.answer.plain`).

    the same octets were asked before       their answer, under the new ID
    the same question, in any case of       its answer without an OPT, with the question and the
    letters, with any cookie                OPT of this query
    else                                    look it up, make the second, of that the first

An answer is made for the lower-case question and then given the question in its own case: owners
equal to it are pointers to it, names that end as it does follow its case there (RFC 4343 §4.1).

Whoever cannot be answered so (no such zone, an access list, no version, a cookie that is malformed)
gets None here, and takes the long way. Times are arguments; both ways give the same answers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from xfer.answer.kept import Cache, Kept, Lease, Tally
from xfer.answer.lookup import look_up
from xfer.answer.plain import Plain, read_plain
from xfer.answer.respond import Responder, render
from xfer.errors import SigningBusy
from xfer.wire.codes import FLAG_AA, FLAG_QR, FLAG_RD, FLAG_TC
from xfer.wire.edns import Edns
from xfer.wire.header import Question
from xfer.wire.request import Kind, Request

MIN_UDP: Final = 512
_WHOLE: Final = 65_535
_COOKIE_HEAD: Final = 4  # octets of an option before its data
_NAMED_TYPES: Final = 260  # types below are counted each by itself (`xfer.server.statistics`)
_DO: Final = 0x80
SHARE: Final = 2  # of the memory, one part in so many is for answers by their octets


class Service:
    """What a zone is answered from, until its lease ends. open: whether anybody may ask."""

    def __init__(self, responder: Responder, lease: Lease, open: bool) -> None:
        self.responder = responder
        self.lease = lease
        self.open = open


Find = Callable[[bytes, int], Service | None]
Check = Callable[[bytes, bytes], bytes | None]


class Fast:
    """Answers plain queries.

    find: what answers a question (lower-case name, type), None where the long way is to say that;
    check: the data of our COOKIE option for a client's (its data, the client's address of 4 or 16
    octets), None where it is malformed; cookies: whether we have cookies at all; payload: the
    largest answer, and what our OPT offers; budget: octets for answers that are kept.
    """

    def __init__(self, find: Find, check: Check, payload: int, budget: int) -> None:
        self._find = find
        self._check = check
        self._payload = payload
        self.cookies = True
        self._asked = Cache(budget // SHARE)
        self._made = Cache(budget - budget // SHARE)
        self._opts: dict[int, bytes] = {}
        self._kinds: dict[int, Tally] = {}
        self._zones: dict[bytes, Tally] = {}
        self.set(payload, budget)

    def set(self, payload: int, budget: int) -> None:
        """Other settings; all that was kept is forgotten."""
        self._payload = payload
        self._asked.resize(budget // SHARE)
        self._made.resize(budget - budget // SHARE)
        self._opts = {
            0: Edns(0, payload).build(),
            1: Edns(0, payload, True).build(),
            2: Edns(0, payload, True, co=True).build(),
        }

    def forget(self) -> None:
        """Drop all that was kept: which zones there are has changed."""
        self._asked.clear()
        self._made.clear()
        self._zones = {origin: tally for origin, tally in self._zones.items() if tally.count}

    def again(self, message: bytes, now: float) -> bytes | None:
        """The answer to octets that were asked before; now: monotonic seconds."""
        kept = self._asked.get(message[2:], now)
        if kept is None:
            return None
        kept.given()
        return message[:2] + kept.body

    def answer(self, message: bytes, client: bytes, now: float) -> bytes | None:
        """The answer to a plain query, None for the long way.

        client: its address, 4 or 16 octets; now: monotonic seconds.
        """
        query = read_plain(message)
        if query is None:
            return None
        kept: Kept | None = None
        busy = False
        try:
            kept = self._kept(query, now)
        except SigningBusy:
            busy = True
        if kept is None and not busy:
            return None
        opt = b""
        if query.edns:
            opt = self._opts[_wants(query)]
        if query.cookie is not None and self.cookies:
            data = self._check(query.cookie, client)
            if data is None:
                return None
            length = _COOKIE_HEAD + len(data)
            opt = opt[:9] + struct.pack(">HHH", length, 10, len(data)) + data
        if kept is None:
            return self._over_tcp(message, query, opt)
        room = min(max(query.payload, MIN_UDP), max(self._payload, MIN_UDP))
        body = kept.body
        if 2 + len(body) + len(opt) <= room:
            rest = query.end - 2
            reply = b"".join(
                (
                    message[:2],
                    body[:1] if not query.rd else bytes((body[0] | 1,)),
                    body[1:9],
                    b"\0" if opt == b"" and body[9] == 0 else bytes((body[9] + (opt != b""),)),
                    message[12 : query.end],
                    body[rest:],
                    opt,
                )
            )
        elif query.cookie is None:
            reply = self._cut(message, query, room)
            if reply == b"":
                return None
        else:
            return None
        kept.given()
        if query.cookie is None:
            self._asked.put(message[2:], Kept(kept.lease, kept.kind, kept.zone, reply[2:]))
        return reply

    def drain(self) -> tuple[dict[int, int], dict[bytes, int]]:
        """How many answers were given since the last time, by type and RCODE as the statistics
        have them, and by zone."""
        kinds: dict[int, int] = {}
        zones: dict[bytes, int] = {}
        for key, tally in self._kinds.items():
            if tally.count:
                kinds[key] = tally.count
                tally.count = 0
        for origin, tally in self._zones.items():
            if tally.count:
                zones[origin] = tally.count
                tally.count = 0
        return kinds, zones

    def _kind(self, rtype: int, rcode: int) -> Tally:
        """The counter of such answers."""
        kind = rtype if 0 < rtype < _NAMED_TYPES else _NAMED_TYPES
        key = kind << 6 | rcode << 1
        tally = self._kinds.get(key)
        if tally is None:
            tally = Tally()
            self._kinds[key] = tally
        return tally

    def _zone(self, origin: bytes) -> Tally:
        """The counter of a zone's answers."""
        tally = self._zones.get(origin)
        if tally is None:
            tally = Tally()
            self._zones[origin] = tally
        return tally

    def _kept(self, query: Plain, now: float) -> Kept | None:
        """The whole answer without an OPT, to the question in lower case."""
        rtype = query.rtype
        key = query.name + bytes((rtype >> 8, rtype & 255, _wants(query)))
        kept = self._made.get(key, now)
        if kept is not None:
            return kept
        service = self._find(query.name, rtype)
        if service is None or not service.open or now >= service.lease.until:
            return None
        responder = service.responder
        answer = look_up(responder.reader, query.name, rtype, query.do, responder.denial, query.co)
        body = render(_request(query, query.name), answer, _WHOLE, None)
        zone = self._zone(responder.snapshot.origin)
        kept = Kept(service.lease, self._kind(rtype, body[3] & 15), zone, body[2:])
        if body[2] & 2 or body[10] != 0 or body[11] == 255:
            return None  # more than a message holds, or than one octet counts
        self._made.put(key, kept)
        return kept

    def _over_tcp(self, message: bytes, query: Plain, opt: bytes) -> bytes:
        """TC, for what would have to be signed when as much is signed as may be: whoever comes back
        over TCP has an address of its own, and no more connections than it may have."""
        service = self._find(query.name, query.rtype)
        if service is not None:
            self._kind(query.rtype, 0).count += 1
            self._zone(service.responder.snapshot.origin).count += 1
        flags = FLAG_QR | FLAG_AA | FLAG_TC | (FLAG_RD if query.rd else 0)
        return b"".join(
            (
                message[:2],
                struct.pack(">HHHHH", flags, 1, 0, 0, 1 if opt else 0),
                message[12 : query.end],
                opt,
            )
        )

    def _cut(self, message: bytes, query: Plain, room: int) -> bytes:
        """The answer of which not all fits; b"" for the long way."""
        service = self._find(query.name, query.rtype)
        if service is None:
            return b""
        edns = Edns(0, self._payload, query.do, co=query.co) if query.edns else None
        request = _request(query, message[12 : query.end - 4])
        request.id = message[0] << 8 | message[1]
        request.rd = query.rd
        try:
            return service.responder.respond(request, room, edns)
        except SigningBusy:
            return b""


def _wants(query: Plain) -> int:
    """0 without DNSSEC, 1 with it, 2 with compact answers."""
    if query.co:
        return 2
    return 1 if query.do else 0


def _request(query: Plain, name: bytes) -> Request:
    question = Question(name, query.rtype, 1)
    return Request(0, Kind.QUERY, 0, False, question, None, None, None, False)
