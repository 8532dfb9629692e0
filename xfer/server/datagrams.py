"""A UDP socket that never waits.

Answers leave from the address that was asked: on a wildcard address the kernel tells it with each
datagram (IP_PKTINFO, IPV6_PKTINFO) and takes it back with the answer.
"""

from __future__ import annotations

import socket
import struct
from typing import Self

MAX_DATAGRAM = 65_535
LONGEST = 0.002  # seconds for a batch: NOTIFY, transfers and the rest wait for its end
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_PKTINFO4 = struct.Struct("@I4s4s")

Peer = tuple[str, int] | tuple[str, int, int, int]
Ancillary = list[tuple[int, int, bytes]]


class Datagrams:
    """A real UDP socket that is bound."""

    def __init__(self, bound: socket.socket) -> None:
        self.socket = bound
        self.socket.setblocking(False)
        self.wildcard = bound.getsockname()[0] in ("0.0.0.0", "::")

    @classmethod
    def bind(cls, address: str, port: int, shared: bool = False) -> Self:
        """A new one. shared: others of ours are bound to the same port, and the kernel spreads
        clients over them. Raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if shared:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Bursts are longer than the default buffer holds; the kernel caps what it grants.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            if address in ("0.0.0.0", "::"):
                if family == socket.AF_INET:
                    made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
                else:
                    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            made.bind((address, port))
        except BaseException:
            made.close()
            raise
        return cls(made)

    @property
    def port(self) -> int:
        """The port bound."""
        return int(self.socket.getsockname()[1])

    def receive(self) -> tuple[bytes, Peer, Ancillary] | None:
        try:
            if not self.wildcard:
                data, peer = self.socket.recvfrom(MAX_DATAGRAM)
                return data, peer, []
            data, ancillary, _, peer = self.socket.recvmsg(MAX_DATAGRAM, 256)
        except BlockingIOError:
            return None
        except OSError:
            return None  # an ICMP error of an earlier answer
        return data, peer, [_answer_from(*item) for item in ancillary if item[1] in _PKTINFOS]

    def send(self, data: bytes, peer: Peer, ancillary: Ancillary) -> None:
        try:
            if ancillary:
                self.socket.sendmsg([data], ancillary, 0, peer)
            else:
                self.socket.sendto(data, peer)
        except OSError:
            return  # full buffer, unreachable client: UDP loses datagrams anyway

    def close(self) -> None:
        self.socket.close()


_PKTINFOS = (_IP_PKTINFO, socket.IPV6_PKTINFO)


def _answer_from(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """The ancillary data of the answer to a datagram that came with this."""
    if level == socket.IPPROTO_IP and len(data) >= _PKTINFO4.size:
        # index, local address, header destination: the destination becomes the source.
        _, _, asked = _PKTINFO4.unpack_from(data)
        return level, kind, _PKTINFO4.pack(0, asked, b"\0\0\0\0")
    return level, kind, data
