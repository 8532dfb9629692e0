"""Changesets of the small zone, for tests of outgoing differences."""

from __future__ import annotations

from collections.abc import Sequence

from tests.transfer.zone import NS, ORIGIN, SOA, A, record, soa_rdata
from xfer.wire import names
from xfer.wire.records import Spelling
from xfer.zone.block import Block
from xfer.zone.changeset import Changeset, diff
from xfer.zone.snapshot import Snapshot


def host(name: str, number: int = 1) -> bytes:
    """An A record of `name`.example.com."""
    return record(f"{name}.example.com.", A, number.to_bytes(4, "big"))


def version(
    serial: int, records: Sequence[bytes] = (), spelling: Spelling | None = None
) -> Snapshot:
    """A version with these records, in blocks of at most 100."""
    apex = [
        record("example.com.", SOA, soa_rdata(serial)),
        record("example.com.", NS, names.from_text("ns1.example.com.")),
    ]
    whole = sorted([*apex, *records])
    return Snapshot(
        ORIGIN,
        [Block.make(whole[at : at + 100], spelling or {}) for at in range(0, len(whole), 100)],
    )


def changes(old: Snapshot, new: Snapshot) -> Changeset:
    """What leads from one to the other."""
    return diff(old, new)
