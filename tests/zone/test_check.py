"""The checks: each rule in each grade it can have, what is said of it, and what stays."""

from __future__ import annotations

import pytest

from tests.strategies import ORIGIN, apex, host, ns_entry, soa_entry, wire
from xfer.errors import ZoneRejected
from xfer.wire import names, records
from xfer.wire.records import Spelling
from xfer.zone.check import RRSET_LIMIT, RULES, Checker, Grade, Policy

KEY = names.key_of(wire([b"a"], ORIGIN), ORIGIN)
SOA = soa_entry().record(ORIGIN)
NS = ns_entry().record(ORIGIN)


def at(rtype: int, rdata: bytes, ttl: int = 60, key: bytes = KEY) -> bytes:
    return records.make(key, rtype, ttl, rdata)


A1, A2 = at(1, b"\1\1\1\1"), at(1, b"\2\2\2\2")
CNAMES = [at(records.CNAME, b"\1x\0"), at(records.CNAME, b"\1y\0")]
DNAMES = [at(records.DNAME, b"\1x\0"), at(records.DNAME, b"\1y\0")]
CNAME_SIG = at(records.RRSIG, b"\0\5" + bytes(16) + b"\0s")
A_SIG = at(records.RRSIG, b"\0\1" + bytes(16) + b"\0s")
NSEC = at(records.NSEC, b"\0\0\1\x40")
BELOW = at(records.SOA, b"\0\0" + bytes(20))
BIG = [at(65280, bytes([n]) * 30_000) for n in range(3)]

# rule → records at one owner, those that stay when it is graded drop or warn, who and what is said
CASES: dict[str, tuple[list[bytes], list[bytes], list[bytes], str]] = {
    "cname-and-other": (
        [CNAMES[0], A1, CNAME_SIG, A_SIG],
        [A1, A_SIG],
        [CNAMES[0], A1, CNAME_SIG, A_SIG],
        "a.example.test. CNAME: stands beside 1 other record(s)",
    ),
    "several-cnames": (CNAMES, CNAMES[:1], CNAMES, "a.example.test. CNAME: stands 2 times"),
    "several-dnames": (DNAMES, DNAMES[:1], DNAMES, "a.example.test. DNAME: stands 2 times"),
    "soa-below-apex": ([BELOW, A1], [A1], [BELOW, A1], "a.example.test. SOA: is not at the apex"),
    "rrset-size": (
        [*BIG, A1],
        [A1],
        [],
        "a.example.test. TYPE65280: takes 90036 octets, more than 64000",
    ),
    "ttl-mismatch": (
        [A1, at(1, b"\2\2\2\2", 30), at(1, b"\3\3\3\3", 90)],
        [],
        [at(1, bytes([n]) * 4, 30) for n in (1, 2, 3)],
        "a.example.test. A: has TTLs from 30 to 90",
    ),
    "duplicate": ([A1, A1, A1, A2], [], [A1, A2], "a.example.test. A: comes 2 time(s) too often"),
}


def run(group: list[bytes], policy: Policy) -> tuple[list[bytes], Checker]:
    """The records that stay of a whole zone with these at one owner."""
    checker = Checker(ORIGIN, policy)
    kept = checker.scan(sorted([*apex(), *group, host(1)]), {})
    assert kept == sorted(kept)
    return [r for r in kept if r.startswith(KEY)], checker


@pytest.mark.parametrize("rule", CASES)
class TestRules:
    def test_reject(self, rule: str) -> None:
        bad, _, _, says = CASES[rule]
        _, checker = run(bad, Policy({rule: Grade.REJECT}))
        assert [str(f) for f in checker.findings] == [f"{rule} (reject): {says}"]
        with pytest.raises(ZoneRejected) as caught:
            checker.finish()
        assert caught.value.rule == rule
        assert caught.value.expected == RULES[rule].what
        owner, detail = says.split(": ", 1)
        assert caught.value.got == f"{owner}, which {detail}"

    @pytest.mark.parametrize("grade", [Grade.DROP, Grade.WARN], ids=["drop", "warn"])
    def test_what_stays(self, rule: str, grade: Grade) -> None:
        bad, dropped, warned, says = CASES[rule]
        if grade not in RULES[rule].grades:
            with pytest.raises(ValueError, match=f"for {rule}, got '{grade.value}'"):
                Policy({rule: grade})
            return
        kept, checker = run(bad, Policy({rule: grade}))
        assert kept == sorted(dropped if grade is Grade.DROP else warned)
        assert [str(f) for f in checker.findings] == [f"{rule} ({grade.value}): {says}"]
        checker.finish()

    def test_a_second_look_finds_what_it_must(self, rule: str) -> None:
        for grade in RULES[rule].grades:
            bad = CASES[rule][0]
            once = sorted([*apex(), *bad, host(1)])
            checker = Checker(ORIGIN, Policy({rule: grade}))
            kept = checker.scan(once, {})
            again = checker.again()
            assert again.scan(kept, {}) == kept
            assert [str(f) for f in again.findings] == [str(f) for f in checker.findings]
            assert again.counts == checker.counts
            if grade is Grade.REJECT:
                with pytest.raises(ZoneRejected, match=f"^{rule}: "):
                    again.finish()
            else:
                again.finish()


@pytest.mark.parametrize(
    "group",
    [
        [A1, A2, A_SIG],
        [CNAMES[0], CNAME_SIG, NSEC, at(records.RRSIG, b"\0\x2f" + bytes(16) + b"\0s")],
        [CNAMES[0]],
        [DNAMES[0], A1],
        [A1, at(28, bytes(16), 5), A_SIG],
        # Signatures over different types may have the TTLs of those.
        [CNAME_SIG, at(records.RRSIG, b"\0\x2f" + bytes(16) + b"\0s", 5)],
        [at(65280, bytes(RRSET_LIMIT - 100))],
    ],
)
def test_good_owners_are_left_alone(group: list[bytes]) -> None:
    kept, checker = run(group, Policy())
    assert kept == sorted(group)
    assert checker.findings == []
    checker.finish()


@pytest.mark.parametrize("count", [2, 5, 15, 16, 17, 100])
def test_rrset_size_counts_all_its_records(count: int) -> None:
    each = RRSET_LIMIT // count
    group = [at(65280, n.to_bytes(2, "big") + bytes(each - 2)) for n in range(count)]
    kept, checker = run([*group, A1], Policy({"rrset-size": Grade.DROP}))
    assert kept == [A1]
    assert checker.counts == {"rrset-size": 1}
    small = [at(65280, n.to_bytes(2, "big") + bytes(each - 20)) for n in range(count)]
    assert run([*small, A1], Policy())[0] == [A1, *small]


def test_single_record_above_the_limit() -> None:
    kept, checker = run([at(65280, bytes(RRSET_LIMIT))], Policy({"rrset-size": Grade.DROP}))
    assert kept == []
    assert checker.counts == {"rrset-size": 1}


@pytest.mark.parametrize("others", [1, 2, 14, 15, 16, 40])
def test_faults_among_many_records_are_found(others: int) -> None:
    fill = [at(1000 + n, b"x") for n in range(others)]
    for rule in ("ttl-mismatch", "duplicate", "several-dnames", "soa-below-apex"):
        _, checker = run([*CASES[rule][0], *fill], Policy())
        assert set(checker.counts) == {rule}
    _, checker = run([CNAMES[0], *fill], Policy())
    assert set(checker.counts) == {"cname-and-other"}


def test_ttl_mismatch_keeps_the_spelling() -> None:
    upper = (wire([b"A"], ORIGIN), b"\1\1\1\1")
    spelling: Spelling = {A1: upper}
    group = sorted([A1, at(1, b"\2\2\2\2", 30)])
    kept = Checker(ORIGIN, Policy()).scan(group, spelling)
    assert spelling[at(1, b"\1\1\1\1", 30)] == upper
    assert at(1, b"\1\1\1\1", 30) in kept


def test_one_record_with_two_ttls_is_one_record() -> None:
    kept, checker = run([at(1, bytes(4), 5), at(1, bytes(4), 6)], Policy())
    assert kept == [at(1, bytes(4), 5)]
    assert checker.counts == {"ttl-mismatch": 1, "duplicate": 1}


class TestApex:
    def finish(self, listed: list[bytes], policy: Policy | None = None) -> Checker:
        checker = Checker(ORIGIN, policy or Policy())
        checker.scan(sorted(listed), {})
        checker.finish()
        return checker

    def test_soa_is_missing(self) -> None:
        with pytest.raises(ZoneRejected, match=r"apex-soa: .* example\.test\. SOA, which is miss"):
            self.finish([NS])

    def test_two_soas(self) -> None:
        with pytest.raises(ZoneRejected, match="SOA, which stands 2 times"):
            self.finish([NS, SOA, soa_entry(serial=2).record(ORIGIN)])

    def test_ns_is_missing(self) -> None:
        with pytest.raises(ZoneRejected, match=r"apex-ns: .* example\.test\. NS, which is missing"):
            self.finish([SOA, host(1)])
        checker = self.finish([SOA, host(1)], Policy({"apex-ns": Grade.WARN}))
        assert [f.rule for f in checker.findings] == ["apex-ns"]

    def test_cname_at_the_apex(self) -> None:
        alias = at(records.CNAME, b"\1x\0", key=b"\0")
        with pytest.raises(ZoneRejected, match=r"cname-and-other: .*beside 2 other"):
            self.finish([SOA, NS, alias])


def test_out_of_zone_records() -> None:
    for grade in (Grade.DROP, Grade.REJECT):
        checker = Checker(ORIGIN, Policy({"out-of-zone": grade}))
        checker.outside(b"\5other\0", 1)
        checker.scan(apex(), {})
        assert str(checker.findings[0]) == (
            f"out-of-zone ({grade.value}): other. A: is not at or below example.test."
        )
        if grade is Grade.REJECT:
            with pytest.raises(ZoneRejected, match="out-of-zone"):
                checker.finish()
        else:
            checker.finish()


def test_findings_are_bounded_and_counted() -> None:
    checker = Checker(ORIGIN, Policy({"out-of-zone": Grade.REJECT}))
    for n in range(1000):
        checker.outside(wire([b"x%d" % n]), 1)
    checker.scan(apex(), {})
    assert len(checker.findings) == 20
    assert checker.counts == {"out-of-zone": 1000}
    with pytest.raises(ZoneRejected, match=r"x0\. A, .* \(and 999 more\)"):
        checker.finish()


def test_policy_knows_rules_and_grades() -> None:
    assert Policy().grades == {name: rule.default for name, rule in RULES.items()}
    with pytest.raises(ValueError, match=r"expected one of apex-soa, .*, got 'nope'"):
        Policy({"nope": Grade.WARN})
    with pytest.raises(ValueError, match="expected reject for apex-soa, got 'warn'"):
        Policy({"apex-soa": Grade.WARN})
    for name, rule in RULES.items():
        for grade in rule.grades:
            assert Policy({name: grade}).grades[name] is grade
