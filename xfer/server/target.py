"""Whom to ask, and how to connect: every failure becomes a sentence with both addresses in it."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from xfer.errors import Failure, TransferError
from xfer.peers import MAX_UNSIGNED_MESSAGES, Peer
from xfer.wire.tsig import Key


@attrs.frozen
class Target:
    """A server to ask.

    address, port: of the peer; source: our own address towards it, None for the system's choice;
    key: signs the request, None for unsigned; name: of the peer in the config, "" where it has
    none; unsigned_messages: how many unsigned ones in a row its signed stream may hold; ixfr_udp:
    ask for changes over UDP first.
    """

    address: str
    port: int = 53
    source: str | None = None
    key: Key | None = None
    name: str = ""
    unsigned_messages: int = MAX_UNSIGNED_MESSAGES
    ixfr_udp: bool = False

    @classmethod
    def of(cls, peer: Peer) -> Target:
        """The configured peer as a target."""
        return cls(
            address=str(peer.address),
            port=peer.port,
            source=str(peer.source) if peer.source is not None else None,
            key=peer.key,
            name=peer.name,
            unsigned_messages=peer.unsigned_messages,
            ixfr_udp=peer.ixfr_udp,
        )

    def text(self, source: str = "") -> str:
        """ "primary 192.0.2.1#53 from 192.0.2.9"; source: the address in fact used."""
        ours = source or self.source or ""
        return f"{self.name} {self.address}#{self.port}".strip() + (f" from {ours}" if ours else "")


@attrs.frozen
class Connection:
    """A stream to a target. source: our own address, "" where it is not an IP connection."""

    stream: trio.abc.Stream
    source: str


Dial = Callable[[Target], Awaitable[Connection]]
"""Connects by TCP; raises OSError. Injected, so that tests use memory streams."""


async def dial_tcp(target: Target) -> Connection:
    """A TCP connection from the target's source address. Raises OSError."""
    family = trio.socket.AF_INET6 if ":" in target.address else trio.socket.AF_INET
    sock = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        if target.source is not None:
            await sock.bind((target.source, 0))
        await sock.connect((target.address, target.port))
        return Connection(trio.SocketStream(sock), str(sock.getsockname()[0]))
    except BaseException:
        sock.close()
        raise


@asynccontextmanager
async def udp_socket(target: Target) -> AsyncIterator[trio.socket.SocketType]:
    """A UDP socket that is connected to the target, from its source address. Raises OSError."""
    family = trio.socket.AF_INET6 if ":" in target.address else trio.socket.AF_INET
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
        if target.source is not None:
            await sock.bind((target.source, 0))
        await sock.connect((target.address, target.port))
        yield sock


async def connect(target: Target, dial: Dial, timeout: float) -> Connection:
    """Connect within `timeout` seconds. Raises TransferError (TRANSPORT)."""
    connection: Connection | None = None
    with trio.move_on_after(timeout):
        try:
            connection = await dial(target)
        except OSError as error:
            raise transport_error(target, "a TCP connection", system_text(error)) from error
    if connection is None:
        raise transport_error(
            target,
            f"a TCP connection within {timeout:g} s",
            "no answer",
            hint="a firewall may drop our packets; the limit is connect_timeout in [limits]",
        )
    return connection


def transport_error(
    target: Target, expected: str, got: str, *, source: str = "", hint: str = ""
) -> TransferError:
    """A failure on the way to or from the target."""
    return TransferError(Failure.TRANSPORT, expected, got, peer=target.text(source), hint=hint)


def system_text(error: OSError, ours: str = "our source address") -> str:
    """What the system said: "connection refused". ours: the address of ours that was bound."""
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{ours} is not one of this machine"
    if error.errno is None:
        return str(error) or type(error).__name__
    return os.strerror(error.errno).lower()
