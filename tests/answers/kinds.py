"""Sorts queries by the kind of BIND's answer."""

from __future__ import annotations

from collections.abc import Sequence

from tests.answers.message import (
    ANY,
    CNAME,
    DNAME,
    DS,
    NOERROR,
    NS,
    NXDOMAIN,
    RRSIG,
    SOA,
    Message,
    Query,
    Record,
    ancestors,
)
from tests.answers.signing import Form
from tests.answers.world import ZoneIndex

KINDS = (
    "positive",
    "ANY and RRSIG",
    "CNAME",
    "DNAME",
    "DNAME too long",
    "wildcard",
    "wildcard CNAME",
    "NODATA",
    "NODATA at an empty non-terminal",
    "NODATA from a wildcard",
    "NODATA of DS",
    "NXDOMAIN",
    "referral, no DS asked for",
    "referral, signed",
    "referral, insecure",
    "truncated",
    "REFUSED",
)


class Places:
    """Finds the zone of a name."""

    def __init__(self, zones: Sequence[ZoneIndex]) -> None:
        self._zones = {zone.apex: zone for zone in zones}

    def zone_of(self, name: bytes, qtype: int) -> ZoneIndex | None:
        """The zone that answers; of DS at an apex the one above, where it is served too."""
        found = None
        for above in ancestors(name):
            zone = self._zones.get(above)
            if zone is not None:
                found = zone
                if qtype != DS or above != name:
                    break
        return found


def kind_of(query: Query, reply: Message, zone: ZoneIndex | None) -> str:
    """One of KINDS, or the rcode's number for what has none."""
    if "TC" in reply.flags:
        return "truncated"
    if reply.rcode == 5 or zone is None:
        return "REFUSED"
    name = query.name.lower()
    exists = name in zone.nodes
    if reply.rcode == 6:
        return "DNAME too long"
    if reply.answer and reply.first is not None:
        return _positive(query, reply, reply.first, exists)
    if reply.rcode == NXDOMAIN:
        return "NXDOMAIN"
    if reply.rcode != NOERROR:
        return f"rcode {reply.rcode}"
    types = {record.rtype for record in reply.authority}
    if SOA not in types and NS in types:
        if not query.do or zone.form is Form.UNSIGNED:
            return "referral, no DS asked for"
        return "referral, signed" if DS in types else "referral, insecure"
    if name in zone.cuts:
        return "NODATA of DS"
    if not exists:
        return "NODATA from a wildcard"
    return "NODATA" if name in zone.types else "NODATA at an empty non-terminal"


def _positive(query: Query, reply: Message, first: Record, exists: bool) -> str:
    if query.qtype in (ANY, RRSIG):
        return "ANY and RRSIG"
    if first.rtype == DNAME and first.owner != query.name.lower():
        return "DNAME"
    chained = query.qtype != CNAME and any(record.rtype == CNAME for record in reply.answer)
    if not exists:
        return "wildcard CNAME" if chained else "wildcard"
    return "CNAME" if chained else "positive"
