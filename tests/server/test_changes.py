"""Differences for IXFR out: from memory, from the journal, and when there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar, TypeVarTuple

import pytest
import trio
import trio.testing

from tests.transfer.changing import changes, host, version
from tests.transfer.zone import ORIGIN
from xfer.errors import JournalDamaged
from xfer.journal import Version
from xfer.server.changes import Changes, difference
from xfer.server.executor import InlineExecutor
from xfer.zone.changeset import Changeset
from xfer.zone.snapshot import Snapshot

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Past:
    """A zone's history: versions with their content, the newest last.

    forgotten: ids that the journal has no more; reads: versions loaded; stored: by id, what a
    version changed.
    """

    def __init__(self, *snapshots: Snapshot) -> None:
        self.snapshots = list(snapshots)
        self.versions = [
            Version(
                id=number,
                origin=ORIGIN,
                chain="published",
                parent=number - 1 if number > 1 else None,
                serial=snapshot.serial,
                root=snapshot.root,
                count=snapshot.count,
                size=snapshot.size,
                replaced=0,
                source="",
                kind="axfr",
                created=0.0,
                added=None,
                removed=None,
            )
            for number, snapshot in enumerate(snapshots, 1)
        ]
        self.forgotten: set[int] = set()
        self.reads: list[int] = []
        self.broken = False
        self.stored: dict[int, Changeset] = {}
        self.unreadable = False

    def line(self, origin: bytes) -> list[Version]:
        found: list[Version] = []
        for one in reversed(self.versions):
            if one.id in self.forgotten or (found and one.serial >= found[-1].serial):
                break
            found.append(one)
        return found

    def load(self, version: Version, held: Snapshot | None = None) -> Snapshot:
        assert held is not None
        self.reads.append(version.id)
        if self.broken:
            raise JournalDamaged("a block is not what it was")
        return self.snapshots[version.id - 1]

    def changes(self, version: Version) -> Changeset | None:
        if self.unreadable:
            raise JournalDamaged("the changes are not what they were")
        return self.stored.get(version.id)


def zone(serials: Sequence[int], size: int = 100) -> Past:
    """Versions, each with a host of its own more than the one before."""
    base = [host(f"h{n:04}") for n in range(size)]
    return Past(
        *(
            version(serial, base + [host(f"new{n}") for n in range(place)])
            for place, serial in enumerate(serials)
        )
    )


def remembering(past: Past, limit: int = 1 << 20, share: float = 1.0) -> Changes:
    """All of its versions were published while we watched."""
    made = Changes(past, InlineExecutor(), limit, share)
    for old, new, one in zip(past.snapshots, past.snapshots[1:], past.versions[1:], strict=False):
        made.note(one, changes(old, new))
    return made


def found(made: Changes, past: Past, serial: int, place: int = -1) -> Changeset | None:
    return trio.run(made.find, past.versions[place], past.snapshots[place], serial)


def same(got: Changeset | None, old: Snapshot, new: Snapshot) -> bool:
    wanted = changes(old, new)
    assert got is not None
    return (got.removed, got.added, got.old_soa, got.new_soa) == (
        wanted.removed,
        wanted.added,
        wanted.old_soa,
        wanted.new_soa,
    )


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_recent_versions_are_condensed_in_memory(place: int) -> None:
    past = zone([1, 2, 5, 9, 10])
    made = remembering(past)
    serial = past.versions[place].serial
    ready = made.ready(past.versions[-1], past.snapshots[-1], serial)
    assert same(ready, past.snapshots[place], past.snapshots[-1])
    assert past.reads == []


def test_older_versions_come_from_the_journal_once() -> None:
    past = zone([1, 2, 3])
    made = Changes(past, InlineExecutor(), 1 << 20, 1.0)
    assert made.ready(past.versions[-1], past.snapshots[-1], 1) is None
    for _ in range(2):
        assert same(found(made, past, 1), past.snapshots[0], past.snapshots[-1])
    assert past.reads == [1]


def storing(past: Past) -> Past:
    """The journal has what every version changed."""
    for number, (old, new) in enumerate(pairwise(past.snapshots), 2):
        past.stored[number] = changes(old, new)
    return past


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_was_stored_is_not_compared(place: int) -> None:
    past = storing(zone([1, 2, 3, 5]))
    made = Changes(past, InlineExecutor(), 1 << 20, 1.0)
    serial = past.versions[place].serial
    assert same(found(made, past, serial), past.snapshots[place], past.snapshots[-1])
    assert past.reads == []


def test_where_a_step_is_missing_or_damaged_or_wrong_versions_are_compared() -> None:
    missing, damaged, wrong = (storing(zone([1, 2, 3])) for _ in range(3))
    del missing.stored[2]
    damaged.unreadable = True
    wrong.stored[2] = wrong.stored[3]
    for past in (missing, damaged, wrong):
        made = Changes(past, InlineExecutor(), 1 << 20, 1.0)
        assert same(found(made, past, 1), past.snapshots[0], past.snapshots[-1])
        assert past.reads == [1]


def test_stored_changes_that_outweigh_the_zone_are_not_sent() -> None:
    past = storing(zone([1, 2, 3], size=400))
    made = Changes(past, InlineExecutor(), 1 << 20, 0.0)
    assert same(found(made, past, 1), past.snapshots[0], past.snapshots[-1])  # below the floor
    big = storing(Past(version(1, []), version(2, [host(f"h{n:04}") for n in range(1500)])))
    assert found(Changes(big, InlineExecutor(), 1 << 20, 0.0), big, 1) is None


def test_an_unknown_serial_has_none() -> None:
    past = zone([1, 2, 4])
    for made in (remembering(past), Changes(past, InlineExecutor(), 1 << 20, 1.0)):
        assert found(made, past, 3) is None
        assert found(made, past, 0) is None
    past.forgotten = {1}
    assert found(Changes(past, InlineExecutor(), 1 << 20, 1.0), past, 1) is None


def test_no_difference_leads_over_a_fall_of_the_serial() -> None:
    """After force-axfr to a lower serial, 6 is not the way to 7 for a client that has 6."""
    past = zone([5, 6, 3, 7])
    for made in (remembering(past), Changes(past, InlineExecutor(), 1 << 20, 1.0)):
        assert found(made, past, 6) is None
        assert found(made, past, 5) is None
        assert same(found(made, past, 3), past.snapshots[2], past.snapshots[3])


def test_serials_wrap() -> None:
    past = zone([0xFFFFFFFE, 0xFFFFFFFF, 1])
    assert same(found(remembering(past), past, 0xFFFFFFFE), past.snapshots[0], past.snapshots[-1])


def test_a_version_published_meanwhile_does_not_mix() -> None:
    past = zone([1, 2, 3])
    for made in (remembering(past), Changes(past, InlineExecutor(), 1 << 20, 1.0)):
        assert same(found(made, past, 1, place=1), past.snapshots[0], past.snapshots[1])


def test_differences_that_outweigh_the_zone_are_none() -> None:
    old = version(1, [host(f"old{n:04}") for n in range(3000)])
    new = version(2, [host(f"new{n:04}") for n in range(3000)])
    past = Past(old, new)
    assert found(remembering(past, share=1.0), past, 1) is None
    assert found(remembering(past, share=3.0), past, 1) is not None
    assert difference(old, new, 16_000) is None
    assert difference(old, new, 1 << 20) is not None


def test_a_tiny_zone_has_differences_that_are_as_large_as_it_is() -> None:
    past = Past(version(1, [host("a")]), version(2, [host("b")]))
    assert found(remembering(past), past, 1) is not None


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    past = zone(range(1, 30))
    made = remembering(past, limit=2_000)
    assert 0 < made.size <= 2_000
    newest, snapshot = past.versions[-1], past.snapshots[-1]
    assert made.ready(newest, snapshot, 28) is not None
    assert made.ready(newest, snapshot, 1) is None
    assert found(made, past, 1) is not None
    assert made.size <= 2_000
    made.resize(0, 1.0)
    assert made.size == 0
    assert made.ready(newest, snapshot, 28) is None
    assert same(found(made, past, 28), past.snapshots[-2], snapshot)


def test_a_journal_that_cannot_be_read_costs_an_axfr_only_as_long_as_that() -> None:
    past = zone([1, 2])
    made = Changes(past, InlineExecutor(), 1 << 20, 1.0)
    past.broken = True
    assert found(made, past, 1) is None
    past.broken = False
    assert found(made, past, 1) is not None


class SlowExecutor:
    """Runs the function after a second."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        await trio.sleep(1)
        return function(*args)


def test_those_who_ask_for_the_same_share_one_computation_even_if_the_first_goes_away() -> None:
    past = zone([1, 2])
    got: list[Changeset | None] = []

    async def main() -> None:
        made = Changes(past, SlowExecutor(), 0, 1.0)  # no memory, so nothing is kept either

        async def ask(patience: float) -> None:
            with trio.move_on_after(patience):
                got.append(await made.find(past.versions[-1], past.snapshots[-1], 1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 0.5)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(20):
                nursery.start_soon(ask, 100)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(got) == 20
    assert past.reads == [1]
    assert got[0] is not None
    assert all(one is got[0] for one in got)
