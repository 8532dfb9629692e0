"""The ring of hashes, against a sorted list of them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dnssec.signed import NOW, ORIGIN, rng, terms, zone
from xfer.answer.nsec3 import Chain
from xfer.dnssec import local, work
from xfer.dnssec.ring import Changed, Ring
from xfer.dnssec.signing import ChangeSigner, Denial, WholeSigner, finish
from xfer.errors import ZoneError
from xfer.wire import names
from xfer.zone.changeset import diff

# Near one another, and at both ends of the ring.
numbers = st.one_of(st.integers(0, 30), st.integers((1 << 160) - 8, (1 << 160) - 1))
digests = numbers.map(lambda number: number.to_bytes(20, "big"))


def chain_of(hashes: set[bytes], size: int) -> Chain:
    """A chain of these hashes, in blocks of so many."""
    chain = Chain(b"\1\0\0\0")
    ordered = sorted(hashes)
    for start in range(0, len(ordered), size):
        chain.extend(b"".join(ordered[start : start + size]))
    return chain


@given(
    have=st.sets(digests, max_size=25),
    other=st.sets(digests, max_size=25),
    size=st.integers(1, 5),
    asked=digests,
)
def test_neighbours_after_some_came_and_went(
    have: set[bytes], other: set[bytes], size: int, asked: bytes
) -> None:
    changed = Changed(chain_of(have, size), list(other - have), other & have)
    now = sorted(have ^ other)
    if not now:
        return
    below = [digest for digest in now if digest < asked]
    above = [digest for digest in now if digest > asked]
    assert changed.before(asked) == (below or now)[-1]
    assert changed.after(asked) == (above or now)[0]


@given(have=st.sets(digests, min_size=1, max_size=25), size=st.integers(1, 5), asked=digests)
def test_next_hash_above_in_a_chain(have: set[bytes], size: int, asked: bytes) -> None:
    now = sorted(have)
    above = [digest for digest in now if digest > asked]
    assert chain_of(have, size).above(asked) == (above or now)[0]


def test_entries_come_in_order() -> None:
    entries = [hashlib.sha1(bytes([n])).digest() + bytes([n]) for n in range(200)]
    ring = Ring(ORIGIN)
    ring.add(entries[:120])
    ring.add(entries[120:])
    assert ring.count == 200
    assert ring.first() == min(entries)[:20]
    out: list[bytes] = []
    while (more := ring.next()) is not None:
        out += more
    assert out == sorted(entries)


def test_two_names_of_one_hash_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
    first, second = zone(text), zone(text + "other A 192.0.2.2\n")
    on = terms(Denial("nsec3", 0, b"\1"))
    published = finish(WholeSigner(first, on, 1, NOW, rng()))
    real = names.wire_of

    def colliding(owner: bytes, origin: bytes) -> bytes:
        return real(b"ns\0\0" if owner == b"other\0\0" else owner, origin)

    monkeypatch.setattr(work, "wire_of", colliding)
    with pytest.raises(ZoneError, match="another salt"):
        finish(WholeSigner(second, on, 2, NOW, rng()))
    monkeypatch.setattr(local, "wire_of", colliding)
    with pytest.raises(ZoneError, match="another salt"):
        finish(ChangeSigner(published, second, diff(first, second), on, on, 2, NOW, rng()))
