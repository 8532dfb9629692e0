"""The batch loop: bounded in number and in time, and nothing lost between batches."""

from __future__ import annotations

import trio

from tests.server.fakes import HandClock
from xfer.server.datagrams import LONGEST, Ancillary, Peer
from xfer.server.udp import serve_udp

PEER = ("192.0.2.7", 5353)


class Ready:
    """Datagrams that are all there; notes what is sent."""

    def __init__(self, number: int) -> None:
        self.waiting = [b"%d" % n for n in range(number)]
        self.sent: list[bytes] = []
        self.done = trio.Event()

    async def wait_readable(self) -> None:
        if not self.waiting:
            self.done.set()
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()

    def receive(self) -> tuple[bytes, Peer, Ancillary] | None:
        return (self.waiting.pop(0), PEER, []) if self.waiting else None

    def send(self, data: bytes, peer: Peer, ancillary: Ancillary) -> None:
        assert peer == PEER
        self.sent.append(data)

    def close(self) -> None:
        raise AssertionError("it serves until it is cancelled")


class Slow:
    """Answers each datagram with itself, in so many seconds."""

    def __init__(self, clock: HandClock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.batches: list[int] = []

    def answer(self, message: bytes, host: str, now: float) -> bytes | None:
        assert host == PEER[0]
        self.clock.now += self.seconds
        return message

    def took(self, seconds: float, number: int) -> None:
        self.batches.append(number)


def served(number: int, batch: int, seconds: float) -> tuple[Ready, Slow]:
    clock = HandClock()
    slow = Slow(clock, seconds)

    async def main() -> Ready:
        ready = Ready(number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_udp, ready, slow, clock, batch)
            await ready.done.wait()
            nursery.cancel_scope.cancel()
        return ready

    return trio.run(main), slow


def test_all_are_answered_in_batches() -> None:
    ready, slow = served(150, 64, 0.0)
    assert ready.sent == [b"%d" % n for n in range(150)]
    assert slow.batches == [64, 64, 22]


def test_slow_answers_do_not_hold_up_the_event_loop() -> None:
    ready, slow = served(100, 64, LONGEST / 8)
    assert len(ready.sent) == 100
    assert max(slow.batches) <= 16
