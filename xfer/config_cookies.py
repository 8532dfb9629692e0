"""The secrets of DNS cookies in the config: hexadecimal text, and files of it (RFC 9018 §5)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from xfer.config_read import Raw, Reader, Unfit
from xfer.log import Secret

SECRET_SIZE = 16  # octets
FIX = "make one: `openssl rand -hex 16`"


def parse_secret(value: object, _base: Path) -> Secret:
    """32 hexadecimal digits; the value is never echoed."""
    if isinstance(value, str):
        try:
            octets = bytes.fromhex(value.strip())
        except ValueError:
            octets = b""
        if len(octets) == SECRET_SIZE:
            return Secret(octets)
    raise Unfit(f"expected {2 * SECRET_SIZE} hexadecimal digits, got something else", FIX)


class Given(Protocol):
    """What [server] says of cookies."""

    @property
    def cookie_secret(self) -> tuple[Secret, ...]: ...

    @property
    def cookie_secret_file(self) -> Path | None: ...


def all_secrets(reader: Reader, raw: Raw, given: Given) -> tuple[Secret, ...]:
    """The secrets of either key of the table `raw`; problems go to the reader."""
    file = given.cookie_secret_file
    if file is None:
        if given.cookie_secret:
            _warn_readable(reader, raw.file, f"{raw.key}.cookie_secret")
        return given.cookie_secret
    if given.cookie_secret:
        problem = "has both cookie_secret and cookie_secret_file"
        reader.error(raw.file, raw.key, problem, "keep one of them")
    return _of_file(reader, raw, file)


def _of_file(reader: Reader, raw: Raw, file: Path) -> tuple[Secret, ...]:
    where = f"{raw.key}.cookie_secret_file"
    try:
        lines = file.read_text().split()
        found = tuple(parse_secret(line, file.parent) for line in lines)
    except OSError as error:
        fix = "name a file the daemon can read"
        reader.error(raw.file, where, f"{file}: {error.strerror}", fix)
        return ()
    except (Unfit, UnicodeDecodeError):
        problem = f"{file} does not hold {2 * SECRET_SIZE} hexadecimal digits a line"
        reader.error(raw.file, where, problem, FIX)
        return ()
    if not found:
        reader.error(raw.file, where, f"{file} holds no secret", FIX)
    _warn_readable(reader, file, where)
    return found


def _warn_readable(reader: Reader, file: Path, where: str) -> None:
    if file.stat().st_mode & 0o004:
        reader.warn(file, where, f"everyone on this machine can read the secret: chmod o-r {file}")
