"""What every inbound transfer has in common, without I/O (RFC 5936 §2.2, RFC 1995 §4).

`Inbound` reads the messages of one transfer, TSIG already verified and stripped. It checks what
stands around the records and parses them; a child class says what the records mean. Its states:

                        first message, opening SOA
            ┌─────────┐ ─────────────────────────► ┌───────────┐ ◄─┐ records
            │ WAITING │                            │ RECEIVING │ ──┘
            └─────────┘                            └───────────┘
             │ │    │  opening and closing SOA            │     │
             │ │    └───────────────────────► ┌──────────┐│     │
             │ │ fault                        │ COMPLETE │◄ closing SOA
             │ │                              └──────────┘      │ fault
             │ │                                    │ anything  │
             │ │            ┌────────┐ ◄────────────┘           │
             │ └──────────► │ FAILED │ ◄────────────────────────┘
             │              └────────┘
             │  IXFR: an opening SOA that is not newer than what we have
             └───────────────────────► ┌─────────┐
                                       │ CURRENT │ anything ──► FAILED
                                       └─────────┘

What is required, beyond that order:

- every message: the ID asked with, QR, opcode QUERY, TC clear, rcode NOERROR, at least one record
  in the answer section, none in the authority section, no octet after the last record. The AA bit
  is ignored, as RFC 5936 §2.2.1 recommends to clients; of the additional section only an OPT
  is looked at.
- the first message: exactly the question asked; later ones the same question or none (§2.2.1).
- the first record is the SOA of the apex; the closing SOA equals it and is the last record of the
  last message (§2.2).

A fault raises TransferError and fails the machine for good: nothing it emitted may be published.
"""

from __future__ import annotations

import enum
import struct
from abc import ABC, abstractmethod

import attrs

from xfer.errors import Failure, TransferError, WireError
from xfer.transfer.updates import Abandon, Add, Finish, Kind, Update
from xfer.transfer.wording import (
    amount_text,
    first_text,
    octets_text,
    outside_first,
    place_text,
    position_text,
    question_text,
    soa_text,
)
from xfer.wire import names, records
from xfer.wire.codes import opcode_text, rcode_text
from xfer.wire.edns import Edns, expire_of, parse_tail
from xfer.wire.header import parse_header
from xfer.wire.parse import Batch, RecordParser
from xfer.wire.request import edns_of

IXFR, AXFR = 251, 252
FORMERR, SERVFAIL, NOTIMP, REFUSED = 1, 2, 4, 5
AXFR_MAY_WORK = frozenset({FORMERR, SERVFAIL, NOTIMP, REFUSED})
"""Error rcodes to IXFR after which an AXFR from the same server is worth a try."""

_HEADER = struct.Struct("!HHHHHH")
_QR, _OPCODE, _TC, _RCODE = 0x8000, 0x7800, 0x0200, 0x000F
_CLASS_IN = b"\x00\x01"

HINTS = {
    1: "it did not understand the request; it may be too old for EDNS or TSIG",
    2: "it knows the zone but holds no valid copy: not loaded, or expired there",
    3: "it does not know the zone",
    4: "it does not offer transfers",
    5: "their ACL must hold our source address, and our TSIG key where they want one",
    9: "it is not authoritative for the zone, or does not accept our key for it",
    16: "it does not know the version of EDNS that we ask with",
}


class State(enum.Enum):
    """Where the transfer stands."""

    WAITING = "waiting"
    RECEIVING = "receiving"
    CURRENT = "current"  # IXFR: the peer has nothing newer than what we have
    COMPLETE = "complete"
    FAILED = "failed"


class Event(enum.Enum):
    """What one message turned out to be."""

    OPENING = "opening"  # starts with the opening SOA, does not close
    WHOLE = "whole"  # opening and closing SOA in one message
    UP_TO_DATE = "up to date"  # the opening SOA is not newer than ours
    RECORDS = "records"
    CLOSING = "closing"
    FAULT = "fault"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.OPENING): State.RECEIVING,
    (State.WAITING, Event.WHOLE): State.COMPLETE,
    (State.WAITING, Event.UP_TO_DATE): State.CURRENT,
    (State.WAITING, Event.FAULT): State.FAILED,
    (State.RECEIVING, Event.RECORDS): State.RECEIVING,
    (State.RECEIVING, Event.CLOSING): State.COMPLETE,
    (State.RECEIVING, Event.FAULT): State.FAILED,
    (State.CURRENT, Event.FAULT): State.FAILED,
    (State.COMPLETE, Event.FAULT): State.FAILED,
    (State.FAILED, Event.FAULT): State.FAILED,
}


@attrs.frozen
class StreamLimits:
    """How much a peer may send. octets, records, messages: per transfer; 0 means no limit."""

    octets: int = 0
    records: int = 0
    messages: int = 0


_AFTER = {
    State.COMPLETE: "nothing after the message with the closing SOA",
    State.CURRENT: "nothing after an SOA that is not newer than ours",
    State.FAILED: "nothing after a message that failed the transfer",
}


class Inbound(ABC):
    """Reads one response to a request for a transfer.

    origin: the zone's name, lower-case wire form; msg_id: the ID of the request; qtype: what was
    asked for; limits: what to stop at. After every `feed`, `state`, `messages`, `records` and
    `octets` (without TSIG) are current; `serial` is None until the opening SOA has come, `kind`
    until it is known what comes; `edns` is the last OPT that came.
    """

    def __init__(
        self, origin: bytes, msg_id: int, qtype: int, limits: StreamLimits | None = None
    ) -> None:
        self.origin = origin
        self.kind: Kind | None = None
        self.state = State.WAITING
        self.messages = 0
        self.records = 0
        self.octets = 0
        self.serial: int | None = None
        self.edns: Edns | None = None
        self._msg_id = msg_id
        self._limits = limits or StreamLimits()
        self._qtype = qtype
        self._question = origin + qtype.to_bytes(2, "big") + _CLASS_IN
        self._parser = RecordParser(origin)
        self._soa = b""

    @property
    def axfr_may_work(self) -> bool:
        """Whether, where this fails, an AXFR from the same server is something else to try."""
        return False

    def feed(self, message: bytes) -> list[Update]:
        """Take one whole DNS message, unframed and without TSIG; return what it means.

        Raises TransferError: DENIED for an error rcode, POLICY for a limit, PROTOCOL for the rest.
        """
        self.messages += 1
        self.octets += len(message)
        try:
            after = _AFTER.get(self.state)
            if after is not None:
                raise self._protocol(after, f"one more message of {len(message)} octets")
            count, offset, extra = self._envelope(message)
            batch = self._parse(message, offset, count, extra)
            return self._read(message, offset, batch, count)
        except TransferError:
            self._move(Event.FAULT)
            raise

    def finish(self) -> None:
        """The stream ended. Raises TransferError (PROTOCOL) unless the transfer is complete."""
        if self.state not in (State.COMPLETE, State.CURRENT):
            fault = self._protocol("the closing SOA", self._so_far("the end of the stream"))
            self._move(Event.FAULT)
            raise fault

    def abandon(self, reason: str) -> Abandon:
        """Give up from outside (timeout, shutdown, failed TSIG): what to tell the zone layer."""
        self._move(Event.FAULT)
        return Abandon(reason)

    @abstractmethod
    def _read(self, message: bytes, offset: int, batch: Batch, count: int) -> list[Update]:
        """What the records of a message mean. offset: where they begin; count: as the header
        promised, and as there are in `batch`. Sets `state`."""

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state, event]

    def _envelope(self, message: bytes) -> tuple[int, int, int]:
        """Check header and question; return (answer count, its offset, additional count)."""
        if len(message) < 12:
            raise self._protocol("a message of at least 12 octets", f"{len(message)}")
        msg_id, flags, qd, an, ns, ar = _HEADER.unpack_from(message)
        if msg_id != self._msg_id:
            raise self._protocol(f"message ID {self._msg_id}", f"ID {msg_id}")
        if not flags & _QR:
            raise self._protocol("a response (QR set)", "a query (QR clear)")
        if flags & _OPCODE:
            opcode = (flags & _OPCODE) >> 11
            raise self._protocol("opcode 0 (QUERY)", f"opcode {opcode} ({opcode_text(opcode)})")
        if flags & _RCODE or an == 0:
            self._check_rcode(rcode_of(message))
        if flags & _TC:
            raise self._protocol("a whole message (TC clear)", "a truncated one (TC set)")
        offset = self._check_question(message, qd)
        if an == 0:
            raise self._protocol(
                "at least one record in the answer section", self._so_far("an empty message")
            )
        if ns:
            raise self._protocol("no record in the authority section", f"{ns} there")
        self._check_limits(an)
        return an, offset, ar

    def _check_rcode(self, rcode: int) -> None:
        if rcode:
            raise TransferError(
                Failure.DENIED,
                f"rcode NOERROR in {self._place()}",
                self._so_far(f"rcode {rcode_text(rcode)}"),
                hint=HINTS.get(rcode, ""),
                try_axfr=self.axfr_may_work and rcode in AXFR_MAY_WORK,
            )

    def _check_question(self, message: bytes, count: int) -> int:
        if count == 0 and self.state is State.RECEIVING:
            return 12
        if count != 1:
            raise self._protocol(
                "one question" + (" or none" if self.state is State.RECEIVING else ""), f"{count}"
            )
        end = 12 + len(self._question)
        if message[12:end].lower() != self._question:
            raise self._protocol(
                f"the question {names.to_text(self.origin)} IN {records.type_text(self._qtype)}",
                question_text(message),
            )
        return end

    def _check_limits(self, arriving: int) -> None:
        limits = self._limits
        for what, key, limit, value in (
            ("messages", "max_message_count", limits.messages, self.messages),
            ("records", "max_zone_records", limits.records, self.records + arriving),
            ("octets", "max_zone_bytes", limits.octets, self.octets),
        ):
            if limit and value > limit:
                raise TransferError(
                    Failure.POLICY,
                    f"at most {limit} {what} in a transfer",
                    f"{value} or more",
                    hint=f"the limit is {key} in [limits]",
                    try_next=True,
                )

    def _parse(self, message: bytes, offset: int, count: int, additional: int) -> Batch:
        try:
            batch = self._parser.parse(message, offset, count)
            end = batch.end
            if additional:
                edns = parse_tail(message, end, parse_header(message))
                end = len(message)
                if edns is not None:
                    self._check_rcode(edns.rcode_high << 4)
                    expire_of(edns)  # its shape: whoever asks for it later relies on that
                    self.edns = edns
        except WireError as error:
            raise self._protocol(
                error.expected,
                error.got + position_text(message, offset, error.offset),
            ) from error
        if end != len(message):
            raise self._protocol(
                "the message to end with its last record", octets_text(len(message) - end) + " more"
            )
        return batch

    def _open(self, batch: Batch) -> int:
        """Take the opening SOA, the first record of the first message; returns its serial."""
        if not batch.soas or batch.soas[0] != 0 or outside_first(batch):
            raise self._protocol(
                f"the SOA of {names.to_text(self.origin)} as the first record",
                first_text(batch, self.origin),
            )
        self._soa = batch.records[0]
        self.serial = records.soa_serial(self._soa)
        return self.serial

    def _whole(self, batch: Batch, number: int, count: int) -> list[Update]:
        """Records of a whole zone: take off the closing SOA, which is SOA `number` of the batch, if
        that many are there."""
        updates: list[Update] = []
        closing = number < len(batch.soas)
        if closing:
            record = batch.records[batch.soas[number]]
            self._check_closing(record, soa_places(batch)[number], count)
            batch.records.pop()
            batch.soas.pop()
        self.records += count
        if batch.records or batch.outside:
            updates.append(Add(batch))
        if closing:
            updates.append(self._close())
        else:
            self._move(Event.OPENING if self.state is State.WAITING else Event.RECORDS)
        return updates

    def _close(self) -> Finish:
        assert self.serial is not None
        self._move(Event.WHOLE if self.state is State.WAITING else Event.CLOSING)
        return Finish(self.serial)

    def _check_closing(self, closing: bytes, place: int, count: int) -> None:
        """place: of the SOA `closing` among the `count` records of its message."""
        if closing != self._soa:
            raise self._protocol(
                f"the closing SOA to equal the opening one ({soa_text(self._soa)})",
                f"another SOA ({soa_text(closing)}), as if the zone had changed meanwhile",
            )
        if place != count - 1:
            raise self._protocol(
                "the closing SOA to be the last record", f"{count - 1 - place} more after it"
            )

    def _place(self) -> str:
        return place_text(self.messages)

    def _so_far(self, what: str) -> str:
        if self.state is State.WAITING:
            return what
        return f"{what} after {amount_text(self.messages - 1, self.records)}"

    def _protocol(self, expected: str, got: str) -> TransferError:
        return TransferError(Failure.PROTOCOL, expected, f"{got}, in {self._place()}")


def soa_places(batch: Batch) -> list[int]:
    """Where the SOA records of `batch.soas` stand among all records of their message."""
    outside = batch.outside
    places: list[int] = []
    before = 0  # records outside the zone that stand before the SOA
    for index in batch.soas:
        while before < len(outside) and outside[before][2] <= index + before:
            before += 1
        places.append(index + before)
    return places


def rcode_of(message: bytes) -> int:
    """The rcode of a message of at least 12 octets, with the bits that its OPT adds."""
    edns = edns_of(message)
    return message[3] & _RCODE | (edns.rcode_high << 4 if edns is not None else 0)
