"""Asking parents for the DS: what is sent, what is believed, and how many are asked at once."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import attrs
import dns.flags
import dns.message
import pytest
import trio
import trio.testing

from tests.dnssec.test_parent import NO_DATA, ONE, TWO, ds, rdata, response
from tests.server.fakes import WALL, TrioClock
from xfer.config_dnssec import DnssecPolicy
from xfer.config_parse import Endpoint
from xfer.dnssec.parent import DsAnswer, ParentSaid
from xfer.dnssec.timing import DsSeen
from xfer.errors import Failure, TransferError
from xfer.peers import address_of
from xfer.server.parent import STRAYS, ParentWatch, ask_parent, ask_server
from xfer.server.soa import SoaTries
from xfer.server.target import Connection, Target
from xfer.wire import names

ORIGIN = names.from_text("child.parent.test.")
Reply = Callable[[bytes], list[bytes]]
Talk = Callable[[trio.abc.Stream], Awaitable[None]]
"""A TCP server's side of one connection."""


def like(query: bytes, answer: bytes) -> bytes:
    """The answer with the query's ID."""
    return query[:2] + answer[2:]


def says(*texts: str) -> Reply:
    return lambda query: [like(query, response(ds(*texts), () if texts else NO_DATA))]


def silent(query: bytes) -> list[bytes]:
    return []


def truncated(query: bytes) -> list[bytes]:
    return [like(query, response(flags=dns.flags.TC))]


@attrs.define(eq=False)
class Parent:
    """A server on loopback; asked: (when, source port, query) over UDP; dialled: over TCP."""

    reply: Reply
    talk: Talk | None
    sock: trio.socket.SocketType
    nursery: trio.Nursery
    asked: list[tuple[float, int, bytes]] = attrs.Factory(list)
    dialled: list[float] = attrs.Factory(list)

    @property
    def endpoint(self) -> Endpoint:
        host, port, *_ = self.sock.getsockname()
        return Endpoint(address_of(host), port)

    @property
    def target(self) -> Target:
        return Target(*self.sock.getsockname()[:2])

    async def serve(self) -> None:
        while True:
            query, source = await self.sock.recvfrom(4096)
            self.asked.append((trio.current_time(), source[1], query))
            for message in self.reply(query):
                await self.sock.sendto(message, source)

    async def dial(self, target: Target) -> Connection:
        self.dialled.append(trio.current_time())
        if self.talk is None:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.talk, theirs)
        return Connection(ours, "127.0.0.1")

    async def ask(self, tries: SoaTries | None = None) -> DsAnswer:
        rng = random.Random(1)
        return await ask_server(
            self.target, ORIGIN, rng=rng, tries=tries or SoaTries((2.0, 3.0, 5.0)), dial=self.dial
        )

    async def error(self) -> TransferError:
        with pytest.raises(TransferError) as caught:
            await self.ask()
        return caught.value


@asynccontextmanager
async def parent(
    reply: Reply, talk: Talk | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[Parent]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        await sock.bind((address, 0))
        async with trio.open_nursery() as nursery:
            made = Parent(reply, talk, sock, nursery)
            nursery.start_soon(made.serve)
            yield made
            nursery.cancel_scope.cancel()


def run(session: Callable[[], Awaitable[None]]) -> None:
    trio.run(session, clock=trio.testing.MockClock(autojump_threshold=0.05))


async def read_query(stream: trio.abc.Stream) -> bytes:
    data = b""
    while len(data) < 2 or len(data) < 2 + struct.unpack_from("!H", data)[0]:
        data += await stream.receive_some(4096)
    return data[2:]


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


def over_tcp(answer: Reply) -> Talk:
    async def talk(stream: trio.abc.Stream) -> None:
        query = await read_query(stream)
        for message in answer(query):
            await stream.send_all(framed(message))

    return talk


# -- one server


def test_the_question_is_one_for_servers_and_resolvers() -> None:
    async def session() -> None:
        async with parent(says(ONE)) as server:
            assert await server.ask() == DsAnswer(rdata(ONE), 7200)
            ((_, _, query),) = server.asked
            asked = dns.message.from_wire(query)
            assert [str(question) for question in asked.question] == ["child.parent.test. IN DS"]
            assert asked.flags == dns.flags.RD
            assert (asked.edns, asked.payload, asked.ednsflags) == (0, 1232, 0)
            assert server.dialled == []

    run(session)


def test_ids_and_ports_are_random() -> None:
    async def session() -> None:
        async with parent(says()) as server:
            rng = random.Random(1)
            for _ in range(50):
                await ask_server(server.target, ORIGIN, rng=rng)
            assert len({query[:2] for _, _, query in server.asked}) == 50
            assert len({port for _, port, _ in server.asked}) > 40

    run(session)


def test_messages_that_are_no_answer_are_passed_over() -> None:
    def reply(query: bytes) -> list[bytes]:
        right = response(ds(ONE))
        forged = like(query, response(ds(TWO)))
        return [
            b"short",
            query,
            bytes((forged[0] ^ 1,)) + forged[1:],
            like(query, response(ds(TWO, owner="x.test."), name="x.test.")),
            like(query, response(rtype="A")),
            query[:2] + b"\x84\0" + bytes(8),  # NOERROR without a question
            like(query, right),
        ]

    async def session() -> None:
        async with parent(reply) as server:
            assert await server.ask() == DsAnswer(rdata(ONE), 7200)
            assert len(server.asked) == 1

    run(session)


def test_an_answer_from_another_port_is_not_received() -> None:
    async def session() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            async with parent(silent) as server:

                def guessed(query: bytes) -> list[bytes]:
                    _, port, _ = server.asked[-1]
                    other.sendto(like(query, response(ds(TWO))), ("127.0.0.1", port))
                    server.reply = says(ONE)
                    return []

                server.reply = guessed
                assert await server.ask() == DsAnswer(rdata(ONE), 7200)
                assert len(server.asked) == 2

    run(session)


def test_where_somebody_may_be_guessing_tcp_is_asked() -> None:
    def reply(query: bytes) -> list[bytes]:
        guesses = [bytes((query[0] ^ n,)) + query[1:2] for n in range(1, STRAYS + 1)]
        return [*(guess + response(ds(TWO))[2:] for guess in guesses), like(query, response(ds()))]

    async def session() -> None:
        async with parent(reply, over_tcp(says(ONE))) as server:
            assert await server.ask() == DsAnswer(rdata(ONE), 7200)
            assert len(server.dialled) == 1

    run(session)


def test_silence_is_asked_again_from_another_port_and_then_over_tcp() -> None:
    async def session() -> None:
        async with parent(silent, over_tcp(says(ONE))) as server:
            assert await server.ask() == DsAnswer(rdata(ONE), 7200)
            assert [round(at, 1) for at, _, _ in server.asked] == [0, 2, 5]
            assert len({port for _, port, _ in server.asked}) == 3
            assert len({query[:2] for _, _, query in server.asked}) == 3
            assert [round(at, 1) for at in server.dialled] == [10]

    run(session)


def test_the_second_try_may_be_answered() -> None:
    async def session() -> None:
        async with parent(silent) as server:

            def once(query: bytes) -> list[bytes]:
                server.reply = says(ONE)
                return []

            server.reply = once
            assert await server.ask() == DsAnswer(rdata(ONE), 7200)
            assert round(trio.current_time(), 1) == 2

    run(session)


def test_no_answer_at_all_is_a_transport_failure_with_the_server_in_it() -> None:
    async def session() -> None:
        async with parent(silent) as server:
            error = await server.error()
            assert error.failure is Failure.TRANSPORT
            assert str(error) == (
                f"transport: 127.0.0.1#{server.target.port} from 127.0.0.1: expected an answer "
                "over UDP to one of 3 queries, got none within 10 s"
            )

    run(session)


def test_a_closed_port_is_tried_over_tcp_at_once() -> None:
    async def session() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            target = Target(*closed.getsockname())
        async with parent(silent, over_tcp(says(ONE))) as server:
            answer = await ask_server(target, ORIGIN, rng=random.Random(1), dial=server.dial)
            assert answer == DsAnswer(rdata(ONE), 7200)
            assert trio.current_time() < 1

    run(session)


def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    many = [f"{tag} 13 2 {tag:064X}" for tag in range(1, 60)]

    async def session() -> None:
        async with parent(truncated, over_tcp(says(*many))) as server:
            assert await server.ask() == DsAnswer(rdata(*many), 7200)
            assert len(server.asked) == len(server.dialled) == 1

    run(session)


def test_a_refusal_is_not_tried_again() -> None:
    async def session() -> None:
        async with parent(lambda query: [query[:2] + b"\x80\5" + bytes(8)]) as server:
            error = await server.error()
            assert (error.failure, error.got) == (Failure.DENIED, "rcode REFUSED")
            assert f"127.0.0.1#{server.target.port}" in str(error)
            assert (len(server.asked), server.dialled) == (1, [])

    run(session)


async def hangs_up(stream: trio.abc.Stream) -> None:
    query = await read_query(stream)
    await stream.send_all(framed(like(query, response(ds(ONE))))[:30])
    await stream.aclose()


async def trickles(stream: trio.abc.Stream) -> None:
    await read_query(stream)
    with suppress(trio.BrokenResourceError):
        await stream.send_all(b"\xff\xff")
        while True:
            await trio.sleep(1)
            await stream.send_all(b"x")


async def stands_still(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


HOSTILE = {
    "hangs up": (hangs_up, Failure.TRANSPORT, "closed after 30 octets", 0),
    "trickles": (trickles, Failure.TRANSPORT, "", 10),
    "stands still": (stands_still, Failure.TRANSPORT, "0 octets", 10),
    "another ID": (
        over_tcp(lambda query: [bytes((query[0] ^ 1,)) + response(ds(ONE))[1:]]),
        Failure.PROTOCOL,
        "another message",
        0,
    ),
    "truncated again": (over_tcp(truncated), Failure.PROTOCOL, "a truncated one (TC set)", 0),
    "garbage": (
        over_tcp(lambda query: [like(query, response(ds(ONE)))[:60]]),
        Failure.PROTOCOL,
        "",
        0,
    ),
}


@pytest.mark.parametrize(("talk", "failure", "got", "until"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_server_over_tcp_costs_bounded_time_and_changes_nothing(
    talk: Talk, failure: Failure, got: str, until: int
) -> None:
    async def session() -> None:
        async with parent(truncated, talk) as server:
            error = await server.error()
            assert error.failure is failure
            assert got in error.got
            assert trio.current_time() == pytest.approx(until, abs=0.5)

    run(session)


# -- several servers


async def look(*servers: Parent) -> ParentSaid:
    return await ask_parent(
        ORIGIN,
        [server.endpoint for server in servers],
        clock=TrioClock(),
        rng=random.Random(1),
        tries=SoaTries((2.0,)),
        dial=servers[0].dial,
    )


def test_what_all_say_is_seen_when_the_last_has_answered() -> None:
    async def session() -> None:
        async with parent(says(ONE)) as first, parent(says(ONE), address="127.0.0.2") as second:
            found = await look(first, second, first)
            assert found.seen == DsSeen(rdata(ONE), WALL, 7200)
            assert len(first.asked) == len(second.asked) == 1
            assert [one.server for one in found.servers] == [
                f"127.0.0.1#{first.target.port}",
                f"127.0.0.2#{second.target.port}",
            ]

    run(session)


def test_a_server_may_have_an_ipv6_address() -> None:
    async def session() -> None:
        async with parent(says(ONE), address="::1") as server:
            found = await look(server)
            assert found.seen == DsSeen(rdata(ONE), WALL, 7200)
            assert found.servers[0].server == f"::1#{server.target.port}"

    run(session)


def test_a_server_that_lags_or_is_dead_keeps_it_open_and_is_named() -> None:
    async def session() -> None:
        async with parent(says(TWO)) as new, parent(says(ONE)) as lagging, parent(silent) as dead:
            found = await look(new, lagging)
            assert (found.seen, found.differ) == (None, True)
            assert f"127.0.0.1#{lagging.target.port} has DS 12345 13 2 0A0A0A0A…" in found.why
            lagging.reply = says(TWO)
            assert (await look(new, lagging)).seen == DsSeen(rdata(TWO), WALL, 7200)
            found = await look(new, lagging, dead)
            assert (found.seen, found.differ) == (None, False)
            assert f"transport: 127.0.0.1#{dead.target.port} from 127.0.0.1: " in found.why

    run(session)


def test_the_root_and_an_empty_list_ask_nobody() -> None:
    async def session() -> None:
        clock, rng = TrioClock(), random.Random(1)
        found = await ask_parent(ORIGIN, [], clock=clock, rng=rng)
        assert found.why == "nobody is asked: `parent` in the policy is empty"
        async with parent(silent) as server:
            root = await ask_parent(b"\0", [server.endpoint], clock=clock, rng=rng)
            assert (root.seen, root.why) == (None, "the root has no parent")
            assert server.asked == []

    run(session)


def test_a_mistake_of_ours_is_a_failed_look_and_not_the_end() -> None:
    async def broken(target: Target, origin: bytes) -> DsAnswer:
        raise IndexError("list index out of range")

    async def session() -> None:
        server = Endpoint(address_of("192.0.2.1"), 53)
        clock, rng = TrioClock(), random.Random(1)
        found = await ask_parent(ORIGIN, [server], clock=clock, rng=rng, ask=broken)
        assert found.seen is None
        assert "IndexError: list index out of range" in found.why

    run(session)


# -- all zones together


def policy(*servers: Parent) -> DnssecPolicy:
    return DnssecPolicy(parent=tuple(server.endpoint for server in servers))


def watching(server: Parent, total: int) -> ParentWatch:
    tries = SoaTries((2.0,))
    return ParentWatch(TrioClock(), random.Random(1), total, tries=tries, dial=server.dial)


def test_one_parent_is_asked_for_so_many_zones_at_once_and_no_more() -> None:
    async def session() -> None:
        async with parent(silent) as server, trio.open_nursery() as nursery:
            watch = watching(server, 16)
            for number in range(20):
                origin = names.from_text(f"z{number}.parent.test.")
                nursery.start_soon(watch.ask, origin, policy(server))
            await trio.sleep(1)
            assert (len(server.asked), watch.waiting) == (4, 16)
            watch.resize(32)
            await trio.sleep(0.5)
            assert (len(server.asked), watch.waiting) == (8, 12)
            await trio.sleep(2)
            assert len(server.asked) == 16
            await trio.sleep(2)
            assert (len(server.asked), watch.waiting) == (20, 0)

    run(session)


def test_a_dead_parent_holds_up_no_other() -> None:
    async def session() -> None:
        async with parent(silent) as dead, parent(says()) as alive, trio.open_nursery() as nursery:
            watch = watching(dead, 8)
            for number in range(50):
                origin = names.from_text(f"z{number}.parent.test.")
                nursery.start_soon(watch.ask, origin, policy(dead))
            await trio.sleep(0.5)
            found = await watch.ask(ORIGIN, policy(alive))
            assert found.seen is not None
            assert trio.current_time() < 1
            nursery.cancel_scope.cancel()

    run(session)


def test_who_waits_no_longer_leaves_its_place_to_others() -> None:
    async def session() -> None:
        async with parent(silent) as server, trio.open_nursery() as nursery:
            watch = watching(server, 4)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as gone:
                    for _ in range(10):
                        gone.start_soon(watch.ask, ORIGIN, policy(server))
                    nursery.start_soon(_later, scope)
            server.reply = says(ONE)
            found = await watch.ask(ORIGIN, policy(server))
            assert found.seen is not None
            assert len(server.asked) == 2
            assert watch.waiting == 0

    async def _later(scope: trio.CancelScope) -> None:
        await trio.sleep(1)
        scope.cancel()

    run(session)
