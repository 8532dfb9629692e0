"""Comments of records in zone files, imports and edits: kept, changed, and never overwritten."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.control.primary import ZONE
from tests.server.test_zonefiles import Primary, edit, now
from xfer.server.core import Core
from xfer.server.engine import Engine
from xfer.server.history import Named
from xfer.server.zones import Zone

COMMENTED = ZONE.replace("www A 192.0.2.2", "www A 192.0.2.2 ; web cf_tags=a,b:v")


async def shown(core: Core, zone: Zone) -> dict[str, str]:
    """Comments in the zone as a file, by the owners of their records."""
    engine = Engine(core, None)  # type: ignore[arg-type]
    lines = [line async for piece in engine.zone_file(zone.name) for line in [piece.decode()]]
    text = "".join(lines)
    edited = (await core.editor.text(zone)).text
    assert edited == text
    found = [line.partition("\t; ") for line in text.splitlines()[1:]]
    return {head.split(".")[0]: comment for head, _, comment in found if comment}


def test_a_files_comments_are_in_exports_and_edits(tmp_path: Path) -> None:
    world = Primary(tmp_path, COMMENTED)

    async def session(core: Core, zone: Zone) -> None:
        assert await shown(core, zone) == {"www": "web cf_tags=a,b:v"}
        text = (await core.editor.text(zone)).text
        same = await edit(core, zone, text, kind="edit")
        assert (same.changed, same.comments, zone.serial) == (False, 0, 5)

    world.start(session)
    world.start(session)


def test_a_changed_comment_is_no_version(tmp_path: Path) -> None:
    world = Primary(tmp_path, COMMENTED)

    async def session(core: Core, zone: Zone) -> None:
        other = COMMENTED.replace("; web", "; the web").replace("192.0.2.1", "192.0.2.1 ; ns")
        looked = await edit(core, zone, other, dry_run=True)
        assert (looked.changed, looked.comments) == (False, 2)
        assert await shown(core, zone) == {"www": "web cf_tags=a,b:v"}
        await edit(core, zone, other)
        assert await shown(core, zone) == {"www": "the web cf_tags=a,b:v", "ns1": "ns"}
        await edit(core, zone, ZONE)
        assert await shown(core, zone) == {}
        assert zone.serial == 5

    world.start(session)


def test_a_files_new_comments_are_taken(tmp_path: Path) -> None:
    world = Primary(tmp_path)

    async def session(core: Core, zone: Zone) -> None:
        world.file.write_text(COMMENTED)
        outcome = await core.read_file(zone)
        assert (outcome.ok, zone.serial) == (True, 5)
        assert await shown(core, zone) == {"www": "web cf_tags=a,b:v"}
        world.file.write_text(COMMENTED.replace("; web", "; new") + "a A 192.0.2.1 ; a\n")
        await core.read_file(zone)
        assert await shown(core, zone) == {"www": "new cf_tags=a,b:v", "a": "a"}
        world.file.write_text(ZONE + "a A 192.0.2.1 ; a\nb A 192.0.2.1\n")
        await core.read_file(zone)
        assert (await shown(core, zone), zone.serial) == ({"a": "a"}, 7)

    world.start(session)


def test_edited_comments_are_not_overwritten_by_a_changed_file(tmp_path: Path) -> None:
    world = Primary(tmp_path, COMMENTED)

    async def session(core: Core, zone: Zone) -> None:
        edited = COMMENTED.replace("; web", "; edited")
        await edit(core, zone, edited)
        outcome = await core.read_file(zone)
        assert "has not changed since it was published, and the zone has" in outcome.message
        world.file.write_text(COMMENTED + "a A 192.0.2.1 ; a\n")
        outcome = await core.read_file(zone)
        assert not outcome.ok
        assert "got both" in outcome.message
        assert await shown(core, zone) == {"www": "edited cf_tags=a,b:v"}
        world.file.write_text(edited)
        await core.read_file(zone)
        assert now(zone) == (5, None)
        world.file.write_text(COMMENTED + "a A 192.0.2.1 ; a\n")
        assert (await core.read_file(zone)).ok
        assert await shown(core, zone) == {"www": "web cf_tags=a,b:v", "a": "a"}

    world.start(session)


def test_a_record_comes_back_with_its_comment(tmp_path: Path) -> None:
    world = Primary(tmp_path, COMMENTED, keys="")

    async def session(core: Core, zone: Zone) -> None:
        await edit(core, zone, ZONE.replace("www A 192.0.2.2\n", ""))
        assert await shown(core, zone) == {}
        await core.rollbacks.rollback(zone, Named(serial=5))
        assert await shown(core, zone) == {"www": "web cf_tags=a,b:v"}

    world.start(session)


def test_comments_of_records_that_went_make_room(tmp_path: Path) -> None:
    world = Primary(tmp_path, COMMENTED, keys="[limits]\ncomments = 2\ncomment_length = 3\n")

    async def session(core: Core, zone: Zone) -> None:
        without = ZONE.replace("www A 192.0.2.2\n", "")
        await edit(core, zone, without + "a A 192.0.2.1 ; a\n")
        assert len(core.journal.comments(zone.origin)) == 2
        found = await edit(core, zone, without + "".join(f"{c} A 192.0.2.1 ; {c}\n" for c in "abc"))
        assert found.findings == (
            "comments (warn): example.com.: 1 comment was left out beyond the first 2 "
            "(limits.comments)",
        )
        assert await shown(core, zone) == {"a": "a", "b": "b"}
        assert len(core.journal.comments(zone.origin)) == 2
        await trio.lowlevel.checkpoint()

    world.start(session)
