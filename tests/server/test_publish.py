"""The one publishing function: its order, and that a failure leaves the old version serving."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import pytest
import trio

from tests.server.fakes import MemoryAhead, MemoryCommits, TrioClock, snapshot, zone_config
from tests.transfer.changing import host, version
from xfer.errors import Failure, TransferError
from xfer.journal import Version
from xfer.server import phases
from xfer.server.changes import Changes
from xfer.server.executor import InlineExecutor
from xfer.server.publish import Candidate, Publisher
from xfer.server.status import Phase
from xfer.server.zones import Zone
from xfer.wire.names import wire_of
from xfer.wire.records import split
from xfer.zone.changeset import Changeset, diff
from xfer.zone.check import Finding, Grade
from xfer.zone.snapshot import Snapshot

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None, int]]:
    """(phase, serial that serves, commits) whenever a phase is entered."""
    return []


def publish(
    zone: Zone,
    commits: MemoryCommits,
    seen: list[tuple[str, int | None, int]],
    monkeypatch: pytest.MonkeyPatch,
    serial: int = 2,
) -> MemoryAhead:
    ahead = MemoryAhead()

    def enter(z: Zone, phase: Phase) -> None:
        seen.append((phase.value, z.serial, len(commits.committed)))

    monkeypatch.setattr(phases, "enter_phase", enter)

    async def main() -> None:
        publisher = Publisher(
            commits,
            InlineExecutor(),
            TrioClock(),
            lambda z: seen.append(("notify", z.serial, len(commits.committed))),
        )
        candidate = Candidate(snapshot(serial), (), "axfr from 192.0.2.1#53", "axfr")
        await publisher.publish(zone, candidate, ahead)

    trio.run(main)
    return ahead


def test_the_order_is_writing_flipping_swapping_notifying(
    seen: list[tuple[str, int | None, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = Zone(zone_config(), snapshot=snapshot(1))
    commits = MemoryCommits()
    ahead = publish(zone, commits, seen, monkeypatch)
    assert seen == [
        ("writing", 1, 0),
        ("flipping", 1, 0),
        ("swapping", 1, 1),
        ("notifying", 2, 1),
        ("notify", 2, 1),
    ]
    assert zone.snapshot is not None
    assert ahead.digests == {block.digest for block in zone.snapshot.blocks}
    assert zone.version is not None
    assert zone.version.source == "axfr from 192.0.2.1#53"
    assert zone.expires is not None


def test_a_journal_that_fails_leaves_the_old_version_serving(
    seen: list[tuple[str, int | None, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = Zone(zone_config(), snapshot=snapshot(1))
    commits = MemoryCommits()
    commits.broken = True
    with pytest.raises(TransferError, match="disk full") as raised:
        publish(zone, commits, seen, monkeypatch)
    assert raised.value.failure is Failure.POLICY
    assert not raised.value.try_next
    assert zone.serial == 1
    assert [phase for phase, _, _ in seen] == ["writing", "flipping"]


class Counted:
    """Runs inline, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        self.calls += 1
        return function(*args)


@pytest.mark.parametrize(("hosts", "calls"), [(3, 0), (5000, 1)])
def test_a_small_first_version_needs_no_thread_and_what_many_bring_is_left_to_stay(
    hosts: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[int] = []
    executor = Counted()
    monkeypatch.setattr("xfer.server.publish.FIRSTS", 4)
    monkeypatch.setattr("gc.freeze", lambda: frozen.append(0))
    content = snapshot(2, hosts=hosts)
    zones = [Zone(zone_config(name=f"z{number}.example.")) for number in range(9)]
    ahead = MemoryAhead()

    async def main() -> None:
        publisher = Publisher(MemoryCommits(), executor, TrioClock(), lambda z: None)
        for zone in zones:
            candidate = Candidate(content, (), "axfr from 192.0.2.1#53", "axfr")
            await publisher.publish(zone, candidate, ahead)

    trio.run(main)
    assert executor.calls == calls * len(zones)
    assert ahead.digests == {block.digest for block in content.blocks}
    assert all(zone.snapshot is content for zone in zones)
    assert len(frozen) == (2 if calls == 0 else 0)


def published(
    served: Snapshot | None, new: Snapshot, given: Changeset | None
) -> tuple[MemoryCommits, MemoryAhead, Counted, Changes]:
    commits, ahead, executor = MemoryCommits(), MemoryAhead(), Counted()
    zone = Zone(zone_config(), snapshot=served)
    changes = Changes(NoHistory(), executor, 1 << 20, 1.0)
    seen: list[Changeset | None] = []

    def notify(z: Zone) -> None:
        assert z.snapshot is not None and z.version is not None
        if served is not None:
            seen.append(changes.ready(z.version, z.snapshot, served.serial))

    async def main() -> None:
        publisher = Publisher(commits, executor, TrioClock(), notify, changes)
        candidate = Candidate(new, (), "test", "axfr", changes=given)
        await publisher.publish(zone, candidate, ahead)

    trio.run(main)
    if served is not None:
        assert seen[0] is not None, "who is told can have the differences at once"
        assert seen[0].serial_to == new.serial
    return commits, ahead, executor, changes


class NoHistory:
    """A journal that has nothing."""

    def line(self, origin: bytes) -> list[Version]:
        return []

    def load(self, version: Version, held: Snapshot | None = None) -> Snapshot:
        raise AssertionError("nothing to load")

    def changes(self, version: Version) -> Changeset | None:
        raise AssertionError("no changes to read")


BASE = [host(f"h{n:04}") for n in range(1000)]


def test_what_came_without_changes_is_compared_with_what_is_served() -> None:
    old, new = version(1, BASE), version(2, [*BASE[1:], host("new"), host("newer")])
    commits, _, executor, _ = published(old, new, None)
    (committed,) = commits.committed
    assert (committed.added, committed.removed) == (3, 2)
    assert executor.calls == 1


def test_given_changes_need_no_thread_and_no_block_that_is_there_already() -> None:
    old, new = version(1, BASE), version(2, [*BASE[:-1], host("i")])
    commits, ahead, executor, _ = published(old, new, diff(old, new))
    (committed,) = commits.committed
    assert (committed.added, committed.removed) == (2, 2)
    assert executor.calls == 0
    assert len(ahead.digests) == 2


def test_changes_from_another_version_are_not_believed() -> None:
    old, new = version(5, BASE), version(6, [*BASE, host("new")])
    commits, _, _, _ = published(old, new, diff(version(4), new))
    assert (commits.committed[0].added, commits.committed[0].removed) == (2, 1)


def test_a_first_version_has_no_changes() -> None:
    commits, _, _, changes = published(None, version(1, BASE), None)
    assert commits.committed[0].added is None
    assert changes.size == 0


def test_findings_stay_until_their_owner_is_changed() -> None:
    old, new = version(1, [host("a"), host("b")]), version(2, [host("b"), host("c")])
    changes = diff(old, new)

    def finding(name: str) -> Finding:
        key = split(host(name))[0]
        return Finding("duplicate", Grade.WARN, wire_of(key, old.origin), 1, "comes twice")

    before = (finding("a"), finding("b"))
    zone = Zone(zone_config(), snapshot=old, findings=before)
    found = (finding("c"),)

    def served(kind: str) -> list[bytes]:
        async def main() -> None:
            publisher = Publisher(MemoryCommits(), InlineExecutor(), TrioClock(), lambda _: None)
            candidate = Candidate(new, found, f"{kind} from 192.0.2.1#53", kind, changes=changes)
            await publisher.publish(zone, candidate, MemoryAhead())

        trio.run(main)
        return [one.owner for one in zone.findings]

    assert served("ixfr") == [before[1].owner, found[0].owner]
    assert len(zone.warnings()) >= 2
    zone.snapshot = old
    assert served("axfr") == [found[0].owner]
