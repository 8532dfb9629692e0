"""A validator with a cache, in its worst form: whatever it could hold at a moment, it holds.

It knows nothing of xfer's states and rules: only what servers served from when until when. A record
that a server served until T may be in a cache until T + TTL, and a cache's clock may be slow
(`slow`, seconds). So at each moment there is a set of DS sets, one of DNSKEY RRsets and one of
signatures that caches may hold, and each combination is validated, the strict way (RFC 4035 §2.2,
§5; as unbound with harden-algo-downgrade). Between two moments at which one of these sets changes
nothing changes, so these moments are all moments: no validator asking at any other time, with
whatever luck in what it asked before, sees anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

import attrs

NEVER = float("inf")

T = TypeVar("T", bound=Hashable)


@attrs.frozen
class Dnskeys:
    """A DNSKEY RRset: rdata of each, and of those that sign it. None: an answer without any."""

    keys: frozenset[bytes]
    signers: frozenset[bytes]


@attrs.frozen
class Signed:
    """An RRset of the zone: the DNSKEYs that signed it, none where it is unsigned."""

    by: frozenset[bytes]


DsSet = frozenset[bytes]


def ds_of(origin: bytes, dnskey: bytes) -> bytes:
    """DS rdata, SHA-256 (RFC 4034 §5.1.4), with a key tag as in its Appendix B."""
    total = sum(octet if at & 1 else octet << 8 for at, octet in enumerate(dnskey))
    tag = (total + (total >> 16 & 0xFFFF)) & 0xFFFF
    digest = hashlib.sha256(origin + dnskey).digest()
    return tag.to_bytes(2, "big") + bytes((dnskey[3], 2)) + digest


class Validator:
    """RFC 4035 §5 with the answers remembered, since the same questions come again."""

    def __init__(self, origin: bytes) -> None:
        self.origin = origin
        self.seen: dict[tuple[DsSet, Dnskeys, Signed], str] = {}

    def bogus(self, ds: DsSet, dnskeys: Dnskeys, signed: Signed) -> str:
        """Why an answer is bogus; "" for one that is secure, or insecure."""
        question = (ds, dnskeys, signed)
        answer = self.seen.get(question)
        if answer is None:
            answer = self.seen[question] = self._judge(ds, dnskeys, signed)
        return answer

    def _judge(self, ds: DsSet, dnskeys: Dnskeys, signed: Signed) -> str:
        if not ds:
            return ""
        for algorithm in {rdata[2] for rdata in ds}:
            entries = [
                key for key in dnskeys.keys if key[3] == algorithm and ds_of(self.origin, key) in ds
            ]
            if not any(key in dnskeys.signers for key in entries):
                return f"DNSKEY RRset not signed by a key of its DS, algorithm {algorithm}"
        for algorithm in {key[3] for key in dnskeys.keys}:
            if not any(key[3] == algorithm and key in signed.by for key in dnskeys.keys):
                return f"no RRSIG of the zone by a key of its DNSKEY RRset, algorithm {algorithm}"
        return ""


class Cached(Generic[T]):
    """Everything of one kind that servers served, as the times at which caches may hold it."""

    def __init__(self, slow: float) -> None:
        self.slow = slow
        self.spans: list[tuple[float, float, T]] = []
        self.serving: dict[str, tuple[float, T, int]] = {}

    def serve(self, server: str, what: T | None, ttl: int, now: float) -> None:
        """A server serves that from now on, in place of what it served; None: nothing."""
        before = self.serving.get(server)
        if before is not None and what is not None and before[1:] == (what, ttl):
            return
        if before is not None:
            since, old, old_ttl = before
            self.spans.append((since, now + old_ttl + self.slow, old))
            del self.serving[server]
        if what is not None:
            self.serving[server] = (now, what, ttl)

    def all(self) -> Iterator[tuple[float, float, T]]:
        """(from, until, what), each as long as the latest cache may have it."""
        yield from self.spans
        for since, what, _ in self.serving.values():
            yield since, NEVER, what


@attrs.frozen
class Bogus:
    """A moment, from when until when some validator would have failed, and why."""

    at: float
    until: float
    why: str


@attrs.define(eq=False)
class Verdict:
    """What came out: how many moments and combinations were looked at, and which were bogus."""

    moments: int = 0
    combinations: int = 0
    bogus: list[Bogus] = attrs.field(factory=list)


def judged(
    validator: Validator, ds: Cached[DsSet], dnskeys: Cached[Dnskeys], signed: Cached[Signed]
) -> Verdict:
    """Every moment at which what caches may hold changes, judged."""
    edges: list[tuple[float, int, int, Hashable]] = []
    spans: list[Iterable[tuple[float, float, Hashable]]] = [ds.all(), dnskeys.all(), signed.all()]
    for kind, held_for in enumerate(spans):
        for since, until, what in held_for:
            if since < until:
                edges.append((since, 1, kind, what))
                edges.append((until, -1, kind, what))
    edges.sort(key=lambda edge: (edge[0], edge[2]))
    held: list[dict[Hashable, int]] = [{}, {}, {}]
    verdict = Verdict()
    at = 0
    while at < len(edges) and edges[at][0] < NEVER:
        now = edges[at][0]
        new = False
        while at < len(edges) and edges[at][0] == now:
            _, step, kind, what = edges[at]
            count = held[kind].get(what, 0)
            held[kind][what] = count + step
            if not held[kind][what]:
                del held[kind][what]
            new = new or (step > 0 and not count)
            at += 1
        verdict.moments += 1
        if new:
            until = edges[at][0] if at < len(edges) else NEVER
            _judge(validator, held, now, until, verdict)
    return verdict


def _judge(
    validator: Validator,
    held: list[dict[Hashable, int]],
    now: float,
    until: float,
    verdict: Verdict,
) -> None:
    for ds in held[0]:
        for dnskeys in held[1]:
            for signed in held[2]:
                verdict.combinations += 1
                assert isinstance(ds, frozenset)
                assert isinstance(dnskeys, Dnskeys)
                assert isinstance(signed, Signed)
                why = validator.bogus(ds, dnskeys, signed)
                if why:
                    verdict.bogus.append(Bogus(now, until, why))
