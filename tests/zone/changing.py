"""Versions of a zone for tests of changes: small random ones in any split, and how they change."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.strategies import ORIGIN, Entry, entries, message, ns_entry, parse, soa_entry
from xfer.wire.parse import Batch
from xfer.wire.records import rrset_end
from xfer.zone.apply import Applier
from xfer.zone.block import Block
from xfer.zone.build import Builder
from xfer.zone.changeset import Changeset
from xfer.zone.check import Grade, Policy
from xfer.zone.deltas import Deltas
from xfer.zone.snapshot import Snapshot

LAX = Policy(
    {
        "cname-and-other": Grade.WARN,
        "several-cnames": Grade.WARN,
        "several-dnames": Grade.WARN,
        "soa-below-apex": Grade.WARN,
    }
)


def build(listed: Sequence[Entry], serial: int, policy: Policy = LAX) -> Snapshot:
    """A version of these records and an apex of its own."""
    builder = Builder(ORIGIN, policy)
    whole = [soa_entry(ORIGIN, serial), ns_entry(), *listed]
    for start in range(0, len(whole), 7):
        builder.add(parse(message([entry.wire() for entry in whole[start : start + 7]])))
    while builder.step():
        pass
    return builder.snapshot()


def split(snapshot: Snapshot, places: Sequence[int]) -> Snapshot:
    """The same version, cut into blocks wherever an RRset begins and `places` says so."""
    records = list(snapshot.records())
    starts = [
        i
        for i in range(1, len(records))
        if not records[i].startswith(records[i - 1][: rrset_end(records[i - 1])])
    ]
    chosen = sorted({starts[place % len(starts)] for place in places}) if starts else []
    spelling = snapshot.spelling()
    edges = zip([0, *chosen], [*chosen, len(records)], strict=True)
    return Snapshot(
        snapshot.origin, [Block.make(records[start:stop], spelling) for start, stop in edges]
    )


def _swapped(octets: bytes) -> bytes:
    """Letters of the first label in the other case; a length octet is never a letter here."""
    return octets[:1] + octets[1 : 1 + octets[0]].swapcase() + octets[1 + octets[0] :]


@st.composite
def versions(draw: st.DrawFn, most: int = 3) -> list[Snapshot]:
    """Up to `most` (two at least) versions with serials from 1: records of one pool come, go,
    come back, get another TTL or another spelling; each version is split in its own way."""
    pool = draw(st.lists(entries(), min_size=1, max_size=12))
    out = []
    for serial in range(1, draw(st.integers(2, most)) + 1):
        listed = []
        for entry in pool:
            what = draw(st.sampled_from(["as is", "as is", "gone", "ttl", "case"]))
            if what == "as is":
                listed.append(entry)
            elif what == "ttl":
                listed.append(Entry(entry.owner, entry.rtype, 77, entry.rdata))
            elif what == "case":
                listed.append(Entry(_swapped(entry.owner), entry.rtype, entry.ttl, entry.rdata))
        places = draw(st.lists(st.integers(0, 40), max_size=6))
        out.append(split(build(listed, serial), places))
    return out


def content(snapshot: Snapshot) -> tuple[list[bytes], dict[bytes, tuple[bytes, bytes]]]:
    """All that makes a version, however it is cut."""
    return list(snapshot.records()), snapshot.spelling()


def listed(changes: Changeset) -> tuple[object, ...]:
    """All that makes a changeset."""
    return (
        changes.origin,
        changes.old_soa,
        changes.new_soa,
        changes.removed,
        changes.added,
        changes.spelling_removed,
        changes.spelling_added,
    )


def batch(records: Sequence[bytes], spelling: dict[bytes, tuple[bytes, bytes]] | None) -> Batch:
    """Records as a message brings them, of which `spelling` may know some."""
    out = Batch()
    for record in records:
        out.add(record, spelling.get(record) if spelling else None)
    return out


def feed(deltas: Deltas, changes: Changeset, size: int = 1000) -> None:
    """One delta, so many records a message."""
    for start in range(0, len(changes.removed), size):
        part = changes.removed[start : start + size]
        deltas.delete(batch(part, changes.spelling_removed))
    for start in range(0, len(changes.added), size):
        part = changes.added[start : start + size]
        deltas.add(batch(part, changes.spelling_added))


def applied(snapshot: Snapshot, deltas: Deltas, policy: Policy = LAX) -> Applier:
    """The applier when it has done its work."""
    applier = Applier(snapshot, deltas, policy)
    while applier.step():
        pass
    return applier
