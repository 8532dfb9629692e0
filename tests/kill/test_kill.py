"""The short form of `make kill`: once at the beginning of each phase, and a few times inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill.deaths import histogram
from tests.kill.harness import Rounds
from tests.kill.plan import (
    AFTER,
    AHEAD,
    POINTS,
    Note,
    Point,
    lengths_of,
    place,
    read_notes,
    was_writing_ahead,
)

INSIDE = (
    Point("receiving", until="checking"),
    Point("flip inserted"),
)


@pytest.mark.lab
@pytest.mark.slow
def test_after_kill_9_in_any_phase_a_whole_version_serves_and_none_reported_is_lost(
    tmp_path: Path,
) -> None:
    with Rounds(tmp_path, size=9_000) as rounds:
        for row, points in POINTS.items():
            death = rounds.round(points[0], forced=row == "swapping")
            assert death is not None
            assert death.ahead if row == AHEAD else death.where == row, rounds.plan
            assert death.new == (row in ("swapping", "notifying"))
        for point in INSIDE:
            assert rounds.round(point) is not None
        rounds.finish()
        print("\n".join(histogram(rounds.deaths)))
        assert any(death.child for death in rounds.deaths), "no transfer was parsed by a child"


def test_the_last_phase_that_was_entered_is_where_it_died() -> None:
    def at(*events: str) -> tuple[str, bool]:
        notes = [Note(0.0, event) for event in events]
        return place(notes), was_writing_ahead(notes)

    assert at() == ("before", False)
    assert at("receiving", "octets at 70") == ("receiving", False)
    assert at("receiving", "write begin") == ("receiving", True)
    assert at("receiving", "write begin", "checking", "write added") == ("checking", True)
    assert at("receiving", "write begin", "checking", "write end") == ("checking", False)
    assert at("receiving", "checking", "writing", "flipping", "swapping") == ("swapping", False)
    assert at("receiving", "notifying", "done") == (AFTER, False)


def test_notes_are_read_up_to_the_last_whole_line() -> None:
    assert read_notes("1.5 receiving\n2.0 octets at 7\n2.5 chec") == [
        Note(1.5, "receiving"),
        Note(2.0, "octets at 7"),
    ]


def test_the_lengths_of_a_transfer_are_those_between_its_notes() -> None:
    lengths = lengths_of([Note(1.0, "receiving"), Note(1.5, "child"), Note(3.0, "checking")])
    assert lengths[Point("receiving", until="checking")] == 2.0
    assert Point("flipping", until="swapping") not in lengths
