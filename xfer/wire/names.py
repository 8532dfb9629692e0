"""Domain names: text, wire form, and the owner key that sorts in canonical order.

RFC 1035 §3.1, §4.1.4 and §5.1 (wire form, compression, escapes), RFC 4343 (case), RFC 4034 §6.1
(canonical order).

A *wire name* is uncompressed and ends with the root's zero octet. An *owner key* holds the labels
below the zone's apex, from the apex down, lower-cased, each ended by 0x00, the whole ended by one
more 0x00; 0x00 and 0x01 inside a label are written 0x01 0x01 and 0x01 0x02. Comparing keys as bytes
is comparing names in canonical order, and the apex's own key is one 0x00.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from xfer.errors import OutOfZoneError, WireError

MAX_NAME: Final = 255
MAX_LABEL: Final = 63
# A name has at most 127 labels, so an honest one never needs more jumps than that.
MAX_JUMPS: Final = 127

_SPECIAL: Final = b'"().;\\@$'


def from_text(text: str) -> bytes:
    r"""The wire name of an absolute name in presentation form; a missing final dot is added.

    Takes ASCII with the escapes `\.` and `\DDD` (RFC 1035 §5.1); keeps the case.
    Raises WireError for an empty label, a label over 63 or a name over 255 octets.
    """
    if text == ".":
        return b"\0"
    wire = bytearray()
    label = bytearray()
    i = 0
    n = len(text)
    if n == 0:
        raise WireError("a domain name", "an empty string")
    while i < n:
        c = text[i]
        i += 1
        if c == ".":
            _end_label(wire, label, text)
            label = bytearray()
            continue
        if c == "\\":
            digits = text[i : i + 3]
            if len(digits) == 3 and digits.isascii() and digits.isdigit():
                if int(digits) > 255:
                    raise WireError("an escape up to \\255", f"\\{digits} in {text!r}")
                label.append(int(digits))
                i += 3
                continue
            if i == n:
                raise WireError("a character after the backslash", f"the end of {text!r}")
            c = text[i]
            i += 1
        if ord(c) > 127:
            raise WireError("an ASCII name (A-labels for IDNs)", repr(text))
        label.append(ord(c))
    if len(label) > 0:
        _end_label(wire, label, text)
    wire.append(0)
    if len(wire) > MAX_NAME:
        raise WireError("a name of at most 255 octets", f"{len(wire)} octets in {text[:80]!r}…")
    return bytes(wire)


def _end_label(wire: bytearray, label: bytearray, text: str) -> None:
    if len(label) == 0:
        raise WireError("labels that are not empty", repr(text[:300]))
    if len(label) > MAX_LABEL:
        raise WireError("labels of at most 63 octets", f"one of {len(label)} in {text[:80]!r}")
    wire.append(len(label))
    wire += label


def to_text(wire: bytes) -> str:
    r"""The presentation form of a wire name, absolute, with `\.` and `\DDD` escapes."""
    if wire == b"\0":
        return "."
    out: list[str] = []
    for label in labels(wire):
        for octet in label:
            if octet in _SPECIAL:
                out.append("\\" + chr(octet))
            elif 0x21 <= octet <= 0x7E:
                out.append(chr(octet))
            else:
                out.append(f"\\{octet:03d}")
        out.append(".")
    return "".join(out)


def lower(wire: bytes) -> bytes:
    """The name with ASCII letters lower-cased; length octets are below 0x41, so they stay."""
    return wire.lower()


def labels(wire: bytes) -> list[bytes]:
    """The labels of a wire name, leftmost first, without the root's empty one."""
    out: list[bytes] = []
    i = 0
    while wire[i] != 0:
        length = wire[i]
        out.append(wire[i + 1 : i + 1 + length])
        i += 1 + length
    return out


def read(msg: bytes, offset: int, known: dict[int, bytes] | None = None) -> tuple[bytes, int]:
    """The name at `offset` of a message, uncompressed, in its own case, and the offset behind it.

    known: names of this message by the offsets that pointers led to; read from, and added to, so
    that a message of nothing but long chains of pointers is still read in linear time.
    Raises WireError where it runs out of the message, is over 255 octets, has a label type other
    than 00 or 11, or a pointer that does not point backwards (RFC 1035 §4.1.4).
    """
    size: i64 = len(msg)
    parts: list[bytes] = []
    targets: list[int] = []
    total: i64 = 0
    p: i64 = offset
    floor: i64 = offset  # a pointer has to point below the start of the labels it was found after
    end: i64 = -1
    length: i64 = 0
    while True:
        start: i64 = p
        while True:
            if p >= size:
                raise WireError("a name", "the end of the message", offset)
            length = msg[p]
            if length == 0 or length > 63:
                break
            p += 1 + length
        if length == 0:
            p += 1
        total += p - start
        if total > MAX_NAME or (total == MAX_NAME and length != 0):
            raise WireError("a name of at most 255 octets", "a longer one", offset)
        parts.append(msg[start:p])
        if length == 0:
            break
        if length < 0xC0:
            raise WireError("a label of at most 63 octets", f"length octet {length:#04x}", p)
        if p + 1 >= size:
            raise WireError("a compression pointer", "the end of the message", p)
        target: i64 = (length & 0x3F) << 8 | msg[p + 1]
        if target >= floor:
            raise WireError("a compression pointer to an earlier name", f"one to {target}", p)
        if end < 0:
            end = p + 2
        if known is not None:
            rest = known.get(target)
            if rest is not None:
                total += len(rest)
                if total > MAX_NAME:
                    raise WireError("a name of at most 255 octets", "a longer one", offset)
                parts.append(rest)
                break
        targets.append(target)
        if len(targets) > MAX_JUMPS:
            raise WireError("at most 127 compression pointers in a name", "more", offset)
        floor = target
        p = target
    if known is not None and targets:
        at = len(parts) - 1
        if at > len(targets):  # the last part was known already
            rest = parts[at]
            at -= 1
        else:
            rest = b""
        while at > 0:
            rest = parts[at] + rest
            known[targets[at - 1]] = rest
            at -= 1
        parts = [parts[0], rest]
    return (b"".join(parts) if len(parts) > 1 else parts[0]), (p if end < 0 else end)


def is_below(wire: bytes, origin: bytes) -> bool:
    """Whether the lower-case name is the lower-case origin or below it."""
    if not wire.endswith(origin):
        return False
    cut: i64 = len(wire) - len(origin)
    i: i64 = 0
    while i < cut:
        i += 1 + wire[i]
    return i == cut


def escape(label: bytes) -> bytes:
    """A label as it stands in an owner key: without 0x00, order kept."""
    if 0 in label or 1 in label:
        return label.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
    return label


def unescape(part: bytes) -> bytes:
    """The label that `escape` was given."""
    if 1 in part:
        return part.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1")
    return part


def key_of(wire: bytes, origin: bytes) -> bytes:
    """The owner key of a lower-case wire name in the zone of a lower-case origin.

    Raises OutOfZoneError where the name is not at or below the origin.
    """
    if not is_below(wire, origin):
        raise OutOfZoneError(f"a name at or below {to_text(origin)}", to_text(wire))
    parts: list[bytes] = []
    i: i64 = 0
    cut: i64 = len(wire) - len(origin)
    if cut == 0:
        return b"\0"
    while i < cut:
        start: i64 = i + 1
        i = start + wire[i]
        parts.append(wire[start:i])
    parts.reverse()
    key = b"\0".join(parts)
    if b"\1" in key or key.count(b"\0") != len(parts) - 1:
        key = b"\0".join([escape(part) for part in parts])
    return key + b"\0\0"


def wire_of(key: bytes, origin: bytes) -> bytes:
    """The lower-case wire name of an owner key."""
    if len(key) == 1:
        return origin
    parts = key[:-2].split(b"\0")
    parts.reverse()
    out: list[bytes] = []
    for part in parts:
        label = unescape(part)
        out.append(bytes([len(label)]) + label)
    return b"".join(out) + origin
