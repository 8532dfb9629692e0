"""Refusals are counted by source, and logged without letting a source fill the log."""

from __future__ import annotations

import structlog

from xfer.server.refusals import SOURCES_KEPT, Refusals


def refuse(refusals: Refusals, at: float, reason: str = "no", source: str = "192.0.2.1") -> None:
    refusals.count(source, reason, at, "axfr", "example.com.")


def test_counts_by_source_newest_first_with_the_last_reason() -> None:
    refusals = Refusals()
    refuse(refusals, 1, "unsigned")
    refuse(refusals, 2, source="192.0.2.2")
    refuse(refusals, 3, "another key")
    first, second = refusals.listed()
    assert (first.source, first.count, first.last_at) == ("192.0.2.1", 2, 3)
    assert (first.reason, first.zone) == ("another key", "example.com.")
    assert (second.source, second.count) == ("192.0.2.2", 1)


def test_the_sources_remembered_are_bounded() -> None:
    refusals = Refusals()
    for number in range(SOURCES_KEPT + 100):
        refuse(refusals, 0, source=f"s{number}")
    assert len(refusals.listed()) == SOURCES_KEPT
    assert refusals.listed()[0].source == f"s{SOURCES_KEPT + 99}"


def test_a_source_that_repeats_itself_gets_a_line_a_minute() -> None:
    refusals = Refusals()
    with structlog.testing.capture_logs() as lines:
        for second in range(150):
            refuse(refusals, second)
    assert [line["count"] for line in lines] == [1, 61, 121]
    assert lines[0] == {
        "event": "refused",
        "log_level": "warning",
        "zone": "example.com.",
        "peer": "192.0.2.1",
        "kind": "axfr",
        "error": "no",
        "count": 1,
    }


def test_another_reason_is_told_at_once() -> None:
    refusals = Refusals()
    with structlog.testing.capture_logs() as lines:
        refuse(refusals, 1, "unsigned")
        refuse(refusals, 2, "another key")
    assert [line["error"] for line in lines] == ["unsigned", "another key"]
