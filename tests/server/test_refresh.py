"""One look at the primaries: who is asked, what is published, what is recorded."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from tests.server.fakes import (
    CLIENT,
    KEY,
    MemoryAhead,
    MemoryCommits,
    TrioClock,
    peer,
    snapshot,
    table,
    zone_config,
)
from xfer.errors import Failure, TransferError
from xfer.peers import Acl, AclEntry, Action
from xfer.server.dispatch import Dispatcher
from xfer.server.executor import InlineExecutor
from xfer.server.image import ImageCache
from xfer.server.outgoing import Outgoing
from xfer.server.publish import Publisher
from xfer.server.pull import PullLimits
from xfer.server.quotas import Slots
from xfer.server.refresh import Refresher
from xfer.server.sender import ZoneSender
from xfer.server.soa import SoaAnswer
from xfer.server.status import Outcome
from xfer.server.target import Connection, Target
from xfer.server.tcp import TcpService
from xfer.server.zones import Zone
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot

FIRST = peer("first", "192.0.2.1", keys=(KEY,))
SECOND = peer("second", "192.0.2.2")


class Ahead(MemoryAhead):
    def close(self) -> None: ...

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None: ...


class World:
    """Primaries by address, each a snapshot it serves or None for a refused connection."""

    def __init__(self, **served: Snapshot | None) -> None:
        self.served = {"192.0.2.1": served.get("first"), "192.0.2.2": served.get("second")}
        self.commits = MemoryCommits()
        self.notified: list[int | None] = []
        self.asked: list[str] = []
        self.zone = Zone(zone_config(primaries=[FIRST, SECOND]))

    def write_ahead(self, base: object = None) -> Ahead:
        return Ahead()

    def attempt(self, meanwhile: Callable[[], None] | None = None, **options: object) -> Outcome:
        async def main() -> Outcome:
            clock = TrioClock()
            async with trio.open_nursery() as nursery:

                async def dial(target: Target) -> Connection:
                    self.asked.append(target.name)
                    content = self.served[target.address]
                    if content is None:
                        raise ConnectionRefusedError(111, "refused")
                    acl = Acl("all", (AclEntry(Action.ALLOW),))
                    zone = Zone(zone_config(allow_transfer=[acl]), snapshot=content)
                    sender = ZoneSender(ImageCache(0), clock, 30, 300)
                    outgoing = Outgoing(sender, Slots(9, 9), lambda transfer: None)
                    dispatcher = Dispatcher(table(zone), {KEY.name: KEY}, clock)
                    tcp = TcpService(dispatcher, outgoing.run, lambda n: None, 10, 10, 9)
                    ours, theirs = trio.testing.memory_stream_pair()
                    nursery.start_soon(tcp.serve, theirs, CLIENT)
                    if meanwhile is not None:
                        meanwhile()
                    return Connection(ours, "192.0.2.99")

                async def ask(target: Target, origin: bytes, **_: object) -> SoaAnswer:
                    self.asked.append(f"{target.name} soa")
                    content = self.served[target.address]
                    if content is None:
                        raise TransferError(Failure.TRANSPORT, "an answer", "none")
                    return SoaAnswer(content.serial, None, "192.0.2.99", 0.001)

                refresher = Refresher(
                    journal=self,  # type: ignore[arg-type]
                    publisher=Publisher(
                        self.commits,
                        InlineExecutor(),
                        clock,
                        lambda zone: self.notified.append(zone.serial),
                    ),
                    executor=InlineExecutor(),
                    clock=clock,
                    rng=random.Random(1),
                    slots=Slots(4, 4),
                    policy=Policy(),
                    limits=PullLimits(),
                    dial=dial,
                    ask=ask,
                )
                attempt: Callable[..., Awaitable[Outcome]] = refresher.attempt
                outcome = await attempt(self.zone, **options)
                nursery.cancel_scope.cancel()
            return outcome

        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_first_version_comes_from_the_first_primary_without_asking_before() -> None:
    world = World(first=snapshot(1, 400, 30), second=snapshot(2))
    outcome = world.attempt()
    assert outcome.ok
    assert (outcome.peer, outcome.serial_from, outcome.serial_to) == ("first", None, 1)
    assert (world.asked, world.notified) == (["first"], [1])
    assert world.zone.snapshot is not None
    assert world.zone.snapshot.count == 30 * 400 + 2
    assert world.zone.primaries["first"].serial == 1
    assert world.zone.transfer_from is None


def test_the_second_primary_stands_in_and_the_zone_is_not_failing() -> None:
    world = World(second=snapshot(2))
    assert world.attempt().ok
    assert world.asked == ["first", "second"]
    error = world.zone.primaries["first"].error
    assert error is not None
    assert error.failure == "transport"
    assert "connection refused" in error.sentence
    assert (world.zone.error, world.zone.failures) == (None, 0)


def test_when_all_fail_the_first_reason_is_the_zones() -> None:
    world = World()
    outcome = world.attempt()
    assert not outcome.ok
    assert outcome.failure is not None
    assert "192.0.2.1" in outcome.failure.sentence
    assert (world.zone.failures, world.zone.serial) == (1, None)


@pytest.mark.parametrize("offered", [5, 4])
def test_a_primary_without_news_keeps_the_zone_alive(offered: int) -> None:
    world = World(first=snapshot(offered))
    world.zone.snapshot = snapshot(5)
    outcome = world.attempt()
    assert outcome.ok
    assert world.asked == ["first soa", "second soa"]
    assert (world.zone.serial, world.commits.committed) == (5, [])
    assert world.zone.expires is not None


def test_a_newer_serial_is_transferred() -> None:
    world = World(first=snapshot(5), second=snapshot(6))
    world.zone.snapshot = snapshot(5)
    outcome = world.attempt()
    assert (outcome.serial_from, outcome.serial_to, outcome.peer) == (5, 6, "second")
    assert world.commits.committed[0].source == "axfr from 192.0.2.2#53"


def test_a_forced_transfer_takes_a_lower_serial() -> None:
    world = World(first=snapshot(3))
    world.zone.snapshot = snapshot(5)
    assert world.attempt(force=True).ok
    assert world.zone.serial == 3


def test_a_forced_transfer_of_the_same_content_makes_no_version() -> None:
    world = World(second=snapshot(5))
    assert world.attempt(only=SECOND).ok
    outcome = world.attempt(force=True, only=SECOND)
    assert outcome.ok
    assert "has what is served already" in outcome.message
    assert (world.asked, len(world.commits.committed)) == (["second", "second"], 1)
    assert world.notified == [5]


def test_a_journal_that_fails_is_not_tried_again_with_the_next_primary() -> None:
    world = World(first=snapshot(6), second=snapshot(7))
    world.zone.snapshot = snapshot(5)
    world.commits.broken = True
    outcome = world.attempt()
    assert not outcome.ok
    assert outcome.failure is not None
    assert outcome.failure.failure == "policy"
    assert "disk full" in outcome.message
    assert (world.zone.serial, world.asked) == (5, ["first soa", "first"])


def test_a_zone_that_a_reload_removes_meanwhile_is_not_published() -> None:
    world = World(first=snapshot(6))

    def remove() -> None:
        world.zone.removed = True

    assert not world.attempt(meanwhile=remove).ok
    assert world.commits.committed == []


@pytest.mark.parametrize("offered", [4, 5, 5 + 2**31])
def test_an_expired_zone_takes_any_serial(offered: int) -> None:
    world = World(first=snapshot(offered))
    world.zone.snapshot = snapshot(5)
    world.zone.expires = -1.0
    outcome = world.attempt()
    assert outcome.ok
    assert world.zone.serial == offered
    assert world.zone.expires > 0
    assert len(world.commits.committed) == (offered != 5), "the same serial needs no transfer"


def test_news_that_cannot_be_had_is_a_failure_though_another_primary_has_what_is_served() -> None:
    world = World(first=snapshot(5), second=snapshot(6))
    world.zone.snapshot = snapshot(5)
    world.commits.broken = True
    outcome = world.attempt()
    assert not outcome.ok
    assert world.asked == ["first soa", "second soa", "second"]
    assert world.zone.error is not None
    assert "disk full" in world.zone.error.sentence
    assert world.zone.expires is not None, "the check of the first one counts"
    assert (world.zone.serial, world.zone.failures) == (5, 1)
