"""IXFR over UDP (RFC 1995 §2): one datagram each way, where what has changed fits.

Nobody has to answer so. Where no answer comes, where it is truncated or an SOA alone that is newer
than ours, and whatever else may be wrong with it, the same is asked over TCP, which tells more.
"""

from __future__ import annotations

import math
import struct

import trio

from xfer.clock import Clock
from xfer.errors import TransferError
from xfer.server.parsing import LocalReception
from xfer.server.target import Target, udp_socket
from xfer.wire.codes import FLAG_TC

TRIES = (0.5, 1.5)  # seconds to wait after each time that the request is sent
_MOST = 65_535


async def ask_udp(
    target: Target, request: bytes, reception: LocalReception, clock: Clock
) -> tuple[str, int] | None:
    """Send the request, signed where it is to be, and give the answer to `reception`.

    Returns our address and the octets that came; None where TCP must be asked.
    """
    try:
        async with udp_socket(target) as sock:
            message = await _exchange(sock, request)
            source = str(sock.getsockname()[0])
    except OSError:
        return None
    if message is None or message[2] & FLAG_TC >> 8:
        return None
    try:
        reception.take([struct.pack("!H", len(message)), message], math.floor(clock.wall()))
    except TransferError:
        return None
    return (source, len(message)) if reception.progress.complete else None


async def _exchange(sock: trio.socket.SocketType, request: bytes) -> bytes | None:
    """The first message that may be the answer: a response with our ID."""
    for seconds in TRIES:
        await sock.send(request)
        with trio.move_on_after(seconds):
            while True:
                message = await sock.recv(_MOST)
                if len(message) >= 12 and message[:2] == request[:2] and message[2] >= 0x80:
                    return message
    return None
