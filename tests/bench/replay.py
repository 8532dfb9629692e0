"""The fast sender: a primary that replays ready-made AXFR messages, signing them per request.

A process of its own. It answers SOA (UDP, TCP), AXFR, and IXFR in the form of an AXFR. Commands
come as lines on stdin, one line of JSON answers each:

    use N       serve version N from now on
    report      [[kind, seconds], …] since the last report; kinds: soa, transfer,
                generated (signed the last message), sent (the kernel has taken it);
                seconds on the system's monotonic clock
"""

from __future__ import annotations

import gc
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dns.message
import dns.name
import dns.rdatatype
import dns.tsig

from tests.bench import zone
from tests.bench.signing import Signer
from tests.peers import Remote, TsigKey, free_port

_JOIN = 200_000
_ANSWER = 0x8400  # QR, AA


class Primary:
    """The serving side, inside the replay's process."""

    def __init__(self, address: str, port: int, key: TsigKey, files: dict[int, Path]) -> None:
        self._key = key
        name = dns.name.from_text(key.name)
        self._keyring = {name: dns.tsig.Key(name, key.secret, key.algorithm)}
        self._versions = {number: zone.read_messages(path) for number, path in files.items()}
        self.version = min(files)
        self.events: list[tuple[str, float]] = []
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, port))
        self._tcp = socket.create_server((address, port), backlog=64)
        for target in (self._serve_udp, self._accept):
            threading.Thread(target=target, daemon=True).start()

    def _note(self, kind: str) -> None:
        self.events.append((kind, time.monotonic()))

    def _serve_udp(self) -> None:
        while True:
            wire, sender = self._udp.recvfrom(65535)
            answer = next(self._answer(wire))
            self._udp.sendto(answer[2:], sender)

    def _accept(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            threading.Thread(target=self._serve_tcp, args=[connection], daemon=True).start()

    def _serve_tcp(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while wire := _frame(connection):
                    pending = bytearray()
                    for message in self._answer(wire):
                        pending += message
                        if len(pending) > _JOIN:
                            connection.sendall(pending)
                            pending = bytearray()
                    connection.sendall(pending)
                    self._note("sent")
            except OSError:
                return  # the receiver hung up

    def _answer(self, wire: bytes) -> Iterator[bytes]:
        """The answer to one request, each message with its length in front."""
        request = dns.message.from_wire(wire, keyring=self._keyring)
        signer = Signer(self._key, request.mac or b"")
        qtype = int(request.question[0].rdtype)
        question = zone.QUESTION_NAME + struct.pack("!HH", qtype, 1)
        if qtype in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
            self._note("transfer")
            for count, body in self._versions[self.version]:
                if qtype != dns.rdatatype.AXFR:
                    body = question + body[len(question) :]
                yield signer.sign(request.id, _ANSWER, (1, count, 0), body)
            self._note("generated")
        else:
            self._note("soa")
            record = zone.soa_record(self.version)
            yield signer.sign(request.id, _ANSWER, (1, 1, 0), question + record)


def _frame(connection: socket.socket) -> bytes:
    """One request, or b"" where the connection ends."""
    data = b""
    while len(data) < 2 or len(data) < 2 + struct.unpack_from("!H", data)[0]:
        wanted = 2 if len(data) < 2 else 2 + struct.unpack_from("!H", data)[0]
        part = connection.recv(wanted - len(data))
        if not part:
            return b""
        data += part
    return data[2:]


class Replay:
    """The replay's process, as the benchmark drives it; `versions` are files of messages."""

    def __init__(self, key: TsigKey, versions: dict[int, Path], address: str = "127.0.0.1") -> None:
        self.key = key
        self.remote = Remote(address, free_port(address), key)
        arguments = {
            "address": address,
            "port": self.remote.port,
            "key": [key.name, key.algorithm, key.secret],
            "versions": {str(number): str(path) for number, path in versions.items()},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.replay", json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask("report")  # returns once it listens

    def _ask(self, command: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def use(self, version: int) -> None:
        """Serve this version to whoever asks from now on, and forget the events so far."""
        self._ask(f"use {version}")
        self._ask("report")

    def events(self) -> list[tuple[str, float]]:
        """(kind, monotonic seconds) since the last call or `use`."""
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
        {int(number): Path(path) for number, path in arguments["versions"].items()},
    )
    gc.freeze()
    for line in sys.stdin:
        match line.split():
            case ["use", number]:
                primary.version = int(number)
                answer: object = None
            case _:
                answer, primary.events = primary.events, []
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
