"""Records as sortable bytes, and what the engine has to know of each type's rdata.

A record is `owner key · type (2) · covered type (2, RRSIG only) · TTL (4) · canonical rdata`
(DESIGN §2): sorted as bytes, records stand in the canonical order of RFC 4034 §6, RRset by RRset.
Canonical rdata has the embedded names of RFC 4034 §6.2's types lower-cased, except NSEC's
(RFC 6840 §5.1). RRSIG rdata is kept whole, so its covered type stands twice.

Class is always IN. Types 0, 41 and 128–255 are no data (RFC 6895 §3.1) and have no record here.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from xfer.errors import WireError
from xfer.wire import names

A: Final = 1
NS: Final = 2
MD: Final = 3
MF: Final = 4
CNAME: Final = 5
SOA: Final = 6
MB: Final = 7
MG: Final = 8
MR: Final = 9
PTR: Final = 12
HINFO: Final = 13
MINFO: Final = 14
MX: Final = 15
TXT: Final = 16
RP: Final = 17
AFSDB: Final = 18
RT: Final = 21
SIG: Final = 24
KEY: Final = 25
PX: Final = 26
AAAA: Final = 28
NXT: Final = 30
SRV: Final = 33
NAPTR: Final = 35
KX: Final = 36
DNAME: Final = 39
OPT: Final = 41
DS: Final = 43
RRSIG: Final = 46
NSEC: Final = 47
DNSKEY: Final = 48
NSEC3: Final = 50
NSEC3PARAM: Final = 51
CDS: Final = 59
CDNSKEY: Final = 60
ZONEMD: Final = 63
TSIG: Final = 250
IXFR: Final = 251
AXFR: Final = 252
ANY: Final = 255

IN: Final = 1

# record → (owner wire name, rdata) as they arrived, kept only where they differ from canonical.
Spelling = dict[bytes, tuple[bytes, bytes]]

_TEXT: Final[dict[int, str]] = {
    A: "A", NS: "NS", MD: "MD", MF: "MF", CNAME: "CNAME", SOA: "SOA", MB: "MB", MG: "MG", MR: "MR",
    10: "NULL", 11: "WKS", PTR: "PTR", HINFO: "HINFO", MINFO: "MINFO", MX: "MX", TXT: "TXT",
    RP: "RP", AFSDB: "AFSDB", 19: "X25", 20: "ISDN", RT: "RT", 22: "NSAP", 23: "NSAP-PTR",
    SIG: "SIG", KEY: "KEY", PX: "PX", 27: "GPOS", AAAA: "AAAA", 29: "LOC", NXT: "NXT", SRV: "SRV",
    NAPTR: "NAPTR", KX: "KX", 37: "CERT", 38: "A6", DNAME: "DNAME", OPT: "OPT", 42: "APL",
    DS: "DS", 44: "SSHFP", 45: "IPSECKEY", RRSIG: "RRSIG", NSEC: "NSEC", DNSKEY: "DNSKEY",
    49: "DHCID", NSEC3: "NSEC3", NSEC3PARAM: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP",
    CDS: "CDS", CDNSKEY: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", ZONEMD: "ZONEMD", 64: "SVCB",
    65: "HTTPS", 66: "DSYNC", 99: "SPF", 104: "NID", 105: "L32", 106: "L64", 107: "LP",
    108: "EUI48", 109: "EUI64", 128: "NXNAME", 249: "TKEY", TSIG: "TSIG", IXFR: "IXFR",
    AXFR: "AXFR", 253: "MAILB", 254: "MAILA", ANY: "ANY", 256: "URI", 257: "CAA", 258: "AVC",
    259: "DOA", 260: "AMTRELAY", 261: "RESINFO", 262: "WALLET", 32768: "TA", 32769: "DLV",
}  # fmt: skip
_NUMBER: Final[dict[str, int]] = {text: number for number, text in _TEXT.items()}


def type_text(rtype: int) -> str:
    """The mnemonic of a type, or RFC 3597's `TYPE65280`."""
    return _TEXT.get(rtype, f"TYPE{rtype}")


def type_number(text: str) -> int:
    """The number of a type given by mnemonic or as `TYPEn`, any case. Raises WireError."""
    upper = text.upper()
    found = _NUMBER.get(upper)
    if found is not None:
        return found
    digits = upper[4:] if upper.startswith("TYPE") else ""
    if len(digits) <= 5 and digits.isascii() and digits.isdigit() and int(digits) < 65536:
        return int(digits)
    raise WireError("a record type", repr(text))


def is_data_type(rtype: int) -> bool:
    """Whether records of this type may stand in a zone (RFC 6895 §3.1)."""
    return rtype != 0 and rtype != OPT and not 128 <= rtype <= 255


# Where names stand in the rdata of the types that have any: octets before them, character-strings
# after those (NAPTR), how many names, and how many octets have to follow (-1: any number).
# A name in `Layout` may arrive compressed: RFC 3597 §4 allows it for the types of RFC 1035, and
# RFC 2052, 2915, 1183 … senders have been seen to do it for the others.
Layout = tuple[int, int, int, int]
_LAYOUT: Final[dict[int, Layout]] = {
    NS: (0, 0, 1, 0), MD: (0, 0, 1, 0), MF: (0, 0, 1, 0), CNAME: (0, 0, 1, 0), SOA: (0, 0, 2, 20),
    MB: (0, 0, 1, 0), MG: (0, 0, 1, 0), MR: (0, 0, 1, 0), PTR: (0, 0, 1, 0), 23: (0, 0, 1, 0),
    MINFO: (0, 0, 2, 0), MX: (2, 0, 1, 0), RP: (0, 0, 2, 0), AFSDB: (2, 0, 1, 0), RT: (2, 0, 1, 0),
    SIG: (18, 0, 1, -1), PX: (2, 0, 2, 0), NXT: (0, 0, 1, -1), SRV: (6, 0, 1, 0),
    NAPTR: (4, 3, 1, 0), KX: (2, 0, 1, 0), DNAME: (0, 0, 1, 0), RRSIG: (18, 0, 1, -1),
    NSEC: (0, 0, 1, -1), 107: (2, 0, 1, 0),
}  # fmt: skip
# Types below 256 with names in them, for the parser's first look.
HAS_NAMES: Final[bytes] = bytes([1 if t in _LAYOUT else 0 for t in range(256)])
# RFC 4034 §6.2 with RFC 6840 §5.1: NSEC's next name keeps its case; LP and NSAP-PTR are not listed.
_KEEPS_CASE: Final = frozenset((NSEC, 107, 23))


def layout(rtype: int) -> Layout:
    """(octets, character-strings, names, tail octets) of a type in HAS_NAMES."""
    return _LAYOUT[rtype]


def keeps_case(rtype: int) -> bool:
    """Whether canonical rdata of a type in HAS_NAMES keeps the case of its names."""
    return rtype in _KEEPS_CASE


# Smallest rdata of types without names; what is not here may be empty or is checked below.
_SHORTEST: Final[dict[int, int]] = {
    11: 5, 42: 0, KEY: 4, 37: 5, DS: 5, 44: 3, 45: 3, DNSKEY: 5, 49: 3, NSEC3: 7, NSEC3PARAM: 5,
    52: 4, 53: 4, CDS: 5, CDNSKEY: 5, 61: 1, 62: 6, ZONEMD: 7, 64: 3, 65: 3, 256: 5, 257: 3,
    260: 2,
}  # fmt: skip
_EXACT: Final[dict[int, int]] = {A: 4, AAAA: 16, 104: 10, 105: 6, 106: 10, 108: 6, 109: 8}


def exact_size(rtype: int) -> int:
    """Octets of rdata that a type always has; 0 where it varies."""
    return _EXACT.get(rtype, 0)


# Character-strings and nothing else: how few there may be, and how many (0: no limit).
_STRINGS: Final[dict[int, tuple[int, int]]] = {
    HINFO: (2, 2), TXT: (1, 0), 19: (1, 1), 20: (1, 2), 27: (3, 3), 99: (1, 0), 258: (1, 0),
    261: (1, 0), 262: (1, 0),
}  # fmt: skip


def check_shape(rtype: int, rdata: bytes, offset: int = -1) -> None:
    """Refuse rdata that cannot be of this type; types without names in their rdata only.

    Looks at lengths and counted parts, not at meaning; unknown types pass (RFC 3597).
    Raises WireError; `offset` is only for its message.
    """
    size = len(rdata)
    exact = _EXACT.get(rtype)
    if exact is not None:
        if size != exact:
            raise WireError(f"{exact} octets of {type_text(rtype)} rdata", f"{size} octets", offset)
        return
    strings = _STRINGS.get(rtype)
    if strings is not None:
        found = 0
        p = 0
        while p < size:
            p += 1 + rdata[p]
            found += 1
        if p != size or found < strings[0] or (strings[1] and found > strings[1]):
            raise WireError(
                f"{type_text(rtype)} rdata of whole character-strings",
                f"{found} strings that need {p} octets in {size} octets",
                offset,
            )
        return
    shortest = _SHORTEST.get(rtype)
    if shortest is not None and size < shortest:
        raise WireError(
            f"at least {shortest} octets of {type_text(rtype)} rdata", f"{size} octets", offset
        )
    if rtype == NSEC3:
        _check_nsec3(rdata, offset)
    elif rtype == NSEC3PARAM and size != 5 + rdata[4]:
        raise WireError(f"NSEC3PARAM with a salt of {rdata[4]} octets", f"{size - 5}", offset)
    elif rtype == 62:
        check_bitmap(rdata, 6, offset)
    elif rtype == 257 and (rdata[1] == 0 or size < 2 + rdata[1]):
        raise WireError("CAA rdata with a tag", f"tag length {rdata[1]} in {size} octets", offset)
    elif rtype == 29 and (size == 0 or (rdata[0] == 0 and size != 16)):
        raise WireError("16 octets of LOC rdata", f"{size} octets", offset)


def _check_nsec3(rdata: bytes, offset: int) -> None:
    size = len(rdata)
    salt = rdata[4]
    if 5 + salt >= size:
        raise WireError("NSEC3 rdata with its salt", f"{size} octets", offset)
    hashed = rdata[5 + salt]
    if hashed == 0 or 6 + salt + hashed > size:
        raise WireError("NSEC3 rdata with its next hashed owner", f"{size} octets", offset)
    check_bitmap(rdata, 6 + salt + hashed, offset)


def check_bitmap(rdata: bytes, start: int, offset: int = -1) -> None:
    """Refuse a type bitmap whose windows are not whole and rising (RFC 4034 §4.1.2)."""
    size = len(rdata)
    p = start
    window = -1
    while p < size:
        if p + 2 > size or rdata[p] <= window or not 1 <= rdata[p + 1] <= 32:
            raise WireError("a type bitmap of whole, rising windows", "something else", offset)
        window = rdata[p]
        p += 2 + rdata[p + 1]
    if p != size:
        raise WireError("a type bitmap of whole, rising windows", "a cut one", offset)


def expand_rdata(
    msg: bytes, start: int, end: int, rtype: int, known: dict[int, bytes] | None = None
) -> tuple[bytes, bytes]:
    """(rdata without compression in its own case, canonical rdata) of a type with names.

    msg[start:end] is the rdata in its message; `layout(rtype)` must exist; known: as for
    `names.read`. Both are the same object where nothing has to be lower-cased. Raises WireError
    where names or parts do not fill the rdata exactly.
    """
    octets, strings, count, tail = _LAYOUT[rtype]
    p = start + octets
    while strings > 0 and p < end:
        p += 1 + msg[p]
        strings -= 1
    if p >= end:
        raise WireError(f"{type_text(rtype)} rdata with a name", f"{end - start} octets", start)
    parts = [msg[start:p]]
    while count > 0:
        name, p = names.read(msg, p, known)
        parts.append(name)
        count -= 1
        if p > end:
            raise WireError(
                f"{type_text(rtype)} rdata of {end - start} octets", "a name beyond its end", start
            )
    if tail >= 0 and end - p != tail:
        raise WireError(
            f"{tail} octets of {type_text(rtype)} rdata after its names", f"{end - p}", start
        )
    rest = msg[p:end]
    if rtype == NSEC:
        check_bitmap(rest, 0, start)
    elif rtype == RRSIG and len(rest) == 0:
        raise WireError("RRSIG rdata with a signature", "none", start)
    parts.append(rest)
    spelled = b"".join(parts)
    if rtype in _KEEPS_CASE:
        return spelled, spelled
    changed = False
    for i in range(1, len(parts) - 1):
        low = parts[i].lower()
        if low != parts[i]:
            parts[i] = low
            changed = True
    return spelled, (b"".join(parts) if changed else spelled)


def canonical_rdata(rtype: int, rdata: bytes) -> bytes:
    """Canonical form of uncompressed rdata, after a check of its shape. Raises WireError."""
    if rtype < 256 and HAS_NAMES[rtype]:
        spelled, canonical = expand_rdata(rdata, 0, len(rdata), rtype)
        if spelled != rdata:
            raise WireError(f"uncompressed {type_text(rtype)} rdata", "a compression pointer")
        return canonical
    check_shape(rtype, rdata)
    return rdata


def make(key: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """The record of an owner key, type, TTL in seconds and canonical rdata."""
    head = key + bytes((rtype >> 8, rtype & 255))
    if rtype == RRSIG:
        head += rdata[:2]
    return head + bytes((ttl >> 24, ttl >> 16 & 255, ttl >> 8 & 255, ttl & 255)) + rdata


def key_end(record: bytes) -> int:
    """Octets of the record's owner key."""
    if record[0] == 0:
        return 1
    return record.find(b"\0\0") + 2


def rrset_end(record: bytes) -> int:
    """Octets of the prefix that all records of its RRset share: key, type and covered type."""
    end = key_end(record)
    if record[end] == 0 and record[end + 1] == RRSIG:
        return end + 4
    return end + 2


def split(record: bytes) -> tuple[bytes, int, int, int, bytes]:
    """(owner key, type, covered type or 0, TTL, canonical rdata) of a record."""
    end = key_end(record)
    rtype = record[end] << 8 | record[end + 1]
    covered = 0
    p = end + 2
    if rtype == RRSIG:
        covered = record[p] << 8 | record[p + 1]
        p += 2
    ttl = record[p] << 24 | record[p + 1] << 16 | record[p + 2] << 8 | record[p + 3]
    return record[:end], rtype, covered, ttl, record[p + 4 :]


def soa_serial(record: bytes) -> int:
    """The serial of an SOA record."""
    p = len(record) - 20
    return record[p] << 24 | record[p + 1] << 16 | record[p + 2] << 8 | record[p + 3]


def soa_fields(record: bytes) -> tuple[bytes, bytes, int, int, int, int, int]:
    """(MNAME, RNAME, serial, REFRESH, RETRY, EXPIRE, MINIMUM) of an SOA record; names canonical."""
    rdata = split(record)[4]
    mname, p = names.read(rdata, 0)
    rname, p = names.read(rdata, p)
    numbers: list[int] = []
    while p < len(rdata):
        numbers.append(rdata[p] << 24 | rdata[p + 1] << 16 | rdata[p + 2] << 8 | rdata[p + 3])
        p += 4
    return mname, rname, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]


def simple_text(rtype: int, rdata: bytes) -> str:
    """Presentation form of rdata of the types that zones are mostly made of; "" of others.

    A, AAAA (RFC 5952), MX, and those that are one name.
    """
    if rtype == A and len(rdata) == 4:
        return f"{rdata[0]}.{rdata[1]}.{rdata[2]}.{rdata[3]}"
    if rtype == AAAA and len(rdata) == 16:
        return str(ipaddress.IPv6Address(rdata))
    if rtype in (NS, CNAME, PTR, DNAME):
        return names.to_text(rdata)
    if rtype == MX and len(rdata) > 2:
        return f"{rdata[0] << 8 | rdata[1]} {names.to_text(rdata[2:])}"
    return ""
