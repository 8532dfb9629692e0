"""The engine's parts together: zones that load, come and go while work on them runs."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from tests.server.fakes import HandClock, snapshot
from xfer.clock import Clock
from xfer.config import load
from xfer.journal import GroupCommitter, Journal, NewVersion, ZoneState
from xfer.server.core import Core
from xfer.server.executor import InlineExecutor
from xfer.server.handled import Notified
from xfer.server.target import Connection, Target
from xfer.server.zones import Zone
from xfer.wire import names

ORIGIN = names.from_text("example.com.")

SECONDARY = """
[[peer]]
name = "p"
address = "192.0.2.1"
[[zone]]
name = "example.com"
primaries = ["p"]
"""
PRIMARY = """
[[zone]]
name = "example.com"
role = "primary"
file = "{directory}/zone"
"""
NONE = ""


class World:
    """A core over a real journal; transfers wait in `dials` until `refuse` is set."""

    def __init__(self, directory: Path, zones: str, clock: Clock | None = None) -> None:
        self.directory = directory
        self.clock = clock or HandClock()
        self.dials: list[str] = []
        self.refuse = trio.Event()
        self.write(zones)

    def write(self, zones: str) -> None:
        (self.directory / "xfer.toml").write_text(
            f'[server]\njournal = "sqlite://{self.directory}/journal.db"\n'
            f'control = "{self.directory}/control.sock"\nlisten = ["127.0.0.1:5300"]\n'
            + ("" if "keys =" in zones else f'keys = "{self.directory}/keys"\n')
            + zones.format(directory=self.directory)
        )

    async def dial(self, target: Target) -> Connection:
        self.dials.append(target.address)
        await self.refuse.wait()
        raise ConnectionRefusedError(111, "refused")

    def run(
        self,
        session: Callable[[Core], Awaitable[None]],
        state: ZoneState | None = None,
        executor: InlineExecutor | None = None,
        stored: bool = True,
    ) -> None:
        path = self.directory / "xfer.toml"

        async def main(journal: Journal, committer: GroupCommitter) -> None:
            async with trio.open_nursery() as nursery:
                core = Core(
                    load(path),
                    journal,
                    committer,
                    nursery,
                    clock=self.clock,
                    rng=random.Random(1),
                    executor=executor or InlineExecutor(),
                    load=lambda: load(path),
                )
                core.refresher.dial = self.dial
                await session(core)
                nursery.cancel_scope.cancel()

        with (
            Journal.open(str(self.directory / "journal.db"), self.clock) as journal,
            GroupCommitter.start(journal) as committer,
        ):
            if stored:
                committer.commit(
                    NewVersion(
                        origin=ORIGIN,
                        serial=5,
                        parent=None,
                        snapshot=snapshot(5),
                        source="axfr from 192.0.2.1#53",
                        kind="axfr",
                    )
                )
            if state is not None:
                journal.save_states([state])
            trio.run(main, journal, committer)


def zone_of(core: Core) -> Zone:
    return core.table.zones[ORIGIN]


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await trio.sleep(0.001)


def test_a_zone_may_leave_and_return_while_a_transfer_of_it_runs(tmp_path: Path) -> None:
    world = World(tmp_path, SECONDARY)

    async def session(core: Core) -> None:
        await core.load_all()
        await until(lambda: len(world.dials) == 1)
        before = zone_of(core)
        world.write(NONE)
        await core.reload()
        world.write(SECONDARY)
        await core.reload()
        await until(lambda: core.schedule.next_due() is not None)
        core.schedule.run_due()
        await until(lambda: len(world.dials) == 2)
        world.refuse.set()
        await core.until_idle()
        assert before is not zone_of(core)
        assert (zone_of(core).failures, zone_of(core).busy) == (1, False)
        assert before.due is None

    world.run(session, stored=False)


class Gate(InlineExecutor):
    """Holds up what reads versions until it is opened."""

    def __init__(self) -> None:
        self.reading = trio.Event()
        self.open = trio.Event()

    async def run(self, function, *args):  # type: ignore[no-untyped-def,override]
        result = await super().run(function, *args)
        if getattr(function, "__name__", "") in ("latest_readable", "load_each"):
            self.reading.set()
            await self.open.wait()
        return result


def test_a_notify_to_a_zone_that_is_still_being_loaded_waits_for_it(tmp_path: Path) -> None:
    world = World(tmp_path, SECONDARY)
    gate = Gate()

    async def session(core: Core) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(core.load_all)
            await gate.reading.wait()
            core.notified(Notified(zone_of(core), 9, "192.0.2.1"))
            await trio.testing.wait_all_tasks_blocked()
            assert world.dials == []
            gate.open.set()
            await until(lambda: world.dials)
            zone = zone_of(core)
            assert (zone.serial, zone.transfer_kind) == (5, "ixfr"), "of what the journal holds"
            nursery.cancel_scope.cancel()

    world.run(session, executor=gate)


@pytest.mark.parametrize("left", [500, -10])
def test_a_zone_that_a_reload_brings_back_expires_when_it_would_have(
    tmp_path: Path, left: int
) -> None:
    clock = HandClock()
    world = World(tmp_path, NONE, clock)
    clock.now -= 10_000_000  # the version is old, and was found current since
    state = ZoneState(ORIGIN, expire_at=clock.wall() + 10_000_000 + left)

    async def session(core: Core) -> None:
        await core.load_all()
        world.write(SECONDARY)
        await core.reload()
        await until(lambda: not zone_of(core).loading)
        assert zone_of(core).expires_in(clock.monotonic()) == max(left, 0)
        assert (zone_of(core).serving(clock.monotonic()) is not None) is (left > 0)

    def moved(core: Core) -> Awaitable[None]:
        clock.now += 10_000_000
        return session(core)

    world.run(moved, state)


def test_a_primary_zone_that_a_reload_makes_secondary_is_checked_and_may_expire(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, PRIMARY)

    async def session(core: Core) -> None:
        await core.load_all()
        await until(lambda: zone_of(core).error is not None)  # there is no such file
        assert zone_of(core).expires is None
        asked = trio.Event()

        async def ask(target: Target, *_: object, **__: object) -> None:
            asked.set()
            await trio.sleep_forever()

        core.refresher.ask = ask  # type: ignore[assignment]
        world.write(SECONDARY)
        await core.reload()
        with trio.fail_after(60):
            await asked.wait()
        assert zone_of(core).expires is not None
        world.write(PRIMARY)
        await core.reload()
        assert (zone_of(core).expires, zone_of(core).due) == (None, None)

    world.run(session)


def test_an_unforeseen_error_with_a_zone_file_costs_that_zone_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr("xfer.server.zonefiles.ZoneFiles._read", broken)
    world = World(tmp_path, PRIMARY)

    async def session(core: Core) -> None:
        await core.load_all()
        await until(lambda: zone_of(core).error is not None)
        error = zone_of(core).error
        assert error is not None
        assert "LookupError: no such thing" in error.sentence
        assert zone_of(core).serial == 5

    with capture_logs() as logs:  # printing it would walk through what a thread is changing
        world.run(session)
    assert "internal error" in [line["event"] for line in logs]


def test_a_reload_names_what_only_a_restart_applies_until_it_is_as_it_was(tmp_path: Path) -> None:
    world = World(tmp_path, NONE)

    async def session(core: Core) -> None:
        world.write("[limits]\ntcp_clients = 7\ntransfers_in = 7\n")
        for _ in range(2):
            assert (await core.reload()).restart == ("limits.tcp_clients",)
        world.write(NONE)
        assert (await core.reload()).restart == ()

    world.run(session)
