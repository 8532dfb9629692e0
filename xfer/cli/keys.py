"""TSIG keys as the command line takes them: NAME:ALG:SECRET, BIND key files."""

from __future__ import annotations

import re
from pathlib import Path

from xfer.errors import WireError, XferError
from xfer.idn import wire_name
from xfer.log import Secret
from xfer.wire.tsig import Algorithm, Key

DEFAULT_ALGORITHM = "hmac-sha256"
_COMMENT = re.compile(r"/\*.*?\*/|(?<![^\s;{}])(?://|#)[^\n]*", re.DOTALL)  # base64 has // too
_BLOCK = re.compile(r"\bkey\s+(\"[^\"]+\"|[^\s{]+)\s*\{([^}]*)\}", re.DOTALL)
_CLAUSE = re.compile(r"(algorithm|secret)\s+(\"[^\"]*\"|[^\s;]+)\s*;")


class KeyUsage(XferError):
    """A key given on the command line that is none; never echoes the secret."""


def key_of_triple(text: str) -> Key:
    """NAME:ALG:SECRET; also NAME:SECRET (hmac-sha256) and ALG:NAME:SECRET, as dig and kdig take."""
    parts = text.split(":")
    if len(parts) == 2:
        return _key(parts[0], DEFAULT_ALGORITHM, parts[1])
    if len(parts) != 3:
        raise KeyUsage(f"expected NAME:ALG:SECRET, got {len(parts)} part(s) between colons")
    first, second, secret = parts
    try:
        Algorithm.from_text(second)
    except WireError:
        try:
            Algorithm.from_text(first)
        except WireError:
            pass
        else:
            first, second = second, first
    return _key(first, second, secret)


def key_of_file(path: Path) -> Key:
    """The key of a file as `tsig-keygen` writes it, or of one line NAME:ALG:SECRET."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise KeyUsage(f"{path} cannot be read: {reason}") from None
    blocks = _BLOCK.findall(_outside_quotes(text))
    if not blocks and len(text.split()) == 1:
        return key_of_triple(text.strip())
    if len(blocks) != 1:
        raise KeyUsage(f"{path}: expected one key block, got {len(blocks)}")
    name, body = blocks[0]
    clauses = {kind: value.strip('"') for kind, value in _CLAUSE.findall(body)}
    if "secret" not in clauses:
        raise KeyUsage(f'{path}: expected secret "…"; in the key block, got none')
    algorithm = clauses.get("algorithm", DEFAULT_ALGORITHM)
    return _key(name.strip('"'), algorithm, clauses["secret"])


def _outside_quotes(text: str) -> str:
    """Without comments; base64 may hold `//`, so quoted strings are left alone."""
    parts = re.split(r'("[^"]*")', text)
    return "".join(part if part.startswith('"') else _COMMENT.sub(" ", part) for part in parts)


def _key(name: str, algorithm: str, secret: str) -> Key:
    try:
        octets = Secret.from_base64(secret)
    except ValueError:
        raise KeyUsage("expected the secret in base64, got something else") from None
    try:
        return Key(wire_name(name), Algorithm.from_text(algorithm), octets.reveal())
    except WireError as error:
        raise KeyUsage(f"the TSIG key: {error}") from None
