"""Signing all of a zone: the real tools verify what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.answers import zones
from tests.dnssec.signed import NOW, check_signatures, key, rng, terms, verify, zone
from xfer.dnssec.signing import Denial, WholeSigner, finish

SHAPES = zones.shapes(7, occluded=True)


@pytest.mark.parametrize("algorithm", [8, 13, 14, 15, 16])
def test_tools_verify_a_zone_of_every_shape(algorithm: int, tmp_path: Path) -> None:
    content = zone(SHAPES + "@ 300 IN DS 12345 13 2 " + "ab" * 32 + "\n")  # not for a child
    csk = key(algorithm, True), key(algorithm)
    signed = finish(WholeSigner(content, terms(ksks=csk[:1], zsks=csk[1:]), 2026, NOW, rng()))
    assert signed.serial == 2026
    verify(signed, tmp_path)
    assert check_signatures(signed) > 500


@pytest.mark.parametrize(
    "denial",
    [
        Denial("nsec3"),
        Denial("nsec3", 5, b"\xaa\xbb\xcc\xdd"),
        Denial("nsec3", opt_out=True),
    ],
    ids=["plain", "salt", "opt-out"],
)
@pytest.mark.parametrize(
    "text", [SHAPES, zones.tld(3, 900), zones.child(1)], ids=["shapes", "tld", "child"]
)
def test_tools_verify_nsec3(denial: Denial, text: str, tmp_path: Path) -> None:
    signed = finish(WholeSigner(zone(text), terms(denial), 2026, NOW, rng()))
    verify(signed, tmp_path)
