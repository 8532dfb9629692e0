"""A zone's keys as JSON and back: what the journal keeps, public parts only.

Reading takes nothing for granted: every field is there, none is unknown, each has its type and
range, and what refers to a key finds it. Anything else is KeyStateDamaged, with the field's path.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import attrs

from xfer.dnssec.keystate import (
    FOREIGN,
    ForeignKey,
    Goal,
    Imported,
    Keyset,
    KeyState,
    PastDs,
    PastKeyset,
    PastSigners,
    Request,
    Role,
    Why,
    ZoneKeys,
    ZoneState,
)
from xfer.errors import KeyStateDamaged
from xfer.wire.records import CDNSKEY, CDS, DNSKEY, RRSIG

VERSION: Final = 1
MOST: Final = 200
"""Entries of any list in the state: a zone has a handful of each."""
_IDENT: Final = re.compile(rf"(?:\d{{3}}\+\d{{5}}|{FOREIGN}\d{{3}}\+\d{{5}}:[0-9a-f]{{16}})")
_FINGERPRINT: Final = re.compile(r"(?:[0-9a-f]{16})?")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){1,4096}")

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)


def encoded(zone: ZoneKeys) -> dict[str, object]:
    """The state as what `json.dumps` takes."""
    found: dict[str, object] = {"version": VERSION}
    for field in attrs.fields(ZoneKeys):
        found[field.name] = _plain(getattr(zone, field.name))
    return found


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    of = type(value)
    if attrs.has(of):
        return {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(of)}
    return value


def decoded(data: object) -> ZoneKeys:
    """The state that `encoded` was given. Raises KeyStateDamaged."""
    fields = _fields("state", data, ZoneKeys, extra=("version",), later=("imported", "their_ttl"))
    if fields["version"] != VERSION:
        raise KeyStateDamaged("version", str(VERSION), _short(fields["version"]))
    zone = ZoneKeys(
        origin=_octets("origin", fields["origin"]),
        state=_member(ZoneState)("state", fields["state"]),
        keys=_list(_key)("keys", fields["keys"]),
        foreign=_list(_foreign)("foreign", fields["foreign"]),
        requests=_list(_request)("requests", fields["requests"]),
        keyset=_keyset("keyset", fields["keyset"]),
        signers=_idents("signers", fields["signers"]),
        zone_ttl=_ttl("zone_ttl", fields["zone_ttl"]),
        negative_ttl=_ttl("negative_ttl", fields["negative_ttl"]),
        past_keysets=_list(_past_keyset)("past_keysets", fields["past_keysets"]),
        past_signers=_list(_past_signers)("past_signers", fields["past_signers"]),
        ds=_idents("ds", fields["ds"]),
        ds_at=_time("ds_at", fields["ds_at"]),
        ds_ttl=_ttl("ds_ttl", fields["ds_ttl"]),
        past_ds=_list(_past_ds)("past_ds", fields["past_ds"]),
        wanted=_idents("wanted", fields["wanted"]),
        wanted_at=_maybe(_time)("wanted_at", fields["wanted_at"]),
        wanted_serial=_maybe(_serial)("wanted_serial", fields["wanted_serial"]),
        wanted_everywhere=_maybe(_time)("wanted_everywhere", fields["wanted_everywhere"]),
        asked=_list(_idents)("asked", fields["asked"]),
        joining=_flag("joining", fields["joining"]),
        leaving=_flag("leaving", fields["leaving"]),
        multi_signer=_flag("multi_signer", fields["multi_signer"]),
        delegated_at=_maybe(_time)("delegated_at", fields["delegated_at"]),
        moved_at=_maybe(_time)("moved_at", fields["moved_at"]),
        moved_ttl=_ttl("moved_ttl", fields["moved_ttl"]),
        their_ttl=_ttl("their_ttl", fields.get("their_ttl", 0)),
        shown=_fingerprint("shown", fields["shown"]),
        imported=_maybe(_imported)("imported", fields.get("imported")),
    )
    _check(zone)
    return zone


def _check(zone: ZoneKeys) -> None:
    """Refuse what no sequence of steps leads to and what would make later ones go astray."""
    known = {key.ident for key in zone.keys}
    if len(known) < len(zone.keys):
        raise KeyStateDamaged("keys", "keys of different idents", "one ident twice")
    named = (
        ("keyset.keys", zone.keyset.keys),
        ("keyset.signers", zone.keyset.signers),
        ("signers", zone.signers),
        ("wanted", zone.wanted),
    )
    for where, idents in named:
        for ident in sorted(idents - known):
            raise KeyStateDamaged(where, "idents of the zone's keys", ident)
    if not zone.keyset.signers <= zone.keyset.keys:
        raise KeyStateDamaged("keyset.signers", "keys of the set", "others")
    for key in zone.keys:
        if key.elsewhere and (key.role is not Role.KSK or key.ident in zone.signers):
            raise KeyStateDamaged("keys", "a KSK where it is held elsewhere", key.ident)
        if key.ident in zone.keyset.signers and key.elsewhere is (zone.imported is None):
            raise KeyStateDamaged("imported", "the RRset that others signed, or none", key.ident)
    if (zone.wanted_at is None) != (zone.wanted_serial is None):
        raise KeyStateDamaged("wanted_at", "a time and a serial, or neither", "one of them")
    for where, pasts in (("past_keysets", zone.past_keysets), ("past_signers", zone.past_signers)):
        for past in pasts:
            if (past.at is None) != (past.serial is None):
                raise KeyStateDamaged(where, "a time and a serial, or neither", "one of them")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _fields(
    where: str,
    data: object,
    cls: type[attrs.AttrsInstance],
    extra: Sequence[str] = (),
    later: Sequence[str] = (),
) -> Mapping[str, object]:
    """extra: fields that the class has not; later: fields that older states have not."""
    if not isinstance(data, dict):
        raise KeyStateDamaged(where, "an object", _short(data))
    wanted = {field.name for field in attrs.fields(cls)} | set(extra)
    for name in sorted(wanted - data.keys() - set(later)):
        raise KeyStateDamaged(f"{where}.{name}", "a value", "none")
    for name in sorted(str(name) for name in data.keys() - wanted):
        raise KeyStateDamaged(f"{where}.{name[:60]}", "no such field", "one")
    return data


def _list(read: Callable[[str, object], T]) -> Callable[[str, object], tuple[T, ...]]:
    def reader(where: str, value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) > MOST:
            raise KeyStateDamaged(where, f"a list of at most {MOST} entries", _short(value))
        return tuple(read(f"{where}[{at}]", one) for at, one in enumerate(value))

    return reader


def _maybe(read: Callable[[str, object], T]) -> Callable[[str, object], T | None]:
    return lambda where, value: None if value is None else read(where, value)


def _member(of: type[E]) -> Callable[[str, object], E]:
    def reader(where: str, value: object) -> E:
        for member in of:
            if member.value == value:
                return member
        raise KeyStateDamaged(where, f"one of {[m.value for m in of]}", _short(value))

    return reader


def _time(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise KeyStateDamaged(where, "Unix seconds", _short(value))
    if not math.isfinite(value) or not 0 <= value < 1 << 40:
        raise KeyStateDamaged(where, "Unix seconds", _short(value))
    return float(value)


def _number(where: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise KeyStateDamaged(where, f"a number from 0 to {most}", _short(value))
    return value


def _ttl(where: str, value: object) -> int:
    return _number(where, value, (1 << 32) - 1)


def _serial(where: str, value: object) -> int:
    return _number(where, value, (1 << 32) - 1)


def _flag(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise KeyStateDamaged(where, "true or false", _short(value))
    return value


def _fingerprint(where: str, value: object) -> str:
    if not isinstance(value, str) or _FINGERPRINT.fullmatch(value) is None:
        raise KeyStateDamaged(where, "a fingerprint", _short(value))
    return value


def _octets(where: str, value: object) -> bytes:
    if not isinstance(value, str) or _HEX.fullmatch(value) is None:
        raise KeyStateDamaged(where, "octets in hexadecimal", _short(value))
    return bytes.fromhex(value)


def _dnskey(where: str, value: object) -> bytes:
    rdata = _octets(where, value)
    if len(rdata) < 5 or rdata[2] != 3:
        raise KeyStateDamaged(where, "DNSKEY rdata", _short(value))
    return rdata


def _ident(where: str, value: object) -> str:
    if not isinstance(value, str) or _IDENT.fullmatch(value) is None:
        raise KeyStateDamaged(where, 'a key like "013+12345"', _short(value))
    return value


def _idents(where: str, value: object) -> frozenset[str]:
    return frozenset(_list(_ident)(where, value))


def _keyset(where: str, value: object) -> Keyset:
    fields = _fields(where, value, Keyset)
    return Keyset(
        _idents(f"{where}.keys", fields["keys"]),
        _idents(f"{where}.signers", fields["signers"]),
        _ttl(f"{where}.ttl", fields["ttl"]),
        _idents(f"{where}.foreign", fields["foreign"]),
    )


def _past_keyset(where: str, value: object) -> PastKeyset:
    fields = _fields(where, value, PastKeyset)
    return PastKeyset(
        _keyset(f"{where}.what", fields["what"]),
        _maybe(_time)(f"{where}.at", fields["at"]),
        _maybe(_serial)(f"{where}.serial", fields["serial"]),
        _maybe(_time)(f"{where}.everywhere", fields["everywhere"]),
    )


def _past_signers(where: str, value: object) -> PastSigners:
    fields = _fields(where, value, PastSigners)
    return PastSigners(
        _idents(f"{where}.what", fields["what"]),
        _ttl(f"{where}.ttl", fields["ttl"]),
        _maybe(_time)(f"{where}.at", fields["at"]),
        _maybe(_serial)(f"{where}.serial", fields["serial"]),
        _maybe(_time)(f"{where}.everywhere", fields["everywhere"]),
    )


def _past_ds(where: str, value: object) -> PastDs:
    fields = _fields(where, value, PastDs)
    return PastDs(
        _idents(f"{where}.what", fields["what"]),
        _time(f"{where}.at", fields["at"]),
        _ttl(f"{where}.ttl", fields["ttl"]),
    )


def _foreign(where: str, value: object) -> ForeignKey:
    fields = _fields(where, value, ForeignKey)
    return ForeignKey(
        _dnskey(f"{where}.public", fields["public"]),
        _time(f"{where}.made", fields["made"]),
        _flag(f"{where}.content", fields["content"]),
    )


def _imported(where: str, value: object) -> Imported:
    fields = _fields(where, value, Imported)
    return Imported(
        _list(_record)(f"{where}.records", fields["records"]),
        int(_time(f"{where}.begins", fields["begins"])),
        int(_time(f"{where}.ends", fields["ends"])),
    )


def _record(where: str, value: object) -> bytes:
    """A record of the apex of the types that are handed in."""
    record = _octets(where, value)
    rtype = int.from_bytes(record[1:3], "big")
    if record[0] or rtype not in (DNSKEY, CDS, CDNSKEY, RRSIG) or len(record) < 10:
        raise KeyStateDamaged(where, "a DNSKEY, CDS, CDNSKEY or RRSIG record", _short(value))
    return record


def _request(where: str, value: object) -> Request:
    fields = _fields(where, value, Request)
    return Request(
        _member(Role)(f"{where}.role", fields["role"]), _member(Why)(f"{where}.why", fields["why"])
    )


def _key(where: str, value: object) -> KeyState:
    fields = _fields(where, value, KeyState, later=("elsewhere",))
    key = KeyState(
        _ident(f"{where}.ident", fields["ident"]),
        _member(Role)(f"{where}.role", fields["role"]),
        _dnskey(f"{where}.public", fields["public"]),
        _time(f"{where}.made", fields["made"]),
        _member(Goal)(f"{where}.goal", fields["goal"]),
        _member(Why)(f"{where}.why", fields["why"]),
        _maybe(_time)(f"{where}.used", fields["used"]),
        _list(_ident)(f"{where}.replaces", fields["replaces"]),
        _flag(f"{where}.compromised", fields["compromised"]),
        _maybe(_time)(f"{where}.shared", fields["shared"]),
        _flag(f"{where}.elsewhere", fields.get("elsewhere", False)),
    )
    if not key.ident.startswith(f"{key.algorithm:03}+"):
        raise KeyStateDamaged(f"{where}.ident", f"a key of algorithm {key.algorithm}", key.ident)
    return key
