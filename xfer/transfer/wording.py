"""What the sentences about a transfer are made of: places, amounts, questions, records."""

from __future__ import annotations

import struct

from xfer.errors import WireError
from xfer.wire import names, records
from xfer.wire.header import skip_name
from xfer.wire.parse import Batch


def place_text(number: int) -> str:
    """ "the first message", "message 2"; number: from 1."""
    return "the first message" if number == 1 else f"message {number}"


def amount_text(messages: int, records: int) -> str:
    """ "1 message with 12 records"."""
    return f"{messages} message{'s' * (messages != 1)} with {records} record{'s' * (records != 1)}"


def octets_text(count: int) -> str:
    """ "1 octet", "2 octets"."""
    return f"{count} octet{'s' * (count != 1)}"


def position_text(message: bytes, start: int, at: int) -> str:
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


def question_text(message: bytes) -> str:
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


def first_text(batch: Batch, origin: bytes) -> str:
    if outside_first(batch):
        owner, rtype, _ = batch.outside[0]
    else:
        key, rtype, *_ = records.split(batch.records[0])
        owner = names.wire_of(key, origin)
    return f"{names.to_text(owner)} {records.type_text(rtype)}"


def outside_first(batch: Batch) -> bool:
    return bool(batch.outside) and batch.outside[0][2] == 0


def soa_text(soa: bytes) -> str:
    """Serial, and enough of the rest to see a difference under one serial."""
    mname, _, serial, *timers = records.soa_fields(soa)
    ttl = records.split(soa)[3]
    rest = "/".join(str(timer) for timer in timers)
    return f"serial {serial}, {names.to_text(mname)}, TTL {ttl}, timers {rest}"
