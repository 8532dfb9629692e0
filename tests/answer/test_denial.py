"""Proofs with NSEC: RFC 4035's examples, random zones, the root zone; and what is not signed."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answer.chains import (
    HEAD,
    SIGNATURE,
    WIRE,
    Oracle,
    compare,
    example,
    key,
    load,
    name,
    owners,
    questions,
    shape,
    signed,
)
from xfer.answer.denial import Denial, Kind
from xfer.wire import names, records
from xfer.wire.records import NSEC, RRSIG, A
from xfer.zone.block import Block
from xfer.zone.check import Policy
from xfer.zone.snapshot import APEX, Snapshot
from xfer.zone.zonefile import read_zone_file

_DATA = example("b", "57855 5 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B")
_NSEC = """\
example. 3600 IN NSEC a.example. NS SOA MX RRSIG NSEC DNSKEY
a.example. 3600 IN NSEC ai.example. NS DS RRSIG NSEC
ai.example. 3600 IN NSEC b.example. A HINFO AAAA RRSIG NSEC
b.example. 3600 IN NSEC ns1.example. NS RRSIG NSEC
ns1.example. 3600 IN NSEC ns2.example. A RRSIG NSEC
ns2.example. 3600 IN NSEC *.w.example. A RRSIG NSEC
*.w.example. 3600 IN NSEC x.w.example. MX RRSIG NSEC
x.w.example. 3600 IN NSEC x.y.w.example. MX RRSIG NSEC
x.y.w.example. 3600 IN NSEC xx.example. MX RRSIG NSEC
xx.example. 3600 IN NSEC example. A HINFO AAAA RRSIG NSEC
"""
_SIGNED = "".join(
    f"{line.split()[0]} 3600 IN RRSIG NSEC {SIGNATURE}\n" for line in _NSEC.splitlines()
)
# The zone of RFC 4035 Appendix A, without keys and what does not matter to denial.
RFC4035 = HEAD + _DATA + _NSEC + _SIGNED


@pytest.fixture(scope="module")
def rfc4035() -> Denial:
    return Denial.finished(load(RFC4035))


def found(proof: list[bytes]) -> list[str]:
    return [str(owner) for owner in owners(proof, NSEC)]


class TestRfc4035AppendixB:
    def test_b2_name_error(self, rfc4035: Denial) -> None:
        proof = rfc4035.name_error(key("ml"), APEX)
        assert found(proof) == ["b.example.", "example."]

    def test_b3_no_data(self, rfc4035: Denial) -> None:
        assert found(rfc4035.no_data(key("ns1"), records.MX)) == ["ns1.example."]

    def test_b5_referral_to_an_unsigned_zone(self, rfc4035: Denial) -> None:
        assert found(rfc4035.insecure(key("b"))) == ["b.example."]

    def test_b6_wildcard_expansion(self, rfc4035: Denial) -> None:
        assert found(rfc4035.expanded(key("a.z.w"), key("w"))) == ["x.y.w.example."]

    def test_b7_wildcard_no_data(self, rfc4035: Denial) -> None:
        proof = rfc4035.wildcard_no_data(key("a.z.w"), key("w"))
        assert found(proof) == ["*.w.example.", "x.y.w.example."]

    def test_b8_ds_at_the_apex(self, rfc4035: Denial) -> None:
        assert found(rfc4035.no_data(APEX, records.DS)) == ["example."]

    def test_an_empty_non_terminal_is_covered(self, rfc4035: Denial) -> None:
        assert found(rfc4035.no_data(key("y.w"), A)) == ["x.w.example."]
        assert found(rfc4035.no_data(key("w"), A)) == ["ns2.example."]

    def test_glue_before_the_name_is_not_what_covers_it(self, rfc4035: Denial) -> None:
        assert found(rfc4035.name_error(key("ab"), APEX)) == ["a.example.", "example."]

    def test_one_record_that_proves_both_comes_once(self, rfc4035: Denial) -> None:
        assert found(rfc4035.name_error(key("!"), APEX)) == ["example."]


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(1, 40), st.sampled_from([1, 3, 7, 2_000]))
def test_random_zones(rng: random.Random, count: int, size: int) -> None:
    text = signed(shape(rng, count))
    oracle = Oracle.of(text)
    denial = Denial.finished(load(text, size))
    assert denial.kind is Kind.NSEC
    compare(text, denial, oracle, questions(rng, oracle, 60))


def test_random_zones_have_every_kind_of_answer() -> None:
    seen: set[str] = set()
    for seed in range(20):
        rng = random.Random(seed)
        text = signed(shape(rng, 30))
        oracle = Oracle.of(text)
        denial = Denial.finished(load(text))
        seen |= compare(text, denial, oracle, questions(rng, oracle, 60))
    assert seen == {"no data", "empty", "insecure", "wildcard", "name error"}


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_what_a_partly_signed_zone_lacks_is_left_out(rng: random.Random, count: int) -> None:
    """Records of the chain are missing at random: some proofs lack something, none has more than
    it should, none raises."""
    text = signed(shape(rng, count))
    oracle = Oracle.of(text)
    kept = [
        line
        for line in text.splitlines(keepends=True)
        if " NSEC " not in line or line.startswith("example.") or rng.random() < 0.6
    ]
    denial = Denial.finished(load("".join(kept)))
    whole = Denial.finished(load(text))
    assert denial.kind is Kind.NSEC
    for of in questions(rng, oracle, 60):
        if oracle.occluded(of):
            continue
        encloser = key(oracle.encloser(of))
        at = key(of)
        for short, long in [
            (denial.name_error(at, encloser), whole.name_error(at, encloser)),
            (denial.no_data(at, A), whole.no_data(at, A)),
            (denial.wildcard_no_data(at, encloser), whole.wildcard_no_data(at, encloser)),
            (denial.expanded(at, encloser), whole.expanded(at, encloser)),
            (denial.insecure(at), whole.insecure(at)),
        ]:
            assert len(short) <= len(long)


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD + "a.example. 3600 IN NSEC b.example. A\n",
        HEAD + "example. 3600 IN NSEC3PARAM 1 0 0 -\n",
    ],
    ids=["unsigned", "nsec-not-at-the-apex", "nsec3param-without-chain"],
)
def test_a_zone_without_a_chain_has_no_proofs(text: str) -> None:
    denial = Denial(load(text))
    assert not denial.step()
    assert denial.kind is Kind.NONE
    for proof in (
        denial.name_error(key("q"), APEX),
        denial.no_data(key("a"), A),
        denial.expanded(key("q"), APEX),
        denial.wildcard_no_data(key("q"), APEX),
        denial.insecure(key("a")),
    ):
        assert proof == []


@pytest.mark.usefixtures("no_collector")
def test_fifty_thousand_glue_records_are_jumped_over() -> None:
    rdata = names.from_text("example.") + b"\0\6\x40\0\0\0\0\3"
    signature = bytes((0, NSEC, *bytes(16))) + b"\0\0"
    made = [*load(HEAD).records()]
    for owner in (APEX, key("a"), key("z")):
        made.append(records.make(owner, NSEC, 300, rdata))
        made.append(records.make(owner, RRSIG, 300, signature))
    made.append(records.make(key("a"), records.NS, 300, b"\3ns1\1a" + WIRE))
    made.extend(records.make(key(f"g{n}.a"), A, 300, bytes(4)) for n in range(50_000))
    made.sort()
    blocks = [Block.make(made[at : at + 2_000], {}) for at in range(0, len(made), 2_000)]
    denial = Denial.finished(Snapshot(WIRE, blocks))
    began = time.thread_time()
    for n in range(20):
        assert found(denial.name_error(key(f"b{n}"), APEX)) == ["a.example.", "example."]
    assert time.thread_time() - began < 0.2  # record by record, it would be seconds


def test_unsigned_names_are_passed_by_only_so_far() -> None:
    """A zone with NSEC at the apex and nowhere else."""
    text = HEAD + "".join(f"n{n:04}.example. 3600 IN A 192.0.2.1\n" for n in range(3_000))
    text += f"example. 3600 IN NSEC example. A\nexample. 3600 IN RRSIG NSEC {SIGNATURE}\n"
    denial = Denial.finished(load(text))
    assert found(denial.name_error(key("n2999a"), APEX)) == ["example."]
    assert found(denial.name_error(key("n0003a"), APEX)) == ["example."]


def test_what_is_below_a_dname_is_jumped_over() -> None:
    text = RFC4035 + "ai.example. 3600 IN DNAME elsewhere.test.\n"
    text += "".join(f"n{n:02}.ai.example. 3600 IN A 192.0.2.1\n" for n in range(100))
    denial = Denial.finished(load(text))
    assert found(denial.name_error(key("aj"), APEX)) == ["ai.example.", "example."]


def test_nsec_below_a_delegation_is_not_ours() -> None:
    text = RFC4035 + "ns1.a.example. 3600 IN NSEC ns2.a.example. A\n"
    denial = Denial.finished(load(text))
    assert found(denial.name_error(key("ab"), APEX)) == ["a.example.", "example."]


def test_the_root_zone(shared_zones: Path) -> None:
    snapshot, _ = read_zone_file(shared_zones / "root-2024101100.zone", b"\0", Policy())
    denial = Denial.finished(snapshot)
    ring = [r for r in snapshot.records() if records.split(r)[1] == NSEC]
    assert denial.kind is Kind.NSEC
    assert len(ring) > 1_000
    for before, after in itertools.pairwise(ring):
        owner, following = records.split(before)[0], records.split(after)[0]
        assert denial.insecure(owner)[0] == before
        # Just behind a TLD and just before the next one, glue or not.
        for qname in (owner[:-2] + b"-\0\0", following[:-2][:-1] + b"\0\0"):
            if owner not in (APEX,) and owner < qname < following and qname.count(b"\0") == 2:
                proof = denial.name_error(qname, APEX)
                assert proof[0] == before
                assert proof[2] == ring[0]


def test_names_are_relative_to_the_apex() -> None:
    assert names.wire_of(key("a.b"), WIRE) == name("a.b").to_wire()
