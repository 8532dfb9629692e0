"""Small real zones for the journal's tests, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from xfer.journal import NewVersion
from xfer.wire import names, records
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

ZONE = b"\7example\0"


@attrs.define(eq=False)
class StillClock:
    """Both clocks show what the test sets."""

    now: float = 1_800_000_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


def snapshot(
    serial: int, hosts: Iterable[int] = (), origin: bytes = ZONE, per_block: int = 4
) -> Snapshot:
    """A zone of a SOA and one A record a host, cut by host number so that versions share blocks."""
    rdata = b"\2ns\0\4host\0" + serial.to_bytes(4, "big") + bytes(16)
    blocks = [Block.make([records.make(b"\0", records.SOA, 3600, rdata)], {})]
    cut: dict[int, list[bytes]] = {}
    for host in sorted(set(hosts)):
        key = names.key_of(b"\7h%06d" % host + origin, origin)
        record = records.make(key, records.A, 300, host.to_bytes(4, "big"))
        cut.setdefault(host // per_block, []).append(record)
    blocks += [Block.make(run, {}) for run in cut.values()]
    return Snapshot(origin, blocks)


def new(content: Snapshot, parent: int | None = None, **more: Any) -> NewVersion:
    """What an AXFR of that content hands to the journal."""
    given = NewVersion(
        origin=content.origin,
        serial=content.serial,
        parent=parent,
        snapshot=content,
        source="axfr from 192.0.2.1#53",
        kind="axfr",
    )
    return attrs.evolve(given, **more)


def wide(serial: int, origin: bytes = ZONE, seed: int = 0) -> Snapshot:
    """A zone of about 1.3 MB in 12 blocks, too large to be stored in the flipping transaction."""
    rdata = b"\2ns\0\4host\0" + serial.to_bytes(4, "big") + bytes(16)
    blocks = [Block.make([records.make(b"\0", records.SOA, 3600, rdata)], {})]
    for number in range(11):
        run = [
            records.make(
                names.key_of(b"\7t%02d%04d" % (number, host) + origin, origin),
                records.TXT,
                300,
                b"\xfa" + bytes([seed & 255, number]) + b"x" * 248,
            )
            for host in range(450)
        ]
        blocks.append(Block.make(run, {}))
    return Snapshot(origin, blocks)


def held(content: Snapshot) -> list[bytes]:
    """The records, for comparing."""
    return [record for block in content.blocks for record in block.records()]
