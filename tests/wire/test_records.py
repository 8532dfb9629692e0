"""Records: their parts, types by number and text, and rdata held to its shape."""

from __future__ import annotations

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import (
    BITMAP,
    WITH_NAMES,
    Entry,
    any_names,
    entries,
    rdata_of,
    soa_entry,
)
from tests.strategies import ORIGIN as Z
from xfer.errors import WireError
from xfer.wire import names, records

N = b"\1a\0"
TEXT = b"\3abc"
# One good rdata of every type that the kernel looks into.
GOOD: dict[int, bytes] = {
    records.A: bytes(4), records.AAAA: bytes(16), records.NS: N, records.MD: N, records.MF: N,
    records.CNAME: N, records.SOA: N + N + bytes(20), records.MB: N, records.MG: N, records.MR: N,
    records.PTR: N, 23: N, records.HINFO: TEXT + TEXT, records.MINFO: N + N,
    records.MX: b"\0\1" + N, records.TXT: TEXT, records.RP: N + N, records.AFSDB: b"\0\1" + N,
    records.RT: b"\0\1" + N, 19: TEXT, 27: TEXT * 3, 29: bytes(16), records.PX: b"\0\1" + N + N,
    records.SRV: bytes(6) + N, records.NAPTR: bytes(4) + TEXT * 3 + N, records.KX: b"\0\1" + N,
    records.DNAME: N, records.RRSIG: bytes(18) + N + b"s", records.NSEC: N + BITMAP,
    records.NSEC3: b"\1\0\0\0\1s\2hh" + BITMAP, records.NSEC3PARAM: b"\1\0\0\0\1s",
    62: bytes(6) + BITMAP, 104: bytes(10), 105: bytes(6), 106: bytes(10), 107: b"\0\1" + N,
    108: bytes(6), 109: bytes(8),
}  # fmt: skip
ANY_LENGTH_BEHIND = {
    records.DS: 5, records.DNSKEY: 5, records.CDS: 5, records.CDNSKEY: 5, records.ZONEMD: 7,
    52: 4, 256: 5, 37: 5, 44: 3,
}  # fmt: skip


class TestShape:
    @pytest.mark.parametrize("rtype", GOOD, ids=records.type_text)
    def test_rdata_that_fits_passes(self, rtype: int) -> None:
        assert records.canonical_rdata(rtype, GOOD[rtype]) == GOOD[rtype]

    @pytest.mark.parametrize("rtype", GOOD, ids=records.type_text)
    def test_one_octet_more_is_refused(self, rtype: int) -> None:
        if rtype == records.RRSIG:
            assert records.canonical_rdata(rtype, GOOD[rtype] + b"\1")
            return
        with pytest.raises(WireError):
            records.canonical_rdata(rtype, GOOD[rtype] + b"\1")

    @pytest.mark.parametrize("rtype", GOOD, ids=records.type_text)
    def test_one_octet_less_is_refused(self, rtype: int) -> None:
        with pytest.raises(WireError):
            records.canonical_rdata(rtype, GOOD[rtype][:-1])

    @pytest.mark.parametrize("rtype", GOOD, ids=records.type_text)
    def test_empty_rdata_is_refused(self, rtype: int) -> None:
        with pytest.raises(WireError):
            records.canonical_rdata(rtype, b"")

    @pytest.mark.parametrize(
        ("rtype", "shortest"), ANY_LENGTH_BEHIND.items(), ids=[*map(str, ANY_LENGTH_BEHIND)]
    )
    def test_shortest_rdata(self, rtype: int, shortest: int) -> None:
        assert records.canonical_rdata(rtype, bytes(shortest)) == bytes(shortest)
        assert records.canonical_rdata(rtype, bytes(shortest + 200))
        with pytest.raises(WireError, match=f"at least {shortest} octets"):
            records.canonical_rdata(rtype, bytes(shortest - 1))

    @pytest.mark.parametrize("rtype", [10, 42, 1234, 65280, 65535])
    def test_unknown_types_may_hold_anything(self, rtype: int) -> None:
        for rdata in (b"", b"\xc0\x0c", b"A" * 65535):
            assert records.canonical_rdata(rtype, rdata) == rdata

    @pytest.mark.parametrize(
        ("rtype", "rdata"),
        [
            (257, b"\0\0a"),
            (257, b"\0\2a"),
            (records.NSEC3, b"\1\0\0\0\0\0\0"),
            (records.NSEC3, b"\1\0\0\0\xff\0\0"),
            (records.NSEC3, b"\1\0\0\0\0\xffh"),
            (records.HINFO, TEXT * 3),
            (20, TEXT * 3),
            (29, b"\0" * 15),
            (29, b""),
        ],
    )
    def test_parts_that_do_not_fit_are_refused(self, rtype: int, rdata: bytes) -> None:
        with pytest.raises(WireError):
            records.canonical_rdata(rtype, rdata)

    @pytest.mark.parametrize(
        "bitmap",
        [
            b"\0",
            b"\0\1",
            b"\0\0",
            b"\0\x21" + bytes(33),
            b"\0\2\1",
            b"\1\1\1\0\1\1",
            b"\0\1\1\0\1\1",
        ],
    )
    @pytest.mark.parametrize("rtype", [records.NSEC, records.NSEC3, 62])
    def test_bad_bitmaps_are_refused(self, rtype: int, bitmap: bytes) -> None:
        head = GOOD[rtype][: -len(BITMAP)]
        assert records.canonical_rdata(rtype, head) == head
        with pytest.raises(WireError, match="bitmap"):
            records.canonical_rdata(rtype, head + bitmap)

    def test_compressed_rdata_is_refused_even_where_its_length_does_not_tell(self) -> None:
        # Two names of 1 and 3 octets behind two pointers of 2: as long as what it stands for.
        with pytest.raises(WireError, match="uncompressed PX"):
            records.canonical_rdata(records.PX, b"\0\1\xc0\0\xc0\1")
        with pytest.raises(WireError, match="uncompressed MX"):
            records.canonical_rdata(records.MX, b"\0\0\xc0\0")

    @given(st.integers(0, 300), st.binary(max_size=60))
    def test_any_octets_pass_or_are_refused(self, rtype: int, rdata: bytes) -> None:
        try:
            canonical = records.canonical_rdata(rtype, rdata)
        except WireError:
            return
        assert len(canonical) == len(rdata)
        assert canonical.lower() == rdata.lower()


ORACLE = [
    t for t in WITH_NAMES
    if t not in (records.MD, records.MF, records.MB, records.MG, records.MR, records.MINFO)
    and t not in (records.SIG, records.NXT, records.RRSIG, 23, 107)
]  # fmt: skip


class TestCanonicalRdata:
    @given(st.sampled_from(ORACLE).flatmap(lambda t: st.tuples(st.just(t), rdata_of(t))))
    def test_is_what_dnspython_digests(self, typed: tuple[int, bytes]) -> None:
        rtype, rdata = typed
        parsed = dns.rdata.from_wire(
            dns.rdataclass.IN, dns.rdatatype.RdataType.make(rtype), rdata, 0, len(rdata)
        )
        assert records.canonical_rdata(rtype, rdata) == parsed.to_digestable(dns.name.root)

    @given(st.sampled_from(WITH_NAMES).flatmap(lambda t: st.tuples(st.just(t), rdata_of(t))))
    def test_is_idempotent_and_changes_only_case(self, typed: tuple[int, bytes]) -> None:
        rtype, rdata = typed
        canonical = records.canonical_rdata(rtype, rdata)
        assert records.canonical_rdata(rtype, canonical) == canonical
        assert canonical.lower() == rdata.lower()

    @pytest.mark.parametrize("rtype", [records.NSEC, 107, 23], ids=records.type_text)
    def test_types_that_keep_the_case_of_their_names(self, rtype: int) -> None:
        rdata = GOOD[rtype].replace(N, b"\1A\0")
        assert records.canonical_rdata(rtype, rdata) == rdata

    def test_signer_is_lowered_and_the_signature_is_not(self) -> None:
        rdata = b"A" * 18 + b"\1A\0" + b"ABC"
        assert records.canonical_rdata(records.RRSIG, rdata) == b"A" * 18 + b"\1a\0" + b"ABC"

    def test_strings_before_a_name_keep_their_case(self) -> None:
        rdata = b"ABCD" + b"\1U\1E\1X" + b"\1R\0"
        assert records.canonical_rdata(records.NAPTR, rdata) == b"ABCD\1U\1E\1X\1r\0"


class TestRecord:
    @given(entries())
    def test_split_undoes_make(self, entry: Entry) -> None:
        record = entry.record(Z)
        key, rtype, covered, ttl, rdata = records.split(record)
        assert records.make(key, rtype, ttl, rdata) == record
        assert (key, rtype, ttl) == (names.key_of(entry.owner.lower(), Z), entry.rtype, entry.ttl)
        assert rdata == records.canonical_rdata(entry.rtype, entry.rdata)
        assert covered == (int.from_bytes(entry.rdata[:2], "big") if rtype == records.RRSIG else 0)
        assert record[: records.key_end(record)] == key
        assert records.rrset_end(record) == len(key) + (4 if rtype == records.RRSIG else 2)

    @given(st.lists(entries(), max_size=6))
    def test_order_is_owner_then_type_then_rdata(self, listed: list[Entry]) -> None:
        made = [entry.record(Z) for entry in listed]

        def oracle(record: bytes) -> tuple[dns.name.Name, int, int, int, bytes]:
            key, rtype, covered, ttl, rdata = records.split(record)
            return (dns.name.from_wire(names.wire_of(key, Z), 0)[0], rtype, covered, ttl, rdata)

        assert sorted(made) == sorted(made, key=oracle)

    @given(any_names, any_names, st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5))
    def test_soa_fields(self, mname: bytes, rname: bytes, numbers: list[int]) -> None:
        rdata = mname + rname + b"".join(n.to_bytes(4, "big") for n in numbers)
        record = records.make(b"\0", records.SOA, 5, records.canonical_rdata(records.SOA, rdata))
        assert records.soa_serial(record) == numbers[0]
        assert records.soa_fields(record) == (mname.lower(), rname.lower(), *numbers)

    def test_soa_of_the_test_zone(self) -> None:
        assert records.soa_serial(soa_entry(serial=2**32 - 1).record(Z)) == 2**32 - 1


class TestTypes:
    def test_text_and_number_agree_with_dnspython(self) -> None:
        for number in [*range(1, 270), 32768, 32769, 65280]:
            text = records.type_text(number)
            assert records.type_number(text) == number
            assert records.type_number(text.lower()) == number
            assert records.type_number(f"TYPE{number}") == number
            if not text.startswith("TYPE") and number not in (41, 128):
                assert dns.rdatatype.to_text(dns.rdatatype.RdataType.make(number)) in (
                    text,
                    f"TYPE{number}",
                )

    @pytest.mark.parametrize(
        "text", ["", "TYPE", "TYPE65536", "TYPE-1", "TYPE²", "TYPE" + "1" * 5000, "NOPE", "A "]
    )
    def test_what_is_no_type_is_refused(self, text: str) -> None:
        with pytest.raises(WireError, match="a record type"):
            records.type_number(text)

    def test_meta_types_are_no_data(self) -> None:
        refused = [n for n in range(65536) if not records.is_data_type(n)]
        assert refused == [0, 41, *range(128, 256)]
