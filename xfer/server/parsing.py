"""Receptions in a process of their own: large transfers are parsed beside the event loop.

Parsing holds the interpreter. In a thread it takes turns with the event loop, and both lose more
than the turns take: UDP answers wait, and so does the parser for each of them. So what is large is
read, checked and packed by a child process that has nothing else to do; this process moves octets
in, verifies them on the way, and finished blocks out.

    _Pull ── run_in ── executor thread ── RemoteReception ══ socket pair ══ serve() ── Reception

`job.py` has the child's side. What a child keeps between jobs is measured in
`tests/server/test_job.py`: next to nothing.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any, TypeVar, TypeVarTuple

import structlog
import trio

from xfer.errors import Failure, TransferError
from xfer.server.executor import Executor
from xfer.server.framing import Framing
from xfer.server.job import COMMAND, Job, Progress
from xfer.server.reception import Received
from xfer.zone.block import Block
from xfer.zone.check import Finding, Grade
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

LARGE = 1 << 18  # octets of a transfer from which on a child reads it, where one is free
PIECE = 1 << 16  # octets that a child is given at once, at least, where there are as many
_ROOM = 300_000  # octets a socket must hold for a child to be sent a piece ahead
_BUFFER = 1 << 21  # octets that the socket pair may hold


class LocalReception:
    """A reception in this process. framing: where its messages come from; previous: the version
    that an IXFR is applied to."""

    def __init__(self, job: Job, framing: Framing, previous: Snapshot | None = None) -> None:
        self._reception = job.reception(previous)
        self._framing = framing
        self.progress = Progress.of(self._reception)

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
            self.progress = Progress.of(self._reception)
        if framing.refused is not None and not self.progress.complete:
            raise self._reception.refuse(*framing.refused)
        return ready

    @property
    def differing(self) -> int:
        """As `Reception.differing`."""
        return self._reception.differing

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
        return received, self._reception.take_ready()

    def abandon(self, failure: Failure, expected: str, got: str, hint: str = "") -> TransferError:
        """As `Reception.abandon`."""
        return self._reception.abandon(failure, expected, got, hint)


class RemoteReception:
    """A reception in a child; its calls block, so they are made in a worker thread.

    framing: a new one, as the child is to be given what came from the first octet on; so_far: what
    was known of the transfer before. Raises TransferError (POLICY) where the child has died.
    """

    def __init__(self, child: Child, job: Job, framing: Framing, so_far: Progress) -> None:
        self._child = child
        self._origin = job.origin
        self._framing = framing
        self._blocks: dict[bytes, Block] = {}
        child.ask("begin", job)
        self.progress = so_far

    def take(self, chunks: list[bytes], now: int) -> list[Block]:
        """As `LocalReception.take`. Messages are verified here while the child reads others."""
        ready: list[Block] = []
        failure: TransferError | None = None
        framing = self._framing
        pieces = _pieces(chunks)
        chunks.clear()
        asked = 0
        answered = 0
        while answered < len(pieces):
            # The child finds the next piece waiting when it is done with one.
            while asked < min(answered + 1 + self._child.ahead, len(pieces)):
                self._child.post("take", framing.take(pieces[asked], now), framing.more)
                asked += 1
            answered += 1
            try:
                answer = self._child.answer()
            except TransferError as error:
                failure = failure or error
                if self._child.broken:
                    break
                continue  # what was asked is answered all the same
            if failure is None:
                self.progress, packed = answer
                ready += self._unpack(packed)
        if failure is not None:
            raise failure
        if framing.refused is not None:
            raise framing.refused[1]
        return ready

    @property
    def differing(self) -> int:
        """As `Reception.differing`: a child has whole zones only."""
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
        self._framing.finish()
        order, packed, found = self._child.ask("finish")
        rest = self._unpack(packed)
        snapshot = Snapshot(self._origin, [self._blocks[digest] for digest in order])
        findings = tuple(
            Finding(rule, Grade(grade), owner, rtype, detail)
            for rule, grade, owner, rtype, detail in found
        )
        return Received(snapshot, findings), rest

    def abandon(self, failure: Failure, expected: str, got: str, hint: str = "") -> TransferError:
        """As `Reception.abandon`; the child forgets what it has when it is released."""
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


class Child:
    """A process that runs `serve`, and our end of the socket pair. Raises OSError: none started."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self._process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
            # A piece and READ octets of another must fit, or each side could wait for the other to
            # read; Linux lets a socket hold 416 kB unless told otherwise.
            self.ahead = 1 if ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > _ROOM else 0
            self._connection = Connection(ours.detach())
        self.pid = self._process.pid
        self.broken = False

    def ask(self, *command: Any) -> Any:
        """Send a command, wait for its answer. Raises the TransferError that it answers with."""
        self.post(*command)
        return self.answer()

    def post(self, *command: Any) -> None:
        """Send a command whose answer is to be fetched later, in the order of the commands. Raises
        TransferError where the child has died."""
        self._exchange(lambda: self._connection.send(command))

    def answer(self) -> Any:
        """Wait for the next answer. Raises the TransferError that it is."""
        kind, answer = self._exchange(self._connection.recv)
        if kind == "error":
            raise TransferError(*answer[:3], **answer[3])
        return answer

    def _exchange(self, exchange: Callable[[], T]) -> T:
        try:
            return exchange()
        except (EOFError, OSError) as error:
            self.broken = True
            raise TransferError(
                Failure.POLICY,
                "the process that reads the transfer to answer",
                f"its end ({type(error).__name__})",
                hint="it may have been killed for its memory; a new one is started",
                try_next=False,
            ) from error

    def drop(self) -> None:
        """Have it forget its job; it frees much memory then, so nobody waits for that."""
        try:
            self._connection.send(("drop",))
        except OSError:
            self.broken = True

    def usable(self) -> bool:
        """Whether it can take a job."""
        return not self.broken and self._process.poll() is None

    def kill(self) -> None:
        """End it at once, even in the middle of a command, which then fails. From any thread."""
        self.broken = True
        self._process.kill()

    def ended(self) -> bool:
        """Whether the process has ended; it is a zombie until this or `close` has seen that."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process, which has no command to answer, and wait for it."""
        self._connection.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Parsers:
    """The children: at most `most`, started before they are needed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._ending: list[Child] = []

    def start(self) -> None:
        """Start one, so that the first large transfer finds it ready."""
        if self._most and not self._idle:
            self._start()

    def acquire(self) -> Child | None:
        """A child that is free, None where all are at work or none can be started."""
        self._reap()
        if not self._idle and len(self._busy) < self._most:
            self._start()
        if not self._idle:
            return None
        child = self._idle.pop()
        self._busy.add(child)
        return child

    def release(self, child: Child) -> None:
        """Give a child back after its job. Does not wait for it."""
        self._busy.discard(child)
        if not child.broken:
            child.drop()
        if child.broken:
            child.kill()
            self._ending.append(child)
        else:
            self._idle.append(child)

    def close(self) -> None:
        """End all."""
        for child in [*self._idle, *self._busy, *self._ending]:
            child.close()
        self._idle.clear()
        self._busy.clear()
        self._ending.clear()

    def _start(self) -> None:
        try:
            self._idle.append(Child())
        except OSError as error:
            log.error("no process to parse transfers", error=str(error))

    def _reap(self) -> None:
        """Find the children that have ended."""
        for child in [child for child in self._idle if not child.usable()]:
            log.warning("a process that parses transfers ended while idle", pid=child.pid)
            self._idle.remove(child)
            self._ending.append(child)
        for child in [child for child in self._ending if child.ended()]:
            child.close()
            self._ending.remove(child)


async def run_in(child: Child, executor: Executor, function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run a function that waits for the child's answer; when cancelled, end the child.

    A call in a thread cannot be given up, and nobody knows how long the child may take: a transfer
    that is cancelled, and a daemon that is to stop, must not wait for it.
    """

    async def watch() -> None:
        try:
            await trio.sleep_forever()
        finally:
            if not done:
                child.kill()

    done = False
    failed: TransferError | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            result = await executor.run(function, *args)
        except TransferError as error:
            failed = error  # may be the child's end by `watch`: then the cancellation is the reason
        done = True
        nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint_if_cancelled()
    if failed is not None:
        raise failed
    return result
