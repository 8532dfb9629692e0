"""What the dispatcher counts of requests, and which answers it lets the rate limit keep back."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.server.fakes import CLIENT, KEY, OTHER, HandClock, peer, snapshot, table, zone_config
from xfer.answer.cookies import Cookies
from xfer.answer.options import Offer
from xfer.peers import Acl, AclEntry, Action
from xfer.server.dispatch import Dispatcher
from xfer.server.rrl import RateLimiter, Rates
from xfer.server.statistics import QueryStatus
from xfer.server.zones import Zone
from xfer.wire.names import from_text
from xfer.wire.request import make_notify
from xfer.wire.tsig import sign_request

EVERYBODY = Acl("all", (AclEntry(Action.ALLOW),))


def dispatcher(rates: Rates | None = None) -> Dispatcher:
    config = zone_config(primaries=[peer("pri", "192.0.2.9")], allow_transfer=[EVERYBODY])
    return Dispatcher(
        table(Zone(config, snapshot=snapshot())),
        {KEY.name: KEY},
        HandClock(),
        offer=Offer(cookies=Cookies([bytes(16)])),
        limiter=RateLimiter(rates or Rates()),
    )


def query(rtype: str = "SOA", name: str = "example.com.", **options: object) -> bytes:
    return dns.message.make_query(name, rtype, **options).to_wire()  # type: ignore[arg-type]


def with_cookie(data: bytes) -> bytes:
    options: list[dns.edns.Option] = [dns.edns.CookieOption(data[:8], data[8:])]
    return query(use_edns=0, options=options)


def report(one: Dispatcher) -> QueryStatus:
    return one.statistics.report(lambda origin: "example.com.", 5)


def said(one: Dispatcher) -> dict[tuple[str, str, str], int]:
    return {(item.transport, item.type, item.rcode): item.count for item in report(one).asked}


NOW = int(HandClock().wall())
UPDATE = bytes([0, 7, 5 << 3, 0]) + bytes(8)


@pytest.mark.parametrize(
    ("message", "tcp", "expected"),
    [
        (query(), False, ("udp", "SOA", "NOERROR")),
        (query("NS"), True, ("tcp", "NS", "NOERROR")),
        (query("A", "nx.example.com."), False, ("udp", "A", "NXDOMAIN")),
        (query("A", "example.org."), False, ("udp", "A", "REFUSED")),
        (query("AXFR"), True, ("tcp", "AXFR", "NOERROR")),
        (query("AXFR"), False, ("udp", "AXFR", "FORMERR")),
        (query("TYPE65000"), False, ("udp", "other", "NOERROR")),
        (query("TYPE0"), False, ("udp", "other", "NOERROR")),
        (query(use_edns=1), False, ("udp", "SOA", "BADVERS")),
        (query()[:-1], False, ("udp", "unreadable", "FORMERR")),
        (query()[:5], False, ("udp", "unreadable", "none")),
        (make_notify(7, from_text("example.com.")), False, ("udp", "notify", "REFUSED")),
        (UPDATE, True, ("tcp", "opcode", "NOTIMP")),
        (with_cookie(b"clientck" + bytes(16)), False, ("udp", "SOA", "NOERROR")),
        (sign_request(query("AXFR"), OTHER, NOW)[0], True, ("tcp", "AXFR", "NOTAUTH")),
        (sign_request(query("NS"), KEY, NOW + 10_000)[0], False, ("udp", "NS", "NOTAUTH")),
    ],
)
def test_each_request_is_counted_once(
    message: bytes, tcp: bool, expected: tuple[str, str, str]
) -> None:
    one = dispatcher()
    one.handle(message, CLIENT, tcp)
    assert said(one) == {expected: 1}


def test_queries_are_counted_by_the_zone_that_answers() -> None:
    one = dispatcher()
    for name in ("example.com.", "www.example.com.", "example.org."):
        one.handle(query("A", name), CLIENT, False)
    assert report(one).zones == {"example.com.": 2}


def test_some_requests_are_timed() -> None:
    one = dispatcher()
    for _ in range(64):
        one.handle(query(), CLIENT, False)
    assert sum(report(one).service.counts) == 4


LOW = Rates(1, 2, slip=2)


def test_above_the_rate_answers_are_dropped_or_cut() -> None:
    one = dispatcher(LOW)
    replies = [one.handle(query(use_edns=0), CLIENT, False).reply for _ in range(6)]
    assert [reply is not None for reply in replies] == [True, True, False, True, False, True]
    cut = dns.message.from_wire(replies[3] or b"")
    assert (cut.rcode(), cut.answer, cut.edns) == (dns.rcode.NOERROR, [], 0)
    assert cut.flags & dns.flags.TC
    assert report(one).limited == {"dropped": 2, "truncated": 2}
    assert said(one) == {("udp", "SOA", "NOERROR"): 4, ("udp", "SOA", "none"): 2}


def test_a_client_with_a_cookie_gets_badcookie_and_is_free_with_a_good_one() -> None:
    one = dispatcher(LOW)
    replies = [one.handle(with_cookie(b"clientck"), CLIENT, False).reply for _ in range(4)]
    answer = dns.message.from_wire(replies[3] or b"")
    assert answer.rcode() == dns.rcode.BADCOOKIE
    (option,) = answer.options
    assert isinstance(option, dns.edns.CookieOption)
    good = with_cookie(option.client + option.server)
    for _ in range(20):
        reply = one.handle(good, CLIENT, False).reply
        assert dns.message.from_wire(reply or b"").answer
    assert report(one).limited == {"dropped": 1, "badcookie": 1}
    assert said(one)["udp", "SOA", "BADCOOKIE"] == 1


def cookie_alone(data: bytes) -> bytes:
    option = b"\0\x0a" + len(data).to_bytes(2, "big") + data
    opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(option).to_bytes(2, "big") + option
    return b"\0\7" + bytes(9) + b"\1" + opt


def with_opcode(opcode: int) -> bytes:
    wire = query(use_edns=0)
    return wire[:2] + bytes([opcode << 3]) + wire[3:]


@pytest.mark.parametrize(
    "message",
    [
        cookie_alone(b"clientck"),
        cookie_alone(b"clientck" + bytes(16)),
        query()[:-1],
        query(use_edns=1),
        query("A", "example.org.", use_edns=0),
        make_notify(7, from_text("example.com.")),
        make_notify(7, from_text("example.org.")),
        with_opcode(2),
        with_opcode(5),
    ],
    ids=[
        *("cookie alone", "bad cookie alone", "malformed", "EDNS 1", "zone"),
        *("notify", "notify of a zone", "status", "update"),
    ],
)
def test_what_has_no_content_goes_out_as_it_is(message: bytes) -> None:
    """NOERROR and TC in its place would say that a NOTIFY was taken, or an update made."""
    one = dispatcher(LOW)
    replies = [one.handle(message, CLIENT, False).reply for _ in range(6)]
    assert replies[0] is not None
    assert [reply == replies[0] for reply in replies] == [True, True, False, True, False, True]
    assert report(one).limited == {"dropped": 2, "unchanged": 2}
    assert sorted(said(one).values()) == [2, 4]


def test_tcp_and_signed_requests_are_free() -> None:
    one = dispatcher(LOW)
    signed, _ = sign_request(query(), KEY, int(HandClock().wall()))
    for _ in range(20):
        assert one.handle(query(), CLIENT, True).reply is not None
        assert one.handle(signed, CLIENT, False).reply is not None
    assert report(one).limited == {}


def test_without_a_rate_nothing_is_kept_back() -> None:
    one = dispatcher()
    assert all(one.handle(query(), CLIENT, False).reply for _ in range(2000))


@pytest.mark.parametrize("message", [query()[:-1], query("A", "example.org.")])
def test_errors_are_limited_too(message: bytes) -> None:
    one = dispatcher(Rates(1, 2, slip=0))
    replies = [one.handle(message, CLIENT, False).reply for _ in range(5)]
    assert [reply is not None for reply in replies] == [True, True, False, False, False]
