"""Time, injected: the only module below `server/` that reads a clock (DESIGN §3).

Monotonic time orders and limits work while running; wall time only stamps what is signed or
restored after a restart.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the engine asks for the time."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, from an arbitrary start."""

    def wall(self) -> float:
        """Unix time in seconds; may jump."""


class SystemClock:
    """The operating system's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


def utc(at: float) -> str:
    """A wall time as text for people who may be anywhere: "2026-11-22T07:00:00Z"."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
