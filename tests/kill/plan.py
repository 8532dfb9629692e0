"""Where a daemon is to die, and where it did: plans, and the notes that it leaves behind.

The launcher appends a note, one line, at each event of a transfer: the time on the system's
monotonic clock and the event's name. What was written survives the process. The last note says
where it died; the phases are those of `xfer.server.status.Phase`.

    receiving ─ octets N ┬ write begin ─ write added ─ write end     (blocks, as they are finished)
    checking ─ checked ──┘
    writing
    flipping ─ flip begin ─ flip added ─ flip inserted ─ (COMMIT) ─ flip committed
    swapping ─ swapped
    notifying ─ notify queued
    done
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence

import attrs

PHASES = ("receiving", "checking", "writing", "flipping", "swapping", "notifying")
AHEAD = "writing ahead"
"""Blocks are written while the rest is still received or checked: a phase beside the other two."""
AFTER = "after the transfer"
COMMITTED = ("flip committed", "swapping", "swapped", "notifying", "notify queued")
"""Events from which on the new version is durable."""


@attrs.frozen
class Note:
    """One line: `when` in seconds, and what happened."""

    when: float
    event: str


@attrs.frozen
class Point:
    """A moment to die. until: spread the kill over the time between `event` and this event, from
    outside and whatever the process does then; "" for at once, by its own hand."""

    event: str
    until: str = ""


@attrs.frozen
class Plan:
    """event: at which one to die; delay: seconds after it, 0 for at once; octets: where the event
    `octets` happens, counted from the request on; notes: path of the file for them; skip: how often
    the event passes before."""

    notes: str
    event: str = ""
    delay: float = 0.0
    octets: int = 0
    skip: int = 0

    def to_text(self) -> str:
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Plan:
        return cls(**json.loads(text))

    def __str__(self) -> str:
        where = f"{self.event} {self.octets}" if self.event == "octets" else self.event
        return f"{where} + {self.delay * 1000:.2f} ms" if self.delay else where


POINTS: Mapping[str, Sequence[Point]] = {
    "receiving": (
        Point("octets"),
        Point("octets", until="checking"),
        Point("receiving", until="checking"),
    ),
    AHEAD: (
        Point("write begin"),
        Point("write added"),
        Point("write begin", until="write end"),
        Point("write added", until="write end"),
    ),
    "checking": (Point("checking"), Point("checking", until="checked"), Point("checked")),
    "writing": (Point("writing"), Point("writing", until="flipping")),
    "flipping": (
        Point("flipping"),
        Point("flip begin"),
        Point("flip added"),
        Point("flip inserted"),
        Point("flip inserted", until="flip committed"),
        Point("flipping", until="swapping"),
        Point("flip committed"),
    ),
    "swapping": (Point("swapping"), Point("swapped")),
    "notifying": (
        Point("notifying"),
        Point("notify queued"),
        Point("notifying", until="done"),
    ),
}


def draw(point: Point, lengths: Mapping[Point, float], size: int, notes: str) -> Plan:
    """A plan to die at a point. lengths: of the points with `until`; size: octets of a transfer."""
    delay = 0.0
    if point.until:
        delay = max(1e-6, random.random() * lengths.get(point, 0.001))
    return Plan(notes, point.event, delay, random.randint(1, size))


def read_notes(text: str) -> list[Note]:
    """The notes of one life; a last line without its end does not count."""
    lines = text.split("\n")[:-1]
    return [Note(float(when), event) for when, event in (line.split(" ", 1) for line in lines)]


def place(notes: Sequence[Note]) -> str:
    """The phase in which the process died, AFTER, or "before" it was receiving."""
    where = "before"
    for note in notes:
        if note.event in PHASES:
            where = note.event
        elif note.event == "done":
            where = AFTER
    return where


def was_writing_ahead(notes: Sequence[Note]) -> bool:
    """Whether the process died while it wrote blocks in a transaction of their own."""
    last = ""
    for note in notes:
        if note.event in ("write begin", "write end"):
            last = note.event
    return last == "write begin"


def lengths_of(notes: Sequence[Note]) -> dict[Point, float]:
    """How long a complete transfer took between the events of each point, in seconds."""
    first: dict[str, float] = {}
    for note in notes:
        first.setdefault(note.event.partition(" at ")[0], note.when)
    found = {}
    for points in POINTS.values():
        for point in points:
            start = first.get("receiving" if point.event == "octets" else point.event)
            end = first.get(point.until)
            if start is not None and end is not None:
                found[point] = end - start
    return found
