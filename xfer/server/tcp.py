"""TCP: one task per connection, pipelined requests, answers as they are ready (RFC 7766).

A transfer runs beside the connection's other requests, so an SOA query behind it is answered at
once; messages of several answers may mix, each whole (RFC 5936 §4.1.2). Idle time counts only while
nothing is being sent, and is what edns-tcp-keepalive announces (RFC 7828). Where there are too many
connections, a new one takes the place of the one without a transfer whose last request is longest
ago (RFC 7766 §6.2.3), so nobody can hold them all.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable

import attrs
import trio

from xfer.peers import IPAddress
from xfer.server.dispatch import Dispatcher
from xfer.server.handled import Notified, Transfer

MIN_REQUEST = 12
READ = 65_536
PIPELINED = 64  # transfers of one connection that run or wait at once

BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)

Write = Callable[[bytes], Awaitable[None]]
RunTransfer = Callable[[Transfer, Write], Awaitable[None]]


@attrs.define(eq=False)
class TcpService:
    """What connections share.

    idle: seconds a connection may stay silent; stall: seconds a client may take over one answer;
    run_transfer: sends a transfer through `write` and never raises anything but what a broken
    connection raises; on_notify: told accepted NOTIFYs; clients: connections now.
    """

    dispatcher: Dispatcher
    run_transfer: RunTransfer
    on_notify: Callable[[Notified], None]
    idle: float
    stall: float
    max_clients: int
    clients: int = 0
    _silent: dict[_Connection, None] = attrs.Factory(dict)  # longest silent first

    async def serve(self, stream: trio.abc.Stream, client: IPAddress) -> None:
        """Answer one connection until it ends; closes it."""
        if self.clients >= self.max_clients and not self._make_room():
            await trio.aclose_forcefully(stream)
            return
        self.clients += 1
        connection = _Connection(self, stream, client)
        self.heard(connection)
        try:
            await connection.run()
        except BROKEN:
            pass  # it went away; a transfer on it has logged so
        finally:
            self.clients -= 1
            self._silent.pop(connection, None)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    def heard(self, connection: _Connection) -> None:
        """The connection has just sent a request."""
        self._silent.pop(connection, None)
        self._silent[connection] = None

    def _make_room(self) -> bool:
        for connection in self._silent:
            if not connection.transferring:
                del self._silent[connection]
                connection.scope.cancel()
                return True
        return False


class _Connection:
    def __init__(self, service: TcpService, stream: trio.abc.Stream, client: IPAddress) -> None:
        self._service = service
        self._stream = stream
        self._client = client
        self._writing = trio.Lock()
        self._running = 0
        self._buffer = bytearray()
        self._room = trio.Event()
        self._active = trio.current_time()
        self.scope = trio.CancelScope()

    @property
    def transferring(self) -> bool:
        """Whether a transfer runs or waits on it."""
        return self._running > 0

    async def run(self) -> None:
        try:
            with self.scope:
                await self._serve()
        except BaseExceptionGroup as group:
            # Reader and writer may find the connection broken in the same moment.
            broken, rest = group.split(BROKEN)
            if broken is None or rest is not None:
                raise
            raise trio.BrokenResourceError(str(broken)) from None

    async def _serve(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                message = await self._next()
                if message is None:
                    break
                self._service.heard(self)
                await self._answer(message, nursery)
            if self._running == 0:
                nursery.cancel_scope.cancel()

    async def _next(self) -> bytes | None:
        """The next request; None at the end, and where the client went silent or sends rubbish."""
        buffer = self._buffer
        while True:
            if len(buffer) >= 2:
                size = buffer[0] << 8 | buffer[1]
                if size < MIN_REQUEST:
                    return None
                if len(buffer) >= 2 + size:
                    message = bytes(buffer[2 : 2 + size])
                    del buffer[: 2 + size]
                    return message
            self._active = trio.current_time()
            data = await self._receive()
            if not data:
                return None
            buffer += data

    async def _receive(self) -> bytes | bytearray:
        """What comes next; nothing at the end, and where the client was silent for too long: since
        it sent something, got its answer, or a transfer of it ended (RFC 7828)."""
        while True:
            with trio.move_on_at(self._active + self._service.idle):
                return await self._stream.receive_some(READ)
            if self._running:
                self._active = trio.current_time()
            elif self._active + self._service.idle <= trio.current_time():
                return b""

    async def _answer(self, message: bytes, nursery: trio.Nursery) -> None:
        handled = self._service.dispatcher.handle(message, self._client, True)
        if handled.reply is not None:
            reply = struct.pack("!H", len(handled.reply)) + handled.reply
            with trio.move_on_after(self._service.stall) as scope:
                await self._write(reply)
            if scope.cancelled_caught:
                raise trio.BrokenResourceError("the client takes no answer")
        if isinstance(handled.work, Notified):
            self._service.on_notify(handled.work)
        elif isinstance(handled.work, Transfer):
            while self._running >= PIPELINED:
                self._room = trio.Event()
                await self._room.wait()
            self._running += 1
            nursery.start_soon(self._transfer, handled.work)

    async def _transfer(self, transfer: Transfer) -> None:
        try:
            await self._service.run_transfer(transfer, self._write)
        finally:
            self._running -= 1
            self._active = trio.current_time()
            self._room.set()

    async def _write(self, octets: bytes) -> None:
        async with self._writing:
            await self._stream.send_all(octets)
