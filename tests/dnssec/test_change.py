"""The next version of a signed zone."""

from __future__ import annotations

from pathlib import Path

from tests.answers import zones
from tests.dnssec.signed import NOW, check_signatures, rng, terms, unsigned, verify, zone
from xfer.dnssec.signing import ChangeSigner, WholeSigner, finish
from xfer.zone.changeset import diff

SHAPES = zones.shapes(7, occluded=True)


def test_a_change_signs_what_it_touches(tmp_path: Path) -> None:
    first, second = zone(SHAPES), zone(SHAPES + "new.name A 192.0.2.1\nsub.wild TXT another\n")
    on = terms()
    published = finish(WholeSigner(first, on, 1, NOW, rng()))
    signer = ChangeSigner(published, second, diff(first, second), on, on, 2, NOW, rng())
    signed = finish(signer)
    whole = finish(WholeSigner(second, on, 2, NOW, rng()))
    assert unsigned(signed) == unsigned(whole)
    assert signer.made == 6
    assert check_signatures(signed)
    verify(signed, tmp_path)
