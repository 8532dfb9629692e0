"""Whether a validator could have followed a zone all along, whatever its caches held.

A cache keeps what it got for its TTL. So of two answers that were given less than a TTL apart one
validator may have both, and the DNSKEY RRset of either must have a key that made a signature of the
other; likewise the parent's DS and the DNSKEY RRset. Before the parent has a DS nobody validates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import attrs
import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataset
import dns.rdatatype
import dns.rrset

Rdata = dns.rdata.Rdata


@attrs.define
class Span:
    """An RRset with its signatures, as it was served for a while.

    first: when its first answer had come; last: when its last one was asked for: it was served no
    later than `first`, and still at `last` or after.
    """

    rrset: dns.rrset.RRset
    signatures: dns.rrset.RRset
    first: float
    last: float
    signers: frozenset[Rdata] = frozenset()

    def near(self, other: Span, ttl: float) -> bool:
        """Whether both were surely given less than `ttl` seconds apart."""
        return max(self.first - other.last, other.first - self.last) < ttl


class Chain:
    """What was served, in order. history: of each type; parent: (since when, keys that have a
    DS there), in order."""

    def __init__(self) -> None:
        self.history: dict[int, list[Span]] = {}
        self.parent: list[tuple[float, frozenset[Rdata]]] = []
        self._keys: set[Rdata] = set()

    def took(self, rrset: dns.rrset.RRset, signatures: dns.rrset.RRset, asked: float) -> None:
        """An answer that has just come."""
        now = time.monotonic()
        spans = self.history.setdefault(int(rrset.rdtype), [])
        last = spans[-1] if spans else None
        if last is not None and (last.rrset, set(last.signatures)) == (rrset, set(signatures)):
            last.last = max(last.last, asked)
            return
        if rrset.rdtype == dns.rdatatype.DNSKEY:
            self._keys.update(rrset)
        spans.append(Span(rrset, signatures, now, asked))

    def broken(self, ttl: float, ds_ttl: float) -> Iterator[str]:
        """What a validator might have called bogus, a sentence each."""
        if not self.parent:
            return
        secure = self.parent[0][0]
        for spans in self.history.values():
            for span in spans:
                if not span.signers:
                    span.signers = self._signers(span)
        keysets = self.history.get(int(dns.rdatatype.DNSKEY), [])
        for keyset in keysets:
            keys = set(keyset.rrset)
            for spans in self.history.values():
                for span in spans:
                    if min(span.last, keyset.last) + ttl < secure:
                        continue  # one of them had left all caches before anybody validated
                    if span.near(keyset, ttl) and not span.signers & keys:
                        yield (
                            f"{_named(span)} of {_of(span.signers)} is not signed by any of the "
                            f"keys {_of(keys)}, which a cache may have: served "
                            f"{max(span.first - keyset.last, keyset.first - span.last):.2f} s apart"
                        )
            for number, (since, trusted) in enumerate(self.parent):
                until = [when for when, _ in self.parent[number + 1 : number + 2]] or [1e18]
                near = keyset.last >= since and keyset.first < until[0] + ds_ttl
                if trusted and near and not trusted & keys & keyset.signers:
                    yield f"keys {_of(keys)} are not signed by one with a DS, {_of(trusted)}"

    def timeline(self) -> list[str]:
        """The sets of keys and of DS in order, with their times, to read a complaint by."""
        found = [
            (span.first, f"{span.first:.2f}–{span.last:.2f} DNSKEY {_of(set(span.rrset))}")
            for span in self.history.get(int(dns.rdatatype.DNSKEY), [])
        ]
        found += [(since, f"{since:.2f} DS {_of(keys)}") for since, keys in self.parent]
        return [line for _, line in sorted(found)]

    def _signers(self, span: Span) -> frozenset[Rdata]:
        """The keys that made its signatures."""
        found = set()
        for rdata in span.signatures:
            for key in self._keys:
                if dns.dnssec.key_id(key) != rdata.key_tag:  # type: ignore[arg-type]
                    continue
                name = rdata.signer
                known = {name: dns.rdataset.from_rdata(1, key)}
                try:
                    dns.dnssec.validate_rrsig(span.rrset, rdata, known)  # type: ignore[arg-type]
                except dns.exception.DNSException:
                    continue
                found.add(key)
        return frozenset(found)


def _named(span: Span) -> str:
    return f"{dns.rdatatype.to_text(span.rrset.rdtype)} {span.rrset[0]}"[:60]


def _of(keys: set[Rdata] | frozenset[Rdata]) -> str:
    tags = sorted(dns.dnssec.key_id(key) for key in keys)  # type: ignore[arg-type]
    return ", ".join(map(str, tags)) or "nobody"
