"""Proofs that something is not there: which NSEC or NSEC3 records go with an answer.

RFC 4035 §3.1.3 and §3.1.4.1 (NSEC), RFC 5155 §7.2 (NSEC3), RFC 9276 §3.2 (iterations).

Names are owner keys. All methods return records of the version: RRsets of NSEC or NSEC3 records,
each followed by the RRSIG records that cover it, no RRset twice, those first that are needed most.
A record that a signed zone should have and this one lacks is left out; a validator will say so.

- An NSEC record stands at each authoritative name and each delegation, nowhere else. So the one
  that covers a name is that of the last such name before it; what lies below a delegation is
  jumped over at once, however much glue that is.
- NSEC3 records match or cover hashes, see `xfer.answer.nsec3`. With Opt-Out, insecure delegations
  and the empty non-terminals above them may have none: then the closest provable encloser stands
  in for the closest encloser (RFC 5155 §7.2.4, §7.2.7; RFC 5155 erratum 3441).
"""

from __future__ import annotations

import enum
from typing import Final

from xfer.answer.nsec3 import SHA1, Chain, Index, owner_of, parameters_of
from xfer.wire.names import wire_of
from xfer.wire.records import DNAME, NS, NSEC, NSEC3, NSEC3PARAM, RRSIG, key_end, split
from xfer.zone.snapshot import APEX, Snapshot

# Chains with more iterations are not used: RFC 5155 §10.3 has 500 for keys of 2,048 bits, and
# RFC 9276 §3.2 lets a server set a limit. Above 150, validators take a zone for insecure anyway.
MOST_ITERATIONS: Final = 500
_MOST_CHAINS: Final = 8  # NSEC3PARAM records that are looked at; more than two are never needed
_MOST_BACK: Final = 8  # owners without NSEC that are passed by in a zone that is partly signed
_MOST_HASHES: Final = 1_000  # hashes of enclosers and wildcards that are remembered


class Kind(enum.Enum):
    """What proves denial in a version."""

    NONE = "none"
    NSEC = "nsec"
    NSEC3 = "nsec3"
    COMPACT = "compact"  # RFC 9824, made when somebody asks
    WHITE_LIES = "white-lies"  # NSEC3 records, made when somebody asks


class Denial:
    """The proofs of one version.

    snapshot: the version; previous: of the version before, to share what was worked out;
    most_iterations: see MOST_ITERATIONS. `step` until it says False, then ask: `kind` and the
    methods are of no use before. Where there is no NSEC3, the first step says False.

    online: whether proofs are made when somebody asks, and are no records of the version; compact:
    and as RFC 9824 has it (`xfer.answer.online`); over_tcp: and for somebody who asks over TCP.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        previous: Denial | None = None,
        most_iterations: int = MOST_ITERATIONS,
    ) -> None:
        self.kind = Kind.NONE
        self.online = False
        self.compact = False
        self.over_tcp = False
        self.snapshot = snapshot
        self._chain: Chain | None = None
        self._hashes: dict[bytes, bytes] = {}
        self._index: Index | None = None
        chains = _chains(snapshot, most_iterations)
        if chains:
            before = previous._index if previous is not None else None
            self._index = Index(snapshot, chains, before)
        elif _has(snapshot, APEX, NSEC):
            self.kind = Kind.NSEC

    @staticmethod
    def finished(
        snapshot: Snapshot,
        previous: Denial | None = None,
        most_iterations: int = MOST_ITERATIONS,
    ) -> Denial:
        """One that took all its steps, for whoever has the time."""
        denial = Denial(snapshot, previous, most_iterations)
        while denial.step():
            pass
        return denial

    def step(self) -> bool:
        """Do a bounded piece of what is to do before it can be asked; False when all is done."""
        if self._index is None or self._chain is not None:
            return False
        if self._index.step():
            return True
        # A chain that is still being made, or taken away, has fewer records than the other one.
        chosen = self._index.chains[0]
        for chain in self._index.chains:
            if chain.count > chosen.count or (
                chain.count == chosen.count and chain.iterations < chosen.iterations
            ):
                chosen = chain
        self._chain = chosen
        self.kind = Kind.NSEC3
        return False

    def name_error(self, qname: bytes, encloser: bytes) -> list[bytes]:
        """That neither `qname` nor a wildcard for it exists (RFC 4035 §3.1.3.2, 5155 §7.2.2)."""
        chain = self._chain
        if chain is not None:
            owners, provable = self._enclosed(chain, qname, encloser)
            owners.append(self._covering(chain, self._remembered(chain, wildcard_of(provable))))
            return self._records(owners, NSEC3)
        if self.kind is Kind.NSEC:
            return self._records([self._before(qname), self._before(wildcard_of(encloser))], NSEC)
        return []

    def no_data(self, name: bytes, qtype: int) -> list[bytes]:
        """That an existing name has no such type, or is an empty non-terminal.

        RFC 4035 §3.1.3.1, RFC 5155 §7.2.3, and §7.2.4 for DS. What a matching record says of
        `qtype` is not looked at.
        """
        chain = self._chain
        if chain is not None:
            return self._records(self._matched(chain, name), NSEC3)
        if self.kind is Kind.NSEC:
            return self._records([self._at_or_before(name)], NSEC)
        return []

    def expanded(self, qname: bytes, encloser: bytes) -> list[bytes]:
        """That no closer match than the wildcard exists (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6)."""
        chain = self._chain
        if chain is not None:
            closer = chain.hash(self._wire(next_closer(qname, encloser)))
            return self._records([self._covering(chain, closer)], NSEC3)
        if self.kind is Kind.NSEC:
            return self._records([self._before(qname)], NSEC)
        return []

    def wildcard_no_data(self, qname: bytes, encloser: bytes) -> list[bytes]:
        """That the wildcard has no such type and nothing is closer (RFC 4035 §3.1.3.4, RFC 5155
        §7.2.5)."""
        chain = self._chain
        wildcard = wildcard_of(encloser)
        if chain is not None:
            owners, _ = self._enclosed(chain, qname, encloser)
            owners.append(self._matching(chain, self._remembered(chain, wildcard)))
            return self._records(owners, NSEC3)
        if self.kind is Kind.NSEC:
            return self._records([self._at_or_before(wildcard), self._before(qname)], NSEC)
        return []

    def insecure(self, delegation: bytes) -> list[bytes]:
        """That a delegation has no DS RRset (RFC 4035 §3.1.4.1, RFC 5155 §7.2.7)."""
        chain = self._chain
        if chain is not None:
            return self._records(self._matched(chain, delegation), NSEC3)
        if self.kind is Kind.NSEC:
            return self._records([delegation], NSEC)
        return []

    def _records(self, owners: list[bytes], rtype: int) -> list[bytes]:
        """The RRsets at these owners, b"" for none, and their signatures."""
        out: list[bytes] = []
        done: list[bytes] = [b""]
        for owner in owners:
            if owner not in done:
                done.append(owner)
                # The whole RRset, even where it has records of two chains: signed as a whole.
                rrset = self.snapshot.rrset(owner, rtype)
                if rrset:
                    out.extend(rrset)
                    out.extend(self.snapshot.rrset(owner, RRSIG, rtype))
        return out

    def _at_or_before(self, name: bytes) -> bytes:
        """The owner of the NSEC record that says what an existing name has."""
        if _begins(self.snapshot, name):
            return name
        return self._before(name)  # an empty non-terminal

    def _before(self, name: bytes) -> bytes:
        """The last owner of an NSEC record below `name` in canonical order; b"" if none is near."""
        snapshot = self.snapshot
        here = name
        for _ in range(_MOST_BACK):
            here = _owner_before(snapshot, here)
            if here == b"" or here == APEX:
                break
            # NSEC below a delegation is not the zone's: whatever stands there is passed by.
            here = _topmost(snapshot, here, NS)
            if _has(snapshot, here, NSEC):
                return here
            here = _topmost(snapshot, here, DNAME)
            if _has(snapshot, here, NSEC):
                return here
        return here if here == APEX else b""

    def _matched(self, chain: Chain, name: bytes) -> list[bytes]:
        """Owner of the NSEC3 record of an existing name, else those of its closest provable
        encloser proof: then the next closer name is covered by an Opt-Out record."""
        match = self._matching(chain, chain.hash(self._wire(name)))
        if match or name == APEX:
            return [match]
        return self._enclosed(chain, name, parent(name))[0]

    def _enclosed(self, chain: Chain, name: bytes, encloser: bytes) -> tuple[list[bytes], bytes]:
        """Owners of the closest encloser proof (RFC 5155 §7.2.1), and the encloser it proves."""
        match = self._matching(chain, self._remembered(chain, encloser))
        while not match and encloser != APEX:
            encloser = parent(encloser)
            match = self._matching(chain, self._remembered(chain, encloser))
        closer = chain.hash(self._wire(next_closer(name, encloser)))
        return [match, self._covering(chain, closer)], encloser

    def _matching(self, chain: Chain, digest: bytes) -> bytes:
        """Owner of the NSEC3 record of a hash; b"" where it has none."""
        return owner_of(digest) if chain.floor(digest) == digest else b""

    def _covering(self, chain: Chain, digest: bytes) -> bytes:
        """Owner of the NSEC3 record that covers a hash; b"" where one matches it."""
        floor = chain.floor(digest)
        return owner_of(floor) if floor != digest else b""

    def _remembered(self, chain: Chain, name: bytes) -> bytes:
        """The hash of a name that is asked for again and again."""
        digest = self._hashes.get(name)
        if digest is None:
            if len(self._hashes) >= _MOST_HASHES:
                self._hashes.clear()
            digest = chain.hash(self._wire(name))
            self._hashes[name] = digest
        return digest

    def _wire(self, name: bytes) -> bytes:
        return wire_of(name, self.snapshot.origin)


def _chains(snapshot: Snapshot, most_iterations: int) -> list[Chain]:
    """The chains that NSEC3PARAM records announce and that the apex is in; no hashes in them yet.

    Flags other than 0 say that a chain is not to be used (RFC 5155 §4.1.2).
    """
    chains: list[Chain] = []
    for record in snapshot.rrset(APEX, NSEC3PARAM)[:_MOST_CHAINS]:
        rdata = split(record)[4]
        chain = Chain(parameters_of(rdata))
        if rdata[0] != SHA1 or rdata[1] != 0 or chain.iterations > most_iterations:
            continue
        for found in snapshot.rrset(owner_of(chain.hash(snapshot.origin)), NSEC3):
            if parameters_of(split(found)[4]) == chain.parameters:
                chains.append(chain)
                break
    return chains


def parent(name: bytes) -> bytes:
    """The name one label up; of a name below the apex."""
    end = name.rfind(b"\0", 0, len(name) - 2)
    return name[: end + 1] + b"\0" if end >= 0 else APEX


def wildcard_of(encloser: bytes) -> bytes:
    """The wildcard directly below a name."""
    return encloser[:-1] + b"*\0\0"


def next_closer(name: bytes, encloser: bytes) -> bytes:
    """The ancestor of `name`, or itself, that is one label longer than `encloser`."""
    end = name.find(b"\0", len(encloser) - 1)
    return name[: end + 1] + b"\0"


def _begins(snapshot: Snapshot, prefix: bytes) -> bool:
    """Whether any record begins so."""
    at, index = snapshot.seek(prefix)
    return at < len(snapshot.blocks) and snapshot.blocks[at].record(index).startswith(prefix)


def _has(snapshot: Snapshot, name: bytes, rtype: int) -> bool:
    """Whether a name has records of a type below 256, RRSIG excepted."""
    return _begins(snapshot, name + bytes((0, rtype)))


def _owner_before(snapshot: Snapshot, name: bytes) -> bytes:
    """The last owner with records before a name, in canonical order; b"" where there is none."""
    at = snapshot.block_at(name)
    block = snapshot.blocks[at]
    index = block.find(name) - 1
    if index < 0:
        return b""
    record = block.record(index)
    return record[: key_end(record)]


def _topmost(snapshot: Snapshot, name: bytes, rtype: int) -> bytes:
    """The uppermost of a name and its ancestors below the apex that has such records, else the
    name."""
    end = name.find(b"\0")
    while end > 0 and end + 2 < len(name):
        ancestor = name[: end + 1] + b"\0"
        if _has(snapshot, ancestor, rtype):
            return ancestor
        end = name.find(b"\0", end + 1)
    return name
