"""How much history a zone keeps, and forgetting the rest (REQUIREMENTS C9).

Everything here works inside a transaction of the caller's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from sqlalchemy import Connection, delete, select

from xfer.journal import blocks
from xfer.journal.tables import version_blocks, versions
from xfer.journal.versions import Retention

PRUNE_AT_ONCE: Final = 64
"""Versions that one transaction forgets."""


def kept(history: Sequence[tuple[int, int]], keep: Retention) -> int:
    """How many versions stay, of (octets, octets replaced) newest first.

    The share is of the largest version that stays, so that a zone which lost most of its records
    does not lose the version to go back to as well.
    """
    cost = largest = 0
    for number, (size, _) in enumerate(history[: keep.versions]):
        if number:
            cost += history[number - 1][1]  # the price of this version beside the newer ones
        largest = max(largest, size)
        if number and cost > max(keep.floor, keep.share * largest):
            return number
    return min(len(history), keep.versions)


def overgrown(
    conn: Connection, zones: Sequence[tuple[bytes, str]], keep: Retention
) -> list[tuple[bytes, str]]:
    """Those of the zones, by origin and chain, that hold more than `keep` allows."""
    history: dict[tuple[bytes, str], list[tuple[int, int]]] = {}
    rows = conn.execute(
        select(versions.c.origin, versions.c.chain, versions.c.size, versions.c.replaced)
        .where(versions.c.origin.in_([origin for origin, _ in zones]))
        .order_by(versions.c.id.desc())
    )
    for row in rows:
        history.setdefault((row.origin, row.chain), []).append((row.size, row.replaced))
    return [
        zone for zone in zones if kept(history.get(zone, []), keep) < len(history.get(zone, []))
    ]


def prune_some(conn: Connection, origin: bytes, chain: str, keep: Retention) -> int:
    """Forget up to PRUNE_AT_ONCE of the oldest versions beyond `keep`; returns how many."""
    rows = conn.execute(
        select(versions.c.id, versions.c.size, versions.c.replaced)
        .where(versions.c.origin == origin, versions.c.chain == chain)
        .order_by(versions.c.id.desc())
    ).all()
    stay = kept([(row.size, row.replaced) for row in rows], keep)
    oldest_first = [row.id for row in rows][::-1]
    ids = oldest_first[: min(len(rows) - stay, PRUNE_AT_ONCE)]
    if ids:
        _forget(conn, ids, oldest_first[len(ids)])
    return len(ids)


def _forget(conn: Connection, ids: Sequence[int], follower: int) -> None:
    """Delete the oldest versions of a chain; `follower` is the one that comes after them."""
    rows = conn.execute(
        select(version_blocks).where(version_blocks.c.version.in_([*ids, follower]))
    )
    lists = {row.version: frozenset(blocks.split(row.digests)) for row in rows}
    ended: Counter[bytes] = Counter()
    for one, after in pairwise([*ids, follower]):
        ended.subtract(lists[one] - lists[after])
    blocks.count(conn, ended)
    conn.execute(delete(version_blocks).where(version_blocks.c.version.in_(ids)))
    conn.execute(delete(versions).where(versions.c.id.in_(ids)))
