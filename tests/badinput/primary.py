"""A primary that does exactly what a test tells it: well-formed AXFRs, with faults put in.

A transfer starts as `Draft`s, one a message. A `Fault` changes the draft of one message before it
is signed (a wrong message, rightly signed), how it is signed, its octets afterwards (corruption on
the way), or the whole stream. `Primary` plays one `Script` per connection, over a stream of the
test's or over TCP.

Nothing is compressed unless a fault writes a pointer, so offsets are easily known.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

import attrs
import trio

from xfer.wire import names, tsig_record
from xfer.wire.tsig import FUDGE, Key, verify_request

ORIGIN = names.from_text("example.com.")
AXFR, IN = 252, 1
A, NS, CNAME, SOA, MX, TXT, OPT, RRSIG, NSEC = 1, 2, 5, 6, 15, 16, 41, 46, 47
KEY = Key.from_text("k1.", "hmac-sha256", "c2VjcmV0IG9mIHRoZSB0ZXN0cw==")
OTHER_SECRET = Key.from_text("k1.", "hmac-sha256", "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlcg==")
OTHER_NAME = Key.from_text("k2.", "hmac-sha256", "c2VjcmV0IG9mIHRoZSB0ZXN0cw==")
OTHER_ALGORITHM = Key.from_text("k1.", "hmac-sha512", "c2VjcmV0IG9mIHRoZSB0ZXN0cw==")
NOW = 1_800_000_000  # of the tests' wall clock


def name(text: str) -> bytes:
    """The wire name of a name in the zone, or of an absolute one."""
    return names.from_text(text if text.endswith(".") else f"{text}.example.com.")


def rr(
    owner: bytes, rtype: int, rdata: bytes, *, rclass: int = IN, ttl: int = 3600, size: int = -1
) -> bytes:
    """A record on the wire; size: the RDLENGTH to claim, -1 for the true one."""
    length = len(rdata) if size < 0 else size
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, length) + rdata


def pointer(offset: int) -> bytes:
    """A compression pointer."""
    return struct.pack("!H", 0xC000 | offset)


def soa(serial: int, *, mname: str = "ns1", refresh: int = 3600, ttl: int = 3600) -> bytes:
    """The zone's SOA record."""
    timers = struct.pack("!IIIII", serial, refresh, 600, 604800, 300)
    return rr(ORIGIN, SOA, name(mname) + name("hostmaster") + timers, ttl=ttl)


def host(number: int) -> bytes:
    """The address record of one host."""
    return rr(name(f"host-{number:04d}"), A, struct.pack("!BBH", 10, 0, number))


def zone_records(serial: int, hosts: int) -> list[bytes]:
    """Everything between the two SOAs, and the first of them."""
    return [
        soa(serial),
        rr(ORIGIN, NS, name("ns1")),
        rr(name("ns1"), A, b"\xc0\x00\x02\x01"),
        *(host(number) for number in range(hosts)),
    ]


@attrs.define
class Draft:
    """One message before it is signed.

    counts: section (0 question … 3 additional) → the count to claim instead of the true one;
    tail: octets behind the last record; cut: octets to cut off the end.
    """

    msg_id: int
    flags: int = 0x8400
    questions: list[bytes] = attrs.Factory(list)
    answers: list[bytes] = attrs.Factory(list)
    authority: list[bytes] = attrs.Factory(list)
    additional: list[bytes] = attrs.Factory(list)
    counts: dict[int, int] = attrs.Factory(dict)
    tail: bytes = b""
    cut: int = 0

    def sections(self) -> list[list[bytes]]:
        return [self.questions, self.answers, self.authority, self.additional]

    def wire(self) -> bytes:
        """The message's octets."""
        counts = [self.counts.get(i, len(section)) for i, section in enumerate(self.sections())]
        head = struct.pack("!HHHHHH", self.msg_id, self.flags, *counts)
        whole = b"".join([head, *(r for section in self.sections() for r in section), self.tail])
        return whole[: len(whole) - self.cut]

    def offset(self, index: int) -> int:
        """Where answer record `index` starts."""
        return 12 + sum(map(len, self.questions)) + sum(map(len, self.answers[:index]))

    def put(self, record: bytes) -> None:
        """Put a record after the message's first: behind the opening SOA, before the closing."""
        self.answers.insert(1, record)

    def put_at(self, make: Callable[[int], bytes]) -> None:
        """As `put`; `make` gets the offset at which its record will stand."""
        self.put(make(self.offset(1)))


@attrs.frozen
class Signature:
    """How one message is signed; key None: not at all."""

    key: Key | None
    time: int


@attrs.frozen
class Pause:
    """Send nothing more, and leave the connection open."""


Piece = bytes | Pause
Edit = Callable[[Draft], None]
Transit = Callable[[bytes], bytes]
Stream = Callable[[list[bytes]], Iterable[Piece]]


@attrs.frozen
class Fault:
    """What is wrong with one message, or with the stream. Any part may be absent.

    edit: of the draft; whole: of all drafts; signature: instead of the right one; transit: of the
    signed message; stream: of all framed messages.
    """

    edit: Edit | None = None
    whole: Callable[[list[Draft]], None] | None = None
    signature: Callable[[Signature], Signature] | None = None
    transit: Transit | None = None
    stream: Stream | None = None


SOUND = Fault()


@attrs.frozen
class Script:
    """One answer to one AXFR request.

    serial: of the zone; messages: how many carry it, three records each; fault: what is wrong with
    message `at` (from 0), or with all of them where `at` is None; signed: which messages are, all
    by default; opt: each message has an OPT, as BIND and Knot send it.
    """

    serial: int
    messages: int = 5
    fault: Fault = SOUND
    at: int | None = None
    signed: Callable[[int], bool] = lambda _: True
    opt: bool = False

    def concerned(self, index: int) -> bool:
        return self.at is None or self.at == index

    def drafts(self, msg_id: int, question: bytes) -> list[Draft]:
        """The transfer before it is signed."""
        records = zone_records(self.serial, 3 * self.messages - 3)
        drafts = [Draft(msg_id, answers=records[3 * i : 3 * i + 3]) for i in range(self.messages)]
        drafts[0].questions.append(question)
        drafts[-1].answers.append(soa(self.serial))
        if self.opt:
            for draft in drafts:
                draft.additional.append(rr(b"\0", OPT, b"", rclass=1232, ttl=0))
        if self.fault.whole is not None:
            self.fault.whole(drafts)
        if self.fault.edit is not None:
            for index, draft in enumerate(drafts):
                if self.concerned(index):
                    self.fault.edit(draft)
        return drafts

    def pieces(self, msg_id: int, question: bytes, signer: Signer | None) -> list[Piece]:
        """What is sent; messages stand together in one piece unless the stream's fault differs."""
        framed = list(self._messages(msg_id, question, signer))
        if self.fault.stream is not None:
            return list(self.fault.stream(framed))
        return [b"".join(framed)]

    def _messages(self, msg_id: int, question: bytes, signer: Signer | None) -> Iterator[bytes]:
        fault = self.fault
        for index, draft in enumerate(self.drafts(msg_id, question)):
            wire = draft.wire()
            if signer is not None:
                signature = Signature(signer.key if self.signed(index) else None, signer.now)
                if fault.signature is not None and self.concerned(index):
                    signature = fault.signature(signature)
                wire = signer.sign(wire, signature)
            if fault.transit is not None and self.concerned(index):
                wire = fault.transit(wire)
            yield struct.pack("!H", len(wire)) + wire


class Signer:
    """Signs a stream as RFC 8945 §5.3.1 says, and as a test wants it to be wrong.

    The octets of messages left unsigned enter the next MAC.
    """

    def __init__(self, key: Key, request_mac: bytes, now: int = NOW) -> None:
        self.key = key
        self.now = now
        self._prior = tsig_record.prefixed(request_mac)
        self._unsigned = b""
        self._signed = 0

    def sign(self, wire: bytes, signature: Signature) -> bytes:
        key = signature.key
        if key is None:
            self._unsigned += wire
            return wire
        mac = key.start()
        mac.update(self._prior + self._unsigned + wire)
        timers = tsig_record.time_bytes(signature.time) + struct.pack("!H", FUDGE)
        mac.update(timers if self._signed else key.variables + timers + b"\0\0\0\0")
        digest = mac.digest()[: key.algorithm.mac_size]
        self._prior = tsig_record.prefixed(digest)
        self._unsigned = b""
        self._signed += 1
        original_id = int.from_bytes(wire[:2], "big")
        record = tsig_record.build(key, signature.time, FUDGE, digest, original_id, 0, b"")
        return tsig_record.append(wire, record)


@attrs.define(eq=False)
class Primary:
    """Answers AXFR requests, each with the next script; the last one is repeated.

    keys: what it knows; now: its wall clock; endless: instead of a script's pieces, call this with
    what `Script.pieces` is called with and send what it yields until the other side goes away.
    """

    scripts: Sequence[Script]
    keys: Sequence[Key] = (KEY,)
    now: Callable[[], float] = lambda: NOW
    endless: Callable[[int, bytes, Signer | None], Iterator[Piece]] | None = None
    delay: float = 0.0
    asked: int = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection: one request, one script; closes it."""
        async with stream:
            try:
                await self._answer(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the other side has seen enough

    async def _answer(self, stream: trio.abc.Stream) -> None:
        size = int.from_bytes(await _exactly(stream, 2), "big")
        request = await _exactly(stream, size)
        now = int(self.now())
        verified = verify_request(request, {key.name: key for key in self.keys}, now)
        signer = Signer(verified.key, verified.mac, now) if verified.key is not None else None
        message = verified.message
        end = names.read(message, 12)[1] + 4
        msg_id = int.from_bytes(message[:2], "big")
        script = self.scripts[min(self.asked, len(self.scripts) - 1)]
        self.asked += 1
        pieces = self.endless if self.endless is not None else script.pieces
        for piece in pieces(msg_id, message[12:end], signer):
            if isinstance(piece, Pause):
                await trio.sleep_forever()
            else:
                await stream.send_all(piece)
                if self.delay:
                    await trio.sleep(self.delay)


async def _exactly(stream: trio.abc.Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise trio.BrokenResourceError("closed within a request")
        data += more
    return data


class TcpPrimary(Primary):
    """The primary on a TCP port of its own, in a thread, while the block lasts."""

    address = "127.0.0.1"

    def __init__(self, scripts: Sequence[Script], keys: Sequence[Key] = (KEY,)) -> None:
        super().__init__(scripts, keys, time.time)
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self._stop: Callable[[], None] = lambda: None

    def play(self, *scripts: Script) -> None:
        """From the next request on."""
        self.scripts, self.asked = scripts, 0

    async def _main(self) -> None:
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._stop = lambda: token.run_sync_soon(nursery.cancel_scope.cancel)
            listeners = await trio.open_tcp_listeners(0, host=self.address)
            self.port = listeners[0].socket.getsockname()[1]
            self._ready.set()
            await trio.serve_listeners(self.serve, listeners)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join()
