"""The schema of this release, in SQLAlchemy Core's terms; `migrate.py` leads older files to it.

    meta            numbers of the whole journal: schema, next_version, next_block
    versions ──1:1── version_blocks    ordered block digests, 32 octets each, in one value
    versions ──1:0── version_changes   what a version changed in its parent, where that is little
    blocks   ──1:1── block_data        small rows that change, large ones that never do
    zone_state      one row a zone
    peer_states     one row a zone, peer and role; data is JSON
    marks           one row a zone and name; data is JSON
    comments        one row a record that has one; record is its identity (`zone/comments.py`)

A block with a `base` rests on the one with that id: its data is a patch for the data of the base,
which is always older.

`blocks.runs` counts, over all zones and chains, the maximal runs of consecutive versions that hold
the block. A commit touches only blocks that its predecessor lacks, and pruning only those that the
next version lacks, whatever the zone's size. What rests on a block counts as one more. A block
with no runs is an orphan. Keeping the count out of the row with the data matters, because updating
a row rewrites all of it.

There is no foreign key from digests inside version_blocks to blocks: the counts, `verify` and the
check at commit hold that relation.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

SCHEMA: Final = 4

metadata: Final = MetaData()

# SQLite's row id must be declared INTEGER; PostgreSQL would take BIGINT.
_Id: Final = BigInteger().with_variant(Integer, "sqlite")

meta: Final = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

versions: Final = Table(
    "versions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("origin", LargeBinary, nullable=False),
    Column("chain", Text, nullable=False),
    Column("parent", BigInteger),
    Column("serial", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("replaced", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("added", BigInteger),  # since schema 2, so unknown of older versions
    Column("removed", BigInteger),
    Index("versions_of_zone", "origin", "chain", "id", unique=True),
)

version_changes: Final = Table(
    "version_changes",
    metadata,
    Column("version", _Id, ForeignKey("versions.id"), primary_key=True, autoincrement=False),
    Column("digests", LargeBinary, nullable=False),
    Column("removed", LargeBinary, nullable=False),
    Column("added", LargeBinary, nullable=False),
)

version_blocks: Final = Table(
    "version_blocks",
    metadata,
    Column("version", _Id, ForeignKey("versions.id"), primary_key=True, autoincrement=False),
    Column("digests", LargeBinary, nullable=False),
)

blocks: Final = Table(
    "blocks",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("base", BigInteger),
    Index("orphans", "id", sqlite_where=text("runs = 0"), postgresql_where=text("runs = 0")),
)

block_data: Final = Table(
    "block_data",
    metadata,
    Column("id", _Id, ForeignKey("blocks.id"), primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

zone_state: Final = Table(
    "zone_state",
    metadata,
    Column("origin", LargeBinary, primary_key=True),
    Column("last_check_ok", Float),
    Column("expire_at", Float),
    Column("last_attempt", Float),
    Column("failures", Integer, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("error_peer", Text, nullable=False),
)

peer_states: Final = Table(
    "peer_states",
    metadata,
    Column("origin", LargeBinary, primary_key=True),
    Column("peer", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("data", Text, nullable=False),
)

marks: Final = Table(
    "marks",
    metadata,
    Column("origin", LargeBinary, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("data", Text, nullable=False),
)

comments: Final = Table(
    "comments",
    metadata,
    Column("origin", LargeBinary, primary_key=True),
    Column("record", LargeBinary, primary_key=True),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,  # rows in the order in which they are read
)
