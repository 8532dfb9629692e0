"""What an unsigned zone holds, as a validator of the signed one sees it: questions, and what holds.

The kinds of names: *authoritative* ones, also those without records (ENTs); delegations with DS
(secure) and without; what is at and below them; what is below a DNAME; wildcards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
import dns.name

from tests.peers import Record

MARK = "mark"  # the name whose TXT record says how many edits there were
Name = dns.name.Name


@attrs.frozen
class Question:
    """A name (absolute) and type to ask for, and what has to come back.

    kind: what is looked for; exists: NOERROR, else NXDOMAIN; rdata: of the type, none where there
    is no such type; secure: whether a validator says so, None where either may be: an opt-out chain
    proves less (RFC 5155 §9.2, §12.2).
    """

    kind: str
    name: str
    rtype: str
    exists: bool
    rdata: frozenset[str]
    secure: bool | None


class Content:
    """The records of an unsigned zone (names in lower case), by name and type."""

    def __init__(self, zone: str, records: Iterable[Record]) -> None:
        self.apex = dns.name.from_text(zone)
        self.types: dict[Name, dict[str, list[Record]]] = {}
        for record in records:
            owner = dns.name.from_text(record.owner)
            self.types.setdefault(owner, {}).setdefault(record.rtype, []).append(record)
        self.nodes = {above for owner in self.types for above in self._up(owner)}
        self.cuts = {name for name, own in self.types.items() if "NS" in own and name != self.apex}
        self.dnames = {name for name, own in self.types.items() if "DNAME" in own}

    def _up(self, name: Name) -> Iterator[Name]:
        """The name and those above it, up to the apex."""
        while True:
            yield name
            if name == self.apex:
                return
            name = name.parent()

    def has_below(self, name: Name) -> bool:
        return any(other != name and other.is_subdomain(name) for other in self.types)

    def occluded(self, name: Name) -> bool:
        """Whether a delegation or a DNAME is above the name."""
        return any(above in self.cuts | self.dnames for above in self._up(name) if above != name)

    def authoritative(self) -> list[Name]:
        """Names with records that are signed, or ENTs; delegations are not among them."""
        return sorted(
            name for name in self.nodes if name not in self.cuts and not self.occluded(name)
        )

    def delegations(self, secure: bool) -> list[Name]:
        return sorted(
            name
            for name in self.cuts
            if not self.occluded(name) and ("DS" in self.types[name]) is secure
        )

    def rdata(self, name: Name, rtype: str) -> frozenset[str]:
        return frozenset(record.rdata for record in self.types.get(name, {}).get(rtype, []))


def questions(content: Content, opt_out: bool, draw: random.Random) -> list[Question]:
    """One question of each kind of which the zone has any."""
    found = (make(content, opt_out, draw) for make in _KINDS)
    return [question for question in found if question is not None]


_Maker = Callable[[Content, bool, random.Random], Question | None]


def _pick(names: Sequence[Name], draw: random.Random) -> Name | None:
    return draw.choice(names) if names else None


def _positive(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    names = [name for name in content.authoritative() if name in content.types]
    name = draw.choice(names)
    rtype = draw.choice(sorted(content.types[name]))
    return Question("positive", str(name), rtype, True, content.rdata(name, rtype), True)


def _apex(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    name, rtype = content.apex, draw.choice(["SOA", "NS"])
    return Question("apex", str(name), rtype, True, content.rdata(name, rtype), True)


def _no_type(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    names = [
        name
        for name in content.authoritative()
        if name in content.types and not {"CNAME", "HINFO"} & content.types[name].keys()
    ]
    return Question("no such type", str(draw.choice(names)), "HINFO", True, frozenset(), True)


def _ent(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    names = [name for name in content.authoritative() if name not in content.types]
    name = _pick(names, draw)
    if name is None:
        return None
    # Under opt-out what is above insecure delegations alone may have no NSEC3 record.
    return Question("ENT", str(name), "A", True, frozenset(), None if opt_out else True)


def _no_name(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    # BIND 9.18 denies another wildcard where one became an ENT by IXFR, whoever has signed that.
    names = [
        name
        for name in content.authoritative()
        if not (name.labels[0] == b"*" and name not in content.types)
        and dns.name.Name([b"*", *name.labels]) not in content.nodes
        and name not in content.dnames
    ]
    name = f"no{draw.randrange(1000)}-{draw.randrange(1000)}.{draw.choice(names)}"
    return Question("no such name", name, "A", False, frozenset(), not opt_out)


def _below(content: Content, draw: random.Random) -> tuple[str, Name] | None:
    """A name that a wildcard gives, and the wildcard."""
    names = [
        name
        for name in content.authoritative()
        if name in content.types and name.labels[0] == b"*" and "NS" not in content.types[name]
    ]
    name = _pick(names, draw)
    return None if name is None else (f"any{draw.randrange(1000)}.{name.parent()}", name)


def _wildcard(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    found = _below(content, draw)
    if found is None:
        return None
    rtype = draw.choice(sorted(content.types[found[1]]))
    rdata = content.rdata(found[1], rtype)
    return Question("wildcard", found[0], rtype, True, rdata, not opt_out)


def _no_type_of_wildcard(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    found = _below(content, draw)
    if found is None or "CNAME" in content.types[found[1]]:
        return None
    kind = "no such type of a wildcard"
    return Question(kind, found[0], "HINFO", True, frozenset(), not opt_out)


def _secure_delegation(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    name = _pick(content.delegations(secure=True), draw)
    if name is None:
        return None
    return Question("secure delegation", str(name), "DS", True, content.rdata(name, "DS"), True)


def _insecure_delegation(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    name = _pick(content.delegations(secure=False), draw)
    if name is None:
        return None
    return Question("insecure delegation", str(name), "DS", True, frozenset(), not opt_out)


def _dname(content: Content, opt_out: bool, draw: random.Random) -> Question | None:
    name = _pick(sorted(n for n in content.dnames if not content.occluded(n)), draw)
    if name is None:
        return None
    # All DNAMEs of the edits have a target with this name below it.
    target = dns.name.from_text(f"a.target.{content.apex}")
    return Question("DNAME", f"a.{name}", "TXT", True, content.rdata(target, "TXT"), True)


_KINDS: tuple[_Maker, ...] = (
    _apex,
    _positive,
    _positive,
    _no_type,
    _ent,
    _no_name,
    _wildcard,
    _no_type_of_wildcard,
    _secure_delegation,
    _insecure_delegation,
    _dname,
)
