"""Transfers that do not end, crawl, or grow: limits, memory and time."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, TypeVarTuple

import pytest
import trio
import trio.testing

from tests.badinput.case import NAME_255
from tests.badinput.driving import SIGNED, failure_of, run
from tests.badinput.primary import (
    NS,
    ORIGIN,
    A,
    Draft,
    Fault,
    Piece,
    Primary,
    Script,
    Signature,
    Signer,
    name,
    pointer,
    rr,
    soa,
)
from tests.badinput.secondary import pull
from xfer.errors import Failure, TransferError
from xfer.server.intake import READ, WAITING
from xfer.server.pull import PullLimits
from xfer.transfer.envelope import StreamLimits
from xfer.wire.tsig import Key

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
MIB = 1 << 20


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
            assert sent < 2 * WAITING, "nothing holds the peer back"
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
