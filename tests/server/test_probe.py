"""What secondaries have by their own word: when they are asked, and when they are left alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
import trio.testing

from tests.server.downstream import FakeSecondary, world
from tests.server.fakes import KEY, WALL, snapshot, zone_config
from xfer.config_limits import Limits
from xfer.server.zones import Zone
from xfer.wire.codes import REFUSED


def run(session: Callable[[], Awaitable[None]]) -> None:
    trio.run(session, clock=trio.testing.MockClock(autojump_threshold=0.005))


def rounded(times: list[float]) -> list[float]:
    return [round(at, 1) for at in times]


def test_a_secondary_that_follows_is_asked_once() -> None:
    async def session() -> None:
        fake = FakeSecondary(follows=True, key=KEY)
        async with world(fake, keys=[KEY]) as made:
            made.publish(2)
            await trio.sleep(2000)
            assert rounded(fake.asked) == [1.0]
            status = made.status()
            assert (status.seen_serial, status.seen_at, status.probe_error) == (2, WALL, "")
            assert made.downstream.prober.pending == 0
            assert made.saves.of(made.zone)[0].data["seen_serial"] == 2

    run(session)


def test_one_that_lags_is_asked_again_on_the_ladder_until_it_has_the_serial() -> None:
    async def session() -> None:
        fake = FakeSecondary(soa=1)
        async with world(fake) as made:
            made.publish(2)
            await trio.sleep(30)
            assert rounded(fake.asked) == [1.0, 4.0, 14.0]
            assert made.status().seen_serial == 1
            fake.soa = 2
            await trio.sleep(2000)
            assert rounded(fake.asked) == [1.0, 4.0, 14.0, 44.0]
            assert made.status().seen_serial == 2

    run(session)


def test_the_ladder_ends() -> None:
    async def session() -> None:
        fake = FakeSecondary(soa=1)
        async with world(fake, limits=Limits(probe_ladder=(1.0, 5.0))) as made:
            made.publish(2)
            await trio.sleep(2000)
            assert rounded(fake.asked) == [1.0, 6.0]
            assert made.downstream.prober.pending == 0

    run(session)


def test_under_fast_edits_it_is_asked_when_they_pause_or_after_ten_quiet_times() -> None:
    async def session() -> None:
        fake = FakeSecondary(follows=True)
        async with world(fake) as made:
            for serial in range(2, 252):
                made.publish(serial)
                await trio.sleep(0.1)
            assert len(fake.serials) == 250
            assert rounded(fake.asked) == pytest.approx([10, 20], abs=0.5)
            await trio.sleep(2000)
            assert len(fake.asked) == 3
            assert made.status().seen_serial == 251

    run(session)


def test_one_that_refuses_is_asked_seldom_and_the_status_says_so() -> None:
    async def session() -> None:
        fake = FakeSecondary(soa=-REFUSED)
        async with world(fake) as made:
            for serial in range(2, 402):
                made.publish(serial)
                await trio.sleep(1.5)
            status = made.status()
            assert 4 <= len(fake.asked) <= 7
            assert status.probe_error.startswith("does not answer SOA queries (")
            assert "REFUSED" in status.probe_error
            assert status.seen_serial is None
            fake.soa = 401
            await trio.sleep(1000)
            made.publish(402)
            await trio.sleep(5)
            assert (made.status().seen_serial, made.status().probe_error) != (None, "")

    run(session)


def test_a_first_transfer_ends_the_patience_with_one_that_refused() -> None:
    async def session() -> None:
        fake = FakeSecondary(soa=-REFUSED)
        async with world(fake) as made:
            made.publish(2)
            await trio.sleep(50)
            fake.soa = 2
            before = len(fake.asked)
            made.downstream.fetched(made.zone, "sec", "axfr", None, 2)
            await trio.sleep(1.1)
            assert len(fake.asked) == before + 1
            assert (made.status().seen_serial, made.status().probe_error) == (2, "")

    run(session)


def test_probes_keep_to_their_rate() -> None:
    async def session() -> None:
        fake = FakeSecondary(soa=2)
        async with world(fake, limits=Limits(probe_rate=2.0)) as made:
            peers = made.zone.config.secondaries
            for number in range(20):
                zone = Zone(
                    zone_config(secondaries=peers, name=f"z{number}.example."), snapshot=snapshot(2)
                )
                made.downstream.prober.look(zone, peers[0])
            await trio.sleep(5)
            assert 8 <= len(fake.asked) <= 11
            await trio.sleep(10)
            assert len(fake.asked) == 20

    run(session)


def test_an_ixfr_that_is_up_to_date_tells_the_serial_without_a_probe() -> None:
    async def session() -> None:
        fake = FakeSecondary(soa=1)
        limits = attrs.evolve(Limits(), probe_ladder=())
        async with world(fake, limits=limits) as made:
            made.publish(2)
            await trio.sleep(1)
            made.downstream.asked(made.zone, "sec")
            made.downstream.fetched(made.zone, "sec", "soa", 1, 2)
            assert (made.status().fetched_serial, made.status().asked_at) == (None, WALL)
            made.downstream.fetched(made.zone, "sec", "soa", 2, 2)
            status = made.status()
            assert (status.fetched_kind, status.fetched_serial, status.seen_serial) == ("soa", 2, 2)
            made.downstream.fetched(made.zone, "192.0.2.66", "axfr", None, 2)
            assert list(made.zone.secondaries) == ["sec"]

    run(session)


def test_after_a_restart_who_was_told_but_not_seen_is_asked() -> None:
    async def session() -> None:
        fake = FakeSecondary(soa=1)
        async with world(fake) as made:
            made.publish(2)
            await trio.sleep(2)
            states = made.saves.of(made.zone)
            fake.soa = 2
            made.restarted(Limits()).loaded(made.zone, states)
            await trio.sleep(2)
            assert made.status().seen_serial == 2
            assert fake.serials == [2]

    run(session)
