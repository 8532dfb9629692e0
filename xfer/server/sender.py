"""Streaming a transfer out, in writes of about 500 kB (RFC 5936 §2.2, RFC 1995 §4).

Blocks whose messages are held go out at the speed of HMAC and the socket. Others are rendered as
their turn comes, one block (0.2 ms) between two looks at the event loop: a thread would do the same
work later, because it waits for the interpreter as long as a block takes. A client that reads
slowly stops the rendering too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import attrs
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.server.image import ImageCache
from xfer.transfer.outbound import ChangesOut, State, ZoneOut
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
        stream = _ZoneStream(self, write, out)
        with self._whole(out):
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

    async def send_changes(self, out: ChangesOut, write: Send) -> None:
        """All of the differences through `out`, a message (0.5 ms) between two looks at the event
        loop. Raises as `send` does."""
        stream = _Stream(self, write)
        with self._whole(out):
            while out.state is not State.DONE:
                waiting = stream.add(out.message(self._now()))
                if waiting >= JOIN:
                    await stream.write_out()
                else:
                    await trio.lowlevel.checkpoint()
            await stream.write_out()

    @contextmanager
    def _whole(self, out: ZoneOut | ChangesOut) -> Iterator[None]:
        """The block may take `total` seconds."""
        with trio.move_on_after(self.total) as scope:
            yield
        if scope.cancelled_caught:
            raise TransferError(
                Failure.TRANSPORT,
                f"the whole transfer taken within {self.total:g} s",
                f"{out.octets} octets in {out.messages} messages",
                hint="the limit is total_timeout in [limits]",
            )

    def _now(self) -> int:
        return int(self.clock.wall())


class _Stream:
    """Collects framed octets, and writes them in joins."""

    def __init__(self, sender: ZoneSender, write: Send) -> None:
        self._sender = sender
        self._write = write
        self._ready: list[bytes] = []
        self._framed = 0

    def add(self, octets: bytes) -> int:
        """Framed octets, to be written after all before; how many wait to be written now."""
        self._ready.append(octets)
        self._framed += len(octets)
        return self._framed

    async def write_out(self) -> None:
        """Write what is framed. Raises TransferError where the client takes nothing for long."""
        if not self._ready:
            return
        octets = self._ready[0] if len(self._ready) == 1 else b"".join(self._ready)
        self._ready.clear()
        self._framed = 0
        with trio.move_on_after(self._sender.idle) as scope:
            await self._write(octets)
        if scope.cancelled_caught:
            raise TransferError(
                Failure.TRANSPORT,
                f"the client to take {len(octets)} octets within {self._sender.idle:g} s",
                "a stalled connection",
                hint="the limit is idle_timeout in [limits]",
            )


class _ZoneStream(_Stream):
    """Frames the ready-made messages of a zone's blocks in joins, too."""

    def __init__(self, sender: ZoneSender, write: Send, out: ZoneOut) -> None:
        super().__init__(sender, write)
        self._out = out
        self._waiting: list[bytes] = []  # to be framed after all that is ready
        self._size = 0

    async def messages(self, messages: list[bytes]) -> None:
        """Add messages, and write where there are enough of them."""
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
