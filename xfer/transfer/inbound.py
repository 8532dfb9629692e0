"""AXFR from the requesting side, without I/O (RFC 5936; header rules of RFC 1035 §4.1.1).

One machine reads the messages of one transfer, TSIG already verified and stripped, and emits
updates (`xfer.transfer.updates`). It takes one message at a time and keeps none of it.

                        first message, opening SOA
            ┌─────────┐ ─────────────────────────► ┌───────────┐ ◄─┐ records
            │ WAITING │                            │ RECEIVING │ ──┘
            └─────────┘                            └───────────┘
               │    │  opening and closing SOA            │     │
               │    └───────────────────────► ┌──────────┐│     │
               │                              │ COMPLETE │◄ closing SOA
               │ fault                        └──────────┘      │ fault
               │                                    │ anything  │
               │            ┌────────┐ ◄────────────┘           │
               └──────────► │ FAILED │ ◄────────────────────────┘
                            └────────┘

What is required, beyond that order:

- every message: the ID asked with, QR, opcode QUERY, TC clear, rcode NOERROR, at least one record
  in the answer section, none in the authority section, no octet after the last record. The AA bit
  is ignored, as RFC 5936 §2.2.1 recommends to clients; of the additional section only an OPT
  is looked at.
- the first message: exactly the question asked; later ones the same question or none (§2.2.1).
- the first record is the SOA of the apex; the next SOA of the apex closes the transfer, equals the
  first one and is the last record of the last message (§2.2).

A fault raises TransferError and fails the machine for good: nothing it emitted may be published.
"""

from __future__ import annotations

import enum
import struct

import attrs

from xfer.errors import Failure, TransferError, WireError
from xfer.transfer.updates import Abandon, Add, Begin, Finish, Kind, Update
from xfer.wire import names, records
from xfer.wire.codes import opcode_text, rcode_text
from xfer.wire.edns import Edns, expire_of, parse_tail
from xfer.wire.header import parse_header, skip_name
from xfer.wire.parse import Batch, RecordParser
from xfer.wire.request import edns_of

AXFR = 252
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
    COMPLETE = "complete"
    FAILED = "failed"


class Event(enum.Enum):
    """What one message turned out to be."""

    OPENING = "opening"  # starts with the opening SOA, does not close
    WHOLE = "whole"  # opening and closing SOA in one message
    RECORDS = "records"
    CLOSING = "closing"
    FAULT = "fault"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.OPENING): State.RECEIVING,
    (State.WAITING, Event.WHOLE): State.COMPLETE,
    (State.WAITING, Event.FAULT): State.FAILED,
    (State.RECEIVING, Event.RECORDS): State.RECEIVING,
    (State.RECEIVING, Event.CLOSING): State.COMPLETE,
    (State.RECEIVING, Event.FAULT): State.FAILED,
    (State.COMPLETE, Event.FAULT): State.FAILED,
    (State.FAILED, Event.FAULT): State.FAILED,
}


@attrs.frozen
class StreamLimits:
    """How much a peer may send. octets, records, messages: per transfer; 0 means no limit."""

    octets: int = 0
    records: int = 0
    messages: int = 0


class AxfrIn:
    """Reads one AXFR response.

    origin: the zone's name, lower-case wire form; msg_id: the ID of the request;
    limits: what to stop at. After every `feed`, `state`, `messages`, `records` and `octets`
    (without TSIG) are current; `serial` is None until the opening SOA has come; `edns` is the last
    OPT that came.
    """

    def __init__(self, origin: bytes, msg_id: int, limits: StreamLimits | None = None) -> None:
        self.origin = origin
        self.state = State.WAITING
        self.messages = 0
        self.records = 0
        self.octets = 0
        self.serial: int | None = None
        self.edns: Edns | None = None
        self._msg_id = msg_id
        self._limits = limits or StreamLimits()
        self._question = origin + AXFR.to_bytes(2, "big") + _CLASS_IN
        self._parser = RecordParser(origin)
        self._soa = b""

    def feed(self, message: bytes) -> list[Update]:
        """Take one whole DNS message, unframed and without TSIG; return what it means.

        Raises TransferError: DENIED for an error rcode, POLICY for a limit, PROTOCOL for the rest.
        """
        self.messages += 1
        self.octets += len(message)
        try:
            if self.state is State.COMPLETE or self.state is State.FAILED:
                raise self._protocol(
                    "nothing after the message with the closing SOA"
                    if self.state is State.COMPLETE
                    else "nothing after a message that failed the transfer",
                    f"one more message of {len(message)} octets",
                )
            count, offset, extra = self._envelope(message)
            batch = self._parse(message, offset, count, extra)
            return self._records(batch, count)
        except TransferError:
            self._move(Event.FAULT)
            raise

    def finish(self) -> None:
        """The stream ended. Raises TransferError (PROTOCOL) unless the closing SOA has come."""
        if self.state is not State.COMPLETE:
            fault = self._protocol("the closing SOA", self._so_far("the end of the stream"))
            self._move(Event.FAULT)
            raise fault

    def abandon(self, reason: str) -> Abandon:
        """Give up from outside (timeout, shutdown, failed TSIG): what to tell the zone layer."""
        self._move(Event.FAULT)
        return Abandon(reason)

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
                f"the question {names.to_text(self.origin)} IN AXFR", _question_text(message)
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
                error.got + _position_text(message, offset, error.offset),
            ) from error
        if end != len(message):
            raise self._protocol(
                "the message to end with its last record", octets_text(len(message) - end) + " more"
            )
        return batch

    def _records(self, batch: Batch, count: int) -> list[Update]:
        """Find opening and closing SOA; `count` is what the header promised."""
        updates: list[Update] = []
        soas = list(batch.soas)
        opening = self.state is State.WAITING
        if opening:
            if not soas or soas[0] != 0 or _outside_first(batch):
                raise self._protocol(
                    f"the SOA of {names.to_text(self.origin)} as the first record",
                    _first_text(batch, self.origin),
                )
            self._soa = batch.records[0]
            self.serial = records.soa_serial(self._soa)
            updates.append(Begin(Kind.AXFR, self.serial, self._soa))
            soas = soas[1:]
        if soas:
            self._check_closing(batch, soas[0], count)
            batch.records.pop()
            batch.soas.pop()
        self.records += count
        if batch.records or batch.outside:
            updates.append(Add(batch))
        if soas:
            assert self.serial is not None
            updates.append(Finish(self.serial))
            self._move(Event.WHOLE if opening else Event.CLOSING)
        else:
            self._move(Event.OPENING if opening else Event.RECORDS)
        return updates

    def _check_closing(self, batch: Batch, index: int, count: int) -> None:
        closing = batch.records[index]
        if closing != self._soa:
            raise self._protocol(
                f"the closing SOA to equal the opening one ({_soa_text(self._soa)})",
                f"another SOA ({_soa_text(closing)}), as if the zone had changed meanwhile",
            )
        position = index
        for _, _, outside in batch.outside:
            if outside <= position:
                position += 1
        if position != count - 1:
            raise self._protocol(
                "the closing SOA to be the last record", f"{count - 1 - position} more after it"
            )

    def _place(self) -> str:
        return place_text(self.messages)

    def _so_far(self, what: str) -> str:
        if self.state is State.WAITING:
            return what
        return f"{what} after {amount_text(self.messages - 1, self.records)}"

    def _protocol(self, expected: str, got: str) -> TransferError:
        return TransferError(Failure.PROTOCOL, expected, f"{got}, in {self._place()}")


def rcode_of(message: bytes) -> int:
    """The rcode of a message of at least 12 octets, with the bits that its OPT adds."""
    edns = edns_of(message)
    return message[3] & _RCODE | (edns.rcode_high << 4 if edns is not None else 0)


def place_text(number: int) -> str:
    """ "the first message", "message 2"; number: from 1."""
    return "the first message" if number == 1 else f"message {number}"


def amount_text(messages: int, records: int) -> str:
    """ "1 message with 12 records"."""
    return f"{messages} message{'s' * (messages != 1)} with {records} record{'s' * (records != 1)}"


def octets_text(count: int) -> str:
    """ "1 octet", "2 octets"."""
    return f"{count} octet{'s' * (count != 1)}"


def _position_text(message: bytes, start: int, at: int) -> str:
    """ " at octet 140 (record 2, www.example.com. A)"; start: of the records; at: -1 for unknown.

    Owner and type are left out where they cannot be read.
    """
    if at < 0:
        return ""
    number, end, what = 0, start, ""
    try:
        while end <= at:
            number, begin, what = number + 1, end, ""
            what = ", " + names.to_text(names.read(message, begin)[0])
            fields = skip_name(message, begin)
            rtype, size = struct.unpack_from("!H6xH", message, fields)
            what += f" {records.type_text(rtype)}"
            end = fields + 10 + size
    except (WireError, struct.error):
        pass  # what is unreadable is what the sentence is about
    return f" at octet {at}" + (f" (record {number}{what})" if number else "")


def _question_text(message: bytes) -> str:
    try:
        name, offset = names.read(message, 12)
    except WireError as error:
        return f"an unreadable one ({error})"
    if offset + 4 > len(message):
        return "one that is cut off"
    rtype = int.from_bytes(message[offset : offset + 2], "big")
    rclass = int.from_bytes(message[offset + 2 : offset + 4], "big")
    class_text = "IN" if rclass == 1 else f"CLASS{rclass}"
    return f"{names.to_text(name)} {class_text} {records.type_text(rtype)}"


def _first_text(batch: Batch, origin: bytes) -> str:
    if _outside_first(batch):
        owner, rtype, _ = batch.outside[0]
    else:
        key, rtype, *_ = records.split(batch.records[0])
        owner = names.wire_of(key, origin)
    return f"{names.to_text(owner)} {records.type_text(rtype)}"


def _outside_first(batch: Batch) -> bool:
    return bool(batch.outside) and batch.outside[0][2] == 0


def _soa_text(soa: bytes) -> str:
    """Serial, and enough of the rest to see a difference under one serial."""
    mname, _, serial, *timers = records.soa_fields(soa)
    ttl = records.split(soa)[3]
    rest = "/".join(str(timer) for timer in timers)
    return f"serial {serial}, {names.to_text(mname)}, TTL {ttl}, timers {rest}"
