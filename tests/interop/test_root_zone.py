"""The root zone (25,047 records, NSEC, ZONEMD) arrives whole and still valid, whoever is beside.

primary → xfer → secondary of the same make, and `xfer pull` from xfer; TSIG on every hop.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.chain import SHARED_ZONES, chain, key_of, pull
from tests.peers import (
    Knot,
    Named,
    Nsd,
    Record,
    Server,
    Xferd,
    file_records,
    records_text,
    verify_dnssec,
)

pytestmark = pytest.mark.lab

FILE = SHARED_ZONES / "root-2024101100.zone"
SERIAL = 2024101100
WITHIN_VALIDITY = "20241014000000"


@pytest.fixture(scope="module")
def published() -> list[Record]:
    return file_records(FILE, ".")


def same_and_valid(published: list[Record], arrived: list[Record], *copies: list[Record]) -> None:
    """Every copy holds what was published, and `ldns-verify-zone` finds the one that has come
    furthest sound; of the others, which are the same, it says the same."""
    for copy in (arrived, *copies):
        assert copy == published
    status, said = verify_dnssec(arrived, WITHIN_VALIDITY)
    assert status == 0, said


@pytest.mark.parametrize("peer", [Named, Knot, Nsd], ids=lambda kind: kind.program)
def test_root_zone_arrives_identical_and_verifies(
    peer: type[Server], published: list[Record], tmp_path: Path
) -> None:
    # The file is the print of an AXFR; its closing SOA must not be loaded.
    text = records_text(published)
    with chain([peer, Xferd, peer], ".", text, SERIAL) as (_, xfer, secondary):
        arrived = secondary.axfr(".", key_of(2))
        pulled = pull(xfer, ".", key_of(1), tmp_path)
    same_and_valid(published, arrived, pulled)
