"""The heap of due times, and when zones expire."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.server.fakes import HandClock, TrioClock, snapshot, zone_config
from xfer.server.schedule import Schedule
from xfer.server.status import ZoneState
from xfer.server.zones import Zone


def zone(name: str = "example.com.", **settings: object) -> Zone:
    return Zone(zone_config(name=name, **settings))  # type: ignore[arg-type]


def test_zones_start_in_the_order_of_their_times() -> None:
    clock = HandClock()
    started: list[str] = []
    schedule = Schedule(clock, lambda z: started.append(z.name))
    for number in (3, 1, 2):
        schedule.at(zone(f"z{number}."), clock.now + number, "check")
    clock.now += 2
    schedule.run_due()
    assert started == ["z1.", "z2."]
    assert [z.name for _, z in schedule.upcoming(5)] == ["z3."]


def test_a_zone_that_was_moved_starts_once_at_its_last_time() -> None:
    clock = HandClock()
    started: list[str] = []
    schedule = Schedule(clock, lambda z: started.append(z.name))
    moved = zone()
    schedule.at(moved, clock.now + 1, "check")
    schedule.at(moved, clock.now + 5, "check")
    clock.now += 1
    schedule.run_due()
    assert started == []
    clock.now += 4
    schedule.run_due()
    schedule.run_due()
    assert started == ["example.com."]


def test_a_cancelled_zone_does_not_start() -> None:
    clock = HandClock()
    schedule = Schedule(clock, lambda z: pytest.fail("started"))
    gone = zone()
    schedule.at(gone, clock.now, "check")
    schedule.cancel(gone)
    schedule.run_due()
    assert schedule.next_due() is None


def test_the_loop_sleeps_until_the_next_zone_and_wakes_for_an_earlier_one() -> None:
    started: list[tuple[str, float]] = []

    async def main() -> None:
        schedule = Schedule(TrioClock(), lambda z: started.append((z.name, trio.current_time())))
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
    ("failures", "seconds"), [(0, 1.0), (1, 2.0), (4, 16.0), (8, 256.0), (9, 300.0), (1000, 300.0)]
)
def test_before_the_first_version_retries_slow_down(failures: int, seconds: float) -> None:
    new = zone()
    new.failures = failures
    assert new.retry_after() == seconds


def test_the_soa_timers_rule_afterwards_and_the_config_overrules_refresh() -> None:
    loaded = zone()
    loaded.snapshot = snapshot()
    assert (loaded.refresh_after(), loaded.retry_after()) == (300.0, 60.0)
    short = zone(refresh=30)
    short.snapshot = snapshot()
    assert (short.refresh_after(), short.retry_after()) == (30.0, 30.0)


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
