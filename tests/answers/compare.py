"""Asks all servers of a world the same queries, and tallies how the answers differ."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from tests.answers.allowed import NOT_COMPRESSED, Case, alike, explain, worse_compressed
from tests.answers.client import ask
from tests.answers.kinds import Places, kind_of
from tests.answers.message import Message, Query, parse
from tests.answers.world import PEERS, ZoneIndex
from tests.peers import Server

BATCH = 5000
Check = Callable[[Case, bytes], str | None]
"""Judges one answer by itself: what is wrong, "" for nothing, None where it is not for judging."""


@attrs.frozen
class Finding:
    """A query whose answer needs a look: what was asked, and each server's answer."""

    case: Case
    why: str
    answers: Mapping[str, Message]

    def __str__(self) -> str:
        zone = self.case.zone.form.name if self.case.zone else "-"
        lines = [f"{self.case.query}   [{self.case.kind}, {zone}] {self.why}"]
        for name, message in self.answers.items():
            lines.append(f"  {name}: {describe(message)}")
        return "\n".join(lines)


def describe(message: Message) -> str:
    """The message in lines."""
    lines = [f"rcode {message.rcode} {' '.join(sorted(message.flags))} {message.size} octets"]
    for name in ("answer", "authority", "additional"):
        for record in sorted(getattr(message, name), key=lambda r: (r.owner, r.rtype, r.rdata)):
            text = str(record)
            lines.append(f"      {name}: {text if len(text) < 160 else text[:157] + '...'}")
    return "\n".join(lines)


@attrs.define(eq=False)
class Tally:
    """What a run has found.

    asked: kind → queries; differences, unexplained: (kind, server, other) → queries whose answers
    differ, and those of them that no rule explains; hits: (rule, server, other) → times used;
    checked: kind → answers of xfer judged by themselves.
    """

    asked: Counter[str] = attrs.field(factory=Counter)
    differences: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    unexplained: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    hits: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    checked: Counter[str] = attrs.field(factory=Counter)
    findings: list[Finding] = attrs.field(factory=list)


class Comparison:
    """One world's servers, compared query by query.

    subject: the server on trial, "xfer"; check: judges each of its answers by itself.
    """

    def __init__(
        self,
        servers: Mapping[str, Server],
        zones: Sequence[ZoneIndex],
        tally: Tally,
        *,
        subject: str = "xfer",
        check: Check | None = None,
    ) -> None:
        self._servers = servers
        self._places = Places(zones)
        self._apexes = frozenset(zone.apex for zone in zones)
        self._tally = tally
        self._subject = subject
        self._check = check

    def run(self, queries: Iterable[Query]) -> None:
        """Ask and compare; what was truncated is asked again over TCP."""
        for batch in _batches(queries):
            self._compare(self._compare(batch))

    def _compare(self, queries: list[Query]) -> list[Query]:
        wires = {
            name: ask(server.address, server.port, queries)
            for name, server in self._servers.items()
        }
        replies = {name: [parse(wire) for wire in found] for name, found in wires.items()}
        again = []
        for number, query in enumerate(queries):
            found = {name: messages[number] for name, messages in replies.items()}
            zone = self._places.zone_of(query.name.lower(), query.qtype)
            case = Case(query, kind_of(query, found["BIND"], zone), zone, self._apexes)
            for name in zone.refused_by if zone else ():
                found.pop(name, None)
            self._judge(case, found)
            if self._check is not None and self._subject in found:
                wrong = self._check(case, wires[self._subject][number])
                if wrong:
                    self._tally.findings.append(Finding(case, f"not valid: {wrong}", found))
                if wrong is not None:
                    self._tally.checked[case.kind] += 1
            if not query.tcp and any("TC" in message.flags for message in found.values()):
                again.append(query.over_tcp())
        return again

    def _judge(self, case: Case, found: Mapping[str, Message]) -> None:
        tally = self._tally
        tally.asked[case.kind] += 1
        against = []
        for one, other in itertools.combinations(found, 2):
            a, b = found[one], found[other]
            if alike(a, b):
                continue
            tally.differences[case.kind, one, other] += 1
            rules = explain(case, a, b)
            if rules is not None and NOT_COMPRESSED in rules and self._subject in (one, other):
                ours, theirs = (a, b) if one == self._subject else (b, a)
                if worse_compressed(case.query, ours, theirs):
                    rules = None
            if rules is None:
                tally.unexplained[case.kind, one, other] += 1
                if self._subject in (one, other):
                    against.append(one if other == self._subject else other)
                continue
            for rule in rules:
                tally.hits[rule, one, other] += 1
        peers = [name for name in PEERS if name in found]
        if peers and set(against) == set(peers):
            tally.findings.append(Finding(case, "differs from all peers", found))


def _batches(queries: Iterable[Query]) -> Iterable[list[Query]]:
    iterator = iter(queries)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch
