"""SOA queries over shared sockets, with a real server on loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Awaitable, Callable

import attrs
import trio

from tests.server.fakes import HandClock
from xfer.errors import Failure, TransferError
from xfer.server.pace import LEAST, WINDOW, Pace, Paces
from xfer.server.soa import SoaAnswer, SoaTries
from xfer.server.soa_probe import ROTATE, SOCKETS, SoaProber
from xfer.server.target import Target
from xfer.wire.names import from_text

Said = SoaAnswer | TransferError | None
SOA = b"\xc0\x0c\0\6\0\1\0\0\0\1\0\x16\0\0" + (77).to_bytes(4, "big") + bytes(16)


def answer(query: bytes, soa: bytes = SOA) -> bytes:
    """An authoritative answer to it, without its OPT."""
    end = query.index(b"\0", 12) + 5
    return (
        query[:2] + b"\x84\0\0\1" + (b"\0\1" if soa else b"\0\0") + bytes(4) + query[12:end] + soa
    )


@attrs.define(eq=False)
class Primary:
    """A UDP socket that answers as it is told; asked: (source port, query)."""

    reply: Callable[[bytes], list[bytes]]
    sock: trio.socket.SocketType
    asked: list[tuple[int, bytes]] = attrs.Factory(list)

    async def serve(self) -> None:
        while True:
            query, source = await self.sock.recvfrom(4096)
            self.asked.append((source[1], query))
            for message in self.reply(query):
                await self.sock.sendto(message, source)


def run(
    reply: Callable[[bytes], list[bytes]],
    session: Callable[[SoaProber, Target, Primary], Awaitable[None]],
) -> None:
    async def main() -> None:
        with trio.fail_after(20), trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", 0))
            primary = Primary(reply, sock)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(primary.serve)
                prober = SoaProber(nursery, HandClock(), random.Random(1))
                target = Target("127.0.0.1", sock.getsockname()[1], "127.0.0.1")
                await session(prober, target, primary)
                nursery.cancel_scope.cancel()

    trio.run(main)


async def outcomes(prober: SoaProber, target: Target, count: int, timeout: float) -> list[Said]:
    """What came of that many queries at once."""
    said: list[Said] = []
    done = trio.Event()

    def came(one: Said) -> None:
        said.append(one)
        if len(said) == count:
            done.set()

    for number in range(count):
        prober.send(target, from_text(f"z{number}.test."), (timeout,), came)
    await done.wait()
    return said


def test_many_queries_share_few_sockets_of_random_ports_and_ids() -> None:
    async def session(prober: SoaProber, target: Target, primary: Primary) -> None:
        for _ in range(3):
            said = await outcomes(prober, target, 100, 5.0)
            assert {one.serial for one in said if isinstance(one, SoaAnswer)} == {77}
            assert len(said) == 100
        assert len({port for port, _ in primary.asked}) == SOCKETS
        assert len({query[:2] for _, query in primary.asked}) > 250

    run(lambda query: [answer(query)], session)


def test_a_socket_takes_so_many_queries_and_no_more() -> None:
    async def session(prober: SoaProber, target: Target, primary: Primary) -> None:
        await outcomes(prober, target, SOCKETS, 5.0)
        before = list(next(iter(prober._open.values())))
        for used in before:
            used.sent = ROTATE
        await outcomes(prober, target, 64, 5.0)
        after = next(iter(prober._open.values()))
        # By socket, for the system may give a new one the port of one that is closed.
        assert set(after).isdisjoint(before)
        assert [used.sent for used in before] == [ROTATE] * SOCKETS
        assert sum(used.sent for used in after) == 64
        ports = [port for port, _ in primary.asked]
        assert len(set(ports[:SOCKETS])) == SOCKETS
        assert set(ports[SOCKETS:]) == {used.socket.getsockname()[1] for used in after}
        assert len(set(ports[SOCKETS:])) == SOCKETS

    run(lambda query: [answer(query)], session)


def test_what_does_not_answer_the_question_is_passed_over() -> None:
    def forged(query: bytes) -> list[bytes]:
        other_id = bytes((query[0] ^ 1, query[1])) + query[2:]
        other_name = query[:13] + b"q" + query[14:]
        messages = [b"short", query, answer(other_id), answer(other_name)]
        return [*messages, answer(query[:13] + b"Z" + query[14:])]  # the case counts not

    async def session(prober: SoaProber, target: Target, primary: Primary) -> None:
        (said,) = await outcomes(prober, target, 1, 5.0)
        assert isinstance(said, SoaAnswer)

    run(forged, session)


def test_an_error_without_a_question_is_an_answer_and_silence_is_none() -> None:
    async def refused(prober: SoaProber, target: Target, primary: Primary) -> None:
        (said,) = await outcomes(prober, target, 1, 5.0)
        assert isinstance(said, TransferError)
        assert said.failure is Failure.DENIED

    run(lambda query: [query[:2] + b"\x80\5" + bytes(8)], refused)

    async def silent(prober: SoaProber, target: Target, primary: Primary) -> None:
        lost: list[int] = []
        done = trio.Event()
        said: list[Said] = []

        def came(one: Said) -> None:
            said.append(one)
            done.set()

        prober.send(target, from_text("z."), (0.1, 0.1), came, lambda: lost.append(1))
        await done.wait()
        (error,) = said
        assert isinstance(error, TransferError)
        assert error.failure is Failure.TRANSPORT
        assert (len(lost), len(primary.asked)) == (2, 2)
        assert primary.asked[0][1][:2] != primary.asked[1][1][:2]

    run(lambda query: [], silent)


def test_who_asks_in_a_task_may_be_cancelled_and_leaves_nothing() -> None:
    async def session(prober: SoaProber, target: Target, primary: Primary) -> None:
        tries = SoaTries((5.0,), None)
        with trio.move_on_after(0.1):
            await prober.ask(
                target, from_text("z."), clock=prober.clock, rng=prober.rng, tries=tries
            )
        assert [used.queries for used in next(iter(prober._open.values()))] == [{}]

    run(lambda query: [], session)


def test_checks_at_once_grow_with_answers_and_halve_without() -> None:
    pace = Pace(Paces(at_once=512, at_once_each=40))

    def room() -> int:
        taken = 0
        while pace.enter("p"):
            taken += 1
        for _ in range(taken):
            pace.leave("p")
        return taken

    assert room() == WINDOW
    for _ in range(100):
        pace.answered("p")
    assert room() == 40, "the limit holds"
    pace.lost("p", 0.0)
    pace.lost("p", 0.5)
    assert room() == 20, "once a second"
    for second in range(1, 10):
        pace.lost("p", float(second))
    assert room() == LEAST
