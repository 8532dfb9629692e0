"""Digests of whole zones in ZONEMD records (RFC 8976): made, and verified on what came.

Scheme SIMPLE (1) with SHA-384 (1) and SHA-512 (2). Canonical order and form are those in which
records are kept, so a digest is one pass over the blocks. It takes every record of the zone, glue
and occluded names too, each once, but the ZONEMD RRset at the apex and its signatures (§3.3.1);
what is out of the zone never came so far.

A digest is of the zone as its primary has it. What the checks have mended since (one TTL in an
RRset) or dropped is therefore undone for it: `Checker.gone` has those records as they came, a
record being known by owner, type and rdata. Where one came with several TTLs, the lowest counts.
An IXFR says nothing of what was mended in the version it starts from: its digest is then not that
of the primary, and a whole zone is asked for (`xfer.server.dropped`).

A ZONEMD is used where its serial is the SOA's, scheme and algorithm are known, no other has the
same two, and its digest has the right length; one that fits is enough (§4). Signatures are not
validated: a ZONEMD tells damage from the zone that was published, not who published it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final

from xfer.errors import ZoneRejected
from xfer.wire.names import wire_of
from xfer.wire.records import RRSIG, ZONEMD, key_end, make, rrset_end, split
from xfer.zone.block import LARGEST
from xfer.zone.check import Finding, Grade, Policy
from xfer.zone.deltas import Deltas, identity
from xfer.zone.snapshot import APEX, Snapshot

RULE: Final = "zonemd"
SIMPLE: Final = 1  # the only scheme
SHA384: Final = 1
SHA512: Final = 2
ALGORITHMS: Final[dict[int, str]] = {SHA384: "SHA-384", SHA512: "SHA-512"}
_OCTETS: Final[dict[int, int]] = {SHA384: 48, SHA512: 64}
_RECORDS: Final = APEX + bytes((0, ZONEMD))
_SIGNATURES: Final = APEX + bytes((0, RRSIG, 0, ZONEMD))
_NO_RECORD: Final = APEX + b"\0\0"  # begins no record: type 0 is no data
_CLASS: Final = b"\0\1"
_LENGTH: Final = [bytes((n,)) for n in range(64)]
_SIZE: Final = [bytes((n >> 8, n & 255)) for n in range(1024)]
_KNOWN: Final = 1024
_SAID: Final = 4  # records that a finding tells about
_SHOWN: Final = 8  # octets of a digest in a finding


class Hashing:
    """The hash functions of a digest. algorithms: SHA384, SHA512; origin: wire name of the apex."""

    def __init__(self, origin: bytes, algorithms: list[int]) -> None:
        self._origin = origin
        self._known: dict[bytes, bytes] = {}  # type, covered type and TTL → type, class and TTL
        self._hashes: dict[int, Any] = {}
        for algorithm in algorithms:
            self._hashes[algorithm] = hashlib.sha384() if algorithm == SHA384 else hashlib.sha512()

    def add(self, records: list[bytes]) -> None:
        """Take records in canonical order, each once; those that no digest covers are left out."""
        parts: list[bytes] = []
        known = self._known
        key = _NO_RECORD
        owner = b""
        end = 0
        for record in records:
            if not record.startswith(key):
                end = key_end(record)
                key = record[:end]
                owner = self._owner(key)
            if end == 1 and record.startswith((_RECORDS, _SIGNATURES)):
                continue
            start = end + 6
            if record[end] == 0 and record[end + 1] == RRSIG:
                start = end + 8
            kind = record[end:start]
            fixed = known.get(kind)
            if fixed is None:
                fixed = kind[:2] + _CLASS + kind[-4:]
                if len(known) < _KNOWN:
                    known[kind] = fixed
            size = len(record) - start
            parts.append(owner)
            parts.append(fixed)
            parts.append(_SIZE[size] if size < 1024 else bytes((size >> 8, size & 255)))
            parts.append(record[start:])
        joined = b"".join(parts)
        for function in self._hashes.values():
            function.update(joined)

    def _owner(self, key: bytes) -> bytes:
        """As `wire_of`, in half its time where no octet is escaped."""
        if len(key) == 1 or b"\1" in key:
            return wire_of(key, self._origin)
        labels = key[:-2].split(b"\0")
        if len(labels) == 1:
            return _LENGTH[len(key) - 2] + labels[0] + self._origin
        out: list[bytes] = []
        for i in range(len(labels) - 1, -1, -1):
            out.append(_LENGTH[len(labels[i])])
            out.append(labels[i])
        out.append(self._origin)
        return b"".join(out)

    def digests(self) -> dict[int, bytes]:
        """Algorithm → digest of what was taken."""
        return {algorithm: found.digest() for algorithm, found in self._hashes.items()}


class Digester:
    """Digests of a version of a zone, block by block.

    gone: records that the checks have mended or dropped, as they came, in lists that are sorted up
    to the RRset, the first of them first. Use: `step` until it says False, then `digests`.
    """

    def __init__(
        self, snapshot: Snapshot, algorithms: list[int], gone: list[list[bytes]] | None = None
    ) -> None:
        self._blocks = snapshot.blocks
        self._hashing = Hashing(snapshot.origin, algorithms)
        self._gone: list[list[bytes]] = gone if gone is not None else []
        self._taken: list[int] = [0 for _ in self._gone]
        self._left = sum([len(run) for run in self._gone])
        self._next = 0  # the block
        self._at = 0  # … and the record in it

    def step(self) -> bool:
        """Do a block's worth of the work; False when all is done."""
        if self._next == len(self._blocks):
            return False
        records = self._blocks[self._next].records()
        end = b""
        if self._next + 1 < len(self._blocks):
            above = self._blocks[self._next + 1].first
            end = above[: rrset_end(above)]
        if self._left == 0 or not self._any_below(end):
            self._hashing.add(records if self._at == 0 else records[self._at :])
        else:
            end = self._bounded(end)
            stop = bisect_left(records, end, self._at) if end else len(records)
            self._hashing.add(self._as_came(records[self._at : stop], end))
            if stop < len(records) or (end and self._any_below(self._upper())):
                self._at = stop
                return True
        self._next += 1
        self._at = 0
        return self._next < len(self._blocks)

    def _upper(self) -> bytes:
        """Where the next block begins; b"" for none."""
        if self._next + 1 == len(self._blocks):
            return b""
        above = self._blocks[self._next + 1].first
        return above[: rrset_end(above)]

    def _any_below(self, end: bytes) -> bool:
        """Whether records that are gone stood below that place; b"": anywhere."""
        for i in range(len(self._gone)):
            run = self._gone[i]
            at = self._taken[i]
            if at < len(run) and (not end or run[at] < end):
                return True
        return False

    def _bounded(self, end: bytes) -> bytes:
        """The place `end`, or one further down where too many records are gone below that."""
        for i in range(len(self._gone)):
            run = self._gone[i]
            at = self._taken[i] + LARGEST
            if at < len(run) and (not end or run[at] < end):
                prefix = run[at][: rrset_end(run[at])]
                while at > self._taken[i] and run[at - 1].startswith(prefix):
                    at -= 1
                if at == self._taken[i]:  # one RRset, which is digested as a whole
                    while at < len(run) and run[at].startswith(prefix):
                        at += 1
                    if at == len(run):
                        continue
                    prefix = run[at][: rrset_end(run[at])]
                if not end or prefix < end:
                    end = prefix
        return end

    def _as_came(self, records: list[bytes], end: bytes) -> list[bytes]:
        """The records, and those gone below `end`, as they came and in canonical order."""
        gone: dict[bytes, bytes] = {}
        for i in range(len(self._gone)):
            run = self._gone[i]
            stop = bisect_left(run, end, self._taken[i]) if end else len(run)
            for record in run[self._taken[i] : stop]:
                name = identity(record)
                if name not in gone:
                    gone[name] = record
            self._left -= stop - self._taken[i]
            self._taken[i] = stop
        for record in records:
            name = identity(record)
            if name not in gone:
                gone[name] = record
        return [gone[name] for name in sorted(gone)]

    def digests(self) -> dict[int, bytes]:
        """Algorithm → digest; only after `step` said False."""
        return self._hashing.digests()


class Verifier:
    """Verifies a version by the ZONEMD records at its apex, of which there is one at least.

    gone: as for `Digester`; policy: with the grade of a failure. Use: `step` until it says False;
    then `verdict` is "verified (SHA-384)", "not verified" or "not verifiable", and `findings` tell
    why.
    """

    def __init__(self, snapshot: Snapshot, gone: list[list[bytes]], policy: Policy) -> None:
        self.verdict = ""
        self.findings: list[Finding] = []
        self._origin = snapshot.origin
        self._grade = policy.grades[RULE]
        self._usable: dict[int, bytes] = {}  # algorithm → digest
        self._unknown: list[str] = []
        self._wrong: list[tuple[str, str]] = []  # expected, got
        self._look(snapshot)
        self._digester = Digester(snapshot, list(self._usable), gone)

    def _look(self, snapshot: Snapshot) -> None:
        """Which of the records can be used, and what is wrong with the others."""
        found: dict[tuple[int, int], list[bytes]] = {}
        for record in snapshot.rrset(APEX, ZONEMD):
            rdata = split(record)[4]
            found.setdefault((rdata[4], rdata[5]), []).append(rdata)
        for (scheme, algorithm), rdatas in found.items():
            rdata = rdatas[0]
            serial = int.from_bytes(rdata[:4], "big")
            size = len(rdata) - 6
            if scheme != SIMPLE or algorithm not in ALGORITHMS:
                self._unknown.append(f"scheme {scheme} with hash algorithm {algorithm}")
            elif len(rdatas) > 1:
                self._fault(
                    f"one ZONEMD of scheme {scheme} with {ALGORITHMS[algorithm]}", str(len(rdatas))
                )
            elif serial != snapshot.serial:
                self._fault(
                    f"a ZONEMD of serial {snapshot.serial}, which the SOA has", f"serial {serial}"
                )
            elif size != _OCTETS[algorithm]:
                self._fault(
                    f"a {ALGORITHMS[algorithm]} digest of {_OCTETS[algorithm]} octets", f"{size}"
                )
            else:
                self._usable[algorithm] = rdata[6:]

    def _fault(self, expected: str, got: str) -> None:
        self._wrong.append((expected, got))

    def step(self) -> bool:
        """Do a bounded piece of the work; False when all is done. Raises ZoneRejected where nothing
        verifies the version, and the policy is not to take it then."""
        if self._usable and self._digester.step():
            return True
        verified: list[str] = []
        for algorithm, digest in self._digester.digests().items():
            said = self._usable[algorithm]
            if said == digest:
                verified.append(ALGORITHMS[algorithm])
            else:
                expected = f"{ALGORITHMS[algorithm]} digest {_hex(said)}, as the ZONEMD says"
                self._fault(expected, _hex(digest))
        if verified:
            self.verdict = f"verified ({', '.join(verified)})"
            self._note(Grade.WARN)
        elif self._wrong:
            self.verdict = "not verified"
            if self._grade is Grade.REJECT:
                expected, got = self._wrong[0]
                raise ZoneRejected(RULE, expected, "; ".join([got, *self._said(1)]))
            self._note(self._grade)
        else:
            self.verdict = "not verifiable"
            self.findings.append(
                Finding(
                    RULE,
                    Grade.WARN,
                    self._origin,
                    ZONEMD,
                    f"expected scheme 1 (SIMPLE) with SHA-384 or SHA-512, got {self._others()}",
                )
            )
        return False

    def _note(self, grade: Grade) -> None:
        """A finding of what is wrong, if anything."""
        if self._wrong:
            said = "; ".join(self._said(0))
            self.findings.append(Finding(RULE, grade, self._origin, ZONEMD, said))

    def _said(self, start: int) -> list[str]:
        """What is wrong, from there on, in words."""
        return [f"expected {expected}, got {got}" for expected, got in self._wrong[start:]]

    def _others(self) -> str:
        more = len(self._unknown) - _SAID
        return ", ".join(self._unknown[:_SAID]) + (f" and {more} more" if more > 0 else "")


def verifier_of(snapshot: Snapshot, gone: list[list[bytes]], policy: Policy) -> Verifier | None:
    """What verifies the version; None where it has no ZONEMD."""
    if not has_zonemd(snapshot):
        return None
    return Verifier(snapshot, gone, policy)


def has_zonemd(snapshot: Snapshot) -> bool:
    """Whether a version has ZONEMD records at its apex."""
    return len(snapshot.rrset(APEX, ZONEMD)) > 0


def brings_zonemd(deltas: Deltas) -> bool:
    """Whether changes bring one."""
    return any(name.startswith(_RECORDS) for name, record in deltas.now.items() if record)


def digest_of(snapshot: Snapshot, algorithm: int) -> bytes:
    """The digest of a version, in one go. For worker threads: loops over all blocks."""
    return _digests(snapshot, [algorithm])[algorithm]


def make_zonemd(snapshot: Snapshot, hashes: Iterable[int] = (SHA384,)) -> list[bytes]:
    """The ZONEMD records of a version, sorted: with its serial, and its SOA's TTL (§2).

    hashes: SHA384, SHA512, each once. It makes no difference whether the version has ZONEMD records
    or signatures of them already, but what else it has must be final, NSEC or NSEC3 at the apex
    that list ZONEMD included. In one go, for worker threads.
    """
    ttl = split(snapshot.soa)[3]
    head = snapshot.serial.to_bytes(4, "big")
    made = [
        make(APEX, ZONEMD, ttl, head + bytes((SIMPLE, algorithm)) + digest)
        for algorithm, digest in _digests(snapshot, list(hashes)).items()
    ]
    made.sort()
    return made


def _digests(snapshot: Snapshot, algorithms: list[int]) -> dict[int, bytes]:
    for algorithm in algorithms:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"expected SHA-384 (1) or SHA-512 (2), got {algorithm}")
    digester = Digester(snapshot, algorithms)
    while digester.step():
        pass
    return digester.digests()


def _hex(digest: bytes) -> str:
    return digest[:_SHOWN].hex() + "…"
