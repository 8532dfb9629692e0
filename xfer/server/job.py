"""One reception as a job for another process, and what that process does.

    parent, `parsing.Child`       begin, take …, finish, drop        child, `serve`
                             ═══════ socket pair, pickles ═══════
                                  progress, blocks, errors

`Job` says what a reception has to know, and makes it, on either side. Both sides are this program,
and nobody else can reach the socket, so pickles will do. A child ends with its parent, because the
socket then ends. It imports neither trio nor anything else of the daemon's: what it needs to start
is time and memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

import attrs

from xfer.errors import TransferError
from xfer.server.reception import Base, Reception
from xfer.transfer.envelope import Inbound, StreamLimits
from xfer.transfer.inbound import AxfrIn
from xfer.transfer.ixfr_in import IxfrIn
from xfer.transfer.updates import Kind
from xfer.wire.edns import expire_of
from xfer.zone.build import Builder
from xfer.zone.check import Grade, Policy
from xfer.zone.snapshot import Snapshot

COMMAND = f"from {__name__} import main; main()"
"""For `python -c`; the argument is the socket. Not -m: the classes would be `__main__`'s there."""


@attrs.frozen
class Job:
    """One reception, in values that can be sent to another process.

    grades: rule → grade of the checks; cuts: where the blocks of the present version begin
    (`Snapshot.cuts`); serial: of our version, where we asked for the changes since (IXFR), else
    None. No key is in it: what a child is given has been verified (`framing.py`).
    """

    origin: bytes
    msg_id: int
    limits: StreamLimits
    grades: dict[str, str]
    cuts: list[bytes]
    serial: int | None = None

    @staticmethod
    def of(
        origin: bytes,
        msg_id: int,
        limits: StreamLimits,
        policy: Policy,
        previous: Snapshot | None,
        serial: int | None = None,
    ) -> Job:
        """previous: for its cuts, which an IXFR needs only where the whole zone comes in answer
        (`cut_as`)."""
        grades = {rule: grade.value for rule, grade in policy.grades.items()}
        job = Job(origin, msg_id, limits, grades, [], serial)
        return job if serial is not None else job.cut_as(previous)

    def cut_as(self, previous: Snapshot | None) -> Job:
        """The job with the cuts of that version, for a whole zone to share blocks with it."""
        return attrs.evolve(self, cuts=previous.cuts() if previous is not None else [])

    def reception(self, previous: Snapshot | None = None) -> Reception:
        """A new reception for this job. previous: the version that an IXFR is applied to."""
        if self.serial is None:
            machine: Inbound = AxfrIn(self.origin, self.msg_id, self.limits)
            return Reception(machine, self._new_builder)
        limits = self.limits
        base = Base(self.serial, previous, self._policy(), limits.records, limits.octets)
        machine = IxfrIn(self.origin, self.msg_id, self.serial, limits)

        def new_builder() -> Builder:
            return (self if previous is None else self.cut_as(previous))._new_builder()

        return Reception(machine, new_builder, base)

    def _policy(self) -> Policy:
        return Policy({rule: Grade(grade) for rule, grade in self.grades.items()})

    def _new_builder(self) -> Builder:
        # Compression can make a small transfer a large zone: the limit holds for both.
        builder = Builder(self.origin, self._policy(), max_octets=self.limits.octets)
        builder.cut_at(self.cuts)
        return builder


@attrs.frozen
class Progress:
    """Where a reception stands. expire: seconds, None without one; kind: None until it is known."""

    complete: bool
    serial: int | None
    messages: int
    records: int
    expire: int | None
    kind: Kind | None

    @staticmethod
    def of(reception: Reception) -> Progress:
        machine = reception.machine
        return Progress(
            reception.complete,
            machine.serial,
            machine.messages,
            machine.records,
            expire_of(machine.edns),
            machine.kind,
        )


def serve(connection: Connection) -> None:
    """The child's side: do one job after the other until the parent is gone.

    Every command but `drop` is answered, in order.
    """
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
                if reception is not None:  # else it has failed before this piece
                    blocks = reception.take(*arguments)
                    answer = (Progress.of(reception), [(b.data, b.digest) for b in blocks])
            elif command == "finish":
                assert reception is not None
                answer = _finish(reception)
            else:
                reception = None
                release()
                continue
            connection.send(("done", answer))
        except TransferError as error:
            reception = None
            more = {
                "hint": error.hint, "try_axfr": error.try_axfr, "try_next": error.try_next,
            }  # fmt: skip
            connection.send(("error", (error.failure, error.expected, error.got, more)))


def _finish(reception: Reception) -> Any:
    received = reception.finish()
    assert received.snapshot is not None, "differences are not for a child"
    rest = [(block.data, block.digest) for block in reception.take_ready()]
    found = [(f.rule, f.grade.value, f.owner, f.rtype, f.detail) for f in received.findings]
    return [block.digest for block in received.snapshot.blocks], rest, found


def release() -> None:
    """Give the memory of what was freed back to the system, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    """The child; its argument is the socket. Signals are for the parent, whose end is ours too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # what a transfer makes has no cycles, and there is much of it to look through
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(Connection(int(sys.argv[1])))
