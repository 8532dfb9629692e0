"""The kept versions of a zone: which there are, what was in one, what changed between two.

A version is named by its serial ("2024101100": the newest with it), by its number in the journal
("v17"), or by a time ("@1729512000": what was served then, Unix seconds). Serials may repeat, after
a forced transfer for instance; numbers do not.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterator

import attrs

from xfer.journal import Journal, Version
from xfer.journal.versions import RECEIVED
from xfer.server.executor import Executor
from xfer.server.status import NoSuchVersion, VersionStatus
from xfer.server.zones import Zone
from xfer.zone.snapshot import Snapshot

SHOWN = 10  # serials that an error lists
SIGNED = "signed"  # kind of the versions that are made of content by signing it


@attrs.frozen
class Named:
    """A version as the operator names it; exactly one is not None."""

    serial: int | None = None
    number: int | None = None
    at: float | None = None

    @staticmethod
    def parse(text: str) -> Named:
        """ "2024101100", "v17" or "@1729512000". Raises NoSuchVersion."""
        kind, digits = (text[:1], text[1:]) if text[:1] in ("v", "@") else ("", text)
        try:
            if kind == "@":
                return Named(at=float(digits))
            if digits.isascii() and digits.isdigit() and int(digits) < 1 << 32:
                return Named(number=int(digits)) if kind else Named(serial=int(digits))
        except ValueError:
            pass
        raise NoSuchVersion(
            f"expected a serial, a version like v17 or a time like @1729512000, got {text!r}"
        )

    def __str__(self) -> str:
        if self.serial is not None:
            return f"serial {self.serial}"
        if self.number is not None:
            return f"version v{self.number}"
        assert self.at is not None
        try:
            when = datetime.datetime.fromtimestamp(self.at, datetime.UTC)
        except (ValueError, OverflowError, OSError):
            return f"a version at {self.at}"
        return f"a version served at {when:%Y-%m-%d %H:%M:%S}Z"


@attrs.define(eq=False)
class History:
    """Reads versions out of the journal, off the event loop."""

    journal: Journal
    executor: Executor

    async def versions(self, zone: Zone, limit: int) -> list[VersionStatus]:
        """The kept versions, newest first."""
        found = await self.executor.run(self.journal.versions, zone.origin, "published", limit)
        served = zone.version.id if zone.version is not None else None
        return [
            VersionStatus(
                version=version.id,
                serial=version.serial,
                at=version.created,
                source=version.source,
                kind=version.kind,
                records=version.count,
                added=version.added,
                removed=version.removed,
                served=version.id == served,
            )
            for version in found
        ]

    async def find(self, zone: Zone, named: Named) -> Version:
        """The version meant. Raises NoSuchVersion, naming those that are kept."""
        return await self.executor.run(self._find, zone, named)

    async def newest(self, zone: Zone) -> int | None:
        """The serial of the newest content listed, whether or not it can be read."""
        found = await self.executor.run(self.journal.latest, zone.origin, zone.content_chain)
        return found.serial if found is not None else None

    async def load(self, zone: Zone, version: Version) -> Snapshot:
        """Its content; blocks that the served version has too are not read again."""
        if zone.version is not None and version.id == zone.version.id and zone.snapshot is not None:
            return zone.snapshot
        return await self.executor.run(self.journal.load, version, zone.snapshot)

    async def content(self, zone: Zone, version: Version) -> Snapshot:
        """The content of a published version: where that was signed here, what it was made of.

        Raises NoSuchVersion where that is not kept any more.
        """
        if version.kind != SIGNED:
            return await self.load(zone, version)
        made_of = await self.executor.run(self._made_of, version)
        if made_of is None:
            raise NoSuchVersion(
                f"expected the content of {zone.name} serial {version.serial} before it was "
                "signed, which is not kept any more"
            )
        return await self.executor.run(self.journal.load, made_of, zone.content)

    async def diff(self, zone: Zone, old: Named, new: Named) -> AsyncIterator[bytes]:
        """What changed from one version to another, as text in pieces (`xfer.zone.difftext`)."""
        # dnspython is slow to import, and most daemons never need it.
        from xfer.zone.changeset import Differ
        from xfer.zone.difftext import diff_pieces

        before, after = await self.find(zone, old), await self.find(zone, new)
        differ = Differ(await self.load(zone, before), await self.load(zone, after))
        while await self.executor.run(differ.step):
            pass
        yield f"--- {_title(zone, before)}\n+++ {_title(zone, after)}\n".encode()
        async for piece in self.pieces(diff_pieces(differ.changeset())):
            yield piece

    async def pieces(self, pieces: Iterator[str]) -> AsyncIterator[bytes]:
        """Text that is made piece by piece, off the event loop."""
        while (piece := await self.executor.run(next, pieces, None)) is not None:
            if piece:
                yield piece.encode()

    def _made_of(self, version: Version) -> Version | None:
        """What came last before a version that was signed here. Numbers tell, not times: clocks
        are set back."""
        came = self.journal.versions(version.origin, RECEIVED)
        return next((one for one in came if one.id < version.id), None)

    def _find(self, zone: Zone, named: Named) -> Version:
        journal = self.journal
        found = None
        if named.serial is not None:
            found = journal.with_serial(zone.origin, named.serial)
        elif named.at is not None:
            found = journal.at(zone.origin, named.at)
        elif named.number is not None:
            found = journal.with_id(named.number)
            if found is not None and found.origin != zone.origin:
                found = None
        if found is None:
            kept = journal.versions(zone.origin, limit=SHOWN + 1)
            listed = ", ".join(f"{v.serial} (v{v.id})" for v in kept[:SHOWN])
            more = " and older ones" if len(kept) > SHOWN else ""
            raise NoSuchVersion(
                f"expected {named} among the kept versions of {zone.name}, got none; there are: "
                f"{listed or 'none at all'}{more}"
            )
        return found


def _title(zone: Zone, version: Version) -> str:
    return f"{zone.name} serial {version.serial}, version v{version.id}"
