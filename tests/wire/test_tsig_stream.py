"""Signed responses: single ones and long transfers, good and bad."""

from __future__ import annotations

import struct
from typing import Any

import dns.message
import dns.rdtypes.ANY.TSIG
import dns.tsig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.tsig_by_hand import SECRET, SIZES, Signature, answer, query, wire, with_record
from xfer.errors import TsigError, TsigKind, WireError
from xfer.wire.message import Edns, expire_option, make_error, parse_response
from xfer.wire.tsig import Algorithm, Key, ResponseSigner, ResponseVerifier, sign_request
from xfer.wire.tsig_record import at_end, find

# dnspython has these without types.
oracle: Any = dns.tsig
TSIG: Any = dns.rdtypes.ANY.TSIG.TSIG

NOW = 1_000_000
ALL = list(SIZES)
REQUEST_MAC = bytes(range(32))


def key_for(algorithm: str = "hmac-sha256", *, min_mac: int = 0) -> Key:
    return Key(wire("k1"), Algorithm.from_text(algorithm), SECRET, min_mac)


def verifier(limit: int = 99, *, key: Key | None = None) -> ResponseVerifier:
    return ResponseVerifier(key or key_for(), REQUEST_MAC, limit)


def fails(checker: ResponseVerifier, msg: bytes, now: int = NOW) -> TsigError:
    with pytest.raises(TsigError) as caught:
        checker.feed(msg, now)
    # It stays failed: nothing that follows can make the stream good again.
    with pytest.raises(TsigError) as again:
        checker.feed(msg, now)
    assert again.value is caught.value
    with pytest.raises(TsigError) as again:
        checker.finish()
    assert again.value is caught.value
    return caught.value


def by_hand(messages: list[bytes], unsigned: set[int], *, gap: int = 0) -> list[bytes]:
    """The stream, signed by hand but for the messages in `unsigned`; time runs by `gap`."""
    out: list[bytes] = []
    prior, between, first = REQUEST_MAC, b"", True
    for index, msg in enumerate(messages):
        if index in unsigned:
            out.append(msg)
            between += msg
            continue
        signature = Signature(time=NOW + index * gap)
        signed, prior = signature.sign(msg, prior, between=between, timers=not first)
        between, first = b"", False
        out.append(signed)
    return out


def stream(count: int) -> list[bytes]:
    return [answer(records=n % 7 + 1, question=n == 0) for n in range(count)]


class DnspythonStream:
    """dnspython's side of a transfer: signs or validates with an explicit time."""

    def __init__(self, algorithm: str) -> None:
        name = "hmac-md5.sig-alg.reg.int." if algorithm == "hmac-md5" else algorithm
        self.key = dns.tsig.Key("k1.", SECRET, name)
        self.prior = REQUEST_MAC
        self.ctx: object = None

    def sign(self, msg: bytes) -> bytes:
        template = TSIG(255, 250, self.key.algorithm, NOW, 300, b"", 77, dns.rcode.NOERROR, b"")
        rdata, self.ctx = oracle.sign(msg, self.key, template, NOW, self.prior, self.ctx, True)
        body = rdata.to_wire()
        return with_record(msg, wire("k1") + struct.pack(">HHIH", 250, 255, 0, len(body)) + body)

    def check(self, msg: bytes) -> None:
        parsed = dns.message.from_wire(msg, keyring=False)
        assert parsed.tsig is not None
        rdata: Any = parsed.tsig[0]
        start = len(msg) - len(rdata.to_wire()) - len(wire("k1")) - 10
        self.ctx = oracle.validate(
            msg, self.key, parsed.tsig.name, rdata, NOW, self.prior, start, self.ctx, True
        )


@pytest.mark.parametrize("algorithm", ALL)
def test_dnspython_accepts_our_stream(algorithm: str) -> None:
    peer = DnspythonStream(algorithm)
    signer = ResponseSigner(key_for(algorithm), REQUEST_MAC)
    for msg in stream(5):
        peer.check(signer.sign(msg, NOW))
    assert signer.signed == 5


@pytest.mark.parametrize("algorithm", ALL)
def test_dnspythons_stream_is_accepted(algorithm: str) -> None:
    peer = DnspythonStream(algorithm)
    checker = verifier(key=key_for(algorithm))
    for msg in stream(5):
        assert checker.feed(peer.sign(msg), NOW) == msg
    checker.finish()
    assert (checker.messages, checker.signed) == (5, 5)


def test_our_stream_is_the_hand_made_one_octet_for_octet() -> None:
    signer = ResponseSigner(key_for(), REQUEST_MAC)
    assert [signer.sign(msg, NOW) for msg in stream(6)] == by_hand(stream(6), set())


def test_ready_made_messages_get_their_id_while_being_signed() -> None:
    ready = [b"\0\0" + msg[2:] for msg in stream(3)]
    one = ResponseSigner(key_for(), REQUEST_MAC)
    two = ResponseSigner(key_for(), REQUEST_MAC)
    three = ResponseSigner(key_for(), REQUEST_MAC)
    for msg, image in zip(stream(3), ready, strict=True):
        signed = one.sign(msg, NOW)
        assert two.sign(image, NOW, 77) == signed
        framed: list[bytes | memoryview] = []
        three.frame(image, NOW, 77, framed)
        assert b"".join(framed) == struct.pack(">H", len(signed)) + signed


def test_tsig_size_is_exact() -> None:
    for algorithm in ALL:
        key = key_for(algorithm)
        signed = ResponseSigner(key, REQUEST_MAC).sign(answer(), NOW)
        assert len(signed) == len(answer()) + key.tsig_size()


def test_message_without_room_for_a_tsig_is_refused() -> None:
    room = 65535 - key_for().tsig_size()
    msg = answer() + bytes(room - len(answer()))
    assert len(ResponseSigner(key_for(), REQUEST_MAC).sign(msg, NOW)) == 65535
    with pytest.raises(WireError, match=f"12 to {room} octets to sign, got {room + 1} octets"):
        ResponseSigner(key_for(), REQUEST_MAC).sign(msg + b"\0", NOW)
    with pytest.raises(WireError):
        ResponseSigner(key_for(), REQUEST_MAC).sign(b"short", NOW)


def test_shortened_request_mac_and_prior_macs_chain_as_sent() -> None:
    request, mac = Signature(size=20).sign(query())
    assert len(request) > len(mac) == 20
    checker = ResponseVerifier(key_for(), mac)
    prior = mac
    for index, msg in enumerate(stream(4)):
        signed, prior = Signature(size=16 + index).sign(msg, prior, timers=index > 0)
        assert checker.feed(signed, NOW) == msg
    checker.finish()


def test_time_may_pass_during_a_transfer() -> None:
    checker = verifier()
    for index, msg in enumerate(by_hand(stream(20), set(), gap=100)):
        checker.feed(msg, NOW + index * 100)
    checker.finish()


@given(st.sets(st.integers(1, 28), max_size=28))
def test_unsigned_messages_in_between_enter_the_next_mac(unsigned: set[int]) -> None:
    checker = verifier()
    for plain, msg in zip(stream(30), by_hand(stream(30), unsigned), strict=True):
        assert checker.feed(msg, NOW) == plain
    checker.finish()
    assert (checker.messages, checker.signed) == (30, 30 - len(unsigned))


@given(st.sets(st.integers(1, 8), min_size=1), st.data())
def test_changed_unsigned_message_fails_at_the_next_signed_one(
    unsigned: set[int], data: st.DataObject
) -> None:
    messages = by_hand(stream(10), unsigned)
    index = data.draw(st.sampled_from(sorted(unsigned)))
    messages[index] = messages[index][:-1] + b"\xff"
    checker = verifier()
    with pytest.raises(TsigError) as caught:
        for msg in messages:
            checker.feed(msg, NOW)
    assert caught.value.kind is TsigKind.BAD_MAC


def test_ninety_nine_unsigned_messages_in_a_row_are_accepted() -> None:
    checker = verifier()
    for msg in by_hand(stream(101), set(range(1, 100))):
        checker.feed(msg, NOW)
    checker.finish()
    assert (checker.messages, checker.signed) == (101, 2)


def test_the_hundredth_unsigned_message_is_refused() -> None:
    messages = by_hand(stream(102), set(range(1, 101)))
    checker = verifier()
    for msg in messages[:100]:
        checker.feed(msg, NOW)
    error = fails(checker, messages[100])
    assert error.kind is TsigKind.TOO_MANY_UNSIGNED
    assert error.expected == "at most 99 unsigned messages between signed ones"
    assert error.got == "100"


def test_no_unsigned_message_is_accepted_where_the_limit_is_zero() -> None:
    messages = by_hand(stream(3), {1})
    checker = verifier(0)
    checker.feed(messages[0], NOW)
    assert fails(checker, messages[1]).kind is TsigKind.TOO_MANY_UNSIGNED


def test_unsigned_tail_is_refused() -> None:
    checker = verifier()
    for msg in by_hand(stream(4), {2, 3}):
        checker.feed(msg, NOW)
    with pytest.raises(TsigError) as caught:
        checker.finish()
    assert caught.value.kind is TsigKind.UNSIGNED_TAIL
    assert caught.value.expected == "a last message signed by k1. with hmac-sha256"
    assert caught.value.got == "2 unsigned at the end"


def test_no_message_at_all_is_a_missing_signature() -> None:
    with pytest.raises(TsigError) as caught:
        verifier().finish()
    assert caught.value.kind is TsigKind.MISSING


def test_unsigned_first_message_is_a_missing_signature() -> None:
    error = fails(verifier(), answer())
    assert error.kind is TsigKind.MISSING
    assert error.expected == "a response signed by k1. with hmac-sha256"
    assert error.got == "an unsigned one with NOERROR"


def test_unsigned_refusal_says_what_was_refused() -> None:
    assert fails(verifier(), answer(records=0, rcode=5)).got == "an unsigned one with REFUSED"


@pytest.mark.parametrize("position", [0, 2, 4])
class TestOneBadMessage:
    """The message at one position of five is wrong; those before it are right."""

    def run(self, position: int, bad: Signature, *, now: int = NOW) -> TsigError:
        checker = verifier()
        good = by_hand(stream(5), set())
        prior = REQUEST_MAC
        for msg in good[:position]:
            checker.feed(msg, NOW)
            prior = msg[-6 - 32 : -6]
        signed, _ = bad.sign(stream(5)[position], prior, timers=position > 0)
        return fails(checker, signed, now)

    def test_another_key(self, position: int) -> None:
        error = self.run(position, Signature(name="k2"))
        assert error.kind is TsigKind.WRONG_KEY
        assert (error.expected, error.got) == ("a TSIG by k1. with hmac-sha256", "one by k2.")

    def test_a_key_of_equal_length(self, position: int) -> None:
        assert self.run(position, Signature(owner=b"\x02k9\0")).kind is TsigKind.WRONG_KEY

    def test_another_algorithm(self, position: int) -> None:
        error = self.run(position, Signature(algorithm="hmac-sha384"))
        assert error.kind is TsigKind.WRONG_ALGORITHM
        assert error.got == "one with hmac-sha384."

    def test_another_secret(self, position: int) -> None:
        error = self.run(position, Signature(secret=b"other"))
        assert error.kind is TsigKind.BAD_MAC
        assert error.expected == "a MAC by k1. with hmac-sha256 over this message"

    @pytest.mark.parametrize("size", [0, 9, 15, 33])
    def test_mac_of_a_wrong_size(self, position: int, size: int) -> None:
        error = self.run(position, Signature(mac=bytes(size)))
        assert error.kind is TsigKind.BAD_TRUNCATION
        assert error.expected == "a MAC of 16 to 32 octets for hmac-sha256"
        assert error.got == str(size)

    @pytest.mark.parametrize("drift", [-301, 301])
    def test_wrong_clock(self, position: int, drift: int) -> None:
        error = self.run(position, Signature(time=NOW + drift))
        assert error.kind is TsigKind.BAD_TIME
        assert (error.our_time, error.their_time) == (NOW, NOW + drift)
        word = "ahead" if drift > 0 else "behind"
        assert error.got == f"ours {NOW}, theirs {NOW + drift}, 301 s {word}"

    def test_class_in(self, position: int) -> None:
        error = self.run(position, Signature(rclass=1))
        assert error.kind is TsigKind.MALFORMED
        assert "class 1" in error.got

    def test_a_ttl(self, position: int) -> None:
        error = self.run(position, Signature(ttl=1))
        assert error.kind is TsigKind.MALFORMED
        assert "TTL 1" in error.got

    @pytest.mark.parametrize(
        ("code", "kind", "words"),
        [
            (
                16,
                TsigKind.PEER_BADSIG,
                "peer knows the name k1., but may have another secret or another algorithm",
            ),
            (
                17,
                TsigKind.PEER_BADKEY,
                "peer does not know k1. with hmac-sha256: "
                "it may have another name or another algorithm for it",
            ),
            (18, TsigKind.PEER_BADTIME, f"ours {NOW}, theirs unknown"),
            (22, TsigKind.PEER_BADTRUNC, "longer MAC than the 32 octets"),
            (1, TsigKind.MALFORMED, "FORMERR (unsigned)"),
        ],
    )
    def test_unsigned_error_of_the_peer(
        self, position: int, code: int, kind: TsigKind, words: str
    ) -> None:
        error = self.run(position, Signature(error=code, mac=b""))
        assert error.kind is kind
        assert words in error.got

    def test_truncated_anywhere(self, position: int) -> None:
        good = by_hand(stream(5), set())
        whole = good[position]
        for cut in range(12, len(whole)):
            checker = verifier()
            for msg in good[:position]:
                checker.feed(msg, NOW)
            assert fails(checker, whole[:cut]).kind is TsigKind.MALFORMED


def test_messages_out_of_order_are_a_bad_mac() -> None:
    messages = by_hand(stream(3), set())
    checker = verifier()
    checker.feed(messages[0], NOW)
    assert fails(checker, messages[2]).kind is TsigKind.BAD_MAC


def test_answer_to_another_request_is_a_bad_mac() -> None:
    _, mac = sign_request(query(), key_for(), NOW)
    signed = ResponseSigner(key_for(), mac).sign(answer(), NOW)
    assert fails(verifier(), signed).kind is TsigKind.BAD_MAC


def test_peers_clock_comes_from_the_other_data() -> None:
    later = NOW + 4000
    other = later.to_bytes(6, "big")
    signed, _ = Signature(error=18, other=other).sign(answer(rcode=9), REQUEST_MAC)
    error = fails(verifier(), signed)
    assert error.kind is TsigKind.PEER_BADTIME
    assert (error.our_time, error.their_time) == (NOW, later)
    assert f"ours {NOW}, theirs {later}, 4000 s ahead" in error.got


def test_error_without_a_right_mac_is_no_signed_error() -> None:
    signed, _ = Signature(error=18, secret=b"other").sign(answer(rcode=9), REQUEST_MAC)
    assert fails(verifier(), signed).kind is TsigKind.BAD_MAC


def test_mac_below_our_policy_is_refused() -> None:
    signed, _ = Signature(size=20).sign(answer(), REQUEST_MAC)
    error = fails(verifier(key=key_for(min_mac=24)), signed)
    assert error.kind is TsigKind.BAD_TRUNCATION
    assert error.expected == "a MAC of at least 24 octets by k1. with hmac-sha256"


def test_compressed_and_capital_owner_names_are_accepted() -> None:
    msg = answer().replace(wire("example.com"), wire("a.k1"))
    pointer = b"\xc0\x0e"
    for owner in (pointer, b"\x02K1\0"):
        checker = verifier()
        first, prior = Signature(owner=owner).sign(msg, REQUEST_MAC)
        assert checker.feed(first, NOW) == msg
        second, _ = Signature(owner=owner).sign(msg, prior, timers=True)
        assert checker.feed(second, NOW) == msg
        checker.finish()


def test_original_id_comes_back() -> None:
    signed, _ = Signature(original_id=77).sign(answer(1234), REQUEST_MAC)
    assert verifier().feed(signed, NOW) == answer(77)


def test_opt_before_the_tsig_stays() -> None:
    msg = with_record(answer(), Edns().build())
    signed, _ = Signature().sign(msg, REQUEST_MAC)
    assert verifier().feed(signed, NOW) == msg
    assert parse_response(msg).edns is not None


@pytest.mark.parametrize(
    "opts", [[], [Edns()], [Edns(options=[expire_option(5)])], [Edns(options=[(10, bytes(4))])]]
)
def test_short_cut_sees_what_the_walk_sees(opts: list[Edns]) -> None:
    msg = answer(records=3)
    for opt in opts:
        msg = with_record(msg, opt.build())
    signed, _ = Signature().sign(msg, REQUEST_MAC)
    quick = at_end(signed, key_for(), key_for().tsig_size())
    walked = find(signed)
    assert quick is not None
    assert walked is not None
    assert (quick.start, quick.mac) == (walked.start, walked.mac) == (len(msg), signed[-38:-6])


@pytest.mark.parametrize("opt", [Edns(options=[(10, b"1234567")]), Edns(options=[(9, b"12345")])])
def test_short_cut_leaves_other_records_to_the_walk(opt: Edns) -> None:
    msg = with_record(answer(), opt.build())
    signed, _ = Signature().sign(msg, REQUEST_MAC)
    assert at_end(signed, key_for(), key_for().tsig_size()) is None
    three = with_record(with_record(answer(), Edns().build()), Edns().build())
    signed, _ = Signature().sign(three, REQUEST_MAC)
    assert at_end(signed, key_for(), key_for().tsig_size()) is None
    assert verifier().feed(signed, NOW) == three


def test_two_signatures_are_malformed() -> None:
    once, mac = Signature().sign(answer(), REQUEST_MAC)
    twice, _ = Signature().sign(once, mac)
    assert fails(verifier(), twice).kind is TsigKind.MALFORMED


def test_tsig_before_another_record_is_malformed() -> None:
    once, _ = Signature().sign(answer(), REQUEST_MAC)
    assert fails(verifier(), with_record(once, Edns().build())).kind is TsigKind.MALFORMED


def test_signature_inside_rdata_is_no_signature() -> None:
    """A TXT that ends with the octets of a TSIG, in a message that has none, is a TXT."""
    _, mac = Signature().sign(answer(), REQUEST_MAC)
    forged = Signature().record(mac, 77)
    txt = b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 300, len(forged) + 1)
    txt += bytes([len(forged)]) + forged
    msg = answer(records=0)[:6] + b"\0\1" + answer(records=0)[8:] + txt
    assert fails(verifier(), msg).kind is TsigKind.MISSING
    checker = verifier()
    first, _ = Signature().sign(answer(), REQUEST_MAC)
    checker.feed(first, NOW)
    assert checker.feed(msg, NOW) == msg
    assert checker.signed == 1


def test_forged_trailer_inside_the_last_additional_record_cannot_pass() -> None:
    """Even the holder of the key cannot make one message mean two things.

    The short cut sees a TSIG where the records, walked, have a TXT; what is handed on then lacks
    the end of that TXT, and the parser of the stripped message refuses it.
    """
    length = len(Signature().record(bytes(32), 77))
    head = b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 300, length + 1) + bytes([length])
    stripped = answer() + head
    signed, _ = Signature().sign(stripped, REQUEST_MAC)
    handed_on = verifier().feed(signed, NOW)
    assert handed_on == stripped
    with pytest.raises(WireError, match=f"expected a message of {len(answer())} octets"):
        parse_response(handed_on)


def test_a_request_is_answered_with_what_its_verifier_accepts() -> None:
    signed, mac = sign_request(query(), key_for(), NOW)
    assert len(signed) == len(query()) + key_for().tsig_size()
    reply = make_error(query(), 5)
    assert reply is not None
    checker = ResponseVerifier(key_for(), mac)
    assert checker.feed(ResponseSigner(key_for(), mac).sign(reply, NOW), NOW) == reply
    checker.finish()


@given(st.binary(max_size=200))
def test_no_octets_break_the_verifier(noise: bytes) -> None:
    good, _ = Signature().sign(answer(), REQUEST_MAC)
    for msg in (noise, answer()[:10] + noise, good[: -len(noise) or None] + noise[1:]):
        if msg == good:
            continue
        fails(verifier(), msg)
