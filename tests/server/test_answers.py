"""The short way gives what the long way gives, for one version only, and never to who may not."""

from __future__ import annotations

import random

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest

from tests.answer.asking import ZONE
from tests.answer.asking import snapshot as shaped
from tests.server.fakes import HandClock, snapshot, table, zone_config
from xfer.answer.cookies import Cookies
from xfer.answer.options import Offer
from xfer.peers import Acl, AclEntry, Action, address_of
from xfer.server.answers import Answers
from xfer.server.dispatch import Dispatcher
from xfer.server.handled import Handled
from xfer.server.rrl import Rates
from xfer.server.zones import Zone
from xfer.wire.names import from_text
from xfer.zone.snapshot import Snapshot

HOST = "192.0.2.7"
TYPES = ["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "DNAME", "DS", "ANY", "RRSIG", "TYPE4711"]
NAMES = [
    *sorted({line.split()[0] for line in ZONE.splitlines()[3:] if line}),
    *("no", "x.no", "x.wild", "y.x.wild", "x.wcname", "x.sub", "a.dn", "x.out", "ent.a", "*.wild"),
]


class Long(Dispatcher):
    """Counts what takes the long way."""

    taken = 0

    def handle(self, message: bytes, client: object, tcp: bool) -> Handled:
        self.taken += 1
        return super().handle(message, client, tcp)  # type: ignore[arg-type]


def answers(zone: Zone, budget: int = 1 << 20) -> tuple[Answers, Long]:
    clock = HandClock()
    long = Long(table(zone), {}, clock)
    return Answers(long, clock, lambda work: None, budget), long


def served(serial: int = 1) -> Zone:
    return Zone(zone_config(), snapshot=snapshot(serial))


def query(name: str, rtype: str = "A", **options: object) -> bytes:
    return dns.message.make_query(name, rtype, **options).to_wire()  # type: ignore[arg-type]


def read(reply: bytes | None) -> dns.message.Message:
    assert reply is not None
    return dns.message.from_wire(reply, ignore_trailing=False)


def owner(name: str) -> str:
    return "example.com." if name == "@" else f"{name}.example.com."


@pytest.mark.parametrize("payload", [None, 512, 1232, 4096])
@pytest.mark.parametrize("do", [False, True])
def test_both_ways_say_the_same(payload: int | None, do: bool) -> None:
    short, long = answers(Zone(zone_config(), snapshot=shaped()))
    edns = {} if payload is None else {"use_edns": 0, "payload": payload, "want_dnssec": do}
    for name in NAMES:
        for rtype in TYPES:
            asked = query(owner(name).lower(), rtype, **edns)
            expected = long.handle(asked, address_of(HOST), False).reply
            long.taken = 0
            for _ in range(4):  # looked up, let in, found by its question, found by its octets
                assert short.answer(asked, HOST, 1000.0) == expected, (name, rtype)
            assert long.taken == 0


def test_the_question_comes_back_in_its_own_case_and_rd_with_it() -> None:
    short, long = answers(Zone(zone_config(), snapshot=shaped()))
    draw = random.Random(4)
    for name in NAMES * 3:
        for rtype in ("A", "TXT", "NS"):
            text = "".join(draw.choice((c.upper(), c.lower())) for c in owner(name))
            message = dns.message.make_query(text, rtype)
            message.flags = draw.choice((0, dns.flags.RD))
            asked = message.to_wire()
            reply = short.answer(asked, HOST, 1000.0)
            assert reply is not None
            assert reply[12:].startswith(asked[12:])
            assert reply[2] & 1 == asked[2] & 1
            expected = long.handle(asked, address_of(HOST), False).reply
            assert canonical(reply) == canonical(expected), (text, rtype)


def canonical(reply: bytes | None) -> tuple[int, list[list[str]]]:
    message = read(reply)
    sections = [sorted(str(rrset).lower() for rrset in part) for part in message.sections]
    return message.flags, sections


def test_a_new_version_is_answered_from_at_once() -> None:
    zone = served()
    short, _ = answers(zone)
    asked = query("example.com.", "SOA")
    for serial in range(1, 5):
        zone.snapshot = snapshot(serial)
        for _ in range(4):
            (soa,) = read(short.answer(asked, HOST, 1000.0)).answer[0]
            assert soa.serial == serial


def test_an_expired_zone_is_not_answered_from_what_was_kept() -> None:
    zone = served()
    zone.expires = 2000.0
    short, long = answers(zone)
    asked = query("h000001.p0000.example.com.")
    assert [read(short.answer(asked, HOST, 1999.0)).rcode() for _ in range(4)] == [0] * 4
    long.clock.now = 2000.0  # type: ignore[attr-defined]
    assert read(short.answer(asked, HOST, 2000.0)).rcode() == dns.rcode.SERVFAIL
    zone.expires = 3000.0  # a check has succeeded
    assert read(short.answer(asked, HOST, 2000.0)).rcode() == 0
    zone.expires = 1500.0  # the primary said less
    assert read(short.answer(asked, HOST, 2000.0)).rcode() == dns.rcode.SERVFAIL


def test_a_zone_with_an_access_list_takes_the_long_way() -> None:
    zone = served()
    short, _ = answers(zone)
    asked = query("example.com.", "SOA")
    assert [read(short.answer(asked, HOST, 1000.0)).rcode() for _ in range(4)] == [0] * 4
    nobody = Acl("nobody", (AclEntry(Action.DENY),))
    zone.config = attrs.evolve(zone.config, allow_query=(nobody,))
    assert read(short.answer(asked, HOST, 1000.0)).rcode() == dns.rcode.REFUSED


def test_a_removed_zone_is_not_answered() -> None:
    zone = served()
    short, long = answers(zone)
    asked = query("example.com.", "SOA")
    assert [read(short.answer(asked, HOST, 1000.0)).rcode() for _ in range(4)] == [0] * 4
    zone.removed = True
    long.table.zones.clear()
    short.apply(1 << 20)
    assert read(short.answer(asked, HOST, 1000.0)).rcode() == dns.rcode.REFUSED


def test_cookies_do_not_need_the_long_way() -> None:
    short, long = answers(served())
    long.offer = Offer(b"", 15.0, Cookies([bytes(16)]))
    short.apply(1 << 20)
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"clientck")
    asked = query("h000001.p0000.example.com.", use_edns=0, options=[option])
    expected = long.handle(asked, address_of(HOST), False).reply
    long.taken = 0
    assert [short.answer(asked, HOST, 1000.0) for _ in range(4)] == [expected] * 4
    assert long.taken == 0
    # Another client gets another cookie.
    assert short.answer(asked, "192.0.2.8", 1000.0) != expected


def test_a_malformed_cookie_takes_the_long_way_to_formerr() -> None:
    short, long = answers(served())
    long.offer = Offer(b"", 15.0, Cookies([bytes(16)]))
    short.apply(1 << 20)
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"short")
    asked = query("example.com.", use_edns=0, options=[option])
    assert read(short.answer(asked, HOST, 1000.0)).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("octets", [b"", b"\0" * 11, b"\0" * 12, b"\0" * 16, b"\0" * 17])
def test_what_is_no_query_takes_the_long_way(octets: bytes) -> None:
    short, long = answers(served())
    short.answer(octets, HOST, 1000.0)
    assert long.taken == 1


def test_any_octets_get_the_same_both_ways() -> None:
    short, long = answers(Zone(zone_config(), snapshot=shaped()))
    draw = random.Random(5)
    for name in NAMES:
        asked = bytearray(query(owner(name).lower(), "A", use_edns=0))
        for _ in range(40):
            changed = bytearray(asked)
            changed[draw.randrange(2, len(asked))] = draw.randrange(256)
            octets = bytes(changed[: draw.randrange(10, 4 * len(asked))])
            if octets[12:-11] != octets[12:-11].lower():
                continue
            expected = long.handle(octets, address_of(HOST), False).reply
            for _ in range(3):
                assert short.answer(octets, HOST, 1000.0) == expected, octets


def test_all_answers_are_counted() -> None:
    short, long = answers(served())
    before = long.statistics.report(lambda origin: "example.com.", 10)
    asked = query("example.com.", "SOA")
    for _ in range(5):
        short.answer(asked, HOST, 1000.0)
    short.answer(query("nope.example.com."), HOST, 1000.0)
    short.count()
    after = long.statistics.report(lambda origin: "example.com.", 10)
    assert before.asked == ()
    found = {(one.type, one.rcode): one.count for one in after.asked}
    assert found == {("SOA", "NOERROR"): 5, ("A", "NXDOMAIN"): 1}
    assert after.zones == {"example.com.": 6}


def test_a_rate_limit_counts_what_was_kept_too() -> None:
    short, long = answers(served())
    asked = query("example.com.", "SOA")
    for _ in range(5):
        short.answer(asked, HOST, 1000.0)
    long.limiter.resize(Rates(rate=1.0, burst=3.0, slip=0))
    got = [short.answer(asked, HOST, 1000.0) for _ in range(10)]
    assert sum(reply is not None for reply in got) == 3


def test_above_the_rate_a_cookie_that_is_good_still_gets_its_answer() -> None:
    short, long = answers(served())
    long.offer = Offer(cookies=Cookies([bytes(16)]))
    short.apply(1 << 20)
    long.limiter.resize(Rates(rate=1.0, burst=2.0, slip=1))

    def ask(cookie: bytes) -> dns.message.Message:
        options: list[dns.edns.Option] = []
        if cookie:
            options.append(dns.edns.CookieOption(cookie[:8], cookie[8:]))
        asked = query("example.com.", "SOA", use_edns=0, options=options)
        return read(short.answer(asked, HOST, 1000.0))

    assert [len(ask(b"").answer) for _ in range(3)] == [1, 1, 0]
    assert ask(b"").flags & dns.flags.TC
    refused = ask(b"clientck")
    assert refused.rcode() == dns.rcode.BADCOOKIE
    (option,) = refused.options
    assert isinstance(option, dns.edns.CookieOption)
    for _ in range(5):
        assert ask(option.client + option.server).answer
    assert long.taken == 0
    short.count()
    after = long.statistics.report(lambda origin: "example.com.", 10)
    assert {(one.rcode, one.count) for one in after.asked} == {("NOERROR", 9), ("BADCOOKIE", 1)}
    assert after.limited == {"truncated": 2, "badcookie": 1}


def test_answers_that_the_rate_limit_drops_are_counted_as_none() -> None:
    short, long = answers(served())
    long.limiter.resize(Rates(rate=1.0, burst=3.0, slip=0))
    got = [short.answer(query("example.com.", "SOA"), HOST, 1000.0) for _ in range(10)]
    assert sum(reply is None for reply in got) == 7
    short.count()
    after = long.statistics.report(lambda origin: "example.com.", 10)
    assert {(one.rcode, one.count) for one in after.asked} == {("NOERROR", 3), ("none", 7)}


def test_a_mistake_of_ours_costs_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(*_: object) -> None:
        raise ValueError("a mistake")

    short, long = answers(served())
    asked = query("example.com.", "SOA")
    long.limiter.resize(Rates(rate=1.0, burst=9.0))
    with monkeypatch.context() as broken:
        broken.setattr(long.limiter, "judge", mistake)
        for message in (asked, query("example.org.")):  # the short way and the long one
            assert read(short.answer(message, HOST, 1000.0)).rcode() == dns.rcode.SERVFAIL
    assert read(short.answer(asked, HOST, 1000.0)).answer


def test_counters_are_as_few_as_kinds_and_zones() -> None:
    zones = [
        Zone(
            zone_config(name=f"z{number}."),
            snapshot=Snapshot(from_text(f"z{number}."), snapshot().blocks),
        )
        for number in range(5)
    ]
    clock = HandClock()
    short = Answers(Dispatcher(table(*zones), {}, clock), clock, lambda work: None, 1 << 20)
    for number in range(5):
        for rtype in range(1, 400):
            short.answer(query(f"z{number}.", f"TYPE{rtype}"), HOST, 1000.0)
    kinds, counted = short.fast.drain()
    assert len(kinds) < 262
    assert len(counted) == 5
    assert sum(kinds.values()) == sum(counted.values()) > 5 * 350
    assert short.fast.drain() == ({}, {})
