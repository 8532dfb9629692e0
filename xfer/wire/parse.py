"""From the messages of a transfer to records, one message at a time.

RFC 1035 §4.1.3–4.1.4, RFC 3597 §4 (compression is undone in the rdata of every type in which it
has been seen), RFC 4034 §6.2 (canonical rdata), RFC 2181 §8 (a TTL with its top bit set is 0).

This is the receiver's hottest loop: names are remembered by their offset, so that a compressed
owner costs a dictionary look-up and a concatenation.
"""

from __future__ import annotations

from typing import Final

from xfer.errors import WireError
from xfer.wire import names
from xfer.wire.records import (
    AAAA,
    HAS_NAMES,
    IN,
    RRSIG,
    SOA,
    A,
    Spelling,
    check_shape,
    expand_rdata,
    is_data_type,
    type_text,
)

_NO_TTL: Final = b"\0\0\0\0"


class Batch:
    """The records of one message, in its order.

    records: records at or below the apex; spelling: those of them that came in another case than
    canonical; soas: indexes in `records` of SOA records of the apex; outside: (owner wire name,
    type, position among all records of the message) of records that are not in the zone, which
    are left out of `records`; end: offset behind the last record.
    """

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.spelling: Spelling = {}
        self.soas: list[int] = []
        self.outside: list[tuple[bytes, int, int]] = []
        self.end: int = 0


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
        size = len(msg)
        room = len(origin)
        # Owner keys, and full names of owners in another case, by the offset they stand at.
        keys: dict[int, bytes] = {}
        spelled_owners: dict[int, bytes] = {}
        p = offset
        position = 0
        while position < count:
            if p >= size:
                raise WireError(f"{count} records", f"the end of the message after {position}", p)
            first = msg[p]
            where = p
            key: bytes | None = None
            if first >= 0xC0 and p + 1 < size:
                where = (first & 0x3F) << 8 | msg[p + 1]
                if where < p:
                    key = keys.get(where)
                if key is not None:
                    p += 2
            elif 0 < first < 64:
                q = p + 1 + first
                if q + 1 < size and msg[q] >= 0xC0:
                    target = (msg[q] & 0x3F) << 8 | msg[q + 1]
                    parent = keys.get(target)
                    if parent is not None and target < p and target not in spelled_owners:
                        label = msg[p + 1 : q]
                        # The relative part of the name has len(parent) + first octets.
                        if label.lower() == label and len(parent) + first + room <= 255:
                            if b"\0" in label or b"\1" in label:
                                label = names.escape(label)
                            if len(parent) == 1:
                                key = label + b"\0\0"
                            else:
                                key = parent[:-1] + label + b"\0\0"
                            keys[p] = key
                            p = q + 2
            owner: bytes | None = None
            if key is None:
                # Everything unusual: whole names, several labels, upper case, errors.
                name, end = names.read(msg, p)
                low = name.lower()
                if names.is_below(low, origin):
                    key = names.key_of(low, origin)
                    # Where the name begins with a pointer, what is known is known of its target.
                    if where >= p:
                        where = p
                    keys[where] = key
                    if low != name:
                        spelled_owners[where] = name
                        owner = name
                else:
                    owner = name
                p = end
            elif spelled_owners:
                owner = spelled_owners.get(where)

            if p + 10 > size:
                raise WireError(
                    "a record's type, class, TTL and length", "the end of the message", p
                )
            rtype = msg[p] << 8 | msg[p + 1]
            rclass = msg[p + 2] << 8 | msg[p + 3]
            start = p + 10
            end = start + (msg[p + 8] << 8 | msg[p + 9])
            if end > size:
                raise WireError(
                    f"{end - start} octets of {type_text(rtype)} rdata",
                    f"{size - start} to the end of the message",
                    start,
                )
            if rclass != IN:
                raise WireError("a record of class IN", f"class {rclass}", p + 2)
            if rtype < 256:
                if HAS_NAMES[rtype]:
                    spelled, rdata = expand_rdata(msg, start, end, rtype)
                else:
                    rdata = spelled = msg[start:end]
                    if (rtype == A and end - start == 4) or (rtype == AAAA and end - start == 16):
                        pass
                    elif not is_data_type(rtype):
                        raise WireError("a type that is data", type_text(rtype), p)
                    else:
                        check_shape(rtype, rdata, start)
            else:
                rdata = spelled = msg[start:end]
                check_shape(rtype, rdata, start)

            if key is None:
                assert owner is not None
                batch.outside.append((owner, rtype, position))
            else:
                ttl = msg[p + 4 : p + 8]
                if ttl[0] >= 0x80:
                    ttl = _NO_TTL
                if rtype == RRSIG:
                    record = key + msg[p : p + 2] + rdata[:2] + ttl + rdata
                else:
                    record = key + msg[p : p + 2] + ttl + rdata
                if rtype == SOA and len(key) == 1:
                    batch.soas.append(len(out))
                if owner is not None or spelled is not rdata:
                    if owner is None:
                        owner = names.wire_of(key, origin)
                    batch.spelling[record] = (owner, spelled)
                out.append(record)
            p = end
            position += 1
        batch.end = p
        return batch
