"""An algorithm is known by its number and its mnemonic, in one table."""

from __future__ import annotations

import pytest

from xfer.config_dnssec import ALGORITHMS as CONFIGURED
from xfer.dnssec.algorithms import ALGORITHMS, algorithm_of
from xfer.errors import KeyRefused


@pytest.mark.parametrize("given_", [13, "13", "013", "ECDSAP256SHA256", " ecdsap256sha256 "])
def test_an_algorithm_by_number_or_mnemonic(given_: int | str) -> None:
    assert algorithm_of(given_).number == 13


@pytest.mark.parametrize(
    ("given_", "got"),
    [("5", r"5 \(RSASHA1\)"), ("RSASHA1", r"5 \(RSASHA1\)"), (-1, "-1"), ("²", "'²'"), ("", "''")],
)
def test_other_algorithms_are_refused_by_name(given_: int | str, got: str) -> None:
    with pytest.raises(KeyRefused, match=rf"ECDSAP256SHA256 \(13\).*, got {got}$"):
        algorithm_of(given_)


def test_what_the_config_takes_can_be_made() -> None:
    assert CONFIGURED.keys() == ALGORITHMS.keys() - {10}  # RSASHA512: not recommended
    assert not ALGORITHMS[10].generated
