"""What the control API asks of the running engine.

`server/` implements `EngineApi` by shape, without importing it: imports go down only. The values
and errors live below, in `xfer.server.status`, and are found here too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol, TextIO

from xfer.server.dnssec_status import (
    DnssecOrder,
    DnssecStatus,
    KeyRecords,
    MigrationStatus,
    Ordered,
)
from xfer.server.edited import Conflict, Edited, EditText, RemovedZone, TooLarge
from xfer.server.reasons import Reason, Weight
from xfer.server.status import (
    FailureReport,
    NoContent,
    NoSuchKey,
    NoSuchPeer,
    NoSuchVersion,
    NoSuchZone,
    Outcome,
    Phase,
    Planned,
    PrimaryStatus,
    Progress,
    Refused,
    RefusedFile,
    RefusedSource,
    ReloadOutcome,
    SecondaryStatus,
    ServerStatus,
    VersionStatus,
    ZoneState,
    ZoneStatus,
)
from xfer.zone.soa_fields import SoaChange, SoaFields

__all__ = [
    "Conflict",
    "DnssecOrder",
    "DnssecStatus",
    "EditText",
    "Edited",
    "EngineApi",
    "FailureReport",
    "KeyRecords",
    "NoContent",
    "NoSuchKey",
    "NoSuchPeer",
    "NoSuchVersion",
    "NoSuchZone",
    "Ordered",
    "Outcome",
    "Phase",
    "Planned",
    "PrimaryStatus",
    "Progress",
    "Reason",
    "Refused",
    "RefusedFile",
    "RefusedSource",
    "ReloadOutcome",
    "RemovedZone",
    "SecondaryStatus",
    "ServerStatus",
    "SoaChange",
    "SoaFields",
    "TooLarge",
    "VersionStatus",
    "Weight",
    "ZoneState",
    "ZoneStatus",
]


class EngineApi(Protocol):
    """The running engine, as the control API sees it.

    Zone names come as the user wrote them ("Example.com", final dot or not), already checked to be
    domain names and brought to absolute lower-case text. Methods raise NoSuchZone, NoSuchPeer,
    NoContent or Refused; any other XferError is reported as a failed operation.
    """

    def busy(self) -> bool:
        """Whether transfers run, in either direction."""

    async def server_status(self) -> ServerStatus: ...

    async def upcoming(self, limit: int) -> list[Planned]:
        """Up to `limit` things that are planned for secondary zones, soonest first."""

    async def status(self, after: str = "", limit: int = 1000) -> list[ZoneStatus]:
        """Up to `limit` zones in plain text order of their names, those behind `after`."""

    async def zone_status(self, zone: str) -> ZoneStatus: ...

    async def force_axfr(self, zone: str, peer: str | None, wait: bool) -> Outcome:
        """Transfer the whole zone now, whatever its serial; from `peer`, or the first that can."""

    async def refresh(self, zone: str, wait: bool) -> Outcome:
        """Ask the primaries for their serial now, and transfer when one is newer."""

    async def notify(self, zone: str) -> Outcome:
        """Send NOTIFY for the served version to every secondary now."""

    def zone_file(self, zone: str, named: str = "") -> AsyncIterator[bytes]:
        """A version as a zone file, in pieces of bounded size, canonical order.

        named: a serial, "v17", or "@" and a Unix time; "" for the served one. Raises before the
        first piece where there is nothing to show.
        """

    async def versions(self, zone: str, limit: int) -> list[VersionStatus]:
        """Up to `limit` kept versions, newest first; -1 for all."""

    def diff(self, zone: str, old: str, new: str) -> AsyncIterator[bytes]:
        """What changed between two versions, named as in `zone_file`, as text in pieces."""

    async def edit_text(self, zone: str) -> EditText:
        """A primary zone as text to be edited. Raises TooLarge above limits.edit_records."""

    async def import_zone(
        self,
        zone: str,
        text: TextIO,
        *,
        kind: str,
        source: str,
        by: str,
        digest: str,
        dry_run: bool,
        if_version: int | None,
    ) -> Edited:
        """Publish a zone file as a primary zone's new content, or only say what that would change.

        kind: "import" or "edit"; source: name of the file; by: who edits; digest: SHA-256 of the
        text in hex; if_version: journal id of the version it was made for, 0 for none, None for
        any. Raises Conflict where another is served, ZoneError where the content is refused.
        """

    async def soa(self, zone: str) -> SoaFields:
        """The fields of the SOA that is served."""

    async def set_soa(
        self, zone: str, change: SoaChange, *, by: str, dry_run: bool, if_version: int | None
    ) -> Edited:
        """Publish a primary zone with other SOA fields, or only say what that would change.

        by, if_version: as in `import_zone`. Raises ZoneError for a value out of its range.
        """

    async def why(self, zone: str) -> list[Reason]:
        """Why the zone is, or is not, current: sentences, most important first."""

    async def rollback(self, zone: str, named: str) -> Outcome:
        """Serve the content of a kept version, named as in `zone_file`, under a higher serial."""

    async def release(self, zone: str, follow: bool = False) -> Outcome:
        """Follow the primaries again after a rollback; follow: take what one has now, under a
        serial above ours."""

    async def dnssec_status(self, zone: str) -> DnssecStatus:
        """Everything known of the zone's signing."""

    async def dnssec_ds(self, zone: str, digest: int, every: bool) -> KeyRecords:
        """The DS that are to be at the parent; every: of all keys that may have one."""

    async def dnssec_dnskey(self, zone: str) -> KeyRecords:
        """The DNSKEYs of ours that are published."""

    async def dnssec_zsk(self, zone: str) -> KeyRecords:
        """The DNSKEYs that other signers of the zone have to publish."""

    async def dnssec_ask_parent(self, zone: str) -> DnssecStatus:
        """Ask the parent for the zone's DS now, and do what follows."""

    async def dnssec_enable(self, zone: str, order: Ordered, joining: bool) -> DnssecOrder:
        """Sign a zone again whose signing was ended. This and what follows raises StepRefused for
        what would break the zone."""

    async def dnssec_disable(self, zone: str, order: Ordered, cancel: bool) -> DnssecOrder:
        """Begin to end its signing, or cancel that."""

    async def dnssec_delete(self, zone: str, order: Ordered) -> DnssecOrder:
        """Serve it without DNSSEC."""

    async def dnssec_roll(
        self, zone: str, order: Ordered, what: str, compromised: bool, key: str
    ) -> DnssecOrder:
        """Begin a rollover of "ksk", "zsk", "csk" or "algorithm"; key: the compromised one, where
        there are several with that role."""

    async def dnssec_ds_seen(self, zone: str, order: Ordered, keys: Sequence[str]) -> DnssecOrder:
        """The operator has seen the DS of these keys at the parent; none: of those wanted."""

    async def dnssec_ds_gone(self, zone: str, order: Ordered) -> DnssecOrder:
        """The operator has seen no DS of ours at the parent."""

    async def dnssec_shared(self, zone: str, order: Ordered, key: str) -> DnssecOrder:
        """All other signers of the zone publish this key of ours."""

    async def dnssec_remove_key(self, zone: str, order: Ordered, key: str) -> DnssecOrder:
        """Forget a key that nobody can need."""

    async def dnssec_import(self, zone: str, order: Ordered, files: Sequence[Path]) -> DnssecOrder:
        """Take keys over from BIND's key files. Raises KeyRefused."""

    async def dnssec_import_dnskey(
        self, zone: str, order: Ordered, text: str, force: bool
    ) -> DnssecOrder:
        """Publish a DNSKEY RRset that somebody else has signed, lines of a zone file; force: even
        an older one than is served. Raises KeyRefused where its signatures do not hold."""

    async def dnssec_export(
        self, zone: str, order: Ordered, directory: Path, keys: Sequence[str]
    ) -> DnssecOrder:
        """Copy keys, all where none is named, as BIND's key files. Raises KeyRefused."""

    async def migration_status(self, zone: str) -> MigrationStatus:
        """Where the zone is between two signers, after asking both and the parent."""

    async def migration_join(self, zone: str, order: Ordered) -> DnssecOrder:
        """Begin to sign a zone that another signer serves. This and what follows raises
        StepRefused for what is too early."""

    async def migration_next(
        self, zone: str, order: Ordered, step: str, servers: Sequence[str]
    ) -> DnssecOrder:
        """Take the next step; step: the one that is meant, "" for any; servers: names in NS."""

    async def migration_leave(
        self, zone: str, order: Ordered, servers: Sequence[str]
    ) -> DnssecOrder:
        """Our servers, by these names, have left the zone's NS: leave it to its other signer."""

    async def foreign_add(self, zone: str, order: Ordered, text: str) -> DnssecOrder:
        """Publish DNSKEYs of another signer, lines of a zone file. Raises KeyRefused."""

    async def foreign_remove(self, zone: str, order: Ordered, key: str) -> DnssecOrder:
        """Take out a DNSKEY of another signer, by its ident or tag."""

    async def removed_zones(self, limit: int) -> list[RemovedZone]:
        """Up to `limit` zones that left the config and are still kept; those that go first."""

    async def reload(self) -> ReloadOutcome:
        """Read the config again, and zone files that have changed; ConfigError leaves the old one
        in force."""
