"""Clients that ask over UDP as fast as they are answered, and what becomes of their queries."""

from __future__ import annotations

import random
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence

from tests.peers.beside import Beside

PATIENCE = 2.0  # seconds until a query counts as lost


def query(number: int, name: str, rtype: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return struct.pack("!6H", number, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", rtype, 1)


def ask(address: tuple[str, int], name: str, rtype: int) -> bytes | None:
    """One question from a port of its own; None where no answer comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(address)
        sock.send(query(random.randrange(65536), name, rtype))
        try:
            return sock.recv(4096)
        except (TimeoutError, ConnectionError):
            return None


class Asking(Beside):
    """So many clients in a thread, each with one query at a time.

    answers: how often each answer came, by its octets after the ID; seconds: how long each took;
    lost: queries without an answer.
    """

    def __init__(
        self, address: tuple[str, int], questions: Sequence[tuple[str, int]], clients: int = 24
    ) -> None:
        super().__init__()
        self._address = address
        self._questions = [query(0, *question)[2:] for question in questions]
        self._clients = clients
        self.answers: Counter[bytes] = Counter()
        self.seconds: list[float] = []
        self.lost = 0

    def percentile(self, share: float) -> float:
        """Seconds that `share` of the answers did not exceed."""
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]

    def _run(self) -> None:
        out: dict[socket.socket, tuple[bytes, float]] = {}
        turn = 0

        def send(sock: socket.socket) -> None:
            nonlocal turn
            turn += 1
            number = struct.pack("!H", turn & 0xFFFF)
            out[sock] = number, time.monotonic()
            sock.send(number + self._questions[turn % len(self._questions)])

        with selectors.DefaultSelector() as selector:
            for _ in range(self._clients):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.connect(self._address)
                selector.register(sock, selectors.EVENT_READ)
                send(sock)
            while out:
                stopping = self._stop.is_set()
                for key, _ in selector.select(0.05):
                    sock = key.fileobj  # type: ignore[assignment]
                    number, began = out[sock]
                    octets = sock.recv(4096)
                    if octets[:2] != number:
                        continue
                    self.seconds.append(time.monotonic() - began)
                    self.answers[octets[2:]] += 1
                    del out[sock]
                    if not stopping:
                        send(sock)
                late = time.monotonic() - PATIENCE
                for sock in [sock for sock, (_, began) in out.items() if began < late]:
                    self.lost += 1
                    del out[sock]
                    if not stopping:
                        send(sock)
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
