"""A change applied to a version of a zone: the next version, exact changes, checks of what moved.

Only the blocks that hold a touched owner name are opened and packed again, with the sizes that
`Builder` gives them; all others are shared. The checks look at touched owner names as a whole,
and always at the apex. A change is strict: what goes must be there, what comes must not
(DESIGN §2; RFC 1995 leaves the case open, and a secondary that shrugs diverges for good).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from xfer.errors import ChangeRefused, Failure, TransferError
from xfer.wire.names import to_text
from xfer.wire.parse import Batch
from xfer.wire.records import Spelling, key_end, rrset_end
from xfer.zone.block import LARGEST, OCTETS, SMALLEST, TARGET, Block, Splice
from xfer.zone.changeset import Changeset, Edits
from xfer.zone.check import Checker, Finding, Policy
from xfer.zone.cut import octets, rrset_start, within_octets
from xfer.zone.deltas import Deltas, identity, record_text
from xfer.zone.order import Order
from xfer.zone.snapshot import APEX, Snapshot
from xfer.zone.zonemd import Verifier, verifier_of

_FEW: Final = 64  # owner names that are changed in a block without unpacking it


class Applier:
    """Applies the deltas of an IXFR to a snapshot.

    Use: `step` until it says False, each call on a few blocks; then `snapshot()`, `findings()`
    and `changeset()`, which is exact against the old snapshot. Nothing of either argument changes.
    Raises ChangeRefused where the deltas are not for this snapshot.
    """

    def __init__(self, snapshot: Snapshot, deltas: Deltas, policy: Policy) -> None:
        if deltas.origin != snapshot.origin or deltas.serial_from != snapshot.serial:
            raise ChangeRefused(
                f"changes from serial {snapshot.serial} of {to_text(snapshot.origin)}",
                f"some from serial {deltas.serial_from} of {to_text(deltas.origin)}",
            )
        self._base = snapshot
        self._deltas = deltas
        self._policy = policy
        self._checker = Checker(snapshot.origin, policy)
        self._order = Order(list(deltas.now), snapshot.origin)
        self._names: list[bytes] = []  # identities to look at next, sorted
        self._at_name = 0
        self._outside = 0  # of the records outside the zone, so many are reported
        self._apex = False  # whether the apex was looked at
        self._old = snapshot.blocks
        self._next = 0  # the old block after those opened and shared so far
        self._is_open = False
        self._open: list[bytes] = []  # records of the block that is open …
        self._at = 0  # … of which these have been passed on
        self._was: Spelling = {}  # of open blocks
        self._pending: list[bytes] = []  # new records that are in no block yet
        self._spelling: Spelling = {}  # … and their spellings, among others
        self._cuts: list[bytes] = []  # where blocks began that `_pending` came from
        self._blocks: list[Block] = []
        self._work = 0
        self._edits = Edits()
        self._made: Snapshot | None = None
        self._verifier: Verifier | None = None
        self._snapshot: Snapshot | None = None

    def step(self) -> bool:
        """Do a bounded piece of the work; False when all is done.

        Raises ChangeRefused where a record that goes is not there, or one that comes is;
        ZoneRejected where the checks refuse the new version; TransferError where it passes the
        limits of the deltas.
        """
        if self._snapshot is not None:
            return False
        self._work = 0
        if self._made is not None:
            if self._verifier is None or not self._verifier.step():
                if self._verifier is not None:
                    self._made.zonemd = self._verifier.verdict
                self._snapshot = self._made
                return False
        elif self._at_name < len(self._names):
            self._go_on()
        elif self._outside < len(self._deltas.outside):
            stop = min(self._outside + LARGEST, len(self._deltas.outside))
            for owner, rtype in self._deltas.outside[self._outside : stop]:
                self._checker.outside(owner, rtype)
            self._outside = stop
        else:
            names = self._order.next()
            if names is None:
                self._finish()
                return True
            self._names = names
            self._at_name = 0
            self._go_on()
        return True

    def _go_on(self) -> None:
        """Look at one owner name after the other until that was work enough."""
        names = self._names
        while self._at_name < len(names) and self._work < LARGEST:
            start = self._at_name
            key = names[start][: key_end(names[start])]
            stop = start + 1
            while stop < len(names) and names[stop].startswith(key):
                stop += 1
            if not self._apex:
                self._apex = True
                if key != APEX:
                    self._owner(APEX, [])
            if not self._splice(key):
                self._owner(key, names[start:stop])
                self._at_name = stop

    def _splice(self, key: bytes) -> bool:
        """Where an owner name and the next ones stand in a block that is not open and has no
        spellings, and are few: change that block without unpacking it. False where not."""
        old = self._old
        if self._is_open:
            if self._next == len(old) or old[self._next].first > key:
                return False
            self._leave()
            if self._is_open:
                return False
        names = self._names
        at = self._base.block_at(key)
        block = old[at]
        above = old[at + 1].first if at + 1 < len(old) else b""
        if block.spelled or self._deltas.spelling or block.count < SMALLEST:
            return False
        groups: list[tuple[bytes, list[bytes]]] = []
        i = self._at_name
        while i < len(names):
            name = names[i]
            owner = name[: key_end(name)]
            if above and owner > above:
                break
            if len(groups) == _FEW or above.startswith(owner):
                return False
            j = i + 1
            while j < len(names) and names[j].startswith(owner):
                j += 1
            if j - i > LARGEST:
                return False
            groups.append((owner, names[i:j]))
            i = j
        if i == len(names) and not self._order.done():
            return False  # more may come for this block
        splices: list[Splice] = []
        count = block.count
        size = len(block.data)
        for owner, group in groups:
            low = block.find(owner)
            have: list[bytes] = []
            high = low
            while high < block.count:
                record = block.record(high)
                if not record.startswith(owner):
                    break
                have.append(record)
                high += 1
            kept = self._checker.scan(self._changed(have, group), self._spelling)
            self._edits.compare(have, kept, self._was, self._spelling)
            splices.append((low, high, kept))
            count += len(kept) - len(have)
            size += octets(kept, 0, len(kept))
            self._work += len(have) + len(group)
        self._work += block.count // 4
        self._at_name = i
        self._blocks.extend(old[self._next : at])
        self._next = at + 1
        if SMALLEST <= count <= LARGEST and size <= OCTETS:
            self._blocks.append(block.spliced(splices))
        else:
            records = block.records()
            for low, high, kept in reversed(splices):
                records[low:high] = kept
            self._pending = records
            self._is_open = True
            self._work += block.count
        return True

    def _owner(self, key: bytes, names: list[bytes]) -> None:
        """Change, check and pass on all records of one owner name."""
        self._reach(key)
        old = self._take(key)
        new = self._changed(old, names) if names else old
        self._work += len(old) + len(names)
        kept = self._checker.scan(new, self._spelling)
        if names or kept is not old:
            self._edits.compare(old, kept, self._was, self._spelling)
        self._pending.extend(kept)
        if len(self._pending) > 2 * LARGEST:
            self._close(False)

    def _changed(self, old: list[bytes], names: list[bytes]) -> list[bytes]:
        """The records of an owner name after the changes, sorted."""
        deltas = self._deltas
        spelling = self._spelling
        have: dict[bytes, bytes] = {}
        for record in old:
            have[identity(record)] = record
        for name in names:
            found = have.get(name)
            now = deltas.now[name]
            if name in deltas.needed:
                if found is None:
                    end = rrset_end(name)
                    shown = record_text(name[:end] + b"\0\0\0\0" + name[end:], deltas.origin)
                    raise ChangeRefused("to remove a record that is there", f"{shown} (any TTL)")
                del have[name]
                if spelling:
                    spelling.pop(found, None)
            elif found is not None:
                raise ChangeRefused(
                    "to add a record that is not there", record_text(found, deltas.origin)
                )
            if now:
                have[name] = now
                if deltas.spelling and now in deltas.spelling:
                    spelling[now] = deltas.spelling[now]
        new = list(have.values())
        new.sort()
        return new

    def _load(self) -> None:
        block = self._old[self._next]
        self._next += 1
        self._is_open = True
        self._open = block.records()
        self._at = 0
        spelling = block.spelling()
        if spelling:
            self._was.update(spelling)
            self._spelling.update(spelling)
        self._work += block.count

    def _reach(self, key: bytes) -> None:
        """Pass on everything below an owner name, and open the block where it is, or belongs."""
        old = self._old
        while True:
            if not self._is_open:
                at = self._base.block_at(key)
                if at + 1 < len(old) and old[at + 1].first.startswith(key) and old[at].last < key:
                    at += 1
                self._blocks.extend(old[self._next : at])
                self._next = at
                self._load()
            elif self._next == len(old) or old[self._next].first > key:
                stop = bisect_left(self._open, key, self._at)
                self._pending.extend(self._open[self._at : stop])
                self._at = stop
                return
            else:
                self._leave()

    def _take(self, key: bytes) -> list[bytes]:
        """All records of the owner name that was reached; they may go on in the next blocks."""
        old = self._old
        above = key[:-1] + b"\1"
        stop = bisect_left(self._open, above, self._at)
        out = self._open[self._at : stop]
        self._at = stop
        while (
            self._at == len(self._open)
            and self._next < len(old)
            and old[self._next].first.startswith(key)
        ):
            self._join()
            stop = bisect_left(self._open, above)
            out.extend(self._open[:stop])
            self._at = stop
        return out

    def _join(self) -> None:
        """Open the next block beside what is pending."""
        first = self._old[self._next].first
        self._cuts.append(first[: rrset_end(first)])
        self._load()

    def _leave(self) -> None:
        """Pass on the rest of the open block and pack what is pending, unless that is too little
        for a block: then the next one is opened, too."""
        self._pending.extend(self._open[self._at :])
        self._open = []
        self._at = 0
        self._close(False)
        if self._next < len(self._old) and self._pending and self._too_small(self._pending):
            self._join()
            return
        self._close(True)
        self._is_open = False
        self._cuts = []
        self._spelling = {}
        self._was = {}

    def _too_small(self, records: list[bytes]) -> bool:
        return len(records) < SMALLEST and octets(records, 0, len(records)) < OCTETS // 4

    def _close(self, final: bool) -> None:
        """Cut blocks off the pending records; all of them where `final`."""
        records = self._pending
        start = 0
        while start < len(records):
            size = self._block_size(start)
            if size == 0:
                if not final:
                    break
                size = len(records) - start
            self._blocks.append(self._pack(records[start : start + size]))
            start += size
        if start > 0:
            self._pending = records[start:]

    def _block_size(self, start: int) -> int:
        """How many pending records from `start` make the next block; 0: all, if they must."""
        records = self._pending
        rest = len(records) - start
        size = 0
        for cut in self._cuts:
            at = bisect_left(records, cut, start) - start
            if SMALLEST <= at <= LARGEST and rest - at >= SMALLEST:
                size = at
                break
        if size == 0 and rest > LARGEST:
            size = rrset_start(records, start + TARGET, start) - start
        return within_octets(records, start, size)

    def _pack(self, records: list[bytes]) -> Block:
        if not self._spelling:
            old = self._old[self._base.block_at(records[len(records) >> 1])]
            if old.spelled == 0 and abs(old.count - len(records)) <= _FEW:
                splices = between(old.records(), records)
                if splices is not None:
                    return old.spliced(splices) if splices else old
        block = Block.make(records, self._spelling)
        if self._spelling:
            for record in records:
                if record in self._spelling:
                    del self._spelling[record]
        return block

    def _finish(self) -> None:
        if not self._apex:
            self._apex = True
            self._owner(APEX, [])
        while self._is_open:
            last = self._next == len(self._old)
            if last and self._blocks and self._at_end_too_small():
                # Nothing comes behind what is pending, so it joins the block before.
                before = self._blocks.pop()
                self._cuts = []
                self._pending = before.records() + self._pending + self._open[self._at :]
                self._spelling.update(before.spelling())
                self._open = []
                self._at = 0
            self._leave()
        self._blocks.extend(self._old[self._next :])
        self._checker.finish()
        new = Snapshot(self._base.origin, self._blocks)
        deltas = self._deltas
        if deltas.max_records and new.count > deltas.max_records:
            raise TransferError(
                Failure.POLICY,
                f"a zone of at most {deltas.max_records} records (limits.max_zone_records)",
                f"{new.count}",
            )
        if deltas.max_octets and new.size > deltas.max_octets:
            raise TransferError(
                Failure.POLICY,
                f"a zone of at most {deltas.max_octets} octets (limits.max_zone_bytes)",
                f"{new.size}",
            )
        self._made = new
        self._verifier = verifier_of(new, self._checker.gone, self._policy)

    def _at_end_too_small(self) -> bool:
        """Whether what is left, behind the last old block, is too little for a block."""
        left = self._pending + self._open[self._at :]
        return len(left) > 0 and self._too_small(left)

    def findings(self) -> list[Finding]:
        """What the checks found so far, at touched owner names."""
        found = self._verifier.findings if self._verifier is not None else []
        return [*self._checker.findings, *found]

    def snapshot(self) -> Snapshot:
        """The new version; only after `step` said False."""
        assert self._snapshot is not None
        return self._snapshot

    def changeset(self) -> Changeset:
        """What became of the deltas, checks included; only after `step` said False."""
        return self._edits.changeset(self._base, self.snapshot())


def between(old: list[bytes], new: list[bytes]) -> list[Splice] | None:
    """Few splices that make one sorted list of the other; None where many records differ."""
    splices: list[Splice] = []
    i = 0
    j = 0
    left = 2 * _FEW
    while i < len(old) or j < len(new):
        if i < len(old) and j < len(new) and old[i] == new[j]:
            i += 1
            j += 1
            continue
        low = i
        come: list[bytes] = []
        while (i < len(old) or j < len(new)) and left >= 0:
            left -= 1
            if j == len(new) or (i < len(old) and old[i] < new[j]):
                i += 1
            elif i == len(old) or new[j] < old[i]:
                come.append(new[j])
                j += 1
            else:
                break
        if left < 0:
            return None
        splices.append((low, i, come))
    return splices


def apply(snapshot: Snapshot, changes: Changeset, policy: Policy) -> Snapshot:
    """The version that a changeset leads to, in one go.

    Raises ChangeRefused where it does not fit the snapshot, ZoneRejected where the checks refuse.
    """
    deltas = Deltas(snapshot.origin, changes.serial_from)
    going = Batch()
    going.records = changes.removed
    deltas.delete(going)
    coming = Batch()
    coming.records = changes.added
    coming.spelling = changes.spelling_added
    deltas.add(coming)
    applier = Applier(snapshot, deltas, policy)
    while applier.step():
        pass
    return applier.snapshot()
