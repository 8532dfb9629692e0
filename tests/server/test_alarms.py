"""Calls at a time: in order, at most once, and not after they were dropped."""

from __future__ import annotations

import trio
import trio.testing

from tests.server.fakes import TrioClock
from xfer.server.alarms import Alarms


def test_calls_come_in_the_order_of_their_times_and_the_task_ends_with_them() -> None:
    async def main() -> list[tuple[str, float]]:
        called: list[tuple[str, float]] = []
        async with trio.open_nursery() as nursery:
            alarms = Alarms(nursery, TrioClock())

            def at(due: float, name: str) -> None:
                alarms.at(due, lambda: called.append((name, round(trio.current_time(), 3))))

            start = trio.current_time()
            at(start + 50, "later")
            at(start + 10, "first")
            at(start - 5, "past")
            await trio.sleep(20)
            at(start + 30, "between")
            dropped = alarms.at(start + 40, lambda: called.append(("dropped", 0)))
            alarms.drop(dropped)
            alarms.drop(dropped)
            alarms.drop(None)
            assert len(alarms) == 2
        assert len(alarms) == 0
        return [(name, at - start) for name, at in called]

    called = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert called == [("past", 0), ("first", 10), ("between", 30), ("later", 50)]


def test_thousands_that_are_moved_do_not_pile_up() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            alarms = Alarms(nursery, TrioClock())
            kept = alarms.at(100, lambda: None)
            for number in range(10_000):
                alarms.drop(alarms.at(200 + number, lambda: None))
            assert len(alarms) == 1
            assert len(alarms._heap) < 200
            assert kept.call is not None

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
