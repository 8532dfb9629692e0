"""What server tests put in place of the world: clocks, journals that write nothing, real zones."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import trio

from tests.transfer.zone import NS, ORIGIN, SOA, A, record, soa_rdata
from xfer.config import Dnssec, Role, ZoneConfig
from xfer.errors import JournalError
from xfer.journal import Mark, NewVersion, Version
from xfer.peers import Acl, Peer, address_of
from xfer.server.zone_table import ZoneTable
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.wire.tsig import Key
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

KEY = Key.from_text("k1.", "hmac-sha256", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
OTHER = Key.from_text("k2.", "hmac-sha256", "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=")
WALL = 1_790_000_000.0
CLIENT = address_of("192.0.2.7")


class TrioClock:
    """trio's clock, so that MockClock rules all time."""

    def monotonic(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return WALL


class HandClock:
    """A clock that stands still until it is moved; `ahead`: by how much the wall clock was set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ahead = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now + self.ahead


def snapshot(serial: int = 1, hosts: int = 3, blocks: int = 1) -> Snapshot:
    """A zone of `blocks` blocks with about `hosts` hosts each."""
    records = [
        record("example.com.", SOA, soa_rdata(serial)),
        record("example.com.", NS, names.from_text("ns1.example.com.")),
    ]
    made = [Block.make(sorted(records), {})]
    for part in range(blocks):
        made.append(
            Block.make(
                sorted(
                    record(f"h{n:06}.p{part:04}.example.com.", A, n.to_bytes(4, "big"))
                    for n in range(hosts)
                ),
                {},
            )
        )
    return Snapshot(ORIGIN, made)


def peer(name: str = "sec", address: str = "192.0.2.7", **others: object) -> Peer:
    return Peer(name, address_of(address), **others)  # type: ignore[arg-type]


def zone_config(
    role: Role = Role.SECONDARY,
    primaries: Sequence[Peer] = (),
    secondaries: Sequence[Peer] = (),
    allow_transfer: Sequence[Acl] = (),
    allow_notify: Sequence[Acl] = (),
    refresh: int | None = None,
    name: str = "example.com.",
) -> ZoneConfig:
    return ZoneConfig(
        name=name,
        origin=names.from_text(name),
        role=role,
        primaries=tuple(primaries),
        secondaries=tuple(secondaries),
        allow_notify=tuple(allow_notify),
        allow_transfer=tuple(allow_transfer),
        refresh=refresh,
        dnssec=Dnssec.UNSIGNED,
        file=None,
        declared_in=Path("xfer.toml"),
    )


def table(*zones: Zone) -> ZoneTable:
    made = ZoneTable()
    for zone in zones:
        made.zones[zone.origin] = zone
    return made


class MemoryCommits:
    """Commits at once; `broken` makes every commit fail, `held` keeps futures open."""

    def __init__(self) -> None:
        self.committed: list[NewVersion] = []
        self.broken = False

    def submit(self, new: NewVersion) -> Future[Version]:
        future: Future[Version] = Future()
        if self.broken:
            future.set_exception(JournalError("disk full"))
            return future
        self.committed.append(new)
        future.set_result(
            Version(
                id=len(self.committed),
                origin=new.origin,
                chain=new.chain,
                parent=new.parent,
                serial=new.serial,
                root=new.snapshot.root,
                count=new.snapshot.count,
                size=0,
                replaced=0,
                source=new.source,
                kind=new.kind,
                created=WALL,
            )
        )
        return future

    def set_mark(self, mark: Mark) -> Future[None]:
        raise NotImplementedError(mark)


class MemoryAhead:
    """Remembers what was written ahead."""

    def __init__(self) -> None:
        self.digests: set[bytes] = set()

    def write(self, new: Sequence[Block]) -> None:
        self.digests |= {block.digest for block in new}
