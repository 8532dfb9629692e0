"""Hints of NOTIFYs: joined while a check runs, met by what is served."""

from __future__ import annotations

import pytest

from xfer.server.hints import Hint

HALF = 1 << 31


@pytest.mark.parametrize(
    ("serial", "served", "met"),
    [
        (5, 5, True),
        (5, 6, True),
        (6, 5, False),
        (1, 2**32 - 1, False),
        (2**32 - 1, 1, True),
        (5 + HALF, 5, False),  # RFC 1982 cannot order them
        (None, 5, False),
        (5, None, False),
    ],
)
def test_a_hint_is_met_by_its_serial_or_a_newer_one(
    serial: int | None, served: int | None, met: bool
) -> None:
    assert Hint(serial, "192.0.2.1").met(served) is met


def test_of_two_hints_the_newest_serial_stays_with_who_told_it() -> None:
    old, new = Hint(5, "192.0.2.1"), Hint(6, "192.0.2.2")
    assert old.joined(new) == new
    assert new.joined(old) == new
    assert old.joined(None) == old
    assert old.joined(Hint(5, "192.0.2.2")).source == "192.0.2.2", "who told it last"


def test_without_a_serial_a_check_must_be_made_whatever_is_served() -> None:
    assert Hint(5, "192.0.2.1").joined(Hint(None, "192.0.2.2")) == Hint(None, "192.0.2.2")
    assert Hint(None, "192.0.2.2").joined(Hint(9, "192.0.2.1")).serial is None
