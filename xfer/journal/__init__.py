"""The journal: every version of every zone, durable before it is served (DESIGN §2).

    versions.py   what goes in and comes out: NewVersion, Version, ZoneState, PeerState, Mark
    tables.py     the schema          migrate.py  how older ones become this one
    sqlite.py     all that is SQLite's own       lock.py  one writing process
    turns.py      one writing thread at a time, first come first served
    blocks.py     blocks stored once, or as a patch of another, written ahead, collected
    changes.py    what versions changed, where that is little
    states.py     rows beside the versions: of zones, of peers, marks
    comments.py   and comments of records
    flip.py       the transaction that makes versions         history.py  and what they cost
    reading.py    what a Journal says  store.py  and takes    committer.py  GroupCommitter
    audit.py      verify and stats    backup.py  backup and restore

A version is a list of block digests, and a block is stored once however many versions, or zones,
hold it. Blocks are written ahead; the version then flips in one tiny transaction, and what returns
from a commit is on disk.
"""

from xfer.journal.committer import GroupCommitter
from xfer.journal.reading import Readable
from xfer.journal.store import Journal
from xfer.journal.versions import (
    JSON,
    Mark,
    NewVersion,
    PeerState,
    Retention,
    Version,
    ZoneState,
)

__all__ = [
    "JSON",
    "GroupCommitter",
    "Journal",
    "Mark",
    "NewVersion",
    "PeerState",
    "Readable",
    "Retention",
    "Version",
    "ZoneState",
]
