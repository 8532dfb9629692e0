"""Comments of records beside the versions."""

from __future__ import annotations

from tests.journal.contents import ZONE, new, snapshot
from xfer.journal import Journal

OTHER = b"\x05other\0"


def test_comments_are_set_read_in_ranges_and_removed(journal: Journal) -> None:
    journal.change_comments(ZONE, {b"b": "two", b"a": "ä; one", b"c": "three"})
    journal.change_comments(OTHER, {b"b": "another"})
    assert journal.comments(ZONE) == [(b"a", "ä; one"), (b"b", "two"), (b"c", "three")]
    assert journal.comments(ZONE, b"b", b"c") == [(b"b", "two")]
    assert journal.comments(ZONE, b"b", limit=1) == [(b"b", "two")]
    journal.change_comments(ZONE, {b"b": "2"}, [b"a", b"none"])
    assert journal.comments(ZONE) == [(b"b", "2"), (b"c", "three")]
    assert journal.comments(OTHER) == [(b"b", "another")]


def test_many_go_in_several_transactions(journal: Journal) -> None:
    many = {f"{n:05}".encode(): str(n) for n in range(2500)}
    journal.change_comments(ZONE, many)
    assert dict(journal.comments(ZONE)) == many
    journal.change_comments(ZONE, {}, list(many)[:2300])
    assert len(journal.comments(ZONE)) == 200


def test_a_forgotten_zone_has_none(journal: Journal) -> None:
    journal.commit([new(snapshot(1, range(4)))])
    for zone in (ZONE, OTHER):
        journal.change_comments(zone, {b"a": "x"})
    journal.forget(ZONE)
    assert (journal.comments(ZONE), journal.comments(OTHER)) == ([], [(b"a", "x")])
