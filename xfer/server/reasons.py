"""Sentences about a zone, how much each matters, and how they tell times."""

from __future__ import annotations

import enum

import attrs


class Weight(enum.Enum):
    """How much a sentence matters; sentences are told in this order."""

    STATE = "state"  # what is served
    BROKEN = "broken"  # why it is not current
    DEGRADED = "degraded"  # what works only because something else does
    NEXT = "next"  # what happens next, and until when
    NOTE = "note"


@attrs.frozen
class Reason:
    """One sentence."""

    weight: Weight
    text: str


def ago(at: float | None, now: float) -> str:
    """ "5 min ago", "at an unknown time"."""
    if at is None:
        return "at an unknown time"
    return f"{span(now - at)} ago" if at <= now else f"in {span(at - now)}"


def due(at: float, now: float) -> str:
    """ "in 5 min", "now"."""
    return f"in {span(at - now)}" if at > now else "now"


def span(seconds: float) -> str:
    """ "0.3 s", "5 min", "2 d 3 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit, smaller, part in (
        (86400, "d", "h", 3600),
        (3600, "h", "min", 60),
        (60, "min", "s", 1),
    ):
        if seconds >= size:
            rest = int(seconds % size // part)
            whole = f"{int(seconds // size)} {unit}"
            return f"{whole} {rest} {smaller}" if rest and seconds < 10 * size else whole
    return f"{seconds:.0f} s"
