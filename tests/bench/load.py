"""Queries in open loop: one each millisecond, whatever becomes of the earlier ones.

A process of its own, until a line comes on its stdin. Latency counts from the time a query was
due, not from when it was sent, so that a stall shows in every query that falls into it. A query
that gets no answer counts as infinite. Asked for is here the zone's SOA; `replacing.py` asks for
more.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.bench.drain import soa_query

RATE = 1000  # queries per second
_GRACE = 3.0  # seconds for the last answers


class Client:
    """A module of this package that asks in the background, started with these arguments; it
    calls `ask`, and prints what it found as JSON."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has begun

    def end(self) -> Any:
        """End it; what it found."""
        out, _ = self._process.communicate("\n", timeout=60)
        return json.loads(out)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Load(Client):
    """Queries for the SOA; `finish` ends them and returns each latency in seconds."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__("tests.bench.load", address, port)

    def finish(self) -> list[float]:
        return latencies_of(self.end())


def latencies_of(found: list[float | None]) -> list[float]:
    """What `ask` found, infinite where no answer came."""
    return [math.inf if value is None else value for value in found]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ask(
    address: str,
    port: int,
    make: Callable[[int], bytes],
    took: Callable[[int, bytes], bool],
    rate: float = RATE,
) -> list[float | None]:
    """Ask until a line comes on stdin; then wait for what is still out.

    make: the query of a number, what follows its ID; took: is given the number and the whole
    answer, and says whether it is one. Returns each query's latency in seconds, None without
    answer.
    """
    due: list[float] = []
    done: list[float | None] = []
    waiting: dict[int, int] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.connect((address, port))
        start = time.monotonic()
        stop = math.inf
        print("started", flush=True)
        while time.monotonic() < stop + _GRACE and (waiting or stop == math.inf):
            now = time.monotonic()
            while stop == math.inf and start + len(due) / rate <= now:
                number = len(due)
                due.append(start + number / rate)
                done.append(None)
                waiting[number & 0xFFFF] = number
                # Where it cannot be sent no answer will come, which is how it is counted.
                with contextlib.suppress(OSError):
                    sock.send(struct.pack("!H", number & 0xFFFF) + make(number))
            timeout = start + len(due) / rate - now if stop == math.inf else 0.05
            watched = [sock, sys.stdin] if stop == math.inf else [sock]
            ready, _, _ = select.select(watched, [], [], max(0.0, timeout))
            if sys.stdin in ready:
                stop = time.monotonic()
            while True:
                try:
                    answer = sock.recv(4096)
                except OSError:
                    break
                now = time.monotonic()
                asked = waiting.pop(int.from_bytes(answer[:2], "big"), None)
                if asked is not None and took(asked, answer):
                    done[asked] = now - due[asked]
    return done


def ahead() -> None:
    """Have this process go before others, where we may: measured is the server, not who waits for
    a core to ask it."""
    with contextlib.suppress(PermissionError):
        os.nice(-10)


def main() -> None:
    ahead()
    address, port = sys.argv[1:]
    query = soa_query()[2:]
    found = ask(address, int(port), lambda _: query, lambda _, answer: answer[3] & 15 == 0)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
