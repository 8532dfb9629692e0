"""Images of blocks: small, compressed by the book, and letter for letter what the block holds."""

from __future__ import annotations

import dns.message
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    ORIGIN,
    ROOT,
    Entry,
    apex,
    entries,
    host,
    names_below,
    ns_entry,
    parse,
    soa_entry,
    wire,
)
from xfer.wire import names, records
from xfer.wire.records import Spelling
from xfer.zone.block import Block
from xfer.zone.image import MESSAGE, render_block


def block_of(listed: list[Entry], origin: bytes = ORIGIN) -> Block:
    """The block of these records; of two spellings of a record, the last one."""
    spelling: Spelling = {}
    for entry in listed:
        record = entry.record(origin)
        spelling.pop(record, None)
        if (entry.owner, entry.rdata) != (entry.owner.lower(), records.split(record)[4]):
            spelling[record] = (entry.owner, entry.rdata)
    return Block.make(sorted({entry.record(origin) for entry in listed}), spelling)


def check(block: Block, origin: bytes = ORIGIN) -> list[bytes]:
    """Render, read back, and compare records, order, letters and sizes."""
    messages = render_block(block, origin, True)
    got: list[bytes] = []
    spelling: Spelling = {}
    letters: list[tuple[bytes, int, bytes]] = []
    for msg in messages:
        batch = parse(msg, origin)
        assert batch.end == len(msg)
        assert batch.outside == []
        assert len(msg) <= MESSAGE or len(batch.records) == 1
        got += batch.records
        spelling.update(batch.spelling)
        letters += walk(msg)
    assert got == block.records()
    assert spelling == block.spelling()
    expected = []
    for record in block.records():
        key, rtype, _, _, rdata = records.split(record)
        owner, rdata = spelling.get(record, (names.wire_of(key, origin), rdata))
        expected.append((owner, rtype, rdata))
    assert letters == expected
    return messages


def walk(msg: bytes) -> list[tuple[bytes, int, bytes]]:
    """(owner, type, uncompressed rdata) of a message, by dnspython's name decompression."""
    out = []
    p = 12
    for _ in range(msg[6] << 8 | msg[7]):
        owner, used = dns.name.from_wire(msg, p)
        p += used
        rtype = int.from_bytes(msg[p : p + 2], "big")
        assert msg[p + 2 : p + 4] == b"\0\1"
        size = int.from_bytes(msg[p + 8 : p + 10], "big")
        p += 10
        rdata = msg[p : p + size]
        if rtype in (2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15):
            octets, _, count, _ = records.layout(rtype)
            q = p + octets
            rdata = msg[p:q]
            for _ in range(count):
                name, used = dns.name.from_wire(msg, q)
                rdata += bytes(name.to_wire() or b"")
                q += used
            rdata += msg[q : p + size]
        out.append((bytes(owner.to_wire() or b""), rtype, rdata))
        p += size
    assert p == len(msg)
    return out


class TestRoundTrip:
    @settings(max_examples=30)
    @given(st.lists(entries(), min_size=1, max_size=20))
    def test_any_records(self, listed: list[Entry]) -> None:
        check(block_of(listed))

    @settings(max_examples=40)
    @given(st.lists(entries(ROOT), min_size=1, max_size=12))
    def test_any_records_of_the_root_zone(self, listed: list[Entry]) -> None:
        check(block_of(listed, ROOT), ROOT)

    @settings(max_examples=40)
    @given(st.lists(names_below(ORIGIN, 5), min_size=1, max_size=12), st.data())
    def test_many_records_an_owner_in_both_cases(
        self, owners: list[bytes], data: st.DataObject
    ) -> None:
        listed = []
        for owner in owners:
            for rtype in (records.NS, records.MX, records.TXT, 65280):
                target = data.draw(st.sampled_from(owners))
                rdata = b"\0\5" + target if rtype == records.MX else target
                rdata = b"\1x" if rtype == records.TXT else rdata
                shout = data.draw(st.booleans())
                listed.append(Entry(owner.upper() if shout else owner.lower(), rtype, 9, rdata))
        check(block_of(listed))

    def test_plain_record_after_a_spelled_one_of_the_same_owner(self) -> None:
        owner = wire([b"sub"], ORIGIN)
        check(
            block_of(
                [
                    Entry(owner, records.A, 1, bytes(4)),
                    Entry(owner, records.NS, 1, wire([b"NS1"], ORIGIN)),
                    Entry(owner, records.TXT, 1, b"\1x"),
                    Entry(wire([b"a", b"sub"], ORIGIN), records.A, 1, bytes(4)),
                ]
            )
        )

    @pytest.mark.parametrize("label", [b"\xff", b"\0", b"\1", b".", b"\xc0", b"\0\0", b"A"])
    def test_odd_labels_in_every_place(self, label: bytes) -> None:
        listed = []
        for parts in ([label], [label, b"p"], [b"c", label], [label, label], [b"x", b"y", label]):
            owner = wire(parts, ORIGIN)
            listed += [Entry(owner, 1, 5, bytes(4)), Entry(owner, 2, 5, owner)]
        check(block_of(listed))
        for entry in listed:
            check(block_of([entry]))

    @pytest.mark.parametrize("origin", [ORIGIN, ROOT, b"\1a\0"], ids=["two labels", "root", "one"])
    def test_target_as_long_as_the_origin(self, origin: bytes) -> None:
        target = b"\1x" * ((len(origin) - 1) // 2) + b"\0"
        if len(origin) % 2 == 0:
            target = b"\2xx" + b"\1x" * ((len(origin) - 4) // 2) + b"\0"
        assert len(target) == len(origin)
        listed = [
            soa_entry(origin),
            Entry(origin, 2, 1, target),
            Entry(origin, 15, 1, b"\0\0" + target),
        ]
        check(block_of(listed, origin), origin)

    def test_target_that_ends_like_the_origin_is_not_in_the_zone(self) -> None:
        fake = wire([b"a" + ORIGIN[:-1]])
        listed = [soa_entry(), Entry(ORIGIN, 2, 1, fake), Entry(ORIGIN, 15, 1, b"\0\0" + ORIGIN)]
        check(block_of(listed))

    def test_longest_names(self) -> None:
        room = 255 - len(ORIGIN)
        owner = wire([b"x" * 63, b"y" * 63, b"z" * 63, b"w" * (room - 193)], ORIGIN)
        deep = wire([b"a"] * (room // 2), ORIGIN)
        listed = [Entry(name, t, 1, name) for name in (owner, deep) for t in (2, 5, 39)]
        check(block_of(listed))

    def test_null_mx_is_no_pointer_target(self) -> None:
        listed = [Entry(wire([bytes([c])], ORIGIN), 15, 1, b"\0\0\0") for c in b"abc"]
        (msg,) = check(block_of(listed))
        assert [rdata for _, _, rdata in walk(msg)] == [b"\0\0\0"] * 3
        assert msg.count(b"\0\0\0\1\0\3\0\0\0") == 3


class TestMessages:
    def test_sizes_and_headers(self) -> None:
        block = Block.make(apex() + [host(n) for n in range(4000)], {})
        messages = check(block)
        assert all(len(msg) > MESSAGE - 100 for msg in messages[:-1])
        assert {msg[:6] + msg[8:12] for msg in messages} == {b"\0\0\x84\0\0\0" + bytes(4)}
        for msg in messages:
            parsed = dns.message.from_wire(msg, one_rr_per_rrset=True)
            assert len(parsed.answer) == msg[6] << 8 | msg[7]

    @pytest.mark.parametrize("size", [300, 8000, 16_000, 16_290, 16_300, 20_000, 63_000])
    def test_large_records(self, size: int) -> None:
        listed = [
            Entry(wire([b"a%d" % n, b"b"], ORIGIN), 65280, 1, b"%d" % n + bytes(size))
            for n in range(4)
        ]
        listed += [Entry(wire([b"b%d" % n, b"b"], ORIGIN), 2, 1, ORIGIN) for n in range(3)]
        for msg in check(block_of(listed)):
            assert len(msg) < 65_535 - 700

    def test_soa_of_the_apex_is_left_out_unless_wanted(self) -> None:
        below = Entry(wire([b"a"], ORIGIN), records.SOA, 1, soa_entry().rdata)
        block = block_of([soa_entry(), ns_entry(), below])
        assert (
            parse(render_block(block, ORIGIN)[0]).records
            == block.records()[:1] + block.records()[2:]
        )
        assert parse(render_block(block, ORIGIN, True)[0]).records == block.records()
        assert render_block(block_of([soa_entry()]), ORIGIN) == []

    def test_types_outside_rfc_1035_are_not_compressed(self) -> None:
        target = wire([b"ns"], ORIGIN)
        for rtype, before in ((33, bytes(6)), (39, b""), (17, target), (18, b"\0\1"), (65280, b"")):
            (msg,) = check(block_of([soa_entry(), Entry(ORIGIN, rtype, 1, before + target)]))
            assert before + target in msg

    def test_pointers_are_used_where_they_may_be(self) -> None:
        listed = [soa_entry(), ns_entry()]
        listed += [Entry(wire([b"h%d" % n], ORIGIN), 5, 1, wire([b"ns"], ORIGIN)) for n in range(9)]
        (msg,) = check(block_of(listed))
        assert msg.count(ORIGIN) == 1
