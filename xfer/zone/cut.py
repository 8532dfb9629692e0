"""Where a list of sorted records is cut into blocks: by octets, and only where an RRset begins."""

from __future__ import annotations

from xfer.wire.records import rrset_end
from xfer.zone.block import OCTETS


def octets(records: list[bytes], start: int, stop: int) -> int:
    """Octets of records[start:stop]."""
    total = 0
    for i in range(start, stop):
        total += len(records[i])
    return total


def within_octets(records: list[bytes], start: int, size: int) -> int:
    """The size of a block from `start`, made smaller where it would pass OCTETS; 0 stays to wait
    where not even all records pass that."""
    total = 0
    for i in range(start, start + size if size > 0 else len(records)):
        total += len(records[i])
        if total > OCTETS:
            at = i
            while at > start:
                before = records[at - 1]
                if not records[at].startswith(before[: rrset_end(before)]):
                    return at - start
                at -= 1
            return rrset_start(records, i + 1, i) - start
    return size


def rrset_start(records: list[bytes], at: int, start: int) -> int:
    """Where an RRset begins: the first place from `at` on, else the last one above `start`, else
    the end."""
    for i in range(at, len(records)):
        before = records[i - 1]
        if not records[i].startswith(before[: rrset_end(before)]):
            return i
    for i in range(at - 1, start, -1):
        before = records[i - 1]
        if not records[i].startswith(before[: rrset_end(before)]):
            return i
    return len(records)
