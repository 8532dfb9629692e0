"""Proofs that are made when somebody asks (`xfer.answer.online`)."""

from __future__ import annotations

import collections
import random
from collections.abc import Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.answer import chains
from tests.answer.asking import snapshot
from tests.answer.online import CO, DO, Clock, Served, types_in, unlimited
from xfer.answer.denial import Kind
from xfer.answer.fast import Fast, Service
from xfer.answer.kept import Lease
from xfer.answer.online import _first_behind, _first_below, bitmap_of
from xfer.dnssec.signatures import Signatures
from xfer.errors import SigningBusy
from xfer.wire.edns import Edns
from xfer.wire.names import from_text, key_of
from xfer.wire.records import RRSIG
from xfer.wire.request import parse_request

ORIGIN = from_text("example.com.")
COMPACT = Served.of(snapshot(), "example.com.", True)
LIES = Served.of(snapshot(), "example.com.", False)
TYPES = ("A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "DNAME", "DS", "DNSKEY", "HTTPS")
NAMES = (
    *("@", "ns1", "mail", "www", "a", "ent.a", "deep.ent.a", "alias", "chain1", "chain3", "out"),
    *("no", "x.no", "*.no", "x.wild", "y.x.wild", "*.wild", "own.wild", "ent.wild", "y.ent.wild"),
    *("x.wcname", "x.entwild", "*.entwild", "x.*.entwild", "sub", "x.sub", "ns.sub", "sib"),
    *("secure", "x.secure", "dn", "a.dn", "x.dn", "below.dn", "x.dout", "big", "*", "\\000.www"),
)


def named(name: str) -> dns.name.Name:
    return dns.name.from_text("" if name == "@" else name, dns.name.from_text("example.com."))


def proofs(section: Sequence[dns.rrset.RRset]) -> list[str]:
    return sorted(
        f"{rrset.name.relativize(named('@'))} {rrset.ttl} {rdata}"
        for rrset in section
        if rrset.rdtype == dns.rdatatype.NSEC
        for rdata in rrset
    )


@pytest.mark.parametrize(
    ("flags", "rcode"),
    [(DO, dns.rcode.NOERROR), (DO | CO, dns.rcode.NXDOMAIN), (0, dns.rcode.NXDOMAIN)],
)
def test_a_name_that_does_not_exist_is_one_nsec_record(flags: int, rcode: int) -> None:
    answer = COMPACT.ask("nx.example.com.", "A", flags)
    assert answer.rcode() == rcode
    assert answer.ednsflags == flags
    expected = [r"nx 1800 \000.nx.example.com. RRSIG NSEC NXNAME"] if flags else []
    assert proofs(answer.authority) == expected


def test_compact_denial_says_what_a_name_has() -> None:
    def proof(name: str, rtype: str) -> list[str]:
        answer = COMPACT.ask(named(name), rtype)
        assert answer.rcode() == dns.rcode.NOERROR
        return proofs(answer.authority)

    assert proof("www", "AAAA") == [r"www 1800 \000.www.example.com. A RRSIG NSEC"]
    assert proof("ent.a", "A") == [r"ent.a 1800 \000.ent.a.example.com. RRSIG NSEC"]
    assert proof("x.wild", "A") == [r"x.wild 1800 \000.x.wild.example.com. MX TXT RRSIG NSEC"]
    assert proof("@", "A") == [r"@ 1800 \000.example.com. NS SOA MX RRSIG NSEC DNSKEY"]
    # RFC 9824 §3.4: up to the next name that is not below the delegation.
    assert proof("sub", "DS") == [r"sub 1800 sub\000.example.com. NS RRSIG NSEC"]
    assert proof("x.sub", "A") == [r"sub 1800 sub\000.example.com. NS RRSIG NSEC"]
    assert proof("secure", "A") == []
    assert proof("@", "NSEC3PARAM") == proof("@", "A")


def test_what_a_wildcard_gives_is_signed_as_if_it_were_there() -> None:
    answer = COMPACT.ask(named("y.x.wild"), "TXT")
    (signature,) = next(rrset for rrset in answer.answer if rrset.rdtype == RRSIG)
    assert signature.labels == 5
    assert not answer.authority


def test_who_asks_for_nsec_gets_what_the_bitmap_says_is_there() -> None:
    for name, rest in (("www", "A RRSIG NSEC"), ("a", "RRSIG NSEC"), ("no", "RRSIG NSEC NXNAME")):
        answer = COMPACT.ask(named(name), "NSEC")
        assert proofs(answer.answer) == [rf"{name} 1800 \000.{name}.example.com. {rest}"]
        assert not answer.authority
        (covered,) = (r.covers for r in COMPACT.ask(named(name), "RRSIG").answer)
        assert covered == (dns.rdatatype.A if name == "www" else dns.rdatatype.NSEC)
    assert COMPACT.ask(named("www"), "NSEC", 0).answer
    assert COMPACT.ask(named("no"), "NSEC", 0).rcode() == dns.rcode.NXDOMAIN
    assert LIES.ask(named("no"), "NSEC").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("served", [COMPACT, LIES], ids=["compact", "white lies"])
def test_a_validator_finds_what_it_needs(served: Served) -> None:
    for name in NAMES:
        for rtype in TYPES:
            served.check(named(name), rtype)


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_of_any_zone_a_validator_finds_what_it_needs(compact: bool, seed: int) -> None:
    rng = random.Random(seed)
    made = chains.shape(rng, 40)
    text = "\n".join(made.lines) + "\n"
    served = Served.of(chains.load(text), "example.", compact)
    seen: collections.Counter[str] = collections.Counter()
    for name in chains.questions(rng, chains.Oracle.of(text), 40):
        for rtype in ("A", "DS", "TXT"):
            seen[served.check(name, rtype)] += 1
    kinds = {"positive", "name error", "no data", "empty", "insecure"}
    assert kinds <= seen.keys(), seen


@pytest.mark.parametrize("compact", [True, False])
def test_all_algorithms_of_the_zone_sign(compact: bool) -> None:
    served = Served.of(snapshot(), "example.com.", compact, [8, 13, 14, 15, 16])
    for name in ("www", "no", "x.wild", "sub", "a"):
        served.check(named(name), "TXT")


def test_the_kinds_are_told_apart() -> None:
    assert COMPACT.responder.denial.kind is Kind.COMPACT
    assert LIES.responder.denial.kind is Kind.WHITE_LIES
    assert not COMPACT.responder.denial.step()


# -- names

LABEL = st.binary(min_size=1, max_size=63).map(bytes.lower)


@given(st.lists(LABEL, max_size=6))
def test_nothing_lies_between_a_name_and_the_next(labels: list[bytes]) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in labels) + ORIGIN
    if len(wire) > 255:
        return
    below, behind = _first_below(wire, ORIGIN), _first_behind(wire, ORIGIN)
    here, first, next_ = (key_of(name, ORIGIN) for name in (wire, below, behind))
    assert max(len(below), len(behind)) <= 255
    assert first == key_of(ORIGIN, ORIGIN) or here < first
    assert next_ == key_of(ORIGIN, ORIGIN) or (here < next_ and not next_.startswith(here[:-1]))
    if len(wire) <= 253:
        assert below == b"\1\0" + wire


@pytest.mark.parametrize(
    ("first", "behind"),
    [
        (b"a", b"a\0"),
        (b"a" * 62, b"a" * 62 + b"\0"),
        (b"a" * 63, b"a" * 62 + b"b"),
        (b"a" * 62 + b"@", b"a" * 62 + b"["),  # what is between is upper case
        (b"a" * 62 + b"\xff", b"a" * 61 + b"b"),
        (b"\xff" * 63, None),
    ],
)
def test_names_of_full_length_have_a_next_one(first: bytes, behind: bytes | None) -> None:
    wire = bytes((len(first),)) + first + ORIGIN
    expected = bytes((len(behind),)) + behind + ORIGIN if behind is not None else ORIGIN
    assert _first_behind(wire, ORIGIN) == expected


@pytest.mark.parametrize("length", [251, 252, 253, 254, 255])
@pytest.mark.parametrize("served", [COMPACT, LIES], ids=["compact", "white lies"])
def test_names_as_long_as_names_may_be_are_denied(served: Served, length: int) -> None:
    rest = length - len(ORIGIN)
    labels = []
    while rest:
        size = min(rest, 64)
        size -= rest - size == 1  # no label of no octets
        labels.append(b"x" * (size - 1))
        rest -= size
    name = dns.name.Name([*labels, *named("@").labels])
    assert len(name.to_wire() or b"") == length
    answer = served.ask(name, "A", DO | CO)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    served.check_signatures(answer)


@given(st.sets(st.integers(1, 0xFFFF), max_size=12))
def test_bitmaps_say_which_types_there_are(types: set[int]) -> None:
    bitmap = bitmap_of(sorted(types))
    made = dns.rdata.from_wire("IN", "NSEC", b"\0" + bitmap, 0, 1 + len(bitmap))
    found = dns.rrset.from_rdata(named("@"), 0, made)
    assert types_in(found) == types


# -- how much is signed


def asked(name: str, rtype: str = "A", flags: int = DO) -> bytes:
    query = dns.message.make_query(name, rtype, use_edns=0, ednsflags=flags, payload=1232)
    return query.to_wire()


def fast(served: Served, budget: int = 0) -> Fast:
    service = Service(served.responder, Lease(float("inf")), True)
    return Fast(lambda name, rtype: service, lambda option, client: None, 1232, budget)


def read(reply: bytes | None) -> dns.message.Message:
    assert reply is not None
    return dns.message.from_wire(reply)


def limited(rate: float) -> tuple[Served, Clock]:
    clock = Clock()
    signatures = Signatures(1 << 20, rate, clock, clock)
    return Served.of(snapshot(), "example.com.", True, signatures=signatures), clock


def test_beyond_the_limit_names_that_exist_are_still_denied_their_types() -> None:
    served, clock = limited(8)
    short = fast(served)
    got = [read(short.answer(asked(f"{n}.example.com."), b"", 0)) for n in range(10)]
    cut = [bool(answer.flags & dns.flags.TC) for answer in got]
    assert cut == [False] * 4 + [True] * 6, "half is kept"
    over_tcp = [parse_request(asked(f"tcp{number}.example.com.")) for number in range(3)]
    edns = Edns(0, 1232, True)
    for request in over_tcp[:2]:
        served.responder.respond(request, 65_535, edns, True)
    with pytest.raises(SigningBusy):
        served.responder.respond(over_tcp[2], 65_535, edns, True)
    assert not served.responder.denial.over_tcp
    assert not got[-1].authority
    assert got[-1].flags & dns.flags.AA
    assert got[-1].ednsflags == DO
    for name in ("www.example.com.", "mail.example.com."):
        answer = read(short.answer(asked(name, "TXT"), b"", 0))
        assert not answer.flags & dns.flags.TC
        assert answer.authority
    busy = read(short.answer(asked("ns1.example.com.", "TXT"), b"", 0))
    assert busy.flags & dns.flags.TC
    assert served.signatures.refused == 8
    # What has its signature, and what nobody wants signed, is never kept back.
    assert not read(short.answer(asked("www.example.com.", "MX"), b"", 0)).flags & dns.flags.TC
    assert not read(short.answer(asked("www.example.com."), b"", 0)).flags & dns.flags.TC
    assert read(short.answer(asked("no.example.com.", flags=0), b"", 0)).rcode() == 3
    clock.now += 1
    assert not read(short.answer(asked("no.example.com."), b"", 0)).flags & dns.flags.TC


def test_a_signature_is_given_again_while_it_is_good_for_long() -> None:
    served, clock = limited(0)
    first = served.ask("www.example.com.", "AAAA")
    assert served.ask("www.example.com.", "MX").authority == first.authority
    assert (served.signatures.made, served.signatures.again) == (1, 1)
    clock.now += 2.5 * 86400  # half of the time in which signatures are renewed
    assert served.ask("www.example.com.", "AAAA").authority != first.authority
    assert served.signatures.made == 2
    clock.now -= 30 * 86400  # the clock was wrong
    served.ask("www.example.com.", "AAAA")
    assert served.signatures.made == 3


def test_random_names_drive_nothing_out() -> None:
    served, _ = limited(0)
    served.signatures.resize(20_000, 0)
    served.ask("www.example.com.", "AAAA")
    for number in range(500):
        served.ask(f"{number}.example.com.", "A")
        if number % 20 == 0:
            served.ask("www.example.com.", "AAAA")
    assert served.signatures.made == 501
    assert served.signatures.size <= 20_000
    for _ in range(3):
        served.ask("asked-again.example.com.", "A")
    assert served.signatures.made <= 503, "the second time, it is remembered"


def test_answers_that_are_kept_are_told_apart_by_co() -> None:
    short = fast(COMPACT, 1 << 20)
    for _ in range(3):
        for flags, rcode in ((DO, 0), (DO | CO, 3), (CO, 3), (0, 3)):
            query = asked("kept.example.com.", flags=flags)
            reply = short.again(query, 0.0) or short.answer(query, b"", 0.0)
            answer = read(reply)
            assert (answer.rcode(), answer.ednsflags) == (rcode, flags if flags != CO else 0)


def test_there_may_be_no_limit_and_no_memory() -> None:
    signatures = unlimited(memory=0)
    served = Served.of(snapshot(), "example.com.", False, signatures=signatures)
    for _ in range(2):
        served.check(named("no"), "A")
    assert signatures.again == 0
    assert signatures.size == 0
