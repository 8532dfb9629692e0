"""The receiving end of sender rows: reads an AXFR as fast as it comes, and only counts.

It walks the frames (two octets of length, ANCOUNT in the header) without looking at records; the
last message must hold the closing SOA and be signed, which is looked at after the clock stopped.
"""

from __future__ import annotations

import socket
import struct
import time

import attrs

from tests.bench import zone
from tests.bench.signing import Signer
from tests.peers import Remote, TsigKey

_BUFFER = 1 << 20


@attrs.frozen
class Drained:
    """One transfer: seconds from the request to the last octet, frames and octets."""

    seconds: float
    messages: int
    octets: int


class DrainFailed(Exception):
    """The transfer was not what was asked for."""


def soa_query(message_id: int = 1) -> bytes:
    """An unsigned SOA query for the zone."""
    question = zone.QUESTION_NAME + struct.pack("!HH", zone.SOA, 1)
    return struct.pack("!6H", message_id, 0, 1, 0, 0, 0) + question


def serial_in(answer: bytes) -> int | None:
    """The serial in an answer to `soa_query`, None where it holds no SOA."""
    at = 12 + len(zone.QUESTION_NAME) + 4
    if len(answer) < at + 12 or answer[6:8] == b"\0\0":
        return None
    while answer[at] and answer[at] < 0xC0:
        at += answer[at] + 1
    at += 2 if answer[at] else 1
    rtype, _, _, length = struct.unpack_from("!HHIH", answer, at)
    if rtype != zone.SOA:
        return None
    serial: int = struct.unpack_from("!I", answer, at + 10 + length - 20)[0]
    return serial


def wait_served(address: str, port: int, serial: int, timeout: float = 120.0) -> float:
    """Ask each 2 ms until `serial` is answered; when that was, on the monotonic clock."""
    query = soa_query()
    deadline = time.monotonic() + timeout
    seen: int | None = None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        sock.connect((address, port))
        while time.monotonic() < deadline:
            try:
                sock.send(query)
                seen = serial_in(sock.recv(4096))
            except OSError:
                seen = None
            if seen == serial:
                return time.monotonic()
            time.sleep(0.002)
    raise DrainFailed(f"expected serial {serial} within {timeout} s, got {seen}")


def drain(server: Remote, key: TsigKey, count: int) -> Drained:
    """Transfer the zone, which must have `count` records (and the closing SOA)."""
    question = zone.QUESTION_NAME + struct.pack("!HH", 252, 1)
    request = Signer(key).sign(4711, 0, (1, 0, 0), question)
    buffer = bytearray(_BUFFER)
    view = memoryview(buffer)
    answers = messages = octets = filled = 0
    last = b""
    with socket.create_connection((server.address, server.port)) as sock:
        sock.settimeout(120)
        # A server that waits for our acknowledgement (Nagle) would be charged for our delay.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        start = time.monotonic()
        sock.sendall(request)
        while answers < count + 1:
            size = sock.recv_into(view[filled:])
            if size == 0:
                raise DrainFailed(f"closed after {answers} of {count + 1} records")
            octets += size
            filled += size
            at = 0
            while filled - at >= 2:
                end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
                if end > filled:
                    break
                answers += buffer[at + 8] << 8 | buffer[at + 9]
                messages += 1
                if buffer[at + 5] & 15:
                    raise DrainFailed(f"rcode {buffer[at + 5] & 15} in message {messages}")
                if answers > count:
                    last = bytes(view[at:end])
                at = end
            view[: filled - at] = view[at:filled]
            filled -= at
        seconds = time.monotonic() - start
    _check_end(last, answers, count)
    return Drained(seconds, messages, octets)


def _check_end(last: bytes, answers: int, count: int) -> None:
    if answers != count + 1:
        raise DrainFailed(f"expected {count + 1} records, got {answers}")
    additional = struct.unpack_from("!H", last, 12)[0]
    if additional == 0 or b"\x0bhmac-sha256\0" not in last[-120:]:
        raise DrainFailed("the last message is not signed")
    timers = struct.pack("!4I", 86400, 7200, 3600000, 3600)
    if timers not in last:
        raise DrainFailed("the last message does not hold the closing SOA")
