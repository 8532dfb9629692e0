"""Asking a zone's parent for its DS: UDP, then TCP, each of the parent's servers (RFC 1035 §4.2).

Whoever can make us believe that a DS has come or gone has us remove keys that validators need, so:
a port of its own for each try, a random ID, the question compared, and everything else passed over;
after STRAYS messages that are none of ours somebody may be guessing, and TCP is asked (RFC 5452).
RD is set, as one of the servers may be a resolver; DO is not, as nothing is validated here.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Awaitable, Callable, Sequence

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.config_dnssec import DnssecPolicy
from xfer.config_parse import Endpoint
from xfer.dnssec.parent import DsAnswer, ParentSaid, ServerSaid, agreed, read_ds
from xfer.errors import Failure, TransferError
from xfer.server.lanes import Lanes
from xfer.server.soa import TCP, SoaTries, ask_tcp, unanswered
from xfer.server.target import (
    Dial,
    Target,
    dial_tcp,
    system_text,
    transport_error,
    udp_socket,
)
from xfer.wire import names
from xfer.wire.header import Question
from xfer.wire.message import Edns, make_query
from xfer.wire.records import DS

log = structlog.get_logger()

TRIES = SoaTries(timeouts=(2.0, 3.0, 5.0), tcp=TCP)  # a resolver may have to ask others first
STRAYS = 16  # messages passed over in one try
LARGEST = 4096  # octets of an answer over UDP; more than our OPT allows
ROOT = b"\0"

AskServer = Callable[[Target, bytes], Awaitable[DsAnswer]]
"""Asks one server for the DS of a zone. Raises TransferError."""


class DsExchange:
    """One question for a zone's DS; reads the answers to it. source: our own address."""

    def __init__(self, target: Target, origin: bytes, rng: random.Random) -> None:
        self.target = target
        self.origin = names.lower(origin)
        self.source = target.source or ""
        self.id = 0
        self._rng = rng
        self._question = Question(self.origin, DS).build()

    def request(self) -> bytes:
        """A fresh request; answers to earlier ones count no more."""
        self.id = self._rng.getrandbits(16)
        return make_query(self.id, self.origin, DS, Edns(), rd=True)

    def is_ours(self, message: bytes) -> bool:
        """Whether the octets may be an answer to the last request. An error may leave out the
        question (RFC 1035 §7.3)."""
        if len(message) < 12 or message[2] < 0x80:
            return False
        id, count = struct.unpack_from("!H2xH", message)
        if id != self.id:
            return False
        if count == 0:
            return message[3] & 15 != 0
        asked = self._question
        return bool(count == 1 and message[12 : 12 + len(asked)].lower() == asked.lower())

    def read(self, message: bytes) -> DsAnswer | None:
        """What it says; None for a truncated answer. Raises TransferError."""
        return read_ds(message, self.id, self.origin)


async def ask_server(
    target: Target,
    origin: bytes,
    *,
    rng: random.Random,
    tries: SoaTries = TRIES,
    dial: Dial = dial_tcp,
) -> DsAnswer:
    """Ask one server for the zone's DS. Raises TransferError with target and source in it."""
    exchange = DsExchange(target, origin, rng)
    unreached: TransferError | None = None
    try:
        answer = None
        try:
            answer = await _ask_udp(exchange, tries.timeouts)
        except TransferError as error:
            if error.failure is not Failure.TRANSPORT or tries.tcp is None:
                raise
            unreached = error
        if answer is not None:
            return answer
        try:
            return await ask_tcp(exchange, tries.tcp or TCP, dial)
        except TransferError as error:
            if unreached is not None and error.failure is Failure.TRANSPORT:
                raise unreached from error
            raise
    except TransferError as error:
        error.peer = target.text(exchange.source)
        raise


async def _ask_udp(exchange: DsExchange, timeouts: tuple[float, ...]) -> DsAnswer | None:
    """None where TCP has to be asked: the answer was truncated, or hides among others."""
    target = exchange.target
    for timeout in timeouts:
        try:
            async with udp_socket(target) as sock:
                exchange.source = str(sock.getsockname()[0])
                await sock.send(exchange.request())
                with trio.move_on_after(timeout):
                    for _ in range(STRAYS):
                        message = await sock.recv(LARGEST)
                        if exchange.is_ours(message):
                            return exchange.read(message)
                    return None
        except OSError as error:
            raise transport_error(target, "an answer over UDP", system_text(error)) from error
    raise unanswered(target, timeouts)


async def ask_parent(
    origin: bytes,
    servers: Sequence[Endpoint],
    *,
    clock: Clock,
    rng: random.Random,
    tries: SoaTries = TRIES,
    dial: Dial = dial_tcp,
    ask: AskServer | None = None,
) -> ParentSaid:
    """Ask all of the servers at once for the zone's DS: what they agree on, or why nothing counts.

    origin: wire name; servers: the parent's, or resolvers; ask: in place of asking each directly.
    Raises nothing of its own.
    """

    async def direct(target: Target, origin: bytes) -> DsAnswer:
        return await ask_server(target, origin, rng=rng, tries=tries, dial=dial)

    if origin == ROOT:
        return ParentSaid(None, "the root has no parent")
    endpoints = list(dict.fromkeys(servers))
    said: list[ServerSaid | None] = [None] * len(endpoints)

    async def one(number: int, target: Target) -> None:
        said[number] = await _said(target, origin, ask or direct)

    async with trio.open_nursery() as nursery:
        for number, endpoint in enumerate(endpoints):
            nursery.start_soon(one, number, Target(str(endpoint.address), endpoint.port))
    return agreed([one for one in said if one is not None], clock.wall())


async def _said(target: Target, origin: bytes, ask: AskServer) -> ServerSaid:
    server = target.text()
    try:
        return ServerSaid(server, await ask(target, origin))
    except TransferError as error:
        return ServerSaid(server, error=error)
    except Exception as error:
        # A mistake of ours with one answer must not take the daemon down.
        problem = f"{type(error).__name__}: {error}"
        log.error("internal error", zone=names.to_text(origin), error=problem, exc_info=error)
        failure = TransferError(Failure.POLICY, "no internal error", problem, peer=server)
        return ServerSaid(server, error=failure)


@attrs.define(eq=False)
class _Turn:
    """One question that waits for its turn."""

    begun: trio.Event = attrs.Factory(trio.Event)
    late: bool = False
    dropped: bool = False


class ParentWatch:
    """Asks parents for all zones, so many questions at once, a quarter of them to one server."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        total: int = 32,
        *,
        tries: SoaTries = TRIES,
        dial: Dial = dial_tcp,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._tries = tries
        self._dial = dial
        self._lanes: Lanes[_Turn] = Lanes(total, _each(total), self._start)

    def resize(self, total: int) -> None:
        """How many questions may be out at once, from now on."""
        self._lanes.resize(total, _each(total))

    @property
    def waiting(self) -> int:
        """How many questions wait for their turn."""
        return self._lanes.waiting

    async def ask(self, origin: bytes, policy: DnssecPolicy) -> ParentSaid:
        """Ask the policy's servers for the zone's DS, once it is their turn."""
        return await ask_parent(
            origin, policy.parent, clock=self._clock, rng=self._rng, ask=self._in_turn
        )

    def _start(self, turn: _Turn, late: bool) -> bool:
        if turn.dropped:
            return False
        turn.late = late
        turn.begun.set()
        return True

    async def _in_turn(self, target: Target, origin: bytes) -> DsAnswer:
        lane = target.text()
        turn = _Turn()
        answered = False
        try:
            self._lanes.add(lane, turn)
            await turn.begun.wait()
            try:
                answer = await ask_server(
                    target, origin, rng=self._rng, tries=self._tries, dial=self._dial
                )
            except TransferError as error:
                answered = error.failure is not Failure.TRANSPORT
                raise
            answered = True
            return answer
        finally:
            turn.dropped = True
            if turn.begun.is_set():
                self._lanes.done(lane, turn.late, answered)


def _each(total: int) -> int:
    return max(1, total // 4)
