"""The heap of due times, and when zones expire."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.server.fakes import HandClock, TrioClock, peer, snapshot, zone_config
from xfer.clock import Clock
from xfer.server.pace import Pace, Paces
from xfer.server.schedule import Schedule
from xfer.server.status import ZoneState
from xfer.server.zones import Zone


def zone(name: str = "example.com.", **settings: object) -> Zone:
    return Zone(zone_config(name=name, **settings))  # type: ignore[arg-type]


PEERS = (peer("p", "192.0.2.1"), peer("q", "192.0.2.2"))


class World:
    """A schedule that notes what it starts; `busy` gives back no place until told to."""

    def __init__(self, clock: Clock | None = None, paces: Paces | None = None) -> None:
        self.clock = clock or HandClock()
        self.started: list[str] = []
        self.expired: list[str] = []
        self.busy = False
        self.schedule = Schedule(
            self.clock, self._start, self._expire, Pace(paces or Paces(1e6, 1e6))
        )

    def _start(self, started: Zone, peer: str | None) -> bool:
        self.started.append(started.name)
        return self.busy and peer is not None

    def _expire(self, expired: Zone) -> None:
        expired.expired = True
        self.expired.append(expired.name)

    def pass_time(self, seconds: float) -> None:
        assert isinstance(self.clock, HandClock)
        self.clock.now += seconds
        self.schedule.run_due()

    def plan(self, name: str, after: float, primary: int = 0) -> Zone:
        planned = zone(name, primaries=[PEERS[primary]])
        self.schedule.at(planned, self.clock.monotonic() + after, "check")
        return planned


def test_zones_start_in_the_order_of_their_times() -> None:
    world = World()
    for number in (3, 1, 2):
        world.plan(f"z{number}.", number)
    world.pass_time(2)
    assert world.started == ["z1.", "z2."]
    assert [(z.name, action) for _, z, action in world.schedule.upcoming(5)] == [("z3.", "check")]


def test_a_zone_that_was_moved_starts_once_at_its_last_time() -> None:
    world = World()
    moved = world.plan("z.", 1)
    world.schedule.at(moved, world.clock.monotonic() + 5, "check")
    world.pass_time(1)
    assert world.started == []
    world.pass_time(4)
    world.pass_time(0)
    assert world.started == ["z."]


def test_a_cancelled_zone_does_not_start() -> None:
    world = World()
    world.schedule.cancel(world.plan("z.", 0))
    world.pass_time(1)
    assert (world.started, world.schedule.next_due()) == ([], None)


def test_zones_moved_again_and_again_leave_no_heap_of_what_was() -> None:
    world = World()
    moved = world.plan("z.", 1)
    for number in range(50_000):
        world.schedule.at(moved, world.clock.monotonic() + 10 + number, "check")
    assert len(world.schedule._heap) < 3000


def test_checks_that_are_due_together_start_at_their_pace() -> None:
    world = World(paces=Paces(rate=100, rate_each=10))
    for number in range(30):
        world.plan(f"z{number}.", 0)
    world.plan("other.", 0, primary=1)
    world.pass_time(0)
    assert sorted(world.started) == ["other.", "z0."], "another primary has tokens of its own"
    for _ in range(20):
        world.pass_time(0.1)
    assert 20 <= len(world.started) <= 24


def test_what_follows_up_a_notify_needs_no_token() -> None:
    world = World(paces=Paces(rate=100, rate_each=1))
    for number in range(5):
        world.plan(f"z{number}.", 0)
    urgent = world.plan("urgent.", 0.1)
    urgent.rung = 1
    world.pass_time(0.1)
    assert world.started == ["z0.", "urgent."]


def test_a_zone_without_a_place_waits_for_one_of_its_primary() -> None:
    world = World(paces=Paces(1e6, 1e6, at_once=3, at_once_each=2))
    world.busy = True
    for number in range(4):
        world.plan(f"p{number}.", 0)
    world.plan("q0.", 0, primary=1)
    world.plan("q1.", 0, primary=1)
    world.pass_time(0.001)
    world.pass_time(0.001)
    assert world.started == ["p0.", "p1.", "q0."]
    assert len(world.schedule.upcoming(10)) == 3, "those that wait are listed"
    world.schedule.ended("p")
    assert world.started[3:] == ["p2."]
    world.schedule.ended("q")
    assert world.started[4:] == ["q1."]


def test_a_parked_zone_that_is_cancelled_takes_no_place() -> None:
    world = World(paces=Paces(1e6, 1e6, at_once=1, at_once_each=1))
    world.busy = True
    world.plan("first.", 0)
    gone = world.plan("gone.", 0)
    world.plan("last.", 0)
    world.pass_time(0.001)
    world.pass_time(0.001)
    world.schedule.cancel(gone)
    world.schedule.ended("p")
    assert world.started == ["first.", "last."]
    world.busy = False
    world.schedule.ended("p")
    assert world.schedule.pace.running == 0


def test_an_expiry_happens_at_its_time_however_often_it_moved() -> None:
    world = World()
    assert isinstance(world.clock, HandClock)
    served = zone()
    served.snapshot = snapshot()
    for _ in range(100):
        served.keep_alive(world.clock.now, None, False)
        world.schedule.arm(served)
        world.pass_time(300)
    assert len(world.schedule._heap) == 1, "one entry, whatever came"
    assert served.expires is not None
    world.pass_time(served.expires - world.clock.now - 0.001)
    assert world.expired == []
    world.pass_time(0.001)
    assert world.expired == ["example.com."]
    assert world.schedule.upcoming(1) == []


def test_an_expiry_that_comes_sooner_than_planned_is_not_missed() -> None:
    world = World()
    assert isinstance(world.clock, HandClock)
    served = zone()
    served.snapshot = snapshot()
    for option in (None, 100):
        served.keep_alive(world.clock.now, option, True)
        world.schedule.arm(served)
    world.pass_time(100)
    assert world.expired == ["example.com."]
    world.schedule.forget(served)


def test_the_loop_sleeps_until_the_next_zone_and_wakes_for_an_earlier_one() -> None:
    started: list[tuple[str, float]] = []

    async def main() -> None:
        def start(due: Zone, _: str | None) -> bool:
            started.append((due.name, trio.current_time()))
            return False

        schedule = Schedule(TrioClock(), start, lambda z: pytest.fail("expired"))
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(schedule.run)
            schedule.at(zone("late."), begin + 3600, "check")
            await trio.sleep(10)
            schedule.at(zone("soon."), begin + 20, "check")
            await trio.sleep(4000)
            nursery.cancel_scope.cancel()
        assert [(name, round(at - begin)) for name, at in started] == [
            ("soon.", 20),
            ("late.", 3600),
        ]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("before", "option", "transferred", "left"),
    [
        (None, None, True, 86400),
        (None, 500, True, 500),
        (None, 10**6, True, 86400),
        (100.0, None, False, 86400),
        (100.0, 500, False, 500),
        (900.0, 500, False, 900),
        (900.0, 10**6, False, 86400),
    ],
)
def test_expiry_follows_rfc_7314(
    before: float | None, option: int | None, transferred: bool, left: float
) -> None:
    served = zone()
    served.snapshot = snapshot()
    served.expires = None if before is None else 1000.0 + before
    served.keep_alive(1000.0, option, transferred)
    assert served.expires_in(1000.0) == left


def test_an_expired_zone_serves_nothing_and_says_so() -> None:
    served = zone()
    served.snapshot = snapshot()
    served.expires = 1000.0
    assert served.serving(999.9) is served.snapshot
    assert served.serving(1000.0) is None
    assert served.state(1000.0) is ZoneState.EXPIRED
