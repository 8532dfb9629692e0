"""The changing primary: serves SOA and IXFR from ready-made records, and tells of each change.

A process of its own, quick enough not to be what is measured. It sends version 1 of a zone as the
replay does (AXFR, once a secondary starts empty); then every `edit` changes the address of some
hosts and the serial, and sends NOTIFY to the `target`. Once the zone was changed there is no AXFR
any more: who asks for it gets REFUSED, and the run fails by that. Commands come as lines on stdin,
one line of JSON answers each:

    target ADDRESS PORT   where NOTIFY goes from now on
    edit N                change N hosts; answers [serial, the moment on the monotonic clock from
                          which the new serial is served, before NOTIFY is sent]
    report                [[kind, seconds], …] since the last report; kinds: soa, ixfr, axfr,
                          refused
"""

from __future__ import annotations

import gc
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.bench import zone
from tests.bench.signing import Signer
from tests.peers import Remote, TsigKey, free_port

_ANSWER = 0x8400  # QR, AA
_NOTIFY = 0x2400  # opcode NOTIFY, AA
_REFUSED = 5
_AXFR, _IXFR = 252, 251
_HOSTS = 2000
_MESSAGE = 16_000
_UDP_ROOM = 1100

Delta = tuple[list[bytes], list[bytes]]
"""Records removed and added, SOA left out; each with its owner's first label and a pointer."""


def hosts(count: int) -> list[tuple[bytes, int]]:
    """Up to 2,000 hosts, evenly over a zone of `count` records: first label, first address."""
    found: list[tuple[bytes, int]] = []
    last = ""
    for owner, rtype, before, _ in zone.records(count):
        if rtype == zone.A and owner.startswith("host-") and owner != last:
            last = owner
            found.append((bytes([len(owner)]) + owner.encode(), int.from_bytes(before, "big")))
    return found[:: max(1, len(found) // _HOSTS)][:_HOSTS]


def address_record(label: bytes, address: int) -> bytes:
    return label + struct.pack("!HHHIHI", 0xC00C, zone.A, 1, zone.TTL, 4, address)


class Primary:
    """The serving side, inside the process."""

    def __init__(self, address: str, port: int, key: TsigKey, file: Path, count: int) -> None:
        self._key = key
        self._whole = zone.read_messages(file)
        self._hosts = hosts(count)
        random.Random(8).shuffle(self._hosts)
        self._next = 0
        self.version = 1
        self._deltas: list[Delta] = []  # number n leads from version n + 1 to the next
        self.events: list[tuple[str, float]] = []
        self.target: tuple[str, int] | None = None
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, port))
        self._notify = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._notify.bind((address, 0))
        self._tcp = socket.create_server((address, port), backlog=64)
        for work in (self._serve_udp, self._accept):
            threading.Thread(target=work, daemon=True).start()

    def edit(self, changes: int) -> tuple[int, float]:
        removed, added = [], []
        for _ in range(changes):
            at = self._next % len(self._hosts)
            label, old = self._hosts[at]
            new = 0xCB000000 + self._next
            self._hosts[at] = (label, new)
            self._next += 1
            removed.append(address_record(label, old))
            added.append(address_record(label, new))
        self._deltas.append((removed, added))
        notify = b""
        version = self.version + 1
        if self.target is not None:
            body = zone.QUESTION_NAME + struct.pack("!HH", zone.SOA, 1) + zone.soa_record(version)
            notify = Signer(self._key).sign(version & 0xFFFF, _NOTIFY, (1, 1, 0), body)[2:]
        when = time.monotonic()
        self.version = version
        if self.target is not None:
            self._notify.sendto(notify, self.target)
        return zone.serial_of(version), when

    def _serve_udp(self) -> None:
        while True:
            wire, sender = self._udp.recvfrom(65535)
            answer = b"".join(self._answer(wire, udp=True))
            self._udp.sendto(answer[2:], sender)

    def _accept(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            threading.Thread(target=self._serve_tcp, args=[connection], daemon=True).start()

    def _serve_tcp(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            buffer = b""
            try:
                while part := connection.recv(65536):
                    buffer += part
                    while len(buffer) > 2 and len(buffer) >= (end := 2 + _short(buffer, 0)):
                        connection.sendall(b"".join(self._answer(buffer[2:end], udp=False)))
                        buffer = buffer[end:]
            except OSError:
                return  # the secondary hung up

    def _answer(self, wire: bytes, *, udp: bool) -> Iterator[bytes]:
        """The answer to one request, each message with its length in front."""
        at = 12 + len(zone.QUESTION_NAME)
        qtype = _short(wire, at)
        question = zone.QUESTION_NAME + struct.pack("!HH", qtype, 1)
        # All requests are signed with our key: the MAC stands before the TSIG's last six octets.
        signer = Signer(self._key, wire[-38:-6])
        message_id = _short(wire, 0)
        version = self.version
        soa = zone.soa_record(version)
        if qtype == _AXFR and version > 1:
            self._note("refused")
            yield signer.sign(message_id, _ANSWER | _REFUSED, (1, 0, 0), question)
        elif qtype == _AXFR:
            self._note("axfr")
            for count, body in self._whole:
                yield signer.sign(message_id, _ANSWER, (1, count, 0), body)
        elif qtype == _IXFR:
            self._note("ixfr")
            records = [soa, *self._differences(_serial_of_request(wire, at + 4), version)]
            if udp and sum(map(len, records)) > _UDP_ROOM:
                records = [soa]
            for number, piece in enumerate(_pieces(records)):
                # The question is in the first message only, as BIND does.
                assert number == 0 or not udp
                yield signer.sign(
                    message_id, _ANSWER, (1, len(piece), 0), question + b"".join(piece)
                )
        else:
            self._note("soa")
            yield signer.sign(message_id, _ANSWER, (1, 1, 0), question + soa)

    def _differences(self, serial: int, version: int) -> Iterator[bytes]:
        since = serial - zone.serial_of(0)
        for number in range(since, version):
            removed, added = self._deltas[number - 1]
            yield zone.soa_record(number)
            yield from removed
            yield zone.soa_record(number + 1)
            yield from added
        if since < version:
            yield zone.soa_record(version)

    def _note(self, kind: str) -> None:
        self.events.append((kind, time.monotonic()))


def _short(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _serial_of_request(wire: bytes, at: int) -> int:
    """The serial in the SOA of the authority section, which begins at `at`."""
    while wire[at] and wire[at] < 0xC0:
        at += wire[at] + 1
    at += 2 if wire[at] else 1
    end = at + 10 + _short(wire, at + 8)
    return int.from_bytes(wire[end - 20 : end - 16], "big")


def _pieces(records: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The records in runs that fit into a message each."""
    piece: list[bytes] = []
    size = 0
    for record in records:
        if size + len(record) > _MESSAGE:
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += len(record)
    yield piece


class Changing:
    """The process, as the benchmark drives it: `file` holds the messages of version 1."""

    def __init__(self, key: TsigKey, file: Path, count: int, address: str = "127.0.0.1") -> None:
        self.key = key
        self.remote = Remote(address, free_port(address), key)
        arguments = {
            "address": address,
            "port": self.remote.port,
            "key": [key.name, key.algorithm, key.secret],
            "file": str(file),
            "count": count,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.changing", json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.events()  # returns once it listens

    def _ask(self, command: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def tell(self, remote: Remote | None) -> None:
        """Send NOTIFY there from now on; None: to nobody."""
        self._ask(f"target {remote.address} {remote.port}" if remote else "target")

    def edit(self, changes: int = 1) -> tuple[int, float]:
        """Change that many hosts; the new serial and the moment it was served from."""
        serial, when = self._ask(f"edit {changes}")
        return int(serial), float(when)

    def events(self) -> list[tuple[str, float]]:
        """(kind, monotonic seconds) since the last call."""
        return [(kind, when) for kind, when in self._ask("report")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def main() -> None:
    arguments = json.loads(sys.argv[1])
    primary = Primary(
        arguments["address"],
        arguments["port"],
        TsigKey(*arguments["key"]),
        Path(arguments["file"]),
        arguments["count"],
    )
    gc.freeze()
    sys.setswitchinterval(0.0005)
    for line in sys.stdin:
        answer: object = None
        match line.split():
            case ["target", address, port]:
                primary.target = (address, int(port))
            case ["target"]:
                primary.target = None
            case ["edit", number]:
                answer = primary.edit(int(number))
            case _:
                answer, primary.events = primary.events, []
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
