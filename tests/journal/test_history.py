"""Retention: versions, share of the zone's size, and a floor for small zones (REQUIREMENTS C9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.journal import Retention
from xfer.journal.history import kept

MB = 1 << 20


@pytest.mark.parametrize(
    ("history", "stay"),
    [
        pytest.param([], 0, id="no versions"),
        pytest.param([(10, 0)], 1, id="only the newest"),
        pytest.param([(100 * MB, 0)] * 9, 5, id="too many versions"),
        pytest.param([(2000, 2000)] * 9, 5, id="a tiny zone that changes wholly each time"),
        pytest.param([(100 * MB, 100 * MB)] * 9, 3, id="a large one that changes wholly each time"),
        pytest.param(
            [(2000, 100 * MB), (100 * MB, 0)], 2, id="a zone that shrank keeps a way back"
        ),
        pytest.param([(100 * MB, 300 * MB), (9, 0)], 1, id="history larger than its share"),
    ],
)
def test_what_stays(history: list[tuple[int, int]], stay: int) -> None:
    past = [(size, replaced, 0.0) for size, replaced in history]
    assert kept(past, Retention(versions=5, share=2.0, floor=MB), 1e9) == stay


def test_what_was_replaced_too_long_ago_goes() -> None:
    past = [(9, 1, 100.0), (9, 1, 80.0), (9, 1, 50.0), (9, 1, 20.0)]
    assert kept(past, Retention(age=30), 100.0) == 3  # the third was replaced 20 seconds ago
    assert kept(past, Retention(age=19), 100.0) == 2
    assert kept(past, Retention(age=30), 130.0) == 2  # 30 seconds are not more than 30
    assert kept(past, Retention(age=30), 1e9) == 1
    assert kept(past, Retention(age=0), 1e9) == 4


def test_what_any_limit_excludes_goes() -> None:
    past = [(9, MB, 100.0), (9, MB, 80.0), (9, MB, 50.0), (9, MB, 20.0)]
    assert kept(past, Retention(versions=2, floor=9 * MB, age=60), 100.0) == 2
    assert kept(past, Retention(versions=9, floor=9 * MB, age=10), 100.0) == 2
    assert kept(past, Retention(versions=9, floor=MB, age=60), 100.0) == 2


@given(
    st.lists(st.tuples(*[st.integers(0, 9 * MB)] * 3), min_size=1),
    st.integers(1, 20),
    st.floats(0, 5),
    st.floats(0, 9 * MB),
)
def test_the_newest_always_stays_and_more_history_never_keeps_less(
    history: list[tuple[int, int, float]], versions: int, share: float, age: float
) -> None:
    keep = Retention(versions=versions, share=share, age=age)
    stay = kept(history, keep, 9 * MB)
    assert 1 <= stay <= min(versions, len(history))
    assert kept(history[:-1] or history, keep, 9 * MB) <= stay
