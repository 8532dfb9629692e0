"""TCP connections over memory streams: framing, pipelining, time-outs, transfers beside queries."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable

import dns.message
import pytest
import trio
import trio.testing

from tests.server.fakes import CLIENT, KEY, TrioClock, snapshot, table, zone_config
from tests.transfer.zone import ORIGIN, frames
from xfer.answer.options import KEEPALIVE, Offer
from xfer.peers import Acl, AclEntry, Action
from xfer.server.dispatch import Dispatcher
from xfer.server.handled import Transfer
from xfer.server.image import ImageCache
from xfer.server.outgoing import Outgoing
from xfer.server.quotas import Slots
from xfer.server.sender import ZoneSender
from xfer.server.tcp import TcpService
from xfer.server.zones import Zone
from xfer.transfer.envelope import State
from xfer.transfer.inbound import AxfrIn
from xfer.wire.edns import Edns
from xfer.wire.request import make_query

Pair = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
EVERYBODY = Acl("all", (AclEntry(Action.ALLOW),))


def service(blocks: int = 1, hosts: int = 10, **changes: object) -> TcpService:
    zone = Zone(zone_config(allow_transfer=[EVERYBODY]), snapshot=snapshot(1, hosts, blocks))
    clock = TrioClock()
    sender = ZoneSender(ImageCache(10_000_000), clock, 30.0, 300.0)
    slots = Slots(2, 2)
    outgoing = Outgoing(sender, slots, lambda transfer: None)
    made = TcpService(
        Dispatcher(table(zone), {KEY.name: KEY}, clock),
        outgoing.run,
        lambda notified: None,
        idle=15.0,
        stall=30.0,
        max_clients=2,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


def converse(tcp: TcpService, session: Callable[[Pair], Awaitable[None]]) -> None:
    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tcp.serve, theirs, CLIENT)
            await session(ours)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert tcp.clients == 0


async def read_all(stream: Pair) -> bytes:
    data = b""
    async for piece in stream:
        data += piece
    return data


def test_pipelined_queries_are_all_answered() -> None:
    async def session(stream: Pair) -> None:
        queries = b"".join(framed(make_query(number, ORIGIN, 6)) for number in range(20))
        await stream.send_all(queries)
        await stream.send_stream.aclose()
        answers = frames(await read_all(stream))
        assert [struct.unpack_from("!H", one)[0] for one in answers] == list(range(20))

    converse(service(), session)


def test_a_query_in_single_octets_is_answered() -> None:
    async def session(stream: Pair) -> None:
        for octet in framed(make_query(7, ORIGIN, 6)):
            await stream.send_all(bytes([octet]))
            await trio.sleep(1)
        assert struct.unpack_from("!H", await stream.receive_some())[0] > 12
        await stream.aclose()

    converse(service(), session)


@pytest.mark.parametrize("sent", [b"", b"\0", b"\0\x20abc"], ids=["nothing", "1 octet", "a piece"])
def test_a_silent_connection_is_closed_after_the_idle_time(sent: bytes) -> None:
    async def session(stream: Pair) -> None:
        start = trio.current_time()
        if sent:
            await stream.send_all(sent)
        assert await read_all(stream) == b""
        assert trio.current_time() - start == pytest.approx(15.0)

    converse(service(), session)


def test_a_length_too_small_for_a_header_closes_the_connection() -> None:
    async def session(stream: Pair) -> None:
        start = trio.current_time()
        await stream.send_all(b"\0\x05hello")
        assert await read_all(stream) == b""
        assert trio.current_time() == pytest.approx(start)

    converse(service(), session)


@pytest.mark.parametrize("blocks", [1, 30])
@pytest.mark.parametrize("times", [1, 2], ids=["cold", "warm"])
def test_a_transfer_arrives_whole(blocks: int, times: int) -> None:
    async def session(stream: Pair) -> None:
        for _ in range(times):
            await stream.send_all(framed(make_query(7, ORIGIN, 252)))
        await stream.send_stream.aclose()
        messages = frames(await read_all(stream))
        machines = [AxfrIn(ORIGIN, 7) for _ in range(times)]
        current = 0
        for one in messages:
            machines[current].feed(one)
            if machines[current].state is State.COMPLETE:
                current += 1
        assert [m.records for m in machines] == [blocks * 400 + 3] * times

    tcp = service(blocks, 400)
    if times == 2:
        # One after the other: a slot for each at a time.
        tcp.run_transfer.__self__.slots.resize(1, 1)  # type: ignore[attr-defined]
    converse(tcp, session)


def test_queries_are_answered_while_a_transfer_stands_still() -> None:
    held = trio.Event()

    async def run_transfer(transfer: Transfer, write: object) -> None:
        await held.wait()

    async def session(stream: Pair) -> None:
        await stream.send_all(framed(make_query(1, ORIGIN, 252)) + framed(make_query(2, ORIGIN, 6)))
        answer = await stream.receive_some()
        assert answer[2:4] == b"\0\x02"
        await trio.sleep(100)  # idle time does not count while a transfer runs
        await stream.send_all(framed(make_query(3, ORIGIN, 6)))
        assert (await stream.receive_some())[2:4] == b"\0\x03"
        held.set()
        await stream.aclose()

    converse(service(run_transfer=run_transfer), session)


def test_a_client_that_reads_nothing_is_given_up() -> None:
    async def main() -> None:
        ours, theirs = trio.testing.lockstep_stream_pair()
        tcp = service(30, 400)
        async with trio.open_nursery() as nursery:
            start = trio.current_time()
            ended: list[float] = []

            async def serve() -> None:
                await tcp.serve(theirs, CLIENT)
                ended.append(trio.current_time() - start)

            nursery.start_soon(serve)
            await ours.send_all(framed(make_query(7, ORIGIN, 252)))
            await trio.sleep(100)
            assert ended == [pytest.approx(30.0)]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_without_a_slot_the_client_waits_and_then_gets_servfail() -> None:
    async def session(stream: Pair) -> None:
        start = trio.current_time()
        await stream.send_all(framed(make_query(7, ORIGIN, 252)))
        answer = await stream.receive_some()
        assert answer[5] & 15 == 2
        assert trio.current_time() - start == pytest.approx(10.0)
        await stream.aclose()

    tcp = service()
    tcp.run_transfer.__self__.slots.resize(0, 0)  # type: ignore[attr-defined]
    converse(tcp, session)


def test_more_clients_than_allowed_are_turned_away() -> None:
    async def session(stream: Pair) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(b"x")

    tcp = service(max_clients=0)
    converse(tcp, session)


def test_a_new_connection_takes_the_place_of_the_one_that_is_silent_longest() -> None:
    async def main() -> None:
        held = trio.Event()

        async def run_transfer(transfer: Transfer, write: object) -> None:
            await held.wait()

        tcp = service(run_transfer=run_transfer)
        async with trio.open_nursery() as nursery:

            async def connect(request: bytes) -> Pair:
                ours, theirs = trio.testing.memory_stream_pair()
                nursery.start_soon(tcp.serve, theirs, CLIENT)
                await ours.send_all(request)
                await trio.testing.wait_all_tasks_blocked()
                return ours

            transferring = await connect(framed(make_query(1, ORIGIN, 252)))
            silent = await connect(b"\0")
            asking = await connect(framed(make_query(2, ORIGIN, 6)))
            assert (await asking.receive_some())[2:4] == b"\0\x02"
            assert await silent.receive_some() == b""
            assert tcp.clients == 2
            another = await connect(framed(make_query(3, ORIGIN, 252)))
            assert await asking.receive_some() == b""
            refused = await connect(framed(make_query(4, ORIGIN, 6)))
            assert await refused.receive_some() == b"", "all that there are transfer"
            assert tcp.clients == 2
            held.set()
            await transferring.aclose()
            await another.aclose()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_idle_time_that_is_announced_is_kept() -> None:
    tcp = service()
    tcp.dispatcher.offer = Offer(idle=tcp.idle)
    query = framed(make_query(7, ORIGIN, 6, edns=Edns(options=[(KEEPALIVE, b"")])))

    async def session(stream: Pair) -> None:
        for _ in range(3):
            await stream.send_all(query)
            answer = dns.message.from_wire(bytes(await stream.receive_some())[2:])
            (option,) = answer.options
            await trio.sleep(int.from_bytes(option.to_wire() or b"", "big") / 10 - 0.001)
        start = trio.current_time()
        assert await read_all(stream) == b""
        assert trio.current_time() - start == pytest.approx(0.001)

    converse(tcp, session)


def test_idle_time_starts_anew_when_a_transfer_ends() -> None:
    async def run_transfer(transfer: Transfer, write: object) -> None:
        await trio.sleep(40)

    async def session(stream: Pair) -> None:
        await stream.send_all(framed(make_query(1, ORIGIN, 252)))
        await trio.sleep(54.9)
        await stream.send_all(framed(make_query(3, ORIGIN, 6)))
        assert (await stream.receive_some())[2:4] == b"\0\x03"
        begun = trio.current_time()
        assert await read_all(stream) == b""
        assert trio.current_time() - begun == pytest.approx(15)

    converse(service(run_transfer=run_transfer), session)


def test_a_connection_that_has_just_had_its_transfer_is_not_kept_longer() -> None:
    async def run_transfer(transfer: Transfer, write: object) -> None:
        await trio.sleep(40)

    async def session(stream: Pair) -> None:
        begun = trio.current_time()
        await stream.send_all(framed(make_query(1, ORIGIN, 252)))
        assert await read_all(stream) == b""
        assert trio.current_time() - begun == pytest.approx(55)

    converse(service(run_transfer=run_transfer), session)
