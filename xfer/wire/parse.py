"""From the messages of a transfer to records, one message at a time.

RFC 1035 §4.1.3–4.1.4, RFC 3597 §4 (compression is undone in the rdata of every type in which it
has been seen), RFC 4034 §6.2 (canonical rdata), RFC 2181 §8 (a TTL with its top bit set is 0).

This is the receiver's hottest loop: names are remembered by their offset, so that a compressed
owner costs a dictionary look-up and a concatenation.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i16_be, read_i64_be
from mypy_extensions import i64

from xfer.errors import WireError
from xfer.wire import names
from xfer.wire.records import (
    HAS_NAMES,
    IN,
    NSEC,
    RRSIG,
    SOA,
    Spelling,
    check_bitmap,
    check_shape,
    exact_size,
    expand_rdata,
    is_data_type,
    keeps_case,
    layout,
    type_text,
)

# How the rdata of a type is read.
_EXACT: Final = 0  # a known number of octets
_CHECKED: Final = 1  # no names; `check_shape` looks at it
_NAME: Final = 2  # octets, one name, nothing else
_SIGNED: Final = 3  # RRSIG
_NEXT: Final = 4  # NSEC
_MIXED: Final = 5  # other arrangements of names

_NO_POINTER: Final = 1 << 16  # no two octets read so, as a number with a sign

# What changes a label is more than a copy away from its place in an owner key.
_UPPER: Final = bytes(range(65, 91))
_PLAIN: Final = bytes.maketrans(b"\0\1" + _UPPER, b"\2\2" + _UPPER.lower())


class _Head:
    """What the type, class and TTL of a record say, worked out once for each that occurs.

    prefix: type and TTL as they stand in the record (of RRSIG only the type); ttl: four octets;
    how: one of the constants above; octets: exact size, or octets before the name.
    """

    def __init__(self, eight: bytes, offset: int) -> None:
        rtype = eight[0] << 8 | eight[1]
        rclass = eight[2] << 8 | eight[3]
        if rclass != IN:
            raise WireError("a record of class IN", f"class {rclass}", offset + 2)
        if not is_data_type(rtype):
            raise WireError("a type that is data", type_text(rtype), offset)
        self.rtype = rtype
        self.is_soa = rtype == SOA
        self.ttl = b"\0\0\0\0" if eight[4] >= 0x80 else eight[4:]
        self.prefix = eight[:2] + self.ttl
        self.octets: i64 = 0
        self.how: i64 = _CHECKED
        exact = exact_size(rtype)
        if exact > 0:
            self.how = _EXACT
            self.octets = exact
        elif rtype == RRSIG:
            self.how = _SIGNED
            self.octets = 18
        elif rtype == NSEC:
            self.how = _NEXT
        elif rtype < 256 and HAS_NAMES[rtype]:
            octets, strings, count, tail = layout(rtype)
            self.octets = octets
            simple = strings == 0 and count == 1 and tail == 0 and not keeps_case(rtype)
            self.how = _NAME if simple else _MIXED


def _name_at(msg: bytes, at: int, wires: dict[int, bytes]) -> bytes:
    """The name that stands at an offset, uncompressed, and remembered in `wires`."""
    size: i64 = len(msg)
    q: i64 = at
    while q < size and 0 < msg[q] < 64:
        q += 1 + msg[q]
    if q + 1 < size and msg[q] >= 0xC0:
        target: i64 = (msg[q] & 0x3F) << 8 | msg[q + 1]
        if target < at:
            rest = wires.get(target)
            if rest is None:
                rest, _ = names.read(msg, target, wires)
                wires[target] = rest
            name = msg[at:q] + rest
            if len(name) <= names.MAX_NAME:
                wires[at] = name
                return name
    name, _ = names.read(msg, at, wires)
    wires[at] = name
    return name


class Batch:
    """The records of one message, in its order.

    records: records at or below the apex; spelling: those of them that came in another case than
    canonical; soas: indexes in `records` of SOA records of the apex; outside: (owner wire name,
    type, position among all records of the message) of records that are not in the zone, which
    are left out of `records`; octets: of all `records` and spellings; end: offset behind the last
    record.
    """

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.spelling: Spelling = {}
        self.soas: list[int] = []
        self.outside: list[tuple[bytes, int, int]] = []
        self.octets: int = 0
        self.end: int = 0

    def add(self, record: bytes, spelling: tuple[bytes, bytes] | None = None) -> None:
        """Take a record that does not come from a message, with its spelled owner and rdata."""
        self.records.append(record)
        self.octets += len(record)
        if spelling is not None:
            self.spelling[record] = spelling
            self.octets += len(spelling[0]) + len(spelling[1])


def _tail_key(tail: bytes, tails: dict[bytes, bytes], origin: bytes) -> bytes:
    """The owner key of a lower-case name that others end with, b"" outside the zone; remembered."""
    key = tails.get(tail)
    if key is None:
        key = names.key_of(tail, origin) if names.is_below(tail, origin) else b""
        tails[tail] = key
    return key


def _owner_key(low: bytes, taken: int, tails: dict[bytes, bytes], origin: bytes) -> bytes | None:
    """The owner key of a lower-case name that took that many octets, None outside the zone.

    Only the labels that stand here cost work; what a pointer led to is looked up.
    """
    if taken == len(low):
        return names.key_of(low, origin) if names.is_below(low, origin) else None
    own = taken - 2
    above = _tail_key(low[own:], tails, origin)
    if len(above) > 0:
        return above[:-1] + names.key_of(low[:own] + b"\0", b"\0") if own > 0 else above
    # The apex itself may begin among the labels that stand here.
    if len(low) - len(origin) < own and names.is_below(low, origin):
        return names.key_of(low, origin)
    return None


class RecordParser:
    """Reads the records of messages that belong to one zone.

    origin: the zone's apex as a lower-case wire name.
    """

    def __init__(self, origin: bytes) -> None:
        self.origin = origin

    def parse(self, msg: bytes, offset: int, count: int) -> Batch:
        """Read `count` records from `offset`.

        Raises WireError where a record is malformed, cut, not of class IN, or of a type that is
        not data. The work is bounded by the message's 65,535 octets.
        """
        batch = Batch()
        out = batch.records
        origin = self.origin
        size: i64 = len(msg)
        origin_size: i64 = len(origin)
        room: i64 = 255 - origin_size
        # By the offset they stand at: owner keys; full names of owners in another case; names that
        # pointers led to. By lower-case name: owner keys of such names, b"" outside the zone.
        keys: dict[int, bytes] = {}
        spelled_owners: dict[int, bytes] = {}
        wires: dict[int, bytes] = {}
        tails: dict[bytes, bytes] = {}
        heads: dict[int, _Head] = {}  # by type, class and TTL as one number
        head: _Head | None = None  # of the record before, whose eight octets were `last_said`
        last_said: i64 = 0
        octets: i64 = 0
        # The last owner: the pointer to it, its key, and its full name in another case.
        last_pointer: i64 = _NO_POINTER
        key: bytes | None = None
        owner: bytes | None = None
        p: i64 = offset
        for position in range(count):
            if p >= size:
                raise WireError(f"{count} records", f"the end of the message after {position}", p)
            if p + 1 < size and read_i16_be(msg, p) == last_pointer:
                p += 2
            else:
                key = None
                owner = None
                first: i64 = msg[p]
                where: i64 = p  # where the first label of the owner stands
                behind: i64 = 0  # the offset behind the owner, where a pointer has led away from it
                if first >= 0xC0 and p + 1 < size:
                    where = (first & 0x3F) << 8 | msg[p + 1]
                    behind = p + 2
                    key = keys.get(where)
                    if key is not None and spelled_owners:
                        owner = spelled_owners.get(where)
                if key is None and where < size and (behind == 0 or where < p):
                    q: i64 = where
                    single = True
                    while q < size and 0 < msg[q] < 64:
                        single = q == where
                        q += 1 + msg[q]
                    parent: bytes | None = None
                    if q >= size or q == where:
                        pass
                    elif msg[q] >= 0xC0 and q + 1 < size:
                        target: i64 = (msg[q] & 0x3F) << 8 | msg[q + 1]
                        if behind == 0:
                            behind = q + 2
                        parent = keys.get(target)
                        if parent is None and target < where:
                            suffix = wires.get(target)
                            if suffix is None:
                                suffix, _ = names.read(msg, target, wires)
                                wires[target] = suffix
                            if suffix.lower() == suffix:
                                above = _tail_key(suffix, tails, origin)
                                if len(above) > 0:
                                    parent = above
                                    keys[target] = above
                        elif spelled_owners and target in spelled_owners:
                            parent = None
                    elif msg[q] == 0:
                        # The whole name: does it end in the origin, label by label?
                        if behind == 0:
                            behind = q + 1
                        q -= origin_size - 1
                        if q > where and msg[q : q + origin_size] == origin:
                            label_at: i64 = where
                            while label_at < q:
                                single = label_at == where
                                label_at += 1 + msg[label_at]
                            if label_at == q:
                                parent = b"\0"
                    # The relative part of the name has this many octets.
                    if parent is not None and len(parent) - 1 + q - where <= room:
                        label = msg[where + 1 : q]
                        copied = label.translate(_PLAIN) == label
                        if copied or label.lower() == label:
                            if not single:
                                label = names.key_of(msg[where:q] + b"\0", b"\0")[:-2]
                            elif not copied:
                                label = names.escape(label)
                            if len(parent) == 1:
                                key = label + b"\0\0"
                            else:
                                key = parent[:-1] + label + b"\0\0"
                            keys[where] = key
                if key is not None:
                    p = behind
                else:
                    # Everything unusual: the apex, names outside the zone, upper case, errors.
                    name, after = names.read(msg, p, wires)
                    low = name.lower()
                    key = _owner_key(low, after - p, tails, origin)
                    if key is not None:
                        # Where the name begins with a pointer, that is known of its target.
                        keys[where] = key
                        if low != name:
                            spelled_owners[where] = name
                            owner = name
                    else:
                        owner = name
                    p = after
                last_pointer = where - 0x4000 if where < 0x4000 else _NO_POINTER

            if p + 10 > size:
                raise WireError(
                    "a record's type, class, TTL and length", "the end of the message", p
                )
            said: i64 = read_i64_be(msg, p)
            if head is None or said != last_said:
                head = heads.get(said)
                if head is None:
                    head = _Head(msg[p : p + 8], p)
                    heads[said] = head
                last_said = said
            start: i64 = p + 10
            end: i64 = start + (msg[p + 8] << 8 | msg[p + 9])
            if end > size:
                raise WireError(
                    f"{end - start} octets of {type_text(head.rtype)} rdata",
                    f"{size - start} to the end of the message",
                    start,
                )
            how = head.how
            rdata = msg[start:end]
            spelled = rdata
            if how == _EXACT:
                if end - start != head.octets:
                    check_shape(head.rtype, rdata, start)
            elif how == _CHECKED:
                check_shape(head.rtype, rdata, start)
            elif how == _MIXED:
                spelled, rdata = expand_rdata(msg, start, end, head.rtype, wires)
            else:
                begin: i64 = start + head.octets
                r = begin
                length: i64 = 64
                while r < end:
                    length = msg[r]
                    if length == 0 or length > 63:
                        break
                    r += 1 + length
                plain = False
                if r < end and length == 0 and r - begin < 255:
                    if how == _NAME:
                        if r + 1 == end:
                            lowered = rdata.lower() if begin == start else msg[begin:end].lower()
                            plain = rdata.endswith(lowered)
                    elif how == _NEXT:
                        check_bitmap(rdata, r + 1 - start, start)
                        plain = True
                    elif r + 1 < end:
                        signer = msg[begin : r + 1]
                        plain = signer.lower() == signer
                elif how == _NAME and r + 2 == end and length >= 0xC0:
                    to: i64 = (length & 0x3F) << 8 | msg[r + 1]
                    if to < begin:
                        tail = wires.get(to)
                        if tail is None:
                            tail = _name_at(msg, to, wires)
                        full = msg[start:r] + tail
                        target_name = full if head.octets == 0 else full[head.octets :]
                        if len(target_name) <= 255 and (
                            target_name.islower() or target_name.lower() == target_name
                        ):
                            rdata = full
                            spelled = full
                            plain = True
                if not plain:
                    spelled, rdata = expand_rdata(msg, start, end, head.rtype, wires)

            if key is None:
                assert owner is not None
                batch.outside.append((owner, head.rtype, position))
            else:
                if how == _SIGNED:
                    record = key + head.prefix[:2] + rdata[:2] + head.ttl + rdata
                else:
                    record = key + head.prefix + rdata
                    if head.is_soa and len(key) == 1:
                        batch.soas.append(len(out))
                if owner is not None or spelled is not rdata:
                    whose = owner if owner is not None else names.wire_of(key, origin)
                    batch.spelling[record] = (whose, spelled)
                    octets += len(whose) + len(spelled)
                out.append(record)
                octets += len(record)
            p = end
        batch.octets = octets
        batch.end = p
        return batch
