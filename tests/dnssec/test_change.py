"""The next version of a signed zone is what signing the whole zone would have made."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answers import zones
from tests.dnssec.signed import (
    LENIENT,
    NOW,
    ORIGIN,
    build,
    check_signatures,
    rng,
    terms,
    unsigned,
    verify,
    zone,
)
from tests.strategies import wire
from xfer.dnssec.signing import ChangeSigner, Denial, Memory, WholeSigner, finish
from xfer.wire import names, records
from xfer.zone.changeset import diff
from xfer.zone.snapshot import Snapshot

SHAPES = zones.shapes(7, occluded=True)
DENIALS = [
    Denial("nsec"),
    Denial("nsec3", 1, b"\1\2"),
    Denial("nsec3", opt_out=True),
    Denial("none"),
]


@pytest.mark.parametrize("denial", DENIALS[:3], ids=["nsec", "nsec3", "opt-out"])
def test_a_change_signs_what_it_touches(denial: Denial, tmp_path: Path) -> None:
    first = zone(SHAPES)
    second = zone(SHAPES + "new.name A 192.0.2.1\nsub.wild TXT another\n")
    on = terms(denial)
    published = finish(WholeSigner(first, on, 1, NOW, rng()))
    signer = ChangeSigner(published, second, diff(first, second), on, on, 2, NOW, rng())
    signed = finish(signer)
    whole = finish(WholeSigner(second, on, 2, NOW, rng()))
    assert unsigned(signed) == unsigned(whole)
    # SOA, both RRsets, the NSECs of both names and of that before the new one; with NSEC3 also
    # those of the empty non-terminal that comes, and of what is before its hash.
    assert signer.made == (6 if denial.kind == "nsec" else 8)
    assert check_signatures(signed)
    verify(signed, tmp_path)
    assert unsigned(published) != unsigned(signed)
    assert unsigned(diffed(published, signer)) == unsigned(signed)


def diffed(published: Snapshot, signer: ChangeSigner) -> Snapshot:
    """The published version after the signer's changeset, record by record."""
    changes = signer.changeset()
    now = set(published.records()) - set(changes.removed) | set(changes.added)
    return build(sorted(now))


labels = st.sampled_from([b"a", b"b", b"c", b"*", b"\0", b"zz"])
owners = st.lists(labels, max_size=4).map(lambda parts: names.key_of(wire(parts, ORIGIN), ORIGIN))
target = wire([b"t"], ORIGIN)
typed = st.sampled_from(
    [
        (records.A, b"\1\2\3\4"),
        (records.A, b"\1\2\3\5"),
        (records.NS, target),
        (records.NS, target),
        (records.DS, b"\0\1\x0d\2" + b"x" * 32),
        (records.DNAME, target),
        (records.TXT, b"\1x"),
        (65280, b""),
        (records.NSEC3PARAM, b"\1\0\0\0\0"),
        (records.DNSKEY, b"\1\0\3\x0d" + b"k" * 64),
    ]
)
contents = st.builds(
    lambda owner, kind: records.make(owner, kind[0], 300, kind[1]),
    owners,
    typed,
)
APEX_RECORDS = [
    records.make(b"\0", records.NS, 300, target),
    records.make(b"\0", records.SOA, 300, target + target + b"\0\0\0\1" + b"\0\0\0\x3c" * 4),
]


@settings(deadline=None, max_examples=120)
@given(
    denial=st.sampled_from(DENIALS),
    first=st.sets(contents, max_size=40),
    changes=st.lists(st.sets(contents, min_size=1, max_size=20), min_size=1, max_size=3),
)
def test_changes_lead_where_signing_all_leads(
    denial: Denial, first: set[bytes], changes: list[set[bytes]]
) -> None:
    on = terms(denial)
    memory = Memory()
    content = build(APEX_RECORDS + sorted(first))
    published = finish(WholeSigner(content, on, 1, NOW, rng(), policy=LENIENT))
    have = set(first)
    for serial, toggled in enumerate(changes, 2):
        have ^= toggled
        after = build(APEX_RECORDS + sorted(have))
        signer = ChangeSigner(
            published,
            after,
            diff(content, after),
            on,
            on,
            serial,
            NOW,
            rng(),
            memory=memory,
            policy=LENIENT,
        )
        signed = finish(signer)
        whole = finish(WholeSigner(after, on, serial, NOW, rng(), policy=LENIENT))
        assert unsigned(signed) == unsigned(whole)
        check_signatures(signed)
        assert list(diffed(published, signer).records()) == list(signed.records())
        content, published = after, signed
