"""The clients of the benchmark that ask in open loop, as processes, against a socket of ours."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import dns.message
import pytest

from tests.bench.load import Load
from tests.bench.replacing import Addresses, Watch, addresses

ENOUGH = 60


class Answering:
    """Answers queries from a thread; `enough` is set once there were as many as that."""

    def __init__(self, answer: Callable[[int, bytes], bytes]) -> None:
        self.enough = threading.Event()
        self.asked: list[bytes] = []
        self._answer = answer
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind(("127.0.0.1", 0))
        self.at: tuple[str, int] = self.sock.getsockname()

    def run(self) -> None:
        while True:
            query, sender = self.sock.recvfrom(4096)
            if not query:
                return
            self.asked.append(query)
            self.sock.sendto(self._answer(len(self.asked) - 1, query), sender)
            if len(self.asked) >= ENOUGH:
                self.enough.set()


@contextlib.contextmanager
def answering(answer: Callable[[int, bytes], bytes]) -> Iterator[Answering]:
    made = Answering(answer)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", made.at)
        thread.join()
        made.sock.close()


def answered(query: bytes, *hosts: str) -> bytes:
    """Spliced, not made by dnspython: a thread under load has to keep up."""
    head = query[:2] + struct.pack("!5H", 0x8400, 1, len(hosts), 0, 0)
    record = struct.pack("!3HIH", 0xC00C, 1, 1, 300, 4)
    return head + query[12:] + b"".join(record + socket.inet_aton(host) for host in hosts)


def test_each_query_has_its_latency_and_an_error_is_no_answer() -> None:
    def answer(number: int, query: bytes) -> bytes:
        rcode = b"\x02" if number % 3 == 0 else b"\x00"
        return query[:2] + b"\x84" + rcode + query[4:]

    with answering(answer) as server, Load(*server.at) as load:
        assert server.enough.wait(30)
        found = load.finish()
    assert len(found) == len(server.asked)
    ids = [int.from_bytes(query[:2], "big") for query in server.asked]
    assert ids == list(range(len(ids)))
    assert [math.isinf(value) for value in found] == [number % 3 == 0 for number in ids]


def test_versions_and_mixed_answers_are_counted_apart_from_latencies() -> None:
    def answer(number: int, query: bytes) -> bytes:
        if number % 10 == 0:
            return answered(query, "10.0.0.1", "10.0.0.2")
        last = 1 if number % 3 else 9
        return answered(query, f"10.0.0.{last}", f"10.0.0.{255 - last}")

    with answering(answer) as server, Watch(*server.at, 100) as watch:
        assert server.enough.wait(30)
        found = watch.finish()
    assert len(found["latencies"]) == len(server.asked)
    assert None not in found["latencies"]
    assert found["mixed"] == len(range(0, len(server.asked), 10))
    assert found["versions"] == 2


@pytest.mark.parametrize("number", [0, 1, 70_000])
def test_asked_for_are_the_addresses_of_a_host_that_changes(number: int) -> None:
    asked = Addresses(1000)
    query = b"\0\0" + asked.make(number)
    (question,) = dns.message.from_wire(query).question
    assert question.to_text().endswith(" IN A")
    host = int(question.name.labels[0][5:])
    assert host % 100 == 0 and host < 1000
    answer = answered(query, "10.0.0.1", "10.0.0.254")
    assert len(addresses(answer)) == 2
    assert asked.took(number, answer)
    assert (asked.mixed, asked.versions) == (0, 1)
