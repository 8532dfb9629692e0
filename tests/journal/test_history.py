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
    assert kept(history, Retention(versions=5, share=2.0, floor=MB)) == stay


@given(
    st.lists(st.tuples(st.integers(0, 9 * MB), st.integers(0, 9 * MB)), min_size=1),
    st.integers(1, 20),
    st.floats(0, 5),
)
def test_the_newest_always_stays_and_more_history_never_keeps_less(
    history: list[tuple[int, int]], versions: int, share: float
) -> None:
    keep = Retention(versions=versions, share=share)
    stay = kept(history, keep)
    assert 1 <= stay <= min(versions, len(history))
    assert kept(history[:-1] or history, keep) <= stay
