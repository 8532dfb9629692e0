"""What came of verifying a version's ZONEMD (RFC 8976), kept beside it in the journal.

It is known once a version has been built (`Snapshot.zonemd`), and is not looked for again at a
restart: what the journal gives back is what was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xfer.journal import Mark
from xfer.server.zones import Zone
from xfer.zone.snapshot import Snapshot

MARK: Final = "zonemd"


def marks_of(snapshot: Snapshot) -> tuple[Mark, ...]:
    """The mark to be stored with a version that has a ZONEMD."""
    if not snapshot.zonemd:
        return ()
    data = {"root": snapshot.root.hex(), "verdict": snapshot.zonemd}
    return (Mark(snapshot.origin, MARK, data),)


def restore(zone: Zone, marks: Sequence[Mark]) -> None:
    """Know again what came of it, where the mark is of the content that the zone has."""
    content = zone.content
    if content is None:
        return
    for mark in marks:
        verdict = mark.data.get("verdict")
        if mark.name == MARK and mark.data.get("root") == content.root.hex():
            content.zonemd = verdict if isinstance(verdict, str) else ""
