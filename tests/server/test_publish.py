"""The one publishing function: its order, and that a failure leaves the old version serving."""

from __future__ import annotations

import pytest
import trio

from tests.server.fakes import MemoryAhead, MemoryCommits, TrioClock, snapshot, zone_config
from xfer.errors import Failure, TransferError
from xfer.server import phases
from xfer.server.executor import InlineExecutor
from xfer.server.publish import Candidate, Publisher
from xfer.server.status import Phase
from xfer.server.zones import Zone


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
