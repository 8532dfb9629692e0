"""The rule of every rollover says what the simulated validator says, which was written apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.rollovers.caches import Dnskeys, Signed, Validator, ds_of
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import Keyset, PastKeyset, ZoneKeys
from xfer.dnssec.rules import Served, holds
from xfer.wire import names

ORIGIN = names.from_text("example.com.")
KEYS = tuple(
    bytes((1, 1, 3, algorithm)) + bytes((algorithm, number)) * 8
    for algorithm in (8, 13, 15)
    for number in range(3)
)
IDENT = {key: ident_of(key) for key in KEYS}
VALIDATOR = Validator(ORIGIN)
SOME = st.frozensets(st.sampled_from(KEYS), max_size=4)


def idents(keys: frozenset[bytes]) -> frozenset[str]:
    return frozenset(IDENT[key] for key in keys)


def test_idents_differ() -> None:
    assert len(set(IDENT.values())) == len(KEYS)


@given(SOME, SOME, SOME, SOME)
def test_it_agrees_with_a_validator(
    ds: frozenset[bytes],
    keys: frozenset[bytes],
    signers: frozenset[bytes],
    signed: frozenset[bytes],
) -> None:
    signers = signers & keys
    judged = VALIDATOR.bogus(
        frozenset(ds_of(ORIGIN, key) for key in ds), Dnskeys(keys, signers), Signed(signed)
    )
    said = holds(idents(ds), Keyset(idents(keys), idents(signers)), idents(signed), False)
    assert bool(said) == bool(judged), (said, judged)


def test_a_ds_of_another_signer_alone_is_no_matter_only_where_nobody_asks_us() -> None:
    stranger = frozenset({"foreign:013+00001:0123456789abcdef"})
    assert holds(stranger, Keyset(), frozenset(), False)
    assert not holds(stranger, Keyset(), frozenset(), True)


def test_what_is_served_counts_beside_what_is_to_be() -> None:
    old, new = frozenset({"013+00001"}), frozenset({"013+00002"})
    zone = ZoneKeys(ORIGIN, keyset=Keyset(old, old), signers=old, ds=old)
    served = Served.of(zone)
    assert served.allows(old, Keyset(old | new, old), old) == ""
    assert served.allows(old, Keyset(old | new, old), new)  # caches have RRsets without it
    both = ZoneKeys(
        ORIGIN,
        keyset=Keyset(old | new, old),
        past_keysets=(PastKeyset(Keyset(old, old), 1.0, 1, 1.0),),
        signers=old,
        ds=old,
    )
    assert Served.of(both).allows(old, both.keyset, new)


def test_what_is_not_published_is_not_served() -> None:
    old, new = frozenset({"013+00001"}), frozenset({"013+00002"})
    zone = ZoneKeys(
        ORIGIN,
        keyset=Keyset(new, new),
        past_keysets=(PastKeyset(Keyset(old, old)),),
        signers=old,
        ds=frozenset(),
    )
    assert Served.of(zone).keysets == {Keyset(old, old)}
