"""When attempts start: NOTIFY before all else, one at a time, and what a restart has to know."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.server.fakes import peer, snapshot, zone_config
from tests.server.upstream import Ixfr, Secondary, Upstream, simulate
from xfer.server.attempts import CHECK, FOLLOW
from xfer.server.hints import Hint
from xfer.server.pace import Paces
from xfer.server.zones import Zone

A, B = peer("a", "192.0.2.1"), peer("b", "192.0.2.2")


def test_a_notify_of_what_is_served_makes_no_work_but_is_counted() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        asked = len(upstream.asked)
        assert not secondary.attempts.notified(zone, Hint(5, "192.0.2.1"))
        await trio.sleep(1)
        assert len(upstream.asked) == asked
        known = zone.primaries["a"]
        assert (zone.notifies, known.notifies, known.notified_serial) == (1, 1, 5)
        secondary.attempts.notified(zone, Hint(5, "192.0.2.77"))
        assert (zone.notifies, zone.primaries["a"].notifies) == (2, 1), "not from a primary"

    simulate(upstream, session)


@pytest.mark.parametrize("serial", [3, 5])
def test_a_notify_of_a_lower_serial_is_looked_at_once(serial: int) -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        upstream.served["a"] = snapshot(serial)  # it went back, or an old NOTIFY came late
        start = len(upstream.asked)
        assert secondary.attempts.notified(zone, Hint(3, "192.0.2.1"))
        await trio.sleep(60)
        assert upstream.told(start) == ["a soa"]
        assert (zone.serial, zone.primaries["a"].serial) == (5, serial)

    simulate(upstream, session)


def test_a_failing_zone_takes_any_notify_for_a_sign_of_life() -> None:
    upstream = Upstream(a=snapshot(5))
    upstream.down_for = 0.0

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A], refresh=300)
        await trio.sleep(60)
        upstream.served["a"] = None
        await trio.sleep(400)
        assert zone.error is not None
        upstream.served["a"] = snapshot(5)
        assert secondary.attempts.notified(zone, Hint(5, "192.0.2.1"))
        await trio.sleep(0.1)
        assert zone.error is None

    simulate(upstream, session)


def test_a_notify_during_a_check_is_remembered_with_its_source() -> None:
    upstream = Upstream(a=snapshot(5), b=snapshot(5))
    upstream.rtt = 1.0

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A, B])
        await trio.sleep(60)
        secondary.attempts.start(zone)
        await trio.sleep(0.5)
        assert zone.busy
        upstream.served["b"] = snapshot(6)
        start = len(upstream.asked)
        secondary.attempts.notified(zone, Hint(6, "192.0.2.2"))
        secondary.attempts.notified(zone, Hint(6, "192.0.2.2"))
        await trio.sleep(0.1)
        assert zone.serial == 6
        assert upstream.told(start) == ["b ixfr"], "its sender first, and once"

    simulate(upstream, session)


def test_a_notify_does_not_wait_for_a_check_of_a_dead_primary() -> None:
    upstream = Upstream(a=snapshot(5), b=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A, B])
        await trio.sleep(60)
        upstream.served = {"a": None, "b": snapshot(6)}
        secondary.attempts.start(zone)
        await trio.sleep(1)
        assert zone.busy
        secondary.attempts.notified(zone, Hint(6, "192.0.2.2"))
        await trio.sleep(0.1)
        assert (zone.serial, zone.busy, zone.error) == (6, False, None)

    simulate(upstream, session)


def test_a_notify_during_a_transfer_waits_for_it_and_is_remembered() -> None:
    upstream = Upstream(a=snapshot(5))
    upstream.ixfr["a"] = Ixfr.SILENT  # until AXFR takes its place

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        upstream.served["a"] = snapshot(6)
        start = len(upstream.asked)
        secondary.attempts.notified(zone, Hint(6, "192.0.2.1"))
        await trio.sleep(1)
        assert zone.transfer_from is A
        upstream.served["a"] = snapshot(7)
        secondary.attempts.notified(zone, Hint(7, "192.0.2.1"))
        await trio.sleep(60)
        assert zone.serial == 7
        assert upstream.told(start) == ["a ixfr", "a axfr"], "which brought the newest already"

    simulate(upstream, session)


def test_a_transfer_that_waits_for_a_slot_is_hurried_by_a_notify() -> None:
    upstream = Upstream(a=snapshot(5), b=snapshot(5))

    async def session(secondary: Secondary) -> None:
        slots = secondary.refresher.slots
        slots.resize(2, 2)
        zone = Zone(zone_config(primaries=[A]))
        async with slots.slot("192.0.2.1", 1.0):
            secondary.attempts.loaded(zone)  # one slot is left, for what NOTIFYs ask for
            await trio.sleep(10)
            assert (zone.serial, slots.waiting) == (None, 1)
            secondary.attempts.notified(zone, Hint(5, "192.0.2.1"))
            await trio.sleep(1)
            assert zone.serial == 5

    simulate(upstream, session)


def test_of_very_many_notifies_only_so_many_are_followed_up_at_once() -> None:
    upstream = Upstream(a=snapshot(1))
    upstream.rtt = 0.1
    content = snapshot(1)

    async def session(secondary: Secondary) -> None:
        zones = []
        for number in range(100):
            zone = Zone(zone_config(primaries=[A], name=f"z{number:03}.example."))
            zone.snapshot = content
            zones.append(zone)
            secondary.attempts.notified(zone, Hint(None, "192.0.2.1"))
        await trio.sleep(0.05)
        assert len(secondary.attempts.working) == 8
        await trio.sleep(100 / 8 * 0.1 + 1)
        assert all(zone.checked_at is not None for zone in zones)

    simulate(upstream, session, paces=Paces(at_once=8, at_once_each=8))


def test_work_that_is_no_attempt_does_not_lose_what_was_planned() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        asked = len(upstream.asked)
        async with secondary.attempts.turn(zone):
            await trio.sleep(1000)
            assert len(upstream.asked) == asked
        await trio.sleep(10)
        assert len(upstream.asked) == asked + 1
        assert zone.next_action == CHECK

    simulate(upstream, session)


def test_a_hint_that_no_primary_meets_is_given_up_after_the_ladder() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A], refresh=10_000)
        await trio.sleep(60)
        secondary.attempts.notified(zone, Hint(9, "192.0.2.1"))
        await trio.sleep(0.5)
        assert (zone.next_action, zone.error) == (FOLLOW, None)
        await trio.sleep(60)
        assert (zone.next_action, zone.rung) == (CHECK, -1)

    simulate(upstream, session)


@pytest.mark.parametrize("stopping", [True, False])
def test_nothing_starts_at_the_end_or_for_a_zone_that_has_left(stopping: bool) -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = Zone(zone_config(primaries=[A]))
        secondary.attempts.stopping = stopping
        zone.removed = not stopping
        assert not secondary.attempts.notified(zone, Hint(6, "192.0.2.1"))
        secondary.attempts.loaded(zone)
        secondary.attempts.start(zone)
        await trio.sleep(10)
        assert upstream.asked == []

    simulate(upstream, session)


def test_what_is_known_of_primaries_is_saved_where_it_changes() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        saved = secondary.commits.peers
        assert saved[zone.origin, "a"].data["serial"] == 5
        saved.clear()
        await trio.sleep(3600)
        assert saved == {}, "checks that find nothing new cost no write"
        upstream.served["a"] = snapshot(4)
        await trio.sleep(400)
        assert saved[zone.origin, "a"].data["behind"] is True

    simulate(upstream, session)


def test_a_notify_during_other_work_is_followed_up_after_it() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        upstream.served["a"] = snapshot(6)
        async with secondary.attempts.turn(zone):  # as a rollback that is refused in the end
            secondary.attempts.notified(zone, Hint(6, "192.0.2.1"))
            await trio.sleep(1)
        await trio.sleep(0.1)
        assert zone.serial == 6

    simulate(upstream, session)


def test_of_more_notifies_than_go_at_once_none_is_lost_to_other_work() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        zone, other = secondary.zone([A]), secondary.zone([A])
        await trio.sleep(60)
        upstream.served["a"] = snapshot(6)
        secondary.attempts._urgent = secondary.attempts.schedule.pace.paces.at_once - 1
        secondary.attempts.notified(other, Hint(6, "192.0.2.1"))
        secondary.attempts.notified(zone, Hint(6, "192.0.2.1"))
        async with secondary.attempts.turn(zone):
            await trio.sleep(1)
            assert other.serial == 6
        await trio.sleep(0.1)
        assert zone.serial == 6

    simulate(upstream, session)
