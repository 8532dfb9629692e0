"""Zones answered on loopback sockets: over UDP by both ways to an answer, over TCP by the long."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

from tests.peers.ports import free_port
from tests.server.fakes import table
from xfer.peers import address_of
from xfer.server.answers import Answers
from xfer.server.dispatch import Dispatcher
from xfer.server.zones import Zone


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


class Listening:
    """Answers for zones until it is left; address: where."""

    def __init__(self, *zones: Zone, host: str = "127.0.0.1") -> None:
        self.address = host, free_port(host)
        clock = SystemClock()
        self.dispatcher = Dispatcher(table(*zones), {}, clock)
        self.answers = Answers(self.dispatcher, clock, lambda work: None, 1 << 20)
        self._end, self._ended = socket.socketpair()
        self._thread = threading.Thread(target=self._run)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.create_server(self.address)

    def __enter__(self) -> Self:
        self._udp.bind(self.address)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.close()
        self._thread.join()
        for sock in (self._udp, self._tcp, self._ended):
            sock.close()

    def _run(self) -> None:
        streams: dict[socket.socket, str] = {}
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._ended, *streams], [], [])
            if self._ended in ready:
                break
            if self._udp in ready:
                message, client = self._udp.recvfrom(65_535)
                reply = self.answers.answer(message, client[0], time.monotonic())
                if reply is not None:
                    self._udp.sendto(reply, client)
            if self._tcp in ready:
                stream, client = self._tcp.accept()
                streams[stream] = client[0]
            for stream in [stream for stream in streams if stream in ready]:
                if not self._serve(stream, streams[stream]):
                    stream.close()
                    del streams[stream]
        for stream in streams:
            stream.close()

    def _serve(self, stream: socket.socket, client: str) -> bool:
        """A query on a connection, which is small and comes in one piece; False at its end."""
        with contextlib.suppress(OSError, struct.error):
            while whole := stream.recv(65_535):
                while whole:
                    (size,) = struct.unpack_from("!H", whole)
                    message, whole = whole[2 : 2 + size], whole[2 + size :]
                    reply = self.dispatcher.handle(message, address_of(client), True).reply
                    if reply is not None:
                        stream.sendall(struct.pack("!H", len(reply)) + reply)
                return True
        return False
