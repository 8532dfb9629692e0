"""Differences between right answers: each a predicate in code, with the sentence that allows it.

A rule gets two answers to one query and gives them back without what it explains; where they are
then alike, the rules that changed something have explained the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from tests.answers.message import (
    ANY,
    CNAME,
    DNAME,
    NOERROR,
    NS,
    NSEC,
    NSEC3,
    RRSIG,
    SERVFAIL,
    SOA,
    Message,
    Query,
    Record,
    covered,
    is_below,
)
from tests.answers.signing import Form
from tests.answers.world import ZoneIndex

Pair = tuple[Message, Message]
NOT_COMPRESSED = "not compressed"


@attrs.frozen
class Case:
    """What was asked: the query, its kind, the zone it falls into, the zones served beside it."""

    query: Query
    kind: str
    zone: ZoneIndex | None
    apexes: frozenset[bytes]


@attrs.frozen
class Rule:
    """name: one word or two; rfc: the sentence, with its source; apply: see the module."""

    name: str
    rfc: str
    apply: Callable[[Case, Message, Message], Pair]


def alike(a: Message, b: Message) -> bool:
    """Whether two answers are the same but for OPT, size and order."""
    return (
        a.rcode == b.rcode
        and a.flags == b.flags
        and a.question == b.question
        and a.answer == b.answer
        and a.authority == b.authority
        and a.additional == b.additional
    )


def explain(case: Case, a: Message, b: Message) -> list[str] | None:
    """The names of the rules that make the answers alike, in order; None where none do."""
    used: list[str] = []
    for rule in RULES:
        if alike(a, b):
            break
        after = rule.apply(case, a, b)
        if after[0] is not a or after[1] is not b:
            used.append(rule.name)
            a, b = after
    return used if alike(a, b) else None


def room(query: Query) -> int:
    """The octets that an answer over UDP may have."""
    return min(1232, max(512, query.payload or 512))


def worse_compressed(query: Query, ours: Message, other: Message) -> bool:
    """Whether ours is truncated where the other is whole with a quarter of the room to spare."""
    truncated = "TC" in ours.flags and "TC" not in other.flags
    return truncated and other.size - other.options + ours.options < 0.75 * room(query)


def _both(a: Message, b: Message, **changes: Any) -> Pair:
    return attrs.evolve(a, **changes), attrs.evolve(b, **changes)


def _without(message: Message, section: str, drop: Callable[[Record], bool]) -> Message:
    """The message without these records of a section; the same object where there are none."""
    before: frozenset[Record] = getattr(message, section)
    kept = frozenset(record for record in before if not drop(record))
    return message if kept == before else _replaced(message, **{section: kept})


def _replaced(message: Message, **changes: Any) -> Message:
    return attrs.evolve(message, **changes)


def _of(record: Record, *rtypes: int) -> bool:
    """Whether the record is of one of these types, or an RRSIG that covers one."""
    return (covered(record) if record.rtype == RRSIG else record.rtype) in rtypes


def _emptied(a: Message, b: Message, **changes: Any) -> Pair:
    none: frozenset[Record] = frozenset()
    return _both(a, b, answer=none, authority=none, additional=none, **changes)


def _checking_disabled(case: Case, a: Message, b: Message) -> Pair:
    if ("CD" in a.flags) == ("CD" in b.flags):
        return a, b
    return attrs.evolve(a, flags=a.flags - {"CD"}), attrs.evolve(b, flags=b.flags - {"CD"})


def _truncated(case: Case, a: Message, b: Message) -> Pair:
    if "TC" not in a.flags or "TC" not in b.flags:
        return a, b
    if SERVFAIL in (a.rcode, b.rcode):
        return _emptied(a, b, rcode=NOERROR)  # a chain too long for one of them, see below
    return _emptied(a, b)


def _not_compressed(case: Case, a: Message, b: Message) -> Pair:
    """One is truncated; the other is whole, but would not fit without pointers and with the first
    one's options (only xfer gives a cookie here)."""
    if ("TC" in a.flags) == ("TC" in b.flags) or case.query.tcp:
        return a, b
    whole, cut = (b, a) if "TC" in a.flags else (a, b)
    if whole.plain + cut.options <= room(case.query):
        return a, b
    flags = whole.flags | {"TC"}
    if SERVFAIL in (a.rcode, b.rcode):
        return _emptied(a, b, flags=flags, rcode=NOERROR)  # a loop, see below
    return _emptied(a, b, flags=flags)


def _any(case: Case, a: Message, b: Message) -> Pair:
    if case.query.qtype not in (ANY, RRSIG) or a.rcode != b.rcode:
        return a, b
    if not all(message.answer or "TC" in message.flags for message in (a, b)):
        return a, b
    return _emptied(a, b, flags=(a.flags | b.flags) - {"TC"})


def _authority_ns(case: Case, a: Message, b: Message) -> Pair:
    if not a.answer or not b.answer or a.authority == b.authority:
        return a, b

    def drop(record: Record) -> bool:
        return record.owner in case.apexes and _of(record, NS)

    return _without(a, "authority", drop), _without(b, "authority", drop)


def _additional(case: Case, a: Message, b: Message) -> Pair:
    if a.additional == b.additional or not (a.answer and b.answer):
        return a, b
    none: frozenset[Record] = frozenset()
    return _both(a, b, additional=none)


def _sibling_glue(case: Case, a: Message, b: Message) -> Pair:
    cuts = {record.owner for record in a.authority & b.authority if record.rtype == NS}
    if a.additional == b.additional or not cuts:
        return a, b

    def drop(record: Record) -> bool:
        return not any(is_below(record.owner, cut) for cut in cuts)

    return _without(a, "additional", drop), _without(b, "additional", drop)


def _zero_ttl(case: Case, a: Message, b: Message) -> Pair:
    def soa(message: Message) -> list[Record]:
        return [record for record in message.authority if _of(record, SOA)]

    if case.query.qtype != SOA or 0 not in {r.ttl for r in soa(a) + soa(b)}:
        return a, b

    def level(message: Message) -> Message:
        kept = message.authority - set(soa(message))
        return attrs.evolve(
            message, authority=kept | {record._replace(ttl=0) for record in soa(message)}
        )

    return level(a), level(b)


def _chain_length(case: Case, a: Message, b: Message) -> Pair:
    """One answer is where the other's chain was on its way, five steps or more from the start."""
    short, long = (a, b) if len(a.answer) < len(b.answer) else (b, a)
    steps = sum(record.rtype == CNAME for record in short.answer)
    gave_up = SERVFAIL in (a.rcode, b.rcode) or not short.authority
    if steps < 5 or not short.answer <= long.answer or not gave_up:
        return a, b
    return _emptied(a, b, rcode=NOERROR)


def _loop(case: Case, a: Message, b: Message) -> Pair:
    chain = {record.rtype for record in a.answer | b.answer if record.rtype != RRSIG}
    targets = {record.rdata for record in a.answer | b.answer if record.rtype == CNAME}
    owners = {record.owner for record in a.answer | b.answer if record.rtype == CNAME}
    same = a.answer <= b.answer or b.answer <= a.answer
    if not chain or not chain <= {CNAME, DNAME} or not targets <= owners or not same:
        return a, b
    return _emptied(a, b, rcode=NOERROR)


def _other_zone(case: Case, a: Message, b: Message) -> Pair:
    """One goes on with the chain in another zone that it serves, the other ends there."""
    zone = case.zone
    if zone is None or not (a.answer and b.answer):
        return a, b
    below = [apex for apex in case.apexes if apex != zone.apex and is_below(apex, zone.apex)]

    def outside(name: bytes) -> bool:
        return not is_below(name, zone.apex) or any(is_below(name, apex) for apex in below)

    leaves = any(record.rtype == CNAME and outside(record.rdata) for record in a.answer & b.answer)
    kept = [frozenset(r for r in m.answer if not outside(r.owner)) for m in (a, b)]
    if not leaves or kept[0] != kept[1]:
        return a, b
    return _emptied(a, b, rcode=NOERROR)


def _other_chain(case: Case, a: Message, b: Message) -> Pair:
    def parameters(message: Message) -> set[bytes]:
        return {r.rdata[2 : 5 + r.rdata[4]] for r in message.authority if r.rtype == NSEC3}

    if not parameters(a) or not parameters(b) or parameters(a) == parameters(b):
        return a, b

    def drop(record: Record) -> bool:
        return _of(record, NSEC3)

    return _without(a, "authority", drop), _without(b, "authority", drop)


def _more_proof(case: Case, a: Message, b: Message) -> Pair:
    few, many = (a, b) if len(a.authority) < len(b.authority) else (b, a)
    extra = many.authority - few.authority
    if not few.authority < many.authority or not all(_of(r, NSEC, NSEC3) for r in extra):
        return a, b
    if not any(_of(record, NSEC, NSEC3) for record in few.authority):
        return a, b
    return _both(a, b, authority=few.authority)


def _partly_signed(case: Case, a: Message, b: Message) -> Pair:
    if case.zone is None or case.zone.form is not Form.PARTLY:
        return a, b
    if SERVFAIL in (a.rcode, b.rcode):
        return _emptied(a, b, rcode=NOERROR, flags=frozenset[str]())

    def drop(record: Record) -> bool:
        return record.rtype in (NSEC, RRSIG)

    return tuple(  # type: ignore[return-value]
        _without(_without(m, "authority", drop), "additional", drop) for m in (a, b)
    )


def _nsec_at_cut(case: Case, a: Message, b: Message) -> Pair:
    if case.query.qtype != NSEC or case.zone is None:
        return a, b
    names = {record.rdata for record in a.answer | b.answer if record.rtype == CNAME}
    if not case.zone.cuts & {case.query.name.lower(), *names}:
        return a, b
    return _emptied(a, b, flags=a.flags | {"AA"} | b.flags)


def _nsec_at_cname(case: Case, a: Message, b: Message) -> Pair:
    if case.query.qtype not in (NSEC, RRSIG):
        return a, b
    types = case.zone.types.get(case.query.name.lower(), ()) if case.zone else ()
    if CNAME in types and ("TC" in a.flags) != ("TC" in b.flags):
        return _emptied(a, b, flags=a.flags | b.flags, rcode=NOERROR)
    further = a.answer ^ b.answer
    if (a.answer < b.answer or b.answer < a.answer) and any(r.rtype == CNAME for r in further):
        return _emptied(a, b, rcode=NOERROR)
    return a, b


def _glue_left_out(case: Case, a: Message, b: Message) -> Pair:
    few, many = (a, b) if len(a.additional) < len(b.additional) else (b, a)
    near = few.size > 0.75 * room(case.query)
    if a.answer or b.answer or not few.additional < many.additional or not near:
        return a, b
    return _both(a, b, additional=few.additional)


RULES = [
    Rule(
        "CD",
        "RFC 4035 §3.1.6: A security-aware name server SHOULD clear the CD bit when composing an "
        "authoritative response.",
        _checking_disabled,
    ),
    Rule(
        "truncated",
        "RFC 2181 §9: When a DNS client receives a reply with TC set, it should ignore that "
        "response, and query again, using a mechanism, such as a TCP connection, that will permit "
        "larger replies.",
        _truncated,
    ),
    Rule(
        NOT_COMPRESSED,
        "RFC 1035 §4.1.4: Programs are free to avoid using pointers in messages they generate, "
        "although this will reduce datagram capacity, and may cause truncation. (BIND 9.18 points "
        "to and from the first three labels of a name only. That xfer does not truncate what a "
        "peer fits easily is held by `worse_compressed`.)",
        _not_compressed,
    ),
    Rule(
        "ANY",
        "RFC 8482 §4.1: A DNS responder that receives an ANY query MAY decline to provide a "
        "conventional ANY response or MAY instead send a response with a single RRset (or a "
        "larger subset of available RRsets) in the answer section. (BIND treats RRSIG alike.)",
        _any,
    ),
    Rule(
        "NSEC at a CNAME",
        "RFC 4035 §2.5: If a CNAME RRset is present at a name in a signed zone, appropriate RRSIG "
        "and NSEC RRsets are REQUIRED at that name. (BIND ends there when asked for them; Knot, "
        "NSD and xfer follow the CNAME as RFC 1034 §4.3.2 step 3a says.)",
        _nsec_at_cname,
    ),
    Rule(
        "authority NS",
        "RFC 1034 §3.7: Authority: Carries RRs which describe other authoritative servers. "
        "(§4.3.2 step 3a puts none there beside an answer.)",
        _authority_ns,
    ),
    Rule(
        "additional",
        "RFC 2181 §9: The TC bit should not be set merely because some extra information could "
        "have been included, but there was insufficient room. This includes the results of "
        "additional section processing.",
        _additional,
    ),
    Rule(
        "sibling glue",
        "RFC 9471 §3.2: If, after adding glue for all in-domain name servers, the glue for all "
        "sibling domain name servers does not fit due to message size constraints, the name "
        "server MAY set TC=1 but is not obligated to do so.",
        _sibling_glue,
    ),
    Rule(
        "zero TTL",
        "RFC 2308 §3: The TTL of this record is set from the minimum of the MINIMUM field of the "
        "SOA record and the TTL of the SOA itself. (BIND says 0 where the SOA was asked for: "
        "zero-no-soa-ttl.)",
        _zero_ttl,
    ),
    Rule(
        "chain length",
        "RFC 1034 §3.6.2: Of course, by the robustness principle, domain software should not fail "
        "when presented with CNAME chains or loops; CNAME chains should be followed and CNAME "
        "loops signalled as an error. (How far is each server's limit.)",
        _chain_length,
    ),
    Rule(
        "loop",
        "RFC 1034 §3.6.2: CNAME chains should be followed and CNAME loops signalled as an error.",
        _loop,
    ),
    Rule(
        "other zone",
        "RFC 1034 §4.3.2 step 3a: change QNAME to the canonical name in the CNAME RR, and go back "
        "to step 1. (Step 2 may find another zone there; Knot, NSD and xfer stop.)",
        _other_zone,
    ),
    Rule(
        "other chain",
        "RFC 5155 §4: The presence of an NSEC3PARAM RR at a zone apex indicates that the "
        "specified parameters may be used by authoritative servers to choose an appropriate set "
        "of NSEC3 RRs for negative responses.",
        _other_chain,
    ),
    Rule(
        "more proof",
        "RFC 5155 §7.2: a response holds at least the records of its case; one more proves "
        "nothing else.",
        _more_proof,
    ),
    Rule(
        "partly signed",
        "RFC 4035 §2: a signed zone has an RRSIG for every authoritative RRset and a whole chain "
        "of NSEC; what servers do with less is not said.",
        _partly_signed,
    ),
    Rule(
        "NSEC at a cut",
        "RFC 4035 §2.6: A zone cut has NSEC and DS at the parental side. (RFC 1034 §4.3.2 step 3b "
        "refers for them all but DS; BIND answers.)",
        _nsec_at_cut,
    ),
    Rule(
        "glue left out",
        "RFC 9471 §3.1: when a name server generates a referral response, it MUST include all "
        "available glue records for in-domain name servers in the additional section, or MUST set "
        "TC=1 if constrained by message size. (BIND 9.18 leaves some out without; that xfer does "
        "not is held by `proofs.glue_missing`.)",
        _glue_left_out,
    ),
]
