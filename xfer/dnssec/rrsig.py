"""RRSIG records: what is signed, what stands in them, and which old ones still hold.

RFC 4034 §3 (with §3.1.8.1 for what is signed), §4 (NSEC) and RFC 9077 §3 (its TTL). A `Preparer`
takes owner names with all their records, says what has to be signed by which key, and makes whole
records of the signatures that come back. Signing itself, which is slow and needs keys, is for
others: nothing here can stall.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from xfer.dnssec.content import AUTHORITATIVE, DELEGATION, OCCLUDED, rrsets
from xfer.wire.names import labels, wire_of
from xfer.wire.records import CDNSKEY, CDS, DNSKEY, DS, NS, NSEC, RRSIG, key_end, rrset_end
from xfer.zone.snapshot import APEX

_RRSIG: Final = bytes((0, RRSIG))
_SIZES: Final = [bytes((size >> 8, size & 255)) for size in range(512)]
_LENGTH: Final = [bytes((length,)) for length in range(64)]
# RRsets by key, type and covered type.
Old = dict[bytes, list[bytes]]
_NONE: Final[Old] = {}


def by_rrset(records: list[bytes]) -> Old:
    """Sorted records by their RRset."""
    return {rrset[0][: rrset_end(rrset[0])]: rrset for rrset in rrsets(records)}


def four(number: int) -> bytes:
    """32 bits, most significant first."""
    return bytes((number >> 24 & 255, number >> 16 & 255, number >> 8 & 255, number & 255))


def number_at(data: bytes, at: int) -> int:
    """The 32 bits at an offset."""
    return data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]


def bitmap(types: list[int]) -> bytes:
    """A type bitmap (RFC 4034 §4.1.2) of rising types, each once."""
    out: list[bytes] = []
    i = 0
    while i < len(types):
        window = types[i] >> 8
        field = bytearray(32)
        last = 0
        while i < len(types) and types[i] >> 8 == window:
            low = types[i] & 255
            field[low >> 3] |= 0x80 >> (low & 7)
            last = low >> 3
            i += 1
        out.append(bytes((window, last + 1)) + bytes(field[: last + 1]))
    return b"".join(out)


def expiration_of(record: bytes) -> int:
    """When an RRSIG record ends, Unix seconds modulo 2^32."""
    return number_at(record, key_end(record) + 8 + 8)


class Preparer:
    """Collects what is to be signed.

    origin: lower-case wire name of the apex; algorithms, tags: of each key; ksks, zsks: which keys
    sign the apex's DNSKEY, CDS and CDNSKEY RRsets, and which sign all else; inception, expiration:
    of signatures, Unix seconds; jitter: they end up to so many seconds earlier, by owner name and
    seed; keep: an old signature is kept that ends later than that, and began by `now`; presigned:
    RRSIG records that these three get instead; negative_ttl: of NSEC and NSEC3 records; nsec:
    whether names have NSEC records.

    `records` has what `owner` and `rrset` were given, with NSEC records and old signatures that
    still hold; datum by datum, `data[i]` is to be signed by key `keys[i]`. `finish` adds RRSIGs.
    """

    def __init__(
        self,
        origin: bytes,
        algorithms: list[int],
        tags: list[int],
        ksks: list[int],
        zsks: list[int],
        inception: int,
        expiration: int,
        jitter: int,
        seed: int,
        now: int,
        keep: int,
        presigned: list[bytes],
        negative_ttl: int,
        nsec: bool,
    ) -> None:
        self.origin = origin
        self._idents = [bytes((algorithms[i],)) for i in range(len(algorithms))]
        # Tag and signer's name, which stand last before the signature.
        self._signers = [bytes((tag >> 8, tag & 255)) + origin for tag in tags]
        self._labels = len(labels(origin))
        self._ksks = ksks if ksks else zsks
        self._zsks = zsks
        self._tails = [four(inception) + signer for signer in self._signers]
        self._expiration = expiration
        self._jitter = jitter
        self._seed = seed
        self._now = now
        self._keep = keep
        self._presigned = presigned
        self.negative_seconds = negative_ttl
        self._negative_ttl = four(negative_ttl)
        self._nsec = nsec
        self._key = b""
        self._wire = b""
        self._next_key = b""
        self._next_wire = b""
        self._depth: int = 0  # labels of that name, without an asterisk
        self._ends = b""  # when signatures at that name end, b"" where it was not worked out
        self._fronts: list[dict[bytes, list[bytes]]] = [{} for _ in range(128)]  # by labels
        self._bitmaps: dict[bytes, bytes] = {}
        self.records: list[bytes] = []
        self.data: list[bytes] = []
        self.keys: list[int] = []
        self._heads: list[bytes] = []

    def owner(self, key: bytes, group: list[bytes], status: int, after: bytes, old: Old) -> None:
        """Take all records of an owner name, which are published.

        status: AUTHORITATIVE, DELEGATION or OCCLUDED; after: the next name of the NSEC chain;
        old: published RRsets, of this owner name at least.
        """
        if status == OCCLUDED:
            self.records.extend(group)
            return
        wire = self.wire(key)
        end = len(key)
        for rrset in rrsets(group):
            rtype = rrset[0][end] << 8 | rrset[0][end + 1]
            if status == AUTHORITATIVE or rtype == DS:
                self.rrset(key, wire, rtype, rrset, old)
            else:
                self.records.extend(rrset)
        if self._nsec:
            rdata = self._following(after if after else APEX)
            rdata += self.types(end, group, status, True, True)
            record = key + bytes((0, NSEC)) + self._negative_ttl + rdata
            self.rrset(key, wire, NSEC, [record], old)

    def wire(self, key: bytes) -> bytes:
        """The wire name of an owner key, which is kept together with what depends on it."""
        if key != self._key:
            self._key = key
            self._ends = b""
            self._wire = self._next_wire if key == self._next_key else self._wire_of(key)
            self._depth = self._labels + key.count(b"\0") - 1
            if self._wire[:2] == b"\1*":
                self._depth -= 1
        return self._wire

    def _following(self, key: bytes) -> bytes:
        """The wire name of the next name of the chain; most often it is asked for next."""
        if key != self._next_key:
            self._next_key = key
            self._next_wire = self._wire_of(key)
        return self._next_wire

    def _wire_of(self, key: bytes) -> bytes:
        end = key.find(b"\0")
        # Most names are one label below the apex, without an octet that is escaped.
        if end > 0 and end == len(key) - 2 and b"\1" not in key:
            return _LENGTH[end] + key[:end] + self.origin
        return wire_of(key, self.origin)

    def types(self, end: int, group: list[bytes], status: int, signed: bool, nsec: bool) -> bytes:
        """The bitmap of an owner name with these records, of a key of `end` octets.

        signed: whether it has RRSIGs; nsec: whether it has an NSEC record.
        """
        heads: list[bytes] = []
        for record in group:
            head = record[end : end + 2]
            if status == DELEGATION and not (head[0] == 0 and (head[1] == NS or head[1] == DS)):
                continue
            if not heads or heads[-1] != head:
                heads.append(head)
        if signed:
            heads.append(_RRSIG)
        if nsec:
            heads.append(bytes((0, NSEC)))
        name = b"".join(heads)
        found = self._bitmaps.get(name)
        if found is None:
            types = [head[0] << 8 | head[1] for head in heads]
            types.sort()
            found = bitmap(types)
            if len(self._bitmaps) < 1_000:
                self._bitmaps[name] = found
        return found

    def rrset(self, key: bytes, wire: bytes, rtype: int, rrset: list[bytes], old: Old) -> None:
        """Take an RRset that is signed. wire: the owner's wire name."""
        self.records.extend(rrset)
        first = rrset[0]
        end = len(key) + 2
        if end == 3 and rtype in (DNSKEY, CDS, CDNSKEY):
            if self._presigned:
                for record in self._presigned:
                    if record[3:5] == first[1:3]:
                        self.records.append(record)
                return
            wanted = self._ksks
        else:
            wanted = self._zsks
        if not wanted:
            return
        if key != self._key:
            self.wire(key)
        what = first[end - 2 : end + 4]  # type and TTL
        fronts = self._fronts[self._depth].get(what)
        if fronts is None:
            fronts = self._known_fronts(what)
        have: list[bytes] = []
        if old:
            was = old.get(first[:end])
            if was is not None and was == rrset:
                signatures = old.get(key + _RRSIG + what[:2])
                if signatures is not None:
                    have = signatures
        body = b""
        for i in wanted:
            front = fronts[i + 1]
            if have:
                kept = self._fitting(have, key + _RRSIG + what + front, self._signers[i])
                if kept:
                    self.records.append(kept)
                    continue
            if not body:
                body = _body(wire + fronts[0], rrset, end + 4)
                if not self._ends:
                    ends = self._expiration
                    if self._jitter > 0:
                        ends -= (crc32(key, self._seed) & 0xFFFFFFFF) % (self._jitter + 1)
                    self._ends = four(ends)
            head = b"".join([front, self._ends, self._tails[i]])
            self._heads.append(b"".join([key, _RRSIG, what, head]))
            self.data.append(head + body)
            self.keys.append(i)

    def _known_fronts(self, what: bytes) -> list[bytes]:
        """What begins each record as it is signed, behind its owner: type, class, TTL; then by key
        what begins the rdata of the RRSIG, up to where it ends. what: type and TTL."""
        kind = what[:2]
        ttl = what[2:]
        middle = bytes((self._depth,)) + ttl
        fronts = [kind + b"\0\1" + ttl]
        for ident in self._idents:
            fronts.append(kind + ident + middle)
        known = self._fronts[self._depth]
        if len(known) >= 1_000:
            known.clear()
        known[what] = fronts
        return fronts

    def _fitting(self, have: list[bytes], start: bytes, signer: bytes) -> bytes:
        at = len(start)
        for record in have:
            if (
                record.startswith(start)
                and record[at + 8 : at + 8 + len(signer)] == signer
                and (number_at(record, at) - self._keep) & 0xFFFFFFFF < 0x80000000
                and (self._now - number_at(record, at + 4)) & 0xFFFFFFFF < 0x80000000
            ):
                return record
        return b""

    def finish(self, signatures: list[bytes]) -> list[bytes]:
        """All records with the RRSIGs of what was in `data`, sorted; the preparer is empty then."""
        records = self.records
        heads = self._heads
        for i in range(len(heads)):
            records.append(heads[i] + signatures[i])
        records.sort()
        self.records = []
        self.data = []
        self.keys = []
        self._heads = []
        return records


def _body(front: bytes, rrset: list[bytes], start: int) -> bytes:
    """An RRset as it is signed (RFC 4034 §3.1.8.1); front: owner, type, class, TTL; start: where
    rdata begins in its records."""
    if len(rrset) == 1:
        rdata = rrset[0][start:]
        return b"".join([front, _size(len(rdata)), rdata])
    parts: list[bytes] = []
    for record in rrset:
        parts.append(front)
        parts.append(_size(len(record) - start))
        parts.append(record[start:])
    return b"".join(parts)


def _size(octets: int) -> bytes:
    return _SIZES[octets] if octets < 512 else bytes((octets >> 8, octets & 255))
