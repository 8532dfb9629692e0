"""Zones are looked at when the wall clock says so."""

from __future__ import annotations

import attrs
import trio
import trio.testing

from tests.server.fakes import zone_config
from xfer.server.reminders import LONGEST, Reminders
from xfer.server.zones import Zone


@attrs.define(eq=False)
class SetClock:
    """A wall clock that is `set` ahead of trio's."""

    ahead: float = 0.0

    def monotonic(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return trio.current_time() + self.ahead


def zone(name: str) -> Zone:
    return Zone(zone_config(name=name))


def seen_in(seconds: float, plan: dict[Zone, list[float]], jump: float = 0.0) -> list[Zone]:
    """The zones looked at within so many seconds. jump: the clock is set right after the start."""
    looked: list[Zone] = []
    clock = SetClock()

    async def main() -> None:
        reminders = Reminders(clock, looked.append)
        now = clock.wall()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reminders.run)
            await trio.testing.wait_all_tasks_blocked()
            for one, times in plan.items():
                for when in times:
                    reminders.at(one, now + when)
            clock.ahead = jump
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return looked


def test_zones_come_in_the_order_of_their_times() -> None:
    a, b, c = zone("a"), zone("b"), zone("c")
    assert seen_in(100, {a: [50], b: [20], c: [101]}) == [b, a]


def test_the_last_time_given_counts() -> None:
    a, b = zone("a"), zone("b")
    assert seen_in(100, {a: [10, 500], b: [500, 10]}) == [b]


def test_a_clock_that_is_set_ahead_is_noticed_soon() -> None:
    a = zone("a")
    assert seen_in(LONGEST + 1, {a: [86400]}) == []
    assert seen_in(LONGEST + 1, {a: [86400]}, jump=86400) == [a]


def test_a_forgotten_zone_does_not_come() -> None:
    looked: list[Zone] = []
    clock = SetClock()

    async def main() -> None:
        reminders = Reminders(clock, looked.append)
        one = zone("a")
        reminders.at(one, clock.wall() + 5)
        assert reminders.due(one) == clock.wall() + 5
        reminders.forget(one)
        assert reminders.due(one) is None
        await trio.sleep(6)
        assert reminders.run_due() == LONGEST

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert looked == []


def test_all_are_looked_at_where_the_clock_is_set_back() -> None:
    a, b = zone("a"), zone("b")
    plan = {a: [1e7], b: [2e7]}
    assert seen_in(3 * LONGEST, plan, jump=-1e7) == [a, b]
    assert seen_in(3 * LONGEST, plan, jump=-10) == []
