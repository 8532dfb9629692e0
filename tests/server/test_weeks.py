"""Weeks in the life of secondary zones, simulated: primaries that flap, die, lag, and storm."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import trio
import trio.testing

from tests.server.fakes import WALL, TrioClock, peer, snapshot, zone_config
from tests.server.upstream import Secondary, Upstream, simulate
from xfer.peers import Peer
from xfer.server.hints import Hint
from xfer.server.pace import Paces
from xfer.server.zones import Zone
from xfer.zone.snapshot import Snapshot

A, B = peer("a", "192.0.2.1"), peer("b", "192.0.2.2")
HOUR, DAY, WEEK = 3600.0, 86400.0, 604800.0
REFRESH, RETRY, EXPIRE = 300.0, 60.0, 86400.0  # of `snapshot()`


def hint(serial: int | None, source: str = "192.0.2.1") -> Hint:
    return Hint(serial, source)


def test_a_zone_whose_primaries_are_dead_expires_on_time_and_recovers_with_a_lower_serial() -> None:
    upstream = Upstream(a=snapshot(50), b=snapshot(50))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A, B])
        await trio.sleep(WEEK)
        assert (zone.serial, zone.error) == (50, None)
        upstream.served = {"a": None, "b": None}
        await trio.sleep(1)
        while zone.busy:  # noqa: ASYNC110 - a check that was answered may be running
            await trio.sleep(1)
        expires = zone.expires
        assert expires is not None
        asked = [at for at, name, what in upstream.asked if what == "soa"]
        last = asked[-1] if asked[-1] < trio.current_time() - 5 else asked[-2]
        assert abs(expires - last - EXPIRE) < 1, "it counts from the last success"
        await trio.sleep_until(expires - 0.001)
        assert zone.serving(trio.current_time()) is zone.snapshot
        assert not zone.expired
        tries = [at for at, *_ in upstream.asked if expires - 31 <= at < expires]
        assert tries, "there is a try shortly before"
        await trio.sleep_until(expires)
        assert zone.serving(trio.current_time()) is None, "SERVFAIL from now on"
        await trio.testing.wait_all_tasks_blocked()
        assert zone.expired
        await trio.sleep(2 * WEEK)
        assert zone.serving(trio.current_time()) is None
        upstream.served["b"] = snapshot(7)
        await trio.sleep(330 + 20)
        assert (zone.serial, zone.expired) == (7, False)
        assert zone.serving(trio.current_time()) is zone.snapshot

    simulate(upstream, session)


def test_after_the_expiry_a_notify_is_a_sign_of_life_too() -> None:
    upstream = Upstream(a=snapshot(50))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(HOUR)
        upstream.served["a"] = None
        await trio.sleep(2 * DAY)
        assert zone.expired
        upstream.served["a"] = snapshot(3)
        assert secondary.attempts.notified(zone, hint(3))
        await trio.sleep(20)  # a try that runs is waited for
        assert (zone.serial, zone.expired) == (3, False)

    simulate(upstream, session)


def test_primaries_that_flap_for_weeks_keep_the_zone_current() -> None:
    upstream = Upstream(a=snapshot(1), b=snapshot(1))
    rng = random.Random(7)

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A, B])
        await trio.sleep(60)
        serial = 1
        for _ in range(3 * 7 * 8):  # three weeks, every three hours
            serial += 1
            content = snapshot(serial)
            up = rng.choice([("a",), ("b",), ("a", "b"), ()])
            upstream.served = {name: content if name in up else None for name in "ab"}
            await trio.sleep(3 * HOUR)
            assert zone.serving(trio.current_time()) is not None
            if up:
                assert (zone.serial, zone.error, zone.failures) == (serial, None, 0)
        assert len(upstream.asked) < 2.5 * 3 * WEEK / REFRESH

    simulate(upstream, session)


def test_retries_slow_down_and_checks_come_at_refresh() -> None:
    upstream = Upstream(a=snapshot(1))

    async def session(secondary: Secondary) -> None:
        secondary.zone([A])
        await trio.sleep(10 * HOUR)
        times = [at for at, _, what in upstream.asked if what == "soa"]
        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert all(0.9 * REFRESH <= gap <= 1.1 * REFRESH + 1 for gap in gaps)
        assert min(gaps) < REFRESH < max(gaps), "the jitter is symmetric"
        upstream.served["a"] = None
        start = len(upstream.asked)
        await trio.sleep(HOUR)
        times = [at + upstream.down_for for at, _, what in upstream.asked[start:]]
        gaps = [later - sooner for sooner, later in pairwise(times)]
        expected = [60, 120, 240, 300, 300]
        for gap, delay in zip(gaps, expected, strict=False):
            assert 0.9 * delay <= gap - upstream.down_for <= 1.1 * delay + 1

    simulate(upstream, session)


def test_a_storm_of_notifies_makes_few_checks() -> None:
    upstream = Upstream(a=snapshot(1))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        upstream.served["a"] = snapshot(2)
        start = len(upstream.asked)
        for _ in range(10_000):
            secondary.attempts.notified(zone, hint(2))
        await trio.sleep(10)
        assert (zone.serial, zone.notifies, zone.primaries["a"].notifies) == (2, 10_000, 10_000)
        assert upstream.told(start) == ["a ixfr"]
        for _ in range(1000):
            assert not secondary.attempts.notified(zone, hint(2)), "nothing to look for"
            await trio.sleep(0.01)
        assert len(upstream.asked) == start + 1

    simulate(upstream, session)


def test_a_storm_of_hints_at_what_no_primary_has_makes_one_check_a_second() -> None:
    upstream = Upstream(a=snapshot(1))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        start = len(upstream.asked)
        for _ in range(10_000):
            secondary.attempts.notified(zone, hint(9))
            await trio.sleep(0.001)
        assert len(upstream.asked) - start <= 12
        await trio.sleep(HOUR)
        assert len(upstream.asked) - start < 12 + 5 + 1.2 * HOUR / REFRESH

    simulate(upstream, session)


def test_notifies_while_a_transfer_runs_make_one_more_check_for_the_newest() -> None:
    upstream = Upstream(a=snapshot(1))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        start = len(upstream.asked)
        upstream.served["a"] = snapshot(2)
        for serial in range(2, 30):
            upstream.served["a"] = snapshot(serial)
            secondary.attempts.notified(zone, hint(serial))
            await trio.lowlevel.checkpoint()
        await trio.sleep(1)
        assert zone.serial == 29
        assert len(upstream.asked) - start <= 6

    simulate(upstream, session)


def test_a_notify_whose_transfer_fails_is_followed_up_after_1_3_10_and_30_seconds() -> None:
    upstream = Upstream(a=snapshot(1))
    upstream.down_for = 0.0

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A], refresh=20_000)
        await trio.sleep(60)
        upstream.served["a"] = None
        begin, start = trio.current_time(), len(upstream.asked)
        secondary.attempts.notified(zone, hint(2))
        await trio.sleep(50)
        times = [at - begin for at, *_ in upstream.asked[start:]]
        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert times[0] < 0.01
        for gap, step in zip(gaps, (1, 3, 10, 30), strict=True):
            assert 0.9 * step <= gap <= 1.1 * step
        upstream.served["a"] = snapshot(2)
        secondary.attempts.notified(zone, hint(2))
        await trio.sleep(1)
        assert (zone.serial, zone.error, zone.rung) == (2, None, -1)

    simulate(upstream, session)


def loaded(secondary: Secondary, content: Snapshot, number: int, primary: Peer = A) -> Zone:
    """A zone as the journal had it; its first check is planned."""
    zone = Zone(zone_config(primaries=[primary], name=f"z{number:05}.example."))
    zone.snapshot = content
    zone.keep_alive(trio.current_time(), None, True)
    secondary.attempts.loaded(zone)
    return zone


def test_ten_thousand_zones_start_at_their_pace_and_a_notify_overtakes_them() -> None:
    upstream = Upstream(a=snapshot(1), b=snapshot(1))
    count, rate = 10_000, 1000

    async def session(secondary: Secondary) -> None:
        content = snapshot(1)
        zones = [loaded(secondary, content, number) for number in range(count)]
        await trio.sleep(3.502)  # between two looks at what waits for tokens
        assert len(upstream.asked) <= 3.5 * rate * 1.1 + 300, "no faster than their pace"
        last = zones[-1]
        assert last.checked_at is None
        upstream.served["a"] = snapshot(2)
        sent, start = trio.current_time(), len(upstream.asked)
        secondary.attempts.notified(last, hint(None))
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        assert upstream.asked[start:][0][0] == sent, "it goes before all that is due"
        assert last.busy
        upstream.served["a"] = snapshot(1)
        await trio.sleep(count / rate + 2)
        assert all(zone.checked_at is not None for zone in zones)
        planned = secondary.attempts.schedule.upcoming(5)
        assert len(planned) == 5
        assert [at for at, *_ in planned] == sorted(at for at, *_ in planned)

    simulate(upstream, session, paces=Paces(rate=5000.0, rate_each=float(rate)))


def test_zones_of_a_dead_primary_hold_up_no_others() -> None:
    upstream = Upstream(a=None, b=snapshot(1))

    async def session(secondary: Secondary) -> None:
        content = snapshot(1)
        for number in range(500):
            loaded(secondary, content, number, A)
        alive = [loaded(secondary, content, number, B) for number in range(500, 1000)]
        await trio.sleep(5)
        assert all(zone.checked_at is not None for zone in alive)
        assert secondary.attempts.schedule.pace.running <= 8

    simulate(upstream, session, paces=Paces(at_once=16, at_once_each=8))


class JumpingClock(TrioClock):
    """A wall clock that somebody sets."""

    def __init__(self) -> None:
        self.offset = 0.0

    def wall(self) -> float:
        return WALL + trio.current_time() + self.offset


@pytest.mark.parametrize("jump", [10 * 365 * DAY, -10 * 365 * DAY])
def test_a_wall_clock_that_jumps_changes_no_plan(jump: float) -> None:
    upstream = Upstream(a=snapshot(1))
    clock = JumpingClock()

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(HOUR)
        due, expires = zone.due, zone.expires
        clock.offset = jump
        await trio.sleep(1)
        assert (zone.due, zone.expires) == (due, expires)
        await trio.sleep(WEEK)
        assert zone.serving(trio.current_time()) is not None
        assert zone.error is None
        assert len(upstream.asked) < 1.2 * (WEEK + HOUR) / REFRESH

    simulate(upstream, session, clock=clock)
