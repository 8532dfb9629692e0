"""Asks many queries at once over plain sockets: UDP with a window, TCP pipelined.

Every query has its place's number as ID, so that answers may come in any order.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence

from tests.answers.message import SOA, Query, Record, records_of

WINDOW = 64
TRIES = 4


class NoAnswer(Exception):
    """A query that stayed without an answer after all tries."""


def ask(address: str, port: int, queries: Sequence[Query]) -> list[bytes]:
    """The answers in the queries' order; at most 60,000 queries at a time."""
    answers: dict[int, bytes] = {}
    datagrams = [number for number, query in enumerate(queries) if not query.tcp]
    streams = [number for number, query in enumerate(queries) if query.tcp]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.connect((address, port))
        for start in range(0, len(datagrams), WINDOW):
            _batch(sock, queries, datagrams[start : start + WINDOW], answers)
    for start in range(0, len(streams), WINDOW):
        _stream(address, port, queries, streams[start : start + WINDOW], answers)
    return [answers[number] for number in range(len(queries))]


def _batch(
    sock: socket.socket, queries: Sequence[Query], numbers: list[int], answers: dict[int, bytes]
) -> None:
    for attempt in range(TRIES):
        waiting = {number for number in numbers if number not in answers}
        for number in waiting:
            sock.send(queries[number].wire(number))
        deadline = time.monotonic() + 1.0 * (attempt + 1)
        while waiting and (left := deadline - time.monotonic()) > 0:
            if not select.select([sock], [], [], left)[0]:
                break
            wire = sock.recv(65535)
            number = int.from_bytes(wire[:2], "big")
            if number in waiting:
                answers[number] = wire
                waiting.discard(number)
        if not waiting:
            return
    raise NoAnswer(f"no answer over UDP: {queries[min(waiting)]} and {len(waiting) - 1} others")


def _stream(
    address: str,
    port: int,
    queries: Sequence[Query],
    numbers: list[int],
    answers: dict[int, bytes],
) -> None:
    frames = []
    for number in numbers:
        wire = queries[number].wire(number)
        frames.append(struct.pack("!H", len(wire)) + wire)
    with socket.create_connection((address, port), 20) as sock:
        sock.sendall(b"".join(frames))
        waiting = set(numbers)
        while waiting:
            try:
                wire = read_frame(sock)
            except OSError as error:
                raise NoAnswer(
                    f"no answer over TCP ({error}): {queries[min(waiting)]} "
                    f"and {len(waiting) - 1} others"
                ) from None
            number = int.from_bytes(wire[:2], "big")
            waiting.discard(number)
            answers[number] = wire


def read_frame(sock: socket.socket) -> bytes:
    """One message of a TCP stream; raises OSError where the stream ends."""
    (length,) = struct.unpack("!H", _exactly(sock, 2))
    return _exactly(sock, length)


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(size - len(parts))
        if not part:
            raise OSError(f"the connection ended, {len(parts)} of {size} octets")
        parts += part
    return bytes(parts)


def transfer(address: str, port: int, zone: bytes) -> list[Record]:
    """The zone's records by AXFR, the closing SOA left out."""
    wire = Query(zone, 252).wire(1)
    found: list[Record] = []
    with socket.create_connection((address, port), 60) as sock:
        sock.sendall(struct.pack("!H", len(wire)) + wire)
        while sum(record.rtype == SOA for record in found) < 2:
            part = records_of(read_frame(sock))
            if not part:
                raise NoAnswer(f"AXFR of {zone!r}: an answer without records")
            found += part
    return found[:-1]
