"""Serial number arithmetic (RFC 1982)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.wire.serial import newer

SERIALS = st.integers(0, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("old", "later", "rising"),
    [(1, 2, True), (2, 1, False), (1, 1, False), (0xFFFFFFFF, 0, True), (0, 0x7FFFFFFF, True)],
)
def test_serials_rise_round_the_end(old: int, later: int, rising: bool) -> None:
    assert newer(later, old) is rising


@given(SERIALS, SERIALS)
def test_one_of_two_is_newer_unless_they_are_half_the_space_apart(a: int, b: int) -> None:
    undefined = a == b or (a - b) % (1 << 32) == 1 << 31
    assert (newer(a, b) + newer(b, a)) == (0 if undefined else 1)
