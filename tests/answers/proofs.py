"""Judges signed answers as a validator would: RRSIGs by dnspython, proofs by RFC 4035 §5.4,
RFC 5155 §8 and RFC 6840 §4.

Written from the RFCs for this test alone; it shares no code with what makes the answers. The keys
are those of the zones served. `Invalid` says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs
import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
from dns.node import Node
from dns.rdtypes.ANY.RRSIG import RRSIG as Signature

from tests.answers.allowed import Case
from tests.answers.denials import Invalid, Proof
from tests.answers.message import (
    ANY,
    CNAME,
    DNAME,
    DNSKEY,
    DS,
    NOERROR,
    NS,
    NXDOMAIN,
    RRSIG,
    SOA,
    Message,
    Query,
    Record,
    covered,
    is_below,
    join,
    labels,
    parse,
    show,
    type_name,
)
from tests.answers.signing import NOW, Form
from tests.answers.world import ZoneIndex

RRsets = dict[tuple[bytes, int], list[Record]]


@attrs.frozen
class Expansion:
    """An RRset made from a wildcard: its owner, and how many labels the wildcard's parent has."""

    owner: bytes
    enclosing: int


class Validator:
    """Checks answers from these zones; `times`: when the signatures of a zone hold, by its apex."""

    def __init__(self, zones: Sequence[ZoneIndex], times: Mapping[bytes, float]) -> None:
        self._zones = {zone.apex: zone for zone in zones}
        self._times = times
        self._keys = {zone.apex: _keys(zone) for zone in zones}
        self._known: dict[tuple[frozenset[Record], Record], str] = {}

    def check(self, case: Case, wire: bytes) -> str | None:
        """What is wrong with the answer, "" for nothing, None where it is not for judging."""
        message = parse(wire, exact=True)
        if wrong := opt_wrong(case.query, message):
            return wrong
        if case.zone is None:
            return None
        if missing := glue_missing(case.zone, message):
            return missing
        if not case.query.do or not _judged(case.zone):
            return None
        if "TC" in message.flags or message.rcode not in (NOERROR, NXDOMAIN):
            return None
        if message.doubled:
            return "a record comes twice in a section"
        try:
            self.judge(case, message)
        except Invalid as error:
            return str(error)
        return ""

    def judge(self, case: Case, message: Message) -> None:
        """Raise Invalid where a validator would not believe this answer from a signed zone."""
        zone = case.zone
        assert zone is not None
        answer, authority = _rrsets(message.answer), _rrsets(message.authority)
        expansions = self._signatures(answer, message.answer, zone)
        expansions += self._signatures(authority, message.authority, zone)
        self._additional(case, message, zone)
        proof = Proof(zone.apex, message.authority)
        for expansion in expansions:
            proof.no_closer_match(expansion.owner, expansion.enclosing)
        name = _end_of_chain(case, answer)
        if name is None or not is_below(name, zone.apex):
            return  # a loop, or the chain leaves the zone
        if (name, case.query.qtype) in answer or (
            case.query.qtype in (ANY, RRSIG) and message.answer
        ):
            return
        if (zone.apex, SOA) not in authority:
            self._referral(name, case, authority, proof, message, zone)
        elif message.rcode == NXDOMAIN:
            proof.name_error(name)
        elif name not in zone.nodes or name in zone.types or not proof.opted_out(name):
            # An empty non-terminal above nothing but insecure delegations has no NSEC3 under
            # opt-out (RFC 5155 §7.1), as they have none.
            proof.no_data(name, case.query.qtype)

    def _referral(
        self,
        name: bytes,
        case: Case,
        authority: RRsets,
        proof: Proof,
        message: Message,
        zone: ZoneIndex,
    ) -> None:
        cuts = [owner for owner, rtype in authority if rtype == NS and owner != zone.apex]
        if not cuts:
            if message.answer and any(
                a != zone.apex and is_below(name, a) and is_below(a, zone.apex) for a in case.apexes
            ):
                return  # the chain went on, or ended, in a zone below that is served too
            steps = sum(record.rtype == CNAME for record in message.answer)
            if steps >= 10:
                return  # it gave up following the chain
            raise Invalid(f"neither an answer for {show(name)} nor SOA nor referral")
        cut = cuts[0]
        if not is_below(name, cut):
            raise Invalid(f"the referral to {show(cut)} does not lead to {show(name)}")
        if (cut, DS) not in authority:
            proof.no_ds(cut)

    def _signatures(
        self, rrsets: RRsets, section: Iterable[Record], zone: ZoneIndex
    ) -> list[Expansion]:
        """Verify every RRset that is to be signed; returns those made from wildcards."""
        rrsigs: dict[tuple[bytes, int], list[Record]] = {}
        for record in section:
            if record.rtype == RRSIG:
                rrsigs.setdefault((record.owner, covered(record)), []).append(record)
        found = []
        for key, records in rrsets.items():
            owner, rtype = key
            if (rtype == NS and owner in zone.cuts) or not is_below(owner, zone.apex):
                continue
            if rtype == CNAME and key not in rrsigs and _from_dname(records[0], rrsets):
                continue
            if key not in rrsigs:
                raise Invalid(f"{show(owner)} {type_name(rtype)} has no RRSIG")
            for rrsig in rrsigs[key]:
                if expansion := self._verify(records, rrsig):
                    found.append(expansion)
        return found

    def _verify(self, records: list[Record], rrsig: Record) -> Expansion | None:
        key = frozenset(records), rrsig
        wrong = self._known.get(key)
        if wrong is None:
            wrong = self._verdict(records, rrsig)
            self._known[key] = wrong
        if wrong:
            raise Invalid(wrong)
        parts = labels(rrsig.owner)
        signed = rrsig.rdata[3]
        if signed < len(parts) - (parts[:1] == [b"*"]):
            return Expansion(rrsig.owner, signed)
        return None

    def _verdict(self, records: list[Record], rrsig: Record) -> str:
        """What is wrong with the signature, or nothing."""
        parts, signed = labels(rrsig.owner), rrsig.rdata[3]
        expanded = signed < len(parts) - (parts[:1] == [b"*"])
        # dnspython wants the wildcard's own name where the expanded one begins with "*" too.
        source = join([b"*", *parts[len(parts) - signed :]]) if expanded else rrsig.owner
        owner = dns.name.from_wire(source, 0)[0]
        rdatas = [_rdata(record) for record in records]
        signature = _rdata(rrsig)
        assert isinstance(signature, Signature)
        signer = signature.signer
        apex = (signer.to_wire() or b"").lower()
        if not is_below(rrsig.owner, apex) or apex not in self._keys:
            return f"{show(rrsig.owner)} {type_name(covered(rrsig))} signed by {signer}"
        rrset = dns.rrset.from_rdata_list(owner, records[0].ttl, rdatas)
        now = self._times.get(apex, NOW)
        try:
            dns.dnssec.validate_rrsig(rrset, signature, self._keys[apex], None, now)
        except (dns.exception.DNSException, ValueError) as error:
            return f"{owner} {type_name(covered(rrsig))}: {type(error).__name__} {error}"
        return ""

    def _additional(self, case: Case, message: Message, zone: ZoneIndex) -> None:
        """RFC 4035 §3.1.1: the RRSIGs of a signed RRset come with it where there is room."""
        limit = 65535 if case.query.tcp else min(1232, max(512, case.query.payload or 512))
        signed = {(r.owner, covered(r)) for r in message.additional if r.rtype == RRSIG}
        for (owner, rtype), records in _rrsets(message.additional).items():
            authoritative = owner in zone.types and zone.cut_above(owner) is None
            if authoritative and (owner, rtype) not in signed and message.size + 400 < limit:
                raise Invalid(f"additional {show(owner)} {type_name(rtype)} without its RRSIG")
            for rrsig in message.additional:
                if rrsig.rtype == RRSIG and (rrsig.owner, covered(rrsig)) == (owner, rtype):
                    self._verify(records, rrsig)


def opt_wrong(query: Query, message: Message) -> str:
    """What is wrong with the OPT (RFC 6891 §6.1.1: one for one; RFC 3225 §3: DO as asked)."""
    if query.payload is None:
        return "an OPT that nobody asked for" if message.opt else ""
    if message.opt is None:
        return "no OPT"
    payload, version, do = message.opt
    if version != 0 or do != query.do or payload < 512:
        return f"an OPT with size {payload}, version {version}, DO {do}"
    limit = 65535 if query.tcp else max(512, query.payload)
    return f"{message.size} octets" if message.size > limit else ""


def glue_missing(zone: ZoneIndex, message: Message) -> str:
    """Which in-domain glue a referral lacks without TC (RFC 9471 §3.1)."""
    if "TC" in message.flags:
        return ""
    for record in message.authority:
        if record.rtype != NS or record.owner not in zone.cuts:
            continue
        if not is_below(record.rdata, record.owner):
            continue
        wanted = zone.addresses.get(record.rdata, frozenset())
        if not wanted <= message.additional:
            return f"glue of {show(record.rdata)} is missing without TC"
    return ""


def _judged(zone: ZoneIndex) -> bool:
    return zone.form not in (Form.UNSIGNED, Form.PARTLY)


def _keys(zone: ZoneIndex) -> dict[dns.name.Name, Node | dns.rdataset.Rdataset]:
    name = dns.name.from_wire(zone.apex, 0)[0]
    rdatas = [_rdata(record) for record in zone.records if record.rtype == DNSKEY]
    return {name: dns.rdataset.from_rdata_list(0, rdatas)} if rdatas else {}


def _rdata(record: Record) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(
        "IN", dns.rdatatype.RdataType.make(record.rtype), record.rdata, 0, len(record.rdata)
    )


def _rrsets(section: Iterable[Record]) -> RRsets:
    """The section's RRsets, RRSIGs left out."""
    found: RRsets = {}
    for record in section:
        if record.rtype != RRSIG:
            found.setdefault((record.owner, record.rtype), []).append(record)
    return found


def _from_dname(cname: Record, rrsets: RRsets) -> bool:
    """Whether a DNAME in the section makes this CNAME (RFC 6672 §2.2)."""
    for (owner, rtype), records in rrsets.items():
        if rtype == DNAME and owner != cname.owner and is_below(cname.owner, owner):
            made = cname.owner[: -len(owner)] + records[0].rdata
            if made == cname.rdata:
                return True
    return False


def _end_of_chain(case: Case, answer: RRsets) -> bytes | None:
    """The name that the CNAMEs lead to; None where they go in circles."""
    name = case.query.name.lower()
    seen = set()
    while case.query.qtype not in (CNAME, ANY, RRSIG) and (name, CNAME) in answer:
        if name in seen:
            return None
        seen.add(name)
        name = answer[name, CNAME][0].rdata
    return name
