"""What differs between two versions of a zone, as sorted lists of records, and its algebra.

A `Changeset` is exact: applied to the version it starts from, it gives the version it leads to,
record by record with TTL and spelling, and it can be inverted, chained and condensed. `Differ`
makes one from two snapshots, `xfer.zone.apply` follows one.

RFC 1995 §5 (several changes may be condensed into one). Which of two serials is newer is for
others to say: nothing here compares them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from xfer.errors import ChangeRefused
from xfer.wire.names import to_text
from xfer.wire.records import Spelling, soa_serial
from xfer.zone.block import Block
from xfer.zone.deltas import record_text
from xfer.zone.snapshot import Snapshot

_SKIPPED: Final = 2_000  # pairs of equal blocks that one step passes over


class Changeset:
    """The way from one version of a zone to another.

    origin: lower-case wire name of the apex; old_soa, new_soa: the SOA records of both versions;
    removed, added: sorted records, the SOA records among them where they differ;
    spelling_removed, spelling_added: spellings of records in the respective list. A record of
    which only the spelling changes stands in both lists.
    """

    def __init__(
        self,
        origin: bytes,
        old_soa: bytes,
        new_soa: bytes,
        removed: list[bytes],
        added: list[bytes],
        spelling_removed: Spelling,
        spelling_added: Spelling,
    ) -> None:
        self.origin = origin
        self.old_soa = old_soa
        self.new_soa = new_soa
        self.removed = removed
        self.added = added
        self.spelling_removed = spelling_removed
        self.spelling_added = spelling_added
        self._octets = -1

    @property
    def serial_from(self) -> int:
        """Serial of the version it starts from."""
        return soa_serial(self.old_soa)

    @property
    def serial_to(self) -> int:
        """Serial of the version it leads to."""
        return soa_serial(self.new_soa)

    @property
    def empty(self) -> bool:
        """Whether both versions are the same."""
        return not self.removed and not self.added

    @property
    def octets(self) -> int:
        """Octets of all records in both lists; counted once."""
        if self._octets < 0:
            total = 0
            for record in self.removed:
                total += len(record)
            for record in self.added:
                total += len(record)
            self._octets = total
        return self._octets


class Edits:
    """Collects the records of a changeset, in order."""

    def __init__(self) -> None:
        self.removed: list[bytes] = []
        self.added: list[bytes] = []
        self.spelling_removed: Spelling = {}
        self.spelling_added: Spelling = {}

    def remove(self, record: bytes, spelling: Spelling) -> None:
        """`record` goes; `spelling` may hold that of other records too."""
        self.removed.append(record)
        if spelling and record in spelling:
            self.spelling_removed[record] = spelling[record]

    def add(self, record: bytes, spelling: Spelling) -> None:
        """`record` comes; `spelling` may hold that of other records too."""
        self.added.append(record)
        if spelling and record in spelling:
            self.spelling_added[record] = spelling[record]

    def compare(
        self, old: list[bytes], new: list[bytes], old_spelling: Spelling, new_spelling: Spelling
    ) -> None:
        """Take what differs between two sorted lists."""
        i, j = self.merge(old, 0, new, 0, old_spelling, new_spelling)
        for at in range(i, len(old)):
            self.remove(old[at], old_spelling)
        for at in range(j, len(new)):
            self.add(new[at], new_spelling)

    def merge(
        self,
        old: list[bytes],
        i: int,
        new: list[bytes],
        j: int,
        old_spelling: Spelling,
        new_spelling: Spelling,
    ) -> tuple[int, int]:
        """Take what differs in old[i:] and new[j:], up to where either ends; returns how far both
        were read."""
        spelled = len(old_spelling) > 0 or len(new_spelling) > 0
        while i < len(old) and j < len(new):
            a = old[i]
            b = new[j]
            if a == b:
                if spelled and old_spelling.get(a) != new_spelling.get(a):
                    self.remove(a, old_spelling)
                    self.add(a, new_spelling)
                i += 1
                j += 1
            elif a < b:
                self.remove(a, old_spelling)
                i += 1
            else:
                self.add(b, new_spelling)
                j += 1
        return i, j

    def changeset(self, old: Snapshot, new: Snapshot) -> Changeset:
        """What was collected, as the way from `old` to `new`."""
        return Changeset(
            old.origin,
            old.soa,
            new.soa,
            self.removed,
            self.added,
            self.spelling_removed,
            self.spelling_added,
        )


class _Side:
    """One version in a diff: its blocks, and of the one that is open what is not yet compared."""

    def __init__(self, blocks: list[Block]) -> None:
        self.blocks = blocks
        self.next = 0
        self.open: list[bytes] = []
        self.at = 0
        self.spelling: Spelling = {}

    def has_open(self) -> bool:
        return self.at < len(self.open)

    def first(self) -> bytes | None:
        """The first record of the block to be opened next."""
        return self.blocks[self.next].first if self.next < len(self.blocks) else None

    def load(self) -> None:
        block = self.blocks[self.next]
        self.next += 1
        self.open = block.records()
        self.at = 0
        self.spelling = block.spelling()

    def take_below(self, bound: bytes | None) -> tuple[int, int]:
        """The range of open records below `bound`, which are taken as read."""
        start = self.at
        self.at = len(self.open) if bound is None else bisect_left(self.open, bound, start)
        return start, self.at


class Differ:
    """Compares two snapshots of one zone, equal blocks by their digest alone.

    Use: `step` until it says False, each call on a few blocks; then `changeset()`.
    """

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        self._versions = (old, new)
        self._old = _Side(old.blocks)
        self._new = _Side(new.blocks)
        self._edits = Edits()
        self._done = old.root == new.root

    @property
    def records(self) -> int:
        """How many records it has found in one version only, so far."""
        return len(self._edits.removed) + len(self._edits.added)

    def step(self) -> bool:
        """Do a bounded piece of the work; False when all is done."""
        if self._done:
            return False
        old = self._old
        new = self._new
        edits = self._edits
        if old.has_open() and new.has_open():
            old.at, new.at = edits.merge(
                old.open, old.at, new.open, new.at, old.spelling, new.spelling
            )
        elif old.has_open():
            start, stop = old.take_below(new.first())
            for i in range(start, stop):
                edits.remove(old.open[i], old.spelling)
            if old.has_open():
                new.load()
        elif new.has_open():
            start, stop = new.take_below(old.first())
            for i in range(start, stop):
                edits.add(new.open[i], new.spelling)
            if new.has_open():
                old.load()
        else:
            self._skip()
        return not self._done

    def _skip(self) -> None:
        """Pass over equal blocks, and open the next one that differs."""
        old = self._old
        new = self._new
        for _ in range(_SKIPPED):
            if old.next == len(old.blocks) or new.next == len(new.blocks):
                break
            if old.blocks[old.next].digest != new.blocks[new.next].digest:
                break
            old.next += 1
            new.next += 1
        else:
            return
        if old.next < len(old.blocks) and new.next < len(new.blocks):
            if old.blocks[old.next].first <= new.blocks[new.next].first:
                old.load()
            else:
                new.load()
        elif old.next < len(old.blocks):
            old.load()
        elif new.next < len(new.blocks):
            new.load()
        else:
            self._done = True

    def changeset(self) -> Changeset:
        """What differs; only after `step` said False."""
        assert self._done
        return self._edits.changeset(self._versions[0], self._versions[1])


def diff(old: Snapshot, new: Snapshot) -> Changeset:
    """What leads from one version of a zone to another, in one go."""
    differ = Differ(old, new)
    while differ.step():
        pass
    return differ.changeset()


class _Net:
    """Changesets one after the other, netted into one."""

    def __init__(self, first: Changeset) -> None:
        self.origin = first.origin
        self.old_soa = first.old_soa
        self.new_soa = first.old_soa
        # Of each record: whether it was there at first, and whether it is now.
        self.was: dict[bytes, bool] = {}
        self.now: dict[bytes, bool] = {}
        self.spelling_was: Spelling = {}
        self.spelling_now: Spelling = {}

    def take(self, changes: Changeset) -> None:
        if changes.origin != self.origin or changes.old_soa != self.new_soa:
            raise ChangeRefused(
                f"changes that go on from serial {soa_serial(self.new_soa)}",
                f"some from serial {changes.serial_from} of {to_text(changes.origin)}",
            )
        self.new_soa = changes.new_soa
        for record in changes.removed:
            if record not in self.now:
                self.was[record] = True
                if record in changes.spelling_removed:
                    self.spelling_was[record] = changes.spelling_removed[record]
            elif not self.now[record]:
                raise ChangeRefused(
                    "to remove a record that is there", record_text(record, self.origin)
                )
            self.now[record] = False
            self.spelling_now.pop(record, None)
        for record in changes.added:
            if record not in self.now:
                self.was[record] = False
            elif self.now[record]:
                raise ChangeRefused(
                    "to add a record that is not there", record_text(record, self.origin)
                )
            self.now[record] = True
            if record in changes.spelling_added:
                self.spelling_now[record] = changes.spelling_added[record]

    def changeset(self) -> Changeset:
        edits = Edits()
        for record in sorted(self.now):
            was = self.was[record]
            now = self.now[record]
            if was and now and self.spelling_was.get(record) == self.spelling_now.get(record):
                continue
            if was:
                edits.remove(record, self.spelling_was)
            if now:
                edits.add(record, self.spelling_now)
        return Changeset(
            self.origin,
            self.old_soa,
            self.new_soa,
            edits.removed,
            edits.added,
            edits.spelling_removed,
            edits.spelling_added,
        )


def invert(changes: Changeset) -> Changeset:
    """The way back."""
    return Changeset(
        changes.origin,
        changes.new_soa,
        changes.old_soa,
        changes.added,
        changes.removed,
        changes.spelling_added,
        changes.spelling_removed,
    )


def condense(changes: list[Changeset]) -> Changeset:
    """Consecutive changesets (at least one) as one, without what went and came back.

    Raises ChangeRefused where one does not follow on the other.
    """
    net = _Net(changes[0])
    for each in changes:
        net.take(each)
    return net.changeset()


def chain(first: Changeset, second: Changeset) -> Changeset:
    """Two consecutive changesets as one; raises ChangeRefused where they are not."""
    return condense([first, second])
