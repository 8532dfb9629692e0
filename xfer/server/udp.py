"""UDP: wait until the socket is readable, then answer a batch (RFC 1035 §4.2.1)."""

from __future__ import annotations

import contextlib
from typing import Protocol

import trio

from xfer.clock import Clock
from xfer.server.datagrams import LONGEST, Ancillary, Datagrams, Peer


class Datagram(Protocol):
    """A UDP socket as the listener uses it; tests inject their own."""

    async def wait_readable(self) -> None: ...

    def receive(self) -> tuple[bytes, Peer, Ancillary] | None:
        """The next datagram, None where there is none now."""

    def send(self, data: bytes, peer: Peer, ancillary: Ancillary) -> None:
        """Send, or drop where the kernel has no room."""

    def close(self) -> None: ...


class Answerer(Protocol):
    """Answers datagrams (`xfer.server.answers.Answers`)."""

    def answer(self, message: bytes, host: str, now: float) -> bytes | None:
        """What one gets, None for nothing. host: its sender's address; now: monotonic seconds."""

    def took(self, seconds: float, number: int) -> None:
        """A batch of so many took so long."""


class UdpSocket(Datagrams):
    """A real UDP socket, for the event loop."""

    async def wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self.socket)


async def serve_udp(sock: Datagram, answers: Answerer, clock: Clock, batch: int) -> None:
    """Answer datagrams until cancelled; between two looks at the event loop at most `batch` of
    them, and no new one after LONGEST seconds."""
    receive, send, answer = sock.receive, sock.send, answers.answer
    while True:
        await sock.wait_readable()
        began = now = clock.monotonic()
        number = 0
        while number < batch and now <= began + LONGEST:
            received = receive()
            if received is None:
                break
            data, peer, ancillary = received
            reply = answer(data, peer[0], now)
            if reply is not None:
                send(reply, peer, ancillary)
            number += 1
            if number & 7 == 0:
                now = clock.monotonic()
        else:
            await trio.lowlevel.checkpoint()
        if number:
            answers.took(clock.monotonic() - began, number)


def shares(address: str, port: int, number: int) -> list[UdpSocket]:
    """The sockets of an address, one for each process; without any, the daemon's own. Raises
    OSError."""
    made: list[UdpSocket] = []
    with contextlib.ExitStack() as failed:
        for _ in range(max(number, 1)):
            made.append(UdpSocket.bind(address, port, shared=number > 0))
            failed.callback(made[-1].close)
            port = made[0].port
        failed.pop_all()
    return made
