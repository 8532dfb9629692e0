"""A run of owner names, made ready for signing; and cutting a zone into such runs."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from xfer.dnssec.content import OCCLUDED, Content, kept, status_of
from xfer.dnssec.rrsig import Preparer, by_rrset
from xfer.wire.records import Spelling, key_end
from xfer.zone.snapshot import Snapshot

PORTION: Final = 1_000  # records of the content in a portion, unless an owner name has more


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
            group = kept(records[i:j])
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


def prepare(
    preparer: Preparer, records: list[bytes], cut: bytes, after: bytes, old: list[bytes]
) -> None:
    """Take a run of owner names; arguments as in `xfer.dnssec.work.Portion`."""
    owners = Owners(records, cut)
    count = len(owners.keys)
    nexts: list[bytes] = [b""] * count
    following = after
    for i in range(count - 1, -1, -1):
        nexts[i] = following
        if owners.statuses[i] != OCCLUDED:
            following = owners.keys[i]
    was = by_rrset(old)
    for i in range(count):
        preparer.owner(owners.keys[i], owners.groups[i], owners.statuses[i], nexts[i], was)


class Portions:
    """Cuts the content of a zone into portions, and the published version at the same places.

    Use: `step` until it says False; each gives one portion in `records`, `cut`, `after`, `old`, and
    in `spelling` those of its records.
    """

    def __init__(self, content: Content, published: Snapshot | None) -> None:
        self._content = content
        self._blocks = content.snapshot.blocks
        self._next = 0
        self._open: list[bytes] = []
        self._at = 0
        self._started = False
        self.spelling: Spelling = {}
        self._spelling: Spelling = {}  # of what is open
        self._published = published
        self._was: list[bytes] = []
        self._was_at = 0
        self._was_next = 0
        self.records: list[bytes] = []
        self.cut = b""
        self.after = b""
        self.old: list[bytes] = []

    def step(self) -> bool:
        """Make the next portion; False when there are no more."""
        self.spelling = {}
        if not self._started:
            self.spelling.update(self._content.apex.spelling)
            # The apex is what is to be published of it, whatever the content has there.
            self._started = True
            self._fill()
            self._at = self._stop(0)
            records = list(self._content.apex.records)
        else:
            records = []
        self._fill()
        if not records and self._at == len(self._open):
            return False
        stop = self._stop(min(self._at + PORTION, len(self._open)) - 1)
        records.extend(self._open[self._at : stop])
        self._at = stop
        if self._spelling:
            for record in records:
                found = self._spelling.pop(record, None)
                if found is not None:
                    self.spelling[record] = found
        first = records[0]
        last = records[-1]
        key = last[: key_end(last)]
        self.cut = self._content.cut_above(first[: key_end(first)])
        cut = self._content.cut_above(key)
        self.after = self._content.after(cut if cut else key)
        self.records = records
        self._fill()
        end = b"" if self._at == len(self._open) else self._open[self._at]
        self.old = self._old_below(end)
        return True

    def _fill(self) -> None:
        """Have more records open than a portion takes, if there are."""
        while len(self._open) - self._at <= PORTION and self._next < len(self._blocks):
            self._open = self._open[self._at :]
            self._at = 0
            self._load()

    def _load(self) -> None:
        """Open the next block."""
        block = self._blocks[self._next]
        self._next += 1
        self._open.extend(block.records())
        if block.spelled:
            self._spelling.update(block.spelling())

    def _stop(self, last: int) -> int:
        """Where the owner name at an index ends, all of it opened."""
        if last < 0 or last >= len(self._open):
            return len(self._open)
        record = self._open[last]
        key = record[: key_end(record)]
        stop = last + 1
        while True:
            while stop < len(self._open) and self._open[stop].startswith(key):
                stop += 1
            if stop < len(self._open) or self._next == len(self._blocks):
                return stop
            self._load()

    def _old_below(self, end: bytes) -> list[bytes]:
        """The published records from where the last portion ended to the owner of `end`."""
        published = self._published
        if published is None:
            return []
        bound = end[: key_end(end)] if end else b""
        out: list[bytes] = []
        while True:
            was = self._was
            stop = bisect_left(was, bound, self._was_at) if bound else len(was)
            out.extend(was[self._was_at : stop])
            self._was_at = stop
            if stop < len(was) or self._was_next == len(published.blocks):
                return out
            self._was = published.blocks[self._was_next].records()
            self._was_at = 0
            self._was_next += 1
