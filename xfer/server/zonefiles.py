"""Primary zones from files: published at the start and at a reload, where their content is new.

A primary zone may change in two places, its file and the journal (edits, imports, rollbacks). Mark
"file" holds the digest of the file as it last was when file and zone agreed, and of what was served
then, and whether comments of records were edited since, which makes no version; so it is known
which of the two has changed:

    file      zone
    same      same       nothing to do, and the file is not even parsed
    same      changed    the zone goes on serving
    changed   same       the file is published, under its own serial where that is newer
    changed   changed    the zone goes on serving, and its error says how to take either

A zone that came from a primary before it became one itself, and never had a file, takes the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import structlog

from xfer.clock import Clock
from xfer.config_keys import SerialPolicy
from xfer.dnssec.keystate import ZoneKeys
from xfer.dnssec.returned import without_ours
from xfer.errors import Failure, TransferError, XferError, ZoneFileError
from xfer.journal import JSON, Journal, Mark, Version
from xfer.server.comments import CommentChange, compare
from xfer.server.executor import Executor
from xfer.server.following import Following, follow
from xfer.server.publish import Candidate, Publisher
from xfer.server.serials import last_given
from xfer.server.status import FailureReport, Outcome
from xfer.server.zones import Zone
from xfer.zone.check import Finding, Policy
from xfer.zone.comments import Collector
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()

MARK = "file"
TRANSFERRED = ("axfr", "ixfr")  # kinds of versions that came from primaries
_PIECE = 1 << 20


class BothChanged(XferError):
    """The zone file and the zone have both changed since they agreed."""


@attrs.frozen
class _Readable:
    """A zone file and how it is read."""

    origin: bytes
    path: Path
    policy: Policy
    max_records: int
    comments: Collector
    keys: ZoneKeys | None = None

    def parse(self, served: Snapshot | None) -> tuple[Snapshot, list[Finding]]:
        # dnspython is slow to import, and most daemons have no zone files.
        from xfer.zone.zonefile import read_zone_file

        snapshot, findings = read_zone_file(
            self.path, self.origin, self.policy, served, self.max_records, self.comments
        )
        return without_ours(snapshot, self.keys), findings


@attrs.define(eq=False)
class ZoneFiles:
    """Publishes zone files, and remembers what of them was published."""

    journal: Journal
    publisher: Publisher
    executor: Executor
    clock: Clock

    async def publish(
        self, zone: Zone, policy: Policy, max_records: int, comments: Collector
    ) -> Outcome:
        """Read the zone's file where it has changed, and publish it where nothing else has.

        The caller has the zone for itself. What fails is recorded in `zone.error`, and the old
        version goes on serving.
        """
        start = self.clock.monotonic()
        path = zone.config.file
        if path is None:
            return Outcome(True, True, "the zone has no file", zone.name)
        serial_from = zone.content_serial
        keys = zone.signing.keys if zone.signing is not None else None
        readable = _Readable(zone.origin, path, policy, max_records, comments, keys)
        try:
            message, candidate, remarks = await self.executor.run(
                self._read,
                readable,
                zone.config.serial,
                zone.content,
                zone.content_version,
                zone.content_serials(),
                zone.content_chain,
            )
            if candidate is not None:
                with self.journal.write_ahead() as ahead:
                    await self.publisher.publish(zone, candidate, ahead)
            await self.executor.run(remarks.after, self.journal, zone.origin)
        except XferError as error:
            return self._refused(zone, path, error)
        zone.error = None
        if candidate is None:
            return Outcome(True, True, message, zone.name)
        if zone.signing is not None and zone.signing.error:
            message = f"serial {candidate.snapshot.serial} from {path} {zone.served_as()}"
        log.info(
            "zone file",
            zone=zone.name,
            file=str(path),
            kind="file",
            serial_from=serial_from,
            serial_to=candidate.snapshot.serial,
            records=candidate.snapshot.count,
            seconds=round(self.clock.monotonic() - start, 6),
            note=message,
        )
        return Outcome(True, True, message, zone.name, kind="file")

    def _refused(self, zone: Zone, path: Path, error: XferError) -> Outcome:
        failure = Failure.CONTENT
        if isinstance(error, TransferError):
            failure = error.failure
        elif isinstance(error, BothChanged):
            failure = Failure.POLICY
        hint = ""
        if isinstance(error, BothChanged):
            hint = (
                f"`xfer zone import {zone.name} {path}` takes the file, `xfer zone export "
                f"{zone.name} -o {path}` and then `xfer reload` keeps the zone"
            )
        zone.error = FailureReport(failure.value, str(error), self.clock.wall(), hint)
        log.error("zone file refused", zone=zone.name, file=str(path), error=str(error))
        return Outcome(False, True, str(error), zone.name, failure=zone.error)

    # -- in a worker thread

    def _read(
        self,
        file: _Readable,
        serial: SerialPolicy,
        served: Snapshot | None,
        version: Version | None,
        known: Sequence[int | None],
        chain: str,
    ) -> tuple[str, Candidate | None, CommentChange]:
        """What there is to say, what to publish, None for nothing, and whose comments change."""
        none = CommentChange()
        origin, path = file.origin, file.path
        digest = digest_of(path)
        mark = _mark(self.journal, origin)
        commented = bool(mark.get("comments"))
        as_marked = served is not None and mark.get("root") == served.root.hex() and not commented
        if version is not None and mark.get("digest") == digest:
            if as_marked:
                return f"{path} has what is served (serial {version.serial})", None, none
            if version.kind != "file" or commented:
                return _unchanged(path, version), None, none
            # An older version, because the one from this file cannot be read any more.
        snapshot, findings = file.parse(served)
        last = None
        if served is not None and mark.get("digest") != digest:
            newest = self.journal.latest(origin, chain)
            stored = newest.serial if newest is not None else None
            last = last_given(served.serial, [stored, *known])
        found = follow(snapshot, served, serial, self.clock.wall(), last)
        remarks = compare(self.journal, snapshot, file.comments)
        if served is not None and not found.changed:
            remarks.before(self.journal, origin)
            self.journal.set_mark(mark_of(origin, digest, snapshot.serial, served))
            return f"{path} has what is served (serial {served.serial})", None, remarks
        edited = version is not None and (version.kind != "file" or commented)
        if version is not None and edited and not as_marked:
            first_file = not mark and version.kind in TRANSFERRED
            if not (first_file or found.only_serial):
                raise BothChanged(_both(path, snapshot.serial, version, mark))
        remarks.before(self.journal, origin)
        candidate = Candidate(
            found.snapshot,
            tuple(findings),
            f"file {path}" + (f" (its serial {snapshot.serial} was not newer)" * bool(found.note)),
            "file",
            changes=found.changes,
            marks=(mark_of(origin, digest, snapshot.serial, found.snapshot),),
        )
        return _published(path, found, snapshot.serial), candidate, remarks


def mark_of(origin: bytes, digest: str, serial: int, served: Snapshot) -> Mark:
    """That the file with that digest and serial, and what is served, agree."""
    return Mark(origin, MARK, {"digest": digest, "serial": serial, "root": served.root.hex()})


def commented(journal: Journal, origin: bytes) -> tuple[Mark, ...]:
    """That comments were edited since file and zone agreed; nothing where they never did."""
    known = _mark(journal, origin)
    return (Mark(origin, MARK, {**known, "comments": True}),) if known else ()


def _mark(journal: Journal, origin: bytes) -> Mapping[str, JSON]:
    return next((mark.data for mark in journal.marks(origin) if mark.name == MARK), {})


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises ZoneFileError."""
    digest = hashlib.sha256()
    try:
        if path.is_fifo():  # whoever opens it waits for a writer, maybe for ever
            raise ZoneFileError(str(path), 0, "expected a zone file, got a named pipe")
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise ZoneFileError(
            str(path),
            0,
            f"expected a zone file that can be read, got: {error.strerror or error} "
            "(`xfer zone export ZONE -o FILE` writes one where the zone is served)",
        ) from None
    return digest.hexdigest()


def _unchanged(path: Path, version: Version) -> str:
    return (
        f"{path} has not changed since it was published, and the zone has: serial "
        f"{version.serial} ({version.source}) goes on serving"
    )


def _both(path: Path, serial: int, version: Version, mark: Mapping[str, JSON]) -> str:
    since = f"since serial {mark['serial']} was published from {path}" if mark else "until now"
    return (
        f"expected the file or the zone to change {since}, got both: serial {version.serial} "
        f"({version.source}) goes on serving, and serial {serial} in {path} does not"
    )


def _published(path: Path, found: Following, own: int) -> str:
    note = f" (its own, {own}, is not newer)" if found.note else ""
    return f"serial {found.snapshot.serial} from {path} is served{note}"
