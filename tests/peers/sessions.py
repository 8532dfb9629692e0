"""The processes of a server, from /proc: those of its session, also where their parent has gone."""

from __future__ import annotations

import os
from typing import NamedTuple


class Process(NamedTuple):
    """What /proc/PID/stat says. ticks: CPU time, user and system; ended: nobody asked for its exit
    status yet."""

    parent: int
    session: int
    ticks: int
    ended: bool


def read(path: str) -> bytes:
    """A file of /proc, empty where its process has gone."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - called a thousand times a second
            return file.read()
    except OSError:
        return b""


def process(pid: int) -> Process | None:
    """The process of this id, None where there is none."""
    stat = read(f"/proc/{pid}/stat")
    fields = stat[stat.rfind(b")") + 2 :].split()
    if not fields:
        return None
    return Process(
        int(fields[1]), int(fields[3]), int(fields[11]) + int(fields[12]), fields[0] in b"ZX"
    )


def pids() -> list[int]:
    """All processes there are."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def processes(session: int) -> list[int]:
    """The processes of a session that run: the ids, in no order."""
    found = [(pid, process(pid)) for pid in pids()]
    return [pid for pid, one in found if one and one.session == session and not one.ended]
