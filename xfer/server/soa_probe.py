"""SOA queries over shared UDP sockets: no socket, no task and no timer for each.

Queries to one address and port from one source go over a few sockets at a time, each with a random
port of the system's; one of them is picked at random, and after ROTATE queries, or ROTATE_AFTER
seconds, another takes its place. An answer counts where it comes from the address asked (the
sockets are connected), with the random ID of a query that waits on that very socket, and with its
question; a TSIG is verified where there is a key. So who sees no packets has to guess as much as
with a socket for each query (RFC 5452 §4), and everything else is passed over.
"""

from __future__ import annotations

import heapq
import random
import socket
import struct
from collections.abc import Callable

import attrs
import trio

from xfer.clock import Clock
from xfer.errors import TransferError
from xfer.server.soa import Exchange, SoaAnswer, SoaTries, soa_query, unanswered
from xfer.server.target import Dial, Target, dial_tcp, system_text, transport_error

SOCKET_BITS = 2
SOCKETS = 1 << SOCKET_BITS  # open for new queries to one address
ROTATE = 2000  # queries
ROTATE_AFTER = 10.0  # seconds
STEP = 0.1  # seconds between two looks at what has timed out; no timeout is shorter
BATCH = 8  # answers read from one socket between two looks at the event loop
LARGEST = 4096  # octets of an answer; more than our OPT allows
BUFFER = 1 << 20  # octets that the kernel may hold of answers to one socket

Came = Callable[["SoaAnswer | TransferError | None"], None]
"""Called once, in the event loop, with what came of a query; None for a truncated answer."""


@attrs.define(eq=False)
class Query:
    """One query that waits for its answer. lost: called for each try that was not answered."""

    exchange: Exchange
    timeouts: tuple[float, ...]
    came: Came
    lost: Callable[[], None] | None
    asked: bytes  # the question as it is in the answer, lower case
    start: float
    socket: _Socket | None = None
    step: int = 0
    deadline: float = 0.0

    def cancel(self) -> None:
        """Nobody waits for it any more; `came` is not called."""
        if self.socket is not None:
            self.socket.queries.pop(self.exchange.id, None)
            self.socket = None


@attrs.define(eq=False)
class _Socket:
    """queries: by ID, all that wait for an answer on it; until: when it takes no new ones."""

    socket: socket.socket
    source: str
    until: float
    sent: int = 0
    queries: dict[int, Query] = attrs.Factory(dict)


@attrs.define(eq=False)
class SoaProber:
    """nursery: its sockets are read there. They are closed STEP after their last query has ended
    and ROTATE_AFTER has passed."""

    nursery: trio.Nursery
    clock: Clock
    rng: random.Random
    _open: dict[tuple[str, int, str | None], list[_Socket]] = attrs.Factory(dict)
    _retired: list[_Socket] = attrs.Factory(list)
    _heap: list[tuple[float, int, Query]] = attrs.Factory(list)
    _number: int = 0
    _timing: bool = False

    async def ask(
        self,
        target: Target,
        origin: bytes,
        *,
        clock: Clock,
        rng: random.Random,
        tries: SoaTries | None = None,
        over_tcp: bool = False,
        dial: Dial = dial_tcp,
    ) -> SoaAnswer:
        """`soa_query`, over the shared sockets."""
        return await soa_query(
            target,
            origin,
            clock=clock,
            rng=rng,
            tries=tries,
            over_tcp=over_tcp,
            dial=dial,
            ask_udp=self._ask,
        )

    def send(
        self,
        target: Target,
        origin: bytes,
        timeouts: tuple[float, ...],
        came: Came,
        lost: Callable[[], None] | None = None,
    ) -> Query:
        """Ask, over UDP alone. Raises TransferError where no socket can be had; `came` is never
        called before this returns."""
        return self._start(Exchange(target, origin, self.clock, self.rng), timeouts, came, lost)

    async def _ask(
        self, exchange: Exchange, timeouts: tuple[float, ...]
    ) -> tuple[int, int | None] | None:
        task = trio.lowlevel.current_task()
        result: list[SoaAnswer | TransferError | None] = []

        def came(answer: SoaAnswer | TransferError | None) -> None:
            result.append(answer)
            trio.lowlevel.reschedule(task)

        query = self._start(exchange, timeouts, came, None)

        def abort(_: object) -> trio.lowlevel.Abort:
            query.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        (answer,) = result
        if isinstance(answer, TransferError):
            raise answer
        return None if answer is None else (answer.serial, answer.expire)

    # -- sending

    def _start(
        self,
        exchange: Exchange,
        timeouts: tuple[float, ...],
        came: Came,
        lost: Callable[[], None] | None,
    ) -> Query:
        now = trio.current_time()
        asked = exchange.question.build().lower()
        query = Query(exchange, timeouts, came, lost, asked, now)
        self._send(query, now)
        if not self._timing:
            self._timing = True
            self.nursery.start_soon(self._time)
        return query

    def _send(self, query: Query, now: float) -> None:
        """One try: a socket, an ID, a request, and the time until which to wait."""
        exchange = query.exchange
        target = exchange.target
        try:
            used = self._socket(target, now)
        except OSError as error:
            raise transport_error(target, "an answer over UDP", system_text(error)) from error
        exchange.source = used.source
        request = exchange.request(used.queries)
        query.socket = used
        used.queries[exchange.id] = query
        used.sent += 1
        query.deadline = now + query.timeouts[query.step]
        self._number += 1
        heapq.heappush(self._heap, (query.deadline, self._number, query))
        try:
            used.socket.send(request)
        except OSError:
            # No room, or an ICMP error of an earlier query, which the reader does not see then;
            # as good as lost, and sent again.
            return

    def _socket(self, target: Target, now: float) -> _Socket:
        key = target.address, target.port, target.source
        sockets = self._open.setdefault(key, [])
        if len(sockets) == SOCKETS:
            at = self.rng.getrandbits(SOCKET_BITS)
            used = sockets[at]
            if used.sent < ROTATE and now < used.until:
                return used
            self._retired.append(sockets.pop(at))
        sockets.append(self._connect(target, now))
        return sockets[-1]

    def _connect(self, target: Target, now: float) -> _Socket:
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            if target.source is not None:
                sock.bind((target.source, 0))
            sock.connect((target.address, target.port))
            used = _Socket(sock, str(sock.getsockname()[0]), now + ROTATE_AFTER)
        except BaseException:
            sock.close()
            raise
        self.nursery.start_soon(self._read, used)
        return used

    # -- what comes

    async def _read(self, used: _Socket) -> None:
        receive = used.socket.recv
        try:
            while True:
                await trio.lowlevel.wait_readable(used.socket)
                for _ in range(BATCH):
                    try:
                        message = receive(LARGEST)
                    except BlockingIOError:
                        break
                    except OSError as error:
                        self._refused(used, error)
                        break
                    self._take(used, message)
        except trio.ClosedResourceError:
            return
        finally:
            used.socket.close()

    def _take(self, used: _Socket, message: bytes) -> None:
        if len(message) < 12 or message[2] < 0x80:
            return
        query = used.queries.get(message[0] << 8 | message[1])
        if query is None or not _answers(query.asked, message):
            return
        exchange = query.exchange
        answer: SoaAnswer | TransferError | None = None
        try:
            read = exchange.read(message)
            if read is not None:
                seconds = trio.current_time() - query.start
                answer = SoaAnswer(read[0], read[1], exchange.source, seconds)
        except TransferError as error:
            answer = error
        self._end(query, answer)

    def _refused(self, used: _Socket, error: OSError) -> None:
        """An ICMP error: none of those that wait on that socket will be answered."""
        for query in list(used.queries.values()):
            target = query.exchange.target
            failure = transport_error(target, "an answer over UDP", system_text(error))
            self._end(query, failure)

    def _end(self, query: Query, answer: SoaAnswer | TransferError | None) -> None:
        query.cancel()
        if isinstance(answer, TransferError):
            answer.peer = query.exchange.target.text(query.exchange.source)
        query.came(answer)

    # -- what does not come

    async def _time(self) -> None:
        """Try again, or give up; close what is used no more. Ends when nothing is open."""
        heap = self._heap
        while True:
            now = trio.current_time()
            while heap and (heap[0][2].socket is None or heap[0][0] <= now):
                deadline, _, query = heapq.heappop(heap)
                if query.socket is not None and deadline == query.deadline:
                    self._missed(query, now)
            self._close(now)
            if not heap and not self._open and not self._retired:
                self._timing = False
                return
            wait = heap[0][0] - now if heap else STEP
            await trio.sleep(max(0.0, min(wait, STEP)))

    def _missed(self, query: Query, now: float) -> None:
        query.cancel()
        if query.lost is not None:
            query.lost()
        query.step += 1
        if query.step == len(query.timeouts):
            self._end(query, unanswered(query.exchange.target, query.timeouts))
            return
        try:
            self._send(query, now)
        except TransferError as error:
            self._end(query, error)

    def _close(self, now: float) -> None:
        for key, sockets in list(self._open.items()):
            self._retired += [used for used in sockets if now >= used.until]
            left = [used for used in sockets if now < used.until]
            if left:
                self._open[key] = left
            else:
                del self._open[key]
        for used in self._retired:
            if not used.queries:
                trio.lowlevel.notify_closing(used.socket)
                used.socket.close()
        self._retired = [used for used in self._retired if used.queries]


def _answers(asked: bytes, message: bytes) -> bool:
    """Whether the message is about that question. An error may leave it out (RFC 1035 §7.3)."""
    (count,) = struct.unpack_from("!H", message, 4)
    if count == 0:
        return message[3] & 15 != 0
    return count == 1 and message[12 : 12 + len(asked)].lower() == asked
