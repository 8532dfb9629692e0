"""Receptions here and in processes of their own: large transfers are read beside the event loop.

Reading holds the interpreter. In a thread it takes turns with the event loop, and both lose more
than the turns take: UDP answers wait, and so does the reader for each of them. So what is large is
read, checked and packed by processes that have nothing else to do; this one moves octets in,
verifies them on the way, and finished blocks out.

    _Pull ── run_in ── executor thread ── RemoteReception ── Pipeline ══ stages.py
"""

from __future__ import annotations

from collections.abc import Iterable

from xfer.errors import Failure, TransferError
from xfer.server.building import Received
from xfer.server.framing import Framing
from xfer.server.job import Job, Progress
from xfer.server.pipeline import Pipeline
from xfer.server.reception import Reception
from xfer.zone.block import Block
from xfer.zone.check import Finding, Grade
from xfer.zone.snapshot import Snapshot

LARGE = 1 << 18  # octets of a transfer from which on a pipeline reads it, where one is free
PIECE = 1 << 16  # octets that it is given at once, at least, where there are as many


class LocalReception:
    """A reception in this process. framing: where its messages come from; previous: the version
    that an IXFR is applied to."""

    def __init__(self, job: Job, framing: Framing, previous: Snapshot | None = None) -> None:
        self._reception = Reception(job.machine(), job.building(previous))
        self._framing = framing
        self.progress = Progress.of(self._reception.machine)

    def take(self, chunks: list[bytes], now: int) -> list[Block]:
        """Process what arrived, in order; `now` is Unix time for the signatures.

        Returns the blocks that are finished and may be written ahead. Raises TransferError; what
        was begun is then dropped.
        """
        framing = self._framing
        messages = framing.take(chunks, now)
        try:
            ready = self._reception.take(messages, framing.more)
        finally:
            self.progress = Progress.of(self._reception.machine)
        if framing.refused is not None and not self.progress.complete:
            raise self._reception.refuse(*framing.refused)
        return ready

    @property
    def behind(self) -> bool:
        """As `RemoteReception.behind`: never, here."""
        return False

    def catch_up(self) -> list[Block]:
        """As `RemoteReception.catch_up`."""
        return []

    @property
    def differing(self) -> int:
        """As `Building.differing`."""
        return self._reception.building.differing

    @property
    def lone(self) -> bool:
        """Whether nothing has come but an SOA newer than ours, in answer to IXFR."""
        return self.progress.messages > 0 and self.progress.kind is None

    @property
    def held(self) -> int:
        """Octets of a message that has not come to its end."""
        return self._framing.held

    @property
    def where(self) -> str:
        """How far it came, for sentences."""
        return self._framing.where(self.progress.messages, self.progress.records)

    def finish(self) -> tuple[Received, list[Block]]:
        """As `Reception.finish`, with the blocks that `take` has not returned."""
        self._framing.finish()
        received = self._reception.finish()
        return received, self._reception.building.take_ready()

    def abandon(self, failure: Failure, expected: str, got: str, hint: str = "") -> TransferError:
        """As `Reception.abandon`."""
        return self._reception.abandon(failure, expected, got, hint)


class RemoteReception:
    """A reception in two processes; its calls block, so they are made in a worker thread.

    framing: a new one, as the pipeline is to be given what came from the first octet on; so_far:
    what was known of the transfer before. Raises TransferError (POLICY) where a process has died.
    """

    def __init__(self, pipeline: Pipeline, job: Job, framing: Framing, so_far: Progress) -> None:
        self._pipeline = pipeline
        self._origin = job.origin
        self._framing = framing
        self._blocks: dict[bytes, Block] = {}
        pipeline.begin(job)
        self.progress = so_far

    def take(self, chunks: list[bytes], now: int) -> list[Block]:
        """As `LocalReception.take`, but that `behind` tells whether all has been read.

        Messages are verified here while the pipeline has others.
        """
        ready: list[Block] = []
        framing = self._framing
        pieces = _pieces(chunks)
        chunks.clear()
        for piece in pieces:
            messages = framing.take(piece, now)
            while not self._pipeline.has_room(messages):
                ready += self.catch_up()
            self._pipeline.post("take", messages, framing.more)
        if framing.refused is not None:
            while self.behind:  # what came before it may be wrong as well
                self.catch_up()
            raise framing.refused[1]
        return ready

    @property
    def behind(self) -> bool:
        """Whether something that was taken has not been read yet."""
        return self._pipeline.owed > 0

    def catch_up(self) -> list[Block]:
        """Wait until one piece more has been read; the blocks that are ready then."""
        self.progress, ready = self._pipeline.taken()
        return self._unpack(ready)

    @property
    def differing(self) -> int:
        """As `Building.differing`: there are whole zones only."""
        return -1

    @property
    def lone(self) -> bool:
        """As `LocalReception.lone`."""
        return False

    @property
    def held(self) -> int:
        """As `LocalReception.held`."""
        return self._framing.held

    @property
    def where(self) -> str:
        """As `LocalReception.where`."""
        return self._framing.where(self.progress.messages, self.progress.records)

    def finish(self) -> tuple[Received, list[Block]]:
        """As `LocalReception.finish`."""
        rest: list[Block] = []
        while self.behind:
            rest += self.catch_up()
        self._framing.finish()
        order, zonemd, packed, found = self._pipeline.ask("finish")
        rest += self._unpack(packed)
        snapshot = Snapshot(self._origin, [self._blocks[digest] for digest in order])
        snapshot.zonemd = zonemd
        findings = tuple(
            Finding(rule, Grade(grade), owner, rtype, detail)
            for rule, grade, owner, rtype, detail in found
        )
        return Received(snapshot, findings), rest

    def abandon(self, failure: Failure, expected: str, got: str, hint: str = "") -> TransferError:
        """As `Reception.abandon`; the pipeline forgets it when it is released."""
        return TransferError(failure, expected, got, hint=hint)

    def _unpack(self, packed: Iterable[tuple[bytes, bytes]]) -> list[Block]:
        blocks = [Block(data, digest) for data, digest in packed]
        for block in blocks:
            self._blocks[block.digest] = block
        return blocks


def _pieces(chunks: list[bytes]) -> list[list[bytes]]:
    """The chunks in groups of at least PIECE octets, but for the last."""
    pieces: list[list[bytes]] = []
    size = PIECE
    for chunk in chunks:
        if size >= PIECE:
            pieces.append([])
            size = 0
        pieces[-1].append(chunk)
        size += len(chunk)
    return pieces
