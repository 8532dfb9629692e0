"""Hashes, their index, and proofs with NSEC3: RFC 5155's examples, random zones, real signers."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
import time
from pathlib import Path

import dns.dnssec
import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answer.chains import (
    APEX,
    HEAD,
    SIGNATURE,
    WIRE,
    Oracle,
    compare,
    example,
    key,
    load,
    owners,
    questions,
    shape,
    signed,
)
from tests.strategies import names_below
from xfer import kernel
from xfer.answer import nsec3
from xfer.answer.denial import MOST_ITERATIONS, Denial, Kind
from xfer.wire import names, records
from xfer.wire.records import DS, NSEC3, RRSIG, A
from xfer.zone.block import Block
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonefile import read_zone_file

TOP = b"\0"  # the apex's owner key
MARGIN = 0.1 if kernel.form() == "compiled" else 0.5  # see tests/test_kernel_bounds.py

_DATA = (
    example("c", "58470 5 1 3079F1593EBAD6DC121E202A8B766A6A4837206C")
    + "example. 3600 IN NSEC3PARAM 1 0 12 aabbccdd\n"
    "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example. 3600 IN A 192.0.2.127\n"
)
# Owner, and types; each one's next is the owner after it.
_CHAIN = [
    ("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", "MX DNSKEY NS SOA NSEC3PARAM RRSIG"),
    ("2t7b4g4vsa5smi47k61mv5bv1a22bojr", "A RRSIG"),
    ("2vptu5timamqttgl4luu9kg21e0aor3s", "MX RRSIG"),
    ("35mthgpgcu1qg68fab165klnsnk3dpvl", "NS DS RRSIG"),
    ("b4um86eghhds6nea196smvmlo4ors995", "MX RRSIG"),
    ("gjeqe526plbf1g8mklp59enfd789njgi", "HINFO A AAAA RRSIG"),
    ("ji6neoaepv8b5o6k4ev33abha8ht9fgc", ""),
    ("k8udemvp1j2f7eg6jebps17vp3n8i58h", ""),
    ("kohar7mbb8dc2ce8a9qvl8hon4k53uhi", "A RRSIG"),
    ("q04jkcevqvmu85r014c7dkba38o0ji5r", "A RRSIG"),
    ("r53bq7cc2uvmubfu5ocmm6pers9tk9en", "MX RRSIG"),
    ("t644ebqk9bibcna874givr6joj62mlhv", "HINFO A AAAA RRSIG"),
]
_NSEC3 = "".join(
    f"{owner}.example. 3600 IN NSEC3 1 1 12 aabbccdd {following} {types}\n"
    f"{owner}.example. 3600 IN RRSIG NSEC3 {SIGNATURE}\n"
    for (owner, types), (following, _) in zip(_CHAIN, [*_CHAIN[1:], _CHAIN[0]], strict=True)
)
# The zone of RFC 5155 Appendix A, without keys and what does not matter to denial.
RFC5155 = HEAD + _DATA + _NSEC3


@pytest.fixture(scope="module")
def rfc5155() -> Denial:
    return Denial.finished(load(RFC5155))


def found(proof: list[bytes]) -> list[str]:
    """The first four digits of the hashes."""
    return [owner.labels[0][:4].decode() for owner in owners(proof, NSEC3)]


class TestHashes:
    @pytest.mark.parametrize(
        ("name", "label"),
        [
            ("example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("ai.example.", "gjeqe526plbf1g8mklp59enfd789njgi"),
            ("ns1.example.", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
            ("ns2.example.", "q04jkcevqvmu85r014c7dkba38o0ji5r"),
            ("w.example.", "k8udemvp1j2f7eg6jebps17vp3n8i58h"),
            ("*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
            ("x.w.example.", "b4um86eghhds6nea196smvmlo4ors995"),
            ("y.w.example.", "ji6neoaepv8b5o6k4ev33abha8ht9fgc"),
            ("x.y.w.example.", "2vptu5timamqttgl4luu9kg21e0aor3s"),
            ("xx.example.", "t644ebqk9bibcna874givr6joj62mlhv"),
        ],
    )
    def test_rfc_5155_appendix_a(self, name: str, label: str) -> None:
        digest = nsec3.hash_name(names.from_text(name), bytes.fromhex("aabbccdd"), 12)
        assert nsec3.label_of(digest).decode() == label

    @given(names_below(b"\0"), st.binary(max_size=20), st.integers(0, 5))
    def test_as_dnspython_has_them(self, wire: bytes, salt: bytes, iterations: int) -> None:
        name = dns.name.from_wire(wire, 0)[0]
        label = nsec3.label_of(nsec3.hash_name(wire.lower(), salt, iterations))
        expected = dns.dnssec.nsec3_hash(name, salt or None, iterations, "SHA1")
        assert label.decode().upper() == expected

    @given(st.binary(min_size=20, max_size=20))
    def test_base32hex_there_and_back(self, digest: bytes) -> None:
        owner = nsec3.owner_of(digest)
        assert owner == base64.b32hexencode(digest).lower() + b"\0\0"
        assert nsec3.digest_of(owner) == digest

    @pytest.mark.parametrize(
        "owner",
        [b"\0", b"a\0\0", b"w" * 32 + b"\0\0", b"0" * 31 + b"_\0\0", b"0" * 33 + b"\0\0"],
    )
    def test_an_ordinary_name_is_no_hash(self, owner: bytes) -> None:
        assert nsec3.digest_of(owner) == b""


class TestOwnersOfNsec3:
    """RFC 5155 §7.2.8: a name that is there for NSEC3 only does not exist."""

    @pytest.mark.parametrize("size", [1, 2_000])
    def test_those_of_rfc_5155(self, size: int) -> None:
        snapshot = load(RFC5155 + f"x.{'0' * 32}.example. 3600 IN A 192.0.2.1\n", size)
        hidden = [label for label, _ in _CHAIN if nsec3.only_hashed(snapshot, key(label))]
        # One of them has an address, too.
        assert hidden == [label for label, _ in _CHAIN if not label.startswith("2t7b")]

    @pytest.mark.parametrize("name", ["a", "0" * 32, "v" * 32, "q", "w" * 32])
    def test_others_are_what_they_are(self, name: str) -> None:
        extra = f"x.{'0' * 32}.example. 3600 IN A 192.0.2.1\n"
        # An empty non-terminal that is the owner of an NSEC3 record as well.
        extra += f"{'0' * 32}.example. 3600 IN NSEC3 1 1 12 aabbccdd {'1' * 32} A\n"
        assert not nsec3.only_hashed(load(RFC5155 + extra), key(name))


class TestChain:
    @given(st.sets(st.binary(min_size=20, max_size=20), min_size=1), st.data())
    def test_floor_on_the_ring(self, digests: set[bytes], data: st.DataObject) -> None:
        ring = sorted(digests)
        chain = nsec3.Chain(bytes(4))
        at = 0
        while at < len(ring):
            size = data.draw(st.integers(1, 5))
            chain.extend(b"".join(ring[at : at + size]))
            at += size
        assert chain.count == len(ring)
        asked = data.draw(st.one_of(st.sampled_from(ring), st.binary(min_size=20, max_size=20)))
        below = [digest for digest in ring if digest <= asked]
        assert chain.floor(asked) == (below[-1] if below else ring[-1])


class TestRfc5155AppendixB:
    def test_b1_name_error(self, rfc5155: Denial) -> None:
        proof = rfc5155.name_error(key("a.c.x.w"), key("x.w"))
        assert found(proof) == ["b4um", "0p9m", "35mt"]

    def test_b2_no_data(self, rfc5155: Denial) -> None:
        assert found(rfc5155.no_data(key("ns1"), records.MX)) == ["2t7b"]

    def test_b2_1_no_data_at_an_empty_non_terminal(self, rfc5155: Denial) -> None:
        assert found(rfc5155.no_data(key("y.w"), A)) == ["ji6n"]

    def test_b3_referral_to_an_opt_out_unsigned_zone(self, rfc5155: Denial) -> None:
        assert found(rfc5155.insecure(key("c"))) == ["0p9m", "35mt"]

    def test_b4_wildcard_expansion(self, rfc5155: Denial) -> None:
        assert found(rfc5155.expanded(key("a.z.w"), key("w"))) == ["q04j"]

    def test_b5_wildcard_no_data(self, rfc5155: Denial) -> None:
        proof = rfc5155.wildcard_no_data(key("a.z.w"), key("w"))
        assert found(proof) == ["k8ud", "q04j", "r53b"]

    def test_b6_ds_child_zone_no_data(self, rfc5155: Denial) -> None:
        assert found(rfc5155.no_data(TOP, DS)) == ["0p9m"]

    def test_ds_at_an_opt_out_delegation(self, rfc5155: Denial) -> None:
        assert found(rfc5155.no_data(key("c"), DS)) == ["0p9m", "35mt"]

    def test_an_owner_of_nsec3_is_denied_like_any_name(self, rfc5155: Denial) -> None:
        """RFC 5155 §7.2.8: queries for hashed owner names."""
        name = "35mthgpgcu1qg68fab165klnsnk3dpvl"
        oracle = Oracle.of(RFC5155, "aabbccdd", 12)
        proof = owners(rfc5155.name_error(key(name), TOP), NSEC3)
        assert proof == oracle.name_error(dns.name.from_text(name, APEX))

    def test_a_hashed_owner_that_has_data_too(self, rfc5155: Denial) -> None:
        assert found(rfc5155.no_data(key("2t7b4g4vsa5smi47k61mv5bv1a22bojr"), DS)) == ["koha"]


_SALTS = st.sampled_from([("", 0), ("", 1), ("aabbccdd", 12)])


@settings(max_examples=80)
@given(
    st.randoms(use_true_random=False),
    st.integers(1, 40),
    _SALTS,
    st.booleans(),
    st.sampled_from([1, 3, 7, 2_000]),
)
def test_random_zones(
    rng: random.Random, count: int, salted: tuple[str, int], opt_out: bool, size: int
) -> None:
    text = signed(shape(rng, count), salted, opt_out)
    oracle = Oracle.of(text, *salted)
    denial = Denial.finished(load(text, size))
    assert denial.kind is Kind.NSEC3
    compare(text, denial, oracle, questions(rng, oracle, 60))


def test_random_zones_have_every_kind_of_answer() -> None:
    seen: set[str] = set()
    for seed in range(20):
        rng = random.Random(seed)
        text = signed(shape(rng, 30), ("aa", 1), seed % 2 == 0)
        oracle = Oracle.of(text, "aa", 1)
        denial = Denial.finished(load(text))
        seen |= compare(text, denial, oracle, questions(rng, oracle, 60))
    assert seen == {"no data", "empty", "insecure", "opt-out", "wildcard", "name error"}


def test_a_chain_of_one_covers_everything_else() -> None:
    text = signed(shape(random.Random(1), 0), ("", 0))
    denial = Denial.finished(load(text))
    oracle = Oracle.of(text, "", 0)
    assert owners(denial.name_error(key("q"), TOP), NSEC3) == oracle.match(APEX)


def test_an_empty_non_terminal_of_insecure_delegations_only() -> None:
    """With Opt-Out it may have no NSEC3 record (RFC 5155, erratum 3441): no data by the closest
    provable encloser, and so is what does not exist below it."""
    made = shape(random.Random(1), 0)
    made.lines.append("c.b.a.example. 3600 IN NS ns.test.")
    cut = dns.name.from_text("c.b.a", APEX)
    made.cuts[cut] = False
    text = signed(made, ("", 0), opt_out=True)
    oracle = Oracle.of(text, "", 0)
    apex = oracle.match(APEX)
    denial = Denial.finished(load(text))
    assert owners(denial.insecure(key("c.b.a")), NSEC3) == apex
    assert owners(denial.no_data(key("b.a"), A), NSEC3) == apex
    assert owners(denial.name_error(key("q.b.a"), key("b.a")), NSEC3) == apex


class TestSeveralChains:
    """While a zone gets another salt, two chains stand in it (RFC 5155 §10.4)."""

    def zone(self, announce: str, share: float = 1.0, opt_out: bool = False) -> str:
        """A zone with chains of salts aa and bb, `announce` instead of NSEC3PARAM. The second one
        has only a share of its records beside the apex's, or is shorter because of Opt-Out."""
        made = shape(random.Random(5), 30)
        first = signed(made, ("aa", 1))
        second = signed(made, ("bb", 1), opt_out)
        rng = random.Random(0)
        apex = dns.dnssec.nsec3_hash(APEX, "bb", 1, "SHA1").lower()
        gone = {
            line.split()[0]
            for line in second.splitlines()
            if " NSEC3 1 " in line and not line.startswith(apex) and rng.random() >= share
        }
        assert not opt_out or second.count(" NSEC3 1 ") < first.count(" NSEC3 1 ")
        lines = [
            line
            for line in dict.fromkeys((first + second).splitlines())
            if "NSEC3PARAM" not in line and line.split()[0] not in gone
        ]
        return "\n".join(lines) + "\n" + announce

    @pytest.mark.parametrize(("used", "other"), [("aa", "bb"), ("bb", "aa")])
    def test_only_what_is_announced_is_used(self, used: str, other: str) -> None:
        announce = f"example. 3600 IN NSEC3PARAM 1 0 1 {used}\n"
        self.use(self.zone(announce), used)
        # Flags say that a chain is still being made, or taken away.
        announce += f"example. 3600 IN NSEC3PARAM 1 128 1 {other}\n"
        self.use(self.zone(announce, opt_out=True), used)

    def test_the_longer_one_of_two_that_are_announced(self) -> None:
        both = "example. 3600 IN NSEC3PARAM 1 0 1 aa\nexample. 3600 IN NSEC3PARAM 1 0 1 bb\n"
        self.use(self.zone(both), "aa")
        self.use(self.zone(both, share=0.5), "aa")

    def test_a_chain_without_the_apex_is_not_used(self) -> None:
        text = self.zone(
            "example. 3600 IN NSEC3PARAM 1 0 1 aa\nexample. 3600 IN NSEC3PARAM 1 0 1 cc\n"
        )
        self.use(text, "aa")

    def test_unknown_algorithms_are_passed_over(self) -> None:
        text = self.zone(
            "example. 3600 IN NSEC3PARAM 2 0 1 bb\nexample. 3600 IN NSEC3PARAM 1 0 1 aa\n"
        )
        self.use(text, "aa")

    def use(self, text: str, salt: str) -> None:
        denial = Denial.finished(load(text, 3))
        assert denial.kind is Kind.NSEC3
        oracle = Oracle.of(text, salt, 1)
        compare(text, denial, oracle, questions(random.Random(2), oracle, 60))


def test_chains_of_too_many_iterations_are_not_used() -> None:
    text = signed(shape(random.Random(1), 0), ("", 12))
    assert Denial.finished(load(text), None, 12).kind is Kind.NSEC3
    assert Denial.finished(load(text), None, 11).kind is Kind.NONE
    # RFC 5155 §10.3 allows a zone so many.
    assert MOST_ITERATIONS >= 500


def test_what_a_damaged_chain_lacks_is_left_out() -> None:
    rng = random.Random(3)
    text = signed(shape(rng, 30), ("", 0))
    apex = dns.dnssec.nsec3_hash(APEX, "", 0, "SHA1").lower()
    kept = [
        line
        for line in text.splitlines()
        if "NSEC3 " not in line or line.startswith(apex) or rng.random() < 0.6
    ]
    denial = Denial.finished(load("\n".join(kept) + "\n"))
    oracle = Oracle.of(text, "", 0)
    for of in questions(rng, oracle, 100):
        if not oracle.occluded(of):
            encloser = key(oracle.encloser(of))
            at = key(of)
            denial.name_error(at, encloser)
            denial.wildcard_no_data(at, encloser)
            denial.expanded(at, encloser)
            denial.no_data(at, A)
            denial.insecure(at)


def large(count: int, salt: bytes = b"") -> list[bytes]:
    """A signed zone of so many names, sorted."""
    rdata = bytes((1, 0, 0, 0, len(salt))) + salt
    following = bytes((20,)) + bytes(20) + b"\0\1\x40"
    signature = bytes((0, NSEC3, *bytes(16))) + b"\0\0"
    made = [
        *load(HEAD).records(),
        records.make(TOP, records.NSEC3PARAM, 0, rdata),
    ]
    made += [records.make(key(f"h{n}"), A, 300, bytes(4)) for n in range(count)]
    for owner in [WIRE, *(names.wire_of(key(f"h{n}"), WIRE) for n in range(count))]:
        hashed = nsec3.owner_of(nsec3.hash_name(owner, salt, 0))
        made.append(records.make(hashed, NSEC3, 300, rdata + following))
        made.append(records.make(hashed, RRSIG, 300, signature))
    made.sort()
    return made


def cut(listed: list[bytes], size: int = 2_000) -> Snapshot:
    return Snapshot(
        WIRE, [Block.make(listed[at : at + size], {}) for at in range(0, len(listed), size)]
    )


class TestIndex:
    @pytest.mark.usefixtures("no_collector")
    def test_is_made_in_bounded_steps(self) -> None:
        denial = Denial(cut(large(30_000)))
        steps = 0
        longest = 0.0
        going = True
        while going:
            began = time.thread_time()
            going = denial.step()
            longest = max(longest, time.thread_time() - began)
            steps += 1
        assert denial.kind is Kind.NSEC3
        assert steps >= 90_000 // (nsec3.STEP + 2_000)
        assert longest < MARGIN
        assert len(denial.name_error(key("q"), TOP)) in (2, 4, 6)

    def test_hashes_of_blocks_that_stay_are_shared(self) -> None:
        listed = large(5_000)
        first = Denial.finished(cut(listed))
        changed = cut(listed)
        at = changed.block_at(key("h77"))
        block = changed.blocks[at]
        index = block.find(key("h77"))
        changed.blocks[at] = block.spliced([(index, index + 1, [])])
        later = Snapshot(WIRE, changed.blocks)
        second = Denial(later, first)
        assert not second.step()
        assert first._index is not None
        assert second._index is not None
        held, before = second._index.held, first._index.held
        assert set(held) == {one.digest for one in later.blocks}
        assert len(set(held) & set(before)) == len(later.blocks) - 1
        assert all(held[digest] is before[digest] for digest in set(held) & set(before))
        assert second.name_error(key("q"), TOP) == first.name_error(key("q"), TOP)

    def test_a_block_without_hashes_is_not_taken_apart(self) -> None:
        assert nsec3.hashed_owners(load(HEAD).blocks[0]) == {}

    def test_names_that_only_look_hashed(self) -> None:
        """NSEC3 records at names of another length, or that are no base32hex, are no part of it; a
        hash that has two is there once."""
        text = RFC5155 + "".join(
            f"{owner}.example. 3600 IN NSEC3 1 1 12 aabbccdd {'0' * 32} A\n"
            for owner in ("w" * 32, "0" * 31, "0" * 31 + "_", f"{'0' * 32}.a", "x", _CHAIN[0][0])
        )
        snapshot = load(text)
        packed = nsec3.hashed_owners(snapshot.blocks[0])
        assert [len(hashes) for hashes in packed.values()] == [20 * len(_CHAIN)]


def test_arpa(shared_zones: Path) -> None:
    path = shared_zones / "arpa-2021051902-nsec3.zone"
    origin = names.from_text("arpa.")
    snapshot, _ = read_zone_file(path, origin, Policy())
    denial = Denial.finished(snapshot)
    assert denial.kind is Kind.NSEC3
    hashes = sorted(
        records.split(record)[0] for record in snapshot.records() if records.split(record)[1] == 50
    )
    for n in range(200):
        qname = names.key_of(names.from_text(f"q{n}.arpa."), origin)
        digest = dns.dnssec.nsec3_hash(f"q{n}.arpa.", None, 1, "SHA1").lower().encode()
        below = [owner for owner in hashes if owner[:32] < digest]
        assert records.split(denial.expanded(qname, TOP)[0])[0] == (below or hashes)[-1]


@pytest.mark.lab
@pytest.mark.parametrize(
    "options", [[], ["-3", "-"], ["-3", "aabb", "-H", "5"], ["-3", "aa", "-A"]]
)
def test_zones_that_bind_has_signed(options: list[str], tmp_path: Path) -> None:
    signer = shutil.which("dnssec-signzone")
    keygen = shutil.which("dnssec-keygen")
    assert signer and keygen, "expected BIND's dnssec-signzone and dnssec-keygen: bind-lab/install"
    made = shape(random.Random(11), 60)
    keys = subprocess.run(
        [keygen, "-q", "-K", str(tmp_path), "-a", "ECDSAP256SHA256", "-f", "KSK", "example."],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    public = (tmp_path / f"{keys[0]}.key").read_text()
    file = tmp_path / "zone"
    lines = [*made.lines, "ns1.example. 3600 IN A 192.0.2.1", public]
    file.write_text("\n".join(lines) + "\n")
    subprocess.run(
        [signer, "-q", "-z", "-K", str(tmp_path), "-O", "full", "-o", "example.", *options, "zone"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    text = (tmp_path / "zone.signed").read_text()
    salt = options[1].removeprefix("-") if options else None
    oracle = Oracle.of(text, salt, 5 if "-H" in options else 0)
    denial = Denial.finished(load(text, 50))
    assert denial.kind is (Kind.NSEC3 if options else Kind.NSEC)
    seen = compare(text, denial, oracle, questions(random.Random(3), oracle, 300))
    assert seen >= {"no data", "empty", "wildcard", "name error"}
    assert "opt-out" in seen or "-A" not in options
