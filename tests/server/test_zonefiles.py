"""A primary zone's file and its journal: which of the two is served when they change."""

from __future__ import annotations

import io
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from tests.control.primary import ZONE
from tests.server.test_core import World
from xfer.errors import ZoneFileError
from xfer.journal import NewVersion
from xfer.server.core import Core
from xfer.server.edited import Conflict, Edited
from xfer.server.editing import Order
from xfer.server.serials import with_serial
from xfer.server.status import FailureReport
from xfer.server.zonefiles import MARK, digest_of
from xfer.server.zones import Zone

PRIMARY = """
[[zone]]
name = "example.com"
role = "primary"
file = "{directory}/zone"
"""
SIGNATURE = "@ RRSIG SOA 13 2 300 20300101000000 20200101000000 1 @ AAAA\n"


class Primary(World):
    """A core with one primary zone; `file` is what its zone file holds."""

    def __init__(self, directory: Path, file: str | None = ZONE, keys: str = "") -> None:
        super().__init__(directory, PRIMARY + keys)
        if file is not None:
            self.file.write_text(file)

    @property
    def file(self) -> Path:
        return self.directory / "zone"

    def start(self, session: Callable[[Core, Zone], Awaitable[None]], stored: bool = False) -> None:
        """One life of the daemon; stored: an AXFR of serial 5 is in the journal before."""

        async def whole(core: Core) -> None:
            await core.load_all()
            zone = next(iter(core.table.zones.values()))
            await core.read_file(zone)
            await session(core, zone)

        self.run(whole, stored=stored)


async def edit(core: Core, zone: Zone, text: str, **order: object) -> Edited:
    asked: dict[str, object] = {"kind": "import", "name": "new", "by": "me", "dry_run": False}
    return await core.editor.take(zone, io.StringIO(text), Order(**asked | order))  # type: ignore[arg-type]


def now(zone: Zone) -> tuple[int | None, FailureReport | None]:
    return zone.serial, zone.error


def with_host(name: str, serial: int = 5) -> str:
    return ZONE.replace(" 5 3600", f" {serial} 3600") + f"{name} A 192.0.2.9\n"


def test_an_unchanged_file_leaves_edits_alone_over_a_restart(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def first(core: Core, zone: Zone) -> None:
        assert zone.serial == 5
        await edit(core, zone, with_host("new"))
        assert zone.serial == 6

    async def second(core: Core, zone: Zone) -> None:
        assert (zone.serial, zone.error) == (6, None)
        outcome = await core.read_file(zone)
        assert "has not changed since it was published, and the zone has" in outcome.message

    world.start(first)
    world.start(second)


@pytest.mark.parametrize(("own", "served"), [(9, 9), (5, 6), (4, 6)])
def test_a_changed_file_is_published_under_a_newer_serial(
    tmp_path: Path, own: int, served: int
) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        world.file.write_text(with_host("new", own))
        outcome = await core.read_file(zone)
        assert (outcome.ok, zone.serial, zone.error) == (True, served, None)
        assert ("is not newer" in outcome.message) == (own != served)
        assert zone.version is not None
        assert zone.version.kind == "file"
        again = await core.read_file(zone)
        assert (zone.serial, again.message) == (
            served,
            f"{world.file} has what is served (serial {served})",
        )

    world.start(session)


def test_where_both_changed_the_zone_stays_and_says_so(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        await edit(core, zone, with_host("new"))
        world.file.write_text(with_host("other", 50))
        outcome = await core.read_file(zone)
        assert not outcome.ok
        assert zone.serial == 6
        assert zone.error is not None
        assert "got both: serial 6 (import of new) goes on serving" in zone.error.sentence
        assert "xfer zone import example.com." in zone.error.hint
        assert "xfer zone export example.com. -o" in zone.error.hint

    async def after(core: Core, zone: Zone) -> None:
        assert zone.serial == 6
        assert zone.error is not None
        await edit(core, zone, with_host("third"))
        assert (zone.serial, zone.error is None) == (7, False), "an edit does not hide it"

    world.start(session)
    world.start(after)


def test_importing_the_file_takes_the_file(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        await edit(core, zone, with_host("new"))
        world.file.write_text(with_host("other"))
        await core.read_file(zone)
        assert zone.error is not None
        await edit(core, zone, with_host("other"), digest=digest_of(world.file))
        assert now(zone) == (7, None)
        world.file.write_text(with_host("another"))
        await core.read_file(zone)
        assert now(zone) == (8, None), "the two agreed, and the file alone changed"

    world.start(session)


def test_exporting_to_the_file_keeps_the_zone(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        await edit(core, zone, with_host("new"))
        world.file.write_text(with_host("other"))
        await core.read_file(zone)
        world.file.write_text(with_host("new", 6))
        await core.read_file(zone)
        assert (zone.serial, zone.error) == (6, None)
        world.file.write_text(with_host("another", 6))
        await core.read_file(zone)
        assert (zone.serial, zone.error) == (7, None)

    world.start(session)


def test_only_a_newer_serial_in_the_file_is_no_conflict(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        await edit(core, zone, with_host("new"))
        world.file.write_text(with_host("new", 60))
        await core.read_file(zone)
        assert (zone.serial, zone.error) == (60, None)

    world.start(session)


def test_a_zone_that_was_transferred_before_takes_its_first_file(tmp_path: Path) -> None:
    world = Primary(tmp_path, with_host("new", 2))

    async def session(core: Core, zone: Zone) -> None:
        assert (zone.serial, zone.error) == (6, None)
        assert zone.version is not None
        assert "(its serial 2 was not newer)" in zone.version.source

    world.start(session, stored=True)


def test_a_signed_zone_keeps_its_serial_or_is_refused(tmp_path: Path) -> None:
    world = Primary(tmp_path, ZONE + SIGNATURE)

    async def session(core: Core, zone: Zone) -> None:
        world.file.write_text(with_host("new") + SIGNATURE)
        outcome = await core.read_file(zone)
        assert (outcome.ok, zone.serial) == (False, 5)
        assert "its RRSIG over its SOA forbids us" in outcome.message
        world.file.write_text(with_host("new", 6) + SIGNATURE)
        assert (await core.read_file(zone)).ok
        assert zone.serial == 6

    world.start(session)


def test_a_file_that_is_gone_or_broken_leaves_the_zone_serving(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        world.file.unlink()
        assert "No such file" in (await core.read_file(zone)).message
        world.file.write_text(ZONE + "x A 1.2.3\n")
        assert (
            f'{world.file}:6: Text input is malformed, in "x A 1.2.3"'
            in (await core.read_file(zone)).message
        )
        assert (zone.serial, zone.error is None) == (5, False)
        world.file.write_text(ZONE)
        await core.read_file(zone)
        assert (zone.serial, zone.error) == (5, None)

    world.start(session)


def test_a_first_version_may_be_imported_where_there_is_no_file(tmp_path: Path) -> None:
    world = Primary(tmp_path, None)

    async def session(core: Core, zone: Zone) -> None:
        looked = await edit(core, zone, ZONE, dry_run=True)
        assert (looked.changed, looked.published, looked.version, looked.added) == (
            True,
            False,
            None,
            4,
        )
        await edit(core, zone, ZONE, if_version=0)
        assert zone.serial == 5
        world.file.write_text(with_host("new"))
        await core.read_file(zone)
        assert zone.serial == 5
        assert zone.error is not None

    world.start(session)


def test_an_edit_made_for_another_version_is_refused(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        looked = await edit(core, zone, with_host("a"), dry_run=True)
        assert zone.serial == 5
        assert (looked.removed, looked.added, looked.more) == (1, 2, 0)
        await edit(core, zone, with_host("b"), if_version=looked.version)
        for dry_run in (False, True):
            with pytest.raises(
                Conflict, match="at version v1, which the change was made for, got v2"
            ):
                await edit(core, zone, with_host("a"), if_version=looked.version, dry_run=dry_run)
        assert zone.serial == 6

    world.start(session)


def test_edits_of_one_moment_follow_each_other(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(edit, core, zone, with_host(f"h{number}"))
        assert zone.serial == 10

    world.start(session)


def test_the_mark_is_stored_with_the_version(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        (mark,) = core.journal.marks(zone.origin)
        assert (mark.name, mark.data["serial"]) == (MARK, 5)
        assert mark.data["digest"] == digest_of(world.file)
        # An older version, as is served where the file's own cannot be read any more.
        older = NewVersion(
            origin=zone.origin,
            serial=4,
            parent=None,
            snapshot=with_serial(zone.snapshot, 4),
            source="file",
            kind="file",
        )
        (zone.version,) = core.journal.commit([older])
        zone.snapshot = with_serial(zone.snapshot, 4)
        await core.read_file(zone)
        assert zone.serial == 5, "the file is read again"

    world.start(session)


def test_a_named_pipe_is_refused_and_holds_up_no_thread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "zone")
    with pytest.raises(ZoneFileError, match="expected a zone file, got a named pipe"):
        digest_of(tmp_path / "zone")
