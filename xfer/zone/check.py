"""What a zone must be before it is served, rule by rule, and what happens where it is not.

Every finding is graded by the policy (`[checks]` in the config): `reject` refuses the version and
the old one keeps serving, `drop` leaves the offending records out with a warning, `warn` keeps them
with a warning. RULES lists the rules with their default and the grades each can have.

RFC 1034 §3.6.2 (CNAME alone), RFC 2181 §5.2 (one TTL in an RRset) and §10.1, RFC 6672 §2.4 (DNAME),
RFC 5936 §3.5 (out-of-zone records).
"""

from __future__ import annotations

import enum
from typing import Final

from xfer.errors import ZoneRejected
from xfer.wire.names import to_text, wire_of
from xfer.wire.records import (
    CNAME,
    DNAME,
    DS,
    KEY,
    NS,
    NSEC,
    NXT,
    RRSIG,
    SIG,
    SOA,
    Spelling,
    rrset_end,
    type_text,
)
from xfer.zone.deltas import identity


class Grade(enum.Enum):
    """What a finding does to the version it is found in."""

    REJECT = "reject"
    DROP = "drop"
    WARN = "warn"


class Rule:
    """default: its grade; grades: those it may be set to; what: one sentence for the operator."""

    def __init__(self, default: Grade, grades: list[Grade], what: str) -> None:
        self.default = default
        self.grades = grades
        self.what = what


_ANY: Final = [Grade.REJECT, Grade.DROP, Grade.WARN]
RULES: Final[dict[str, Rule]] = {
    "apex-soa": Rule(Grade.REJECT, [Grade.REJECT], "one SOA record at the apex"),
    "apex-ns": Rule(Grade.REJECT, [Grade.REJECT, Grade.WARN], "NS records at the apex"),
    "soa-below-apex": Rule(Grade.DROP, _ANY, "no SOA record below the apex"),
    "ds-at-apex": Rule(
        Grade.WARN, _ANY, "no DS record at the apex: it is the parent's (live-signed: left out)"
    ),
    "wildcard-ns": Rule(
        Grade.WARN, _ANY, "no NS record at a wildcard, which BIND refuses (RFC 4592 §4.2)"
    ),
    "out-of-zone": Rule(
        Grade.DROP, [Grade.REJECT, Grade.DROP], "only owner names at or below the apex"
    ),
    "cname-and-other": Rule(Grade.REJECT, _ANY, "no other data beside a CNAME (drop: the CNAME)"),
    "several-cnames": Rule(Grade.REJECT, _ANY, "one CNAME at an owner name (drop: all but one)"),
    "several-dnames": Rule(Grade.REJECT, _ANY, "one DNAME at an owner name (drop: all but one)"),
    "rrset-size": Rule(
        Grade.REJECT,
        [Grade.REJECT, Grade.DROP],
        "RRsets that fit into one message of 64,000 octets",
    ),
    "ttl-mismatch": Rule(
        Grade.WARN, [Grade.REJECT, Grade.WARN], "one TTL in an RRset (warn: the lowest is used)"
    ),
    "duplicate": Rule(Grade.WARN, [Grade.REJECT, Grade.WARN], "each record once (warn: kept once)"),
    "zonemd": Rule(
        Grade.REJECT,
        [Grade.REJECT, Grade.WARN],
        "where ZONEMD records stand at the apex, one whose digest the zone has as it came "
        "(RFC 8976; an integrity check only, as no signature over them is validated)",
    ),
}
RRSET_LIMIT: Final = 64_000
OWNER_LIMIT: Final = 50_000  # records at one owner name; far above what an answer can hold
# Types with rules of their own; and how many records, of how many octets, fit RRSET_LIMIT for sure.
_RULED: Final = bytes([rtype in (CNAME, SOA, DNAME) for rtype in range(256)])
_FEW: Final = 16
_SMALL: Final = RRSET_LIMIT // _FEW
_ASTERISK: Final = 42
_KEPT: Final = 20  # findings of one rule that are kept whole; beyond it they are counted
# What these rules find is mended, or left out, at once: a second look does not find it again.
_FOUND_ONCE: Final = frozenset(("out-of-zone", "ttl-mismatch", "duplicate"))


class Finding:
    """One thing that a rule found. owner: wire name; rtype: 0 where several types are meant."""

    def __init__(self, rule: str, grade: Grade, owner: bytes, rtype: int, detail: str) -> None:
        self.rule = rule
        self.grade = grade
        self.owner = owner
        self.rtype = rtype
        self.detail = detail

    def __str__(self) -> str:
        what = to_text(self.owner) + (f" {type_text(self.rtype)}" if self.rtype else "")
        return f"{self.rule} ({self.grade.value}): {what}: {self.detail}"


class Policy:
    """The grade of each rule. grades: what differs from the defaults in RULES.

    Raises ValueError for an unknown rule, or a grade that the rule cannot have.
    """

    def __init__(self, grades: dict[str, Grade] | None = None) -> None:
        self.grades: dict[str, Grade] = {name: rule.default for name, rule in RULES.items()}
        if grades is None:
            return
        for name, grade in grades.items():
            rule = RULES.get(name)
            if rule is None:
                raise ValueError(f"expected one of {', '.join(RULES)}, got {name!r}")
            if grade not in rule.grades:
                allowed = ", ".join([g.value for g in rule.grades])
                raise ValueError(f"expected {allowed} for {name}, got {grade.value!r}")
            self.grades[name] = grade


class Checker:
    """Looks at a zone's records as they pass in canonical order, whole owner names at a time.

    findings: the first of each rule, at most 20; counts: rule → how many in all; gone: records that
    were mended or left out, as they came, for `xfer.zone.zonemd`: a list for each look at the zone,
    sorted up to the RRset.
    """

    def __init__(self, origin: bytes, policy: Policy) -> None:
        self.origin = origin
        self.policy = policy
        self.findings: list[Finding] = []
        self.counts: dict[str, int] = {}
        self.gone: list[list[bytes]] = [[]]
        self._soas = 0
        self._nameservers = 0
        self._refused: Finding | None = None
        self._refusals = 0
        self._left_out: set[bytes] = set()  # RRsets too large, by owner key, type and covered type

    def again(self) -> Checker:
        """A checker for another look at what this one let pass, and at what came in between.

        It keeps the findings, and the refusals, that cannot be found a second time.
        """
        other = Checker(self.origin, self.policy)
        for finding in self.findings:
            if finding.rule in _FOUND_ONCE or finding.grade is Grade.DROP:
                other.findings.append(finding)
                if finding.grade is Grade.REJECT and other._refused is None:
                    other._refused = finding
        for rule, count in self.counts.items():
            grade = self.policy.grades[rule]
            if rule in _FOUND_ONCE or grade is Grade.DROP:
                other.counts[rule] = count
                if grade is Grade.REJECT:
                    other._refusals += count
        other._left_out = self._left_out
        other.gone = [*self.gone, []]
        return other

    def _found(self, rule: str, owner: bytes, rtype: int, detail: str) -> Grade:
        grade = self.policy.grades[rule]
        count = self.counts.get(rule, 0) + 1
        self.counts[rule] = count
        finding = Finding(rule, grade, owner, rtype, detail)
        if count <= _KEPT:
            self.findings.append(finding)
        if grade is Grade.REJECT:
            self._refusals += 1
            if self._refused is None:
                self._refused = finding
        return grade

    def outside(self, owner: bytes, rtype: int) -> None:
        """Report a record that is not in the zone; the parser has left it out."""
        self._found("out-of-zone", owner, rtype, f"is not at or below {to_text(self.origin)}")

    def scan(self, records: list[bytes], spelling: Spelling) -> list[bytes]:
        """Check sorted records that hold every record of each of their owner names.

        Returns the records that stay, sorted: the same list where nothing changed. Spellings of
        records that got another TTL are added to `spelling`.
        """
        kept: list[bytes] | None = None
        total = len(records)
        i = 0
        while i < total:
            first = records[i]
            end = first.find(b"\0\0") + 2 if first[0] != 0 else 1
            key = first[:end]
            j = i + 1
            # Most owner names need no more than a look at each type: none that rules are about,
            # no two TTLs in an RRset, no record twice.
            before = first[end : end + 6]
            plain = before[0] == 0
            wild = end > 2 and first[end - 3] == _ASTERISK and _wildcard(key)
            usual = (
                end > 1 and len(first) < _SMALL and not (plain and _RULED[before[1]]) and not wild
            )
            signed = plain and before[1] == RRSIG  # of these the TTL stands two octets behind
            while j < total:
                record = records[j]
                if not record.startswith(key):
                    break
                if usual:
                    head = record[end : end + 6]
                    if len(record) >= _SMALL:
                        usual = False
                    elif head == before:
                        if record == records[j - 1] or (
                            signed and not _same_ttl(record, records[j - 1], end)
                        ):
                            usual = False
                    elif head[0] == before[0] and head[1] == before[1]:
                        # An RRset with two TTLs, or the signatures of two RRsets.
                        usual = signed and head[:4] != before[:4]
                        before = head
                    else:
                        plain = head[0] == 0
                        usual = not (plain and _RULED[head[1]])
                        signed = plain and head[1] == RRSIG
                        before = head
                j += 1
            if usual and j - i < _FEW and not self._left_out:
                if kept is not None:
                    kept.extend(records[i:j])
                i = j
                continue
            if j - i > OWNER_LIMIT:
                raise owner_refused(key, self.origin)
            alone = j - i == 1 and len(first) < RRSET_LIMIT and end > 1
            if alone and not wild and not self._left_out:
                dropped = (
                    first[end] == 0 and first[end + 1] == SOA and self._soa_below(key) is Grade.DROP
                )
                if dropped:
                    self.gone[-1].append(first)
                    if kept is None:
                        kept = records[:i]
                elif kept is not None:
                    kept.append(first)
            else:
                group = records[i:j]
                stays = self._owner(key, group, spelling)
                if stays is not group:
                    self._went(group, stays)
                if kept is not None:
                    kept.extend(stays)
                elif stays is not group:
                    kept = records[:i]
                    kept.extend(stays)
            i = j
        return records if kept is None else kept

    def _went(self, came: list[bytes], stays: list[bytes]) -> None:
        """Keep what came and does not stay as it is."""
        kept = set(stays)
        names = {identity(record) for record in came if record in kept}
        self.gone[-1] += [r for r in came if r not in kept and identity(r) not in names]

    def _soa_below(self, key: bytes) -> Grade:
        return self._found("soa-below-apex", wire_of(key, self.origin), SOA, "is not at the apex")

    def _owner(self, key: bytes, group: list[bytes], spelling: Spelling) -> list[bytes]:
        """Check all records of one owner name; the same list where all of them stay."""
        end = len(key)
        apex = end == 1
        cnames = 0
        others = 0
        changed = False
        out: list[bytes] = []
        i = 0
        while i < len(group):
            record = group[i]
            prefix = record[: rrset_end(record)]
            j = i + 1
            while j < len(group) and group[j].startswith(prefix):
                j += 1
            rtype = record[end] << 8 | record[end + 1]
            rrset = group if j - i == len(group) else group[i:j]
            if self._left_out and prefix in self._left_out:
                changed = True
                rrset = []
            elif j - i > 1 or len(record) >= RRSET_LIMIT:
                stays = self._rrset(key, rtype, len(prefix), rrset, spelling)
                if stays is not rrset:
                    changed = True
                    rrset = stays
            if rtype == CNAME:
                cnames = len(rrset)
            elif rtype == SOA:
                if apex:
                    self._soas += len(rrset)
                elif self._soa_below(key) is Grade.DROP:
                    changed = True
                    rrset = []
            elif rtype == NS and apex:
                self._nameservers += len(rrset)
            elif (rtype == NS and _wildcard(key)) or (rtype == DS and apex):
                rule = "wildcard-ns" if rtype == NS else "ds-at-apex"
                detail = "belongs to the parent" if apex else "is at a wildcard"
                if self._found(rule, wire_of(key, self.origin), rtype, detail) is Grade.DROP:
                    changed = True
                    rrset = []
            if rtype not in (CNAME, RRSIG, NSEC, KEY, SIG, NXT):
                others += len(rrset)
            out.extend(rrset)
            i = j
        if cnames > 0 and others > 0:
            grade = self._found(
                "cname-and-other",
                wire_of(key, self.origin),
                CNAME,
                f"stands beside {others} other record(s)",
            )
            if grade is Grade.DROP:
                changed = True
                out = [r for r in out if not _is_cname(r, end)]
        return out if changed else group

    def _rrset(
        self, key: bytes, rtype: int, head: int, rrset: list[bytes], spelling: Spelling
    ) -> list[bytes]:
        """Check one RRset of several records; the same list where it stays as it is."""
        lowest = rrset[0][head : head + 4]
        if not rrset[-1].startswith(rrset[0][: head + 4]):
            self._found(
                "ttl-mismatch",
                wire_of(key, self.origin),
                rtype,
                f"has TTLs from {_number(lowest)} to {_number(rrset[-1][head : head + 4])}",
            )
            level: list[bytes] = []
            for record in rrset:
                leveled = record[:head] + lowest + record[head + 4 :]
                if record in spelling and leveled not in spelling:
                    spelling[leveled] = spelling[record]
                level.append(leveled)
            level.sort()
            rrset = level
        once: list[bytes] = []
        size = 0
        previous = b""
        for record in rrset:
            if record != previous:
                once.append(record)
                size += len(record) - head + 8
                previous = record
        if len(once) != len(rrset):
            again = len(rrset) - len(once)
            self._found(
                "duplicate", wire_of(key, self.origin), rtype, f"comes {again} time(s) too often"
            )
            rrset = once
        if size > RRSET_LIMIT:
            grade = self._found(
                "rrset-size",
                wire_of(key, self.origin),
                rtype,
                f"takes {size} octets, more than {RRSET_LIMIT}",
            )
            if grade is Grade.DROP:
                self._left_out.add(rrset[0][:head])
                return []
        if len(rrset) > 1 and rtype in (CNAME, DNAME):
            rule = "several-cnames" if rtype == CNAME else "several-dnames"
            grade = self._found(
                rule, wire_of(key, self.origin), rtype, f"stands {len(rrset)} times"
            )
            if grade is Grade.DROP:
                return rrset[:1]
        return rrset

    def finish(self) -> None:
        """Check what only the whole zone shows; raises ZoneRejected where the zone is refused."""
        if self._soas != 1:
            times = f"stands {self._soas} times" if self._soas else "is missing"
            self._found("apex-soa", self.origin, SOA, times)
        if self._nameservers == 0:
            self._found("apex-ns", self.origin, NS, "is missing")
        refused = self._refused
        if refused is not None:
            more = f" (and {self._refusals - 1} more)" if self._refusals > 1 else ""
            what = to_text(refused.owner)
            if refused.rtype:
                what += f" {type_text(refused.rtype)}"
            raise ZoneRejected(
                refused.rule, RULES[refused.rule].what, f"{what}, which {refused.detail}{more}"
            )


def owner_refused(key: bytes, origin: bytes) -> ZoneRejected:
    """The error for an owner name with more than OWNER_LIMIT records, whatever the policy."""
    return ZoneRejected(
        "rrset-size",
        f"at most {OWNER_LIMIT} records at an owner name",
        f"more at {to_text(wire_of(key, origin))}",
    )


def _is_cname(record: bytes, end: int) -> bool:
    if record[end] != 0:
        return False
    low = record[end + 1]
    return low == CNAME or (low == RRSIG and record[end + 2] == 0 and record[end + 3] == CNAME)


def _wildcard(key: bytes) -> bool:
    """Whether the first label of an owner is an asterisk; labels stand last to first in its key."""
    return key.endswith(b"\0*\0\0") or key == b"*\0\0"


def _number(four: bytes) -> int:
    return four[0] << 24 | four[1] << 16 | four[2] << 8 | four[3]


def _same_ttl(record: bytes, other: bytes, end: int) -> bool:
    """Whether two RRSIG records of one RRset have one TTL; end: octets of their owner key."""
    return record[end + 4 : end + 8] == other[end + 4 : end + 8]
