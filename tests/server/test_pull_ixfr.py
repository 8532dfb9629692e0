"""Where the answer to an IXFR is read: small changes in the event loop, whole zones in a child."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TypeVar, TypeVarTuple

import attrs
import trio

from tests.badinput.driving import run
from tests.badinput.primary import NS, ORIGIN, A, Primary, name, rr, soa
from tests.badinput.secondary import pull
from tests.badinput.test_ixfr import answer
from xfer.errors import Failure, TransferError
from xfer.server.executor import InlineExecutor
from xfer.server.parsing import LARGE
from xfer.server.pipeline import Parsers
from xfer.server.pull import _only
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

Ts = TypeVarTuple("Ts")
T = TypeVar("T")
COUNT = 12_000


@attrs.define(eq=False)
class CountingExecutor:
    """Runs at once, and counts."""

    calls: int = 0

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        self.calls += 1
        return await InlineExecutor().run(function, *args)


def address(number: int) -> bytes:
    return rr(name(f"h{number:05d}"), A, struct.pack("!I", number))


def zone(serial: int) -> Primary:
    head = [soa(serial), rr(ORIGIN, NS, name("ns1")), rr(name("ns1"), A, b"\xc0\0\2\1")]
    return answer(*head, *map(address, range(COUNT)), soa(serial), each=500)


async def first() -> Snapshot:
    return (await pull(zone(1))).snapshot


def shared(one: Snapshot, other: Snapshot) -> int:
    """How many blocks two versions have in common."""
    return len({block.digest for block in one.blocks} & {block.digest for block in other.blocks})


def test_an_edit_meets_no_thread_and_is_left_to_the_commit() -> None:
    written: list[Sequence[Block]] = []

    async def main() -> None:
        have = await first()
        executor = CountingExecutor()
        change = [soa(2), soa(1), address(7), soa(2), address(70_000), soa(2)]
        result = await pull(
            answer(*change), previous=have, executor=executor, write_ahead=written.append
        )
        assert (result.kind, executor.calls, written) == ("ixfr", 0, [])
        assert shared(have, result.snapshot) >= len(have.blocks) - 3
        executor.calls = 0
        assert (await pull(answer(soa(1)), previous=have, executor=executor)).kind == "soa"
        assert executor.calls == 0

    run(main)


def test_the_blocks_of_many_changes_are_written_ahead() -> None:
    written: list[Block] = []

    async def main() -> None:
        have = await first()
        executor = CountingExecutor()
        gone = [address(n) for n in range(0, COUNT, 100)]
        change = [soa(2), soa(1), *gone, soa(2), soa(2)]
        result = await pull(
            answer(*change), previous=have, executor=executor, write_ahead=written.extend
        )
        assert result.kind == "ixfr"
        assert executor.calls > 0
        had = {block.digest for block in have.blocks}
        fresh = {block.digest for block in result.snapshot.blocks} - had
        assert {block.digest for block in written} == fresh

    run(main)


def test_a_large_whole_zone_is_read_by_a_child_and_shares_blocks() -> None:
    parsers = Parsers(1)
    parsers.start()

    async def main() -> None:
        have = await first()
        result = await pull(zone(2), previous=have, parsers=parsers)
        assert result.octets > LARGE
        assert (result.kind, result.serial) == ("axfr", 2)
        assert [*result.snapshot.records()][2:] == [*have.records()][2:]
        assert shared(have, result.snapshot) == len(have.blocks) - 1

    try:
        run(main)
    finally:
        parsers.close()


def test_many_changes_never_meet_a_child() -> None:
    async def main() -> None:
        have = await first()
        hosts = [rr(name(f"new{n:05d}"), A, struct.pack("!I", n)) for n in range(10_000)]
        change = [soa(2), soa(1), soa(2), *hosts, soa(2)]
        parsers = Parsers(1)
        result = await pull(answer(*change, each=500), previous=have, parsers=parsers)
        assert result.octets > LARGE
        assert (result.kind, result.snapshot.count) == ("ixfr", have.count + len(hosts))
        parsers.close()

    run(main)


def test_a_transfer_that_is_cancelled_and_fails_at_once_is_cancelled() -> None:
    async def main() -> None:
        with trio.CancelScope() as scope:
            try:
                async with trio.open_nursery() as nursery:  # as that of reader and parser
                    nursery.start_soon(trio.sleep_forever)
                    scope.cancel()
                    raise TransferError(Failure.PROTOCOL, "an SOA", "none")
            except BaseExceptionGroup as group:
                raise _only(group) from None
        assert scope.cancelled_caught

    run(main)
