"""Waits for caches last as long as they have to, also where the wall clock is set meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
import structlog.testing

from tests.dnssec.signed import check_signatures
from tests.server.fakes import MemoryCommits
from tests.server.test_core import until
from tests.server.test_signing import DAY, SIGNED, SignedWorld, keys_of
from xfer.dnssec import commands
from xfer.dnssec.keystate import Role, ZoneState
from xfer.journal import Mark
from xfer.server.core import Core
from xfer.server.publish import wait_for
from xfer.server.zones import Zone
from xfer.wire.records import CDS, split
from xfer.zone.snapshot import APEX

STEP = 600.0  # seconds


def nothing(_: SignedWorld) -> None:
    """The clock goes on as it did."""


def ahead(world: SignedWorld) -> None:
    """By more than all waits together."""
    world.time.ahead += 3 * DAY


def ahead_in_steps(world: SignedWorld) -> None:
    """By less than counts as set each time: not all of it goes unnoticed."""
    for _ in range(30):
        world.time.ahead += 50.0


def back(world: SignedWorld) -> None:
    """As where it was ahead while all before happened."""
    world.time.ahead -= 3 * DAY


class Held(MemoryCommits):
    """Marks that are not durable yet."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[tuple[Mark, Future[None]]] = []

    def set_mark(self, mark: Mark) -> Future[None]:
        self.marks.append((mark, Future()))
        return self.marks[-1][1]


def seconds_to_roll(
    directory: Path, set_clock: Callable[[SignedWorld], None], *, restart: bool = False
) -> float:
    """How long the old ZSK signs after a new one is published and the clock was set."""
    directory.mkdir()
    world = SignedWorld(directory, SIGNED + 'parent = ["192.0.2.53:53"]\n')
    passed: list[float] = []

    async def roll(core: Core, zone: Zone) -> None:
        await world.pass_days(core, zone, 1)
        assert zone.snapshot is not None
        world.parent.has = frozenset(split(cds)[4] for cds in zone.snapshot.rrset(APEX, CDS))
        await world.pass_days(core, zone, 1)
        assert keys_of(zone).state is ZoneState.ACTIVE
        await core.signers.change(
            zone, lambda keys, policy, *_: commands.roll(keys, Role.ZSK, policy)
        )
        await world.settle(core, zone)
        assert len([key for key in keys_of(zone).keys if key.role is Role.ZSK]) == 2
        set_clock(world)
        await world.settle(core, zone)
        if not restart:
            await wait(core, zone)

    async def wait(core: Core, zone: Zone) -> None:
        before = keys_of(zone).signers
        since = world.time.monotonic()
        while keys_of(zone).signers == before:
            assert world.time.monotonic() < since + 10 * DAY
            world.time.now += STEP
            await world.settle(core, zone)
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())
        passed.append(world.time.monotonic() - since)

    world.session(roll)
    if restart:
        world.session(wait)
    return passed[0]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_a_clock_that_is_set_ahead_cuts_no_wait_short(tmp_path: Path, restart: bool) -> None:
    right = seconds_to_roll(tmp_path / "right", nothing, restart=restart)
    assert right > 2 * STEP
    with structlog.testing.capture_logs() as logs:
        assert seconds_to_roll(tmp_path / "set", ahead, restart=restart) == right
    told = [entry["seconds"] for entry in logs if entry["event"] == "wall clock set ahead"]
    assert told == [3 * DAY]


def test_one_that_is_set_in_small_steps_does_not_either(tmp_path: Path) -> None:
    right = seconds_to_roll(tmp_path / "right", nothing)
    assert seconds_to_roll(tmp_path / "set", ahead_in_steps) == right


def test_a_clock_that_is_set_back_draws_waits_out_at_most(tmp_path: Path) -> None:
    right = seconds_to_roll(tmp_path / "right", nothing)
    assert seconds_to_roll(tmp_path / "set", back) >= right


def test_states_of_several_zones_that_change_at_once_share_their_commits(tmp_path: Path) -> None:
    names = ["example.com", "example.net", "example.org"]
    one = SIGNED[SIGNED.index("[[zone]]") : SIGNED.index("[dnssec_policy.p]")]
    more = "".join(one.replace("example.com", name) for name in names[1:])
    world = SignedWorld(tmp_path, SIGNED + more)
    text = (tmp_path / "zone").read_text().replace("$ORIGIN example.com.\n", "")
    (tmp_path / "zone").write_text(text)

    async def session(core: Core, zone: Zone) -> None:
        zones = list(core.table.zones.values())
        for other in zones:
            await core.read_file(other)
            assert other.serial is not None
        real = core.publisher.commits
        core.publisher.commits = held = Held()
        world.time.ahead += 3600
        for other in zones:
            core.signers.look_soon(other)
        await until(lambda: len(held.marks) == len(names))  # none has been answered yet
        core.publisher.commits = real
        for mark, future in held.marks:
            await wait_for(real.set_mark(mark))
            future.set_result(None)
        await until(lambda: not any(other.busy for other in zones))
        assert all(core.journal.marks(other.origin) for other in zones)

    world.session(session)
