"""NOTIFY to secondaries that answer, refuse, stay silent, come late, or are gone."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
import trio.testing

from tests.server.downstream import SILENT, FakeSecondary, world
from tests.server.fakes import KEY, OTHER, WALL, peer, snapshot, zone_config
from xfer.config_limits import Limits
from xfer.peers import Peer
from xfer.server.zones import Zone
from xfer.wire.codes import OPCODE_NOTIFY, REFUSED

QUIET = Limits(probe_ladder=())


def run(session: Callable[[], Awaitable[None]]) -> None:
    trio.run(session, clock=trio.testing.MockClock(autojump_threshold=0.005))


def test_the_first_notify_leaves_before_anything_else_has_its_turn() -> None:
    async def session() -> None:
        fake = FakeSecondary()
        async with world(fake, limits=QUIET, listening=False) as made:
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.1", fake.port))
                sock.setblocking(False)
                made.publish(2)
                assert sock.recv(65535)[2] >> 3 & 15 == OPCODE_NOTIFY

    run(session)


def test_noerror_is_delivery_and_nothing_is_kept_then() -> None:
    async def session() -> None:
        fake = FakeSecondary()
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            assert made.status().pending == 2
            await trio.sleep(60)
            status = made.status()
            assert fake.told == [(0.0, "udp", 2)]
            assert (status.notified_serial, status.notify_result) == (2, "NOERROR")
            assert (status.delivered_serial, status.pending, status.next_at) == (2, None, None)
            assert made.downstream.notifier.pending == 0

    run(session)


def test_silence_over_udp_is_followed_by_tcp_after_growing_waits() -> None:
    async def session() -> None:
        fake = FakeSecondary(notify=[SILENT])
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(60)
            assert [how for _, how, _ in fake.told] == ["udp", "udp", "udp", "tcp"]
            assert fake.times == pytest.approx([0, 1, 3, 7], abs=0.1)
            assert made.status().notify_result == "NOERROR"

    run(session)


def test_a_late_answer_to_an_earlier_datagram_counts() -> None:
    async def session() -> None:
        fake = FakeSecondary(delay=1.5)
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(60)
            assert fake.times == pytest.approx([0, 1.5], abs=0.6)
            assert made.status().notify_result == "NOERROR"

    run(session)


def test_a_refusal_by_icmp_does_not_end_it_and_a_secondary_that_starts_is_told() -> None:
    async def session() -> None:
        fake = FakeSecondary()
        async with world(fake, limits=QUIET, listening=False) as made:
            made.publish(2)
            await trio.sleep(8)
            status = made.status()
            assert "connection refused over UDP, connection refused over TCP" in (
                status.notify_result
            )
            assert (status.tries, status.pending, status.delivered_serial) == (1, 2, None)
            assert status.next_at == pytest.approx(WALL + 10, abs=1)
            sock = trio.socket.socket(type=trio.socket.SOCK_DGRAM)
            await sock.bind(("127.0.0.1", fake.port))
            made.nursery.start_soon(fake.serve_udp, sock)
            await trio.sleep(12)
            assert fake.serials == [2]
            assert (made.status().notify_result, made.status().tries) == ("NOERROR", 0)

    run(session)


def test_another_rcode_is_no_delivery_and_is_tried_again_on_the_ladder() -> None:
    async def session() -> None:
        fake = FakeSecondary(notify=[REFUSED, REFUSED, 0])
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(5)
            status = made.status()
            assert (status.notify_result, status.tries, status.pending) == ("REFUSED", 1, 2)
            assert status.delivered_serial is None
            await trio.sleep(60)
            assert fake.times == pytest.approx([0, 10, 40], abs=5)
            assert made.status().delivered_serial == 2

    run(session)


def test_the_ladder_ends_and_the_status_says_so() -> None:
    async def session() -> None:
        fake = FakeSecondary(notify=[REFUSED])
        limits = attrs.evolve(QUIET, notify_ladder=(10.0, 100.0), notify_give_up=1000.0)
        async with world(fake, limits=limits) as made:
            made.publish(2)
            await trio.sleep(10_000)
            status = made.status()
            assert 10 <= len(fake.told) <= 12
            assert status.given_up_at == WALL
            assert (status.pending, status.next_at, status.notify_result) == (2, None, "REFUSED")
            assert made.downstream.notifier.pending == 0
            made.publish(3)
            await trio.sleep(1)
            assert (fake.serials[-1], made.status().given_up_at) == (3, None)

    run(session)


def test_the_newest_serial_takes_the_place_of_what_is_still_being_sent() -> None:
    async def session() -> None:
        fake = FakeSecondary(notify=[SILENT, 0])
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(0.5)
            made.publish(3)
            made.publish(4)
            await trio.sleep(60)
            assert fake.serials == [2, 4]
            assert made.status().delivered_serial == 4

    run(session)


def test_of_fast_edits_one_notify_is_on_its_way_and_the_next_has_the_newest_serial() -> None:
    async def session() -> None:
        fake = FakeSecondary(delay=0.25)
        async with world(fake, limits=QUIET) as made:
            for serial in range(2, 42):
                made.publish(serial)
                await trio.sleep(0.1)
            await trio.sleep(5)
            assert fake.serials[-1] == 41
            assert 14 <= len(fake.serials) <= 20
            assert fake.serials == sorted(set(fake.serials))
            assert made.status().delivered_serial == 41

    run(session)


def test_a_new_version_does_not_wait_for_the_ladder() -> None:
    async def session() -> None:
        fake = FakeSecondary(notify=[REFUSED, REFUSED, 0])
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(30)
            made.publish(3)
            await trio.sleep(0.1)
            assert fake.serials == [2, 2, 3]
            assert fake.times[2] == pytest.approx(30, abs=0.1)

    run(session)


def test_a_signed_notify_is_answered_signed() -> None:
    async def session() -> None:
        async with world(FakeSecondary(key=KEY), keys=[KEY], limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(1)
            assert made.status().notify_result == "NOERROR"

    run(session)


@pytest.mark.parametrize(
    ("garble", "said"),
    [
        (lambda answer: answer[:11] + b"\0" + answer[12:29], "(TSIG missing)"),
        (lambda answer: answer[:-20] + bytes(4) + answer[-16:], "(TSIG bad-mac)"),
        (lambda answer: answer[:3], "an answer with our ID over TCP"),
        (lambda answer: answer[:14] + bytes(20), "protocol"),
    ],
)
def test_an_answer_that_does_not_verify_is_no_delivery_and_is_named(
    garble: Callable[[bytes], bytes], said: str
) -> None:
    async def session() -> None:
        fake = FakeSecondary(key=KEY, garble=garble)
        async with world(fake, keys=[KEY], limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(8.5)
            status = made.status()
            assert (status.delivered_serial, status.tries) == (None, 1)
            assert said in status.notify_result
            assert f"sec 127.0.0.1#{fake.port}" in status.notify_result

    run(session)


def test_what_is_pending_is_sent_again_after_a_restart() -> None:
    async def session() -> None:
        fake, deaf = FakeSecondary(), FakeSecondary(notify=[SILENT], tcp=[SILENT])
        async with world(fake, deaf, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(20)
            assert made.status("sec1").tries == 1
            states = made.saves.of(made.zone)
            downstream = made.restarted(QUIET)
            deaf.notify[:] = [0]
            before = len(deaf.told)
            downstream.loaded(made.zone, states)
            await trio.sleep(5)
            assert fake.serials == [2], "it was told before"
            assert deaf.serials[before:] == [2]
            assert made.status("sec1").delivered_serial == 2

    run(session)


def test_a_new_secondary_is_told_at_once_and_a_former_one_no_more() -> None:
    async def session() -> None:
        fake, other = FakeSecondary(notify=[REFUSED]), FakeSecondary()
        async with world(fake, other, limits=QUIET) as made:
            first, second = made.zone.config.secondaries
            made.zone.config = zone_config(secondaries=[first])
            made.publish(2)
            await trio.sleep(1)
            assert (fake.serials, other.serials) == ([2], [])
            made.zone.config = zone_config(secondaries=[second])
            made.downstream.changed(made.zone)
            await trio.sleep(100)
            assert (fake.serials, other.serials) == ([2], [2])
            assert list(made.zone.secondaries) == ["sec1"]

    run(session)


def test_another_address_or_key_for_a_secondary_starts_anew() -> None:
    async def session() -> None:
        fake = FakeSecondary(key=KEY)
        async with world(fake, keys=[OTHER], limits=QUIET) as made:
            wrong: Peer = made.zone.config.secondaries[0]
            fake.answer = lambda message, transport: None  # type: ignore[method-assign]
            made.publish(2)
            await trio.sleep(20)
            assert made.status().tries == 1
            del fake.answer
            made.zone.config = zone_config(secondaries=[attrs.evolve(wrong, keys=(KEY,))])
            made.downstream.changed(made.zone)
            await trio.sleep(0.1)
            assert (made.status().notify_result, made.status().delivered_serial) == ("NOERROR", 2)

    run(session)


def test_a_removed_zone_is_told_of_no_more() -> None:
    async def session() -> None:
        fake = FakeSecondary(notify=[REFUSED])
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(1)
            made.zone.removed = True
            made.downstream.removed(made.zone)
            await trio.sleep(1000)
            assert fake.serials == [2]

    run(session)


def test_an_expired_zone_is_told_of_once_it_lives_again() -> None:
    async def session() -> None:
        fake = FakeSecondary()
        async with world(fake, limits=QUIET) as made:
            made.zone.expires = trio.current_time()
            made.publish(2)
            await trio.sleep(5)
            assert (fake.serials, made.status().tries) == ([], 1)
            assert made.status().notify_result == "not sent: the zone has expired here"
            made.zone.expires = None
            await trio.sleep(10)
            assert fake.serials == [2]

    run(session)


def test_who_transfers_the_version_need_not_be_told_any_more() -> None:
    async def session() -> None:
        fake = FakeSecondary(notify=[REFUSED])
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(1)
            made.downstream.fetched(made.zone, "sec", "ixfr", 1, 2)
            await trio.sleep(1000)
            assert fake.serials == [2]
            status = made.status()
            assert (status.pending, status.delivered_serial, status.next_at) == (None, None, None)
            assert (status.fetched_kind, status.fetched_from, status.fetched_serial) == (
                "ixfr",
                1,
                2,
            )

    run(session)


def test_who_asks_for_a_notify_gets_what_came_of_it() -> None:
    async def session() -> None:
        fake = FakeSecondary(notify=[REFUSED, 0])
        async with world(fake, limits=QUIET) as made:
            one = made.zone.config.secondaries[0]
            tell = made.downstream.notifier.notify_one
            assert await tell(made.zone, one) == "REFUSED"
            assert await tell(made.zone, one) == "NOERROR"
            assert await tell(made.zone, one) == "NOERROR"
            assert len(fake.told) == 3
            made.zone.snapshot = None
            assert await tell(made.zone, one) == "no version"

    run(session)


def test_a_live_secondary_is_told_at_once_however_many_wait_for_a_dead_one() -> None:
    async def session() -> None:
        live, dead = FakeSecondary(), FakeSecondary(notify=[SILENT], tcp=[SILENT])
        limits = attrs.evolve(QUIET, notifies_out=8, notifies_out_per_peer=4)
        async with world(live, dead, limits=limits) as made:
            first, second = made.zone.config.secondaries
            zones = [
                Zone(zone_config(secondaries=[second], name=f"z{n}.example."), snapshot=snapshot(2))
                for n in range(40)
            ]
            for zone in zones:
                made.downstream.notifier.notify(zone)
            made.zone.config = zone_config(secondaries=[first])
            for serial in range(2, 30):
                made.publish(serial)
                await trio.sleep(1)
                assert live.serials[-1] == serial
            assert 4 <= len(dead.told) < 40
            assert made.downstream.notifier.pending == 40

    run(session)


def test_a_peer_of_the_same_name_elsewhere_is_another_one() -> None:
    async def session() -> None:
        fake = FakeSecondary()
        async with world(fake, limits=QUIET) as made:
            made.publish(2)
            await trio.sleep(1)
            states = made.saves.of(made.zone)
            downstream = made.restarted(QUIET)
            moved = peer("sec", "127.0.0.1", port=fake.port, source=None)
            made.zone.config = zone_config(secondaries=[attrs.evolve(moved, port=1)])
            downstream.loaded(made.zone, states)
            assert made.status().pending == 2
            made.zone.config = zone_config(secondaries=[moved])
            downstream.changed(made.zone)
            await trio.sleep(1)
            assert fake.serials == [2, 2]

    run(session)
