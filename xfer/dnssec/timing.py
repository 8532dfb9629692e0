"""How long caches may hold what a zone served: the waits of RFC 7583 as functions.

    RFC 7583                        here
    Dprp  propagation delay         `spread`: the assumed one, or what was measured, if more
    TTLkey, Dskw margin             `keyset_gone`: DNSKEY RRsets (Ipub, Ipub-C, Iret of keys)
    TTLsig                          `signatures_gone`: signatures of the zone (Iret of ZSKs)
    DprpP, TTLds                    `ds_gone`: DS sets (Iret of KSKs)
    DprpC + TTL of unsigned data    `unsigned_gone`: before the first DS

Everything is Unix seconds or seconds. A method for each wait, so that the simulation can leave out
one at a time and see that the waits are needed.
"""

from __future__ import annotations

import datetime

import attrs

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec.keystate import PastDs, PastKeyset, PastSigners

FOREVER = float("inf")


def moment(at: float) -> str:
    """A time as operators read it."""
    when = datetime.datetime.fromtimestamp(int(at), datetime.UTC)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


@attrs.frozen
class Seen:
    """What is known of one of our secondaries.

    serial: of the version it was last seen to have, None: never seen; at: when it was first seen
    with it; expire: SOA EXPIRE of that version, 0: not known.
    """

    name: str
    serial: int | None = None
    at: float = 0.0
    expire: int = 0


@attrs.frozen
class DsSeen:
    """The DS RRset at the parent as observed: rdata (none: there is no DS), when, and its TTL as
    the parent's own servers give it (None: not known, as where a resolver was asked)."""

    rdata: frozenset[bytes]
    at: float
    ttl: int | None = None


@attrs.frozen
class Facts:
    """What is known of the world when `advance` is called.

    zone_max_ttl: largest TTL of any record of the zone; negative_ttl: min(TTL, MINIMUM) of its SOA;
    expire: its SOA EXPIRE; all as of the content now. secondaries: all that are configured. ds:
    None where it was not looked for, or the parent's servers do not agree. foreign: DNSKEY
    rdata in the content.
    """

    zone_max_ttl: int
    negative_ttl: int
    expire: int
    secondaries: tuple[Seen, ...] = ()
    ds: DsSeen | None = None
    foreign: frozenset[bytes] = frozenset()


def has(seen: Seen, serial: int) -> bool:
    """Whether a secondary had that version or a later one (RFC 1982)."""
    return seen.serial is not None and (seen.serial - serial) & 0xFFFFFFFF < 1 << 31


class Timing:
    """The waits of a policy. hurried: without the margins, as for a compromised key."""

    def __init__(self, policy: DnssecPolicy, *, hurried: bool = False) -> None:
        self.policy = policy
        self.publish_safety = 0 if hurried else policy.publish_safety
        self.retire_safety = 0 if hurried else policy.retire_safety

    def done_at(self, seen: Seen, serial: int, at: float, facts: Facts) -> float | None:
        """When a secondary had (or will serve nothing older than) the version published at `at`.

        One that does not answer serves what it has until SOA EXPIRE has passed, counted from when
        it last heard of us, so at the latest from `at` (RFC 1035 §3.3.13).
        """
        if has(seen, serial):
            return max(at, seen.at)
        return at + self.expiry(seen, facts)

    def expiry(self, seen: Seen, facts: Facts) -> float:
        """SOA EXPIRE that a secondary goes by: the larger of what it was seen with and ours."""
        return max(seen.expire, facts.expire)

    def everywhere(self, serial: int, at: float, now: float, facts: Facts) -> tuple[bool, float]:
        """(whether no secondary serves an older version than that now, since or until when)."""
        last = at
        for seen in facts.secondaries:
            done = self.done_at(seen, serial, at, facts)
            last = max(last, FOREVER if done is None else done)
        return last <= now, last

    def spread(self, at: float, everywhere: float) -> float:
        """When a change published at `at` has reached all servers, also those we do not see."""
        return max(at + self.policy.propagation, everywhere)

    def keyset_gone(self, past: PastKeyset) -> float:
        """When no cache holds a DNSKEY RRset any more; only for one that is `everywhere`."""
        if past.at is None or past.everywhere is None:
            return FOREVER
        if not past.what.keys:
            return self.unsigned_gone(past.at, past.everywhere, past.what.ttl)
        return self.spread(past.at, past.everywhere) + past.what.ttl + self.publish_safety

    def signatures_gone(self, past: PastSigners) -> float:
        """When no cache holds an RRset signed by these alone."""
        if past.at is None or past.everywhere is None:
            return FOREVER
        if not past.what:
            return self.unsigned_gone(past.at, past.everywhere, past.ttl)
        return self.spread(past.at, past.everywhere) + past.ttl + self.retire_safety

    def unsigned_gone(self, at: float, everywhere: float, ttl: int) -> float:
        """When no cache holds anything from before the zone was signed."""
        return self.spread(at, everywhere) + ttl + self.publish_safety

    def ds_gone(self, past: PastDs) -> float:
        """When no cache holds a DS set any more."""
        return past.at + self.policy.parent_propagation + past.ttl + self.retire_safety

    def ds_ttl(self, observed: int) -> int:
        """TTL of the DS: the one seen at the parent's servers, or the assumed one (0: not seen)."""
        return observed if observed else self.policy.parent_ds_ttl

    def shared_gone(self, since: float, ttl: int = 0) -> float:
        """When all caches have a ZSK of ours that other signers serve since then (RFC 8901). ttl:
        of their DNSKEY RRset as they were seen to serve it, 0: not seen."""
        ttl = max(ttl, self.policy.dnskey_ttl)
        return since + ttl + self.policy.propagation + self.publish_safety

    def old_signer_gone(self, past: PastDs) -> float:
        """When the DNSKEYs of a signer may go whose DS left: 1.5 × its TTL (REQUIREMENTS A28)."""
        return past.at + max(1.5 * past.ttl, self.ds_gone(past) - past.at)

    def delegation_gone(self, at: float, ttl: int, zone_ttl: int) -> float:
        """When nobody asks, or holds an answer of, servers that left the delegation at `at`.

        ttl: the larger one of the NS RRsets of parent and zone; zone_ttl: of any record."""
        return at + self.policy.parent_propagation + ttl + zone_ttl + self.retire_safety

    def lead(self) -> float:
        """How long before it is to be used a key is published."""
        policy = self.policy
        return policy.dnskey_ttl + policy.propagation + self.publish_safety
