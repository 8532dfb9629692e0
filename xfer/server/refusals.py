"""Requests that were refused: counted by source for `xfer status` (REQUIREMENTS A17), and logged.

Neither grows with what strangers send: the sources kept are bounded, and a source that repeats
itself gets one line of the log a minute.
"""

from __future__ import annotations

from collections import OrderedDict

import structlog

from xfer.server.status import RefusedSource

log = structlog.get_logger()

SOURCES_KEPT = 1_000
SECONDS_BETWEEN_LINES = 60.0


class Refusals:
    """Refusals by source address; the sources that were silent longest are forgotten."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, RefusedSource] = OrderedDict()
        self._logged: dict[str, tuple[str, float]] = {}  # source → last reason told, and when

    def count(self, source: str, reason: str, at: float, kind: str, zone: str = "") -> None:
        """One more refusal. kind: "axfr", "notify", …; zone: as asked for, "" where unknown."""
        known = self._sources.pop(source, None)
        count = 1 if known is None else known.count + 1
        self._sources[source] = RefusedSource(source, count, at, reason, zone)
        if len(self._sources) > SOURCES_KEPT:
            forgotten, _ = self._sources.popitem(last=False)
            self._logged.pop(forgotten, None)
        told, told_at = self._logged.get(source, ("", at))
        if told == reason and at - told_at < SECONDS_BETWEEN_LINES:
            return
        self._logged[source] = reason, at
        log.warning("refused", zone=zone, peer=source, kind=kind, error=reason, count=count)

    def listed(self) -> tuple[RefusedSource, ...]:
        """Newest first."""
        return tuple(reversed(self._sources.values()))
