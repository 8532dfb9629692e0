"""Zones that leave the config: kept, found again after a restart, forgotten in time."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.server.fakes import HandClock
from tests.server.test_core import NONE, ORIGIN, SECONDARY, World, until, zone_of
from xfer.journal import Mark
from xfer.server.core import Core
from xfer.server.removed import DAY, LOOK, MARK

KEPT = "[limits]\nkeep_removed = 2\n"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


async def removed(core: Core) -> list[tuple[str, float, int | None, int]]:
    now = core.clock.wall()
    return [
        (zone.zone, (zone.until - now) / DAY, zone.serial, zone.versions)
        for zone in await core.removed.listed(10)
        if zone.until is not None
    ]


def marked(core: Core) -> bool:
    return any(mark.name == MARK for mark in core.journal.marks(ORIGIN))


def test_a_zone_that_comes_back_serves_what_it_had_at_once(
    tmp_path: Path, clock: HandClock
) -> None:
    world = World(tmp_path, SECONDARY, clock)

    async def session(core: Core) -> None:
        await core.load_all()
        assert await removed(core) == []
        world.write(KEPT)
        await core.reload()
        await until(lambda: marked(core))
        assert await removed(core) == [("example.com.", 2.0, 5, 1)]
        assert "kept until" in core.removed.said(ORIGIN)
        clock.now += 1.5 * DAY
        assert await removed(core) == [("example.com.", 0.5, 5, 1)]
        world.write(KEPT + SECONDARY)
        await core.reload()
        await until(lambda: zone_of(core).serial == 5)
        assert (await removed(core), marked(core), core.removed.said(ORIGIN)) == ([], False, "")

    world.run(session)


def test_a_restart_neither_loses_nor_renews_the_time(tmp_path: Path, clock: HandClock) -> None:
    world = World(tmp_path, SECONDARY, clock)

    async def leaves(core: Core) -> None:
        await core.load_all()
        world.write(KEPT)
        await core.reload()
        await until(lambda: marked(core))

    async def later(core: Core) -> None:
        await core.load_all()
        assert await removed(core) == [("example.com.", 1.0, 5, 1)]

    world.run(leaves)
    clock.now += DAY
    world.run(later, stored=False)


def test_what_left_while_the_daemon_was_down_counts_from_the_start(
    tmp_path: Path, clock: HandClock
) -> None:
    world = World(tmp_path, KEPT, clock)

    async def session(core: Core) -> None:
        clock.now += 10 * DAY
        await core.load_all()
        assert await removed(core) == [("example.com.", 2.0, 5, 1)]
        assert marked(core)

    world.run(session)


def test_a_mark_of_a_configured_zone_goes_at_the_start(tmp_path: Path) -> None:
    world = World(tmp_path, SECONDARY)

    async def session(core: Core) -> None:
        core.journal.set_mark(Mark(ORIGIN, MARK, {"at": 0}))
        await core.load_all()
        assert (await removed(core), marked(core)) == ([], False)
        assert zone_of(core).serial == 5

    world.run(session)


def test_a_zone_is_forgotten_when_its_time_is_over(tmp_path: Path, clock: HandClock) -> None:
    world = World(tmp_path, SECONDARY, clock)

    async def session(core: Core) -> None:
        await core.load_all()
        world.write(KEPT)
        await core.reload()
        await until(lambda: marked(core))
        clock.now += 2 * DAY - 10
        assert round(await core.removed.forget_due()) == 10
        assert core.journal.versions(ORIGIN)
        clock.now += 11
        assert await core.removed.forget_due() == LOOK
        assert core.journal.origins() == set()
        assert (await removed(core), core.removed.said(ORIGIN)) == ([], "")
        core._committer.settle()
        assert core.journal.stats().blocks == 0

    world.run(session)


def test_a_shorter_time_counts_from_the_reload_on(tmp_path: Path, clock: HandClock) -> None:
    world = World(tmp_path, KEPT, clock)

    async def session(core: Core) -> None:
        await core.load_all()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(core.removed.run)
            clock.now += DAY
            await trio.testing.wait_all_tasks_blocked()
            assert core.journal.versions(ORIGIN)
            world.write(NONE + "[limits]\nkeep_removed = 0.5\n")
            await core.reload()
            await until(lambda: not core.journal.versions(ORIGIN))
            nursery.cancel_scope.cancel()

    world.run(session)


def test_a_zone_waits_while_it_is_being_forgotten(tmp_path: Path, clock: HandClock) -> None:
    world = World(tmp_path, KEPT, clock)

    async def session(core: Core) -> None:
        await core.load_all()
        done = core.removed._forgetting[ORIGIN] = trio.Event()
        world.write(KEPT + SECONDARY)
        await core.reload()
        await trio.testing.wait_all_tasks_blocked()
        assert zone_of(core).loading
        core.journal.forget(ORIGIN)
        del core.removed._forgetting[ORIGIN]
        done.set()
        await until(lambda: not zone_of(core).loading)
        assert zone_of(core).serial is None

    world.run(session)
