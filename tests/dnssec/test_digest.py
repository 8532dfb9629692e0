"""ZONEMD records of signed versions."""

from __future__ import annotations

from pathlib import Path

from tests.answers import zones
from tests.dnssec.signed import NOW, check_signatures, rng, terms, unsigned, verify, zone
from xfer.dnssec.signing import ChangeSigner, Denial, WholeSigner, finish
from xfer.wire.records import ZONEMD, split
from xfer.zone.changeset import diff
from xfer.zone.snapshot import APEX, Snapshot
from xfer.zone.zonemd import SHA384, Digester

CHILD = zones.child(1)


def digest_holds(snapshot: Snapshot) -> bool:
    """Whether the one ZONEMD record is that of the version."""
    (record,) = snapshot.rrset(APEX, ZONEMD)
    rdata = split(record)[4]
    digester = Digester(snapshot, [SHA384])
    while digester.step():
        pass
    return rdata == (
        snapshot.serial.to_bytes(4, "big") + bytes((1, SHA384)) + digester.digests()[SHA384]
    )


def test_version_has_its_digest(tmp_path: Path) -> None:
    on = terms(Denial("nsec3"), zonemd=True)
    first, second = zone(CHILD), zone(CHILD + "new A 192.0.2.9\n")
    published = finish(WholeSigner(first, on, 8, NOW, rng()))
    assert digest_holds(published)
    verify(published, tmp_path, zonemd=True)
    signer = ChangeSigner(published, second, diff(first, second), on, on, 9, NOW, rng())
    signed = finish(signer)
    assert not signer.whole
    assert digest_holds(signed)
    assert check_signatures(signed)
    verify(signed, tmp_path, zonemd=True)
    changes = signer.changeset()
    kept = set(published.records()) - set(changes.removed)
    assert sorted(kept | set(changes.added)) == list(signed.records())


def test_unsigned_version_may_have_one(tmp_path: Path) -> None:
    on = terms(zonemd=True, unsigned=True)
    published = finish(WholeSigner(zone(CHILD), on, 8, NOW, rng()))
    assert digest_holds(published)
    assert unsigned(published) == list(published.records())
