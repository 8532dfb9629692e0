"""Pulling a zone: one TCP connection, from the request to a checked snapshot (RFC 5936 §4.1), or
to the changes of one (RFC 1995).

Three things go on at once, with bounded buffers between them:

    reader          socket → chunks                     event loop
    parser          chunks → MAC, machine, builder      worker thread, all chunks there are at once;
                                                        from 256 kB on, two other processes
    writer          finished blocks → journal           worker thread

The reader (`intake.py`) stops while a megabyte waits for the parser, and the parser while the
writer is behind, so a fast peer meets TCP's back-pressure and memory stays bounded. Nothing here
publishes: the result is complete, every MAC verified and every check passed, or there is a
TransferError.

An answer to IXFR is read here, and only a whole zone goes to other processes. For an edit, the
way to a thread and back takes longer than the work: up to INLINE octets are parsed, and up to
INLINE_RECORDS records changed, in the event loop, which that holds up for no longer than a bounded
step of the kernel does. The journal gets the blocks of so small a change with its commit.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Sequence
from typing import TypeVar, TypeVarTuple

import trio

from xfer.clock import Clock
from xfer.errors import Failure, JournalError, TransferError
from xfer.server.building import Received
from xfer.server.executor import Executor
from xfer.server.framing import Framing
from xfer.server.intake import Intake
from xfer.server.ixfr_udp import ask_udp
from xfer.server.job import Job, Progress
from xfer.server.parsing import LARGE, LocalReception, RemoteReception
from xfer.server.pipeline import Parsers, Pipeline, run_in
from xfer.server.pulled import PullLimits, PullProgress, PullResult
from xfer.server.soa import broken_text
from xfer.server.target import Dial, Target, connect, dial_tcp, transport_error
from xfer.transfer.envelope import AXFR, IXFR
from xfer.transfer.updates import Kind
from xfer.wire.edns import Edns, expire_request
from xfer.wire.request import make_query, serial_soa
from xfer.wire.tsig import ResponseVerifier, sign_request
from xfer.zone.block import Block
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot

__all__ = ["PullLimits", "PullProgress", "PullResult", "WriteAhead", "pull_zone"]

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

INLINE = 1 << 13  # octets of an answer to IXFR that are parsed in the event loop
INLINE_RECORDS = 16  # records to delete and add, the SOAs among them, that are applied there
LONE_SOA = 5.0  # seconds that a peer may take, after an SOA that is newer than ours, to go on
WRITE_AHEAD = 32  # blocks given to the journal at once


WriteAhead = Callable[[Sequence[Block]], None]
"""Stores finished blocks; called in a worker thread, may be slow."""


async def pull_zone(
    target: Target,
    origin: bytes,
    *,
    policy: Policy,
    clock: Clock,
    rng: random.Random,
    executor: Executor,
    limits: PullLimits | None = None,
    previous: Snapshot | None = None,
    write_ahead: WriteAhead | None = None,
    progress: Callable[[PullProgress], None] | None = None,
    receiving: Callable[[], None] | None = None,
    checking: Callable[[], None] | None = None,
    parsers: Parsers | None = None,
    dial: Dial = dial_tcp,
    ixfr_from: int | None = None,
) -> PullResult:
    """Transfer the whole zone (AXFR), or the changes since a serial (IXFR).

    origin: lower-case wire name; policy: of the zone checks; previous: the version whose blocks may
    be shared; ixfr_from: ask for the changes since this serial, that of `previous`, without which
    they are not applied but returned as they came; progress: called in the event loop after each
    batch; receiving: called once, when the request was sent; checking: when the last message was
    read; parsers: processes for large transfers, None to parse all in this one.
    Raises TransferError with the target and our source address in it; after an IXFR that failed,
    `try_axfr` says whether an AXFR from the same target is worth trying.
    """
    limits = limits or PullLimits()
    pull = _Pull(target, origin, limits, clock, executor, write_ahead, progress, parsers)
    pull.previous = previous

    def new_job(msg_id: int) -> Job:
        return Job.of(origin, msg_id, limits.stream, policy, previous, ixfr_from)

    try:
        with trio.move_on_after(limits.total):
            return await pull.run(rng, dial, receiving, checking, new_job, ixfr_from)
        raise pull.stopped(
            f"the whole transfer within {limits.total:g} s", "total_timeout in [limits]"
        )
    except TransferError as error:
        raise pull.named(error) from None
    except BaseExceptionGroup as group:
        raise pull.named(_only(group)) from None
    finally:
        pull.release()


class _Pull:
    """The state that the three tasks of one transfer share."""

    def __init__(
        self,
        target: Target,
        origin: bytes,
        limits: PullLimits,
        clock: Clock,
        executor: Executor,
        write_ahead: WriteAhead | None,
        progress: Callable[[PullProgress], None] | None,
        parsers: Parsers | None,
    ) -> None:
        self.target = target
        self.origin = origin
        self.limits = limits
        self.previous: Snapshot | None = None
        self.source = target.source or ""
        self._mac = b""  # of the request
        self._clock = clock
        self._executor = executor
        self._write_ahead = write_ahead
        self._progress = progress
        self._parsers = parsers
        self._pipeline: Pipeline | None = None
        self._reception: LocalReception | RemoteReception | None = None
        # What a pipeline would have to start again from; None once it is settled who parses.
        self._first: list[bytes] | None = [] if parsers is not None else None
        self._intake = Intake(limits.idle, limits.min_rate)
        self._start = trio.current_time()

    async def run(
        self,
        rng: random.Random,
        dial: Dial,
        receiving: Callable[[], None] | None,
        checking: Callable[[], None] | None,
        new_job: Callable[[int], Job],
        ixfr_from: int | None,
    ) -> PullResult:
        limits = self.limits
        if ixfr_from is not None and self.target.ixfr_udp:
            request, job = self._request(rng, new_job, ixfr_from)
            reception = LocalReception(job, self._framing(), self.previous)
            if receiving is not None:
                receiving()
            answered = await ask_udp(self.target, request, reception, self._clock)
            if answered is not None:
                self.source, self._intake.received = answered
                if checking is not None:
                    checking()
                received, rest = await self._finish(reception)
                await self._store(rest)
                return self._result(received, reception.progress)
        connection = await connect(self.target, dial, limits.connect)
        self.source = connection.source
        async with connection.stream as stream:
            request, job = self._request(rng, new_job, ixfr_from)
            self._reception = LocalReception(job, self._framing(), self.previous)
            await self._send(stream, request)
            if receiving is not None:
                receiving()
            await self._intake.once(stream)
            if self._takes_at_once(self._reception):
                if checking is not None:
                    checking()
                received, rest = await self._finish(self._reception)
                await self._store(rest)
                return self._result(received, self._reception.progress)
            send_blocks, blocks = trio.open_memory_channel[list[Block]](1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, blocks)
                async with send_blocks:
                    async with trio.open_nursery() as reading:
                        reading.start_soon(self._intake.read, stream)
                        whole = await self._parse(job, self._reception, send_blocks)
                        reading.cancel_scope.cancel()
                    if checking is not None:
                        checking()
                    received, rest = await self._finish(whole)
                    if rest:
                        await send_blocks.send(rest)
        return self._result(received, whole.progress)

    def _takes_at_once(self, reception: LocalReception) -> bool:
        """Parse what has come first; whether that was all. It is too little to fill a block."""
        if not 0 < self._intake.waiting <= INLINE:
            return False
        chunks = self._intake.take()
        if self._first is not None:
            self._first += chunks
        ready = reception.take(chunks, math.floor(self._clock.wall()))
        assert not ready, "a block in so few octets"
        self._report(reception.progress)
        return reception.progress.complete

    def _request(
        self,
        rng: random.Random,
        new_job: Callable[[int], Job],
        ixfr_from: int | None,
    ) -> tuple[bytes, Job]:
        """A fresh request, signed where there is a key, and the job of reading its answer."""
        msg_id = rng.getrandbits(16)
        request = make_request(msg_id, self.origin, ixfr_from)
        key = self.target.key
        if key is not None:
            request, self._mac = sign_request(request, key, int(self._clock.wall()))
        return request, new_job(msg_id)

    def _framing(self) -> Framing:
        """Of the answer to the last request, from its first octet on."""
        key = self.target.key
        if key is None:
            return Framing(None)
        return Framing(ResponseVerifier(key, self._mac, self.target.unsigned_messages))

    async def _finish(
        self, reception: LocalReception | RemoteReception
    ) -> tuple[Received, list[Block]]:
        """The result, and the blocks that are still to be written ahead."""
        if 0 <= reception.differing <= INLINE_RECORDS:
            received, _ = reception.finish()
            return received, []
        return await self._run(reception.finish)

    def _result(self, received: Received, progress: Progress) -> PullResult:
        assert progress.serial is not None
        return PullResult(
            content=received.snapshot,
            findings=received.findings,
            expire=progress.expire,
            source=self.source,
            messages=progress.messages,
            records=progress.records,
            octets=self._intake.received,
            seconds=trio.current_time() - self._start,
            kind=received.kind,
            serial=progress.serial,
            changes=received.changes,
            differences=received.differences,
        )

    def release(self) -> None:
        """Give back what the transfer took."""
        if self._pipeline is not None and self._parsers is not None:
            self._parsers.release(self._pipeline)
            self._pipeline = None

    def named(self, error: TransferError) -> TransferError:
        """The error with the target and our address in its sentence."""
        error.peer = error.peer or self.target.text(self.source)
        if self.source:
            error.hint = error.hint.replace("our source address", f"our address {self.source}")
        return error

    def stopped(self, expected: str, setting: str) -> TransferError:
        """A time limit was reached: how far it came."""
        if self._reception is None:
            return transport_error(self.target, expected, "no answer", source=self.source)
        return self._reception.abandon(
            Failure.TRANSPORT,
            expected,
            f"stopped {self._reception.where}",
            f"the limit is {setting}",
        )

    async def _send(self, stream: trio.abc.Stream, request: bytes) -> None:
        with trio.move_on_after(self.limits.idle) as scope:
            try:
                await stream.send_all(struct.pack("!H", len(request)) + request)
            except (OSError, trio.BrokenResourceError) as error:
                raise transport_error(
                    self.target, "the request to be taken", broken_text(error), source=self.source
                ) from error
        if scope.cancelled_caught:
            raise self.stopped(
                f"the request taken within {self.limits.idle:g} s", "idle_timeout in [limits]"
            )

    async def _parse(
        self,
        job: Job,
        reception: LocalReception | RemoteReception,
        send: trio.MemorySendChannel[list[Block]],
    ) -> LocalReception | RemoteReception:
        """Until the closing SOA has been read; returns the reception that has it all."""
        pending: list[Block] = []
        while not reception.progress.complete:
            if self._intake.empty:
                if reception.behind:
                    pending += await self._run(reception.catch_up)
                    self._report(reception.progress)
                else:
                    await self._wait(reception)
                continue
            chunks = self._intake.take()
            now = math.floor(self._clock.wall())
            kind = reception.progress.kind
            if kind is Kind.IXFR:
                self._first = None
            if kind is not Kind.AXFR and reception.held + sum(map(len, chunks)) <= INLINE:
                if self._first is not None:
                    self._first += chunks
                pending += reception.take(chunks, now)
                self._report(reception.progress)
                continue
            if self._first is not None:
                self._first += chunks
                if (
                    self._intake.received >= LARGE
                    and kind is Kind.AXFR
                    and self._parsers is not None
                ):
                    self._pipeline = self._parsers.acquire()
                    if self._pipeline is not None:
                        chunks, pending = self._first, []
                        if job.serial is not None:
                            job = job.cut_as(self.previous)
                        reception = self._reception = await self._run(
                            RemoteReception,
                            self._pipeline,
                            job,
                            self._framing(),
                            reception.progress,
                        )
                    self._first = None  # from now on it stays where it is
            pending += await self._run(reception.take, chunks, now)
            if len(pending) >= WRITE_AHEAD:
                await send.send(pending)
                pending = []
            self._report(reception.progress)
        if not self._intake.empty:
            await self._run(reception.take, self._intake.take(), math.floor(self._clock.wall()))
        if pending:
            await send.send(pending)
        return reception

    async def _wait(self, reception: LocalReception | RemoteReception) -> None:
        """For more from the peer. Raises TransferError where none will come."""
        end = self._intake.end
        if end is not None:
            got = f"{end.got} {reception.where}"
            raise reception.abandon(Failure.TRANSPORT, end.expected, got, end.hint)
        lone = reception.lone
        await self._intake.wait(LONE_SOA if lone else math.inf)
        if lone and self._intake.empty:
            reception.finish()  # raises, and says that nothing followed the SOA

    async def _run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        if self._pipeline is None:
            return await self._executor.run(function, *args)
        return await run_in(self._pipeline, self._executor, function, *args)

    def _report(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress(
                PullProgress(
                    serial=progress.serial,
                    messages=progress.messages,
                    records=progress.records,
                    octets=self._intake.received,
                    seconds=trio.current_time() - self._start,
                )
            )

    async def _write(self, blocks: trio.MemoryReceiveChannel[list[Block]]) -> None:
        async with blocks:
            async for batch in blocks:
                await self._store(batch)

    async def _store(self, blocks: list[Block]) -> None:
        if self._write_ahead is None or not blocks:
            return
        try:
            await self._executor.run(self._write_ahead, blocks)
        except JournalError as error:
            raise TransferError(
                Failure.POLICY,
                "what has arrived to be stored in the journal",
                str(error),
                hint="nothing can be published while the journal fails",
                try_next=False,
            ) from error


def make_request(msg_id: int, origin: bytes, ixfr_from: int | None) -> bytes:
    """The request, unsigned: for the whole zone, or for the changes since a serial."""
    edns = Edns(options=[expire_request()])
    if ixfr_from is None:
        return make_query(msg_id, origin, AXFR, edns)
    return make_query(msg_id, origin, IXFR, edns, serial_soa(ixfr_from))


def _only(group: BaseExceptionGroup[BaseException]) -> TransferError:
    """The transfer's failure out of the group that the nurseries make; anything else stays one.

    Where the transfer was cancelled from outside, as at the end of the daemon, that is raised: what
    failed besides concerns nobody any more, and would pass for an error inside xfer.
    """
    failures, rest = group.split(TransferError)
    if rest is not None and rest.split(trio.Cancelled)[1] is None:
        raise rest
    if rest is not None or failures is None:
        raise group
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, TransferError)
    return error
