"""Turning one TOML value into ours: the `parse` functions of settings.

Each takes the value and the directory that relative paths start from, and returns the value or
raises Unfit with the problem and what to write instead.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from xfer.config_journal import EXAMPLE, NoJournal, sqlite_path, sqlite_url
from xfer.config_read import Parse, Unfit, nearest
from xfer.errors import WireError
from xfer.idn import absolute
from xfer.peers import IPAddress, IPNetwork, address_of

_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_PART = re.compile(r"(\d{1,9})([smhdwy])")
_DURATION = re.compile(r"(?:\d{1,9}[smhdwy])+")
_TIMES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@attrs.frozen
class Endpoint:
    """An address and port to listen on."""

    address: IPAddress
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


def text(value: object, _base: Path) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise Unfit(f"expected text, got {_shown(value)}", 'write "…"')
    return value


def short_text(most: int) -> Parse:
    """Text of at most so many characters, as UTF-8 four octets each."""

    def parse(value: object, base: Path) -> str:
        given = text(value, base)
        if len(given) > most:
            raise Unfit(f"expected at most {most} characters, got {len(given)}", "shorten it")
        return given

    return parse


def boolean(value: object, _base: Path) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Unfit(f"expected true or false, got {_shown(value)}", "write true or false")
    return value


def integer(low: int, high: int) -> Parse:
    """A whole number in the range, both ends in it."""

    def parse(value: object, _base: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Unfit(
                f"expected a whole number from {low} to {high}, got {_shown(value)}",
                "write one in that range",
            )
        return value

    return parse


def seconds(low: float, high: float) -> Parse:
    """A number of seconds in the range."""

    def parse(value: object, _base: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Unfit(f"expected seconds, got {_shown(value)}", "write a number")
        if not low <= value <= high:
            raise Unfit(
                f"expected {low:g} to {high:g} seconds, got {value}", "write one in that range"
            )
        return float(value)

    return parse


def duration(low: int, high: int) -> Parse:
    """Whole seconds in the range, also as text like "90d" or "1h30m"."""

    def parse(value: object, _base: Path) -> int:
        count = -1
        if isinstance(value, int) and not isinstance(value, bool):
            count = value
        elif isinstance(value, str) and _DURATION.fullmatch(value.strip()):
            count = sum(int(n) * _TIMES[unit] for n, unit in _PART.findall(value))
        if not low <= count <= high:
            raise Unfit(
                f"expected a time from {low} to {high} s, got {_shown(value)}",
                'write seconds, or text like "90d", "12h" or "1h30m"',
            )
        return count

    return parse


def size(low: int, high: int = 1 << 50) -> Parse:
    """Bytes: a whole number, or text with KiB, MiB or GiB."""

    def parse(value: object, _base: Path) -> int:
        count = -1
        if isinstance(value, int) and not isinstance(value, bool):
            count = value
        elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            count = int(match[1]) * _UNITS[match[2] or ""]
        if not low <= count <= high:
            raise Unfit(
                f"expected a size of at least {low} bytes, got {_shown(value)}",
                'write bytes, or text like "256 MiB"',
            )
        return count

    return parse


def ratio(low: float, high: float) -> Parse:
    """A plain number in the range."""

    def parse(value: object, _base: Path) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high
        ):
            raise Unfit(
                f"expected a number from {low:g} to {high:g}, got {_shown(value)}",
                "write one in that range",
            )
        return float(value)

    return parse


def word(*known: str) -> Parse:
    """One of a few words."""

    def parse(value: object, _base: Path) -> str:
        if not isinstance(value, str) or value not in known:
            choices = ", ".join(known)
            raise Unfit(
                f"expected one of {choices}, got {_shown(value)}", nearest(str(value), known)
            )
        return value

    return parse


def member(kind: type[enum.Enum]) -> Parse:
    """A member of an enum, by its value."""
    check = word(*(str(item.value) for item in kind))

    def parse(value: object, base: Path) -> enum.Enum:
        return kind(check(value, base))

    return parse


def several(parse_one: Parse) -> Parse:
    """A list, or one value that stands for a list of one; a tuple comes out."""

    def parse(value: object, base: Path) -> tuple[Any, ...]:
        items = value if isinstance(value, list) else [value]
        return tuple([parse_one(item, base) for item in items])

    return parse


def address(value: object, base: Path) -> IPAddress:
    """An IPv4 or IPv6 address."""
    try:
        return address_of(text(value, base))
    except ValueError:
        raise Unfit(
            f"expected an IPv4 or IPv6 address, got {_shown(value)}",
            "write the address, not a host name",
        ) from None


def network(value: object, base: Path) -> IPNetwork:
    """An address range; host bits are allowed."""
    try:
        return ipaddress.ip_network(text(value, base), strict=False)
    except ValueError:
        raise Unfit(
            f"expected an address range, got {_shown(value)}",
            'write "192.0.2.0/24" or "2001:db8::/64"',
        ) from None


def endpoint(value: object, base: Path) -> Endpoint:
    """ADDRESS:PORT, IPv6 in brackets."""
    match = re.fullmatch(r"(?:\[(.+)\]|([^:]+)):(\d{1,5})", text(value, base))
    try:
        if match is None or not 1 <= int(match[3]) <= 65535:
            raise ValueError
        return Endpoint(ipaddress.ip_address(match[1] or match[2]), int(match[3]))
    except ValueError:
        raise Unfit(
            f"expected ADDRESS:PORT with a port from 1 to 65535, got {_shown(value)}",
            'write "192.0.2.1:53" or "[2001:db8::1]:53"',
        ) from None


def path(value: object, base: Path) -> Path:
    """A path; relative ones start at the file that names them."""
    return base / text(value, base)


def domain(value: object, base: Path) -> str:
    """A domain name, as absolute lower-case text."""
    try:
        return absolute(text(value, base))
    except WireError as error:
        raise Unfit(f"is no domain name: {error}", 'write one like "example.com"') from None


def journal_url(value: object, base: Path) -> str:
    """The journal as an absolute URL: sqlite:///var/lib/xfer/journal.db (`config_journal`)."""
    given = text(value, base)
    fix = f'write "{EXAMPLE}"'
    if given.startswith(("postgresql:", "postgresql+", "postgres:")):
        raise Unfit("a PostgreSQL journal comes with a later version", fix)
    try:
        return sqlite_url((base / sqlite_path(given)).absolute())
    except NoJournal as error:
        raise Unfit(str(error), fix) from None


def refused(problem: str, fix: str) -> Callable[[object, Path], Any]:
    """A key that is known, and not available in this version."""

    def parse(_value: object, _base: Path) -> Any:
        raise Unfit(problem, fix)

    return parse


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if not isinstance(value, dict) else "a table"
