"""Hypothesis strategies for names, records and messages, and small builders of wire forms.

Labels favour what breaks sorting and escaping: 0x00, 0x01, 0x2e, 0xff, length-like octets, and
letters in both cases.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence

import attrs
from hypothesis import strategies as st

from xfer.wire import names, records
from xfer.wire.parse import Batch, RecordParser

ORIGIN = names.from_text("example.test.")
ROOT = b"\0"
HEADER = b"\0\0\x84\0\0\0\0\0\0\0\0\0"

_odd_octets = st.sampled_from([0x00, 0x01, 0x02, 0x20, 0x2E, 0x3F, 0x40, 0x5C, 0xC0, 0xFF])
_letters = st.sampled_from(list(b"abzABZ09-_"))
labels = st.one_of(
    st.sampled_from([b"a", b"b", b"A", b"ns1", b"WWW", b"www", b"*", b"\xff", b"\0", b"\1"]),
    st.lists(st.one_of(_letters, _odd_octets), min_size=1, max_size=6).map(bytes),
    st.integers(1, 63).map(lambda n: b"x" * n),
)


def wire(parts: Sequence[bytes], origin: bytes = ROOT) -> bytes:
    """The wire name of these labels, leftmost first, below `origin`."""
    return b"".join(bytes([len(part)]) + part for part in parts) + origin


def names_below(origin: bytes, most: int = 4) -> st.SearchStrategy[bytes]:
    """Wire names at or below `origin`, in any case, of at most 255 octets."""
    return (
        st.lists(labels, max_size=most)
        .map(lambda parts: wire(parts, origin))
        .filter(lambda name: len(name) <= 255)
    )


any_names = st.one_of(
    names_below(ROOT), names_below(ORIGIN), names_below(wire([b"Example", b"TEST"]))
)


@attrs.frozen
class Entry:
    """A record as it arrives: wire owner and uncompressed rdata, both in their own case."""

    owner: bytes
    rtype: int
    ttl: int
    rdata: bytes

    def record(self, origin: bytes) -> bytes:
        """The record that the engine should make of it."""
        key = names.key_of(self.owner.lower(), origin)
        canonical = records.canonical_rdata(self.rtype, self.rdata)
        return records.make(key, self.rtype, self.ttl, canonical)

    def wire(self) -> bytes:
        """Uncompressed, for a message."""
        head = struct.pack(">HHIH", self.rtype, 1, self.ttl, len(self.rdata))
        return self.owner + head + self.rdata


BITMAP = b"\0\6\x40\1\0\0\0\3\1\1\x40"
_sixteen = st.integers(0, 65535).map(lambda n: n.to_bytes(2, "big"))


def rdata_of(rtype: int) -> st.SearchStrategy[bytes]:
    """Rdata of a type with names, the names uncompressed and in any case."""
    octets, strings, count, tail = records.layout(rtype)
    behind = {
        records.NSEC: st.just(BITMAP),
        records.NXT: st.binary(min_size=1, max_size=16),
        records.SIG: st.binary(min_size=1, max_size=20),
        records.RRSIG: st.binary(min_size=1, max_size=20),
    }.get(rtype, st.binary(min_size=max(tail, 0), max_size=max(tail, 0)))
    text = st.binary(max_size=5).map(lambda part: bytes([len(part)]) + part)
    return st.builds(
        lambda head, texts, found, rest: head + b"".join(texts) + b"".join(found) + rest,
        st.binary(min_size=octets, max_size=octets),
        st.lists(text, min_size=strings, max_size=strings),
        st.lists(any_names, min_size=count, max_size=count),
        behind,
    )


WITH_NAMES = [number for number in range(256) if records.HAS_NAMES[number]]
_plain: list[st.SearchStrategy[tuple[int, bytes]]] = [
    st.tuples(st.just(records.A), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(records.AAAA), st.binary(min_size=16, max_size=16)),
    st.tuples(
        st.just(records.TXT), st.binary(max_size=9).map(lambda part: bytes([len(part)]) + part)
    ),
    # What looks like a pointer, in a type that nobody may look into (RFC 3597 §3).
    st.tuples(st.just(65280), st.sampled_from([b"", b"\xc0\x0c", b"\1A\0", b"\xff" * 40])),
]
typed_rdata = st.one_of(
    *_plain,
    st.sampled_from([t for t in WITH_NAMES if t != records.SOA]).flatmap(
        lambda rtype: st.tuples(st.just(rtype), rdata_of(rtype))
    ),
)


def entries(origin: bytes = ORIGIN) -> st.SearchStrategy[Entry]:
    """Records of any type but SOA, at or below the origin."""
    return st.builds(
        lambda owner, typed, ttl: Entry(owner, typed[0], ttl, typed[1]),
        names_below(origin, 3),
        typed_rdata,
        st.sampled_from([0, 1, 300, 86400, 0x7FFFFFFF]),
    )


def message(listed: Iterable[bytes], question: bytes = b"") -> bytes:
    """A response with these answer records, as they are."""
    joined = list(listed)
    head = bytearray(HEADER)
    head[4:6] = (1 if question else 0).to_bytes(2, "big")
    head[6:8] = len(joined).to_bytes(2, "big")
    return bytes(head) + question + b"".join(joined)


def parse(msg: bytes, origin: bytes = ORIGIN) -> Batch:
    """All answer records of a message without a question."""
    return RecordParser(origin).parse(msg, 12, msg[6] << 8 | msg[7])


def soa_entry(origin: bytes = ORIGIN, serial: int = 1, ttl: int = 3600) -> Entry:
    """The SOA record of a test zone."""
    rdata = wire([b"ns"], origin) + wire([b"host"], origin)
    return Entry(origin, records.SOA, ttl, rdata + struct.pack(">5I", serial, 60, 60, 60, 60))


def ns_entry(origin: bytes = ORIGIN) -> Entry:
    """The NS record of a test zone."""
    return Entry(origin, records.NS, 3600, wire([b"ns"], origin))


def host(number: int, origin: bytes = ORIGIN) -> bytes:
    """The A record of a numbered host; hosts sort as their numbers do."""
    key = names.key_of(wire([b"h%07d" % number], origin), origin)
    return records.make(key, records.A, 300, number.to_bytes(4, "big"))


def apex(origin: bytes = ORIGIN, serial: int = 1) -> list[bytes]:
    """NS and SOA of a test zone, sorted."""
    return sorted([soa_entry(origin, serial).record(origin), ns_entry(origin).record(origin)])


def batches(listed: Sequence[bytes], size: int) -> list[Batch]:
    """Records as the parser would hand them on, so many a message."""
    out = []
    for start in range(0, len(listed), size):
        batch = Batch()
        for record in listed[start : start + size]:
            batch.add(record)
        out.append(batch)
    return out


def shuffled(listed: Sequence[bytes], seed: int = 1) -> list[bytes]:
    """A copy in another order, always the same."""
    out = list(listed)
    random.Random(seed).shuffle(out)
    return out
