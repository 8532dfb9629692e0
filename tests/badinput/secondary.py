"""The secondary side of a bad transfer, in one process: real journal, publisher and refresher.

Everything between the TCP connection and what is served is the daemon's own; only the clock, the
connection (memory streams) and the threads (none) are the test's.
"""

from __future__ import annotations

import ipaddress
import random
from concurrent.futures import Future
from pathlib import Path

import attrs
import trio
import trio.testing

from tests.badinput.primary import NOW, ORIGIN, Primary
from xfer.config import Dnssec, Role, ZoneConfig
from xfer.control.engine import Outcome
from xfer.errors import TransferError
from xfer.journal import Journal, Mark, NewVersion, Version
from xfer.peers import Peer
from xfer.server.executor import Executor, InlineExecutor
from xfer.server.pipeline import Parsers
from xfer.server.publish import Publisher
from xfer.server.pull import PullLimits, PullResult, WriteAhead, pull_zone
from xfer.server.quotas import Slots
from xfer.server.refresh import Refresher
from xfer.server.target import Connection, Dial, Target
from xfer.server.zones import Zone
from xfer.wire.tsig import Key
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot

SOURCE = "192.0.2.9"
ADDRESS = "192.0.2.1"


class TestClock:
    """Trio's time; the wall clock stands still at NOW, when everything is signed."""

    __test__ = False

    def monotonic(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return float(NOW)


class StoppedClock:
    """For the journal, which is opened outside trio."""

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return float(NOW)


@attrs.define(eq=False)
class InlineCommits:
    """Commits at once, in the calling task."""

    journal: Journal

    def submit(self, new: NewVersion) -> Future[Version]:
        done: Future[Version] = Future()
        done.set_result(self.journal.commit([new])[0])
        return done

    def set_mark(self, mark: Mark) -> Future[None]:
        done: Future[None] = Future()
        self.journal.set_mark(mark)
        done.set_result(None)
        return done


def memory_dial(primary: Primary, nursery: trio.Nursery, *, lockstep: bool = False) -> Dial:
    """Connects to the primary through memory; lockstep: it cannot send ahead of us."""

    async def dial(target: Target) -> Connection:
        ours: trio.abc.Stream
        theirs: trio.abc.Stream
        if lockstep:
            ours, theirs = trio.testing.lockstep_stream_pair()
        else:
            ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(primary.serve, theirs)
        return Connection(ours, SOURCE)

    return dial


@attrs.define(eq=False)
class Secondary:
    """A zone that pulls from one primary."""

    journal: Journal
    key: Key | None = None
    policy: Policy = attrs.Factory(Policy)
    limits: PullLimits = attrs.Factory(PullLimits)
    unsigned_messages: int = 99
    notified: int = 0
    peer: Peer = attrs.field(init=False)
    zone: Zone = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.peer = Peer(
            name="primary",
            address=ipaddress.ip_address(ADDRESS),
            keys=(self.key,) if self.key is not None else (),
            unsigned_messages=self.unsigned_messages,
        )
        self.zone = Zone(
            ZoneConfig(
                name="example.com.",
                origin=ORIGIN,
                role=Role.SECONDARY,
                primaries=(self.peer,),
                secondaries=(),
                allow_notify=(),
                allow_transfer=(),
                refresh=None,
                dnssec=Dnssec.UNSIGNED,
                file=None,
                declared_in=Path("xfer.toml"),
            )
        )

    async def force_axfr(self, primary: Primary, *, lockstep: bool = False) -> Outcome:
        """What `xfer force-axfr` makes the daemon do."""
        clock = TestClock()
        executor = InlineExecutor()
        async with trio.open_nursery() as nursery:
            publisher = Publisher(InlineCommits(self.journal), executor, clock, self._notify)
            refresher = Refresher(
                self.journal,
                publisher,
                executor,
                clock,
                random.Random(1),
                Slots(1, 1),
                self.policy,
                self.limits,
                memory_dial(primary, nursery, lockstep=lockstep),
            )
            outcome = await refresher.attempt(self.zone, force=True)
            nursery.cancel_scope.cancel()
        return outcome

    def _notify(self, zone: Zone) -> None:
        self.notified += 1

    def durable_serial(self) -> int | None:
        """The serial of what a restart would serve."""
        version = self.journal.latest(ORIGIN)
        return None if version is None else version.serial


async def pull(
    primary: Primary,
    *,
    key: Key | None = None,
    policy: Policy | None = None,
    limits: PullLimits | None = None,
    unsigned_messages: int = 99,
    lockstep: bool = False,
    executor: Executor | None = None,
    previous: Snapshot | None = None,
    ixfr_from: int | None = None,
    parsers: Parsers | None = None,
    write_ahead: WriteAhead | None = None,
) -> PullResult:
    """One transfer without anything behind it; the changes where `ixfr_from` or `previous` is
    given. Raises TransferError."""
    if previous is not None and ixfr_from is None:
        ixfr_from = previous.serial
    result: PullResult | None = None
    failed: TransferError | None = None
    async with trio.open_nursery() as nursery:
        try:
            result = await pull_zone(
                Target(ADDRESS, key=key, name="primary", unsigned_messages=unsigned_messages),
                ORIGIN,
                policy=policy or Policy(),
                clock=TestClock(),
                rng=random.Random(1),
                executor=executor or InlineExecutor(),
                limits=limits,
                dial=memory_dial(primary, nursery, lockstep=lockstep),
                previous=previous,
                ixfr_from=ixfr_from,
                parsers=parsers,
                write_ahead=write_ahead,
            )
        except TransferError as error:
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    assert result is not None
    return result
