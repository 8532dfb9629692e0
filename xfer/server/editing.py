"""Imports and edits of primary zones: a whole new content as a zone file (REQUIREMENTS A19, A34),
or other fields of the SOA (A20).

All are looked at first (`dry_run`), confirmed by the operator, and then published against the
version that was looked at (`if_version`): where another one is served by then, nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TextIO

import attrs
import structlog

from xfer.clock import Clock
from xfer.config_keys import SerialPolicy
from xfer.dnssec.keystate import ZoneKeys
from xfer.dnssec.returned import without_ours
from xfer.errors import ZoneFileError
from xfer.journal import Journal, Mark, Version
from xfer.server.comments import CommentChange, compare, of_blocks
from xfer.server.edited import Conflict, Edited, EditText, TooLarge
from xfer.server.executor import Executor
from xfer.server.following import Following, follow
from xfer.server.publish import Candidate, Publisher
from xfer.server.serials import last_given
from xfer.server.status import NoContent, Refused
from xfer.server.zonefiles import ZoneFiles, commented, digest_of, mark_of
from xfer.server.zones import Zone
from xfer.zone.check import Finding, Policy
from xfer.zone.comments import Collector
from xfer.zone.snapshot import Snapshot
from xfer.zone.soa_fields import SoaChange, SoaFields, fields_of, with_fields

log = structlog.get_logger()

SHOWN = 1000  # changed records that an answer lists


@attrs.frozen
class Rules:
    """What the config says. policy: of the checks; max_records: of a zone file; edit_records: of a
    zone that an editor is opened for; comments, comment_length: of records, and of one."""

    policy: Policy
    max_records: int
    edit_records: int
    comments: int
    comment_length: int

    def collector(self) -> Collector:
        """For the comments of a zone file."""
        return Collector(self.comments, self.comment_length)


@attrs.frozen
class Order:
    """What is to be done with a zone file, or an SOA.

    kind: "import", "edit" or "soa"; name: of the file; by: who edits; dry_run: only look at it;
    if_version: journal id of the version it was made for, 0 for a zone that serves nothing, None
    for any; digest: SHA-256 of the text in hex.
    """

    kind: str
    name: str
    by: str
    dry_run: bool
    if_version: int | None = None
    digest: str = ""


@attrs.frozen
class _Made:
    own_serial: int
    found: Following
    findings: tuple[Finding, ...]
    lines: list[str]
    marks: tuple[Mark, ...]
    comments: CommentChange = attrs.field(factory=CommentChange)


@attrs.define(eq=False)
class Editor:
    """turn: holds a zone for itself, as checks and transfers do."""

    journal: Journal
    publisher: Publisher
    files: ZoneFiles
    executor: Executor
    clock: Clock
    turn: Callable[[Zone], AbstractAsyncContextManager[None]]
    rules: Callable[[], Rules]

    async def text(self, zone: Zone) -> EditText:
        """The zone as a file to be edited. Raises Refused, TooLarge, NoContent."""
        _check_primary(zone)
        snapshot, version = zone.content, zone.content_version
        if snapshot is None or version is None:
            raise NoContent(f"{zone.name} has no version yet: `xfer zone import` makes the first")
        most = self.rules().edit_records
        if snapshot.count > most:
            raise TooLarge(
                f"expected at most {most} records to edit (limits.edit_records), got "
                f"{snapshot.count}: `xfer zone export {zone.name} -o FILE`, edit the file, and "
                f"`xfer zone import {zone.name} FILE`"
            )
        text = await self.executor.run(_text, self.journal, snapshot)
        return EditText(zone.name, version.id, snapshot.serial, text)

    def soa(self, zone: Zone) -> SoaFields:
        """The fields of the SOA that is served. Raises NoContent."""
        if zone.content is None:
            raise NoContent(f"{zone.name} has no version yet, and so no SOA")
        return fields_of(zone.content)

    async def take(self, zone: Zone, new: TextIO | SoaChange, order: Order) -> Edited:
        """Publish what the text holds, or what is served with another SOA; or with `dry_run` only
        say what that would change.

        Raises Refused for a secondary zone, Conflict, ZoneError where the content is refused,
        TransferError where it cannot be published; nothing is changed then.
        """
        _check_primary(zone)
        if order.dry_run:
            _check_version(zone, order)
            served, version = zone.content, zone.content_version
            made = await self._make(zone, served, new, order)
            return _edited(zone, served, version, made, False)
        async with self.turn(zone):
            _check_primary(zone)
            _check_version(zone, order)
            served = zone.content
            made = await self._make(zone, served, new, order)
            await self.executor.run(made.comments.before, self.journal, zone.origin)
            if made.found.changed:
                await self._publish(zone, made, order)
            else:
                for mark in made.marks:
                    await self.executor.run(self.journal.set_mark, mark)
            await self.executor.run(made.comments.after, self.journal, zone.origin)
            version = zone.content_version
            if zone.config.file is not None and (zone.error is not None or made.marks):
                rules = self.rules()
                await self.files.publish(zone, rules.policy, rules.max_records, rules.collector())
        return _edited(zone, served, version, made, made.found.changed)

    async def _make(
        self, zone: Zone, served: Snapshot | None, new: TextIO | SoaChange, order: Order
    ) -> _Made:
        rules = self.rules()
        last = None
        if served is not None:
            newest = await self.executor.run(self.journal.latest, zone.origin, zone.content_chain)
            stored = newest.serial if newest is not None else None
            last = last_given(served.serial, [stored, *zone.content_serials()])
        what = _Parse(
            self.journal,
            zone.origin,
            zone.config.serial,
            zone.config.file,
            served,
            rules,
            last,
            zone.signing.keys if zone.signing is not None else None,
        )
        now = self.clock.wall()
        if isinstance(new, SoaChange):
            if served is None:
                raise NoContent(f"{zone.name} has no version yet, and so no SOA to set")
            return what.with_soa(served, zone.findings, new, now)
        return await self.executor.run(what.run, new, order, now)

    async def _publish(self, zone: Zone, made: _Made, order: Order) -> None:
        found = made.found
        serial_from = zone.content_serial
        source = {
            "import": f"import of {order.name}",
            "edit": f"edit by {order.by}",
            "soa": f"SOA set by {order.by}",
        }[order.kind]
        candidate = Candidate(
            found.snapshot,
            made.findings,
            source,
            "import" if order.kind == "import" else "edit",
            changes=found.changes,
            marks=made.marks,
        )
        with self.journal.write_ahead() as ahead:
            await self.publisher.publish(zone, candidate, ahead)
        log.info(
            "zone edited",
            zone=zone.name,
            kind=order.kind,
            source=source,
            serial_from=serial_from,
            serial_to=found.snapshot.serial,
            records=found.snapshot.count,
            note=found.note,
        )


@attrs.frozen
class _Parse:
    """A zone file's way to what may be published, in a worker thread."""

    journal: Journal
    origin: bytes
    serial: SerialPolicy
    file: Path | None
    served: Snapshot | None
    rules: Rules
    last: int | None
    keys: ZoneKeys | None = None

    def run(self, text: TextIO, order: Order, now: float) -> _Made:
        from xfer.zone.zonefile import read_zone_text

        rules = self.rules
        comments = rules.collector()
        snapshot, findings = read_zone_text(
            text, order.name, self.origin, rules.policy, self.served, rules.max_records, comments
        )
        snapshot = without_ours(snapshot, self.keys)
        found = follow(snapshot, self.served, self.serial, now, self.last)
        remarks = compare(self.journal, snapshot, comments)
        marks = self._marks(snapshot, found, order)
        if not marks and remarks.count and not found.changed:
            marks = commented(self.journal, self.origin)
        return _Made(snapshot.serial, found, tuple(findings), _lines(found), marks, remarks)

    def with_soa(
        self, served: Snapshot, findings: tuple[Finding, ...], change: SoaChange, now: float
    ) -> _Made:
        """The served version with another SOA; what the checks said of it still holds."""
        found = follow(with_fields(served, change), served, self.serial, now, self.last)
        # That its serial was to be followed is no news: nobody gave another.
        found = attrs.evolve(found, note="") if found.changed else found
        return _Made(served.serial, found, findings, _lines(found), ())

    def _marks(self, snapshot: Snapshot, found: Following, order: Order) -> tuple[Mark, ...]:
        """Where it is the zone's own file that is imported, file and zone agree from now on."""
        if self.file is None or not order.digest:
            return ()
        try:
            if digest_of(self.file) != order.digest:
                return ()
        except ZoneFileError:
            return ()
        published = found.snapshot if found.changed or self.served is None else self.served
        return (mark_of(self.origin, order.digest, snapshot.serial, published),)


def _lines(found: Following) -> list[str]:
    """The first changes as text; of a first version, nothing."""
    from xfer.zone.difftext import diff_pieces

    lines: list[str] = []
    if found.changes is not None and found.changed:
        for piece in diff_pieces(found.changes):
            lines += piece.splitlines()
            if len(lines) >= SHOWN:
                break
    return lines[:SHOWN]


def _text(journal: Journal, snapshot: Snapshot) -> str:
    from xfer.zone.zonefile import zone_file_pieces

    return "".join(zone_file_pieces(snapshot, of_blocks(journal, snapshot)))


def _check_primary(zone: Zone) -> None:
    if zone.removed:
        raise Conflict(f"{zone.name} has left the config meanwhile")
    if zone.secondary:
        primaries = ", ".join(f"{peer.name} {peer.endpoint}" for peer in zone.config.primaries)
        raise Refused(
            f"{zone.name} is a secondary zone: change it on its primary ({primaries}), and then "
            f"`xfer refresh {zone.name}`"
        )


def _check_version(zone: Zone, order: Order) -> None:
    served = zone.content_version.id if zone.content_version is not None else 0
    if order.if_version is not None and order.if_version != served:
        source = f" ({zone.content_version.source})" if zone.content_version is not None else ""
        raise Conflict(
            f"expected {zone.name} at version v{order.if_version}, which the change was made for, "
            f"got v{served}, serial {zone.content_serial}{source}"
        )


def _edited(
    zone: Zone, served: Snapshot | None, version: Version | None, made: _Made, published: bool
) -> Edited:
    found = made.found
    changes = found.changes
    if not found.changed or changes is None:
        removed, added = 0, found.snapshot.count if found.changed else 0
    else:
        removed, added = len(changes.removed), len(changes.added)
    assert served is not None or found.changed
    findings = tuple(str(finding) for finding in made.findings)
    if published and zone.signing is not None and zone.signing.error:
        findings += (f"serial {found.snapshot.serial} {zone.served_as()}",)
    return Edited(
        zone=zone.name,
        changed=found.changed,
        published=published,
        version=version.id if version is not None else None,
        serial_from=served.serial if served is not None else None,
        serial_to=found.snapshot.serial if found.changed or served is None else served.serial,
        records=found.snapshot.count,
        removed=removed,
        added=added,
        diff="".join(f"{line}\n" for line in made.lines),
        more=removed + added - len(made.lines),
        note=found.note if found.changed else "",
        findings=findings,
        comments=made.comments.count,
    )
