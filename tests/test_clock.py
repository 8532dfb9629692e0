"""The clocks of the system, and times as text."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.clock import SystemClock, utc


def test_each_clock_is_the_systems() -> None:
    clock = SystemClock()
    before = time.monotonic(), time.time()
    found = clock.monotonic(), clock.wall()
    after = time.monotonic(), time.time()
    assert before[0] <= found[0] <= after[0]
    assert before[1] <= found[1] <= after[1]


@given(st.floats(0, 4e9))
def test_text_is_in_utc_wherever_we_are_and_drops_the_fraction(at: float) -> None:
    text = utc(at)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text).timestamp() == int(at)


def test_the_zone_of_the_system_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert utc(expected.timestamp()) == "2026-11-22T07:00:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()
