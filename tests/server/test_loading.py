"""What a restart finds in the journal, with clocks that have jumped."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from sqlalchemy import update

from tests.server.fakes import HandClock, snapshot
from tests.server.test_core import ORIGIN, SECONDARY, World, zone_of
from xfer.journal import Mark, NewVersion, PeerState, ZoneState, tables
from xfer.server.core import Core
from xfer.server.history import Named
from xfer.server.primaries import from_data
from xfer.server.serials import with_serial
from xfer.server.soa import SoaAnswer
from xfer.server.status import IxfrState
from xfer.server.stored import Stored
from xfer.zone.soa_fields import SoaChange, with_fields


async def _forever(*_: object, **__: object) -> None:
    await trio.sleep_forever()


def test_the_last_failure_and_what_primaries_can_do_outlive_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    world = World(tmp_path, SECONDARY, clock)
    wall = clock.wall()
    state = ZoneState(
        ORIGIN,
        last_check_ok=wall - 50,
        expire_at=wall + 500,
        last_attempt=wall - 10,
        failures=3,
        error_class="transport",
        error="transport: p: expected an answer, got none",
    )

    async def session(core: Core) -> None:
        core._committer.save_peer(
            PeerState(
                ORIGIN,
                "p",
                "primary",
                {"address": "192.0.2.1#53", "serial": 7, "ixfr": "broken", "ixfr_broken": 5},
            )
        )
        core._committer.settle()
        core.refresher.ask = _forever  # type: ignore[assignment]
        await core.load_all()
        zone = zone_of(core)
        assert (zone.failures, zone.checked_at) == (3, wall - 50)
        assert zone.stored == Stored(wall + 500, True, 0), "so that the failure's end is written"
        assert zone.error is not None
        assert (zone.error.failure, zone.error.at) == ("transport", wall - 10)
        known = zone.primary(zone.config.primaries[0])
        assert (known.serial, known.ixfr, known.ixfr_broken) == (7, IxfrState.BROKEN, 5)
        assert zone.armed == zone.expires

    world.run(session, state)


@pytest.mark.parametrize(("ahead", "left"), [(10**9, 86400), (500, 500), (-(10**9), 0)])
def test_an_expiry_of_a_clock_that_jumped_is_clamped(tmp_path: Path, ahead: int, left: int) -> None:
    clock = HandClock()
    world = World(tmp_path, SECONDARY, clock)

    async def session(core: Core) -> None:
        core.refresher.ask = _forever  # type: ignore[assignment]
        await core.load_all()
        assert zone_of(core).expires_in(clock.monotonic()) == left

    world.run(session, ZoneState(ORIGIN, expire_at=clock.wall() + ahead))


def test_since_when_a_zone_has_expired_outlives_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    world = World(tmp_path, SECONDARY, clock)
    wall = clock.wall()

    async def session(core: Core) -> None:
        core.refresher.ask = _forever  # type: ignore[assignment]
        await core.load_all()
        zone = zone_of(core)
        assert zone.serving(clock.monotonic()) is None
        assert zone.expired
        assert wall + (zone.left(clock.monotonic()) or 0.0) == pytest.approx(wall - 7200)

    world.run(session, ZoneState(ORIGIN, expire_at=wall - 7200))


def test_what_was_known_of_another_address_is_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path, SECONDARY)

    async def session(core: Core) -> None:
        (primary,) = zone_of(core).config.primaries
        found = from_data(primary, {"address": "192.0.2.9#53", "serial": 7}, 0.0)
        assert found.serial is None

    world.run(session)


@pytest.mark.parametrize("data", ["{", "{}", '{"serial": "five", "by": 1}'])
def test_a_hold_of_which_nothing_more_can_be_read_still_holds(tmp_path: Path, data: str) -> None:
    world = World(tmp_path, SECONDARY)

    async def session(core: Core) -> None:
        core.journal.set_mark(Mark(ORIGIN, "held"))
        with core.journal.database.write("damage it") as conn:
            conn.execute(update(tables.marks).values(data=data))
        core.refresher.ask = _forever  # type: ignore[assignment]
        await core.load_all()
        zone = zone_of(core)
        assert zone.held is not None
        assert (zone.serial, zone.held.serial, zone.held.content_version) == (5, 5, 1)

    world.run(session)


@pytest.mark.parametrize("clean", [True, False])
def test_after_a_crash_a_zone_expires_a_little_early_and_never_late(
    tmp_path: Path, clean: bool
) -> None:
    clock = HandClock()
    world = World(tmp_path, SECONDARY, clock)
    expires: list[float] = []

    async def answer(*_: object, **__: object) -> SoaAnswer:
        return SoaAnswer(5, None, "192.0.2.99", 0.01)

    async def checked(core: Core) -> None:
        core.refresher.ask = answer
        await core.load_all()
        zone = zone_of(core)
        for _ in range(30):
            clock.now += 1000
            await core.attempt(zone)
        assert zone.expires is not None
        expires.append(zone.expires)
        if clean:
            await core.attempts.saving.last([zone])

    async def again(core: Core) -> None:
        core.refresher.ask = _forever  # type: ignore[assignment]
        await core.load_all()
        zone = zone_of(core)
        assert zone.expires is not None
        early = expires[0] - zone.expires
        assert abs(early) < 1e-3 if clean else 0 < early <= 86400 / 8
        assert zone.error is None

    world.run(checked, ZoneState(ORIGIN, expire_at=clock.wall() + 50_000))
    world.run(again, stored=False)


def test_a_crash_after_a_rollback_to_a_shorter_expire_does_not_prolong_it(tmp_path: Path) -> None:
    clock = HandClock()
    world = World(tmp_path, SECONDARY, clock)
    newer = with_serial(with_fields(snapshot(5), SoaChange(expire=2_000_000)), 6)

    async def answer(*_: object, **__: object) -> SoaAnswer:
        return SoaAnswer(6, None, "192.0.2.99", 0.01)

    async def session(core: Core) -> None:
        new = NewVersion(ORIGIN, 6, 1, newer, "axfr", "axfr", expire_at=clock.wall() + 2_000_000)
        core.journal.commit([new])
        core.refresher.ask = answer
        await core.load_all()
        zone = zone_of(core)
        await core.attempt(zone)
        await core.rollbacks.rollback(zone, Named(serial=5))
        assert zone.expires_in(clock.monotonic()) == 86400
        core._committer.settle()
        clock.now += 5000

    async def again(core: Core) -> None:
        core.refresher.ask = _forever  # type: ignore[assignment]
        await core.load_all()
        zone = zone_of(core)
        assert zone.held is not None
        assert zone.expires_in(clock.monotonic()) == 86400 - 5000

    world.run(session)
    world.run(again, stored=False)
