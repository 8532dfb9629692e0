"""The processes that read large transfers, from our side: `stages.py` has theirs.

What they keep between jobs is measured in `tests/server/test_stages.py`: next to nothing.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

import structlog
import trio

from xfer.errors import Failure, TransferError
from xfer.server.executor import Executor
from xfer.server.job import Job, Progress
from xfer.server.stages import COMMAND, pipe, unpacked_error
from xfer.server.values import receive, send

log = structlog.get_logger()

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

AHEAD = 2  # pieces besides the one whose answer is waited for: one for each process, one between
_ROOM = 300_000  # octets a socket must hold for pieces to be sent ahead
_EACH = 5  # octets that a message takes besides its own


class Pipeline:
    """A parser and a packer, and our ends of their sockets. Raises OSError: none started.

    owed: commands whose answers have not been fetched; ahead: how many may be, besides one.
    """

    def __init__(self) -> None:
        commands, self._commands = pipe()
        self._answers, answers = pipe()
        with commands, answers:
            ends = (commands.fileno(), answers.fileno())
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", COMMAND, *map(str, ends)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=ends,
                    process_group=0,  # theirs alone, so that both are killed at once
                )
            except OSError:
                self._commands.close()
                self._answers.close()
                raise
        self.pid = self._process.pid
        self.broken = False
        self.owed = 0
        # We wait for room to send a piece only while the parser can take the one before it, and
        # that it can while the packer, which may wait for us, owes less than three answers. Linux
        # lets a socket hold 416 kB unless told otherwise; less than a piece and READ octets of
        # another would break that.
        with socket.socket(fileno=os.dup(self._commands.fileno())) as sender:
            room = sender.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self.ahead = AHEAD if room > _ROOM else 0

    def begin(self, job: Job) -> None:
        """Begin a job. Raises TransferError."""
        self.ask("begin", pickle.dumps(job))

    def taken(self) -> tuple[Progress, list[tuple[bytes, bytes]]]:
        """The next answer to "take": how far it came, and blocks (octets, digest) that are ready.

        Raises TransferError, once all that was asked is answered.
        """
        try:
            progress, blocks = self.answer()
        except TransferError:
            while self.owed and not self.broken:
                with contextlib.suppress(TransferError):
                    self.answer()
            raise
        return Progress.unpacked(progress), blocks

    def ask(self, *command: Any) -> Any:
        """Send a command, wait for its answer. Raises the TransferError that it answers with."""
        self.post(*command)
        return self.answer()

    def has_room(self, messages: list[bytes]) -> bool:
        """Whether a command with these may be posted before an answer is fetched.

        Tiny messages, thousands of which no primary sends, take more room than came over the wire.
        """
        size = sum(map(len, messages)) + _EACH * len(messages)
        return self.owed <= (self.ahead if size < _ROOM else 0)

    def post(self, *command: Any) -> None:
        """Send a command whose answer is to be fetched later, in the order of the commands. Raises
        TransferError where a process has died."""
        self._exchange(lambda: send(self._commands, *command))
        self.owed += 1

    def answer(self) -> Any:
        """Wait for the next answer. Raises the TransferError that it is."""
        kind, answer = self._exchange(lambda: receive(self._answers))
        self.owed -= 1
        if kind == "error":
            raise unpacked_error(answer)
        return answer

    def _exchange(self, exchange: Callable[[], T]) -> T:
        try:
            self._check()
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

    def _check(self) -> None:
        if self.broken:
            raise EOFError

    def drop(self) -> None:
        """Have it forget its job; it frees much memory then, so nobody waits for that."""
        try:
            send(self._commands, "drop")
        except OSError:
            self.broken = True

    def usable(self) -> bool:
        """Whether it can take a job, while idle; the packer's end shows as the end of answers."""
        if self.broken or self._process.poll() is not None:
            return False
        return not self._answers.poll()

    def kill(self) -> None:
        """End it at once, even in the middle of a command, which then fails. From any thread."""
        self.broken = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Whether the parser has ended; it is a zombie until this or `close` has seen that."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End both processes, which have no command to answer, and wait for the parser."""
        self._commands.close()
        self._answers.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


class Parsers:
    """The pipelines: at most `most`, started before they are needed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: list[Pipeline] = []
        self._busy: set[Pipeline] = set()
        self._ending: list[Pipeline] = []

    def start(self) -> None:
        """Start one, so that the first large transfer finds it ready."""
        if self._most and not self._idle:
            self._start()

    def acquire(self) -> Pipeline | None:
        """One that is free, None where all are at work or none can be started."""
        self._reap()
        if not self._idle and len(self._busy) < self._most:
            self._start()
        if not self._idle:
            return None
        pipeline = self._idle.pop()
        self._busy.add(pipeline)
        return pipeline

    def release(self, pipeline: Pipeline) -> None:
        """Give one back after its job. Does not wait for it."""
        self._busy.discard(pipeline)
        # Where its answers were not awaited, nobody knows how long it would go on with the job.
        if not pipeline.broken and not pipeline.owed:
            pipeline.drop()
        if pipeline.broken or pipeline.owed:
            pipeline.kill()
            self._ending.append(pipeline)
        else:
            self._idle.append(pipeline)

    def close(self) -> None:
        """End all."""
        for pipeline in [*self._idle, *self._busy, *self._ending]:
            pipeline.close()
        self._idle.clear()
        self._busy.clear()
        self._ending.clear()

    def _start(self) -> None:
        try:
            self._idle.append(Pipeline())
        except OSError as error:
            log.error("no process to parse transfers", error=str(error))

    def _reap(self) -> None:
        """Find those that have ended."""
        for pipeline in [pipeline for pipeline in self._idle if not pipeline.usable()]:
            log.warning("a process that parses transfers ended while idle", pid=pipeline.pid)
            pipeline.kill()
            self._idle.remove(pipeline)
            self._ending.append(pipeline)
        for pipeline in [pipeline for pipeline in self._ending if pipeline.ended()]:
            pipeline.close()
            self._ending.remove(pipeline)


async def run_in(
    pipeline: Pipeline, executor: Executor, function: Callable[[*Ts], T], *args: *Ts
) -> T:
    """Run a function that waits for a pipeline's answer; when cancelled, kill it.

    A call in a thread cannot be given up, and nobody knows how long it may take: a transfer that is
    cancelled, and a daemon that is to stop, must not wait for it.
    """

    async def watch() -> None:
        try:
            await trio.sleep_forever()
        finally:
            if not done:
                pipeline.kill()

    done = False
    failed: TransferError | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            result = await executor.run(function, *args)
        except TransferError as error:
            failed = error  # may be its end by `watch`: then the cancellation is the reason
        done = True
        nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint_if_cancelled()
    if failed is not None:
        raise failed
    return result
