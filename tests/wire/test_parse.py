"""Messages to records: compression in every place, case, bad input, and bounded work."""

from __future__ import annotations

import struct
import time

import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    BITMAP,
    HEADER,
    ORIGIN,
    ROOT,
    WITH_NAMES,
    Entry,
    entries,
    message,
    parse,
    rdata_of,
    soa_entry,
    wire,
)
from xfer.errors import WireError
from xfer.wire import names, records
from xfer.wire.parse import Batch, RecordParser
from xfer.wire.render import Renderer

A4 = b"\0\1\0\1\0\0\0\5\0\4\1\2\3\4"  # type, class, TTL 5 and rdata of an A record


def pointer(target: int) -> bytes:
    return (0xC000 | target).to_bytes(2, "big")


def owners(batch: Batch, origin: bytes = ORIGIN) -> list[bytes]:
    """The owner names in the case they came in."""
    out = []
    for record in batch.records:
        spelled = batch.spelling.get(record)
        out.append(
            spelled[0] if spelled else names.wire_of(record[: records.key_end(record)], origin)
        )
    return out


def check(batch: Batch, listed: list[Entry], origin: bytes = ORIGIN) -> None:
    """The batch holds exactly these, with the spelling of those that are not canonical."""
    assert batch.records == [entry.record(origin) for entry in listed]
    expected = {}
    for entry in listed:
        record = entry.record(origin)
        canonical = records.split(record)[4]
        if entry.owner != entry.owner.lower() or entry.rdata != canonical:
            expected[record] = (entry.owner, entry.rdata)
    # Of one record in two cases, one spelling is kept.
    assert {record for record in batch.spelling if record not in expected} == set()
    for record, spelled in expected.items():
        assert (
            batch.spelling[record] == spelled or sum(e.record(origin) == record for e in listed) > 1
        )


class TestCompressedOwners:
    @pytest.mark.parametrize(
        ("owner", "expected"),
        [
            (b"\1a" + pointer(12), b"\1a" + ORIGIN),
            (b"\1a\2bc" + pointer(12), b"\1a\2bc" + ORIGIN),
            (b"\1A" + pointer(12), b"\1A" + ORIGIN),
            (b"\1a\1B" + pointer(12), b"\1a\1B" + ORIGIN),
            (b"\1\0" + pointer(12), b"\1\0" + ORIGIN),
            (b"\1\1\2\0\1" + pointer(12), b"\1\1\2\0\1" + ORIGIN),
            (b"\1.\1\xff" + pointer(12), b"\1.\1\xff" + ORIGIN),
            (b"\1\xff" + pointer(12), b"\1\xff" + ORIGIN),
            (b"\1a\7example" + pointer(20), b"\1a" + ORIGIN),
            (b"\1a\7eXample" + pointer(20), b"\1a\7eXample\4test\0"),
            (pointer(12), ORIGIN),
            (b"\7example" + pointer(20), ORIGIN),
            (b"\x3f" + b"x" * 63 + pointer(12), b"\x3f" + b"x" * 63 + ORIGIN),
        ],
    )
    def test_labels_and_a_pointer(self, owner: bytes, expected: bytes) -> None:
        # ORIGIN stands at 12, its second label at 20.
        batch = parse(message([ORIGIN + A4, owner + A4, owner + A4, pointer(12 + 28) + A4]))
        assert owners(batch) == [ORIGIN, expected, expected, expected]
        assert batch.outside == []

    def test_pointer_to_a_pointer(self) -> None:
        first = ORIGIN + A4
        second = pointer(12) + A4
        msg = message([first, second, b"\1x" + pointer(12 + len(first)) + A4])
        assert owners(parse(msg)) == [ORIGIN, ORIGIN, b"\1x" + ORIGIN]

    def test_pointer_into_the_middle_of_an_owner(self) -> None:
        first = b"\1a\1B\1c" + ORIGIN + A4
        msg = message([first, pointer(14) + A4, pointer(16) + A4, b"\1z" + pointer(14) + A4])
        rest = b"\1c" + ORIGIN
        assert owners(parse(msg)) == [
            b"\1a\1B" + rest, b"\1B" + rest, rest, b"\1z\1B" + rest
        ]  # fmt: skip

    def test_pointer_to_a_name_in_rdata(self) -> None:
        rdata = wire([b"Ns", b"a"], ORIGIN)
        first = Entry(ORIGIN, records.NS, 1, rdata).wire()
        at = 12 + len(first) - len(rdata)
        msg = message(
            [first, pointer(at) + A4, pointer(at + 3) + A4, b"\1q" + pointer(at + 3) + A4]
        )
        tail = b"\1a" + ORIGIN
        assert owners(parse(msg)) == [ORIGIN, rdata, tail, b"\1q" + tail]

    def test_child_of_a_name_in_another_case_keeps_its_letters(self) -> None:
        upper = wire([b"SUB"], ORIGIN)
        lower = wire([b"sub"], ORIGIN)
        msg = message([upper + A4, b"\1x" + pointer(12) + A4, lower + A4, pointer(12) + A4])
        assert owners(parse(msg)) == [upper, b"\1x" + upper, upper, upper]

    def test_pointer_to_a_name_out_of_the_zone(self) -> None:
        outside = b"\5other\4test\0"
        msg = message(
            [
                outside + A4,
                pointer(12) + A4,
                b"\1x" + pointer(12) + A4,
                b"\7example" + pointer(18) + A4,
            ]
        )
        batch = parse(msg)
        assert batch.outside == [
            (outside, records.A, 0), (outside, records.A, 1), (b"\1x" + outside, records.A, 2)
        ]  # fmt: skip
        assert owners(batch) == [ORIGIN]

    def test_longest_owner_passes_and_one_octet_more_does_not(self) -> None:
        room = 255 - len(ORIGIN)
        fits = wire([b"x" * 63, b"y" * 63, b"z" * 63, b"w" * (room - 3 * 64 - 1)])[:-1]
        assert len(fits) == room
        assert owners(parse(message([ORIGIN + A4, fits + pointer(12) + A4])))[1] == fits + ORIGIN
        longer = b"\1w" + fits
        with pytest.raises(WireError, match="255"):
            parse(message([ORIGIN + A4, longer + pointer(12) + A4]))
        first = fits + ORIGIN + A4
        with pytest.raises(WireError, match="255"):
            parse(message([first, b"\1w" + pointer(12) + A4]))
        with pytest.raises(WireError, match="255"):
            parse(message([Entry(ORIGIN, 2, 1, fits + ORIGIN).wire(), b"\1w" + pointer(36) + A4]))

    def test_longest_owner_of_escaped_octets(self) -> None:
        room = 255 - len(ORIGIN)
        zeros = wire([b"\0" * 63, b"\1" * 63, b"\0" * 63, b"\0" * (room - 3 * 64 - 1)])[:-1]
        msg = message([ORIGIN + A4, zeros + pointer(12) + A4, pointer(12 + 28) + A4])
        assert owners(parse(msg)) == [ORIGIN, zeros + ORIGIN, zeros + ORIGIN]
        with pytest.raises(WireError, match="255"):
            parse(message([ORIGIN + A4, b"\1\0" + zeros + pointer(12) + A4]))

    def test_root_zone(self) -> None:
        msg = message([b"\0" + A4, b"\1a" + pointer(12) + A4, b"\3Com\0" + A4, b"\0" + A4])
        batch = parse(msg, ROOT)
        assert owners(batch, ROOT) == [b"\0", b"\1a\0", b"\3Com\0", b"\0"]
        assert batch.outside == []

    @pytest.mark.parametrize(
        "owner", [pointer(40), pointer(100), b"\1a" + pointer(40), b"\1a" + pointer(300), b"\x40",
                  b"\x80\0", b"\1a\x41", b"\xc0", b"\1a\xc0", b"\5ab"]
    )  # fmt: skip
    def test_bad_owner_is_refused(self, owner: bytes) -> None:
        with pytest.raises(WireError):
            parse(message([ORIGIN + A4, owner + (A4 if owner[-1] not in (0xC0, 0x62) else b"")]))


class TestRdata:
    @pytest.mark.parametrize("rtype", WITH_NAMES, ids=records.type_text)
    @pytest.mark.parametrize("tail", [ORIGIN, b"\5oTHer\0"], ids=["in zone", "mixed case"])
    def test_compression_is_undone_in_every_type(self, rtype: int, tail: bytes) -> None:
        octets, strings, count, behind = records.layout(rtype)
        head = b"H" * octets + b"\2Xy" * strings
        rest = {records.NSEC: BITMAP}.get(rtype, b"S" if behind < 0 else b"T" * behind)
        first = Entry(ORIGIN, 10, 1, tail).wire()
        at = 12 + len(first) - len(tail)
        squeezed = head + (b"\1w" + pointer(at)) * count + rest
        full = head + (b"\1w" + tail) * count + rest
        wired = pointer(12) + struct.pack(">HHIH", rtype, 1, 9, len(squeezed)) + squeezed
        batch = parse(message([first, wired, wired]))
        entry = Entry(ORIGIN, rtype, 9, full)
        check(batch, [Entry(ORIGIN, 10, 1, tail), entry, entry])
        # What follows the names of these may be of any length, and RRSIG's must be there.
        bad = [squeezed[:-1]] if rtype not in (records.SIG, records.NXT) else []
        bad += [squeezed + b"\0"] if rtype not in (records.SIG, records.NXT, records.RRSIG) else []
        for rdata in bad:
            wired = pointer(12) + struct.pack(">HHIH", rtype, 1, 9, len(rdata)) + rdata
            with pytest.raises(WireError):
                parse(message([first, wired, ORIGIN + A4]))

    @given(st.sampled_from(WITH_NAMES).flatmap(lambda t: st.tuples(st.just(t), rdata_of(t))))
    def test_names_keep_their_case_beside_the_canonical_form(
        self, typed: tuple[int, bytes]
    ) -> None:
        entry = Entry(ORIGIN, typed[0], 7, typed[1])
        check(parse(message([entry.wire(), entry.wire()])), [entry, entry])

    def test_rdata_that_overruns_the_message(self) -> None:
        with pytest.raises(WireError, match="5 octets of A rdata, got 4 to the end"):
            parse(message([ORIGIN + A4[:9] + b"\5" + A4[10:]]))

    def test_pointer_to_itself_in_rdata(self) -> None:
        for rtype, before in ((records.NS, b""), (records.MX, b"\0\1"), (records.SRV, bytes(6))):
            at = 12 + len(ORIGIN) + 10 + len(before)
            with pytest.raises(WireError, match="earlier name"):
                parse(message([Entry(ORIGIN, rtype, 1, before + pointer(at)).wire()]))


class TestHead:
    @pytest.mark.parametrize("rtype", [0, 41, 128, 249, 250, 251, 252, 255])
    def test_meta_types_are_refused(self, rtype: int) -> None:
        with pytest.raises(WireError, match="a type that is data"):
            parse(message([Entry(ORIGIN, rtype, 1, b"").wire()]))

    @pytest.mark.parametrize("rclass", [0, 3, 254, 255])
    def test_other_classes_are_refused(self, rclass: int) -> None:
        with pytest.raises(WireError, match=f"class IN, got class {rclass}"):
            parse(message([ORIGIN + struct.pack(">HHIH", 1, rclass, 1, 4) + bytes(4)]))

    @pytest.mark.parametrize(
        ("ttl", "taken"), [(0x7FFFFFFF, 0x7FFFFFFF), (0x80000000, 0), (0xFFFFFFFF, 0)]
    )
    def test_ttl_with_its_top_bit_is_zero(self, ttl: int, taken: int) -> None:
        for rtype, rdata in ((records.A, bytes(4)), (records.RRSIG, bytes(18) + b"\0s")):
            batch = parse(message([Entry(ORIGIN, rtype, ttl, rdata).wire()]))
            assert records.split(batch.records[0])[3] == taken

    def test_count_above_what_is_there(self) -> None:
        with pytest.raises(WireError, match="3 records, got the end of the message after 2"):
            RecordParser(ORIGIN).parse(message([ORIGIN + A4] * 2), 12, 3)

    def test_count_below_what_is_there_shows_in_the_end(self) -> None:
        msg = message([ORIGIN + A4] * 2)
        batch = RecordParser(ORIGIN).parse(msg, 12, 1)
        assert batch.end == 12 + len(ORIGIN) + len(A4)
        assert RecordParser(ORIGIN).parse(msg, batch.end, 1).end == len(msg)
        assert RecordParser(ORIGIN).parse(msg, 12, 0).end == 12

    def test_apex_soas_are_pointed_out(self) -> None:
        below = Entry(wire([b"a"], ORIGIN), records.SOA, 1, soa_entry().rdata)
        shouted = Entry(ORIGIN.upper(), records.SOA, 1, soa_entry().rdata)
        listed = [soa_entry(), below, Entry(ORIGIN, 1, 1, bytes(4)), shouted]
        batch = parse(message([entry.wire() for entry in listed]))
        assert batch.soas == [0, 3]

    @pytest.mark.parametrize("size", range(len(message([ORIGIN + A4, b"\1a" + pointer(12) + A4]))))
    def test_a_message_cut_anywhere_is_refused(self, size: int) -> None:
        msg = message([ORIGIN + A4, b"\1a" + pointer(12) + A4])
        if size >= 12:
            with pytest.raises(WireError):
                RecordParser(ORIGIN).parse(msg[:size], 12, 2)


class TestAgainstOracles:
    @settings(max_examples=50)
    @given(st.lists(entries(), max_size=12))
    def test_uncompressed_messages(self, listed: list[Entry]) -> None:
        check(parse(message([entry.wire() for entry in listed])), listed)

    @settings(max_examples=50)
    @given(st.lists(entries(ROOT), max_size=8))
    def test_uncompressed_messages_of_the_root_zone(self, listed: list[Entry]) -> None:
        check(parse(message([entry.wire() for entry in listed]), ROOT), listed, ROOT)

    @settings(max_examples=50)
    @given(st.lists(entries(), max_size=12))
    def test_messages_that_the_renderer_compressed(self, listed: list[Entry]) -> None:
        renderer = Renderer(0, 0x8400, 65535)
        for entry in listed:
            assert renderer.record(1, entry.owner, entry.rtype, entry.ttl, entry.rdata)
        check(parse(renderer.message()), listed)

    @settings(max_examples=50)
    @given(st.lists(entries(), max_size=8))
    def test_messages_that_dnspython_compressed(self, listed: list[Entry]) -> None:
        msg = dns.message.Message()
        msg.flags = dns.flags.QR
        taken = []
        for entry in listed:
            if entry.rtype not in (records.A, records.NS, records.MX, records.PTR, records.CNAME):
                continue
            rrset = dns.rrset.RRset(
                dns.name.from_wire(entry.owner, 0)[0],
                dns.rdataclass.IN,
                dns.rdatatype.RdataType.make(entry.rtype),
            )
            rdata = dns.rdata.from_wire(
                rrset.rdclass, rrset.rdtype, entry.rdata, 0, len(entry.rdata)
            )
            rrset.add(rdata, entry.ttl)
            msg.answer.append(rrset)
            taken.append(entry.record(ORIGIN))
        # dnspython compresses against names in any case, so the letters are not compared.
        assert parse(msg.to_wire()).records == taken

    @given(st.binary(max_size=80), st.integers(0, 4))
    def test_any_octets_give_records_or_a_wire_error(self, octets: bytes, count: int) -> None:
        try:
            batch = RecordParser(ORIGIN).parse(HEADER + octets, 12, count)
        except WireError:
            return
        assert len(batch.records) + len(batch.outside) == count
        assert batch.end <= 12 + len(octets)

    @settings(max_examples=50)
    @given(st.lists(entries(), min_size=1, max_size=6), st.data())
    def test_damaged_messages_give_records_or_a_wire_error(
        self, listed: list[Entry], data: st.DataObject
    ) -> None:
        renderer = Renderer(0, 0x8400, 65535)
        for entry in listed:
            renderer.record(1, entry.owner, entry.rtype, entry.ttl, entry.rdata)
        msg = bytearray(renderer.message())
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(12, len(msg) - 1))
            msg[at] = data.draw(st.sampled_from([0, 1, 0x3F, 0x40, 0xC0, 0xC1, 0xFF, at & 255]))
        try:
            batch = RecordParser(ORIGIN).parse(bytes(msg), 12, len(listed))
        except WireError:
            return
        assert len(batch.records) + len(batch.outside) == len(listed)


def pointer_chains(label: bytes, rtype: int, names_in_rdata: int, distinct: bool) -> bytes:
    """65 kB of records whose names are chains of 120 pointers."""
    msg = bytearray(HEADER + ORIGIN + struct.pack(">HHIH", 10, 1, 0, 0))
    begin = len(msg)
    at = 12
    before = 12
    for _ in range(110):
        before = at
        here = len(msg)
        msg += label + pointer(at)
        at = here
    targets = [at]
    while distinct and len(msg) < 0x3F00:
        targets.append(len(msg))
        msg += pointer(before)
    struct.pack_into(">H", msg, begin - 2, len(msg) - begin)
    count = 1
    while len(msg) < 65_535 - 32:
        msg += pointer(targets[count % len(targets)])
        msg += struct.pack(">HHIH", rtype, 1, 0, 2 * names_in_rdata)
        for k in range(names_in_rdata):
            msg += pointer(targets[(7 * count + k) % len(targets)])
        count += 1
    msg[6:8] = count.to_bytes(2, "big")
    return bytes(msg)


@pytest.mark.usefixtures("no_collector")
class TestBounds:
    @pytest.mark.parametrize("distinct", [False, True], ids=["one chain", "many chains"])
    @pytest.mark.parametrize(("rtype", "count"), [(10, 0), (records.NS, 1), (records.MINFO, 2)])
    @pytest.mark.parametrize("label", [b"", b"\1a", b"\1A", b"\1\0"])
    def test_chains_of_pointers_cost_linear_time_and_bounded_memory(
        self, label: bytes, rtype: int, count: int, distinct: bool
    ) -> None:
        msg = pointer_chains(label, rtype, count, distinct)
        began = time.thread_time()
        batch = parse(msg)
        # A few ms compiled, 40 pure; a second was wanted before names were remembered.
        assert time.thread_time() - began < 0.5
        held = sum(map(len, batch.records))
        held += sum(len(owner) + len(rdata) for owner, rdata in batch.spelling.values())
        assert held < 128 * len(msg)

    def test_names_outside_the_zone_in_chains(self) -> None:
        msg = pointer_chains(b"\1a", records.MINFO, 2, True)
        began = time.thread_time()
        batch = parse(msg, b"\5other\0")
        assert time.thread_time() - began < 0.5
        assert batch.records == []

    def test_labels_without_end(self) -> None:
        with pytest.raises(WireError):
            parse(HEADER[:6] + b"\0\1" + HEADER[8:] + b"\1a" * 32_000)
