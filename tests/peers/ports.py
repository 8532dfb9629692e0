"""Ports for servers on loopback, each handed out to one test only.

Between the moment a port is found free and the one when its server listens there, nothing shows
that it is taken: other tests that run at that time, and the same one, must not be given it. So each
process of tests has ports of its own, and goes through them in turn.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
import threading
from collections.abc import Iterator
from typing import Final

# Below the range that the kernel hands out for connections; bind-lab/bindlab.py has those above.
_FIRST: Final = 10_000
_OWN: Final = 400  # ports of a process
_PROCESSES: Final = 25

_choosing = threading.Lock()
_ports: dict[int, Iterator[int]] = {}  # by process id: those of a fork are others


class NoPort(Exception):
    """No port is to be had."""


def free_port(address: str) -> int:
    """A port free for TCP and UDP, which no other process of tests gets while this one lives."""
    with _choosing:
        turn = _ports.get(os.getpid()) or _ports.setdefault(os.getpid(), _own())
        for port in itertools.islice(turn, _OWN):
            try:
                with (
                    socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
                ):
                    tcp.bind((address, port))
                    udp.bind((address, port))
            except OSError:
                continue
            return port
    raise NoPort(f"none of {_OWN} ports is free on {address}")


def _own() -> Iterator[int]:
    """Ports that are this process's from now on, in turn, without end."""
    for number in range(_PROCESSES):
        # A name that is there as long as the process, and where the ports are: in its network.
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0xfer-test-ports-{number}")
        except OSError:
            mark.close()
            continue
        mark.detach()  # never closed
        first, begin = _FIRST + number * _OWN, random.randrange(_OWN)
        return (first + at % _OWN for at in itertools.count(begin))
    raise NoPort(f"{_PROCESSES} other processes of tests have all ports from {_FIRST} on")
