"""Serials of the versions that are made here (RFC 1982, RFC 1912 §2.2; REQUIREMENTS A19).

Secondaries follow only a serial that is newer than theirs in the arithmetic of RFC 1982, so every
policy gives such a one: where its own idea of a serial is not newer, one more than what is served.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from xfer.config_keys import SerialPolicy
from xfer.wire import records
from xfer.wire.serial import newer
from xfer.zone.block import Block
from xfer.zone.snapshot import APEX, Snapshot

SPACE: Final = 1 << 32
_SERIAL_AT: Final = 20  # octets from the end of SOA rdata to its serial


def next_serial(policy: SerialPolicy, served: int | None, now: float) -> int:
    """The serial of a version that follows `served`, None where it is the zone's first.

    now: Unix seconds. The date is UTC's: two servers in two time zones agree on it.
    """
    wanted = _wanted(policy, now)
    if served is None:
        return wanted if wanted is not None else 1
    if wanted is not None and newer(wanted, served):
        return wanted
    return (served + 1) % SPACE


def last_given(served: int, others: Iterable[int | None]) -> int:
    """The newest serial that somebody may hold: of what is served, and of what was once given out.

    others: serials of versions that the journal lists and cannot give any more, or that it has lost
    to a backup and secondaries have; None stands for not known.
    """
    last = served
    for serial in others:
        if serial is not None and newer(serial, last):
            last = serial
    return last


def _wanted(policy: SerialPolicy, now: float) -> int | None:
    if policy is SerialPolicy.UNIXTIME:
        return int(now) % SPACE
    if policy is SerialPolicy.DATE:
        # A year has four digits here up to 4294, which is where 32 bits end.
        return int(datetime.fromtimestamp(now, UTC).strftime("%Y%m%d")) * 100 % SPACE
    return None


def with_serial(snapshot: Snapshot, serial: int) -> Snapshot:
    """The same content under another serial; all blocks but the SOA's are shared."""
    if snapshot.serial == serial:
        return snapshot
    number = serial.to_bytes(4, "big")

    def renumbered(data: bytes) -> bytes:
        return data[:-_SERIAL_AT] + number + data[-_SERIAL_AT + 4 :]

    content = list(snapshot.blocks)
    at = snapshot.block_at(snapshot.soa)
    block = content[at]
    spelling = block.spelling()
    soa = renumbered(snapshot.soa)
    spelled = spelling.pop(snapshot.soa, None)
    if spelled is not None:
        spelling[soa] = (spelled[0], renumbered(spelled[1]))
    # There is one SOA record, so the order of the records stays.
    content[at] = Block.make(
        [soa if record == snapshot.soa else record for record in block.records()], spelling
    )
    return Snapshot(snapshot.origin, content)


def bound_to_serial(snapshot: Snapshot) -> str:
    """Which record would be false under another serial, "" for none: a signature over the SOA, or a
    digest of the zone (RFC 8976 §2.2.1)."""
    if snapshot.rrset(APEX, records.RRSIG, records.SOA):
        return "RRSIG over its SOA"
    if any(
        records.split(record)[4][:4] == snapshot.serial.to_bytes(4, "big")
        for record in snapshot.rrset(APEX, records.ZONEMD)
    ):
        return "ZONEMD"
    return ""
