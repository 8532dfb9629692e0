"""When signatures end, and that they are renewed in portions."""

from __future__ import annotations

import attrs

from tests.answers import zones
from tests.dnssec.signed import NOW, check_signatures, rng, terms, unsigned, zone
from xfer.dnssec.expiry import NEVER, Expiries
from xfer.dnssec.local import Memory
from xfer.dnssec.rrsig import expiration_of
from xfer.dnssec.signing import ChangeSigner, Denial, WholeSigner, finish
from xfer.wire.records import RRSIG, SOA, split
from xfer.zone.snapshot import APEX, Snapshot

CONTENT = zone(zones.child(1))
DAY = 86_400


def ends(snapshot: Snapshot) -> dict[bytes, int]:
    """When each RRSIG ends, by the record."""
    return {
        record: expiration_of(record) for record in snapshot.records() if split(record)[1] == RRSIG
    }


def soonest(snapshot: Snapshot, previous: Expiries | None = None) -> Expiries:
    expiries = Expiries(snapshot, previous)
    while expiries.step():
        pass
    return expiries


def test_soonest_end_of_all_signatures() -> None:
    published = finish(WholeSigner(CONTENT, terms(), 8, NOW, rng()))
    expiries = soonest(published)
    assert expiries.soonest == min(ends(published).values())
    assert soonest(published, expiries).soonest == expiries.soonest
    assert soonest(CONTENT).soonest == NEVER


def test_signatures_that_are_made_elsewhere_do_not_count() -> None:
    published = finish(WholeSigner(CONTENT, terms(), 8, NOW, rng()))
    found = ends(published)
    first = min(found, key=lambda record: (found[record], record))
    expiries = Expiries(published, None, (first,))
    while expiries.step():
        pass
    del found[first]
    assert expiries.soonest == min(found.values())


def test_signatures_end_with_jitter_and_begin_before_now() -> None:
    on = terms(validity=14 * DAY, refresh=5 * DAY, jitter=2 * DAY, inception_offset=600)
    published = finish(WholeSigner(CONTENT, on, 8, NOW, rng()))
    found = set(ends(published).values())
    assert len(found) > 5
    assert int(NOW) + 12 * DAY <= min(found) < max(found) <= int(NOW) + 14 * DAY
    for record in ends(published):
        assert split(record)[4][12:16] == (int(NOW) - 600).to_bytes(4, "big")


def test_jitter_leaves_signatures_in_force_until_they_are_renewed() -> None:
    on = terms(validity=2 * DAY, refresh=DAY, jitter=30 * DAY)
    published = finish(WholeSigner(CONTENT, on, 8, NOW, rng()))
    assert min(ends(published).values()) > NOW + DAY


def test_renewed_in_portions_the_most_urgent_first() -> None:
    on = terms(Denial("nsec3"))
    memory = Memory()
    published = finish(WholeSigner(CONTENT, on, 8, NOW, rng()))
    total = len(ends(published))
    # All are due: six a version, besides that of the SOA record and what is at the apex.
    later = NOW + 10 * DAY
    versions = 0
    while soonest(published).soonest <= int(later) + on.refresh:
        versions += 1
        signer = ChangeSigner(
            published, CONTENT, None, on, on, 8 + versions, later, rng(versions), renew=6,
            memory=memory,
        )  # fmt: skip
        signed = finish(signer)
        assert not signer.whole
        assert 1 <= signer.made <= 6 + 6 + 8
        assert unsigned(signed)[-1:] == unsigned(published)[-1:]
        published = signed
    assert versions > total / 30
    assert min(ends(published).values()) > later + on.refresh
    assert check_signatures(published, later)
    # Nothing is due now, so only the SOA record is signed.
    signer = ChangeSigner(published, CONTENT, None, on, on, 99, later, rng(), renew=6)
    changes = finish(signer)
    assert signer.made == 1
    assert changes.rrset(APEX, SOA)


def test_a_change_renews_what_it_touches_only() -> None:
    on = terms()
    published = finish(WholeSigner(CONTENT, on, 8, NOW, rng()))
    longer = attrs.evolve(on, validity=30 * DAY)
    signer = ChangeSigner(published, CONTENT, None, on, longer, 9, NOW + DAY, rng())
    after = ends(finish(signer))
    assert signer.made == 1
    assert len(after.keys() - ends(published).keys()) == 1
