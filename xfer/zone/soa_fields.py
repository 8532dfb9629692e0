"""The fields of an SOA that an operator sets: ranges, defaults, and a snapshot with others.

RFC 1035 §3.3.13, RFC 1912 §2.2, RFC 2308 §4 (MINIMUM is the negative TTL); the ranges and defaults
are those of REQUIREMENTS A20. An RNAME is a mailbox whose local part is one label (RFC 1035 §8):
`host.master@example.com` is `host\\.master.example.com.`.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from xfer.errors import WireError, ZoneError
from xfer.idn import wire_name
from xfer.wire import names, records
from xfer.zone.block import Block
from xfer.zone.snapshot import APEX, Snapshot


@attrs.frozen
class Range:
    """Seconds, both ends in the range. what: the field in words."""

    what: str
    low: int
    high: int
    default: int


RANGES: Final = {
    "refresh": Range("REFRESH", 600, 86400, 10000),
    "retry": Range("RETRY", 600, 3600, 2400),
    "expire": Range("EXPIRE", 86400, 2419200, 604800),
    "negative_ttl": Range("the negative TTL (MINIMUM)", 60, 86400, 1800),
    "ttl": Range("the SOA record's TTL", 1800, 3600, 3600),
}


_QUOTED: Final = ' "@\\'  # characters that an address would have to quote, and we do not


@attrs.frozen
class SoaFields:
    """What an SOA says. mname, rname: absolute names as text; email: the RNAME as an address;
    negative_ttl: MINIMUM; ttl: the record's own. Numbers but the serial are seconds."""

    mname: str
    rname: str
    email: str
    serial: int
    refresh: int
    retry: int
    expire: int
    negative_ttl: int
    ttl: int


@attrs.frozen
class SoaChange:
    """What is to be set; None leaves a field as it is.

    mname: a domain name; rname: that of a mailbox, or an e-mail address; the rest in seconds.
    `check` refuses what is out of range.
    """

    mname: str | None = None
    rname: str | None = None
    refresh: int | None = None
    retry: int | None = None
    expire: int | None = None
    negative_ttl: int | None = None
    ttl: int | None = None

    def with_defaults(self) -> SoaChange:
        """The same, with the default of every time that it leaves alone."""
        missing: dict[str, Any] = {
            name: limits.default for name, limits in RANGES.items() if getattr(self, name) is None
        }
        return attrs.evolve(self, **missing)

    @property
    def empty(self) -> bool:
        return self == SoaChange()

    def check(self) -> None:
        """Raise ZoneError for the first value that cannot be, whatever the zone has now."""
        for name, limits in RANGES.items():
            value = getattr(self, name)
            if value is not None and not limits.low <= value <= limits.high:
                raise ZoneError(
                    f"expected {limits.what} from {limits.low} to {limits.high} seconds, "
                    f"got {value}"
                )
        if self.mname is not None:
            _name("MNAME", self.mname)
        if self.rname is not None:
            mailbox(self.rname)
        _related(self.refresh, self.retry, self.expire)


def fields_of(snapshot: Snapshot) -> SoaFields:
    """The fields of a version's SOA, names in the case they were written in."""
    mname, rname = _names(snapshot)
    numbers = records.soa_fields(snapshot.soa)[2:]
    return SoaFields(
        names.to_text(mname),
        names.to_text(rname),
        address(rname),
        *numbers,
        ttl=records.split(snapshot.soa)[3],
    )


def with_fields(snapshot: Snapshot, change: SoaChange) -> Snapshot:
    """The same content with those fields set, under the same serial; other blocks are shared.

    Raises ZoneError for a value out of its range, or one that does not fit what stays.
    """
    change.check()
    mname, rname = _names(snapshot)
    if change.mname is not None:
        mname = _name("MNAME", change.mname)
    if change.rname is not None:
        rname = mailbox(change.rname)
    now = attrs.asdict(fields_of(snapshot))
    now.update({name: value for name, value in attrs.asdict(change).items() if value is not None})
    if {change.refresh, change.retry, change.expire} != {None}:
        _related(now["refresh"], now["retry"], now["expire"])
    order = ("serial", "refresh", "retry", "expire", "negative_ttl")
    spelled = mname + rname + b"".join(now[name].to_bytes(4, "big") for name in order)
    canonical = records.canonical_rdata(records.SOA, spelled)
    soa = records.make(APEX, records.SOA, now["ttl"], canonical)
    content = list(snapshot.blocks)
    at = snapshot.block_at(snapshot.soa)
    block = content[at]
    spelling = block.spelling()
    old = spelling.pop(snapshot.soa, None)
    owner = old[0] if old is not None else snapshot.origin
    if (owner, spelled) != (snapshot.origin, canonical):
        spelling[soa] = (owner, spelled)
    # There is one SOA record, so the order of the records stays.
    content[at] = Block.make(
        [soa if record == snapshot.soa else record for record in block.records()], spelling
    )
    return Snapshot(snapshot.origin, content)


def mailbox(text: str) -> bytes:
    """The wire name of an RNAME, given as such a name or as an e-mail address.

    Raises ZoneError.
    """
    local, at, domain = text.rpartition("@")
    if not at:
        return _name("RNAME", text)
    label = local.encode("utf-8")
    if not local.isascii() or not 1 <= len(label) <= names.MAX_LABEL or not local.isprintable():
        raise ZoneError(
            "expected an e-mail address with 1 to 63 ASCII characters before the @ "
            f"(RFC 1035 §8), got {text!r}"
        )
    if any(c in local for c in _QUOTED):
        raise ZoneError(
            f"expected an e-mail address without quotes, spaces and backslashes, got {text!r}"
        )
    if domain in ("", "."):
        raise ZoneError(f"expected a domain behind the @ of an e-mail address, got {text!r}")
    wire = bytes((len(label),)) + label + _name("RNAME", domain)
    if len(wire) > names.MAX_NAME:
        raise ZoneError(f"expected an RNAME of at most 255 octets, got {len(wire)}")
    return wire


def address(rname: bytes) -> str:
    """The e-mail address that an RNAME stands for; "" where it stands for none.

    It is shown on terminals, and a primary may put any octets into it.
    """
    labels = names.labels(rname)
    if len(labels) < 2 or not labels[0].isascii():
        return ""
    local = labels[0].decode("ascii")
    if not local.isprintable() or any(c in local for c in _QUOTED):
        return ""
    domain = names.to_text(rname[1 + len(labels[0]) :])
    return f"{local}@{domain.removesuffix('.')}"


def _names(snapshot: Snapshot) -> tuple[bytes, bytes]:
    """MNAME and RNAME in their case."""
    rdata = snapshot.spelled(snapshot.soa)[1]
    mname, end = names.read(rdata, 0)
    return mname, names.read(rdata, end)[0]


def _name(what: str, text: str) -> bytes:
    try:
        # Its case is kept, where it is not an IDN.
        return names.from_text(text) if text.isascii() else wire_name(text)
    except WireError as error:
        raise ZoneError(f"{what} {text!r}: {error}") from None


def _related(refresh: int | None, retry: int | None, expire: int | None) -> None:
    if refresh is not None and retry is not None and retry > refresh:
        raise ZoneError(f"expected RETRY of at most REFRESH, {refresh} seconds, got {retry}")
    if refresh is not None and expire is not None and expire < refresh:
        raise ZoneError(f"expected EXPIRE of at least REFRESH, {refresh} seconds, got {expire}")
