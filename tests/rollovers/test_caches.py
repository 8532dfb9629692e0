"""The simulated validator and its caches, by hand."""

from __future__ import annotations

from tests.rollovers.caches import (
    Cached,
    Dnskeys,
    DsSet,
    Signed,
    Validator,
    ds_of,
    judged,
)
from xfer.dnssec.idents import tag_of
from xfer.wire import names

ORIGIN = names.from_text("example.com.")
OLD = bytes((1, 1, 3, 13)) + b"old key"
NEW = bytes((1, 1, 3, 13)) + b"new key"
OTHER = bytes((1, 1, 3, 8)) + b"other algorithm"
NONE = Dnskeys(frozenset(), frozenset())


def rrset(*keys: bytes) -> Dnskeys:
    return Dnskeys(frozenset(keys), frozenset(keys))


def delegation(*keys: bytes) -> DsSet:
    return frozenset(ds_of(ORIGIN, key) for key in keys)


def test_its_key_tags_are_those_of_the_program() -> None:
    for key in (OLD, NEW, OTHER):
        assert int.from_bytes(ds_of(ORIGIN, key)[:2], "big") == tag_of(key)


def test_what_it_accepts() -> None:
    validator = Validator(ORIGIN)
    signed = Signed(frozenset({OLD}))
    assert validator.bogus(frozenset(), NONE, Signed(frozenset())) == ""
    assert validator.bogus(delegation(OLD), rrset(OLD), signed) == ""
    assert validator.bogus(delegation(OLD), rrset(OLD, NEW), signed) == ""
    assert validator.bogus(delegation(OLD, NEW), rrset(OLD), signed) == ""


def test_what_it_calls_bogus() -> None:
    validator = Validator(ORIGIN)
    signed = Signed(frozenset({OLD}))
    assert validator.bogus(delegation(OLD), NONE, Signed(frozenset()))
    assert validator.bogus(delegation(OLD), rrset(OLD), Signed(frozenset()))
    assert validator.bogus(delegation(NEW), rrset(OLD), signed)
    assert validator.bogus(delegation(OLD), rrset(NEW), Signed(frozenset({NEW})))
    assert validator.bogus(delegation(OLD), rrset(OLD), Signed(frozenset({NEW})))
    assert validator.bogus(
        delegation(OLD), Dnskeys(frozenset({OLD, NEW}), frozenset({NEW})), signed
    )
    # Algorithms: all of the DS sign the keys, all of the keys sign the zone.
    assert validator.bogus(delegation(OLD, OTHER), rrset(OLD), signed)
    assert validator.bogus(delegation(OLD), rrset(OLD, OTHER), signed)


def caches() -> tuple[Cached[DsSet], Cached[Dnskeys], Cached[Signed]]:
    ds: Cached[DsSet] = Cached(0)
    dnskeys: Cached[Dnskeys] = Cached(0)
    signed: Cached[Signed] = Cached(0)
    ds.serve("parent", delegation(OLD), 100, 0)
    dnskeys.serve("a", rrset(OLD), 100, 0)
    signed.serve("a", Signed(frozenset({OLD})), 100, 0)
    return ds, dnskeys, signed


def test_a_record_that_was_replaced_is_held_for_its_ttl() -> None:
    ds, dnskeys, signed = caches()
    dnskeys.serve("a", rrset(OLD, NEW), 100, 1000)
    signed.serve("a", Signed(frozenset({NEW})), 100, 1099)
    verdict = judged(Validator(ORIGIN), ds, dnskeys, signed)
    assert [(bogus.at, bogus.until) for bogus in verdict.bogus] == [(1099, 1100)]


def test_and_no_longer() -> None:
    ds, dnskeys, signed = caches()
    dnskeys.serve("a", rrset(OLD, NEW), 100, 1000)
    signed.serve("a", Signed(frozenset({NEW})), 100, 1100)
    assert judged(Validator(ORIGIN), ds, dnskeys, signed).bogus == []


def test_each_server_is_asked() -> None:
    ds, dnskeys, signed = caches()
    dnskeys.serve("b", rrset(OLD), 100, 0)
    dnskeys.serve("a", rrset(OLD, NEW), 100, 1000)
    signed.serve("a", Signed(frozenset({NEW})), 100, 5000)
    assert judged(Validator(ORIGIN), ds, dnskeys, signed).bogus
