"""Streaming a transfer out: ready-made messages, signed in joins of about 200 kB (RFC 5936 §2.2).

Blocks whose messages are held go out at the speed of HMAC and the socket. From the first block on
that has to be rendered, the next blocks are rendered and signed in a worker thread while those
before are being sent; a client that reads slowly stops the rendering too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.server.executor import Executor
from xfer.server.image import ImageCache
from xfer.transfer.outbound import ZoneOut
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

JOIN = 200_000  # octets in one write: fewer cost more calls, more hold up the event loop
RENDER_AT_ONCE = 4  # blocks per visit to a worker thread
AHEAD = 2  # visits that may be ahead of the sending

Send = Callable[[bytes], Awaitable[None]]


@attrs.define(eq=False)
class ZoneSender:
    """Sends snapshots. idle: seconds a write may take until the client counts as stalled."""

    images: ImageCache
    executor: Executor
    clock: Clock
    idle: float
    total: float

    async def send(self, snapshot: Snapshot, out: ZoneOut, write: Send) -> None:
        """The whole zone through `out`. Raises TransferError (TRANSPORT) for a client that stalls,
        and whatever `write` raises."""
        stream = _Stream(self, out, write)
        with trio.move_on_after(self.total):
            stream.add(out.opening(self._now()))
            rest = await self._held(snapshot, stream)
            stream.flush()
            if rest:
                await stream.write_out()
                await self._rendered(snapshot.origin, rest, out, stream)
            stream.add(out.closing(self._now()))
            await stream.write_out()
            return
        raise TransferError(
            Failure.TRANSPORT,
            f"the whole transfer taken within {self.total:g} s",
            f"{out.octets} octets in {out.messages} messages",
            hint="the limit is total_timeout in [limits]",
        )

    async def _held(self, snapshot: Snapshot, stream: _Stream) -> Sequence[Block]:
        """Send blocks as long as their messages are held; return those that remain."""
        origin = snapshot.origin
        get = self.images.get
        for index, block in enumerate(snapshot.blocks):
            messages = get(block, origin)
            if messages is None:
                return snapshot.blocks[index:]
            await stream.messages(messages)
        return ()

    async def _rendered(
        self, origin: bytes, blocks: Sequence[Block], out: ZoneOut, stream: _Stream
    ) -> None:
        give, take = trio.open_memory_channel[bytes](AHEAD)

        def render(some: Sequence[Block]) -> bytes:
            # Signed here too: HMAC lets go of the interpreter for every message, and would have
            # to wait for the renderer each time to get it back.
            messages = [m for block in self.images.render(some, origin) for m in block]
            return out.block(messages, self._now())

        async def render_all() -> None:
            async with give:
                for at in range(0, len(blocks), RENDER_AT_ONCE):
                    some = blocks[at : at + RENDER_AT_ONCE]
                    await give.send(await self.executor.run(render, some))

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(render_all)
                async with take:
                    async for octets in take:
                        stream.add(octets)
                        await stream.write_out()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise

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
