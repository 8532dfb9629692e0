"""Outgoing transfers: which kind is sent, in which slot, and to clients that do not read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import dns.message
import pytest
import trio
import trio.testing

from tests.server.fakes import CLIENT, KEY, TrioClock, peer, table, zone_config
from tests.server.test_changes import Past, remembering
from tests.transfer.changing import host, version
from tests.transfer.zone import ORIGIN, frames
from xfer.server.changes import Changes
from xfer.server.dispatch import Dispatcher
from xfer.server.executor import InlineExecutor
from xfer.server.handled import Sent, Transfer
from xfer.server.image import ImageCache
from xfer.server.outgoing import PATIENCE, Outgoing
from xfer.server.quotas import Slots
from xfer.server.sender import ZoneSender
from xfer.server.zones import Zone
from xfer.wire.request import make_query, serial_soa
from xfer.wire.tsig import ResponseVerifier, sign_request

AXFR, IXFR = 252, 251
MANY = [host(f"h{n:05}") for n in range(8000)]
SMALL = Past(version(1, MANY), version(2, [*MANY, host("new")]))
LARGE = Past(version(1, MANY[:4000]), version(2, MANY))


class Scene:
    """A dispatcher and its transfers over one zone; done: what was sent whole."""

    def __init__(self, past: Past, changes: Changes | None, slots: int = 1) -> None:
        zone = Zone(
            zone_config(secondaries=[peer(keys=(KEY,))]),
            snapshot=past.snapshots[-1],
            version=past.versions[-1],
        )
        clock = TrioClock()
        self.done: list[Sent] = []
        self.slots = Slots(slots, slots)
        self.dispatcher = Dispatcher(table(zone), {KEY.name: KEY}, clock, changes=changes)
        sender = ZoneSender(ImageCache(10_000_000), clock, 30.0, 300.0)
        self.outgoing = Outgoing(sender, self.slots, self.done.append, changes)

    def ask(self, rtype: int, serial: int = 0) -> tuple[Transfer, bytes]:
        soa = serial_soa(serial) if rtype == IXFR else None
        query = make_query(7, ORIGIN, rtype, ixfr_soa=soa)
        wire, mac = sign_request(query, KEY, int(TrioClock().wall()))
        work = self.dispatcher.handle(wire, CLIENT, True).work
        assert isinstance(work, Transfer)
        return work, mac

    async def answer(self, rtype: int, serial: int = 0) -> list[bytes]:
        """The messages, each checked to be signed."""
        transfer, mac = self.ask(rtype, serial)
        octets = bytearray()

        async def write(data: bytes) -> None:
            await trio.lowlevel.checkpoint()
            octets.extend(data)

        await self.outgoing.run(transfer, write)
        messages = frames(bytes(octets))
        verifier = ResponseVerifier(KEY, mac, 0)
        for one in messages:
            verifier.feed(one, int(TrioClock().wall()))
        verifier.finish()
        assert verifier.signed == len(messages)
        return messages


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))


async def takes_nothing(octets: bytes) -> None:
    await trio.sleep_forever()


async def takes_its_time(octets: bytes) -> None:
    await trio.sleep(20)


def soas(messages: list[bytes]) -> list[int]:
    """The serials of all SOA records, in order."""
    found = []
    for one in messages:
        message = dns.message.from_wire(
            one, xfr=True, one_rr_per_rrset=True, keyring=False, continue_on_error=True
        )
        found += [rrset[0].serial for rrset in message.answer if rrset.rdtype == 6]
    return found


@pytest.mark.parametrize(
    ("serial", "kind", "serials"),
    [(1, "ixfr", [2, 1, 2, 2]), (2, "soa", [2]), (3, "soa", [2]), (0, "axfr", [2, 2])],
    ids=["older", "current", "ahead", "unknown"],
)
@pytest.mark.parametrize("past", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("memory", [True, False], ids=["memory", "journal"])
def test_what_an_ixfr_gets(
    serial: int, kind: str, serials: list[int], past: Past, memory: bool
) -> None:
    changes = remembering(past) if memory else Changes(past, InlineExecutor(), 1 << 20, 1.0)
    scene = Scene(past, changes)

    async def main() -> None:
        messages = await scene.answer(IXFR, serial)
        assert soas(messages) == serials

    run(main)
    (sent,) = scene.done
    assert (sent.client, sent.kind, sent.serial_from, sent.serial_to) == ("sec", kind, serial, 2)


def test_without_differences_an_ixfr_gets_the_zone() -> None:
    scene = Scene(SMALL, None)

    async def main() -> None:
        assert soas(await scene.answer(IXFR, 1)) == [2, 2]

    run(main)
    assert scene.done[0].kind == "axfr"


def test_small_differences_do_not_wait_behind_large_transfers() -> None:
    scene = Scene(SMALL, remembering(SMALL))

    async def main() -> None:
        async with scene.slots.slot("other", 1.0) as got:
            assert got
            start = trio.current_time()
            assert soas(await scene.answer(IXFR, 1)) == [2, 1, 2, 2]
            assert trio.current_time() == start

    run(main)


def test_large_differences_take_a_slot_like_a_whole_zone() -> None:
    scene = Scene(LARGE, remembering(LARGE))

    async def main() -> None:
        async with scene.slots.slot("other", 1.0):
            start = trio.current_time()
            (refused,) = await scene.answer(IXFR, 1)
            assert refused[3] & 15 == 2
            assert trio.current_time() - start == pytest.approx(PATIENCE)

    run(main)
    assert scene.done == []


def test_small_differences_have_slots_of_their_own() -> None:
    scene = Scene(SMALL, remembering(SMALL))

    async def main() -> None:
        async with scene.outgoing.small.slot("other", 1.0):
            (refused,) = await scene.answer(IXFR, 1)
            assert refused[3] & 15 == 2

    run(main)


def test_a_client_that_takes_nothing_ends_its_transfer() -> None:
    scene = Scene(LARGE, remembering(LARGE))

    async def main() -> None:
        transfer, _ = scene.ask(IXFR, 1)
        start = trio.current_time()
        with pytest.raises(trio.BrokenResourceError, match="a stalled connection"):
            await scene.outgoing.run(transfer, takes_nothing)
        assert trio.current_time() - start == pytest.approx(30.0)

    run(main)
    assert scene.slots.running == 0
    assert scene.done == []


def test_a_client_that_takes_too_long_in_all_ends_its_transfer() -> None:
    scene = Scene(LARGE, remembering(LARGE))
    scene.outgoing.sender.total = 5.0

    async def main() -> None:
        transfer, _ = scene.ask(IXFR, 1)
        with pytest.raises(trio.BrokenResourceError, match="total_timeout"):
            await scene.outgoing.run(transfer, takes_its_time)

    run(main)


def test_the_event_loop_has_its_turn_between_any_two_messages() -> None:
    scene = Scene(LARGE, remembering(LARGE))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            messages = await scene.answer(IXFR, 1)
            assert turns >= len(messages) > 5
            nursery.cancel_scope.cancel()

    run(main)


@pytest.mark.parametrize("past", [SMALL, LARGE], ids=["fits", "does not fit"])
@pytest.mark.parametrize("memory", [True, False], ids=["memory", "journal"])
@pytest.mark.parametrize("payload", [None, 512, 1232])
def test_over_udp_the_differences_come_whole_or_the_soa_alone(
    past: Past, memory: bool, payload: int | None
) -> None:
    changes = remembering(past) if memory else Changes(past, InlineExecutor(), 1 << 20, 1.0)
    scene = Scene(past, changes)
    asked = dns.message.make_query("example.com.", "IXFR", use_edns=payload and 0, payload=payload)
    asked.authority = dns.message.from_wire(
        make_query(7, ORIGIN, IXFR, ixfr_soa=serial_soa(1))
    ).authority

    async def main() -> None:
        now = int(TrioClock().wall())
        wire, mac = sign_request(asked.to_wire(), KEY, now)
        handled = scene.dispatcher.handle(wire, CLIENT, False)
        assert handled.reply is not None
        assert len(handled.reply) <= (payload or 512)
        verifier = ResponseVerifier(KEY, mac, 0)
        verifier.feed(handled.reply, now)
        verifier.finish()
        whole = past is SMALL and memory
        assert soas([handled.reply]) == ([2, 1, 2, 2] if whole else [2])
        assert isinstance(handled.work, Sent)
        assert handled.work.kind == ("ixfr" if whole else "soa")

    run(main)
