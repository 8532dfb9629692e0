"""What every kind of request gets, whoever sends it and however."""

from __future__ import annotations

from ipaddress import ip_network

import attrs
import dns.edns
import dns.message
import dns.opcode
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fakes import CLIENT, KEY, OTHER, HandClock, peer, snapshot, table, zone_config
from tests.transfer.zone import record
from xfer.answer.cookies import COOKIE, Cookies
from xfer.answer.options import Offer
from xfer.config import Role
from xfer.peers import Acl, AclEntry, Action, address_of
from xfer.server.dispatch import Dispatcher, error_reply
from xfer.server.handled import Handled, Notified, Transfer
from xfer.server.zones import Zone
from xfer.wire.names import from_text
from xfer.wire.request import make_notify, make_query, serial_soa
from xfer.wire.tsig import Key, ResponseVerifier, sign_request
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

ORIGIN = zone_config().origin
OTHERS = from_text("example.org.")
AXFR, IXFR = 252, 251


def dispatcher(zone: Zone | None = None) -> Dispatcher:
    zone = zone or Zone(zone_config(secondaries=[peer(keys=(KEY,))]), snapshot=snapshot())
    return Dispatcher(table(zone), {KEY.name: KEY, OTHER.name: OTHER}, HandClock())


def rcode(handled: Handled) -> str:
    assert handled.reply is not None
    return dns.rcode.to_text(dns.message.from_wire(handled.reply, ignore_trailing=False).rcode())


def query(rtype: str, name: str = "example.com.", **options: object) -> bytes:
    return dns.message.make_query(name, rtype, **options).to_wire()  # type: ignore[arg-type]


def signed(message: bytes, key: object = KEY) -> tuple[bytes, bytes]:
    return sign_request(message, key, int(HandClock().wall()))  # type: ignore[arg-type]


def test_the_apex_is_answered() -> None:
    assert rcode(dispatcher().handle(query("SOA"), CLIENT, False)) == "NOERROR"


@pytest.mark.parametrize(("name", "code"), [("example.net.", 20), ("com.", 20), (".", 20)])
def test_names_that_are_not_answered_are_refused_with_the_reason(name: str, code: int) -> None:
    handled = dispatcher().handle(query("A", name, use_edns=0), CLIENT, False)
    assert rcode(handled) == "REFUSED"
    assert handled.reply is not None
    (option,) = dns.message.from_wire(handled.reply).options
    assert option.code == code


@pytest.mark.parametrize("rtype", ["SOA", "AXFR"])
def test_a_zone_without_a_version_fails(rtype: str) -> None:
    zone = Zone(zone_config(secondaries=[peer()]))
    assert rcode(dispatcher(zone).handle(query(rtype), CLIENT, True)) == "SERVFAIL"


@pytest.mark.parametrize("rtype", ["SOA", "AXFR"])
def test_an_expired_zone_fails_until_it_is_checked(rtype: str) -> None:
    zone = Zone(zone_config(secondaries=[peer()]), snapshot=snapshot(), expires=2000.0)
    asked = dispatcher(zone)
    assert asked.handle(query(rtype), CLIENT, True).reply is None or rtype == "SOA"
    asked.clock.now = 2000.0  # type: ignore[attr-defined]
    assert rcode(asked.handle(query(rtype), CLIENT, True)) == "SERVFAIL"
    zone.keep_alive(2000.0, None, False)
    handled = asked.handle(query("SOA"), CLIENT, True)
    assert rcode(handled) == "NOERROR"


@pytest.mark.parametrize("opcode", [1, 2, 5, 6, 15])
def test_unknown_opcodes_are_not_implemented(opcode: int) -> None:
    wire = bytearray(query("SOA"))
    wire[2] |= opcode << 3
    assert rcode(dispatcher().handle(bytes(wire), CLIENT, False)) == "NOTIMP"


def test_a_later_edns_version_is_badvers() -> None:
    handled = dispatcher().handle(query("SOA", use_edns=1), CLIENT, False)
    assert rcode(handled) == "BADVERS"


@pytest.mark.parametrize("opcode", [2, 4, 5, 6])
def test_a_later_edns_version_is_badvers_whatever_the_opcode(opcode: int) -> None:
    wire = bytearray(query("SOA", use_edns=1))
    wire[2] |= opcode << 3
    asked = dispatcher()
    reply = asked.handle(bytes(wire), CLIENT, False).reply
    assert reply is not None
    assert (reply[3] & 15, reply[-6], reply[-5]) == (0, 1, 0)  # upper RCODE, our version
    report = asked.statistics.report(str, 1)
    assert [line.rcode for line in report.asked] == ["BADVERS"]


def test_other_classes_are_refused() -> None:
    handled = dispatcher().handle(query("SOA", rdclass="CH"), CLIENT, False)
    assert rcode(handled) == "REFUSED"


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_is_not_answered(size: int) -> None:
    assert dispatcher().handle(query("SOA")[:size], CLIENT, False) == Handled()


def test_responses_are_not_answered() -> None:
    wire = bytearray(query("SOA"))
    wire[2] |= 0x80
    assert dispatcher().handle(bytes(wire), CLIENT, False) == Handled()


def test_malformed_requests_are_formerr() -> None:
    wire = query("SOA")
    asked = dispatcher()
    for message in (wire[:-1], wire + b"x"):
        assert rcode(asked.handle(message, CLIENT, False)) == "FORMERR"
    assert asked.handle(wire[:7], CLIENT, False) == Handled()
    assert not asked.refusals.listed()  # nobody has signed anything


@given(st.binary(max_size=100), st.booleans())
def test_no_octets_raise(data: bytes, tcp: bool) -> None:
    handled = dispatcher().handle(data, CLIENT, tcp)
    assert handled.reply is None or len(handled.reply) >= 12


def test_an_authorised_axfr_over_tcp_is_a_transfer() -> None:
    wire, _ = signed(make_query(7, ORIGIN, AXFR))
    handled = dispatcher().handle(wire, CLIENT, True)
    assert handled.reply is None
    assert isinstance(handled.work, Transfer)
    assert (handled.work.client, handled.work.only_soa) == ("sec", False)
    assert handled.work.signer is not None


def test_axfr_over_udp_is_formerr() -> None:
    assert rcode(dispatcher().handle(query("AXFR"), CLIENT, False)) == "FORMERR"


REFUSED = {
    "unsigned": (None, CLIENT, "must sign with its key"),
    "another key": (OTHER, CLIENT, "not its own"),
    "another address": (KEY, address_of("192.0.2.8"), "is no peer of this zone"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_transfers_of_others_are_refused_and_counted(case: str) -> None:
    key, client, reason = REFUSED[case]
    asked = dispatcher()
    wire = make_query(7, ORIGIN, AXFR)
    if key is not None:
        wire, mac = signed(wire, key)
    for number in (1, 2):
        handled = asked.handle(wire, client, True)
        assert handled.work is None
        assert handled.reply is not None
        assert handled.reply[3] & 15 == 5
        (counted,) = asked.refusals.listed()
        assert (counted.source, counted.count) == (str(client), number)
        assert reason in counted.reason
    if key is not None:
        assert handled.reply is not None
        verifier = ResponseVerifier(key, mac, 0)
        verifier.feed(handled.reply, int(HandClock().wall()))
        verifier.finish()


def test_an_access_list_lets_others_transfer() -> None:
    acl = Acl("all", (AclEntry(Action.ALLOW),))
    zone = Zone(zone_config(allow_transfer=[acl]), snapshot=snapshot())
    handled = dispatcher(zone).handle(query("AXFR"), CLIENT, True)
    assert isinstance(handled.work, Transfer)
    assert handled.work.client == str(CLIENT)


OFFICE = Acl("office", (AclEntry(Action.ALLOW, ip_network("198.51.100.0/24")),))


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("198.51.100.9", "NOERROR"),
        ("203.0.113.9", "REFUSED"),
        ("192.0.2.7", "NOERROR"),  # a secondary
        ("192.0.2.8", "NOERROR"),  # a primary
    ],
)
def test_who_may_ask_for_records(client: str, expected: str, tcp: bool) -> None:
    config = attrs.evolve(
        zone_config(primaries=[peer("pri", "192.0.2.8")], secondaries=[peer()]),
        allow_query=(OFFICE,),
    )
    asked = dispatcher(Zone(config, snapshot=snapshot()))
    handled = asked.handle(make_query(7, ORIGIN, 6), address_of(client), tcp)
    assert rcode(handled) == expected
    listed = [(item.source, item.reason) for item in asked.refusals.listed()]
    reason = f"{client} is no peer of this zone and in no acl of it"
    assert listed == ([(client, reason)] if expected == "REFUSED" else [])


def test_a_secondary_with_a_key_signs_its_questions_where_not_everybody_may_ask() -> None:
    config = attrs.evolve(zone_config(secondaries=[peer(keys=(KEY,))]), allow_query=(OFFICE,))
    asked = dispatcher(Zone(config, snapshot=snapshot()))
    wire = make_query(7, ORIGIN, 6)
    assert rcode(asked.handle(wire, CLIENT, False)) == "REFUSED"
    assert "must sign with its key" in asked.refusals.listed()[0].reason
    reply = asked.handle(signed(wire)[0], CLIENT, False).reply
    assert reply is not None
    assert reply[3] & 15 == 0


@pytest.mark.parametrize(
    ("change", "rcode_text"), [("key", "NOTAUTH"), ("mac", "NOTAUTH"), ("time", "NOTAUTH")]
)
def test_requests_whose_tsig_fails_are_not_served(change: str, rcode_text: str) -> None:
    asked = dispatcher()
    wire, _ = signed(make_query(7, ORIGIN, 6))
    if change == "key":
        asked.keys = {}
    elif change == "mac":
        wire = wire[:14] + bytes([wire[14] ^ 0x20]) + wire[15:]
    else:
        asked.clock.now += 10_000  # type: ignore[attr-defined]
    handled = asked.handle(wire, CLIENT, False)
    assert handled.work is None
    assert handled.reply is not None
    assert handled.reply[3] & 15 == 9
    assert asked.refusals.listed()[0].count == 1


@pytest.mark.parametrize("wire", [make_query(7, OTHERS, AXFR), make_notify(7, OTHERS)])
def test_transfers_and_notifies_for_zones_that_are_not_ours_are_counted(wire: bytes) -> None:
    asked = dispatcher()
    # RFC 5936 §2.2.1; BIND and Knot answer NOTIFY alike.
    assert rcode(asked.handle(wire, CLIENT, True)) == "NOTAUTH"
    (counted,) = asked.refusals.listed()
    assert (counted.source, counted.zone) == (str(CLIENT), "example.org.")
    assert counted.reason == "no zone of this server"


def test_a_signed_question_gets_a_signed_answer() -> None:
    wire, mac = signed(make_query(7, ORIGIN, 6))
    reply = dispatcher().handle(wire, CLIENT, False).reply
    assert reply is not None
    verifier = ResponseVerifier(KEY, mac, 0)
    verifier.feed(reply, int(HandClock().wall()))
    verifier.finish()


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("serial", [0, 1, 2])
def test_ixfr(tcp: bool, serial: int) -> None:
    acl = Acl("all", (AclEntry(Action.ALLOW),))
    zone = Zone(zone_config(allow_transfer=[acl]), snapshot=snapshot(serial=1))
    soa = b"\0\0" + serial.to_bytes(4, "big") + bytes(16)
    wire = make_query(7, ORIGIN, IXFR, ixfr_soa=soa)
    handled = dispatcher(zone).handle(wire, CLIENT, tcp)
    if tcp:
        assert isinstance(handled.work, Transfer)
        assert handled.work.only_soa is (serial >= 1)
    else:
        assert rcode(handled) == "NOERROR"
        assert handled.reply is not None
        assert dns.message.from_wire(handled.reply).answer[0][0].serial == 1


def test_notify_of_a_primary_is_accepted_with_its_hint() -> None:
    zone = Zone(zone_config(primaries=[peer("pri")]), snapshot=snapshot())
    soa = b"\0\0" + (9).to_bytes(4, "big") + bytes(16)
    handled = dispatcher(zone).handle(make_notify(7, ORIGIN, soa), CLIENT, False)
    assert handled.work == Notified(zone, 9, str(CLIENT))
    assert handled.reply is not None
    answer = dns.message.from_wire(handled.reply)
    assert (answer.opcode(), answer.rcode()) == (dns.opcode.NOTIFY, 0)


@pytest.mark.parametrize("role", list(Role))
def test_notify_of_others_is_refused(role: Role) -> None:
    zone = Zone(zone_config(role=role, primaries=[peer("pri", "192.0.2.99")]), snapshot=snapshot())
    handled = dispatcher(zone).handle(make_notify(7, ORIGIN), CLIENT, False)
    assert handled.work is None
    assert rcode(handled) == "REFUSED"


EXPIRE = dns.edns.GenericOption(dns.edns.OptionType(9), b"")


@pytest.mark.parametrize("change", ["opcode", "question", "transfer", "class", "version"])
def test_every_error_has_an_opt_where_the_request_has_one(change: str) -> None:
    wire = bytearray(query("AXFR" if change == "transfer" else "SOA", use_edns=0))
    if change == "opcode":
        wire[2] |= 5 << 3
    elif change == "question":
        wire[9] = 1  # NSCOUNT
    elif change == "class":
        wire[12 + len(ORIGIN) + 3] = 3
    elif change == "version":
        wire[-5] = 1  # of the OPT
    handled = dispatcher().handle(bytes(wire), CLIENT, False)
    assert handled.reply is not None
    answer = dns.message.from_wire(handled.reply)
    assert answer.rcode() != 0
    assert answer.edns == 0


def test_a_transfer_without_a_slot_gets_an_error_with_opt() -> None:
    zone = Zone(zone_config(secondaries=[peer()]), snapshot=snapshot())
    transfer = dispatcher(zone).handle(query("AXFR", use_edns=0), CLIENT, True).work
    assert isinstance(transfer, Transfer)
    reply = error_reply(transfer, 2, 0)
    assert reply is not None
    answer = dns.message.from_wire(reply)
    assert (answer.rcode(), answer.edns) == (dns.rcode.SERVFAIL, 0)


@pytest.mark.parametrize("rtype", ["SOA", "AXFR"])
@pytest.mark.parametrize(("expires", "left"), [(1234.0, 234), (None, 86400)])
def test_the_expire_option_tells_what_remains_of_a_primary_zone_the_soas_expire(
    rtype: str, expires: float | None, left: int
) -> None:
    role = Role.PRIMARY if expires is None else Role.SECONDARY
    zone = Zone(zone_config(role, secondaries=[peer()]), snapshot=snapshot(), expires=expires)
    wire = query(rtype, use_edns=0, options=[EXPIRE])
    handled = dispatcher(zone).handle(wire, CLIENT, True)
    told = handled.work.opt if isinstance(handled.work, Transfer) else handled.reply
    assert told is not None
    assert told.endswith(b"\0\x09\0\x04" + left.to_bytes(4, "big"))


def test_ixfr_over_udp_that_does_not_fit_is_truncated() -> None:
    zone = Zone(zone_config(secondaries=[peer(keys=(KEY,))]), snapshot=snapshot())
    asked = dispatcher(zone)
    asked.payload = 512
    message = make_query(1, ORIGIN, IXFR, ixfr_soa=serial_soa(0))
    handled = asked.handle(signed(message)[0], CLIENT, False)
    assert handled.reply is not None
    assert not handled.reply[2] & 2
    long = Key.from_text("k" * 63 + "." + "k" * 63 + "." + "k" * 63 + ".", "hmac-sha512", "ab" * 16)
    asked.keys = {long.name: long}
    zone.config = zone_config(secondaries=[peer(keys=(long,))])
    zone.snapshot = long_soa()
    handled = asked.handle(signed(message, long)[0], CLIENT, False)
    assert handled.reply is not None
    assert handled.reply[2] & 2, "TC"
    assert len(handled.reply) <= 512


def long_soa() -> Snapshot:
    label = "m" * 60
    rdata = from_text(f"{label}.{label}.{label}.") * 2 + bytes(20)
    records = [
        record("example.com.", 6, rdata),
        record("example.com.", 2, from_text("ns1.example.com.")),
    ]
    return Snapshot(ORIGIN, [Block.make(sorted(records), {})])


def ask(one: Dispatcher, message: dns.message.Message, tcp: bool = False) -> dns.message.Message:
    reply = one.handle(message.to_wire(), CLIENT, tcp).reply
    assert reply is not None
    return dns.message.from_wire(reply, ignore_trailing=False)


def cookie_query(data: bytes, name: str = "example.com.") -> dns.message.Message:
    options: list[dns.edns.Option] = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, data)]
    return dns.message.make_query(name, "SOA", use_edns=0, options=options)


def cookie_of(answer: dns.message.Message) -> bytes:
    (option,) = answer.options
    assert isinstance(option, dns.edns.CookieOption)
    return option.client + option.server


def with_cookies() -> Dispatcher:
    one = dispatcher()
    one.offer = Offer(b"here", 15.0, Cookies([bytes(16)]))
    return one


def test_a_cookie_comes_back_with_ours_and_is_kept() -> None:
    one = with_cookies()
    first = cookie_of(ask(one, cookie_query(b"clientck")))
    assert (first[:8], len(first)) == (b"clientck", 24)
    assert cookie_of(ask(one, cookie_query(first))) == first


def test_without_a_secret_cookies_are_ignored() -> None:
    assert ask(dispatcher(), cookie_query(b"clientck")).options == ()


def test_a_malformed_cookie_is_formerr() -> None:
    answer = ask(with_cookies(), cookie_query(b"short"))
    assert (answer.rcode(), answer.options) == (dns.rcode.FORMERR, ())


@pytest.mark.parametrize("zone", ["example.com.", "example.net."])
def test_a_bad_cookie_gets_its_answer_and_a_fresh_one(zone: str) -> None:
    answer = ask(with_cookies(), cookie_query(b"clientck" + bytes(16), zone))
    expected = dns.rcode.NOERROR if zone == "example.com." else dns.rcode.REFUSED
    assert answer.rcode() == expected
    assert COOKIE in [option.otype for option in answer.options]


@pytest.mark.parametrize(("data", "code"), [(8, "NOERROR"), (24, "BADCOOKIE"), (5, "FORMERR")])
def test_a_question_for_a_cookie_alone(data: int, code: str) -> None:
    query = cookie_query(bytes(data))
    query.question.clear()
    answer = ask(with_cookies(), query)
    assert answer.rcode() == dns.rcode.from_text(code)
    if code != "FORMERR":
        assert rcode_of(with_cookies(), cookie_of(answer)) == "NOERROR"


def rcode_of(one: Dispatcher, data: bytes) -> str:
    query = cookie_query(data)
    query.question.clear()
    return dns.rcode.to_text(ask(one, query).rcode())


def test_a_later_edns_version_is_not_read_for_its_cookie() -> None:
    query = cookie_query(b"short")
    query.use_edns(1, options=list(query.options))
    assert ask(with_cookies(), query).rcode() == dns.rcode.BADVERS


@pytest.mark.parametrize("tcp", [False, True])
def test_nsid_and_keepalive(tcp: bool) -> None:
    options: list[dns.edns.Option] = [
        dns.edns.GenericOption(dns.edns.OptionType.NSID, b""),
        dns.edns.GenericOption(dns.edns.OptionType.make(11), b""),
    ]
    query = dns.message.make_query("example.com.", "SOA", use_edns=0, options=options)
    found = {option.otype: option.to_wire() for option in ask(with_cookies(), query, tcp).options}
    assert found == ({3: b"here", 11: b"\0\x96"} if tcp else {3: b"here"})


def extended(zone: Zone, now: float) -> tuple[int, str | None]:
    one = dispatcher(zone)
    one.clock.now = now  # type: ignore[attr-defined]
    answer = ask(one, dns.message.make_query("example.com.", "SOA", use_edns=0))
    assert answer.rcode() == dns.rcode.SERVFAIL
    (option,) = answer.options
    assert isinstance(option, dns.edns.EDEOption)
    return int(option.code), option.text


def test_an_expired_zone_says_since_when() -> None:
    zone = Zone(zone_config(), snapshot=snapshot(), expires=2000.0)
    # HandClock's wall time is 1,790,000,000 + monotonic.
    assert extended(zone, 5000.0) == (24, "the zone expired at 2026-09-21T14:46:40Z")


def test_a_zone_that_loads_and_one_that_never_came_are_told_apart() -> None:
    assert extended(Zone(zone_config(), loading=True), 1000.0) == (14, "the zone is loading")
    never = extended(Zone(zone_config()), 1000.0)
    assert never == (24, "no version of the zone has come yet")
