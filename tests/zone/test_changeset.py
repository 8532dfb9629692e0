"""Changesets: exact differences, their algebra, and the deltas of an IXFR netted into one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import ORIGIN, Entry, apex, host, wire
from tests.zone.changing import build, content, listed, split, versions
from tests.zone.test_build import build as build_large
from xfer.errors import ChangeRefused
from xfer.wire import records
from xfer.zone.block import Block
from xfer.zone.changeset import Changeset, Differ, chain, condense, diff, invert
from xfer.zone.snapshot import Snapshot

ZONE = apex() + [host(n) for n in range(20_000)]


def as_sets(old: Snapshot, new: Snapshot) -> tuple[list[bytes], list[bytes]]:
    """What goes and what comes, worked out the slow way."""
    before, was = content(old)
    after, now = content(new)
    respelled = {r for r in set(before) & set(after) if was.get(r) != now.get(r)}
    return (
        sorted(set(before) - set(after) | respelled),
        sorted(set(after) - set(before) | respelled),
    )


class TestDiff:
    @given(versions(2))
    def test_is_what_sets_say_in_any_split(self, pair: list[Snapshot]) -> None:
        old, new = pair
        changes = diff(old, new)
        assert (changes.removed, changes.added) == as_sets(old, new)
        was, now = old.spelling(), new.spelling()
        assert changes.spelling_removed == {r: was[r] for r in changes.removed if r in was}
        assert changes.spelling_added == {r: now[r] for r in changes.added if r in now}
        assert (changes.serial_from, changes.serial_to) == (1, 2)
        assert old.soa in changes.removed
        assert new.soa in changes.added
        assert changes.octets == sum(map(len, changes.removed + changes.added))
        assert not changes.empty

    @given(versions(2), st.lists(st.integers(0, 40), max_size=6))
    def test_of_a_version_with_itself_is_empty(
        self, pair: list[Snapshot], places: list[int]
    ) -> None:
        changes = diff(pair[0], split(pair[0], places))
        assert changes.empty
        assert changes.octets == 0
        assert changes.old_soa == changes.new_soa == pair[0].soa

    def test_of_the_same_serial_leaves_the_soa_out(self) -> None:
        old = build_large(ZONE)
        changes = diff(old, build_large([*ZONE, host(20_000)]))
        assert (changes.removed, changes.added) == ([], [host(20_000)])

    def test_spelling_alone_is_a_change(self) -> None:
        owner = wire([b"www"], ORIGIN)
        old = build([Entry(owner, records.A, 5, bytes(4))], 1)
        new = build([Entry(owner.upper(), records.A, 5, bytes(4))], 2)
        record = old.having(b"www")[0]
        changes = diff(old, new)
        assert record in changes.removed
        assert record in changes.added
        assert changes.spelling_removed == {}
        assert changes.spelling_added == {record: (owner.upper(), bytes(4))}

    def test_opens_only_what_differs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        old = build_large(ZONE)
        edited = apex(serial=2) + ZONE[2:9_000] + ZONE[9_001:]
        steps = 0
        differ = Differ(old, build_large(edited, previous=old))
        while differ.step():
            steps += 1
        # Two pairs of blocks, each opened and compared, and what is equal passed over.
        assert steps <= 10
        assert len(differ.changeset().removed) == 2

    @pytest.mark.parametrize("count", [5_000, 15_000])
    def test_blocks_that_only_one_side_has(self, count: int) -> None:
        old = build_large(ZONE)
        new = build_large(ZONE[:2000] + ZONE[2000 + count :], previous=old)
        assert diff(old, new).removed == ZONE[2000 : 2000 + count]
        assert diff(new, old).added == ZONE[2000 : 2000 + count]


class TestAlgebra:
    @given(versions(2))
    def test_invert_is_the_way_back(self, pair: list[Snapshot]) -> None:
        changes = diff(*pair)
        assert listed(invert(changes)) == listed(diff(pair[1], pair[0]))
        assert listed(invert(invert(changes))) == listed(changes)

    @given(versions(4))
    def test_condensed_is_the_difference_of_first_and_last(self, line: list[Snapshot]) -> None:
        steps = [diff(old, new) for old, new in pairwise(line)]
        whole = listed(diff(line[0], line[-1]))
        assert listed(condense(steps)) == whole
        chained = steps[0]
        for step in steps[1:]:
            chained = chain(chained, step)
        assert listed(chained) == whole

    @given(versions(2))
    def test_there_and_back_is_nothing(self, pair: list[Snapshot]) -> None:
        changes = diff(*pair)
        assert chain(changes, invert(changes)).empty
        assert listed(condense([changes])) == listed(changes)

    def test_what_does_not_follow_is_refused(self) -> None:
        first = build_large(ZONE)
        second = build_large(apex(serial=2) + ZONE[2:])
        changes = diff(first, second)
        with pytest.raises(ChangeRefused, match="go on from serial 2, got some from serial 1"):
            chain(changes, changes)

    def test_what_contradicts_itself_is_refused(self) -> None:
        one, two, three = (apex(serial=n)[1] for n in (1, 2, 3))
        gone = Changeset(ORIGIN, one, two, [one, host(1)], [two], {}, {})
        again = Changeset(ORIGIN, two, three, [two, host(1)], [three], {}, {})
        with pytest.raises(ChangeRefused, match=r"remove .* is there, got h0000001\.example\.test"):
            chain(gone, again)
        with pytest.raises(ChangeRefused, match=r"add .* is not there, got h0000001\.example"):
            chain(invert(again), Changeset(ORIGIN, two, three, [two], [three, host(1)], {}, {}))


def test_blocks_may_be_cut_anywhere_between_rrsets() -> None:
    snapshot = split(build_large(ZONE), list(range(0, 20_000, 777)))
    assert len(snapshot.blocks) > 20
    assert all(isinstance(block, Block) for block in snapshot.blocks)
    assert diff(snapshot, build_large(ZONE)).empty
