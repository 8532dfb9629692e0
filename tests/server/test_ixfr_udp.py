"""IXFR over UDP: one datagram where it fits, TCP wherever there is any doubt."""

from __future__ import annotations

import random
import struct
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from tests.badinput.driving import SIGNED
from tests.badinput.primary import (
    KEY,
    ORIGIN,
    OTHER_SECRET,
    Draft,
    Primary,
    Script,
    Signature,
    Signer,
    host,
    soa,
)
from tests.badinput.secondary import TestClock, memory_dial, pull
from xfer.errors import TransferError
from xfer.server.executor import InlineExecutor
from xfer.server.pull import PullResult, pull_zone
from xfer.server.target import Target
from xfer.wire import names
from xfer.wire.tsig import Key, verify_request
from xfer.zone.check import Policy

CHANGE = [soa(2), soa(1), host(1), soa(2), host(50), soa(2)]
Answer = Callable[[Draft], list[Draft | bytes]]


async def serve(
    sock: trio.socket.SocketType, asked: list[bytes], answer: Answer, sign_with: Key | None
) -> None:
    """Answer each request with the datagrams that `answer` makes of the right one."""
    while True:
        request, address = await sock.recvfrom(65535)
        asked.append(request)
        verified = verify_request(request, {KEY.name: KEY}, int(TestClock().wall()))
        end = names.read(verified.message, 12)[1] + 4
        (msg_id,) = struct.unpack_from("!H", verified.message)
        for reply in answer(Draft(msg_id, questions=[verified.message[12:end]], answers=CHANGE)):
            wire = reply.wire() if isinstance(reply, Draft) else reply
            if verified.key is not None and isinstance(reply, Draft):
                signer = Signer(verified.key, verified.mac)
                wire = signer.sign(wire, Signature(sign_with, signer.now))
            await sock.sendto(wire, address)


async def asked_over_udp(
    answer: Answer, key: Key | None = None, sign_with: Key | None = KEY
) -> tuple[PullResult | TransferError, int, int]:
    """What comes of it, and how often UDP and TCP were asked."""
    have = (await pull(Primary([Script(1)]))).snapshot
    tcp = Primary([Script(7)])  # sends the whole zone
    asked: list[bytes] = []
    async with trio.open_nursery() as nursery:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", 0))
            nursery.start_soon(serve, sock, asked, answer, sign_with)
            target = Target("127.0.0.1", sock.getsockname()[1], key=key, ixfr_udp=True)
            result: PullResult | TransferError
            try:
                result = await pull_zone(
                    target,
                    ORIGIN,
                    policy=Policy(),
                    clock=TestClock(),
                    rng=random.Random(1),
                    executor=InlineExecutor(),
                    previous=have,
                    ixfr_from=1,
                    dial=memory_dial(tcp, nursery),
                )
            except TransferError as error:
                result = error
            nursery.cancel_scope.cancel()
    return result, len(asked), tcp.asked


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Real sockets: the clock jumps only where nothing has come for a while."""
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.1))


@SIGNED
def test_changes_that_fit_come_in_one_datagram(key: Key | None) -> None:
    async def main() -> None:
        result, udp, tcp = await asked_over_udp(lambda right: [right], key)
        assert isinstance(result, PullResult)
        assert (udp, tcp) == (1, 0)
        assert (result.kind, result.serial, result.messages, result.source) == (
            "ixfr", 2, 1, "127.0.0.1",
        )  # fmt: skip
        assert result.changes is not None
        assert len(result.changes.added) == 2
        assert result.octets > 100

    run(main)


def test_an_soa_that_is_not_newer_is_an_answer() -> None:
    def current(right: Draft) -> list[Draft | bytes]:
        right.answers = [soa(1)]
        return [right]

    async def main() -> None:
        result, udp, tcp = await asked_over_udp(current)
        assert isinstance(result, PullResult)
        assert (result.kind, udp, tcp) == ("soa", 1, 0)

    run(main)


def test_what_is_not_our_answer_is_passed_over() -> None:
    def with_noise(right: Draft) -> list[Draft | bytes]:
        other = Draft(right.msg_id ^ 1, questions=right.questions, answers=[soa(1)])
        query = Draft(right.msg_id, flags=0, questions=right.questions)
        return [b"", b"\1\2\3", other, query, right]

    async def main() -> None:
        result, udp, tcp = await asked_over_udp(with_noise)
        assert isinstance(result, PullResult)
        assert (result.kind, udp, tcp) == ("ixfr", 1, 0)

    run(main)


def truncated(right: Draft) -> list[Draft | bytes]:
    right.flags |= 0x0200
    right.answers = []
    return [right]


def overflow(right: Draft) -> list[Draft | bytes]:
    right.answers = [soa(2)]
    return [right]


def unfinished(right: Draft) -> list[Draft | bytes]:
    right.answers = CHANGE[:-1]
    return [right]


def refused(right: Draft) -> list[Draft | bytes]:
    right.flags |= 5
    right.answers = []
    return [right]


def malformed(right: Draft) -> list[Draft | bytes]:
    right.cut = 3
    return [right]


@SIGNED
@pytest.mark.parametrize("answer", [truncated, overflow, unfinished, refused, malformed])
def test_anything_else_is_asked_again_over_tcp(answer: Answer, key: Key | None) -> None:
    async def main() -> None:
        result, udp, tcp = await asked_over_udp(answer, key)
        assert isinstance(result, PullResult)
        assert (result.kind, result.serial, udp, tcp) == ("axfr", 7, 1, 1)

    run(main)


def test_so_is_what_is_wrongly_signed() -> None:
    async def main() -> None:
        for key in (OTHER_SECRET, None):
            result, udp, tcp = await asked_over_udp(lambda right: [right], KEY, key)
            assert isinstance(result, PullResult)
            assert (result.kind, udp, tcp) == ("axfr", 1, 1)

    run(main)


def test_silence_is_asked_again_once_and_then_over_tcp() -> None:
    async def main() -> None:
        start = trio.current_time()
        result, udp, tcp = await asked_over_udp(lambda _: [])
        assert isinstance(result, PullResult)
        assert (result.kind, udp, tcp) == ("axfr", 2, 1)
        assert 2 <= trio.current_time() - start < 3

    run(main)


def test_changes_that_do_not_fit_what_we_have_are_refused() -> None:
    def wrong(right: Draft) -> list[Draft | bytes]:
        right.answers = [soa(2), soa(1), host(99), soa(2), soa(2)]
        return [right]

    async def main() -> None:
        result, udp, tcp = await asked_over_udp(wrong)
        assert isinstance(result, TransferError)
        assert (result.try_axfr, udp, tcp) == (True, 1, 0)

    run(main)
