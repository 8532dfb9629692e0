"""Zones whose proofs are signed as they are asked for, in the daemon and in worker processes."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from tests.answer.asking import snapshot
from tests.answer.online import LASTING, Served, sign
from tests.server.fakes import CLIENT, WALL, HandClock, table, zone_config
from tests.server.test_worker import blocks, digests, done
from xfer.answer.denial import Kind
from xfer.dnssec.keys import make_key
from xfer.dnssec.online import OnlineSigner
from xfer.dnssec.signatures import Signatures
from xfer.server.answers import Answers
from xfer.server.dispatch import Dispatcher
from xfer.server.statistics import Statistics
from xfer.server.values import Frames
from xfer.server.worker import Worker
from xfer.server.zones import Zone
from xfer.wire.names import from_text

ORIGIN = from_text("example.com.")
KEY = make_key(13, True)
SIGNED = sign(snapshot(), [KEY], WALL)


def served(rate: float = 0, compact: bool = True) -> tuple[Zone, Dispatcher]:
    clock = HandClock()
    zone = Zone(zone_config())
    signatures = Signatures(1 << 20, rate, clock.monotonic, clock.wall)
    zone.online = OnlineSigner(ORIGIN, [KEY], compact, LASTING, signatures)
    zone.snapshot = SIGNED
    return zone, Dispatcher(table(zone), {}, clock)


def query(name: str, rtype: str = "A", edns: bool = True) -> bytes:
    if not edns:
        return dns.message.make_query(name, rtype).to_wire()
    return dns.message.make_query(name, rtype, want_dnssec=True, payload=1232).to_wire()


def read(reply: bytes | None) -> dns.message.Message:
    assert reply is not None
    return dns.message.from_wire(reply)


def extended(answer: dns.message.Message) -> int:
    (option,) = answer.options
    assert isinstance(option, dns.edns.EDEOption)
    return int(option.code)


def nsec(answer: dns.message.Message) -> list[str]:
    return [rrset.name.to_text() for rrset in answer.authority if rrset.rdtype == 47]


@pytest.mark.parametrize("tcp", [False, True])
def test_a_query_for_nxname_is_malformed(tcp: bool) -> None:
    _, dispatcher = served()
    answers = Answers(dispatcher, dispatcher.clock, lambda work: None, 1 << 20)
    wire = query("no.example.com.", "TYPE128")
    answer = read(dispatcher.handle(wire, CLIENT, tcp).reply)
    assert (answer.rcode(), extended(answer)) == (dns.rcode.FORMERR, 30)
    assert answers.answer(wire, str(CLIENT), 0) == dispatcher.handle(wire, CLIENT, False).reply
    plain = read(dispatcher.handle(query("x.", "TYPE128", edns=False), CLIENT, tcp).reply)
    assert plain.rcode() == dns.rcode.FORMERR


def test_both_ways_sign_the_same() -> None:
    _, dispatcher = served()
    answers = Answers(dispatcher, dispatcher.clock, lambda work: None, 1 << 20)
    for name in ("www", "no", "x.wild", "sub"):
        wire = query(f"{name}.example.com.", "AAAA")
        for _ in range(3):
            short = read(answers.answer(wire, str(CLIENT), 0))
            long = read(dispatcher.handle(wire, CLIENT, False).reply)
            assert nsec(short) == nsec(long)
            assert short.rcode() == long.rcode()


def test_beyond_the_limit_tcp_is_asked_for_and_fails_there() -> None:
    _, dispatcher = served(rate=4)
    answers = Answers(dispatcher, dispatcher.clock, lambda work: None, 1 << 20)
    replies = [answers.answer(query(f"{n}.example.com."), str(CLIENT), 0) for n in range(3)]
    last = read(replies[-1])
    assert last.flags & dns.flags.TC
    assert last.flags & dns.flags.AA
    assert last.edns == 0
    wire = query("later.example.com.")
    again = read(dispatcher.handle(wire, CLIENT, False).reply)
    assert again.flags & dns.flags.TC
    assert not again.authority
    assert nsec(read(dispatcher.handle(wire, CLIENT, True).reply))
    wire = query("last.example.com.")
    failed = read(dispatcher.handle(wire, CLIENT, True).reply)
    assert (failed.rcode(), extended(failed)) == (dns.rcode.SERVFAIL, 0)
    assert "limits.online_signatures" in str(failed.options[0])
    assert not read(answers.answer(query("x.example.com.", edns=False), "::1", 0)).flags & 0x200


def test_another_signer_ends_what_was_prepared() -> None:
    zone, dispatcher = served()
    wire = query("no.example.com.")
    assert len(nsec(read(dispatcher.handle(wire, CLIENT, False).reply))) == 1
    service = zone.service()
    signatures = Signatures(0, 0, dispatcher.clock.monotonic, dispatcher.clock.wall)
    zone.online = OnlineSigner(ORIGIN, [KEY], False, LASTING, signatures)
    assert service is not None
    assert service.lease.until == float("-inf")
    answer = read(dispatcher.handle(wire, CLIENT, False).reply)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert sum(rrset.rdtype == 50 for rrset in answer.authority) == 3
    zone.online = None
    assert zone.responder(SIGNED).denial.kind is Kind.NONE


# -- worker processes


def worker_of(zone: Zone, memory: int = 1 << 20, rate: int = 0) -> Worker:
    assert zone.online is not None
    worker = Worker([])
    worker.take("settings", 1232, memory, [bytes(16)], rate)
    worker.take("origins", [ORIGIN])
    worker.take("blocks", *blocks(SIGNED))
    worker.take("serve", ORIGIN, digests(SIGNED), None, True, zone.online.packed())
    assert done(worker) == ["done"] * 4
    return worker


@pytest.mark.parametrize("compact", [True, False])
def test_a_worker_process_signs_what_it_is_asked_for(compact: bool) -> None:
    zone, _ = served(compact=compact)
    worker = worker_of(zone)
    checked = Served(
        "example.com.", [KEY], zone.responder(SIGNED), Signatures(0, 0, lambda: 0, lambda: WALL)
    )
    for name, rtype in (("no", "A"), ("www", "AAAA"), ("x.wild", "TXT"), ("sub", "A"), ("a", "A")):
        wire = query(f"{name}.example.com.", rtype)
        answer = read(worker.fast.answer(wire, bytes(4), 0.0))
        ours = checked.ask(f"{name}.example.com.", rtype)
        for got, expected in zip(answer.sections[:3], ours.sections[:3], strict=True):
            assert [r for r in got if r.rdtype != 46] == [r for r in expected if r.rdtype != 46]
            signed = [(r.name, r.covers, r[0].key_tag) for r in got if r.rdtype == 46]
            assert signed == [(r.name, r.covers, KEY.tag) for r in expected if r.rdtype == 46]


def test_a_worker_process_keeps_to_the_limit_and_tells_what_it_signed() -> None:
    zone, _ = served()
    worker = worker_of(zone, rate=1)
    cut = [
        bool(read(worker.fast.answer(query(f"{n}.example.com."), bytes(4), 0.0)).flags & 0x200)
        for n in range(3)
    ]
    assert cut[0] is False
    assert cut[2] is True
    worker.take("count")
    worker.step()
    ((_, counted),) = Frames().feed(bytes(worker.out))
    statistics = Statistics()
    statistics.absorb(counted)
    signed = statistics.report(lambda origin: None, 0).signed
    assert signed["made"] + signed["refused"] == 3
    worker.take("settings", 1232, 1 << 20, [], 0)  # no limit
    done(worker)
    reply = worker.fast.answer(query("4.example.com."), bytes(4), 0.0)
    assert not read(reply).flags & 0x200


def test_a_worker_process_takes_another_signer_and_does_without() -> None:
    zone, dispatcher = served()
    worker = worker_of(zone)
    wire = query("no.example.com.")
    before = worker.zones.served[ORIGIN]
    packed = zone.online.packed() if zone.online is not None else None
    worker.take("serve", ORIGIN, digests(SIGNED), None, True, packed)
    done(worker)
    after = worker.zones.served[ORIGIN]
    assert before is not None
    assert after is not None
    assert before is not after
    lies = OnlineSigner(
        ORIGIN, [KEY], False, LASTING, Signatures(0, 0, dispatcher.clock.monotonic, lambda: WALL)
    )
    worker.take("serve", ORIGIN, digests(SIGNED), None, True, lies.packed())
    done(worker)
    assert read(worker.fast.answer(wire, bytes(4), 0.0)).rcode() == dns.rcode.NXDOMAIN
    worker.take("serve", ORIGIN, digests(SIGNED), None, True, None)
    done(worker)
    answer = read(worker.fast.answer(wire, bytes(4), 0.0))
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert {rrset.rdtype for rrset in answer.authority} == {
        dns.rdatatype.SOA,
        dns.rdatatype.RRSIG,
    }
    worker.take("drop", ORIGIN)
    done(worker)
    assert worker.fast.answer(wire, bytes(4), 0.0) is None


def test_nothing_of_a_key_is_shown() -> None:
    zone, _ = served()
    assert zone.online is not None
    private = KEY.private_der().reveal()
    assert repr(zone.online) == f"<OnlineSigner compact ({KEY!r},)>"
    assert repr(private[-20:])[2:-1] not in repr(zone)
