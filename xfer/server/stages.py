"""The two processes that a large transfer is read by, one after the other.

    parent ──commands──▶ Parser ──records──▶ Packer ──blocks, errors──▶ parent

The parser knows the protocol: it takes messages and passes on records. The packer sorts, checks
and packs them. Each has about half of the work. Both are this program, started once for many
transfers (`pipeline.py`), and nobody else can reach their sockets, through which go plain values
(`values.py`). Each ends when the one before it does, because its socket then ends. They import
neither trio nor anything else of the daemon's: what they need to start is time and memory.

    command     the packer's answer
    begin       (), once the job before is forgotten
    take        progress, and the blocks that are ready
    finish      the order of the blocks, what came of the ZONEMD, blocks not given yet, findings
    drop        none

What fails is answered with the error, and so is all after it until the next `begin`, by nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import signal
import socket
import sys
from multiprocessing.connection import Connection
from typing import Any

from xfer.errors import Failure, TransferError
from xfer.server.building import Building
from xfer.server.job import Progress
from xfer.server.reception import updates
from xfer.server.values import receive, send
from xfer.transfer.envelope import Inbound
from xfer.transfer.updates import Add, Begin, Kind, Update
from xfer.wire.parse import Batch
from xfer.wire.records import Spelling

COMMAND = f"from {__name__} import main; main()"
"""For `python -c`; the arguments are the sockets from and to the parent. Not -m: the classes would
be `__main__`'s there."""

BEHIND = 5  # steps of priority behind the daemon, whose answers must not wait for a transfer
BUFFER = 1 << 21  # octets that a socket may hold, where the system lets it


def packed_error(error: TransferError) -> tuple[Any, ...]:
    """An error in values for `send`."""
    more = (error.hint, error.try_axfr, error.try_next)
    return (error.failure.value, error.expected, error.got, *more)


def unpacked_error(values: tuple[Any, ...]) -> TransferError:
    """What `packed_error` made."""
    failure, expected, got, hint, try_axfr, try_next = values
    return TransferError(
        Failure(failure), expected, got, hint=hint, try_axfr=try_axfr, try_next=try_next
    )


class Parser:
    """The first process: what it knows of the answer. target: the packer."""

    def __init__(self, target: Connection) -> None:
        self._target = target
        self._machine: Inbound | None = None

    def step(self, command: str, *arguments: Any) -> None:
        """Do a command, and pass it on: command, error or None, what the packer needs for it."""
        error = None
        try:
            arguments = self._do(command, *arguments)
        except TransferError as failure:
            self._machine = None
            error = packed_error(failure)
            arguments = ()
        send(self._target, command, error, *arguments)

    def _do(self, command: str, *arguments: Any) -> tuple[Any, ...]:
        if command == "begin":
            self._machine = None  # also where there is an error in the next line
            self._machine = pickle.loads(*arguments).machine()
            return arguments
        if command == "drop":
            self._machine = None
            release()
        elif self._machine is not None and command == "take":
            for update in updates(self._machine, *arguments):
                self._pass_on(update)
            return (Progress.of(self._machine).packed(),)
        elif self._machine is not None:
            self._machine.finish()
        return ()

    def _pass_on(self, update: Update) -> None:
        match update:
            case Begin():
                send(self._target, "zone", update.serial, update.soa)
            case Add(batch):
                add = (batch.records, batch.spelling, batch.outside, batch.octets)
                send(self._target, "add", *add)


class Packer:
    """The second process: what it has of the zone. target: who is answered."""

    def __init__(self, target: Connection) -> None:
        self._target = target
        self._building: Building | None = None
        self._failed: tuple[Any, ...] | None = None

    def step(self, command: str, *arguments: Any) -> None:
        """Take an update, or do a command and answer it."""
        if command == "add":
            self._apply(Add(_batch(*arguments)))
        elif command == "zone":
            self._apply(Begin(Kind.AXFR, *arguments))
        elif command == "drop":
            self._forget()
            release()
        else:
            self._answer(command, *arguments)

    def _apply(self, update: Update) -> None:
        """What is wrong with an update is answered to the command that brought it."""
        if self._building is None:
            return
        try:
            self._building.apply(update)
        except TransferError as failure:
            self._building = None
            self._failed = packed_error(failure)

    def _answer(self, command: str, error: tuple[Any, ...] | None, *arguments: Any) -> None:
        try:
            answer = self._do(command, error, *arguments)
        except TransferError as failure:
            self._building = None
            send(self._target, "error", packed_error(failure))
        else:
            send(self._target, "done", answer)

    def _do(self, command: str, error: tuple[Any, ...] | None, *arguments: Any) -> Any:
        if command == "begin":
            self._forget()
            if error is None:
                self._building = pickle.loads(*arguments).building()
                return ()
        failed, self._failed = self._failed or error, None  # what came before the error is first
        if failed is not None:
            raise unpacked_error(failed)
        if self._building is None:
            return ()
        if command == "take":
            return (*arguments, [(b.data, b.digest) for b in self._building.take_ready()])
        received = self._building.finish()
        assert received.snapshot is not None, "differences are not for another process"
        rest = [(b.data, b.digest) for b in self._building.take_ready()]
        found = [(f.rule, f.grade.value, f.owner, f.rtype, f.detail) for f in received.findings]
        order = [block.digest for block in received.snapshot.blocks]
        return order, received.snapshot.zonemd, rest, found

    def _forget(self) -> None:
        self._building = None
        self._failed = None


def _batch(records: list[bytes], spelling: Spelling, outside: Any, octets: int) -> Batch:
    batch = Batch()
    batch.records = records
    batch.spelling = spelling
    batch.outside = outside
    batch.octets = octets
    return batch


def pipe() -> tuple[Connection, Connection]:
    """Two ends of a socket pair, the first to read from."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    reading, writing = (Connection(end.detach()) for end in ends)
    return reading, writing


def release() -> None:
    """Give the memory of what was freed back to the system, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    """Both processes. Signals are for the parent, whose end is ours too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(BEHIND)
    gc.disable()  # what a transfer makes has no cycles, and there is much of it to look through
    commands, answers = (Connection(int(argument)) for argument in sys.argv[1:])
    records_in, records_out = pipe()
    # Nothing but imports has happened yet: the packer shares their memory, and their time.
    stage: Parser | Packer
    if os.fork():
        records_in.close()
        answers.close()
        stage, source = Parser(records_out), commands
    else:
        records_out.close()
        commands.close()
        stage, source = Packer(answers), records_in
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            stage.step(*receive(source))
