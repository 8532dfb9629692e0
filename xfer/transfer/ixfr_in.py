"""IXFR from the requesting side, without I/O (RFC 1995 §4; serial arithmetic of RFC 1982 §3.2).

`xfer.transfer.envelope` has the order of messages and what is required of each. What the records
are is known from the first two of them, which need not be in one message:

    opening SOA not newer than ours         nothing to do, whatever else is there: CURRENT
    newer SOA, and that is all              it has more than fits, or will not say: ask with AXFR
    newer SOA, then an SOA with our serial  differences
    newer SOA, then anything else           the whole zone, as in AXFR

    Differences:                         serial newer, up to the opening one's
                        our serial  ┌──────────┐ ──────────────────► ┌────────┐
        opening SOA ──────────────► │ DELETING │                     │ ADDING │ ──► closing SOA
                                    └──────────┘ ◄────────────────── └────────┘
                                           the serial just reached

The first difference starts at our serial, each goes on where the one before has ended, serials
rise, and the last one brings the opening SOA itself.
"""

from __future__ import annotations

import enum

from xfer.errors import Failure, TransferError
from xfer.transfer.envelope import (
    IXFR,
    Event,
    Inbound,
    State,
    StreamLimits,
    soa_places,
)
from xfer.transfer.updates import Add, Begin, Delete, Kind, Update
from xfer.transfer.wording import amount_text, soa_text
from xfer.wire.parse import Batch
from xfer.wire.records import soa_serial
from xfer.wire.serial import newer


class Part(enum.Enum):
    """What the next record is."""

    UNKNOWN = "unknown"  # only the opening SOA has come, if that
    WHOLE = "whole"  # one of the whole zone
    DELETING = "deleting"
    ADDING = "adding"


class IxfrIn(Inbound):
    """Reads one response to an IXFR request; serial: of our version. Others as `Inbound`."""

    def __init__(
        self, origin: bytes, msg_id: int, serial: int, limits: StreamLimits | None = None
    ) -> None:
        super().__init__(origin, msg_id, IXFR, limits)
        self._have = serial
        self._reached = serial  # where the differences so far lead to
        self._part = Part.UNKNOWN
        self._held: Batch | None = None  # the opening SOA, while it came alone

    @property
    def lone(self) -> bool:
        """Whether nothing but an SOA newer than ours has come."""
        return self.state is State.RECEIVING and self._part is Part.UNKNOWN

    @property
    def axfr_may_work(self) -> bool:
        """As `Inbound.axfr_may_work`."""
        return self.kind is not Kind.AXFR

    def finish(self) -> None:
        """As `Inbound.finish`."""
        if self.lone:
            self._move(Event.FAULT)
            raise TransferError(
                Failure.PROTOCOL,
                f"the changes since serial {self._have}, or the zone",
                f"no more than {soa_text(self._soa)}",
                hint="the peer has something newer and does not send it in answer to IXFR",
            )
        super().finish()

    def _read(self, message: bytes, offset: int, batch: Batch, count: int) -> list[Update]:
        begin = 0
        if self.state is State.WAITING:
            if not newer(self._open(batch), self._have):
                self.records += count
                self._move(Event.UP_TO_DATE)
                return []
            if count == 1:
                self.records += 1
                self._held = batch
                self._move(Event.OPENING)
                return []
            begin = 1
        updates: list[Update] = []
        if self._part is Part.UNKNOWN:
            updates = self._choose(batch, begin)
        if self._part is Part.WHOLE:
            return updates + self._whole(batch, begin, count)
        return updates + self._differences(message, offset, batch, begin, count)

    def _choose(self, batch: Batch, begin: int) -> list[Update]:
        """The second record of the transfer, at place `begin`, tells what comes."""
        assert self.serial is not None
        second = batch.soas[begin : begin + 1]
        if second and soa_places(batch)[begin] == begin:
            record = batch.records[second[0]]
            if soa_serial(record) == self._have:
                self.kind = Kind.IXFR
                self._part = Part.ADDING  # of what we have, as it were
                return [Begin(Kind.IXFR, self.serial, self._soa)]
            if record != self._soa:
                raise self._protocol(
                    f"the first difference to start at serial {self._have}, which is ours",
                    f"one that starts at {soa_serial(record)}",
                )
        self.kind = Kind.AXFR
        self._part = Part.WHOLE
        updates: list[Update] = [Begin(Kind.AXFR, self.serial, self._soa)]
        if self._held is not None:
            updates.append(Add(self._held))
            self._held = None
        return updates

    def _differences(
        self, message: bytes, offset: int, batch: Batch, begin: int, count: int
    ) -> list[Update]:
        """The records from place `begin` on, cut where an SOA turns deletions to additions or
        back."""
        pieces: list[tuple[int, int, Part]] = []
        start = begin
        closing = False
        for index, place in zip(batch.soas, soa_places(batch), strict=True):
            if place < begin:
                continue
            if place > start:
                pieces.append((start, place, self._part))
            start = place
            closing = self._turn(batch.records[index], place, count)
        if not closing:
            pieces.append((start, count, self._part))
        self.records += count
        updates = self._cut(message, offset, batch, pieces, count)
        if closing:
            updates.append(self._close())
        else:
            self._move(Event.OPENING if self.state is State.WAITING else Event.RECORDS)
        return updates

    def _turn(self, soa: bytes, place: int, count: int) -> bool:
        """An SOA: the next part begins. True where it is the closing one."""
        serial = soa_serial(soa)
        assert self.serial is not None
        if self._part is Part.ADDING:
            if self._reached == self.serial:
                self._check_closing(soa, place, count)
                return True
            if serial != self._reached:
                raise self._protocol(
                    f"the next difference to start at serial {self._reached}",
                    f"an SOA with serial {serial}",
                )
            self._part = Part.DELETING
            return False
        if not newer(serial, self._reached):
            raise self._protocol(
                f"a difference from serial {self._reached} to a newer one", f"one to {serial}"
            )
        if newer(serial, self.serial):
            raise self._protocol(
                f"differences up to serial {self.serial}, as the opening SOA says",
                f"one to {serial}",
            )
        if serial == self.serial and soa != self._soa:
            raise self._protocol(
                f"the last difference to bring the opening SOA ({soa_text(self._soa)})",
                f"another one ({soa_text(soa)})",
            )
        self._reached = serial
        self._part = Part.ADDING
        return False

    def _cut(
        self,
        message: bytes,
        offset: int,
        batch: Batch,
        pieces: list[tuple[int, int, Part]],
        count: int,
    ) -> list[Update]:
        """The updates of `pieces` (first place, place behind the last, part) of a message.

        Where there are several, they are parsed once more, each for itself: so a record that is
        deleted and added again in another case keeps each case where it belongs.
        """
        updates: list[Update] = []
        at = offset
        done = 0
        for start, stop, part in pieces:
            piece = batch
            if stop - start < count:
                if start > done:
                    at = self._parser.parse(message, at, start - done).end
                piece = self._parser.parse(message, at, stop - start)
                at = piece.end
                done = stop
            updates.append(Delete(piece) if part is Part.DELETING else Add(piece))
        return updates

    def _so_far(self, what: str) -> str:
        if self._part in (Part.DELETING, Part.ADDING) and self.messages > 1:
            so_far = amount_text(self.messages - 1, self.records)
            return f"{what} after {so_far} that led to serial {self._reached}"
        return super()._so_far(what)
