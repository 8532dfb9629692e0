"""Names: text and wire form, compression, owner keys; dnspython is the oracle."""

from __future__ import annotations

import dns.name
import dns.wire
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import ORIGIN, ROOT, any_names, names_below, wire
from xfer.errors import OutOfZoneError, WireError
from xfer.wire import names

LONGEST = wire([b"x" * 63, b"y" * 63, b"z" * 63, b"w" * 61])


class TestText:
    @given(any_names)
    def test_round_trips_and_reads_as_dnspython_does(self, name: bytes) -> None:
        text = names.to_text(name)
        assert names.from_text(text) == name
        assert dns.name.from_text(text).to_wire() == name

    @given(any_names)
    def test_reads_what_dnspython_writes(self, name: bytes) -> None:
        text = dns.name.from_wire(name, 0)[0].to_text()
        assert names.from_text(text) == name

    def test_takes_names_without_final_dot(self) -> None:
        assert names.from_text("a.B") == b"\1a\1B\0"
        assert names.from_text(".") == b"\0"

    def test_name_of_255_octets_is_the_longest(self) -> None:
        assert len(LONGEST) == 255
        assert names.from_text(names.to_text(LONGEST)) == LONGEST
        with pytest.raises(WireError, match="at most 255 octets, got 256"):
            names.from_text(names.to_text(LONGEST)[:-1] + "w.")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "an empty string"),
            ("a..b", "not empty"),
            (".a", "not empty"),
            ("..", "not empty"),
            ("a\\", "after the backslash"),
            ("\\256.a", r"up to \\255"),
            ("é.a", "ASCII"),
            ("\\é.a", "ASCII"),
            ("x" * 64 + ".a", "one of 64"),
        ],
    )
    def test_bad_text_is_refused(self, text: str, says: str) -> None:
        with pytest.raises(WireError, match=says):
            names.from_text(text)

    def test_digits_outside_ascii_are_no_escape(self) -> None:
        with pytest.raises(WireError, match="ASCII"):
            names.from_text("\\\u0661\u0662\u0663.a")


class TestRead:
    @given(any_names, st.binary(max_size=5), st.binary(max_size=5))
    def test_uncompressed_name_ends_where_it_ends(
        self, name: bytes, before: bytes, behind: bytes
    ) -> None:
        assert names.read(before + name + behind, len(before)) == (name, len(before) + len(name))

    @given(names_below(ROOT, 3), names_below(ROOT, 3))
    def test_pointer_is_followed(self, tail: bytes, head: bytes) -> None:
        full = head[:-1] + tail
        msg = b"\xaa" + tail + head[:-1] + b"\xc0\x01\xbb"
        if len(full) > 255:
            with pytest.raises(WireError, match="255"):
                names.read(msg, 1 + len(tail))
            return
        assert names.read(msg, 1 + len(tail)) == (full, len(msg) - 1)
        known: dict[int, bytes] = {}
        for _ in range(2):
            assert names.read(msg, 1 + len(tail), known) == (full, len(msg) - 1)
        assert known == {1: tail}

    def test_chain_of_pointers_is_remembered_at_each_link(self) -> None:
        msg = b"\1a\0" + b"\1b\xc0\x00" + b"\xc0\x03" + b"\1c\xc0\x07" + b"\1D\xc0\x09"
        known: dict[int, bytes] = {}
        assert names.read(msg, 13, known) == (b"\1D\1c\1b\1a\0", 17)
        assert known == {0: b"\1a\0", 3: b"\1b\1a\0", 7: b"\1b\1a\0", 9: b"\1c\1b\1a\0"}
        assert names.read(msg, 9, known) == (b"\1c\1b\1a\0", 13)

    def test_pointer_into_the_middle_of_a_name(self) -> None:
        msg = b"\3www\7example\0\1a\xc0\x04"
        assert names.read(msg, 13) == (b"\1a\7example\0", 17)

    @pytest.mark.parametrize("tail", [LONGEST, LONGEST[64:]], ids=["256 octets", "255 octets"])
    def test_name_of_255_octets_passes_and_256_does_not(self, tail: bytes) -> None:
        label = b"\1w" if tail == LONGEST else wire([b"v" * 63])[:-1]
        msg = tail + label + b"\xc0\0"
        for known in (None, dict[int, bytes]()):
            if tail == LONGEST:
                with pytest.raises(WireError, match="255"):
                    names.read(msg, len(tail), known)
            else:
                assert names.read(msg, len(tail), known) == (label + tail, len(msg))

    def test_known_tail_counts_for_the_length(self) -> None:
        msg = LONGEST + b"\1w\xc0\0"
        with pytest.raises(WireError, match="255"):
            names.read(msg, len(LONGEST), {0: LONGEST})

    def test_known_name_does_not_make_a_forward_pointer_good(self) -> None:
        with pytest.raises(WireError, match="earlier name"):
            names.read(b"\xc0\x02\1a\0", 0, {2: b"\1a\0"})

    @pytest.mark.parametrize(
        ("msg", "offset", "says"),
        [
            (b"", 0, "end of the message"),
            (b"\1a", 0, "end of the message"),
            (b"\3ab", 0, "end of the message"),
            (b"\1a\xc0", 0, "a compression pointer, got the end"),
            (b"\xc0\x00", 0, "earlier name"),
            (b"\1a\xc0\x00", 0, "earlier name"),
            (b"\xc0\x02\xc0\x00", 2, "earlier name"),
            (b"\xc0\x02\0", 0, "earlier name"),
            (b"\x40\0", 0, "label of at most 63 octets, got length octet 0x40"),
            (b"\x80\0", 0, "0x80"),
            (b"\xbf\0", 0, "0xbf"),
        ],
    )
    def test_bad_names_are_refused(self, msg: bytes, offset: int, says: str) -> None:
        for known in (None, dict[int, bytes]()):
            with pytest.raises(WireError, match=says):
                names.read(msg, offset, known)

    def test_127_jumps_are_the_most(self) -> None:
        msg = b"\0" + b"".join(
            struct_pointer
            for i in range(128)
            for struct_pointer in [_pointer(0 if i == 0 else 2 * i - 1)]
        )
        assert names.read(msg, 1 + 2 * 126)[0] == b"\0"
        with pytest.raises(WireError, match="at most 127 compression pointers"):
            names.read(msg, 1 + 2 * 127)

    @given(st.binary(max_size=40), st.integers(0, 45))
    def test_any_octets_give_a_name_or_a_wire_error(self, msg: bytes, offset: int) -> None:
        try:
            name, after = names.read(msg, offset)
        except WireError:
            with pytest.raises(WireError):
                names.read(msg, offset, {})
            return
        assert name == dns.name.from_wire(msg, offset)[0].to_wire()
        assert offset < after <= len(msg)
        assert names.read(msg, offset, {}) == (name, after)


def _pointer(target: int) -> bytes:
    return (0xC000 | target).to_bytes(2, "big")


class TestKey:
    @given(st.lists(names_below(ORIGIN), min_size=2, max_size=8))
    def test_order_of_keys_is_canonical_order(self, listed: list[bytes]) -> None:
        lowered = {name.lower() for name in listed}
        by_key = sorted(lowered, key=lambda name: names.key_of(name, ORIGIN))
        by_oracle = sorted(lowered, key=lambda name: dns.name.from_wire(name, 0)[0])
        assert by_key == by_oracle

    @given(names_below(ORIGIN))
    def test_wire_of_undoes_key_of(self, name: bytes) -> None:
        low = name.lower()
        key = names.key_of(low, ORIGIN)
        assert names.wire_of(key, ORIGIN) == low
        assert key.endswith(b"\0\0") or key == b"\0"
        assert key.find(b"\0\0") in (len(key) - 2, -1)

    @given(names_below(ROOT))
    def test_root_zone_holds_every_name(self, name: bytes) -> None:
        low = name.lower()
        assert names.wire_of(names.key_of(low, ROOT), ROOT) == low

    @pytest.mark.parametrize("label", [b"\0", b"\1", b"\0\1\0", b"\1\1", b"\1\2", b"\0\0", b"\xff"])
    def test_escapes(self, label: bytes) -> None:
        assert names.unescape(names.escape(label)) == label
        assert b"\0" not in names.escape(label)
        key = names.key_of(wire([label, b"p"], ORIGIN), ORIGIN)
        assert names.wire_of(key, ORIGIN) == wire([label, b"p"], ORIGIN)

    @pytest.mark.parametrize(
        "outside",
        [
            b"\0",
            b"\4test\0",
            b"\7exampla\4test\0",
            wire([b"aexample", b"test"]),
            b"\4test\7example\0",
        ],
    )
    def test_name_outside_is_refused(self, outside: bytes) -> None:
        with pytest.raises(OutOfZoneError, match=r"at or below example\.test\."):
            names.key_of(outside, ORIGIN)

    def test_label_that_ends_like_the_origin_is_outside(self) -> None:
        fake = wire([b"a" + ORIGIN[:-1]])
        assert fake.endswith(ORIGIN)
        assert not names.is_below(fake, ORIGIN)

    @given(any_names)
    def test_lower_and_labels(self, name: bytes) -> None:
        assert names.lower(name) == dns.name.from_wire(name, 0)[0].canonicalize().to_wire()
        assert wire(names.labels(name)) == name
