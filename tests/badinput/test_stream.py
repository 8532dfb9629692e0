"""Connections that end, stall, crawl or never end: at any octet, and within bounds."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar, TypeVarTuple

import pytest
import trio
import trio.testing

from tests.badinput.cases import NAME_255
from tests.badinput.primary import (
    KEY,
    NS,
    ORIGIN,
    A,
    Draft,
    Fault,
    Pause,
    Piece,
    Primary,
    Script,
    Signature,
    Signer,
    host,
    name,
    pointer,
    rr,
    soa,
)
from tests.badinput.secondary import SOURCE, TestClock, pull
from xfer.errors import Failure, JournalError, TransferError
from xfer.server.executor import InlineExecutor, ThreadExecutor
from xfer.server.pull import READ, WAITING, PullLimits, PullResult, pull_zone
from xfer.server.target import Connection, Dial, Target
from xfer.transfer.inbound import StreamLimits
from xfer.wire.tsig import Key
from xfer.zone.check import Policy

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SIGNED = pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
MIB = 1 << 20


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Under a clock that jumps to the next event: no test sleeps."""
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def failure_of(primary: Primary, **arguments: object) -> TransferError:
    with pytest.raises(TransferError) as caught:
        await pull(primary, **arguments)  # type: ignore[arg-type]
    return caught.value


class Cut:
    """Cuts a stream after some octets, and knows what will have been whole until there."""

    def __init__(self, octets: int, then: list[Piece]) -> None:
        self.octets = octets
        self.then = then
        self.frames: list[bytes] = []

    def __call__(self, frames: list[bytes]) -> Iterable[Piece]:
        self.frames = frames
        return [b"".join(frames)[: self.octets], *self.then]

    def where(self) -> str:
        """What the sentence has to say."""
        left = self.octets
        messages = records = 0
        for frame in self.frames:
            if left < len(frame):
                break
            left -= len(frame)
            messages += 1
            records += int.from_bytes(frame[8:10], "big")
        done = f"{messages} message{'s' if messages != 1 else ''} with {records} records"
        if left == 0:
            return f"after {done}" if messages else "before the first octet of an answer"
        if left == 1:
            return f"after 1 octet of the 2 that hold a message's length, after {done}"
        size = len(self.frames[messages]) - 2
        return f"after {left - 2} octets of {size} of the next message, after {done}"


def length_of(key: Key | None) -> int:
    signer = Signer(KEY, b"") if key else None
    question = ORIGIN + b"\0\xfc\0\1"
    return sum(
        len(piece)
        for piece in Script(2, messages=3).pieces(1, question, signer)
        if isinstance(piece, bytes)
    )


@SIGNED
def test_closed_at_any_octet(key: Key | None) -> None:
    async def main() -> None:
        for octets in range(length_of(key)):
            cut = Cut(octets, [])
            primary = Primary([Script(2, messages=3, fault=Fault(stream=cut)), Script(2)])
            error = await failure_of(primary, key=key)
            assert error.failure is Failure.TRANSPORT
            assert error.expected == "the transfer to go on to its closing SOA"
            assert error.got == f"closed {cut.where()}"
        assert (await pull(primary, key=key)).snapshot.serial == 2

    run(main)


@SIGNED
def test_stalled_at_any_octet(key: Key | None) -> None:
    async def main() -> None:
        for octets in range(length_of(key)):
            cut = Cut(octets, [Pause()])
            primary = Primary([Script(2, messages=3, fault=Fault(stream=cut)), Script(2)])
            before = trio.current_time()
            error = await failure_of(primary, key=key, limits=PullLimits(idle=7.0))
            assert trio.current_time() - before == pytest.approx(7.0)
            assert error.failure is Failure.TRANSPORT
            assert error.expected == "octets within 7 s"
            assert error.got == f"stopped {cut.where()}"
            assert error.hint == "the limit is idle_timeout in [limits]"
        assert (await pull(primary, key=key)).snapshot.serial == 2

    run(main)


@SIGNED
def test_octet_by_octet_is_as_good_as_whole(key: Key | None) -> None:
    def dribble(frames: list[bytes]) -> Iterable[Piece]:
        return [bytes([octet]) for octet in b"".join(frames)]

    async def main() -> None:
        primary = Primary([Script(2, messages=3, fault=Fault(stream=dribble))])
        result = await pull(primary, key=key, lockstep=True)
        assert result.snapshot.serial == 2

    run(main)


async def pull_by(
    serve: Callable[[trio.abc.Stream], Awaitable[None]],
    prepare: Callable[[trio.testing.MemoryReceiveStream], None] = lambda _: None,
    write_ahead: Callable[[object], None] | None = None,
) -> PullResult | TransferError:
    """A pull from what `serve` does; `prepare` gets our end for reading."""
    result: PullResult | TransferError | None = None
    async with trio.open_nursery() as nursery:

        async def dial(target: Target) -> Connection:
            ours, theirs = trio.testing.memory_stream_pair()
            prepare(ours.receive_stream)
            nursery.start_soon(serve, theirs)
            return Connection(ours, SOURCE)

        try:
            result = await pull_zone(
                Target("192.0.2.1", name="primary"),
                ORIGIN,
                policy=Policy(),
                clock=TestClock(),
                rng=random.Random(1),
                executor=InlineExecutor(),
                dial=dial,
                write_ahead=write_ahead,
            )
        except TransferError as error:
            result = error
        nursery.cancel_scope.cancel()
    assert result is not None
    return result


class Resets:
    """Breaks the connection at the second read."""

    def __init__(self) -> None:
        self.reads = 0

    async def __call__(self) -> None:
        self.reads += 1
        if self.reads == 2:
            raise trio.BrokenResourceError("reset")


def _resetting(stream: trio.testing.MemoryReceiveStream) -> None:
    stream.receive_some_hook = Resets()


def test_reset_connection_says_how_far_it_came() -> None:
    cut = Cut(300, [Pause()])
    primary = Primary([Script(2, fault=Fault(stream=cut))])
    error = run(lambda: pull_by(primary.serve, _resetting))
    assert isinstance(error, TransferError)
    assert error.failure is Failure.TRANSPORT
    assert error.got.endswith(cut.where())


def test_reset_after_the_closing_soa_takes_nothing_away() -> None:
    result = run(lambda: pull_by(Primary([Script(2)]).serve, _resetting))
    assert isinstance(result, PullResult)
    assert result.snapshot.serial == 2


# -- streams that do not end


def endless(records: int = 200) -> Callable[..., Iterator[Piece]]:
    """Hosts for ever, `records` a message."""

    def pieces(msg_id: int, question: bytes, signer: Signer | None) -> Iterator[Piece]:
        opening = Draft(msg_id, questions=[question], answers=[soa(2), rr(ORIGIN, NS, name("ns1"))])
        yield _frame(opening, signer)
        number = 0
        while True:
            hosts = [
                rr(name(f"host-{number + i:09d}"), A, struct.pack("!I", number + i))
                for i in range(records)
            ]
            yield _frame(Draft(msg_id, answers=hosts), signer)
            number += records

    return pieces


def _frame(draft: Draft, signer: Signer | None) -> bytes:
    wire = draft.wire()
    if signer is not None:
        wire = signer.sign(wire, Signature(signer.key, signer.now))
    return struct.pack("!H", len(wire)) + wire


@SIGNED
@pytest.mark.parametrize(
    ("stream", "expected", "got", "setting"),
    [
        (StreamLimits(records=5000), "at most 5000 records in a transfer", "5002 or more",
         "max_zone_records"),
        (StreamLimits(messages=30), "at most 30 messages in a transfer", "31 or more",
         "max_message_count"),
        (StreamLimits(octets=100_000), "at most 100000 octets in a transfer", " or more",
         "max_zone_bytes"),
    ],
)  # fmt: skip
def test_endless_stream_meets_its_limit(
    key: Key | None, stream: StreamLimits, expected: str, got: str, setting: str
) -> None:
    async def main() -> None:
        primary = Primary([Script(2)], endless=endless())
        error = await failure_of(primary, key=key, limits=PullLimits(stream=stream), lockstep=True)
        assert error.failure is Failure.POLICY
        assert error.expected == expected
        assert got in error.got
        assert error.hint == f"the limit is {setting} in [limits]"
        assert error.try_next
        primary.endless = None
        assert (await pull(primary, key=key)).snapshot.serial == 2

    run(main)


@SIGNED
def test_endless_stream_meets_the_total_time(key: Key | None) -> None:
    async def main() -> None:
        primary = Primary([Script(2)], endless=endless(1), delay=1.0)
        before = trio.current_time()
        error = await failure_of(primary, key=key, limits=PullLimits(total=100.0), lockstep=True)
        assert trio.current_time() - before == pytest.approx(100.0)
        assert error.failure is Failure.TRANSPORT
        assert error.expected == "the whole transfer within 100 s"
        assert "stopped after 100 messages with 101 records" in error.got
        assert error.hint == "the limit is total_timeout in [limits]"

    run(main)


@SIGNED
def test_crawling_stream_is_below_the_minimum_rate(key: Key | None) -> None:
    def crawl(frames: list[bytes]) -> Iterable[Piece]:
        return [bytes([octet]) for octet in b"".join(frames)]

    async def main() -> None:
        primary = Primary([Script(2, fault=Fault(stream=crawl))], delay=1.0)
        before = trio.current_time()
        error = await failure_of(
            primary, key=key, limits=PullLimits(idle=30.0, min_rate=1024), lockstep=True
        )
        assert 30.0 <= trio.current_time() - before <= 32.0
        assert error.failure is Failure.TRANSPORT
        assert error.expected == "1024 octets per second"
        assert error.got.startswith("1, stopped after ")
        assert error.hint == "the limit is min_rate in [limits]"

    run(main)


def test_peer_that_takes_no_request_is_left() -> None:
    async def main() -> None:
        ours, _ = trio.testing.lockstep_stream_pair()

        async def dial(target: Target) -> Connection:
            return Connection(ours, SOURCE)

        error = await dialled(dial)
        assert error.failure is Failure.TRANSPORT
        assert error.expected == "the request taken within 30 s"

    run(main)


def test_peer_that_never_accepts_is_left() -> None:
    async def dial(target: Target) -> Connection:
        await trio.sleep_forever()
        raise AssertionError

    async def main() -> None:
        error = await dialled(dial)
        assert error.failure is Failure.TRANSPORT
        assert error.expected == "a TCP connection within 10 s"
        assert error.got == "no answer"

    run(main)


async def dialled(dial: Dial) -> TransferError:
    with pytest.raises(TransferError) as caught:
        await pull_zone(
            Target("192.0.2.1"),
            ORIGIN,
            policy=Policy(),
            clock=TestClock(),
            rng=random.Random(1),
            executor=InlineExecutor(),
            dial=dial,
        )
    return caught.value


class Stuck:
    """An executor that never gets anything done."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        await trio.sleep_forever()
        raise AssertionError


def test_fast_peer_waits_for_a_slow_secondary() -> None:
    sent = 0

    def counted(msg_id: int, question: bytes, signer: Signer | None) -> Iterator[Piece]:
        nonlocal sent
        for piece in endless()(msg_id, question, signer):
            assert isinstance(piece, bytes)
            yield piece
            sent += len(piece)

    async def main() -> None:
        error = await failure_of(
            Primary([Script(2)], endless=counted),
            limits=PullLimits(total=50.0),
            lockstep=True,
            executor=Stuck(),
        )
        assert error.expected == "the whole transfer within 50 s"

    run(main)
    assert WAITING <= sent <= WAITING + READ + 65_537


def test_journal_that_fails_during_a_pull_fails_the_pull() -> None:
    def full(blocks: object) -> None:
        raise JournalError("the disk is full")

    error = run(lambda: pull_by(Primary([Script(2)]).serve, write_ahead=full))
    assert isinstance(error, TransferError)
    assert error.failure is Failure.POLICY
    assert error.got == "the disk is full"


# -- memory and time


def amplified(msg_id: int, question: bytes, signer: Signer | None) -> Iterator[Piece]:
    """Each record takes 14 octets of its message and two names of 255 octets of ours."""
    opening = Draft(msg_id, questions=[question], answers=[soa(2), rr(ORIGIN, NS, name("ns1"))])
    yield _frame(opening, signer)
    record = rr(pointer(12), NS, pointer(12))
    message = Draft(msg_id, answers=[rr(NAME_255, NS, pointer(12)), *4600 * [record]])
    while True:
        yield _frame(message, signer)


def chained(msg_id: int, question: bytes, signer: Signer | None) -> Iterator[Piece]:
    """Names that are chains of 126 pointers, in records that are nothing but names."""
    opening = Draft(msg_id, questions=[question], answers=[soa(2), rr(ORIGIN, NS, name("ns1"))])
    yield _frame(opening, signer)
    chain = ORIGIN
    start = 12 + len(name("x")) + 10  # of the first record's rdata
    target = start
    for _ in range(125):
        at = start + len(chain)
        chain += pointer(target)
        target = at
    answers = [rr(name("x"), 65280, chain)]
    answers += 3500 * [rr(pointer(target), 17, pointer(target) + pointer(target))]
    while True:
        yield _frame(Draft(msg_id, answers=answers), signer)


@SIGNED
@pytest.mark.parametrize("pieces", [endless(), amplified], ids=["endless", "amplified"])
def test_memory_stays_within_the_limit_on_octets(
    pieces: Callable[..., Iterator[Piece]], key: Key | None
) -> None:
    limit = MIB

    async def main() -> TransferError:
        primary = Primary([Script(2)], endless=pieces)
        limits = PullLimits(stream=StreamLimits(octets=limit))
        return await failure_of(primary, key=key, limits=limits, lockstep=True)

    run(main)  # imports and caches are not the transfer's
    tracemalloc.start()
    try:
        error = run(main)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.failure is Failure.POLICY
    assert f"at most {limit} octets" in error.expected
    # One message's records at full length (2.4 MB) may be there before they are counted.
    assert peak < 12 * limit


def test_chains_of_pointers_cost_no_time() -> None:
    async def main() -> TransferError:
        primary = Primary([Script(2)], endless=chained)
        limits = PullLimits(stream=StreamLimits(octets=20 * 65_536))
        return await failure_of(primary, limits=limits, lockstep=True)

    before = time.process_time()
    error = run(main)
    assert error.failure is Failure.POLICY
    assert time.process_time() - before < 10.0  # 0.5 s a message would be an attack


def test_failure_in_a_thread_ends_the_pull_cleanly() -> None:
    """Real threads, real time: the limit on the rate is met while a worker is parsing."""

    def slow(frames: list[bytes]) -> Iterable[Piece]:
        whole = b"".join(frames)
        return [whole[i : i + 16] for i in range(0, len(whole), 16)]

    async def main() -> TransferError:
        primary = Primary([Script(2, messages=40, fault=Fault(stream=slow))], delay=0.001)
        limits = PullLimits(idle=0.05, min_rate=1 << 30)
        return await failure_of(primary, limits=limits, executor=ThreadExecutor(2), lockstep=True)

    error = trio.run(main)
    assert error.expected == f"{1 << 30} octets per second"


# -- unsigned messages between signed ones


@pytest.mark.parametrize("unsigned", [1, 98, 99])
def test_up_to_99_unsigned_messages_in_a_row_are_fine(unsigned: int) -> None:
    script = Script(2, messages=unsigned + 2, signed=lambda i: i % (unsigned + 1) == 0)

    async def main() -> int:
        return (await pull(Primary([script]), key=KEY)).messages

    assert run(main) == unsigned + 2


def test_100_unsigned_messages_in_a_row_are_not() -> None:
    script = Script(2, messages=102, signed=lambda i: i in (0, 101))

    async def main() -> None:
        primary = Primary([script, Script(2)])
        error = await failure_of(primary, key=KEY)
        assert error.failure is Failure.AUTH
        assert error.expected == "at most 99 unsigned messages between signed ones"
        assert error.got == "100 (TSIG too-many-unsigned), in message 101"
        assert (await pull(primary, key=KEY)).snapshot.serial == 2

    run(main)


@pytest.mark.parametrize("tail", [1, 2, 99])
def test_unsigned_tail_is_refused(tail: int) -> None:
    script = Script(2, messages=100, signed=lambda i: i < 100 - tail)

    async def main() -> None:
        primary = Primary([script, Script(2)])
        error = await failure_of(primary, key=KEY)
        assert error.failure is Failure.AUTH
        assert error.expected == "a last message signed by k1. with hmac-sha256"
        assert error.got == f"{tail} unsigned at the end (TSIG unsigned-tail)"
        assert (await pull(primary, key=KEY)).snapshot.serial == 2

    run(main)


def test_changed_unsigned_message_breaks_the_next_mac() -> None:
    def change(frames: list[bytes]) -> Iterable[Piece]:
        frames[2] = frames[2].replace(host(5)[-4:], b"\x0a\x09\x09\x09")
        return frames

    script = Script(2, messages=7, signed=lambda i: i in (0, 6), fault=Fault(stream=change))

    async def main() -> None:
        error = await failure_of(Primary([script]), key=KEY)
        assert error.failure is Failure.AUTH
        assert "(TSIG bad-mac), in message 7" in error.got

    run(main)
