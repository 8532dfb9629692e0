"""Primaries of a secondary zone, in memory: up, down, without IXFR, or with an IXFR that fails."""

from __future__ import annotations

import enum
import random
import struct
from collections.abc import Awaitable, Callable, Sequence

import trio
import trio.testing

from tests.server.fakes import (
    CLIENT,
    KEY,
    MemoryAhead,
    MemoryCommits,
    TrioClock,
    table,
    zone_config,
)
from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.journal import PeerState, ZoneState
from xfer.peers import Acl, AclEntry, Action, Peer
from xfer.server.attempts import Attempts
from xfer.server.dispatch import Dispatcher
from xfer.server.executor import InlineExecutor
from xfer.server.image import ImageCache
from xfer.server.outgoing import Outgoing
from xfer.server.pace import Paces
from xfer.server.publish import Publisher
from xfer.server.pull import PullLimits
from xfer.server.quotas import Slots
from xfer.server.refresh import Refresher
from xfer.server.sender import ZoneSender
from xfer.server.soa import SoaAnswer
from xfer.server.target import Connection, Target
from xfer.server.tcp import TcpService
from xfer.server.zones import Zone
from xfer.wire.codes import SERVFAIL
from xfer.wire.request import make_error, parse_request
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot

IXFR = 251
AXFR = 252


class Ixfr(enum.Enum):
    """What a primary does when it is asked for IXFR."""

    FULL = "full"  # the whole zone
    SERVFAIL = "servfail"
    SILENT = "silent"
    CLOSED = "closed"


class Ahead(MemoryAhead):
    """A hold on blocks that need none."""

    def close(self) -> None: ...

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None: ...


class Committer(MemoryCommits):
    """Also keeps states, the last of each, and how many came. lost: writes that failed."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        self.saves = 0
        self.states: dict[bytes, ZoneState] = {}
        self.peers: dict[tuple[bytes, str], PeerState] = {}

    def save(self, state: ZoneState) -> None:
        self.saves += 1
        self.states[state.origin] = state

    def save_peer(self, state: PeerState) -> None:
        self.peers[state.origin, state.peer] = state


class Upstream:
    """served: content by address, None for a server that is down; ixfr: what becomes of an IXFR, by
    address; rtt: seconds until an SOA answer; asked: (trio time, peer, "soa" | "ixfr" | "axfr" |
    "tcp" where nobody listens)."""

    def __init__(self, **served: Snapshot | None) -> None:
        self.served: dict[str, Snapshot | None] = dict(served)
        self.ixfr: dict[str, Ixfr] = {}
        self.rtt = 0.001
        self.down_for = 7.0  # seconds until an SOA query to a dead server is given up
        self.asked: list[tuple[float, str, str]] = []
        self.nursery: trio.Nursery | None = None
        self.clock: Clock = TrioClock()

    def told(self, since: int = 0) -> list[str]:
        """What was asked, in words."""
        return [f"{name} {what}" for _, name, what in self.asked[since:]]

    async def ask(self, target: Target, origin: bytes, **_: object) -> SoaAnswer:
        self.asked.append((trio.current_time(), target.name, "soa"))
        content = self.served.get(target.name)
        if content is None:
            await trio.sleep(self.down_for)
            raise TransferError(Failure.TRANSPORT, "an answer", "none")
        await trio.sleep(self.rtt)
        return SoaAnswer(content.serial, None, "192.0.2.99", self.rtt)

    async def dial(self, target: Target) -> Connection:
        content = self.served.get(target.name)
        if content is None:
            self.asked.append((trio.current_time(), target.name, "tcp"))
            raise ConnectionRefusedError(111, "refused")
        assert self.nursery is not None
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self._serve, target.name, theirs)
        return Connection(ours, "192.0.2.99")

    async def _serve(self, name: str, stream: trio.abc.Stream) -> None:
        framed = b""
        while len(framed) < 2 or len(framed) < 2 + struct.unpack("!H", framed[:2])[0]:
            data = await stream.receive_some()
            if not data:
                return
            framed += data
        request = parse_request(framed[2:])
        asked = request.question.rtype
        self.asked.append((trio.current_time(), name, "ixfr" if asked == IXFR else "axfr"))
        if asked == IXFR:
            match self.ixfr.get(name, Ixfr.FULL):
                case Ixfr.SERVFAIL:
                    reply = make_error(framed[2:], SERVFAIL)
                    assert reply is not None
                    await stream.send_all(struct.pack("!H", len(reply)) + reply)
                    return
                case Ixfr.CLOSED:
                    await stream.aclose()
                    return
                case Ixfr.SILENT:
                    await stream.receive_some()
                    return
        await self._answer(name, framed, stream)

    async def _answer(self, name: str, framed: bytes, stream: trio.abc.Stream) -> None:
        content = self.served[name]
        acl = Acl("all", (AclEntry(Action.ALLOW),))
        zone = Zone(zone_config(allow_transfer=[acl]), snapshot=content)
        outgoing = Outgoing(
            ZoneSender(ImageCache(0), self.clock, 30, 300), Slots(9, 9), lambda sent: None
        )
        dispatcher = Dispatcher(table(zone), {KEY.name: KEY}, self.clock)
        tcp = TcpService(dispatcher, outgoing.run, lambda n: None, 10, 10, 9)
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tcp.serve, far, CLIENT)
            await near.send_all(framed)
            await near.send_eof()
            try:
                while data := await near.receive_some():
                    await stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the secondary has what it wanted
            nursery.cancel_scope.cancel()


class Secondary:
    """A secondary below an upstream: attempts, schedule and publishing over memory."""

    def __init__(
        self,
        upstream: Upstream,
        nursery: trio.Nursery,
        *,
        clock: Clock | None = None,
        paces: Paces | None = None,
        limits: PullLimits | None = None,
    ) -> None:
        self.upstream = upstream
        self.commits = Committer()
        self.notified: list[int | None] = []
        self.clock = clock or TrioClock()
        upstream.nursery = nursery
        rng = random.Random(1)
        executor = InlineExecutor()
        self.refresher = Refresher(
            journal=self,  # type: ignore[arg-type]
            publisher=Publisher(
                self.commits,
                executor,
                self.clock,
                lambda zone: self.notified.append(zone.serial),
            ),
            executor=executor,
            clock=self.clock,
            rng=rng,
            slots=Slots(4, 4, spare=True),
            policy=Policy(),
            limits=limits or PullLimits(),
            dial=upstream.dial,
            ask=upstream.ask,
        )
        self.attempts = Attempts(
            nursery,
            self.refresher,
            self.commits,  # type: ignore[arg-type]
            self.clock,
            rng,
            paces,
        )
        self.refresher.pace = self.attempts.paced
        nursery.start_soon(self.attempts.schedule.run)

    def write_ahead(self) -> Ahead:
        return Ahead()

    def zone(self, primaries: Sequence[Peer], **settings: object) -> Zone:
        """A zone as it is once loaded, without a version; its first transfer is planned."""
        zone = Zone(zone_config(primaries=primaries, **settings))  # type: ignore[arg-type]
        self.attempts.loaded(zone)
        return zone


def simulate(
    upstream: Upstream,
    session: Callable[[Secondary], Awaitable[None]],
    **settings: object,
) -> None:
    """Run a session against a secondary under trio's MockClock, which jumps over all waiting."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await session(Secondary(upstream, nursery, **settings))  # type: ignore[arg-type]
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
