"""UDP: wait until the socket is readable, then answer a batch (RFC 1035 §4.2.1).

Answers leave from the address that was asked: on a wildcard address the kernel tells it with each
datagram (IP_PKTINFO, IPV6_PKTINFO) and takes it back with the answer.
"""

from __future__ import annotations

import socket
import struct
from typing import Protocol

import trio

from xfer.clock import Clock

MAX_DATAGRAM = 65_535
LONGEST = 0.002  # seconds for a batch: NOTIFY, transfers and the rest wait for its end
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_PKTINFO4 = struct.Struct("@I4s4s")

Peer = tuple[str, int] | tuple[str, int, int, int]
Ancillary = list[tuple[int, int, bytes]]


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


class UdpSocket:
    """A real, non-blocking UDP socket bound to address and port."""

    def __init__(self, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Bursts are longer than the default buffer holds; the kernel caps what it grants.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self._wildcard = address in ("0.0.0.0", "::")
            if self._wildcard and family == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            elif self._wildcard:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self._socket.bind((address, port))
        except BaseException:
            self._socket.close()
            raise

    @property
    def port(self) -> int:
        """The port bound."""
        return int(self._socket.getsockname()[1])

    async def wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self._socket)

    def receive(self) -> tuple[bytes, Peer, Ancillary] | None:
        try:
            if not self._wildcard:
                data, peer = self._socket.recvfrom(MAX_DATAGRAM)
                return data, peer, []
            data, ancillary, _, peer = self._socket.recvmsg(MAX_DATAGRAM, 256)
        except BlockingIOError:
            return None
        except OSError:
            return None  # an ICMP error of an earlier answer
        return data, peer, [_answer_from(*item) for item in ancillary if item[1] in _PKTINFOS]

    def send(self, data: bytes, peer: Peer, ancillary: Ancillary) -> None:
        try:
            if ancillary:
                self._socket.sendmsg([data], ancillary, 0, peer)
            else:
                self._socket.sendto(data, peer)
        except OSError:
            return  # full buffer, unreachable client: UDP loses datagrams anyway

    def close(self) -> None:
        self._socket.close()


_PKTINFOS = (_IP_PKTINFO, socket.IPV6_PKTINFO)


def _answer_from(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """The ancillary data of the answer to a datagram that came with this."""
    if level == socket.IPPROTO_IP and len(data) >= _PKTINFO4.size:
        # index, local address, header destination: the destination becomes the source.
        _, _, asked = _PKTINFO4.unpack_from(data)
        return level, kind, _PKTINFO4.pack(0, asked, b"\0\0\0\0")
    return level, kind, data


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
