"""Comments of a primary zone's records, on their way between zone files and the journal.

They are no part of a version, and have no serial: who changes only comments makes no version. With
a version, new comments are stored before it and old ones removed after it, so that a crash between
leaves comments too many, never too few. Everything here runs in worker threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from xfer.journal import Journal
from xfer.zone.block import Block
from xfer.zone.comments import Collector, held, reach
from xfer.zone.snapshot import Snapshot

_PIECE = 2_000  # comments read at a time


@attrs.frozen
class CommentChange:
    """What new content does to the comments of its zone.

    new: set, by identity; gone: removed; count: records of the content whose comment changes.
    """

    new: Mapping[bytes, str] = attrs.field(factory=dict)
    gone: tuple[bytes, ...] = ()
    count: int = 0

    def before(self, journal: Journal, origin: bytes) -> None:
        """To be called before the version is published. Raises JournalError."""
        if self.new:
            journal.change_comments(origin, self.new)

    def after(self, journal: Journal, origin: bytes) -> None:
        """To be called once it is published, or where there is none. Raises JournalError."""
        if self.gone:
            journal.change_comments(origin, {}, self.gone)


def compare(journal: Journal, snapshot: Snapshot, found: Collector) -> CommentChange:
    """What to change so that the records of the snapshot have the comments that were found.

    Comments of records that are not in it are kept for a rollback, as far as the limit allows.
    """
    origin = snapshot.origin
    new = dict(found.found)
    stale = []
    for item, text in _stored(journal, origin):
        wanted = found.found.get(item)
        if wanted is None:
            stale.append(item)
        elif wanted == text:
            del new[item]
    removed = held(snapshot, stale)
    gone = removed if len(found.found) + len(stale) - len(removed) <= found.most else stale
    return CommentChange(new, tuple(gone), len(new) + len(removed))


def of_blocks(
    journal: Journal, snapshot: Snapshot
) -> Callable[[Block], Mapping[bytes, str]] | None:
    """Gives the comments of a block's records; None where the zone has none at all."""
    origin = snapshot.origin
    if not journal.comments(origin, limit=1):
        return None

    def read(block: Block) -> Mapping[bytes, str]:
        low, high = reach(block)
        return dict(journal.comments(origin, low, high))

    return read


def _stored(journal: Journal, origin: bytes) -> Iterator[tuple[bytes, str]]:
    """All comments of a zone, read in pieces."""
    low = b""
    while some := journal.comments(origin, low, limit=_PIECE):
        yield from some
        low = some[-1][0] + b"\0"
