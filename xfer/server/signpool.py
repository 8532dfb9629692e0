"""The processes that sign, from the daemon's side: `signing_process.py` has theirs.

    job ──third portion──▶ processes start ──▶ they sign ──last job ends──▶ idle ──IDLE──▶ they end

Small jobs never start one. A process that ends, or hangs, costs time and nothing else: what it had
in hand is given back, for the daemon to sign. `limits.signing_processes` says how many there are.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import trio

from xfer.dnssec.keys import SigningKey
from xfer.dnssec.recipe import Recipe
from xfer.dnssec.signing import Portion, Signed
from xfer.server.signing_process import (
    COMMAND,
    READ,
    packed_forget,
    packed_job,
    packed_portion,
)
from xfer.server.values import Frames

log = structlog.get_logger()

FEW = 2  # portions, of about 1,000 records each, that are not worth starting a process
EACH = 2  # portions that a process has in hand: one that it signs, one that waits behind it
IDLE = 30.0  # seconds without a job, then processes end
PATIENCE = 120.0  # seconds for a portion; the slowest of keys take 10


class Wanted:
    """A portion that a process has in hand. signed: what came of it, None where nothing did."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.signed: Signed | None = None


class Process:
    """One process. Raises OSError where it cannot be started.

    wanted: what it has in hand, by job and portion; jobs: those that it was told of.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", COMMAND, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            except OSError:
                ours.close()
                raise
        self.pid = self._process.pid
        self.wanted: dict[tuple[int, int], Wanted] = {}
        self.jobs: set[int] = set()
        self.usable = True
        self._sending = trio.Lock()
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))

    async def receive(self) -> None:
        """Take its answers until it ends, or is ended; what it had in hand is given back then."""
        frames = Frames()
        try:
            while octets := await self._stream.receive_some(READ):
                for job, number, records, made in frames.feed(octets):
                    wanted = self.wanted.pop((job, number), None)
                    if wanted is not None:  # else nobody waits for it any more
                        if records is not None:
                            wanted.signed = Signed(number, records, made)
                        wanted.done.set()
                await trio.lowlevel.checkpoint()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.end()
            self._process.wait()

    async def send(self, *commands: bytes) -> None:
        """Send commands, whole or never again. Raises trio's errors of streams."""
        async with self._sending:
            try:
                await self._stream.send_all(b"".join(commands))
            except BaseException:
                self.end()  # half a command, maybe
                raise

    def end(self) -> None:
        """End it at once."""
        self.usable = False
        self._process.kill()
        self._stream.socket.close()
        for wanted in self.wanted.values():
            wanted.done.set()
        self.wanted.clear()


class SignPool:
    """The processes, at most `most`; 0: none ever. They run in the nursery, and end with it."""

    def __init__(self, nursery: trio.Nursery, most: int, idle: float = IDLE) -> None:
        self.most = most
        self.processes: list[Process] = []
        self._nursery = nursery
        self._idle = idle
        self._number = 0  # of the last job
        self._large: set[int] = set()  # jobs that have come to processes
        self._last_large = 0
        self._room = trio.CapacityLimiter(max(1, EACH * most))

    @contextmanager
    def job(self, keys: tuple[SigningKey, ...]) -> Iterator[Job]:
        """A version of a zone that is to be signed by these keys (`Terms.keys`)."""
        self._number += 1
        job = Job(self, self._number, keys)
        try:
            yield job
        finally:
            for process in self.processes:
                if job.number in process.jobs:
                    process.jobs.discard(job.number)
                    self._nursery.start_soon(_forget, process, job.number)
            if job.number in self._large:
                self._large.discard(job.number)
                self._nursery.start_soon(self._end_idle, self._last_large)

    async def sign(self, job: Job, recipe: Recipe, portion: Portion) -> Signed | None:
        """Have a portion signed; None where no process did."""
        if job.number not in self._large:
            self._large.add(job.number)
            self._last_large = job.number
        async with self._room:
            process = self._least_busy(job)
            if process is None:
                return None
            place = job.number, portion.number
            wanted = process.wanted[place] = Wanted()
            commands = [packed_portion(job.number, portion)]
            if job.number not in process.jobs:
                process.jobs.add(job.number)
                commands.insert(0, packed_job(job.number, recipe, job.keys))
            try:
                with trio.move_on_after(PATIENCE) as patience:
                    await process.send(*commands)
                    await wanted.done.wait()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                process.wanted.pop(place, None)
            if patience.cancelled_caught:
                log.error("a process that signs hangs", pid=process.pid, seconds=PATIENCE)
                process.end()
            if not process.usable:
                job.lost += 1
            return wanted.signed

    def _least_busy(self, job: Job) -> Process | None:
        """A process for a portion; all are started where they do not run."""
        # Where processes end as soon as they start, a job goes on without.
        while len(self.processes) < self.most and job.lost <= self.most:
            try:
                process = Process()
            except OSError as error:
                log.error("no process to sign", error=str(error))
                job.lost = self.most + 1
                break
            self.processes.append(process)
            self._nursery.start_soon(self._run, process)
        usable = [process for process in self.processes if process.usable]
        return min(usable, key=lambda process: len(process.wanted), default=None)

    async def _run(self, process: Process) -> None:
        try:
            await process.receive()
        finally:
            if process in self.processes:
                self.processes.remove(process)
                await trio.lowlevel.checkpoint_if_cancelled()
                log.warning("a process that signs ended", pid=process.pid)

    async def _end_idle(self, number: int) -> None:
        """End all unless another large job has come since that one; small ones do not count."""
        await trio.sleep(self._idle)
        if number == self._last_large and not self._large:
            ending, self.processes = self.processes, []
            for process in ending:
                process.end()


class Job:
    """lost: how often a process ended with a portion of it in hand."""

    def __init__(self, pool: SignPool, number: int, keys: tuple[SigningKey, ...]) -> None:
        self.number = number
        self.keys = keys
        self.lost = 0
        self._pool = pool
        self._portions = 0

    async def sign(self, recipe: Recipe, portion: Portion) -> Signed | None:
        """What came of a portion; None where it is the daemon's to sign."""
        self._portions += 1
        if self._portions <= FEW or not self._pool.most:
            return None
        return await self._pool.sign(self, recipe, portion)


async def _forget(process: Process, job: int) -> None:
    try:
        await process.send(packed_forget(job))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # it ended, and its keys with it
