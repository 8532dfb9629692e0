"""A changeset as text: what was removed and what was added, a record a line, in canonical order.

    --- example.com. serial 7, version 12
    +++ example.com. serial 9, version 14
    -www.example.com.    300    IN    A    192.0.2.1
    +www.example.com.    300    IN    A    192.0.2.2

Removed lines of an owner name stand before its added ones, as in a unified diff without context.
"""

from __future__ import annotations

from collections.abc import Iterator

from xfer.wire import names, records
from xfer.wire.records import Spelling
from xfer.zone.changeset import Changeset
from xfer.zone.zonefile import rdata_text

_PIECE = 1_000  # lines in a piece


def record_line(record: bytes, spelling: Spelling, origin: bytes) -> str:
    """Owner, TTL, class, type and rdata, separated by tabs, in the case that the record came in."""
    key, rtype, _, ttl, rdata = records.split(record)
    found = spelling.get(record)
    owner = names.wire_of(key, origin)
    if found is not None:
        owner, rdata = found
    return (
        f"{names.to_text(owner)}\t{ttl}\tIN\t{records.type_text(rtype)}\t{rdata_text(rtype, rdata)}"
    )


def diff_pieces(changes: Changeset) -> Iterator[str]:
    """The lines of a changeset, in pieces of bounded size, for whoever writes piece by piece."""
    lines: list[str] = []
    removed, added = changes.removed, changes.added
    r = a = 0
    while r < len(removed) or a < len(added):
        if a == len(added):
            first = True
        elif r == len(removed):
            first = False
        else:
            first = _owner(removed[r]) <= _owner(added[a])
        if first:
            lines.append(f"-{record_line(removed[r], changes.spelling_removed, changes.origin)}\n")
            r += 1
        else:
            lines.append(f"+{record_line(added[a], changes.spelling_added, changes.origin)}\n")
            a += 1
        if len(lines) >= _PIECE:
            yield "".join(lines)
            lines = []
    yield "".join(lines)


def _owner(record: bytes) -> bytes:
    return record[: records.key_end(record)]
