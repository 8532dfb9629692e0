"""NSEC3: which names stand in the chain, in the order of their hashes, and their records.

RFC 5155 §3 and §7.1, RFC 9077 §3. Each authoritative name has a record, each delegation (with
Opt-Out only those with DS), and each empty non-terminal above any of them, those above insecure
delegations too: then the closest encloser of every name can be proved.

An *entry* is a hash, followed by the type bitmap of the name.
"""

from __future__ import annotations

from typing import Final

from xfer.answer.nsec3 import SIZE, owner_of
from xfer.dnssec.content import AUTHORITATIVE, OCCLUDED, Content, status_of
from xfer.dnssec.portion import Owners
from xfer.dnssec.rrsig import Old, Preparer
from xfer.wire.records import DS, NSEC3, key_end, make
from xfer.zone.snapshot import APEX, Snapshot

_RDATA: Final = 32 + 2 + 2 + 4  # where rdata begins: behind a hash in base32hex, type and TTL


def parent(key: bytes) -> bytes:
    """The name one label up; of a name below the apex."""
    end = key.rfind(b"\0", 0, len(key) - 2)
    return key[: end + 1] + b"\0" if end >= 0 else APEX


def is_above(key: bytes, name: bytes) -> bool:
    """Whether `key` is `name`, or above it."""
    return key == APEX or name.startswith(key[:-1])


def in_chain(key: bytes, group: list[bytes], status: int, opt_out: bool) -> bool:
    """Whether a name that is not occluded and has these records has an NSEC3 record."""
    return status == AUTHORITATIVE or not opt_out or has_ds(key, group)


def has_ds(key: bytes, group: list[bytes]) -> bool:
    """Whether there is a DS among the records of a name."""
    start = key + bytes((0, DS))
    return any(record.startswith(start) for record in group)


def bitmap_of(preparer: Preparer, key: bytes, group: list[bytes], status: int) -> bytes:
    """The type bitmap of a name with records."""
    signed = status == AUTHORITATIVE or has_ds(key, group)
    return preparer.types(len(key), group, status, signed, False)


def hashed_names(
    preparer: Preparer, records: list[bytes], cut: bytes, before: bytes, opt_out: bool
) -> tuple[list[bytes], list[bytes]]:
    """The names, as owner keys, and bitmaps of the NSEC3 records of a portion.

    before: the last name before the portion that is not occluded, b"" where it is the first.
    """
    owners = Owners(records, cut)
    names: list[bytes] = []
    bitmaps: list[bytes] = []
    for i in range(len(owners.keys)):
        status = owners.statuses[i]
        if status == OCCLUDED:
            continue
        key = owners.keys[i]
        if key != APEX:
            above = parent(key)
            while before and not is_above(above, before):
                names.append(above)
                bitmaps.append(b"")
                above = parent(above)
        before = key
        if in_chain(key, owners.groups[i], status, opt_out):
            names.append(key)
            bitmaps.append(bitmap_of(preparer, key, owners.groups[i], status))
    return names, bitmaps


class Hashed:
    """Makes NSEC3 records. opt_out: the flag; parameters: as of `xfer.answer.nsec3`."""

    def __init__(self, preparer: Preparer, parameters: bytes, opt_out: bool) -> None:
        self._preparer = preparer
        # Rdata up to the next hash: algorithm, flags, iterations, salt, length of the hash.
        self._front = (
            parameters[:1] + bytes((1 if opt_out else 0,)) + parameters[1:] + bytes((SIZE,))
        )

    def record(self, digest: bytes, following: bytes, bitmap: bytes) -> bytes:
        """The NSEC3 record of a hash; following: the next one in the ring."""
        rdata = self._front + following + bitmap
        return make(owner_of(digest), NSEC3, self._preparer.negative_seconds, rdata)

    def own(self, record: bytes) -> bool:
        """Whether an NSEC3 record is one of this chain."""
        return record[_RDATA:].startswith(self._front)

    def sign(self, record: bytes, old: Old) -> None:
        """Have one of its records signed."""
        key = record[: key_end(record)]
        self._preparer.rrset(key, self._preparer.wire(key), NSEC3, [record], old)

    def take(self, entries: list[bytes], following: bytes, old: Old) -> None:
        """Have the records of sorted entries signed; following: the hash behind the last."""
        last = len(entries) - 1
        for i in range(len(entries)):
            entry = entries[i]
            behind = entries[i + 1][:SIZE] if i < last else following
            self.sign(self.record(entry[:SIZE], behind, entry[SIZE:]), old)


def bitmap_in(record: bytes) -> bytes:
    """The type bitmap in an NSEC3 record."""
    at = _RDATA + 5 + record[_RDATA + 4]
    return record[at + 1 + record[at] :]


def standing(content: Content, preparer: Preparer, name: bytes, opt_out: bool) -> bytes | None:
    """The bitmap in the NSEC3 record that a name has, None where it has no record."""
    if content.cut_above(name):
        return None
    group = content.owner(name)
    if not group:
        return b"" if content.below(name) else None
    status = status_of(name, group)[0]
    if not in_chain(name, group, status, opt_out):
        return None
    return bitmap_of(preparer, name, group, status)


def existed(published: Snapshot, name: bytes) -> bool:
    """Whether a published version has anything at a name or below it."""
    start = name[:-1] if name != APEX else name
    at, index = published.seek(start)
    return at < len(published.blocks) and published.blocks[at].record(index).startswith(start)
