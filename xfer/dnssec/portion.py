"""A run of owner names, made ready for signing; and cutting a zone into such runs."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from xfer.answer.nsec3 import SIZE, owner_of
from xfer.dnssec.content import OCCLUDED, Content, kept, status_of
from xfer.dnssec.ring import Ring
from xfer.dnssec.rrsig import Old, Preparer
from xfer.wire.records import NSEC3, Spelling, key_end, rrset_end
from xfer.zone.snapshot import APEX, Snapshot

PORTION: Final = 1_000  # records of the content in a portion, unless an owner name has more
_BLOCKS: Final = 4  # published blocks that are opened in a step


class Owners:
    """Owner names of a run of records with what signing has to know of them, in order."""

    def __init__(self, records: list[bytes], cut: bytes) -> None:
        self.keys: list[bytes] = []
        self.groups: list[list[bytes]] = []
        self.statuses: list[int] = []
        within = cut[:-1]  # how the keys of occluded names begin
        occluding = len(cut) > 0
        i = 0
        total = len(records)
        while i < total:
            first = records[i]
            key = first[: key_end(first)]
            j = i + 1
            while j < total and records[j].startswith(key):
                j += 1
            # The apex is what is published there already.
            group = records[i:j] if key == APEX else kept(records[i:j])
            i = j
            if not group:
                continue
            status = OCCLUDED
            if not occluding or not key.startswith(within):
                status, occluding = status_of(key, group)
                within = key[:-1]
            self.keys.append(key)
            self.groups.append(group)
            self.statuses.append(status)


def prepare(preparer: Preparer, records: list[bytes], cut: bytes, after: bytes, old: Old) -> None:
    """Take a run of owner names; arguments as in `xfer.dnssec.work.Portion`."""
    owners = Owners(records, cut)
    count = len(owners.keys)
    nexts: list[bytes] = [b""] * count
    following = after
    for i in range(count - 1, -1, -1):
        nexts[i] = following
        if owners.statuses[i] != OCCLUDED:
            following = owners.keys[i]
    for i in range(count):
        preparer.owner(owners.keys[i], owners.groups[i], owners.statuses[i], nexts[i], old)


class Portions:
    """Cuts the content of a zone into portions, and the published version at the same places.

    ring: of the NSEC3 chain that is published; published: None where nothing is reused.
    Use: `step` until it says False; each one that leaves `ready` true gives a portion: `records`,
    `cut`, `after`, `old`, `entries` and `following`, all as in `xfer.dnssec.work.Portion`; in
    `spelling` the spellings of its records, in `before` the last name before it that is not
    occluded.
    """

    def __init__(self, content: Content, published: Snapshot | None, ring: Ring | None) -> None:
        self._content = content
        self._blocks = content.snapshot.blocks
        self._next = 0
        self._open: list[bytes] = []
        self._at = 0
        self._spelling: Spelling = {}  # of what is open
        self._ring = ring
        self._first_hash = ring.first() if ring is not None else b""
        self._entries: list[bytes] = []
        self._published = published
        self._was: list[bytes] = []
        self._was_at = 0
        self._was_next = 0
        self._bound = b""  # owner key up to which published records belong to the portion
        self._reading = False  # whether they are being read
        self._started = False
        self.ready = False
        self.records: list[bytes] = []
        self.spelling: Spelling = {}
        self.cut = b""
        self.before = b""
        self.after = b""
        self.old: list[bytes] = []
        self.entries: list[bytes] = []
        self.following = b""

    def step(self) -> bool:
        """Do a bounded piece of the work on the next portion; False when there are no more."""
        self.ready = False
        if not self._reading and not self._cut():
            return False
        self._reading = self._read_old()
        self.ready = not self._reading
        return True

    def _cut(self) -> bool:
        """Take what of the content, and of the chain, comes next; False where nothing is left."""
        self._fill()
        self._fill_entries()
        records: list[bytes] = []
        self.spelling = {}
        if not self._started:
            # What is to be published at the apex, whatever the content has there.
            self._started = True
            self._at = self._stop(0)
            self._fill()
            records.extend(self._content.apex.records)
            self.spelling.update(self._content.apex.spelling)
        if not records and self._at == len(self._open) and not self._entries:
            return False
        stop = self._stop(min(self._at + PORTION, len(self._open)) - 1)
        self._bound = b""
        if stop < len(self._open):
            self._bound = self._open[stop][: key_end(self._open[stop])]
        if len(self._entries) > PORTION:
            bound = owner_of(self._entries[PORTION][:SIZE])
            if not self._bound or bound < self._bound:
                self._bound = bound
                stop = bisect_left(self._open, bound, self._at)
        records.extend(self._open[self._at : stop])
        self._at = stop
        self.records = records
        self._take_entries()
        if self._spelling:
            for record in records:
                found = self._spelling.pop(record, None)
                if found is not None:
                    self.spelling[record] = found
        if records:
            self._look_around(records)
        self.old = []
        return True

    def _look_around(self, records: list[bytes]) -> None:
        content = self._content
        first = records[0]
        key = first[: key_end(first)]
        self.cut = content.cut_above(key)
        self.before = content.before(key) if key != APEX else b""
        last = records[-1]
        key = last[: key_end(last)]
        cut = content.cut_above(key)
        self.after = content.after(cut if cut else key)

    def _fill(self) -> None:
        """Have more records open than a portion takes, if there are."""
        while len(self._open) - self._at <= PORTION and self._next < len(self._blocks):
            self._load()

    def _load(self) -> None:
        """Open the next block."""
        block = self._blocks[self._next]
        self._next += 1
        self._open = self._open[self._at :]
        self._at = 0
        self._open.extend(block.records())
        if block.spelled:
            self._spelling.update(block.spelling())

    def _stop(self, last: int) -> int:
        """Where the owner name at an index ends, all of it opened."""
        if last < self._at:
            return self._at
        record = self._open[last]
        key = record[: key_end(record)]
        stop = last + 1
        while True:
            while stop < len(self._open) and self._open[stop].startswith(key):
                stop += 1
            if stop < len(self._open) or self._next == len(self._blocks):
                return stop
            stop -= self._at
            self._load()

    def _fill_entries(self) -> None:
        ring = self._ring
        while ring is not None and len(self._entries) <= PORTION:
            more = ring.next()
            if more is None:
                self._ring = None
                return
            self._entries.extend(more)

    def _take_entries(self) -> None:
        """Those below the bound."""
        stop = len(self._entries)
        if self._bound:
            low = 0
            while low < stop:
                middle = (low + stop) >> 1
                if owner_of(self._entries[middle][:SIZE]) < self._bound:
                    low = middle + 1
                else:
                    stop = middle
        self.entries = self._entries[:stop]
        self._entries = self._entries[stop:]
        self.following = self._entries[0][:SIZE] if self._entries else self._first_hash

    def _read_old(self) -> bool:
        """Take published records below the bound, of some blocks; whether there may be more."""
        published = self._published
        if published is None:
            return False
        for _ in range(_BLOCKS):
            was = self._was
            stop = bisect_left(was, self._bound, self._was_at) if self._bound else len(was)
            for record in was[self._was_at : stop]:
                # Of a chain that is no more there may be any number here.
                if self._first_hash or not _of_nsec3(record):
                    self.old.append(record)
            self._was_at = stop
            if stop < len(was) or self._was_next == len(published.blocks):
                return False
            self._was = published.blocks[self._was_next].records()
            self._was_at = 0
            self._was_next += 1
        return True


def _of_nsec3(record: bytes) -> bool:
    """Whether it is an NSEC3 record, or signs some."""
    end = rrset_end(record)
    return record[end - 1] == NSEC3 and record[end - 2] == 0
