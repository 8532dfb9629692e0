"""Building a snapshot from records as they arrive, in any order, in bounded steps.

Servers send zones nearly sorted (by owner, not by type; NSEC3 names after the others), so records
are sorted in chunks and cut into checked blocks while the transfer still runs. Where a chunk does
not follow on what is finished, runs are kept apart and merged at the end, bucket by bucket.

With a previous version, blocks are cut where its blocks begin: what did not change then has the
same digest, is stored once, and is skipped by a diff.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from xfer.errors import Failure, TransferError
from xfer.wire.parse import Batch
from xfer.wire.records import Spelling, key_end
from xfer.zone.block import LARGEST, OCTETS, SMALLEST, TARGET, Block
from xfer.zone.check import OWNER_LIMIT, Checker, Finding, Policy, owner_refused
from xfer.zone.cut import octets, rrset_start, within_octets
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonemd import Verifier, verifier_of

# Records sorted at once. The last of them stay behind for the next chunk: TAIL, or half where there
# are few. That absorbs small disorder.
CHUNK: Final = 4_096
TAIL: Final = 512
_CHUNK_OCTETS: Final = 4 * OCTETS  # or as many octets
# Records in a block of a run: while runs are merged, one of each is open.
_RUN_BLOCK: Final = 512
_SAMPLE: Final = 32  # of so many open records, one is looked at to choose how far to merge


class Builder:
    """Collects the records of one version.

    origin: lower-case wire name of the apex; policy: grades of the checks; previous: the version
    to share blocks with; max_records, max_octets: limits.max_zone_records and
    limits.max_zone_bytes (spellings count too), 0 for none.

    Use: `add` per message; `take_ready` whenever convenient, for writing ahead; then `step` until
    it says False; then `snapshot()`. Each call works on a message or a few blocks.
    """

    def __init__(
        self,
        origin: bytes,
        policy: Policy,
        previous: Snapshot | None = None,
        max_records: int = 0,
        max_octets: int = 0,
    ) -> None:
        self.origin = origin
        self.count = 0  # records added
        self.octets = 0  # … and their octets
        self._policy = policy
        self._max_records = max_records
        self._max_octets = max_octets
        self._checker = Checker(origin, policy)
        self._spelling: Spelling = {}
        self._pending: list[bytes] = []  # not yet checked
        self._flush_at = CHUNK  # as soon as so many records are pending
        self._fresh_octets = 0  # of what came since they were last looked at
        self._outside = 0  # records that are not in the zone; they count for the limit
        self._floor = b""  # owner key of the last checked record
        self._open: list[bytes] = []  # checked, not yet in a block
        self._blocks: list[Block] = []
        self._taken = 0
        self._cuts: list[bytes] = previous.cuts() if previous is not None else []
        self._cut = 0
        # Only with disorder: sorted runs, each a list of blocks.
        self._runs: list[list[Block]] = []
        self._merge: _Merge | None = None
        self._made: Snapshot | None = None
        self._verifier: Verifier | None = None
        self._snapshot: Snapshot | None = None

    def cut_at(self, cuts: list[bytes]) -> None:
        """Share blocks with a version that is known by its `Snapshot.cuts` only."""
        self._cuts = cuts

    def add(self, batch: Batch) -> None:
        """Take the records of one message. Raises TransferError where a limit is passed."""
        records = batch.records
        self.count += len(records)
        if batch.spelling:
            self._spelling.update(batch.spelling)
        self.octets += batch.octets
        self._fresh_octets += batch.octets
        self._outside += len(batch.outside)
        if self._max_records and self.count + self._outside > self._max_records:
            raise TransferError(
                Failure.POLICY,
                f"a zone of at most {self._max_records} records (limits.max_zone_records)",
                "more",
            )
        if self._max_octets and self.octets > self._max_octets:
            raise TransferError(
                Failure.POLICY,
                f"a zone of at most {self._max_octets} octets (limits.max_zone_bytes)",
                "more",
            )
        for owner, rtype, _ in batch.outside:
            self._checker.outside(owner, rtype)
        self._pending.extend(records)
        if self._pending and (
            len(self._pending) >= self._flush_at or self._fresh_octets >= _CHUNK_OCTETS
        ):
            self._flush()
            # What stays, because it may all be of one owner, is not sorted again for each message.
            self._flush_at = max(CHUNK, len(self._pending) + CHUNK // 2)
            self._fresh_octets = 0

    def _flush(self) -> None:
        """Sort what is pending; pass on what is certain to be in order, or close a run."""
        pending = self._pending
        pending.sort()
        if not self._runs:
            if self._follows(pending[0]):
                self._pass_on(max(len(pending) // 2, len(pending) - TAIL))
                return
            # What was checked so far becomes the first run, to be merged and checked again.
            self._checker = self._checker.again()
            self._close_blocks(True)
            if self._blocks:
                self._runs.append(self._blocks)
            self._blocks = []
            self._taken = 0
            self._cut = 0
        self._add_run(pending)
        self._pending = []

    def _add_run(self, records: list[bytes]) -> None:
        """Keep sorted records as a run of their own, or at the end of the last one."""
        blocks: list[Block] = []
        for start in range(0, len(records), _RUN_BLOCK):
            blocks.append(self._pack(records[start : start + _RUN_BLOCK]))
        if self._runs and records[0] > self._runs[-1][-1].last:
            self._runs[-1].extend(blocks)
        else:
            self._runs.append(blocks)

    def _follows(self, record: bytes) -> bool:
        floor = self._floor
        return record > floor and not (floor and record.startswith(floor))

    def _pass_on(self, most: int) -> None:
        """Check the pending records up to the last place up to `most` where an owner begins."""
        pending = self._pending
        cut = _owner_start(pending, most)
        if cut == 0 and len(pending) > OWNER_LIMIT:
            cut = _owner_start(pending, len(pending) - 1)
            if cut == 0:
                raise owner_refused(pending[0][: key_end(pending[0])], self.origin)
        if cut > 0:
            self._pending = pending[cut:]
            self._check(pending[:cut])

    def _pending_sorted(self) -> list[bytes]:
        pending = self._pending
        pending.sort()
        self._pending = []
        return pending

    def _pack(self, records: list[bytes]) -> Block:
        block = Block.make(records, self._spelling)
        if self._spelling:
            for record in records:
                if record in self._spelling:
                    del self._spelling[record]
        return block

    def _check(self, records: list[bytes]) -> None:
        """Take sorted whole owners that follow on what was checked before."""
        last = records[-1]
        self._floor = last[: key_end(last)]
        self._open.extend(self._checker.scan(records, self._spelling))
        self._close_blocks(False)

    def _close_blocks(self, final: bool) -> None:
        """Cut as many blocks off the checked records as have enough of them."""
        records = self._open
        start = 0
        while True:
            size = self._block_size(start, final)
            if size == 0:
                break
            self._blocks.append(self._pack(records[start : start + size]))
            start += size
        if start > 0:
            self._open = records[start:]

    def _block_size(self, start: int, final: bool) -> int:
        """How many records from `start` of the checked ones make the next block; 0: wait."""
        size = self._size_by_count(start, final)
        return within_octets(self._open, start, size)

    def _size_by_count(self, start: int, final: bool) -> int:
        records = self._open
        rest = len(records) - start
        if rest == 0:
            return 0
        cuts = self._cuts
        while self._cut < len(cuts):
            cut = cuts[self._cut]
            if cut > records[start]:
                at = bisect_left(records, cut, start) - start
                if at > LARGEST:
                    return rrset_start(records, start + TARGET, start) - start
                if at == rest:
                    return rest if final else 0
                if at >= SMALLEST or octets(records, start, start + at) >= OCTETS // 4:
                    return at
            self._cut += 1
        if rest <= LARGEST:
            return rest if final else 0
        return rrset_start(records, start + TARGET, start) - start

    def take_ready(self) -> list[Block]:
        """The blocks finished since the last call; they are part of the version unless disorder
        in the transfer makes the builder cut them again."""
        ready = self._blocks[self._taken :]
        self._taken = len(self._blocks)
        return ready

    def step(self) -> bool:
        """Do a bounded piece of the work left after the last `add`; False when all is done.

        Raises ZoneRejected where the checks refuse the zone.
        """
        if self._snapshot is not None:
            return False
        if self._merge is None and self._runs:
            if self._pending:
                self._add_run(self._pending_sorted())
            self._merge = _Merge(self._runs)
            self._runs = []
            self._floor = b""
        elif self._merge is not None:
            bucket = self._merge.next(self._spelling)
            if bucket is None:
                self._merge = None
            elif bucket:
                self._pending.extend(bucket)
                self._pass_on(len(self._pending) - 1)
        elif self._pending:
            if self._follows(min(self._pending)):
                self._check(self._pending_sorted())
            else:
                self._flush()
        elif self._open:
            self._close_blocks(True)
        elif self._made is None:
            self._checker.finish()
            self._made = Snapshot(self.origin, self._blocks)
            self._verifier = verifier_of(self._made, self._checker.gone, self._policy)
        elif self._verifier is None or not self._verifier.step():
            if self._verifier is not None:
                self._made.zonemd = self._verifier.verdict
            self._snapshot = self._made
            return False
        return True

    def findings(self) -> list[Finding]:
        """What the checks found so far."""
        found = self._verifier.findings if self._verifier is not None else []
        return [*self._checker.findings, *found]

    def snapshot(self) -> Snapshot:
        """The finished version; only after `step` said False."""
        assert self._snapshot is not None
        return self._snapshot


class _Merge:
    """Merges sorted runs of blocks, a few thousand records at a time, in order."""

    def __init__(self, runs: list[list[Block]]) -> None:
        self._runs = runs
        self._next: list[int] = [0 for _ in runs]  # the block to open next, by run
        self._opened: list[list[bytes]] = [[] for _ in runs]
        self._at: list[int] = [0 for _ in runs]

    def next(self, spelling: Spelling) -> list[bytes] | None:
        """The next sorted records, None at the end; their spellings go to `spelling`.

        An empty list where opening blocks was work enough for one call.
        """
        if not self._open(spelling):
            return []
        # Nothing at or above the first record of a block that is not open yet may be taken.
        end: bytes | None = None
        nearest = 0
        for i in range(len(self._runs)):
            if self._next[i] < len(self._runs[i]):
                first = self._runs[i][self._next[i]].first
                if end is None or first < end:
                    end = first
                    nearest = i
        stops, total = self._stops(end)
        if total == 0:
            if end is None:
                return None
            # All that is open of the nearest run equals `end`: the same record many times.
            out = self._opened[nearest][self._at[nearest] :]
            self._at[nearest] += len(out)
            return out
        if total > LARGEST:
            # Each run has at most one sample's distance more below the place chosen than counted.
            distance = max(4, min(_SAMPLE, LARGEST // len(stops)))
            samples: list[bytes] = []
            lowest = b""
            for i in range(len(stops)):
                at = self._at[i]
                if at < stops[i]:
                    head = self._opened[i][at]
                    if lowest == b"" or head < lowest:
                        lowest = head
                    samples.extend(self._opened[i][at + distance - 1 : stops[i] : distance])
            samples.sort()
            place = LARGEST // distance
            # Above the lowest record, so that there is something to take.
            while place < len(samples) and samples[place] == lowest:
                place += 1
            if place < len(samples):
                stops, total = self._stops(samples[place])
        taken: list[bytes] = []
        for i in range(len(stops)):
            taken.extend(self._opened[i][self._at[i] : stops[i]])
            self._at[i] = stops[i]
        taken.sort()
        return taken

    def _open(self, spelling: Spelling) -> bool:
        """Open the next block of each run that has nothing open; False where work is left."""
        count = 0
        for i in range(len(self._runs)):
            run = self._runs[i]
            if self._at[i] == len(self._opened[i]) and self._next[i] < len(run):
                if count >= LARGEST:
                    return False
                block = run[self._next[i]]
                self._next[i] += 1
                self._opened[i] = block.records()
                self._at[i] = 0
                spelling.update(block.spelling())
                count += block.count
        return True

    def _stops(self, end: bytes | None) -> tuple[list[int], int]:
        """Up to where the open records of each run are below `end`, and how many that is."""
        stops: list[int] = []
        total = 0
        for i in range(len(self._opened)):
            records = self._opened[i]
            stop = len(records) if end is None else bisect_left(records, end, self._at[i])
            stops.append(stop)
            total += stop - self._at[i]
        return stops, total


def _owner_start(records: list[bytes], most: int) -> int:
    """The greatest index up to `most` where an owner name begins; 0 where none does."""
    at = most
    while at > 0:
        before = records[at - 1]
        if not records[at].startswith(before[: key_end(before)]):
            return at
        at -= 1
    return 0
