"""What kinds of transfer a server has received, counted from what it logged itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sized
from typing import TypeVar

import attrs

from tests.peers import events

T = TypeVar("T", bound=Sized)


def at_least(count: int, found: Callable[[], T], timeout: float = 20.0) -> T:
    """What is found in a log as soon as it is so many: a server may have sent a version, or serve
    it, before it says so. After the time what there is then, for the test to be wondered at."""
    deadline = time.monotonic() + timeout
    while len(seen := found()) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return seen


@attrs.frozen
class Counts:
    """Transfers in the order they came: each one's kind, "axfr" or "ixfr"; and the serials."""

    kinds: tuple[str, ...]
    serials: tuple[int, ...]

    @property
    def distinct(self) -> int:
        """How many serials it has had, the first one included."""
        return len(set(self.serials))

    def problem(self) -> str:
        """Where anything but the first transfer was a whole zone; "" where all is as it should."""
        wrong = [
            f"transfer {at + 1}" for at, kind in enumerate(self.kinds) if at and kind != "ixfr"
        ]
        return f"whole zones after the first: {', '.join(wrong)}" if wrong else ""


def of_bind(log: str) -> Counts:
    """From a log of debug level 3; zones of one name only."""
    kinds = re.findall(r"transfer of '.*got (nonincremental|incremental) response", log)
    serials = re.findall(r"zone \S+: transferred serial (\d+)", log)
    return Counts(
        tuple("ixfr" if kind == "incremental" else "axfr" for kind in kinds),
        tuple(map(int, serials)),
    )


def of_knot(log: str) -> Counts:
    """From a log of level info."""
    kinds = re.findall(r"\] (AXFR|IXFR), incoming, remote \S+, finished", log)
    serials = re.findall(r"zone updated, .*serial (?:\d+|none) -> (\d+)", log)
    return Counts(tuple(kind.lower() for kind in kinds), tuple(map(int, serials)))


def of_nsd(log: str) -> Counts:
    """From a log of verbosity 2, which does not say what kind a transfer was: serials only."""
    return Counts(
        (), tuple(map(int, re.findall(r"committed \"received update to serial (\d+)", log)))
    )


def of_xfer(log: str, direction: str, peer: str = "") -> Counts:
    """From xfer's log: what it received ("in"), or sent ("out") to the peer of that name."""
    found = [
        event
        for event in events(log)
        if event.get("event") == "transfer"
        and event.get("direction") == direction
        and event.get("kind") in ("axfr", "ixfr")
        and peer in ("", event.get("peer"))
    ]
    return Counts(
        tuple(str(event["kind"]) for event in found),
        tuple(int(event["serial_to"]) for event in found),
    )
