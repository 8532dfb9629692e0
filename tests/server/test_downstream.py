"""The engine towards its secondaries: who a reload brings is told, and a restart goes on."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.server.fakes import snapshot
from tests.server.test_core import World, until, zone_of
from xfer.journal import PeerState
from xfer.server.core import Core
from xfer.server.secondaries import to_state
from xfer.server.status import SecondaryStatus
from xfer.wire.request import make_error, parse_request

LIMITS = "[limits]\nnotify_ladder = [1]\nprobe_ladder = []\n"
PRIMARY = """
[[zone]]
name = "example.com"
role = "primary"
file = "{{directory}}/zone"
secondaries = [{secondaries}]
"""
PEER = """
[[peer]]
name = "{name}"
address = "127.0.0.1"
port = {port}
"""


class Secondary:
    """A socket that NOTIFYs arrive at; it answers when asked what it was told."""

    def __init__(self) -> None:
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def told(self) -> list[int | None]:
        """The serials of what has come since the last call; answers NOERROR."""
        serials: list[int | None] = []
        while True:
            try:
                message, source = self.socket.recvfrom(65535)
            except BlockingIOError:
                return serials
            serials.append(parse_request(message).notify_serial)
            answer = make_error(message, 0, aa=True)
            assert answer is not None
            self.socket.sendto(answer, source)


@pytest.fixture
def secondaries() -> Iterator[list[Secondary]]:
    made = [Secondary(), Secondary()]
    yield made
    for one in made:
        one.socket.close()


def zones(known: list[Secondary], *names: str) -> str:
    peers = "".join(PEER.format(name=f"s{n}", port=one.port) for n, one in enumerate(known))
    return LIMITS + peers + PRIMARY.format(secondaries=", ".join(f'"{name}"' for name in names))


def run(world: World, session: Callable[[Core], Awaitable[None]], stored: bool = True) -> None:
    world.run(session, stored=stored)


def test_a_secondary_that_a_reload_brings_is_told_and_a_zone_that_leaves_is_not_told_of(
    tmp_path: Path, secondaries: list[Secondary]
) -> None:
    first, second = secondaries
    world = World(tmp_path, zones(secondaries, "s0"))

    async def session(core: Core) -> None:
        await core.load_all()
        await until(first.told)
        await until(lambda: zone_of(core).secondaries["s0"].notify_result == "NOERROR")
        assert second.told() == []
        world.write(zones(secondaries, "s0", "s1"))
        await core.reload()
        assert second.told() == [5], "at once"
        assert first.told() == [], "it has been told"
        await until(lambda: zone_of(core).secondaries["s1"].notify_result == "NOERROR")
        assert core.notifier.pending == 0
        zone = zone_of(core)
        zone.snapshot = snapshot(6)
        core.notifier.notify(zone)
        assert core.notifier.pending == 2
        world.write(LIMITS)
        await core.reload()
        assert core.notifier.pending == 0

    run(world, session)


def test_after_a_restart_only_those_are_told_that_have_not_heard(
    tmp_path: Path, secondaries: list[Secondary]
) -> None:
    first, second = secondaries
    world = World(tmp_path, zones(secondaries, "s0", "s1"))

    async def before(core: Core) -> None:
        await core.load_all()
        await until(first.told)
        await until(lambda: zone_of(core).secondaries["s0"].notify_result == "NOERROR")

    async def after(core: Core) -> None:
        await core.load_all()
        assert zone_of(core).secondaries["s0"].delivered_serial == 5
        assert (first.told(), second.told()[-1]) == ([], 5)
        await until(lambda: zone_of(core).secondaries["s1"].notify_result == "NOERROR")

    run(world, before)
    run(world, after, stored=False)


def test_transfers_are_recorded_and_known_again(
    tmp_path: Path, secondaries: list[Secondary]
) -> None:
    world = World(tmp_path, zones(secondaries, "s0"))
    stored: list[PeerState] = []

    async def before(core: Core) -> None:
        await core.load_all()
        zone = zone_of(core)
        core.downstream.asked(zone, "s0")
        core.downstream.fetched(zone, "s0", "ixfr", 4, 5)
        status = zone.secondaries["s0"]
        assert (status.fetched_kind, status.fetched_from, status.fetched_serial) == ("ixfr", 4, 5)
        assert status.asked_at is not None
        stored.append(to_state(zone.origin, status))

    async def after(core: Core) -> None:
        await core.load_all()
        known: SecondaryStatus = zone_of(core).secondaries["s0"]
        assert to_state(zone_of(core).origin, known) == stored[0]
        assert secondaries[0].told()[1:] == [], "it has fetched it"

    run(world, before)
    run(world, after, stored=False)
