"""Connections that end or stall at any octet, and signatures that do not go to the end."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable

import pytest
import trio
import trio.testing

from tests.badinput.driving import SIGNED, failure_of, run
from tests.badinput.primary import (
    KEY,
    ORIGIN,
    Fault,
    Pause,
    Piece,
    Primary,
    Script,
    Signer,
    host,
)
from tests.badinput.secondary import SOURCE, TestClock, pull
from xfer.errors import Failure, JournalError, TransferError
from xfer.server.executor import InlineExecutor, ThreadExecutor
from xfer.server.pull import PullLimits, PullResult, pull_zone
from xfer.server.target import Connection, Dial, Target
from xfer.wire.tsig import Key
from xfer.zone.check import Policy


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


def test_journal_that_fails_during_a_pull_fails_the_pull() -> None:
    def full(blocks: object) -> None:
        raise JournalError("the disk is full")

    error = run(lambda: pull_by(Primary([Script(2)]).serve, write_ahead=full))
    assert isinstance(error, TransferError)
    assert error.failure is Failure.POLICY
    assert error.got == "the disk is full"


def test_failure_in_a_thread_ends_the_pull_cleanly() -> None:
    """Real threads, real time: the limit on the rate is met while a worker is parsing."""

    def slow(frames: list[bytes]) -> Iterable[Piece]:
        whole = b"".join(frames)
        return [whole[i : i + 16] for i in range(0, len(whole), 16)]

    async def main() -> TransferError:
        # It lasts longer than the limits look at; half a second of silence is not there to be met.
        primary = Primary([Script(2, messages=120, fault=Fault(stream=slow))], delay=0.001)
        limits = PullLimits(idle=0.5, min_rate=1 << 30)
        return await failure_of(primary, limits=limits, executor=ThreadExecutor(2), lockstep=True)

    error = trio.run(main)
    assert error.expected == f"{1 << 30} octets per second"


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
