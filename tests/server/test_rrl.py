"""Rate limits: who is limited, by how much, and what still goes out."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.rcode
import pytest
import structlog.testing
from hypothesis import given
from hypothesis import strategies as st

from xfer.peers import address_of
from xfer.server.rrl import (
    ANSWER,
    ERROR,
    LINES_A_MINUTE,
    NO_DATA,
    NO_NAME,
    REFERRAL,
    RateLimiter,
    Rates,
    Verdict,
    kind_of,
    without_content,
)
from xfer.wire.edns import Edns

CLIENT = address_of("192.0.2.7")


def reply(rcode: int = 0, answers: int = 1, authorities: int = 0, aa: bool = True) -> bytes:
    flags = bytes([0x84 if aa else 0x80, rcode])
    counts = b"\0\1" + answers.to_bytes(2, "big") + authorities.to_bytes(2, "big") + b"\0\0"
    return b"\0\7" + flags + counts


def limiter(rate: float = 10, burst: float = 5, **others: object) -> RateLimiter:
    return RateLimiter(Rates(rate, burst, **others))  # type: ignore[arg-type]


def verdicts(one: RateLimiter, count: int, now: float = 0.0, client: str = "192.0.2.7") -> str:
    """S, D or L (slip) for each of so many answers at once."""
    letters = {Verdict.SEND: "S", Verdict.DROP: "D", Verdict.SLIP: "L"}
    return "".join(letters[one.judge(address_of(client), reply(), now)] for _ in range(count))


def test_a_burst_goes_out_then_the_rate() -> None:
    one = limiter()
    assert verdicts(one, 9) == "SSSSSDLDL"
    assert verdicts(one, 3, 0.2) == "SSD"
    assert verdicts(one, 7, 100.0) == "SSSSSLD"


@pytest.mark.parametrize(("slip", "expected"), [(0, "DDDDDD"), (1, "LLLLLL"), (3, "DDLDDL")])
def test_slip_says_how_many_go_out_empty(slip: int, expected: str) -> None:
    assert verdicts(limiter(slip=slip), 11)[5:] == expected


def test_networks_and_kinds_are_counted_apart() -> None:
    one = limiter(slip=0)
    assert verdicts(one, 6) == "SSSSSD"
    assert verdicts(one, 1, client="192.0.2.200") == "D"
    assert verdicts(one, 1, client="192.0.3.7") == "S"
    assert one.judge(CLIENT, reply(3, 0, 1), 0.0) is Verdict.SEND
    assert verdicts(one, 6, client="2001:db8:0:100::1") == "SSSSSD"
    assert verdicts(one, 1, client="2001:db8:0:1ff::9") == "D"
    assert verdicts(one, 1, client="2001:db8:0:200::1") == "S"


def test_an_ipv4_network_is_no_ipv6_one() -> None:
    one = limiter(slip=0, prefix4=32, prefix6=128)
    assert verdicts(one, 6, client="0.0.0.9") == "SSSSSD"
    assert verdicts(one, 1, client="::9") == "S"


@pytest.mark.parametrize(
    "rates",
    [
        Rates(10, 5, exempt=(ip_network("192.0.2.0/28"),)),
        Rates(10, 5, peers=frozenset([CLIENT])),
        Rates(10, 5, exempt=(ip_network("2001:db8::/32"), ip_network("192.0.2.7/32"))),
    ],
)
def test_exempt_ranges_and_peers_are_free(rates: Rates) -> None:
    assert verdicts(RateLimiter(rates), 50) == "S" * 50


def test_the_table_is_bounded_and_the_longest_silent_makes_room() -> None:
    one = limiter(slip=0, table=2)
    assert verdicts(one, 6, client="192.0.2.1") == "SSSSSD"
    assert verdicts(one, 6, client="192.0.3.1") == "SSSSSD"
    assert verdicts(one, 1, client="192.0.2.1") == "D"
    assert verdicts(one, 1, client="192.0.4.1") == "S"  # 192.0.3.0 is forgotten
    assert verdicts(one, 1, client="192.0.2.1") == "D"
    assert verdicts(one, 1, client="192.0.3.1") == "S"


def test_other_rates_apply_at_once() -> None:
    one = limiter()
    assert one.on
    one.resize(Rates())
    assert not one.on
    one.resize(Rates(1, 1, slip=0))
    assert verdicts(one, 3) == "SDD"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.integers(1, 50))
def test_no_more_goes_out_than_burst_and_rate_allow(pauses: list[float], rate: int) -> None:
    one = limiter(rate, 5, slip=0)
    now, sent = 0.0, 0
    for pause in pauses:
        now += pause
        sent += one.judge(CLIENT, reply(), now) is Verdict.SEND
    assert sent <= 5 + rate * now + 1e-6


def test_the_log_has_a_line_a_minute_for_each_network_and_few_at_all() -> None:
    one = limiter(slip=0)
    with structlog.testing.capture_logs() as lines:
        verdicts(one, 100)
        verdicts(one, 100, 30.0)
    (line,) = lines
    assert (line["network"], line["kind"]) == ("192.0.2.0/24", "answer")
    with structlog.testing.capture_logs() as lines:
        verdicts(one, 100, 61.0)
        for net in range(200):
            verdicts(one, 10, 61.0, f"10.0.{net}.1")
    assert len(lines) == LINES_A_MINUTE
    with structlog.testing.capture_logs() as lines:
        verdicts(one, 10, 200.0, "2001:db8::1")
    assert lines[0]["network"] == "2001:db8::/56"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (reply(), ANSWER),
        (reply(0, 256), ANSWER),
        (reply(0, 0, 1), NO_DATA),
        (reply(3, 0, 1), NO_NAME),
        (reply(3, 1, 1), NO_NAME),
        (reply(0, 0, 2, aa=False), REFERRAL),
        (reply(0, 0, 0, aa=False), NO_DATA),
        (reply(5, 0), ERROR),
    ],
)
def test_the_header_tells_the_kind(message: bytes, kind: int) -> None:
    assert kind_of(message) == kind


def test_what_goes_out_instead() -> None:
    query = dns.message.make_query("example.com.", "A", use_edns=0)
    made = without_content(query.to_wire(), Edns(), cookie=False)
    assert made is not None
    answer = dns.message.from_wire(made)
    assert query.is_response(answer)
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
    assert answer.flags & dns.flags.TC
    assert answer.edns == 0
    made = without_content(query.to_wire(), Edns(), cookie=True)
    assert made is not None
    assert dns.message.from_wire(made).rcode() == dns.rcode.BADCOOKIE
    assert without_content(b"", None, cookie=False) is None


def test_over_many_answers_a_slip_of_two_is_half() -> None:
    counts = Counter(verdicts(limiter(), 1005))
    assert counts == {"S": 5, "D": 500, "L": 500}
