"""What the checks have left out because of other records, and why IXFR does not mend it.

A CNAME is dropped for the data beside it. Where the primary removes that data, its IXFR does not
bring the CNAME, which it has had all along; what comes of it is not its zone. So while a version
lacks such records, the zone is asked for whole. Records that are dropped for what they are alone
(out of the zone, an SOA below the apex) stay dropped, whatever changes beside them.

Where the zone has a ZONEMD, nothing may lack: its digest is of all that the primary has, TTLs too,
and only a whole zone says what the checks have mended.

Which version that is, by its root, is stored with it and outlives a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from xfer.journal import Mark
from xfer.server.zones import Zone
from xfer.zone.check import Finding, Grade
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonemd import has_zonemd

MARK: Final = "dropped"
BECAUSE_OF_OTHERS: Final = frozenset(
    ("cname-and-other", "several-cnames", "several-dnames", "rrset-size")
)
DIGESTED: Final = BECAUSE_OF_OTHERS | {"soa-below-apex", "ttl-mismatch"}


def marks_of(snapshot: Snapshot, findings: Iterable[Finding]) -> tuple[Mark, ...]:
    """The mark to be stored with a version from a primary, where it lacks such records."""
    rules = DIGESTED if has_zonemd(snapshot) else BECAUSE_OF_OTHERS
    for finding in findings:
        mended = finding.grade is Grade.DROP or finding.rule == "ttl-mismatch"
        if mended and finding.rule in rules:
            return (Mark(snapshot.origin, MARK, {"root": snapshot.root.hex()}),)
    return ()


def restore(zone: Zone, marks: Sequence[Mark]) -> None:
    """Know again what the marks say; one that cannot be read is held to mean what is served."""
    for mark in marks:
        if mark.name == MARK and zone.content is not None:
            root = mark.data.get("root")
            zone.lacking = root if isinstance(root, str) else zone.content.root.hex()
