"""What an IXFR brings, collected as it comes: several deltas netted into one.

RFC 1995 §2 and §4: a delta is the old SOA, what goes, the new SOA, what comes. A record is known
by owner, type and rdata alone, so that deletions match whatever their TTL and case.
"""

from __future__ import annotations

from xfer.errors import ChangeRefused, Failure, TransferError
from xfer.wire.names import to_text, wire_of
from xfer.wire.parse import Batch
from xfer.wire.records import Spelling, rrset_end, simple_text, split, type_text


def identity(record: bytes) -> bytes:
    """What a record is known by in an IXFR: all of it but its TTL."""
    end = rrset_end(record)
    return record[:end] + record[end + 4 :]


def record_text(record: bytes, origin: bytes) -> str:
    """A record for an error: owner, type and rdata, of long ones the first octets."""
    key, rtype, _, _, rdata = split(record)
    shown = simple_text(rtype, rdata)
    if not shown:
        first = rdata[:24].hex() + ("…" if len(rdata) > 24 else "")
        shown = f"\\# {len(rdata)} {first}"
    return f"{to_text(wire_of(key, origin))} {type_text(rtype)} {shown}"


class Deltas:
    """The deltas of an IXFR as they come, netted into one.

    origin: lower-case wire name of the apex; serial_from: of the version they start from;
    max_records, max_octets: how much they may bring in all, 0 for no limit.

    `delete` and `add` take the records of a message that are to go and to come, SOA records
    included, in the order of the stream. Both raise ChangeRefused where a record goes that an
    earlier batch has removed, or comes that an earlier one has added, and TransferError (an AXFR
    may still work) where a limit is passed.
    """

    def __init__(
        self, origin: bytes, serial_from: int, max_records: int = 0, max_octets: int = 0
    ) -> None:
        self.origin = origin
        self.serial_from = serial_from
        self.max_records = max_records
        self.max_octets = max_octets
        self.records = 0  # taken so far, those that are not in the zone too
        self.octets = 0  # … of records and their spellings
        self.outside: list[tuple[bytes, int]] = []  # owner wire name and type of those
        # What became of each identity that was named: its record, or b"" where it went; and
        # those of them that must be in the version to start with, because they went first.
        self.now: dict[bytes, bytes] = {}
        self.needed: set[bytes] = set()
        self.spelling: Spelling = {}

    def delete(self, batch: Batch) -> None:
        """Take records that go."""
        self._count(batch)
        now = self.now
        for record in batch.records:
            name = identity(record)
            was = now.get(name)
            if was is None:
                self.needed.add(name)
            elif not was:
                raise ChangeRefused(
                    "to remove a record once",
                    f"{record_text(record, self.origin)}, which an earlier change has removed",
                )
            elif self.spelling and was in self.spelling:
                del self.spelling[was]
            now[name] = b""

    def add(self, batch: Batch) -> None:
        """Take records that come."""
        self._count(batch)
        now = self.now
        for record in batch.records:
            name = identity(record)
            if now.get(name):
                raise ChangeRefused(
                    "to add a record once",
                    f"{record_text(record, self.origin)}, which an earlier change has added",
                )
            now[name] = record
        if batch.spelling:
            self.spelling.update(batch.spelling)

    def _count(self, batch: Batch) -> None:
        self.records += len(batch.records) + len(batch.outside)
        self.octets += batch.octets
        for owner, rtype, _ in batch.outside:
            self.outside.append((owner, rtype))
        if self.max_records and self.records > self.max_records:
            raise TransferError(
                Failure.POLICY,
                f"changes of at most {self.max_records} records (limits.max_zone_records)",
                "more",
                try_axfr=True,
            )
        if self.max_octets and self.octets > self.max_octets:
            raise TransferError(
                Failure.POLICY,
                f"changes of at most {self.max_octets} octets (limits.max_zone_bytes)",
                "more",
                try_axfr=True,
            )
