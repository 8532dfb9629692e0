"""Peer states and marks: kept, replaced, told apart, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from tests.journal.contents import ZONE, StillClock, new, snapshot
from xfer.errors import JournalDamaged, JournalError, JournalLocked
from xfer.journal import Journal, Mark, PeerState, ZoneState, backup, tables

OTHER = b"\5other\0"
KNOWN = PeerState(ZONE, "ns1", "primary", {"serial": 7, "rtt": 0.25, "error": None, "ixfr": True})


def test_peer_states_are_kept_by_zone_peer_and_role(journal: Journal) -> None:
    same_peer = PeerState(ZONE, "ns1", "secondary", {"pending": [1, 2]})
    elsewhere = PeerState(OTHER, "ns1", "primary", {"serial": 1})
    journal.save_states([], [KNOWN, same_peer, elsewhere])
    newer = PeerState(ZONE, "ns1", "primary", {"serial": 8})
    journal.save_states([ZoneState(ZONE)], [newer])
    assert journal.peer_states(OTHER) == [elsewhere]
    assert sorted(journal.peer_states(ZONE), key=lambda state: state.role) == [newer, same_peer]
    assert len(journal.peer_states()) == 3


def test_a_peer_state_without_data_goes(journal: Journal) -> None:
    journal.save_states([], [KNOWN])
    journal.save_states([], [PeerState(ZONE, "ns1", "primary", {})])
    assert journal.peer_states() == []


def test_a_peer_has_one_of_two_roles() -> None:
    with pytest.raises(ValueError, match="role"):
        PeerState(ZONE, "ns1", "hidden", {})


def test_a_mark_is_set_replaced_and_cleared(journal: Journal, url: str, clock: StillClock) -> None:
    journal.set_mark(Mark(ZONE, "held", {"serial": 3}))
    journal.set_mark(Mark(ZONE, "file", {"digest": "00"}))
    journal.set_mark(Mark(OTHER, "held"))
    journal.set_mark(Mark(ZONE, "held", {"serial": 4}))
    with Journal.open(url, clock, writable=False) as reader:
        assert {mark.name: mark.data for mark in reader.marks(ZONE)} == {
            "held": {"serial": 4},
            "file": {"digest": "00"},
        }
        assert len(reader.marks()) == 3
        with pytest.raises(JournalLocked):
            reader.set_mark(Mark(ZONE, "held"))
    journal.clear_mark(ZONE, "held")
    journal.clear_mark(ZONE, "held")
    assert [mark.name for mark in journal.marks(ZONE)] == ["file"]
    assert journal.marks(OTHER) == [Mark(OTHER, "held", {})]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param({"x": float("nan")}, "expected data that JSON can hold", id="not a number"),
        pytest.param({"x": b"octets"}, "expected data that JSON can hold", id="octets"),
        pytest.param({"x": "y" * 70000}, "at most 65536 characters", id="too much"),
    ],
)
def test_data_that_cannot_be_kept_is_refused(
    journal: Journal, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(JournalError, match=message):
        journal.set_mark(Mark(ZONE, "held", data))
    with pytest.raises(JournalError, match=message):
        journal.save_states([], [PeerState(ZONE, "ns1", "primary", data)])
    assert (journal.marks(), journal.peer_states()) == ([], [])


def test_marks_are_set_with_a_version_or_not_at_all(journal: Journal) -> None:
    mark = Mark(ZONE, "file", {"serial": 1})
    (version,) = journal.commit([new(snapshot(1), marks=[mark], added=2, removed=0)])
    assert (version.added, version.removed) == (2, 0)
    assert journal.latest(ZONE) == version
    assert journal.marks() == [mark]
    unsound = new(snapshot(2), parent=99, marks=[Mark(ZONE, "file", {"serial": 2})])
    foreign = new(snapshot(2), marks=[Mark(OTHER, "file")])
    for outcome in journal.commit_each([unsound, foreign]):
        assert isinstance(outcome, JournalError)
    assert journal.marks() == [mark]


def test_a_forgotten_zone_leaves_nothing(journal: Journal) -> None:
    for serial in range(1, 80):
        journal.commit([new(snapshot(serial, range(serial % 9)))])
    journal.commit([new(snapshot(5, range(8)), chain="received")])
    journal.commit([new(snapshot(5, range(8), origin=OTHER))])
    for zone in (ZONE, OTHER):
        journal.save_states([ZoneState(zone)], [PeerState(zone, "ns1", "primary", {"serial": 1})])
        journal.set_mark(Mark(zone, "removed"))
    journal.forget(ZONE)
    journal.forget(ZONE)
    journal.collect()
    result = journal.verify()
    assert result.ok, result.problems()
    assert (result.versions, result.blocks, result.peers, result.marks) == (1, 3, 1, 1)
    assert journal.state(ZONE) is None
    assert journal.latest(OTHER) is not None


@pytest.mark.parametrize("data", ["{", "[1]"])
def test_damaged_rows_are_told_by_verify(journal: Journal, data: str, tmp_path: Path) -> None:
    journal.save_states([], [KNOWN])
    journal.set_mark(Mark(ZONE, "held"))
    with journal.database.write("damage them") as conn:
        conn.execute(update(tables.peer_states).values(data=data))
        conn.execute(update(tables.marks).values(data=data))
        row = {"origin": OTHER, "peer": "ns2", "role": "neither", "data": "{}"}
        conn.execute(insert(tables.peer_states), [row])
    assert journal.peer_states() == []  # advice that cannot be read is none
    assert journal.marks() == [Mark(ZONE, "held")]  # that there is one is known
    result = journal.verify()
    assert not result.ok
    assert (result.peers, result.marks, len(result.unreadable)) == (2, 1, 3)
    assert any("expected a role" in line for line in result.problems())
    with pytest.raises(JournalDamaged, match="got 3 problems"):
        journal.backup(tmp_path / "copy.db")


def test_backup_and_restore_bring_them_back(
    journal: Journal, clock: StillClock, tmp_path: Path
) -> None:
    journal.save_states([], [KNOWN])
    journal.set_mark(Mark(ZONE, "held", {"serial": 3}))
    figures = journal.stats()
    assert (figures.peers, figures.marks) == (1, 1)
    assert journal.backup(tmp_path / "copy.db").marks == 1
    target = str(tmp_path / "restored.db")
    assert backup.restore(tmp_path / "copy.db", target, clock).verification.peers == 1
    with Journal.open(target, clock) as restored:
        assert restored.peer_states() == [KNOWN]
        assert restored.marks() == [Mark(ZONE, "held", {"serial": 3})]
