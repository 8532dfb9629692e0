"""Receptions in a process of their own: large transfers are parsed beside the event loop.

Parsing holds the interpreter. In a thread it takes turns with the event loop, and both lose more
than the turns take: UDP answers wait, and so does the parser for each of them. So what is large is
read, verified, checked and packed by a child process that has nothing else to do; this process
moves octets in and finished blocks out.

    _Pull ── executor thread ── RemoteReception ══ socket pair ══ serve() ── Reception

`Job` says what a reception has to know, and makes it, on either side. The two sides speak pickles:
both are this program, and nobody else can reach the socket. A child ends with its parent, because
the socket then ends.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any

import attrs

from xfer.errors import Failure, TransferError
from xfer.server.reception import Received, Reception
from xfer.transfer.inbound import AxfrIn, StreamLimits
from xfer.wire.edns import expire_of
from xfer.wire.tsig import Algorithm, Key, ResponseVerifier
from xfer.zone.block import Block
from xfer.zone.build import Builder
from xfer.zone.check import Finding, Grade, Policy
from xfer.zone.snapshot import Snapshot

LARGE = 1 << 18  # octets of a transfer from which on a child reads it, where one is free
_COMMAND = f"from {__name__} import main; main()"
_BUFFER = 1 << 21  # octets that the socket pair may hold


@attrs.frozen
class Job:
    """One reception, in values that can be sent to another process.

    key: name, algorithm and secret, None where nothing is signed; mac: of the request; unsigned:
    messages in a row that may come without TSIG; grades: rule → grade of the checks; cuts: where
    the blocks of the present version begin (`Snapshot.cuts`).
    """

    origin: bytes
    msg_id: int
    limits: StreamLimits
    key: tuple[bytes, str, bytes, int] | None
    mac: bytes
    unsigned: int
    grades: dict[str, str]
    cuts: list[bytes]

    @staticmethod
    def of(
        origin: bytes,
        msg_id: int,
        limits: StreamLimits,
        signed: tuple[Key, bytes] | None,
        unsigned: int,
        policy: Policy,
        previous: Snapshot | None,
    ) -> Job:
        """signed: the request's key and MAC, None where it was not signed."""
        key = None
        mac = b""
        if signed is not None:
            with_key, mac = signed
            key = (with_key.name, with_key.algorithm.text, with_key.secret, with_key.min_mac)
        grades = {rule: grade.value for rule, grade in policy.grades.items()}
        cuts = previous.cuts() if previous is not None else []
        return Job(origin, msg_id, limits, key, mac, unsigned, grades, cuts)

    def reception(self) -> Reception:
        """A new reception for this job."""
        verifier = None
        if self.key is not None:
            name, algorithm, secret, min_mac = self.key
            key = Key(name, Algorithm.from_text(algorithm), secret, min_mac)
            verifier = ResponseVerifier(key, self.mac, self.unsigned)
        return Reception(AxfrIn(self.origin, self.msg_id, self.limits), verifier, self._new_builder)

    def _new_builder(self) -> Builder:
        policy = Policy({rule: Grade(grade) for rule, grade in self.grades.items()})
        # Compression can make a small transfer a large zone: the limit holds for both.
        builder = Builder(self.origin, policy, max_octets=self.limits.octets)
        builder.cut_at(self.cuts)
        return builder


@attrs.frozen
class Progress:
    """Where a reception stands. where: `Reception.where()`; expire: seconds, None without one."""

    complete: bool
    serial: int | None
    messages: int
    records: int
    expire: int | None
    where: str

    @staticmethod
    def of(reception: Reception) -> Progress:
        machine = reception.machine
        return Progress(
            reception.complete,
            machine.serial,
            machine.messages,
            machine.records,
            expire_of(machine.edns),
            reception.where(),
        )


class LocalReception:
    """A reception in this process."""

    def __init__(self, job: Job) -> None:
        self._reception = job.reception()
        self.progress = Progress.of(self._reception)

    def take(self, chunks: list[bytes], now: int) -> list[Block]:
        """As `Reception.take`."""
        try:
            return self._reception.take(chunks, now)
        finally:
            self.progress = Progress.of(self._reception)

    def finish(self) -> tuple[Received, list[Block]]:
        """As `Reception.finish`, with the blocks that `take` has not returned."""
        received = self._reception.finish()
        return received, self._reception.take_ready()

    def abandon(self, failure: Failure, expected: str, got: str, hint: str = "") -> TransferError:
        """As `Reception.abandon`."""
        return self._reception.abandon(failure, expected, got, hint)


class RemoteReception:
    """A reception in a child; its calls block, so they are made in a worker thread.

    Raises TransferError (POLICY) where the child has died.
    """

    def __init__(self, child: Child, job: Job) -> None:
        self._child = child
        self._origin = job.origin
        self._blocks: dict[bytes, Block] = {}
        child.ask("begin", job)
        self.progress = Progress(False, None, 0, 0, None, "before the first octet of an answer")

    def take(self, chunks: list[bytes], now: int) -> list[Block]:
        """As `Reception.take`."""
        self.progress, packed = self._child.ask("take", chunks, now)
        chunks.clear()
        return self._unpack(packed)

    def finish(self) -> tuple[Received, list[Block]]:
        """As `LocalReception.finish`."""
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


class Child:
    """A process that runs `serve`, and our end of the socket pair."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        with theirs:
            self._process = subprocess.Popen(
                # Not -m: the classes that are sent would be those of `__main__` there.
                [sys.executable, "-c", _COMMAND, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._connection = Connection(ours.detach())
        self.broken = False

    def ask(self, *command: Any) -> Any:
        """Send a command, wait for its answer. Raises the TransferError that it answers with."""
        try:
            self._connection.send(command)
            kind, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self.broken = True
            raise TransferError(
                Failure.POLICY,
                "the process that reads the transfer to answer",
                f"its end ({type(error).__name__})",
                hint="it may have been killed for its memory; a new one is started",
                try_next=False,
            ) from error
        if kind == "error":
            raise TransferError(*answer[:3], **answer[3])
        return answer

    def close(self) -> None:
        """End the process."""
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

    def start(self) -> None:
        """Start one, so that the first large transfer finds it ready."""
        if self._most and not self._idle:
            self._idle.append(Child())

    def acquire(self) -> Child | None:
        """A child that is free, None where all are at work."""
        if not self._idle and len(self._busy) < self._most:
            self._idle.append(Child())
        if not self._idle:
            return None
        child = self._idle.pop()
        self._busy.add(child)
        return child

    def release(self, child: Child) -> None:
        """Give a child back after its job."""
        self._busy.discard(child)
        with contextlib.suppress(TransferError):
            child.ask("drop")
        if child.broken:
            child.close()
        else:
            self._idle.append(child)

    def close(self) -> None:
        """End all."""
        for child in [*self._idle, *self._busy]:
            child.close()
        self._idle.clear()
        self._busy.clear()


def serve(connection: Connection) -> None:
    """The child's side: do one job after the other until the parent is gone."""
    reception: Reception | None = None
    while True:
        try:
            command, *arguments = connection.recv()
        except EOFError:
            return
        answer: Any = None
        try:
            if command == "begin":
                reception = None  # the memory of the job before goes first
                reception = arguments[0].reception()
            elif command == "take":
                assert reception is not None
                blocks = reception.take(*arguments)
                answer = (Progress.of(reception), [(b.data, b.digest) for b in blocks])
            elif command == "finish":
                assert reception is not None
                answer = _finish(reception)
            elif command == "drop":
                reception = None
            connection.send(("done", answer))
        except TransferError as error:
            reception = None
            more = {
                "hint": error.hint, "try_axfr": error.try_axfr, "try_next": error.try_next,
            }  # fmt: skip
            connection.send(("error", (error.failure, error.expected, error.got, more)))


def _finish(reception: Reception) -> Any:
    received = reception.finish()
    rest = [(block.data, block.digest) for block in reception.take_ready()]
    found = [(f.rule, f.grade.value, f.owner, f.rtype, f.detail) for f in received.findings]
    return [block.digest for block in received.snapshot.blocks], rest, found


def main() -> None:
    """The child; its argument is the socket. Signals are for the parent, whose end is ours too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # what a transfer makes has no cycles, and there is much of it to look through
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(Connection(int(sys.argv[1])))
