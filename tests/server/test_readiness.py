"""A version with NSEC3 is ready to be answered from before it is served; others need nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import pytest
import trio

from tests.answer.chains import load, shape, signed
from tests.server.fakes import (
    MemoryAhead,
    MemoryCommits,
    TrioClock,
    snapshot,
    zone_config,
)
from xfer.answer import nsec3
from xfer.answer.denial import Denial, Kind
from xfer.server import readiness
from xfer.server.executor import InlineExecutor
from xfer.server.publish import Candidate, Publisher
from xfer.server.zones import Zone
from xfer.zone.snapshot import Snapshot

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Counting(InlineExecutor):
    """Counts the calls that would go to a thread."""

    calls = 0

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        self.calls += 1
        return await super().run(function, *args)


def hashed(names: int = 40) -> Snapshot:
    return load(signed(shape(random.Random(1), names), ("abcd", 1)), size=50)


def published(zone: Zone, served: Snapshot, executor: InlineExecutor) -> None:
    async def main() -> None:
        publisher = Publisher(MemoryCommits(), executor, TrioClock(), lambda _: None)
        candidate = Candidate(served, (), "axfr from 192.0.2.1#53", "axfr")
        await publisher.publish(zone, candidate, MemoryAhead())

    trio.run(main)


def test_publishing_makes_it_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    large = hashed(9000)
    assert large.count > nsec3.STEP
    zone = Zone(zone_config())
    executor = Counting()
    published(zone, large, executor)
    before = executor.calls

    def late(*_: object) -> Denial:
        raise AssertionError("made when somebody asked")

    monkeypatch.setattr(Denial, "finished", late)
    service = zone.service()
    assert service is not None
    assert service.responder.snapshot is zone.snapshot
    assert service.responder.denial.kind is Kind.NSEC3
    assert before > 0


def test_a_zone_without_nsec3_costs_nothing() -> None:
    async def main() -> None:
        executor = Counting()
        made = await readiness.responder_for(Zone(zone_config()), snapshot(), executor)
        assert (made, executor.calls) == (None, 0)

    trio.run(main)


def test_a_small_zone_needs_no_thread() -> None:
    async def main() -> None:
        executor = Counting()
        made = await readiness.responder_for(Zone(zone_config()), hashed(), executor)
        assert made is not None
        assert made.denial.kind is Kind.NSEC3
        assert executor.calls == 0

    trio.run(main)
