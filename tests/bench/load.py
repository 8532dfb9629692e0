"""SOA queries in open loop: one each millisecond, whatever becomes of the earlier ones.

A process of its own. Latency counts from the time a query was due, not from when it was sent, so
that a stall shows in every query that falls into it. A query that gets no answer counts as
infinite.
"""

from __future__ import annotations

import json
import math
import os
import select
import socket
import struct
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from tests.bench.drain import soa_query

_GRACE = 2.0  # seconds for the last answers


class Load:
    """Queries in the background; `finish` ends them and returns each latency in seconds."""

    def __init__(self, address: str, port: int, rate: int = 1000) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load", address, str(port), str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has sent its first query

    def finish(self) -> list[float]:
        out, _ = self._process.communicate("\n", timeout=30)
        return [math.inf if value is None else value for value in json.loads(out)]

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


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def run(address: str, port: int, rate: int) -> list[float | None]:
    """Ask until a line comes on stdin; then wait for what is still out."""
    due: list[float] = []
    done: list[float | None] = []
    waiting: dict[int, int] = {}
    query = bytearray(soa_query())
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
                struct.pack_into("!H", query, 0, number & 0xFFFF)
                try:
                    sock.send(query)
                except OSError:
                    pass  # no answer will come, which is how it is counted
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
                number_or_none = waiting.pop(int.from_bytes(answer[:2], "big"), None)
                if number_or_none is not None and answer[3] & 15 == 0:
                    done[number_or_none] = time.monotonic() - due[number_or_none]
    return done


def main() -> None:
    try:
        os.nice(-10)  # measured is the server, not who waits for a core to ask it
    except PermissionError:
        pass
    address, port, rate = sys.argv[1:]
    print(json.dumps(run(address, int(port), int(rate))))


if __name__ == "__main__":
    main()
