"""Proofs that are made, and signed, when somebody asks: of zones that have no chain.

Compact denial (RFC 9824): one NSEC record at the name that was asked for, whose next name is the
one right behind it. A name that does not exist has NXNAME in its bitmap, an empty non-terminal has
nothing there; what a wildcard gives is signed as if the name had it.

White lies (RFC 7129 Appendix B): the proofs of RFC 5155 §7.2, of NSEC3 records that match one hash
or cover one, and cover nothing else. Without iterations and salt (RFC 9276 §3.1), without Opt-Out.
There is no NSEC3PARAM: it would announce a chain to those who transfer the zone (RFC 5155 §4).

Signatures are made by whoever has the keys; `Sign` may raise `SigningBusy`, and then so do all
methods here: no answer is given without its proof. A signature for a name that the zone has is one
of so many as the zone is large, and is told apart from those for any name that one can think of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from xfer.answer.denial import Denial, Kind, next_closer, wildcard_of
from xfer.answer.nsec3 import SHA1, SIZE, hash_name, owner_of
from xfer.wire.names import wire_of
from xfer.wire.records import DS, NS, NSEC, NSEC3, RRSIG, make, soa_fields, split
from xfer.zone.snapshot import APEX, Snapshot

NXNAME: Final = 128
# The RRSIG records of an RRset, for one of the reasons below.
Sign = Callable[[list[bytes], int], list[bytes]]
EXISTS: Final = 0  # its name is one that the zone has, of which there are only so many
OVER_TCP: Final = 1  # any name may be asked for, but by somebody who really is there
OVER_UDP: Final = 2  # any name, by anybody

_MAX_NAME: Final = 255
_MAX_LABEL: Final = 63
_LAST: Final = (1 << 8 * SIZE) - 1  # the highest hash


class OnlineDenial(Denial):
    """Proofs for a version whose RRsets are signed, and that has no NSEC or NSEC3 records.

    sign: see `Sign`; compact: RFC 9824, else NSEC3 white lies. There are no steps to take. The
    methods give what those of `Denial` do, but records that are not of the version.
    """

    def __init__(self, snapshot: Snapshot, sign: Sign, compact: bool) -> None:
        super().__init__(snapshot, None, -1)
        self.kind = Kind.COMPACT if compact else Kind.WHITE_LIES
        self.online = True
        self.compact = compact
        self._sign = sign
        self._ttl = min(split(snapshot.soa)[3], soa_fields(snapshot.soa)[6])  # RFC 9077

    def name_error(self, qname: bytes, encloser: bytes) -> list[bytes]:
        if self.compact:
            return self.nsec(qname, b"", True)
        proof = self._match(encloser)
        proof += self._cover(next_closer(qname, encloser), False)
        return proof + self._cover(wildcard_of(encloser), True)

    def no_data(self, name: bytes, qtype: int) -> list[bytes]:
        return self.nsec(name, name, True) if self.compact else self._match(name)

    def expanded(self, qname: bytes, encloser: bytes) -> list[bytes]:
        if self.compact:
            return []  # RFC 9824 §3.3: it is signed as if it were there
        return self._cover(next_closer(qname, encloser), False)

    def wildcard_no_data(self, qname: bytes, encloser: bytes) -> list[bytes]:
        wildcard = wildcard_of(encloser)
        if self.compact:
            return self.nsec(qname, wildcard, True)
        proof = self._match(encloser)
        proof += self._cover(next_closer(qname, encloser), False)
        return proof + self._match(wildcard)

    def insecure(self, delegation: bytes) -> list[bytes]:
        return self.no_data(delegation, DS)

    def nsec(self, name: bytes, source: bytes, signed: bool) -> list[bytes]:
        """The NSEC record of a name, and its signatures where they are wanted (RFC 9824 §3).

        source: the name that has what it has, itself or a wildcard; b"" where it does not exist.
        """
        wire = wire_of(name, self.snapshot.origin)
        if source == b"":
            types = [RRSIG, NSEC, NXNAME]
            following = _first_below(wire, self.snapshot.origin)
        else:
            types = types_of(self.snapshot, source)
            cut = source != APEX and NS in types
            types = sorted({*types, RRSIG, NSEC})
            # RFC 9824 §3.4: nothing is said of what is below a delegation.
            if cut:
                following = _first_behind(wire, self.snapshot.origin)
            else:
                following = _first_below(wire, self.snapshot.origin)
        proof = [make(name, NSEC, self._ttl, following + bitmap_of(types))]
        if signed:
            proof += self._signed(proof, source == name)
        return proof

    def signatures(self, name: bytes, records: list[bytes]) -> list[bytes]:
        """Those of what a wildcard gives, as if the name had it (RFC 9824 §3.3)."""
        given = [name + record[len(split(record)[0]) :] for record in records]
        return self._signed(given, False)

    def _signed(self, records: list[bytes], exists: bool) -> list[bytes]:
        reason = EXISTS if exists else OVER_TCP if self.over_tcp else OVER_UDP
        return self._sign(records, reason)

    def _match(self, name: bytes) -> list[bytes]:
        """The NSEC3 record of a name that exists, signed."""
        digest = hash_name(wire_of(name, self.snapshot.origin), b"", 0)
        return self._nsec3(digest, digest, bitmap_of(types_of(self.snapshot, name)), True)

    def _cover(self, name: bytes, bounded: bool) -> list[bytes]:
        """An NSEC3 record that covers a name that does not exist, signed."""
        digest = hash_name(wire_of(name, self.snapshot.origin), b"", 0)
        number = int.from_bytes(digest, "big")
        before = number - 1 if number > 0 else _LAST
        return self._nsec3(before.to_bytes(SIZE, "big"), digest, b"", bounded)

    def _nsec3(self, first: bytes, last: bytes, bitmap: bytes, bounded: bool) -> list[bytes]:
        """The NSEC3 record of one hash whose next one is that after another, signed."""
        number = int.from_bytes(last, "big")
        after = number + 1 if number < _LAST else 0
        rdata = bytes((SHA1, 0, 0, 0, 0, SIZE)) + after.to_bytes(SIZE, "big") + bitmap
        proof = [make(owner_of(first), NSEC3, self._ttl, rdata)]
        return proof + self._signed(proof, bounded)


def types_of(snapshot: Snapshot, name: bytes) -> list[int]:
    """The types of a name's RRsets that are the zone's to speak for, rising."""
    types: list[int] = []
    prefix = name
    while True:
        at, index = snapshot.seek(prefix)
        if at == len(snapshot.blocks):
            break
        record = snapshot.blocks[at].record(index)
        if not record.startswith(name):
            break
        rtype = record[len(name)] << 8 | record[len(name) + 1]
        types.append(rtype)
        if rtype == 0xFFFF:
            break
        prefix = name + bytes(((rtype + 1) >> 8, (rtype + 1) & 255))
    if name != APEX and NS in types:
        return [rtype for rtype in types if rtype in (NS, DS, RRSIG, NSEC)]
    return types


def bitmap_of(types: list[int]) -> bytes:
    """The type bitmap of rising types (RFC 4034 §4.1.2)."""
    out: list[bytes] = []
    at = 0
    while at < len(types):
        window = types[at] >> 8
        octets = bytearray()
        while at < len(types) and types[at] >> 8 == window:
            low = types[at] & 255
            while len(octets) <= low >> 3:
                octets.append(0)
            octets[low >> 3] |= 0x80 >> (low & 7)
            at += 1
        out.append(bytes((window, len(octets))))
        out.append(bytes(octets))
    return b"".join(out)


def _first_below(wire: bytes, origin: bytes) -> bytes:
    """The name right behind another one in canonical order: the first that is below it."""
    if len(wire) + 2 <= _MAX_NAME:
        return b"\1\0" + wire
    return _first_behind(wire, origin)  # nothing has room below it


def _first_behind(wire: bytes, origin: bytes) -> bytes:
    """The first name behind another one and all that is below it; the apex behind the last."""
    while len(wire) > len(origin):
        size = wire[0]
        label = wire[1 : 1 + size]
        above = wire[1 + size :]
        if size < _MAX_LABEL and len(wire) < _MAX_NAME:
            return bytes((size + 1,)) + label + b"\0" + above
        while label and label[-1] == 0xFF:
            label = label[:-1]
        if label:
            last = label[-1] + 1
            if last == 0x41:  # "A" is "a", which is further on
                last = 0x5B
            return bytes((len(label),)) + label[:-1] + bytes((last,)) + above
        wire = above
    return origin
