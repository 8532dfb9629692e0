"""Streaming a transfer out: ready-made messages, signed in joins of about 500 kB (RFC 5936 §2.2).

Blocks whose messages are held go out at the speed of HMAC and the socket. Others are rendered as
their turn comes, one block (0.2 ms) between two looks at the event loop: a thread would do the same
work later, because it waits for the interpreter as long as a block takes. A client that reads
slowly stops the rendering too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.server.image import ImageCache
from xfer.transfer.outbound import ZoneOut
from xfer.zone.snapshot import Snapshot

JOIN = 500_000  # octets in one write: fewer cost more calls, more hold up the event loop

Send = Callable[[bytes], Awaitable[None]]


@attrs.define(eq=False)
class ZoneSender:
    """Sends snapshots. idle: seconds a write may take until the client counts as stalled."""

    images: ImageCache
    clock: Clock
    idle: float
    total: float

    async def send(self, snapshot: Snapshot, out: ZoneOut, write: Send) -> None:
        """The whole zone through `out`. Raises TransferError (TRANSPORT) for a client that stalls,
        and whatever `write` raises."""
        stream = _Stream(self, out, write)
        with trio.move_on_after(self.total):
            stream.add(out.opening(self._now()))
            for block in snapshot.blocks:
                messages = self.images.get(block, snapshot.origin)
                if messages is None:
                    messages = self.images.render(block, snapshot.origin)
                    await trio.lowlevel.checkpoint()
                await stream.messages(messages)
            stream.flush()
            stream.add(out.closing(self._now()))
            await stream.write_out()
            return
        raise TransferError(
            Failure.TRANSPORT,
            f"the whole transfer taken within {self.total:g} s",
            f"{out.octets} octets in {out.messages} messages",
            hint="the limit is total_timeout in [limits]",
        )

    def _now(self) -> int:
        return int(self.clock.wall())


class _Stream:
    """Collects messages and octets, and writes them in joins."""

    def __init__(self, sender: ZoneSender, out: ZoneOut, write: Send) -> None:
        self._sender = sender
        self._out = out
        self._write = write
        self._ready: list[bytes] = []  # framed octets, before `_waiting`
        self._waiting: list[bytes] = []
        self._size = 0

    def add(self, octets: bytes) -> None:
        self._ready.append(octets)

    async def messages(self, messages: list[bytes]) -> None:
        waiting = self._waiting
        for message in messages:
            waiting.append(message)
            self._size += len(message)
            if self._size >= JOIN:
                self.flush()
                await self.write_out()
                waiting = self._waiting

    def flush(self) -> None:
        """Frame and sign what waits."""
        if self._waiting:
            now = int(self._sender.clock.wall())
            self._ready.append(self._out.block(self._waiting, now))
            self._waiting = []
            self._size = 0

    async def write_out(self) -> None:
        """Write what is framed. Raises TransferError where the client takes nothing for long."""
        octets = self._ready[0] if len(self._ready) == 1 else b"".join(self._ready)
        self._ready.clear()
        with trio.move_on_after(self._sender.idle) as scope:
            await self._write(octets)
        if scope.cancelled_caught:
            raise TransferError(
                Failure.TRANSPORT,
                f"the client to take {len(octets)} octets within {self._sender.idle:g} s",
                "a stalled connection",
                hint="the limit is idle_timeout in [limits]",
            )
