"""Signed zones for tests of denial, and what proves what in them, by brute force with dnspython.

Zones are text. `signed` makes the NSEC or NSEC3 chain itself, by the rules of RFC 4035 §2.3 and
RFC 5155 §7.1, with signatures that are none: nothing here verifies them. `Oracle` reads a zone of
any signer and looks at each record of its chain, one after the other.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator, Sequence

import attrs
import dns.dnssec
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.NSEC
import dns.rdtypes.ANY.NSEC3
import dns.zone

from xfer.answer.denial import Denial
from xfer.wire import names, records
from xfer.zone.block import Block
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonefile import read_zone_text

APEX = dns.name.from_text("example.")
WIRE = names.from_text("example.")
SIGNATURE = "8 1 3600 20380101000000 20200101000000 1 example. AAAA"
HEAD = """\
example. 3600 IN SOA ns1.example. bugs.x.w.example. 1 3600 300 3600000 3600
example. 3600 IN NS ns1.example.
"""
Owners = list[dns.name.Name]


def example(unsigned: str, ds: str) -> str:
    """What the zones of RFC 4035 Appendix A and RFC 5155 Appendix A have in common, after `HEAD`,
    without what does not matter to denial. unsigned: the label of the delegation without DS; ds:
    of the other one."""
    return f"""\
example. 3600 IN NS ns2.example.
example. 3600 IN MX 1 xx.example.
a.example. 3600 IN NS ns1.a.example.
a.example. 3600 IN NS ns2.a.example.
a.example. 3600 IN DS {ds}
ns1.a.example. 3600 IN A 192.0.2.5
ns2.a.example. 3600 IN A 192.0.2.6
ai.example. 3600 IN A 192.0.2.9
{unsigned}.example. 3600 IN NS ns1.{unsigned}.example.
{unsigned}.example. 3600 IN NS ns2.{unsigned}.example.
ns1.{unsigned}.example. 3600 IN A 192.0.2.7
ns2.{unsigned}.example. 3600 IN A 192.0.2.8
ns1.example. 3600 IN A 192.0.2.1
ns2.example. 3600 IN A 192.0.2.2
*.w.example. 3600 IN MX 1 ai.example.
x.w.example. 3600 IN MX 1 xx.example.
x.y.w.example. 3600 IN MX 1 xx.example.
xx.example. 3600 IN A 192.0.2.10
"""


def name(text: str) -> dns.name.Name:
    return dns.name.from_text(text, APEX)


def key(of: dns.name.Name | str) -> bytes:
    """The owner key of a name; text may be relative to the apex."""
    if isinstance(of, str):
        of = name(of)
    return names.key_of(of.canonicalize().to_wire() or b"", WIRE)


def load(text: str, size: int = 2_000) -> Snapshot:
    """The zone in blocks of at most about `size` records."""
    whole, _ = read_zone_text(text, "test", WIRE, Policy())
    listed = list(whole.records())
    blocks = []
    start = 0
    for at in range(1, len(listed) + 1):
        if at == len(listed) or (
            at - start >= size
            and not listed[at].startswith(listed[at - 1][: records.rrset_end(listed[at - 1])])
        ):
            blocks.append(Block.make(listed[start:at], {}))
            start = at
    return Snapshot(WIRE, blocks)


def owners(proof: Sequence[bytes], rtype: int) -> list[dns.name.Name]:
    """The owners of a proof in its order; each RRset has to be there once, before its RRSIGs."""
    found: Owners = []
    last = b""
    for record in proof:
        owner, kind, covered, _, _ = records.split(record)
        if kind == records.RRSIG:
            assert (owner, covered) == (last, rtype)
        else:
            assert kind == rtype
            found.append(dns.name.from_wire(names.wire_of(owner, WIRE), 0)[0])
            last = owner
    assert len(set(found)) == len(found)
    assert len(set(proof)) == len(proof)
    assert [records.split(record)[1] for record in proof] == [rtype, records.RRSIG] * len(found)
    return found


@attrs.frozen
class Oracle:
    """zone: as dnspython reads it; salt, iterations: of the NSEC3 chain, None with NSEC."""

    zone: dns.zone.Zone
    salt: str | None = None
    iterations: int = 0
    nsec: dict[dns.name.Name, dns.name.Name] = attrs.field(init=False, factory=dict)
    nsec3: dict[str, str] = attrs.field(init=False, factory=dict)
    existing: set[dns.name.Name] = attrs.field(init=False, factory=set)
    cuts: set[dns.name.Name] = attrs.field(init=False, factory=set)

    @staticmethod
    def of(text: str, salt: str | None = None, iterations: int = 0) -> Oracle:
        oracle = Oracle(dns.zone.from_text(text, origin=APEX, relativize=False), salt, iterations)
        oracle._read()
        return oracle

    def _read(self) -> None:
        ordinary: set[dns.name.Name] = set()
        for owner, rdataset in self.zone.iterate_rdatasets():
            if rdataset.rdtype == dns.rdatatype.NS and owner != APEX:
                self.cuts.add(owner)
            if rdataset.rdtype == dns.rdatatype.DNAME:
                self.cuts.add(owner)
            if rdataset.rdtype == dns.rdatatype.NSEC:
                assert isinstance(rdataset[0], dns.rdtypes.ANY.NSEC.NSEC)
                self.nsec[owner] = rdataset[0].next
            for rdata in rdataset:
                if isinstance(rdata, dns.rdtypes.ANY.NSEC3.NSEC3) and self._ours(rdata):
                    label = owner.labels[0].decode().upper()
                    self.nsec3[label] = base64.b32hexencode(rdata.next).decode()
            if rdataset.rdtype not in (dns.rdatatype.NSEC3, dns.rdatatype.RRSIG):
                ordinary.add(owner)
        for owner in ordinary:
            while owner not in self.existing:
                self.existing.add(owner)
                if owner == APEX:
                    break
                owner = owner.parent()

    def _ours(self, rdata: dns.rdtypes.ANY.NSEC3.NSEC3) -> bool:
        salt = rdata.salt.hex()
        return (salt, rdata.iterations) == (self.salt, self.iterations)

    def occluded(self, of: dns.name.Name) -> bool:
        """Whether it is below a delegation or DNAME."""
        return any(of != cut and of.is_subdomain(cut) for cut in self.cuts)

    def encloser(self, of: dns.name.Name) -> dns.name.Name:
        """The closest encloser of a name that does not exist."""
        while of not in self.existing:
            of = of.parent()
        return of

    # Who matches, who covers: none or one owner.

    def _hash(self, of: dns.name.Name) -> str:
        return dns.dnssec.nsec3_hash(of, self.salt, self.iterations, "SHA1")

    def match(self, of: dns.name.Name) -> Owners:
        if self.salt is None:
            return [of] if of in self.nsec else []
        return [name(self._hash(of).lower())] if self._hash(of) in self.nsec3 else []

    def cover(self, of: dns.name.Name) -> Owners:
        found: Owners
        if self.salt is None:
            found = [
                owner
                for owner, following in self.nsec.items()
                if not self.occluded(owner) and owner < of and (of < following or following == APEX)
            ]
        else:
            digest = self._hash(of)
            found = [
                name(label.lower())
                for label, following in self.nsec3.items()
                if (label < digest < following)
                or (following <= label and (digest > label or digest < following))
            ]
        assert len(found) <= 1
        return found

    # What goes with each kind of answer.

    def enclosed(self, of: dns.name.Name, encloser: dns.name.Name) -> tuple[Owners, dns.name.Name]:
        while not self.match(encloser):
            encloser = encloser.parent()
        closer = dns.name.Name(of.labels[-len(encloser) - 1 :])
        return self.match(encloser) + self.cover(closer), encloser

    def name_error(self, of: dns.name.Name) -> Owners:
        encloser = self.encloser(of)
        if self.salt is None:
            return _once(self.cover(of) + self.cover(star(encloser)))
        proof, provable = self.enclosed(of, encloser)
        return _once(proof + self.cover(star(provable)))

    def no_data(self, of: dns.name.Name) -> Owners:
        if self.match(of):
            return self.match(of)
        if self.salt is None:
            return self.cover(of)
        return _once(self.enclosed(of, of)[0])

    def expanded(self, of: dns.name.Name) -> Owners:
        if self.salt is None:
            return self.cover(of)
        encloser = self.encloser(of)
        return self.cover(dns.name.Name(of.labels[-len(encloser) - 1 :]))

    def wildcard_no_data(self, of: dns.name.Name) -> Owners:
        encloser = self.encloser(of)
        wildcard = star(encloser)
        if self.salt is None:
            return _once((self.match(wildcard) or self.cover(wildcard)) + self.cover(of))
        return _once(self.enclosed(of, encloser)[0] + self.match(wildcard))


def _once(found: Owners) -> Owners:
    return list(dict.fromkeys(found))


def star(encloser: dns.name.Name) -> dns.name.Name:
    return dns.name.Name((b"*", *encloser.labels))


def compare(text: str, denial: Denial, oracle: Oracle, asked: Sequence[dns.name.Name]) -> set[str]:
    """Hold all proofs for these names to the oracle; returns the kinds of answers among them."""
    rtype = records.NSEC if oracle.salt is None else records.NSEC3
    seen: set[str] = set()
    for of in asked:
        if oracle.occluded(of):
            continue
        at = key(of)
        if of in oracle.existing:
            expected = oracle.no_data(of)
            assert owners(denial.no_data(at, 43), rtype) == expected, (of, text)
            seen.add("no data" if of in oracle.cuts or oracle.zone.get_node(of) else "empty")
            node = oracle.zone.get_node(of)
            if (
                of in oracle.cuts
                and node
                and not node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.DS)
            ):
                assert owners(denial.insecure(at), rtype) == expected, (of, text)
                seen.add("insecure" if oracle.match(of) else "opt-out")
            continue
        encloser = oracle.encloser(of)
        if encloser in oracle.cuts:
            continue
        near = key(encloser)
        if star(encloser) in oracle.existing:
            assert owners(denial.expanded(at, near), rtype) == oracle.expanded(of), (of, text)
            expected = oracle.wildcard_no_data(of)
            assert owners(denial.wildcard_no_data(at, near), rtype) == expected, (of, text)
            seen.add("wildcard")
        else:
            assert owners(denial.name_error(at, near), rtype) == oracle.name_error(of), (of, text)
            seen.add("name error")
    return seen


@attrs.frozen
class Shape:
    """A zone without its chain: lines; data, cuts: owner names of what is authoritative, and of
    delegations with (True) or without DS; occluded names are in neither."""

    lines: list[str]
    data: set[dns.name.Name]
    cuts: dict[dns.name.Name, bool]


LABELS = ("a", "b", "c", "w", "z", "-", "\\000", "\\001", "\\255", "0", "v", "ns1")


def shape(rng: random.Random, count: int) -> Shape:
    """A random zone with wildcards, empty non-terminals, delegations, DNAMEs and glue."""

    def random_name() -> dns.name.Name:
        depth = rng.choice((1, 1, 2, 2, 3, 4))
        labels = [rng.choice((*LABELS, "*")) for _ in range(depth)]
        return name(".".join(labels))

    made = Shape(HEAD.splitlines(), {APEX}, {})
    dnames: set[dns.name.Name] = set()
    chosen = sorted({random_name() for _ in range(count)}, key=lambda of: (len(of), of))
    for of in chosen:
        above = any(of.is_subdomain(cut) for cut in [*made.cuts, *dnames])
        kind = rng.choice(("data", "data", "data", "insecure", "insecure", "secure", "dname"))
        if above or of.labels[0] == b"*" or kind == "data":
            made.lines.append(f"{of} 3600 IN A 192.0.2.1")
            if not above:
                made.data.add(of)
        elif kind == "dname":
            made.lines.append(f"{of} 3600 IN DNAME elsewhere.test.")
            dnames.add(of)
            made.data.add(of)
        else:
            made.lines.append(f"{of} 3600 IN NS ns.{of}")
            if kind == "secure":
                made.lines.append(f"{of} 3600 IN DS 1 8 2 {'00' * 32}")
            made.cuts[of] = kind == "secure"
            made.lines.extend(f"{label}.{of} 3600 IN A 192.0.2.1" for label in ("ns", "*", "x.y"))
    return made


def signed(made: Shape, nsec3: tuple[str, int] | None = None, opt_out: bool = False) -> str:
    """The zone with its chain: NSEC, or NSEC3 with (salt, iterations)."""
    listed = made.data | set(made.cuts)
    lines = list(made.lines)
    if nsec3 is None:
        ring = sorted(listed)
        for owner, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            lines.append(f"{owner} 3600 IN NSEC {following} A RRSIG NSEC")
            lines.append(f"{owner} 3600 IN RRSIG NSEC {SIGNATURE}")
        return "\n".join(lines) + "\n"
    salt, iterations = nsec3
    lines.append(f"example. 3600 IN NSEC3PARAM 1 0 {iterations} {salt or '-'}")
    lines.extend(_nsec3(listed, made, salt, iterations, opt_out))
    return "\n".join(lines) + "\n"


def _nsec3(
    listed: set[dns.name.Name], made: Shape, salt: str, iterations: int, opt_out: bool
) -> Iterator[str]:
    if opt_out:
        listed = {of for of in listed if made.cuts.get(of, True)}
    hashed: set[str] = set()
    for of in listed:
        while True:
            hashed.add(dns.dnssec.nsec3_hash(of, salt, iterations, "SHA1").lower())
            if of == APEX:
                break
            of = of.parent()
    ring = sorted(hashed)
    for owner, following in zip(ring, [*ring[1:], ring[0]], strict=True):
        yield (
            f"{owner}.example. 3600 IN NSEC3 1 {int(opt_out)} {iterations} {salt or '-'} "
            f"{following} A RRSIG"
        )
        yield f"{owner}.example. 3600 IN RRSIG NSEC3 {SIGNATURE}"


def questions(rng: random.Random, oracle: Oracle, count: int) -> Owners:
    """Names that exist, their neighbours, and some that have nothing to do with them."""
    exist = sorted(oracle.existing)
    asked = list(exist)
    for _ in range(count):
        of = rng.choice(exist)
        for _ in range(rng.randint(1, 3)):
            of = dns.name.Name((name(rng.choice((*LABELS, "q"))).labels[0], *of.labels))
        asked.append(of)
    return asked
