"""The short forms of `make kill-edits`: a death in each phase while edits flow, and lost writes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.kill import edits, losing
from tests.kill.edits import POINTS, EditRounds, plain_lines
from tests.kill.harness import Broken
from tests.kill.losing import Disk, Loss, Note


@pytest.mark.lab
@pytest.mark.slow
def test_no_version_that_anyone_saw_is_lost_while_edits_flow_and_the_daemon_dies(
    tmp_path: Path,
) -> None:
    with EditRounds(tmp_path) as rounds:
        for row, (at_once, *_) in POINTS.items():
            assert rounds.round(at_once) == row, rounds.plan
        # And anywhere: a death some time after an event is in whichever phase that meets.
        print("\n".join(edits.run(rounds, len(POINTS) + 3)))


@pytest.mark.lab
@pytest.mark.slow
def test_no_version_that_anyone_saw_is_lost_where_the_disk_loses_what_was_not_synced(
    tmp_path: Path,
) -> None:
    print("\n".join(losing.run(tmp_path, 12, seconds=4.0)))


@pytest.mark.lab
@pytest.mark.slow
def test_a_disk_that_lies_about_syncs_is_found_out(tmp_path: Path) -> None:
    """The rig has teeth: with syncs that did nothing, versions are lost, and it says so."""
    with pytest.raises(Broken, match="lost: "):
        losing.run(tmp_path, 12, seconds=2.0, synced=lambda note: note.path != "-wal")


def written(offset: int, data: bytes) -> Note:
    return Note(0.0, "w", "-wal", offset, data)


def sync() -> Note:
    return Note(0.0, "s", "-wal", 0, b"")


def after(loss: Loss, *notes: Note) -> bytes:
    disk = Disk()
    for note in notes:
        disk.take(note)
    return disk.files["-wal"].after(loss, random.Random(1))


def test_what_was_synced_survives_and_what_was_written_later_may_not() -> None:
    notes = (written(0, b"a" * 1024), sync(), written(512, b"b" * 1024))
    assert after(Loss.ALL, *notes) == b"a" * 1024
    assert after(Loss.NOTHING, *notes) == b"a" * 512 + b"b" * 1024
    some = after(Loss.SOME, *notes)
    assert some[:512] == b"a" * 512
    assert {some[at : at + 512] for at in range(512, len(some), 512)} <= {
        b"a" * 512,
        b"b" * 512,
    }


def test_a_truncation_is_lost_like_a_write() -> None:
    notes = (written(0, b"abc"), sync(), Note(0.0, "t", "-wal", 1, b""))
    assert after(Loss.ALL, *notes) == b"abc"
    assert after(Loss.NOTHING, *notes) == b"a"
    assert after(Loss.ALL, *notes, sync()) == b"a"


def test_a_zone_file_of_ours_reads_as_plain_lines() -> None:
    text = "$ORIGIN x.\n; a comment\nx. 300 IN SOA a. b. 1 2 3 4 5\nw.x. 60 IN A 192.0.2.1\n"
    assert plain_lines(text) == ["w.x. 60 A 192.0.2.1", "x. 300 SOA a. b. 1 2 3 4 5"]
