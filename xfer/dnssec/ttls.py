"""The largest TTL of any record of a version: for how long caches may hold what it says."""

from __future__ import annotations

from xfer.wire.records import rrset_end
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot


class LargestTtl:
    """Looks at each block once, however many versions have it."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}

    def of(self, snapshot: Snapshot) -> int:
        """In seconds. For a worker thread: the first version of a large zone takes its time."""
        known = {}
        for block in snapshot.blocks:
            found = self._known.get(block.digest)
            known[block.digest] = _largest(block) if found is None else found
        self._known = known
        return max(known.values())


def _largest(block: Block) -> int:
    largest = b""
    for record in block.records():
        end = rrset_end(record)
        largest = max(largest, record[end : end + 4])
    return int.from_bytes(largest, "big")
