"""The engine as the control API sees it: status out of recorded state, and orders to it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TextIO

import attrs
import trio

import xfer
from xfer import kernel
from xfer.journal import Version
from xfer.peers import Peer
from xfer.server import dnssec_records
from xfer.server.came_signed import ends_of
from xfer.server.comments import of_blocks
from xfer.server.core import Core
from xfer.server.dnssec_orders import DnssecOrders
from xfer.server.dnssec_status import (
    DnssecOrder,
    DnssecStatus,
    KeyRecords,
    MigrationStatus,
    Ordered,
)
from xfer.server.edited import Edited, EditText, RemovedZone
from xfer.server.editing import Order
from xfer.server.history import Named
from xfer.server.migrating import Migrations
from xfer.server.reasons import Reason
from xfer.server.secondaries import with_lag
from xfer.server.status import (
    NoContent,
    NoSuchPeer,
    NoSuchZone,
    Outcome,
    Planned,
    Progress,
    Refused,
    ReloadOutcome,
    SecondaryStatus,
    ServerStatus,
    VersionStatus,
    ZoneStatus,
)
from xfer.server.tcp import TcpService
from xfer.server.why import reasons
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.zone.soa_fields import SoaChange, SoaFields


class Engine:
    """Implements `xfer.control.engine.EngineApi`, by shape, over a running Core."""

    def __init__(self, core: Core, tcp: TcpService) -> None:
        self._core = core
        self._tcp = tcp
        self._history = core.history
        self._dnssec = DnssecOrders(core.signers, core.signers.store, core.executor, core.clock)
        self._migrations = Migrations(core.signers, self._dnssec, core.elsewhere, core.clock)

    def busy(self) -> bool:
        return self._core.active > 0

    async def server_status(self) -> ServerStatus:
        core = self._core
        now = core.clock.monotonic()
        zones = core.table.zones.values()
        states = Counter(zone.state(now).value for zone in zones)
        server = core.config.server
        return ServerStatus(
            version=xfer.__version__,
            pid=os.getpid(),
            started_at=core.started_at,
            kernel=kernel.form(),
            config=str(core.config.file),
            journal=server.journal,
            listen=tuple(str(endpoint) for endpoint in server.listen),
            zones=len(core.table.zones),
            states=dict(states),
            transfers_in=core.slots_in.running,
            transfers_out=core.slots_out.running,
            tcp_clients=self._tcp.clients,
            image_bytes=core.images.size,
            image_limit=core.images.limit,
            refused=core.dispatcher.refusals.listed(),
            queries=core.queries().report(self._name_of, core.config.limits.statistics_zones),
            workers=core.workers.status() if core.workers is not None else (),
            signatures=await ends_of(
                [*core.signers.reminders.zones(), *core.came_signed.zones()],
                core.clock.wall(),
                core.config.limits.statistics_zones,
            ),
        )

    def _name_of(self, origin: bytes) -> str | None:
        zone = self._core.table.exact(origin)
        return zone.name if zone is not None else None

    async def upcoming(self, limit: int) -> list[Planned]:
        core = self._core
        to_wall = core.clock.wall() - core.clock.monotonic()
        return [
            Planned(at + to_wall, zone.name, action)
            for at, zone, action in core.schedule.upcoming(limit)
        ]

    async def status(self, after: str = "", limit: int = 1000) -> list[ZoneStatus]:
        by_name = {zone.name: zone for zone in self._core.table.zones.values()}
        ordered = sorted(by_name)
        start = bisect_right(ordered, after) if after else 0
        return [self._status(by_name[name]) for name in ordered[start : start + limit]]

    async def zone_status(self, zone: str) -> ZoneStatus:
        found = self._zone(zone)
        versions = await self._core.executor.run(self._core.journal.versions, found.origin)
        return self._status(found, versions)

    async def force_axfr(self, zone: str, peer: str | None, wait: bool) -> Outcome:
        found = self._secondary(zone, "force-axfr")
        if found.held is not None:
            raise Refused(
                f"{found.name} is held at {found.held.where(found.serial)} after a rollback; "
                f"`xfer zone release {found.name}` comes first"
            )
        only = self._primary(found, peer) if peer is not None else None
        if wait:
            return await self._core.attempt(found, True, only)
        self._core.spawn(found, True, only)
        return Outcome(True, False, "the transfer was started", found.name, peer=peer or "")

    async def refresh(self, zone: str, wait: bool) -> Outcome:
        found = self._zone(zone)
        if not found.secondary:
            return await self._core.read_file(found)
        if wait:
            return await self._core.attempt(found)
        self._core.start_attempt(found)
        return Outcome(True, False, "the check was started", found.name)

    async def notify(self, zone: str) -> Outcome:
        found = self._zone(zone)
        if found.snapshot is None:
            raise NoContent(f"{found.name} has no version to tell of")
        if not found.config.secondaries:
            raise Refused(f"{found.name} has no secondaries to tell")
        results: dict[str, str] = {}

        async def one(peer: Peer) -> None:
            results[peer.name] = await self._core.notifier.notify_one(found, peer)

        async with trio.open_nursery() as nursery:
            for peer in found.config.secondaries:
                nursery.start_soon(one, peer)
        delivered = sum(1 for result in results.values() if result == "NOERROR")
        told = "; ".join(f"{name}: {result}" for name, result in sorted(results.items()))
        return Outcome(
            ok=delivered == len(results),
            done=True,
            message=f"{delivered} of {len(results)} secondaries answered NOERROR ({told})",
            zone=found.name,
            kind="notify",
            serial_to=found.serial,
        )

    async def zone_file(self, zone: str, named: str = "") -> AsyncIterator[bytes]:
        found = self._zone(zone)
        snapshot = found.snapshot
        if named:
            version = await self._history.find(found, Named.parse(named))
            snapshot = await self._history.load(found, version)
        if snapshot is None:
            raise NoContent(f"{zone} has no version to show yet")
        from xfer.zone.zonefile import zone_file_pieces

        core = self._core
        comments = await core.executor.run(of_blocks, core.journal, snapshot)
        async for piece in self._history.pieces(zone_file_pieces(snapshot, comments)):
            yield piece

    async def versions(self, zone: str, limit: int) -> list[VersionStatus]:
        return await self._history.versions(self._zone(zone), limit)

    async def diff(self, zone: str, old: str, new: str) -> AsyncIterator[bytes]:
        found = self._zone(zone)
        async for piece in self._history.diff(found, Named.parse(old), Named.parse(new)):
            yield piece

    async def edit_text(self, zone: str) -> EditText:
        return await self._core.editor.text(self._zone(zone))

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
        order = Order(kind, source, by, dry_run, if_version, digest)
        return await self._core.editor.take(self._zone(zone), text, order)

    async def soa(self, zone: str) -> SoaFields:
        return self._core.editor.soa(self._zone(zone))

    async def set_soa(
        self, zone: str, change: SoaChange, *, by: str, dry_run: bool, if_version: int | None
    ) -> Edited:
        order = Order("soa", "", by, dry_run, if_version)
        return await self._core.editor.take(self._zone(zone), change, order)

    async def why(self, zone: str) -> list[Reason]:
        core = self._core
        status = await self.zone_status(zone)
        return reasons(status, core.dispatcher.refusals.listed(), core.clock.wall())

    async def rollback(self, zone: str, named: str) -> Outcome:
        return await self._core.rollbacks.rollback(self._zone(zone), Named.parse(named))

    async def release(self, zone: str, follow: bool = False) -> Outcome:
        return await self._core.rollbacks.release(self._zone(zone), follow)

    async def removed_zones(self, limit: int) -> list[RemovedZone]:
        return await self._core.removed.listed(limit)

    async def dnssec_status(self, zone: str) -> DnssecStatus:
        return self._dnssec.status(self._zone(zone))

    async def dnssec_ds(self, zone: str, digest: int, every: bool) -> KeyRecords:
        return dnssec_records.ds(self._zone(zone), digest, every)

    async def dnssec_dnskey(self, zone: str) -> KeyRecords:
        return dnssec_records.dnskey(self._zone(zone))

    async def dnssec_zsk(self, zone: str) -> KeyRecords:
        return dnssec_records.zsk(self._zone(zone))

    async def dnssec_ask_parent(self, zone: str) -> DnssecStatus:
        return await self._dnssec.ask_parent(self._zone(zone))

    async def dnssec_enable(self, zone: str, order: Ordered, joining: bool) -> DnssecOrder:
        return await self._dnssec.enable(self._zone(zone), order, joining)

    async def dnssec_disable(self, zone: str, order: Ordered, cancel: bool) -> DnssecOrder:
        return await self._dnssec.disable(self._zone(zone), order, cancel)

    async def dnssec_delete(self, zone: str, order: Ordered) -> DnssecOrder:
        return await self._dnssec.delete(self._zone(zone), order)

    async def dnssec_roll(
        self, zone: str, order: Ordered, what: str, compromised: bool, key: str
    ) -> DnssecOrder:
        return await self._dnssec.roll(self._zone(zone), order, what, compromised, key)

    async def dnssec_ds_seen(self, zone: str, order: Ordered, keys: Sequence[str]) -> DnssecOrder:
        return await self._dnssec.ds_seen(self._zone(zone), order, keys)

    async def dnssec_ds_gone(self, zone: str, order: Ordered) -> DnssecOrder:
        return await self._dnssec.ds_gone(self._zone(zone), order)

    async def dnssec_shared(self, zone: str, order: Ordered, key: str) -> DnssecOrder:
        return await self._dnssec.shared(self._zone(zone), order, key)

    async def dnssec_remove_key(self, zone: str, order: Ordered, key: str) -> DnssecOrder:
        return await self._dnssec.remove_key(self._zone(zone), order, key)

    async def dnssec_import(self, zone: str, order: Ordered, files: Sequence[Path]) -> DnssecOrder:
        return await self._dnssec.import_keys(self._zone(zone), order, files)

    async def dnssec_import_dnskey(
        self, zone: str, order: Ordered, text: str, force: bool
    ) -> DnssecOrder:
        return await self._dnssec.import_dnskey(self._zone(zone), order, text, force)

    async def dnssec_export(
        self, zone: str, order: Ordered, directory: Path, keys: Sequence[str]
    ) -> DnssecOrder:
        return await self._dnssec.export(self._zone(zone), order, directory, keys)

    async def migration_status(self, zone: str) -> MigrationStatus:
        return await self._migrations.status(self._zone(zone))

    async def migration_join(self, zone: str, order: Ordered) -> DnssecOrder:
        return await self._migrations.join(self._zone(zone), order)

    async def migration_next(
        self, zone: str, order: Ordered, step: str, servers: Sequence[str]
    ) -> DnssecOrder:
        return await self._migrations.next(self._zone(zone), order, step, servers)

    async def migration_leave(
        self, zone: str, order: Ordered, servers: Sequence[str]
    ) -> DnssecOrder:
        return await self._migrations.leave(self._zone(zone), order, servers)

    async def foreign_add(self, zone: str, order: Ordered, text: str) -> DnssecOrder:
        return await self._migrations.add_foreign(self._zone(zone), order, text)

    async def foreign_remove(self, zone: str, order: Ordered, key: str) -> DnssecOrder:
        return await self._migrations.remove_foreign(self._zone(zone), order, key)

    async def reload(self) -> ReloadOutcome:
        outcome = await self._core.reload()
        news = self._core.file_news
        refused = await news.refused()
        return attrs.evolve(outcome, refused=refused, refused_more=news.more)

    # -- inside

    def _zone(self, name: str) -> Zone:
        found = self._core.table.exact(names.lower(names.from_text(name)))
        if found is None:
            said = self._core.removed.said(names.lower(names.from_text(name)))
            more = f" any more: {said}" if said else "; `xfer status` lists the zones that are"
            raise NoSuchZone(f"{name} is not configured here{more}")
        return found

    def _secondary(self, name: str, what: str) -> Zone:
        found = self._zone(name)
        if not found.secondary:
            raise Refused(f"{found.name} is a primary zone: {what} is for secondary zones")
        return found

    def _primary(self, zone: Zone, name: str) -> Peer:
        peer = zone.config.peer(name)
        if peer is None:
            known = ", ".join(p.name for p in zone.config.primaries)
            raise NoSuchPeer(f"{name} is no primary of {zone.name}, which has {known}")
        return peer

    def _status(self, zone: Zone, history: Sequence[Version] | None = None) -> ZoneStatus:
        """history: the kept versions, newest first; None where they have not been read."""
        core = self._core
        now = core.clock.monotonic()
        wall = core.clock.wall()
        version = zone.version
        if history is None:
            versions = 0 if version is None else 1
        else:
            versions = len(history)
        return ZoneStatus(
            name=zone.name,
            role=zone.config.role.value,
            state=zone.state(now),
            serial=zone.serial,
            records=zone.snapshot.count if zone.snapshot is not None else 0,
            version=version.id if version is not None else None,
            versions=versions,
            source=version.source if version is not None else "",
            published_at=version.created if version is not None else None,
            checked_at=zone.checked_at,
            expires_at=wall + zone.expires - now if zone.expires is not None else None,
            next_action=zone.next_action,
            next_at=wall + zone.due - now if zone.due is not None else None,
            transfer=_progress(zone),
            error=zone.error,
            primaries=tuple(zone.primary(peer) for peer in zone.config.primaries),
            secondaries=_secondaries(zone, history, wall),
            findings=zone.warnings(),
            zonemd=zone.content.zonemd if zone.content is not None else "",
            held=zone.held,
            damaged=zone.damaged,
            made_here=zone.made_here,
            raised=zone.raised,
            queries=core.queries().zones.get(zone.origin, 0),
            dnssec=self._dnssec.told(zone, history is not None),
        )


def _secondaries(
    zone: Zone, history: Sequence[Version] | None, wall: float
) -> tuple[SecondaryStatus, ...]:
    served = zone.version
    if served is None:
        line: list[Version] = []
    elif history is None:
        line = [served]
    else:
        line = [served, *(version for version in history if version.id < served.id)]
    return tuple(
        with_lag(zone.secondary_status(peer), line, wall, whole=history is not None)
        for peer in zone.config.secondaries
    )


def _progress(zone: Zone) -> Progress | None:
    peer = zone.transfer_from
    if peer is None:
        return None
    known = zone.progress
    return Progress(
        peer=peer.name,
        kind=zone.transfer_kind or "axfr",
        phase=zone.phase,
        started=zone.transfer_started,
        serial=known.serial if known is not None else None,
        messages=known.messages if known is not None else 0,
        records=known.records if known is not None else 0,
        bytes=known.octets if known is not None else 0,
    )
