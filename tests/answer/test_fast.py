"""The short way gives what the long way gives, made or kept, while a version is served."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.answer.asking import snapshot
from xfer.answer.denial import Denial
from xfer.answer.fast import Fast, Service
from xfer.answer.kept import Lease
from xfer.answer.respond import Responder
from xfer.wire.edns import Edns
from xfer.wire.names import from_text
from xfer.wire.request import parse_request
from xfer.zone.snapshot import Snapshot

NAMES = [
    *("", "ns1", "www", "mail", "ent.a", "alias", "chain1", "loop1", "out", "tosub", "any.wild"),
    *("q.wcname", "own.wild", "sub", "host.sub", "secure", "x.dn", "dn", "big", "no", "q.dout"),
]
TYPES = ["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "DNAME", "DS", "ANY", "TYPE65280"]
ORIGIN = from_text("example.com.")
ZONE = snapshot()
CLIENT = bytes(4)
NOW = 50.0


def responder(served: Snapshot = ZONE) -> Responder:
    return Responder(served, Denial.finished(served))


RESPONDER = responder()


class World:
    """One zone, until 100.0. asked: how often it was looked for, which a kept answer spares."""

    def __init__(self, *, payload: int = 1232, budget: int = 1 << 20) -> None:
        self.service: Service | None = Service(RESPONDER, Lease(100.0), True)
        self.asked = 0
        self.fast = Fast(self.find, self.check, payload, budget)

    def find(self, name: bytes, rtype: int) -> Service | None:
        self.asked += 1
        return self.service if name.endswith(ORIGIN) else None

    def check(self, option: bytes, client: bytes) -> bytes | None:
        return option[:8] + client * 4 if len(option) >= 8 else None

    def serve(self, served: Snapshot) -> None:
        """Another version, from now on."""
        assert self.service is not None
        self.service.lease.end()
        self.service = Service(responder(served), Lease(100.0), True)


def query(name: str = "www.example.com.", rtype: str = "A", **options: object) -> bytes:
    message = dns.message.make_query(name, rtype, **options)  # type: ignore[arg-type]
    return message.to_wire()


def with_cookie(data: bytes, name: str = "www.example.com.") -> bytes:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, data)
    return query(name, use_edns=0, options=[option])


def read(octets: bytes | None) -> dns.message.Message:
    assert octets is not None
    return dns.message.from_wire(octets)


def cased(name: str, upper: int) -> str:
    return "".join(c.upper() if upper >> at & 1 else c for at, c in enumerate(name))


@given(
    st.sampled_from(NAMES),
    st.sampled_from(TYPES),
    st.integers(0, 1 << 30),
    st.sampled_from([None, 512, 1232, 4096]),
    st.booleans(),
    st.booleans(),
)
def test_both_ways_answer_alike(
    name: str, rtype: str, upper: int, size: int | None, do: bool, rd: bool
) -> None:
    whole = cased(f"{name}.example.com." if name else "example.com.", upper)
    options: dict[str, object] = {} if size is None else {"use_edns": 0, "payload": size}
    if size is not None:
        options["want_dnssec"] = do
    asked = query(whole, rtype, flags=dns.flags.RD if rd else 0, **options)
    edns = None if size is None else Edns(0, 1232, do)
    room = min(size or 512, 1232)
    slow = read(RESPONDER.respond(parse_request(asked), room, edns))
    world = World()
    for _ in range(3):  # made, made again and kept, given again
        octets = world.fast.answer(asked, CLIENT, NOW)
        found = read(octets)
        assert found == slow
        assert (found.flags, found.edns, found.ednsflags) == (slow.flags, slow.edns, slow.ednsflags)
        assert octets is not None and len(octets) <= room
        assert [rrset.name.to_text() for rrset in found.question] == [whole]


def test_the_same_octets_get_the_same_answer_under_their_own_id() -> None:
    world = World()
    asked = query()
    assert world.fast.again(asked, NOW) is None
    first = world.fast.answer(asked, CLIENT, NOW)
    world.fast.answer(asked, CLIENT, NOW)  # what is asked for once is not kept
    other = b"\x12\x34" + asked[2:]
    assert first is not None
    assert world.fast.again(other, NOW) == b"\x12\x34" + first[2:]
    assert world.fast.again(query("WWW.example.com."), NOW) is None


def test_one_lookup_does_for_a_question_in_any_case() -> None:
    world = World()
    for name in ("mail.example.com.", "mAil.example.com.", "MAIL.EXAMPLE.com."):
        found = read(world.fast.answer(query(name), CLIENT, NOW))
        assert found.answer[0].name.to_text() == name
    assert world.asked == 2


def test_another_version_is_answered_from_at_once() -> None:
    world = World()
    asked = query()
    for _ in range(2):
        assert read(world.fast.answer(asked, CLIENT, NOW)).answer[0][0].address == "192.0.2.3"
    text = "$ORIGIN example.com.\n$TTL 1\n@ SOA ns1 h 2 1 1 1 1\n@ NS ns1\nns1 A 192.0.2.1\n"
    world.serve(snapshot(text + "www A 192.0.2.99\n"))
    assert world.fast.again(asked, NOW) is None
    assert read(world.fast.answer(asked, CLIENT, NOW)).answer[0][0].address == "192.0.2.99"


def test_what_has_expired_is_answered_no_more() -> None:
    world = World()
    asked = query()
    for _ in range(2):
        assert world.fast.answer(asked, CLIENT, 99.9) is not None
    assert world.fast.again(asked, 99.9) is not None
    assert world.fast.again(asked, 100.0) is None
    assert world.fast.answer(asked, CLIENT, 100.0) is None


def test_a_zone_that_not_anybody_may_ask_goes_the_long_way() -> None:
    world = World()
    world.service = Service(RESPONDER, Lease(100.0), False)
    assert world.fast.answer(query(), CLIENT, NOW) is None


@pytest.mark.parametrize(
    "asked", [query("www.example.net."), query(rtype="AXFR"), with_cookie(b"short"), b"\0" * 12]
)
def test_whatever_is_not_plain_goes_the_long_way(asked: bytes) -> None:
    world = World()
    assert world.fast.answer(asked, CLIENT, NOW) is None
    assert world.fast.again(asked, NOW) is None
    assert world.fast.drain() == ({}, {})


def cookie_of(found: dns.message.Message) -> list[bytes]:
    return [option.to_wire() or b"" for option in found.options]


def test_each_client_gets_its_own_cookie_with_a_kept_answer() -> None:
    world = World()
    for number in range(4):
        client = bytes((192, 0, 2, number))
        asked = with_cookie(b"client%02d" % number)
        found = read(world.fast.answer(asked, client, NOW))
        assert cookie_of(found) == [b"client%02d" % number + client * 4]
        assert world.fast.again(asked, NOW) is None
    assert world.asked == 2


def test_without_cookies_of_ours_there_is_none_in_the_answer() -> None:
    world = World()
    world.fast.cookies = False
    found = read(world.fast.answer(with_cookie(b"clientno"), CLIENT, NOW))
    assert found.answer and not found.options


def test_what_does_not_fit_beside_a_cookie_goes_the_long_way() -> None:
    world = World(payload=512)
    asked = dns.message.make_query("big.example.com.", "TXT", use_edns=0, payload=4096)
    cut = read(world.fast.answer(asked.to_wire(), CLIENT, NOW))
    assert cut.flags & dns.flags.TC
    asked.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"clientno")])
    assert world.fast.answer(asked.to_wire(), CLIENT, NOW) is None


def test_other_settings_forget_what_was_kept() -> None:
    world = World()
    asked = query(use_edns=0)
    for _ in range(2):
        assert read(world.fast.answer(asked, CLIENT, NOW)).payload == 1232
    assert world.fast.again(asked, NOW) is not None
    world.fast.set(1400, 1 << 20)
    assert world.fast.again(asked, NOW) is None
    assert read(world.fast.answer(asked, CLIENT, NOW)).payload == 1400


def test_without_memory_it_answers_and_keeps_nothing() -> None:
    world = World(budget=0)
    asked = query()
    for _ in range(3):
        assert world.fast.answer(asked, CLIENT, NOW) is not None
        assert world.fast.again(asked, NOW) is None
    assert world.asked == 3


def test_every_answer_is_counted_once_by_kind_and_zone() -> None:
    world = World()
    for _ in range(3):
        world.fast.answer(query(), CLIENT, NOW)
    world.fast.again(query(), NOW)
    world.fast.answer(query("no.example.com."), CLIENT, NOW)
    kinds, zones = world.fast.drain()
    a = int(dns.rdatatype.A)
    assert kinds == {a << 6: 4, a << 6 | 3 << 1: 1}
    assert zones == {ORIGIN: 5}
    assert world.fast.drain() == ({}, {})
    world.fast.forget()
    world.fast.answer(query(), CLIENT, NOW)
    assert world.fast.drain() == ({a << 6: 1}, {ORIGIN: 1})
