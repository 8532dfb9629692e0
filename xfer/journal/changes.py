"""What a version changed in its parent, stored beside it where that is little (RFC 1995 §4).

Two versions can always be compared, but of a large zone after a restart that means reading all
that they differ in. Each list of records is packed as a block, which has its spellings as well.

Everything here works inside a transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from xfer.errors import JournalDamaged, ZoneError
from xfer.journal.prepared import Prepared
from xfer.journal.tables import version_changes
from xfer.journal.versions import DIGEST_SIZE, NewVersion, Version

if TYPE_CHECKING:
    from xfer.zone.changeset import Changeset

LARGE: Final = 1 << 20
"""Octets of a zone from which on its changes are stored; versions of a smaller one are compared."""
SHARE: Final = 16
"""Changes are stored that are so many times smaller than the zone …"""
MOST: Final = 1 << 20
"""… and no more than so many octets."""

_ADD: Final = Prepared(insert(version_changes))
_OF_ONE: Final = select(version_changes).where(version_changes.c.version == bindparam("number"))

Packed = dict[str, object]


def pack(new: NewVersion) -> Packed | None:
    """The row to store, but for its version; None for changes that are not stored."""
    from xfer.zone.block import Block

    changes = new.changes
    if changes is None or new.snapshot.size < LARGE:
        return None
    if changes.octets > min(MOST, new.snapshot.size // SHARE):
        return None
    if changes.old_soa == changes.new_soa:
        return None
    removed = Block.make(changes.removed, changes.spelling_removed)
    added = Block.make(changes.added, changes.spelling_added)
    return {
        "digests": removed.digest + added.digest,
        "removed": removed.data,
        "added": added.data,
    }


def octets(packed: Packed | None) -> int:
    """What a row takes."""
    if packed is None:
        return 0
    return sum(len(value) for value in packed.values() if isinstance(value, bytes))


def add(conn: Connection, packed: Mapping[int, Packed]) -> None:
    """Store rows by version."""
    if packed:
        _ADD.run(conn, [{"version": number, **row} for number, row in packed.items()])


def read(conn: Connection, version: Version) -> Changeset | None:
    """What a version changed, None where that is not stored; raises JournalDamaged."""
    row = conn.execute(_OF_ONE, {"number": version.id}).first()
    if row is None:
        return None
    return unpack(version, row.digests, row.removed, row.added)


def unpack(version: Version, digests: bytes, removed: bytes, added: bytes) -> Changeset:
    """What is in a row; raises JournalDamaged, naming the version, where that is not sound."""
    from xfer.wire.records import SOA
    from xfer.zone.block import Block
    from xfer.zone.changeset import Changeset
    from xfer.zone.snapshot import APEX

    prefix = APEX + SOA.to_bytes(2, "big")
    sides: list[Block] = []
    soas: list[bytes] = []
    for what, data, digest in (
        ("removed", removed, digests[:DIGEST_SIZE]),
        ("added", added, digests[DIGEST_SIZE:]),
    ):
        try:
            side = Block.load(data)
        except ZoneError as error:
            raise JournalDamaged(f"{version}: {what} records: {error}") from error
        if side.digest != digest:
            raise JournalDamaged(
                f"{version}: expected {what} records with SHA-256 {digest.hex()}, "
                f"got {side.digest.hex()}"
            )
        at = side.find(prefix)
        if at == side.count or not side.record(at).startswith(prefix):
            raise JournalDamaged(f"{version}: expected an SOA among {what} records, got none")
        sides.append(side)
        soas.append(side.record(at))
    old, new = sides
    return Changeset(
        version.origin,
        soas[0],
        soas[1],
        old.records(),
        new.records(),
        old.spelling(),
        new.spelling(),
    )


def forget(conn: Connection, versions: list[int]) -> None:
    """Delete what is stored of versions."""
    conn.execute(delete(version_changes).where(version_changes.c.version.in_(versions)))
