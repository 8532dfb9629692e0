"""Who waits for the zone files of a reload is told once, of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.server.test_core import World
from xfer.config import load
from xfer.server import file_news
from xfer.server.core import Core
from xfer.server.file_news import FileNews
from xfer.server.loading import Loading
from xfer.server.status import FailureReport, Outcome, RefusedFile
from xfer.server.zones import Zone

ZONE = '[[zone]]\nname = "{name}"\nrole = "primary"\nfile = "{name}"\n'


def some_zones(directory: Path, count: int) -> list[Zone]:
    world = World(directory, "".join(ZONE.format(name=f"z{n}.example") for n in range(count)))
    return [Zone(config) for config in load(world.directory / "xfer.toml").zones.values()]


def failed(zone: Zone) -> Outcome:
    report = FailureReport("content", "no", 0.0, "look")
    return Outcome(False, True, "no", zone.name, failure=report)


def test_all_have_to_be_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_news, "MOST", 2)
    zones = some_zones(tmp_path, 6)
    news = FileNews()
    for zone in zones:
        news.expect(zone)
    found: list[tuple[RefusedFile, ...]] = []

    async def wait() -> None:
        found.append(await news.refused())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            for zone in zones[:3]:
                await trio.testing.wait_all_tasks_blocked()
                assert found == []
                news.told(zone, failed(zone))
                news.told(zone, failed(zone))
            news.told(zones[3], None)
            news.told(zones[4], Outcome(True, True, "served", "z"))
            news.told(zones[5], Outcome(False, True, "no primary zone any more", "z"))
        assert found == [await news.refused()] * 2

    trio.run(main)
    assert found[0] == tuple(RefusedFile(zone.name, "no", "look") for zone in zones[:2])
    assert news.more == 1


@pytest.mark.parametrize("then", ["", '[[peer]]\nname = "p"\naddress = "192.0.2.1"\n'])
def test_a_zone_that_has_no_file_any_more_before_it_is_loaded_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    if then:  # it is made a secondary zone, else it is removed
        then += '[[zone]]\nname = "a.example"\nprimaries = ["p"]\n'

    async def never(_self: Loading, _zone: Zone) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Loading, "added", never)
    world = World(tmp_path, "")
    ends: list[tuple[RefusedFile, ...]] = []

    async def session(core: Core) -> None:
        await core.load_all()
        world.write(ZONE.format(name="a.example"))
        await core.reload()
        first = core.file_news

        async def wait() -> None:
            ends.append(await first.refused())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert ends == []
            world.write(then)
            await core.reload()
        assert await core.file_news.refused() == ()

    world.run(session)
    assert ends == [()]
