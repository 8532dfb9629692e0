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

from tests.peers.process import free_port
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
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._ended], [], [])
            if self._ended in ready:
                return
            if self._udp in ready:
                message, client = self._udp.recvfrom(65_535)
                reply = self.answers.answer(message, client[0], time.monotonic())
                if reply is not None:
                    self._udp.sendto(reply, client)
            if self._tcp in ready:
                with contextlib.suppress(OSError, struct.error):
                    self._serve(*self._tcp.accept())

    def _serve(self, stream: socket.socket, client: tuple[str, int]) -> None:
        """One connection: small queries come in one piece."""
        with stream:
            stream.settimeout(1.0)
            while whole := stream.recv(65_535):
                (size,) = struct.unpack_from("!H", whole)
                reply = self.dispatcher.handle(
                    whole[2 : 2 + size], address_of(client[0]), True
                ).reply
                if reply is not None:
                    stream.sendall(struct.pack("!H", len(reply)) + reply)
