"""The worker processes, from the daemon's side: `worker.py` has theirs (DESIGN §3).

    STARTING ──all zones are there──▶ SERVING ──it ends, or says nothing for `timeout`──▶ STARTING

Each has a socket of its own for every address, to which the kernel gives a part of the clients;
the daemon has none, so that what it does besides (transfers, commits) delays no answer. While a
process starts, the daemon answers on its sockets, which it has too; so nothing is lost when one
dies but what it had in hand. A process lags behind the daemon by what is on the way to it, with one
exception: a version is published only after every process that serves has it (`ahead`), so that
whoever gets NOTIFY never finds the version before.
"""

from __future__ import annotations

import enum
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.dnssec.signatures import LIMIT_KEY, SECONDS_BETWEEN_LINES
from xfer.server.answers import Answers
from xfer.server.statistics import Statistics
from xfer.server.status import WorkerStatus
from xfer.server.udp import UdpSocket, serve_udp
from xfer.server.values import Frames, frame
from xfer.server.worker import COMMAND, READ
from xfer.server.zone_table import ZoneTable
from xfer.server.zones import Zone
from xfer.zone.snapshot import Snapshot

if TYPE_CHECKING:
    from xfer.dnssec.online import OnlineSigner

log = structlog.get_logger()

POLL = 1.0  # seconds between two times that a process is asked what it has counted
LOOKS = 5  # in `timeout`, at whether a process has said anything since the last one
FIRST = 30.0  # seconds until the first command must be done
AGAIN = 1.0  # seconds until a process that ended at once is started again
TOGETHER = 1 << 18  # octets of blocks in one command
UNCONFIRMED = 8  # commands sent ahead
ORIGINS = 1000  # zones between two looks at the event loop


# A version, and who signs its proofs where that is done as they are asked for.
Wanted = tuple[Snapshot, "OnlineSigner | None"]


class State(enum.Enum):
    """What a process is doing."""

    STARTING = "starting"
    SERVING = "serving"


@attrs.frozen
class Settings:
    """What processes need to know of the config. payload: largest answer; memory: octets for
    answers that are kept; secrets: of cookies; signatures: as `limits.online_signatures`; alone:
    the daemon answers all (a rate limit has to see all clients of a network)."""

    payload: int
    memory: int
    secrets: tuple[bytes, ...]
    signatures: int = 0
    alone: bool = False


class Workers:
    """All processes.

    settings: as they are now; timeout: seconds for which a process may say nothing; statistics:
    gets what they counted; batch: as `serve_udp` has it.
    """

    def __init__(
        self,
        table: ZoneTable,
        answers: Answers,
        statistics: Statistics,
        clock: Clock,
        settings: Callable[[], Settings],
        timeout: float,
        batch: int,
    ) -> None:
        self.table = table
        self.answers = answers
        self.statistics = statistics
        self.clock = clock
        self.settings = settings
        self.timeout = timeout
        self.batch = batch
        self.next: dict[Zone, Wanted] = {}  # versions that are about to be served
        self._workers: list[_Worker] = []

    async def run(self, sockets: Sequence[Sequence[UdpSocket]]) -> None:
        """Run a process for each set of sockets until cancelled."""
        self._workers = [_Worker(self, own) for own in sockets]
        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                nursery.start_soon(worker.run)

    def status(self) -> tuple[WorkerStatus, ...]:
        """What each process is doing."""
        return tuple(worker.status() for worker in self._workers)

    def changed(self, zone: Zone) -> None:
        """A zone's version, expiry or config is about to be another."""
        for worker in self._workers:
            worker.tell(zone)

    def apply(self) -> None:
        """The config is another: settings, and which zones there are."""
        for worker in self._workers:
            worker.tell_all()

    async def ahead(
        self, zone: Zone, snapshot: Snapshot, online: OnlineSigner | None = None
    ) -> None:
        """Have a version served by all processes that serve, before the daemon does; `swapped` is
        to follow. Takes no longer than they are given to answer. online: as `Zone` will have it.
        """
        self.next[zone] = snapshot, online
        waiting = [worker.told(zone) for worker in self._workers if worker.state is State.SERVING]
        for worker in self._workers:
            worker.tell(zone)
        with trio.CancelScope(shield=True):
            for event in waiting:
                await event.wait()

    def swapped(self, zone: Zone) -> None:
        """The daemon serves the version as well."""
        self.next.pop(zone, None)


class _Worker:
    """One process, and those that come after it."""

    def __init__(self, workers: Workers, sockets: Sequence[UdpSocket]) -> None:
        self._all = workers
        self._sockets = sockets
        self._process: subprocess.Popen[bytes] | None = None
        self.state = State.STARTING
        self._starts = 0
        self._pid = 0  # of the last one
        self._told_of = float("-inf")  # answers that it could not sign
        self._forget()

    def _forget(self) -> None:
        """What is known of a process is of no use for the next one."""
        self._has: dict[bytes, Wanted] = {}
        self._dirty: dict[Zone, None] = {}
        self._everything = True
        self._news = trio.Event()
        self._confirmed = trio.Event()
        self._first = trio.Event()  # it has said something
        self._owed: deque[trio.Event | None] = deque()
        self._told: dict[Zone, trio.Event] = {}
        self._awaited: trio.Event | None = None  # by who waits for the next command
        self._heard = False

    def status(self) -> WorkerStatus:
        process = self._process
        pid = process.pid if process is not None else None
        return WorkerStatus(pid, self.state.value, self._starts, len(self._dirty))

    # -- what it is to be told

    def tell(self, zone: Zone) -> None:
        """Something about a zone is another."""
        self._dirty[zone] = None
        self._news.set()

    def tell_all(self) -> None:
        """Anything may be."""
        self._everything = True
        self._news.set()

    def told(self, zone: Zone) -> trio.Event:
        """Set once the process serves what is next for a zone, or has ended."""
        event = self._told.get(zone)
        if event is None:
            event = self._told[zone] = trio.Event()
        return event

    # -- its life

    async def run(self) -> None:
        """Keep a process running, and its sockets served while there is none that does."""
        clock = self._all.clock
        async with trio.open_nursery() as nursery:
            stand_in = await nursery.start(self._stand_in)
            while True:
                began = clock.monotonic()
                try:
                    await self._one(stand_in)
                except Exception as error:
                    # A mistake of ours costs one process, not the daemon.
                    log.error("internal error", error=str(error), exc_info=error)
                finally:
                    self._end()
                await trio.lowlevel.checkpoint_if_cancelled()
                log.warning("worker process ended", pid=self._pid)
                if stand_in.cancel_called:
                    stand_in = await nursery.start(self._stand_in)
                if clock.monotonic() < began + AGAIN:
                    await trio.sleep(AGAIN)

    async def _stand_in(self, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        """The daemon answers on its sockets."""
        every = self._all
        async with trio.open_nursery() as nursery:
            for sock in self._sockets:
                nursery.start_soon(serve_udp, sock, every.answers, every.clock, every.batch)
            task_status.started(nursery.cancel_scope)

    async def _one(self, stand_in: trio.CancelScope) -> None:
        """A process, until it ends."""
        self._forget()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = self._start(theirs)
            except OSError as error:
                ours.close()
                log.error("no worker process", error=str(error))
                return
        self._starts += 1
        self._pid = self._process.pid
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._receive, stream, nursery.cancel_scope)
                nursery.start_soon(self._watch, nursery.cancel_scope)
                await self._feed(stream, stand_in)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def _start(self, control: socket.socket) -> subprocess.Popen[bytes]:
        ends = [control.fileno(), *(sock.socket.fileno() for sock in self._sockets)]
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, ends)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=ends,
        )

    def _end(self) -> None:
        """The process has ended, or has to."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self.state = State.STARTING
        for event in (*self._told.values(), *self._owed, self._awaited):
            if event is not None:
                event.set()
        self._told.clear()
        self._owed.clear()
        self._awaited = None

    async def _watch(self, scope: trio.CancelScope) -> None:
        """End a process that says nothing any more, however often we look."""
        timeout = self._all.timeout
        with trio.move_on_after(max(timeout, FIRST)):
            await self._first.wait()  # it has to import much before it says anything
        looks = 0
        while looks < LOOKS:
            self._heard = False
            await trio.sleep(timeout / LOOKS)
            looks = 0 if self._heard else looks + 1
        log.error("worker process hangs", seconds=timeout)
        scope.cancel()

    async def _receive(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        """What the process says."""
        every = self._all
        frames = Frames()
        while True:
            octets = await stream.receive_some(READ)
            if not octets:
                scope.cancel()
                return
            self._heard = True
            self._first.set()
            for number, (kind, *values) in enumerate(frames.feed(octets)):
                if kind == "asked":
                    self._answer(*values)
                elif kind == "counted":
                    every.statistics.absorb(*values)
                    self._tell(values[0][-1].get("refused", 0))
                else:
                    event = self._owed.popleft()
                    if event is not None:
                        event.set()
                    self._confirmed.set()
                if number % every.batch == 0:
                    await trio.lowlevel.checkpoint()

    def _tell(self, refused: int) -> None:
        """A line of the log, not too often, for answers that it would have had to sign."""
        now = self._all.clock.monotonic()
        if refused and now >= self._told_of + SECONDS_BETWEEN_LINES:
            self._told_of = now
            log.warning("signing limit reached", limit=LIMIT_KEY, pid=self._pid, refused=refused)

    def _answer(self, index: int, data: bytes, peer: Any, ancillary: Any) -> None:
        """Answer what the process passed on, from the socket it came to."""
        reply = self._all.answers.answer(data, peer[0], self._all.clock.monotonic())
        if reply is not None:
            self._sockets[index].send(reply, peer, ancillary)

    # -- what it is told

    async def _feed(self, stream: trio.SocketStream, stand_in: trio.CancelScope) -> None:
        """Keep it up to date; let it serve as soon as it is."""
        polled = self._all.clock.monotonic()
        poll = min(POLL, self._all.timeout / 2)
        while not (self.state is State.SERVING and self._all.settings().alone):
            if self._everything:
                await self._settings(stream)
            elif self._dirty:
                zone = next(iter(self._dirty))
                del self._dirty[zone]
                await self._zone(stream, zone)
            elif self.state is State.STARTING and not self._all.settings().alone:
                await self._until_confirmed()
                if not (self._dirty or self._everything):
                    stand_in.cancel()
                    self.state = State.SERVING
                    await self._send(stream, "go")
                    assert self._process is not None
                    log.info("worker process serves", pid=self._process.pid, zones=len(self._has))
            else:
                self._news = trio.Event()
                with trio.move_on_after(max(0.0, polled + poll - self._all.clock.monotonic())):
                    await self._news.wait()
            if self._all.clock.monotonic() >= polled + poll:
                polled = self._all.clock.monotonic()
                await stream.send_all(frame("count"))

    async def _send(self, stream: trio.SocketStream, *values: Any) -> None:
        while len(self._owed) >= UNCONFIRMED:
            self._confirmed = trio.Event()
            await self._confirmed.wait()
        self._owed.append(self._awaited)
        self._awaited = None
        await stream.send_all(frame(*values))

    async def _until_confirmed(self) -> None:
        while self._owed:
            self._confirmed = trio.Event()
            await self._confirmed.wait()

    async def _settings(self, stream: trio.SocketStream) -> None:
        self._everything = False
        settings = self._all.settings()
        zones = self._all.table.zones
        secrets = list(settings.secrets)
        await self._send(
            stream, "settings", settings.payload, settings.memory, secrets, settings.signatures
        )
        await self._send(stream, "origins", list(zones))
        for origin in self._has.keys() - zones.keys():
            del self._has[origin]
        for number, zone in enumerate(list(zones.values())):
            self._dirty[zone] = None
            if number % ORIGINS == 0:
                await trio.lowlevel.checkpoint()

    async def _zone(self, stream: trio.SocketStream, zone: Zone) -> None:
        """Tell it what a zone is now."""
        wanted = self._wanted(zone)
        origin = zone.origin
        had = self._has.get(origin)
        if wanted is None:
            # Another zone of that name may have come in its place.
            gone = self._all.table.zones.get(origin, zone) is zone
            if gone and self._has.pop(origin, None) is not None:
                await self._last(stream, zone, None, "drop", origin)
            elif zone in self._told:
                self._told.pop(zone).set()
            return
        open = not zone.config.allow_query
        snapshot, online = wanted
        if had is not None and had[0].root == snapshot.root and had[1] is online:
            await self._last(stream, zone, wanted, "until", origin, zone.expires, open)
            return
        await self._blocks(stream, had[0] if had is not None else None, snapshot)
        digests = [block.digest for block in snapshot.blocks]
        self._has[origin] = wanted
        # It answers what comes to it, so it signs that too: were it to ask us, a flood of names
        # that do not exist would reach the very process that no flood should. It is a child of
        # ours with our rights, and the keys are never but in memory on either side.
        packed = online.packed() if online is not None else None
        await self._last(stream, zone, wanted, "serve", origin, digests, zone.expires, open, packed)

    def _wanted(self, zone: Zone) -> Wanted | None:
        """What it is to serve of a zone."""
        if zone.removed or self._all.table.zones.get(zone.origin) is not zone:
            return None
        found = self._all.next.get(zone)
        if found is None and zone.snapshot is not None:
            found = zone.snapshot, zone.online
        return found

    async def _last(
        self, stream: trio.SocketStream, zone: Zone, sent: Wanted | None, *values: Any
    ) -> None:
        """The last command of an update; who waits for it hears when it is done."""
        while len(self._owed) >= UNCONFIRMED:
            self._confirmed = trio.Event()
            await self._confirmed.wait()
        if sent == self._wanted(zone):  # else there is another one to wait for by now
            self._awaited = self._told.pop(zone, None)
        await self._send(stream, *values)

    async def _blocks(
        self, stream: trio.SocketStream, had: Snapshot | None, snapshot: Snapshot
    ) -> None:
        """Send it the blocks that it lacks."""
        known = {block.digest for block in had.blocks} if had is not None else set()
        some: list[tuple[bytes, bytes]] = []
        octets = 0
        for block in snapshot.blocks:
            if block.digest in known:
                continue
            some.append((block.data, block.digest))
            octets += len(block.data)
            if octets >= TOGETHER:
                await self._send(stream, "blocks", *some)
                some, octets = [], 0
        if some:
            await self._send(stream, "blocks", *some)
