"""How much history a zone keeps, and forgetting the rest (REQUIREMENTS C9).

Everything here works inside a transaction of the caller's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from sqlalchemy import Connection, delete, select

from xfer.journal import blocks, changes
from xfer.journal.tables import version_blocks, versions
from xfer.journal.versions import Retention

PRUNE_AT_ONCE: Final = 64
"""Versions that one transaction forgets."""
_PAST: Final = (versions.c.size, versions.c.replaced, versions.c.created)


Past = tuple[int, int, float]
"""Of one version: octets, octets it replaced, when it was committed."""


def kept(history: Sequence[Past], keep: Retention, now: float) -> int:
    """How many versions stay, of the zone's versions newest first; now: Unix seconds.

    A version was replaced when the one after it was committed. The share is of the largest version
    that stays, so that a zone which lost most of its records does not lose the version to go back
    to as well.
    """
    cost = largest = 0
    for number, (size, _, _) in enumerate(history[: keep.versions]):
        if number:
            _, replaced, when = history[number - 1]
            if keep.age and now - when > keep.age:
                return number
            cost += replaced  # the price of this version beside the newer ones
        largest = max(largest, size)
        if number and cost > max(keep.floor, keep.share * largest):
            return number
    return min(len(history), keep.versions)


def overgrown(
    conn: Connection, zones: Sequence[tuple[bytes, str]], keep: Retention, now: float
) -> list[tuple[bytes, str]]:
    """Those of the zones, by origin and chain, that hold more than `keep` allows."""
    history: dict[tuple[bytes, str], list[Past]] = {}
    rows = conn.execute(
        select(versions.c.origin, versions.c.chain, *_PAST)
        .where(versions.c.origin.in_([origin for origin, _ in zones]))
        .order_by(versions.c.id.desc())
    )
    for row in rows:
        history.setdefault((row.origin, row.chain), []).append(
            (row.size, row.replaced, row.created)
        )
    return [
        zone
        for zone in zones
        if kept(history.get(zone, []), keep, now) < len(history.get(zone, []))
    ]


def prune_some(conn: Connection, origin: bytes, chain: str, keep: Retention, now: float) -> int:
    """Forget up to PRUNE_AT_ONCE of the oldest versions beyond `keep`; returns how many."""
    rows = conn.execute(
        select(versions.c.id, *_PAST)
        .where(versions.c.origin == origin, versions.c.chain == chain)
        .order_by(versions.c.id.desc())
    ).all()
    stay = kept([(row.size, row.replaced, row.created) for row in rows], keep, now)
    oldest_first = [row.id for row in rows][::-1]
    ids = oldest_first[: min(len(rows) - stay, PRUNE_AT_ONCE)]
    if ids:
        _forget(conn, ids, oldest_first[len(ids)])
    return len(ids)


def prune_several(
    conn: Connection, zones: Sequence[tuple[bytes, str]], keep: Retention, now: float
) -> list[tuple[bytes, str]]:
    """Forget about PRUNE_AT_ONCE versions of the zones; returns those that may have more to go."""
    left: list[tuple[bytes, str]] = []
    room = PRUNE_AT_ONCE
    for zone in zones:
        gone = prune_some(conn, *zone, keep, now) if room > 0 else PRUNE_AT_ONCE
        room -= gone
        if gone == PRUNE_AT_ONCE:
            left.append(zone)
    return left


def forget_some(conn: Connection, origin: bytes) -> int:
    """Forget up to PRUNE_AT_ONCE of a zone's versions, one chain after the other, oldest first."""
    rows = conn.execute(
        select(versions.c.id, versions.c.chain)
        .where(versions.c.origin == origin)
        .order_by(versions.c.chain, versions.c.id)
        .limit(PRUNE_AT_ONCE + 1)
    ).all()
    one_chain = [row.id for row in rows if row.chain == rows[0].chain]
    ids = one_chain[:PRUNE_AT_ONCE]
    if ids:
        _forget(conn, ids, one_chain[len(ids)] if len(one_chain) > len(ids) else None)
    return len(ids)


def _forget(conn: Connection, ids: Sequence[int], follower: int | None) -> None:
    """Delete the oldest versions of a chain; `follower` comes after them, None where none does."""
    wanted = list(ids) if follower is None else [*ids, follower]
    rows = conn.execute(select(version_blocks).where(version_blocks.c.version.in_(wanted)))
    lists = {row.version: frozenset(blocks.split(row.digests)) for row in rows}
    content = [lists[number] for number in wanted] + ([frozenset()] if follower is None else [])
    ended: Counter[bytes] = Counter()
    for one, after in pairwise(content):
        ended.subtract(one - after)
    blocks.count(conn, ended)
    changes.forget(conn, list(ids))
    conn.execute(delete(version_blocks).where(version_blocks.c.version.in_(ids)))
    conn.execute(delete(versions).where(versions.c.id.in_(ids)))
