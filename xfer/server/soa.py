"""Asking a server for the SOA of a zone: UDP, then TCP (RFC 1035 §4.2, RFC 7766)."""

from __future__ import annotations

import random
import struct
from collections.abc import Awaitable, Callable, Container
from typing import Protocol, TypeVar

import attrs
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError, TsigError, WireError
from xfer.server.framing import unverified
from xfer.server.target import (
    Dial,
    Target,
    connect,
    dial_tcp,
    system_text,
    transport_error,
    udp_socket,
)
from xfer.transfer.envelope import HINTS
from xfer.wire import names
from xfer.wire.codes import OPCODE_QUERY, rcode_text
from xfer.wire.message import (
    Edns,
    Question,
    check_response,
    expire_of,
    expire_request,
    make_query,
    parse_response,
    soa_serial_of,
)
from xfer.wire.tsig import ResponseVerifier, sign_request

SOA = 6
TCP = 10.0  # seconds
_EDNS = Edns(options=[expire_request()])


@attrs.frozen
class SoaAnswer:
    """What the server said. serial: of its SOA; expire: the EXPIRE option in seconds (RFC 7314),
    None without one; source: the address we asked from; seconds: until the answer came."""

    serial: int
    expire: int | None
    source: str
    seconds: float


@attrs.frozen
class SoaTries:
    """timeouts: seconds to wait for each UDP try in turn; tcp: seconds for a TCP exchange where
    UDP brings no answer, None for no such exchange."""

    timeouts: tuple[float, ...] = (1.0, 2.0, 4.0)
    tcp: float | None = TCP


async def soa_query(
    target: Target,
    origin: bytes,
    *,
    clock: Clock,
    rng: random.Random,
    tries: SoaTries | None = None,
    over_tcp: bool = False,
    dial: Dial = dial_tcp,
    ask_udp: AskUdp | None = None,
) -> SoaAnswer:
    """Ask for the zone's SOA. Raises TransferError with target and source in it.

    ask_udp: in place of a socket for this query alone.
    """
    tries = tries or SoaTries()
    start = trio.current_time()
    unreached: TransferError | None = None
    exchange = Exchange(target, origin, clock, rng)
    try:
        answer = None
        if not over_tcp:
            try:
                answer = await (ask_udp or _ask_udp)(exchange, tries.timeouts)
            except TransferError as error:
                if error.failure is not Failure.TRANSPORT or tries.tcp is None:
                    raise
                # A firewall may let only TCP through, which transfers need anyway.
                unreached = error
        if answer is None:
            try:
                answer = await ask_tcp(exchange, tries.tcp or TCP, dial)
            except TransferError as error:
                if unreached is not None and error.failure is Failure.TRANSPORT:
                    raise unreached from error
                raise
    except TransferError as error:
        error.peer = target.text(exchange.source)
        raise
    serial, expire = answer
    return SoaAnswer(serial, expire, exchange.source, trio.current_time() - start)


class Exchange:
    """One question with its ID and MAC; reads the answers to it. source: our own address."""

    def __init__(self, target: Target, origin: bytes, clock: Clock, rng: random.Random) -> None:
        self.target = target
        self.question = Question(origin, SOA)
        self.source = target.source or ""
        self.id = 0
        self._clock = clock
        self._rng = rng
        self._mac = b""

    def request(self, taken: Container[int] = ()) -> bytes:
        """A fresh request, its ID none of `taken`; answers to earlier ones count no more."""
        self.id = self._rng.getrandbits(16)
        while self.id in taken:
            self.id = self._rng.getrandbits(16)
        query = make_query(self.id, self.question.name, SOA, _EDNS, None)
        if self.target.key is not None:
            query, self._mac = sign_request(query, self.target.key, int(self._clock.wall()))
        return query

    def is_ours(self, message: bytes) -> bool:
        """Whether the octets may be an answer to the last request; others are passed over."""
        return (
            len(message) >= 12
            and message[:2] == struct.pack("!H", self.id)
            and (message[2] >= 0x80)
        )

    def read(self, message: bytes) -> tuple[int, int | None] | None:
        """(serial, EXPIRE option); None for a truncated answer. Raises TransferError."""
        target = self.target
        if target.key is not None:
            verifier = ResponseVerifier(target.key, self._mac, 0)
            try:
                message = verifier.feed(message, int(self._clock.wall()))
                verifier.finish()
            except TsigError as error:
                raise unverified(message, error) from error
        try:
            response = parse_response(message)
            check_response(response, self.id, OPCODE_QUERY, self.question)
            if response.rcode != 0:
                raise TransferError(
                    Failure.DENIED,
                    f"rcode NOERROR for {self._name} SOA",
                    f"rcode {rcode_text(response.rcode)}",
                    hint=HINTS.get(response.rcode, ""),
                )
            if response.header.tc:
                return None
            serial = soa_serial_of(message, response, self.question)
            expire = expire_of(response.edns)
        except WireError as error:
            raise TransferError(Failure.PROTOCOL, error.expected, error.got) from error
        if serial is None:
            raise TransferError(
                Failure.DENIED,
                f"the SOA of {self._name}",
                "an answer without it",
                hint="it is not authoritative for the zone",
            )
        if not response.header.aa:
            raise TransferError(
                Failure.DENIED,
                f"an authoritative answer for {self._name} SOA (AA set)",
                "one without AA",
                hint="it is not authoritative for the zone, or its copy has expired",
            )
        return serial, expire

    @property
    def _name(self) -> str:
        return names.to_text(self.question.name)


Read = TypeVar("Read", covariant=True)


class Asked(Protocol[Read]):
    """A question to one server, like `Exchange`: what it asks, and what an answer says."""

    target: Target
    source: str

    def request(self) -> bytes: ...

    def is_ours(self, message: bytes) -> bool: ...

    def read(self, message: bytes) -> Read | None: ...


AskUdp = Callable[[Exchange, tuple[float, ...]], Awaitable[tuple[int, int | None] | None]]
"""Asks once for each timeout, in seconds: (serial, EXPIRE option), None for a truncated answer.
Raises TransferError."""


def unanswered(target: Target, timeouts: tuple[float, ...]) -> TransferError:
    """No try over UDP has been answered."""
    return transport_error(
        target,
        f"an answer over UDP to one of {len(timeouts)} queries",
        f"none within {sum(timeouts):g} s",
    )


async def _ask_udp(
    exchange: Exchange, timeouts: tuple[float, ...]
) -> tuple[int, int | None] | None:
    """None where the answer was truncated."""
    target = exchange.target
    try:
        async with udp_socket(target) as sock:
            exchange.source = str(sock.getsockname()[0])
            for timeout in timeouts:
                await sock.send(exchange.request())
                with trio.move_on_after(timeout):
                    while True:
                        message = await sock.recv(65535)
                        if exchange.is_ours(message):
                            return exchange.read(message)
    except OSError as error:
        raise transport_error(target, "an answer over UDP", system_text(error)) from error
    raise unanswered(target, timeouts)


async def ask_tcp(exchange: Asked[Read], timeout: float, dial: Dial) -> Read:
    """One exchange over a TCP connection of its own, in `timeout` seconds (and as many to connect).
    Raises TransferError."""
    target = exchange.target
    connection = await connect(target, dial, timeout)
    exchange.source = connection.source
    buffer = b""
    async with connection.stream as stream:
        with trio.move_on_after(timeout):
            try:
                request = exchange.request()
                await stream.send_all(struct.pack("!H", len(request)) + request)
                while len(buffer) < 2 or len(buffer) < 2 + (buffer[0] << 8 | buffer[1]):
                    data = await stream.receive_some(65537)
                    if not data:
                        raise transport_error(
                            target, "an answer over TCP", f"closed after {len(buffer)} octets"
                        )
                    buffer += data
            except (OSError, trio.BrokenResourceError) as error:
                raise transport_error(target, "an answer over TCP", broken_text(error)) from error
            message = buffer[2 : 2 + (buffer[0] << 8 | buffer[1])]
            if not exchange.is_ours(message):
                raise TransferError(
                    Failure.PROTOCOL, "an answer with our ID over TCP", "another message"
                )
            answer = exchange.read(message)
            if answer is None:
                raise TransferError(
                    Failure.PROTOCOL, "a whole answer over TCP", "a truncated one (TC set)"
                )
            return answer
    raise transport_error(
        target, f"an answer over TCP within {timeout:g} s", f"{len(buffer)} octets"
    )


def broken_text(error: BaseException) -> str:
    """What broke a stream: the system's words where it gave any."""
    cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
    return system_text(cause) if isinstance(cause, OSError) else "a broken connection"
