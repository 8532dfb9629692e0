"""Transfer slots: totals, per peer, waiting in turn and giving up."""

from __future__ import annotations

import trio
import trio.testing

from xfer.server.quotas import Slots


def test_slots_are_limited_in_all_and_for_each_peer() -> None:
    async def main() -> None:
        slots = Slots(total=3, each=2)
        got: list[tuple[str, bool]] = []

        async def hold(peer: str) -> None:
            async with slots.slot(peer, 5) as mine:
                got.append((peer, mine))
                if mine:
                    await trio.sleep(10)

        async with trio.open_nursery() as nursery:
            for peer in ("a", "a", "a", "b", "c"):
                nursery.start_soon(hold, peer)
                await trio.testing.wait_all_tasks_blocked()
            assert got == [("a", True), ("a", True), ("b", True)]
            assert slots.waiting == 2
        assert sorted(got[3:]) == [("a", False), ("c", False)]
        assert (slots.running, slots.waiting) == (0, 0)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_who_waits_gets_the_slot_that_is_given_back() -> None:
    async def main() -> None:
        slots = Slots(total=1, each=1)
        order: list[str] = []

        async def hold(name: str) -> None:
            async with slots.slot(name, 100) as mine:
                assert mine
                order.append(name)
                await trio.sleep(10)

        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):
                nursery.start_soon(hold, name)
                await trio.testing.wait_all_tasks_blocked()
        assert order == ["a", "b", "c"]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_more_slots_let_the_waiting_in() -> None:
    async def main() -> None:
        slots = Slots(total=1, each=1)
        async with slots.slot("a", 1) as first:
            assert first
            slots.resize(2, 1)
            async with slots.slot("b", 1) as second:
                assert second

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_some_slots_are_for_urgent_transfers_alone() -> None:
    slots = Slots(10, 4, spare=True)
    assert slots.free("a")
    slots.running = 8
    assert not slots.free("a")
    assert slots.free("a", urgent=True)
    assert Slots(1, 1, spare=True).free("a"), "the only one is for all"
