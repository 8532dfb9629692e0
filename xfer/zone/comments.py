"""Comments of records: what stands behind `;` after a record in a zone file (REQUIREMENTS A34).

A comment belongs to a record by its *identity*: owner, type and rdata without TTL and case, so that
it outlives a new TTL; of an SOA owner and type alone, since its serial changes with every version.
Identities sort as records do, up to the order within an RRset.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import attrs

from xfer.wire import records
from xfer.zone.block import Block
from xfer.zone.check import Finding, Grade
from xfer.zone.snapshot import Snapshot

RULE = "comments"  # what findings about them are called


def identity(record: bytes) -> bytes:
    """What of a record its comment is bound to."""
    end = records.rrset_end(record)
    if record[end - 2 : end] == b"\0\6":  # SOA; of an RRSIG, the type covered
        return record[:end]
    return record[:end] + record[end + 4 :]


def reach(block: Block) -> tuple[bytes, bytes]:
    """Identities of a block's records lie from the first of these to below the second."""
    last = block.last[: records.rrset_end(block.last)]
    return (
        block.first[: records.rrset_end(block.first)],
        (int.from_bytes(last, "big") + 1).to_bytes(len(last), "big"),
    )


def held(snapshot: Snapshot, identities: Iterable[bytes]) -> list[bytes]:
    """Those of the sorted identities whose record is in the snapshot."""
    found: list[bytes] = []
    for prefix, some in groupby(identities, _prefix):
        there = {identity(record) for record in snapshot.having(prefix)}
        found += [item for item in some if item in there]
    return found


def _prefix(item: bytes) -> bytes:
    return item[: records.rrset_end(item)]


@attrs.define(eq=False)
class Collector:
    """Takes comments while a zone file is read, within limits.

    most: records with a comment; longest: characters of one; found: identity → comment, one line
    of printable characters.
    """

    most: int
    longest: int
    found: dict[bytes, str] = attrs.field(factory=dict, init=False)
    cut: int = attrs.field(default=0, init=False)
    left_out: int = attrs.field(default=0, init=False)

    def add(self, record: bytes, comment: str) -> None:
        """Keep the comment of a record, where there is anything in it."""
        text = comment.strip()
        if not text.isprintable():  # a terminal may act on what is not
            text = "".join(c if c.isprintable() else " " for c in text).strip()
        if not text:
            return
        if len(text) > self.longest:
            text = text[: self.longest].rstrip()
            self.cut += 1
        item = identity(record)
        if len(self.found) >= self.most and item not in self.found:
            self.left_out += 1
        else:
            self.found[item] = text

    def findings(self, origin: bytes) -> list[Finding]:
        """What was not kept, for the operator."""
        said = []
        if self.cut:
            said.append(
                f"{_comments(self.cut)} cut to {self.longest} characters (limits.comment_length)"
            )
        if self.left_out:
            said.append(
                f"{_comments(self.left_out)} left out beyond the first {self.most} "
                "(limits.comments)"
            )
        return [Finding(RULE, Grade.WARN, origin, 0, text) for text in said]


def _comments(count: int) -> str:
    return "1 comment was" if count == 1 else f"{count} comments were"
