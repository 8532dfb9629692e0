"""What a peer sends on a TCP connection, until the parser takes it.

The reader stops while a megabyte waits, so that TCP holds back the peer.
"""

from __future__ import annotations

import attrs
import trio

from xfer.server.soa import broken_text

READ = 1 << 17  # octets asked of the socket at once
WAITING = 1 << 20  # octets that may wait for the parser
GO_ON = "the transfer to go on to its closing SOA"


@attrs.frozen
class End:
    """Why nothing more will come from the peer: expected, the start of what came, the hint."""

    expected: str
    got: str
    hint: str = ""


class Intake:
    """The octets of one transfer. idle: seconds without any after which it ends; min_rate: octets
    per second that it must reach after the first `idle` seconds. received: octets so far; end:
    None while more may come."""

    def __init__(self, idle: float, min_rate: int) -> None:
        self.received = 0
        self.end: End | None = None
        self._idle = idle
        self._min_rate = min_rate
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._waited = 0.0  # seconds
        self._wake_parser = trio.Event()
        self._wake_reader = trio.Event()

    async def once(self, stream: trio.abc.Stream) -> None:
        """Until the first octets have come, or it is sure that none will."""
        self.end = await self._piece(stream)

    async def read(self, stream: trio.abc.Stream) -> None:
        """Until the peer sends no more; why is for the parser to say, once it has seen it all."""
        self.end = await self._receive(stream)
        self._wake_parser.set()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._chunks

    @property
    def waiting(self) -> int:
        """Octets that wait."""
        return self._waiting

    def take(self) -> list[bytes]:
        """All that waits, in order."""
        chunks, self._chunks = self._chunks, []
        self._waiting = 0
        self._wake_reader.set()
        return chunks

    async def wait(self, seconds: float) -> None:
        """Until something waits, no more will come, or that time is over."""
        if self._chunks or self.end is not None:
            return
        self._wake_parser = trio.Event()
        with trio.move_on_after(seconds):
            await self._wake_parser.wait()

    async def _receive(self, stream: trio.abc.Stream) -> End:
        while self.end is None:
            if self._waiting >= WAITING:
                self._wake_reader = trio.Event()
                await self._wake_reader.wait()
                continue
            end = await self._piece(stream)
            if end is not None:
                return end
        return self.end

    async def _piece(self, stream: trio.abc.Stream) -> End | None:
        """Read once; why there is no more to come, None where there may be."""
        before = trio.current_time()
        data: bytes | bytearray | None = None
        with trio.move_on_after(self._idle):
            try:
                data = await stream.receive_some(READ)
            except (OSError, trio.BrokenResourceError) as error:
                return End(GO_ON, broken_text(error))
        if data is None:
            return End(
                f"octets within {self._idle:g} s",
                "stopped",
                "the limit is idle_timeout in [limits]",
            )
        if not data:
            return End(GO_ON, "closed")
        # On the peer alone: our own slowness does not count against its rate.
        self._waited += trio.current_time() - before
        self._chunks.append(bytes(data))
        self._waiting += len(data)
        self.received += len(data)
        self._wake_parser.set()
        if self._waited > self._idle and self.received < self._min_rate * self._waited:
            return End(
                f"{self._min_rate} octets per second",
                f"{self.received / self._waited:.0f}, stopped",
                "the limit is min_rate in [limits]",
            )
        return None
