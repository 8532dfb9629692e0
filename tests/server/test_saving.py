"""When the state of a secondary zone is written, and what a restart makes of what was."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fakes import WALL, peer, snapshot
from tests.server.upstream import Secondary, Upstream, simulate
from xfer.server.stored import MOVED, Stored
from xfer.server.zones import Zone

A = peer("a", "192.0.2.1")
DAY = 86400.0


class JumpingClock:
    """trio's clock, and a wall clock that goes along with it; jump: seconds it has been moved."""

    def __init__(self) -> None:
        self.jump = 0.0

    def monotonic(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return WALL + trio.current_time() + self.jump


def left(zone: Zone) -> float:
    found = zone.left(trio.current_time())
    assert found is not None
    return found


def stored_left(secondary: Secondary, zone: Zone) -> float:
    """Seconds that the zone would be served for after a crash now."""
    expire_at = secondary.commits.states[zone.origin].expire_at
    assert expire_at is not None
    return expire_at - secondary.clock.wall()


def test_checks_without_news_are_written_now_and_then_and_the_expiry_never_late() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        checks = len(upstream.asked)
        saves = secondary.commits.saves
        lifetime = zone.timers()
        assert lifetime is not None
        for _ in range(int(10 * DAY / 500)):
            await trio.sleep(500)
            late = stored_left(secondary, zone) - left(zone) if secondary.commits.states else 0.0
            assert -lifetime.expire * MOVED - 1e-6 <= late <= 1e-6
        checks = len(upstream.asked) - checks
        saves = secondary.commits.saves - saves
        assert checks > 100
        assert 0 < saves <= 10 * DAY / (lifetime.expire * MOVED) + 1
        assert saves < checks / 5

    clock = JumpingClock()
    upstream.clock = clock
    simulate(upstream, session, clock=clock)


def test_a_failure_and_its_end_are_written_at_once() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        upstream.served["a"] = None
        secondary.attempts.start(zone)
        await trio.sleep(60)
        state = secondary.commits.states[zone.origin]
        assert (state.failures, state.error_class) == (zone.failures, "transport")
        assert zone.failures > 0
        assert stored_left(secondary, zone) <= left(zone) + 1e-6
        upstream.served["a"] = snapshot(5)
        secondary.attempts.start(zone)
        await trio.sleep(60)
        state = secondary.commits.states[zone.origin]
        assert (state.failures, state.error_class, state.error) == (0, "", "")

    clock = JumpingClock()
    upstream.clock = clock
    simulate(upstream, session, clock=clock)


def test_a_wall_clock_that_goes_back_lets_no_stored_expiry_stand() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        clock.jump = -30 * DAY
        secondary.attempts.start(zone)
        await trio.sleep(60)
        assert abs(stored_left(secondary, zone) - left(zone)) < 1e-3

    clock = JumpingClock()
    upstream.clock = clock
    simulate(upstream, session, clock=clock)


def test_the_end_writes_what_has_moved_and_what_was_lost_is_written_again() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        states, peers = secondary.commits.states, secondary.commits.peers
        states.clear()
        peers.clear()
        secondary.attempts.start(zone)
        await trio.sleep(1)
        assert (states, peers) == ({}, {})
        await secondary.attempts.saving.last([zone])
        assert abs(stored_left(secondary, zone) - left(zone)) < 1e-3
        assert states[zone.origin].last_check_ok == zone.checked_at
        assert peers[zone.origin, "a"].data["serial"] == 5
        states.clear()
        peers.clear()
        await secondary.attempts.saving.last([zone])
        assert states == {}, "nothing has moved since"
        secondary.commits.lost += 1  # the journal could not be written to
        secondary.attempts.start(zone)
        await trio.sleep(1)
        assert zone.origin in states
        assert peers[zone.origin, "a"].data["serial"] == 5

    clock = JumpingClock()
    upstream.clock = clock
    simulate(upstream, session, clock=clock)


TIMES = st.none() | st.floats(0, 1e10)


@given(TIMES, TIMES, st.floats(-1e9, 1e9))
def test_what_a_restart_may_go_by_is_never_late_and_not_much_too_early(
    stored: float | None, expire_at: float | None, seconds: float
) -> None:
    if not Stored(stored, False, 0).outlasts(expire_at, seconds):
        return
    if stored is None or expire_at is None:
        assert stored is expire_at is None
    else:
        assert stored <= expire_at
        assert expire_at - stored <= max(0.0, seconds) / 8
