"""When signatures end: the soonest of each block, which is looked at once and then known.

A block stays in many versions, so in a zone of a million records little is new in each.
"""

from __future__ import annotations

from typing import Final

from xfer.dnssec.rrsig import number_at
from xfer.wire.records import RRSIG, key_end
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

STEP: Final = 4_096  # records looked at in one step
_REUSED: Final = 4  # records' worth of work that a block costs which is known
NEVER: Final = 1 << 40


def soonest_in(block: Block, others: tuple[bytes, ...] = ()) -> int:
    """When the first RRSIG of a block ends that is none of `others`, Unix seconds; NEVER where it
    has none."""
    soonest = NEVER
    for record in block.records():
        end = key_end(record)
        if record[end + 1] == RRSIG and record[end] == 0:
            found = number_at(record, end + 16)
            if found < soonest and record not in others:
                soonest = found
    return soonest


def due_in(block: Block, before: int) -> list[bytes]:
    """The owner names of a block's RRSIGs that end up to then; one for each."""
    out: list[bytes] = []
    for record in block.records():
        end = key_end(record)
        if record[end + 1] == RRSIG and record[end] == 0 and number_at(record, end + 16) <= before:
            out.append(record[:end])
    return out


class Expiries:
    """When the signatures of a version end. previous: those of the version before; others: RRSIG
    records that are not made here, and do not count.

    Use: `step` until it says False; then `soonest` (Unix seconds, NEVER without signatures) is the
    first of all, and `blocks` gives the blocks to look at.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        previous: Expiries | None = None,
        others: tuple[bytes, ...] = (),
    ) -> None:
        self._others = others
        self._blocks = snapshot.blocks
        self._next = 0
        self._known: dict[bytes, int] = previous.held if previous is not None else {}
        self.held: dict[bytes, int] = {}
        self.soonest: int = NEVER

    def step(self) -> bool:
        """Look at some of the blocks that are left; False when there are none."""
        work = 0
        while self._next < len(self._blocks) and work < STEP:
            block = self._blocks[self._next]
            self._next += 1
            found = self._known.get(block.digest, -1)
            if found < 0:
                found = soonest_in(block, self._others)
                work += block.count
            else:
                work += _REUSED
            self.held[block.digest] = found
            if found < self.soonest:
                self.soonest = found
        if self._next < len(self._blocks):
            return True
        self._known = {}
        return False

    def blocks(self, before: int) -> list[Block]:
        """The blocks that have signatures which end up to then, the most urgent first."""
        found: list[tuple[int, int]] = []
        for i in range(len(self._blocks)):
            ends = self.held[self._blocks[i].digest]
            if ends <= before:
                found.append((ends, i))
        found.sort()
        return [self._blocks[i] for _, i in found]
