"""Domain names as people type them: any case, final dot or not, U-labels of IDNs (RFC 5890)."""

from __future__ import annotations

import re

from xfer.errors import WireError
from xfer.wire import names

# What nearly every name looks like; others take the slower, exact way.
_PLAIN = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_PLAIN_MAX = 253


def wire_name(text: str) -> bytes:
    """The lower-case wire name of what was typed. Raises WireError where it is no domain name."""
    if len(text) <= _PLAIN_MAX and _PLAIN.fullmatch(text):
        labels = text.encode("ascii").rstrip(b".").split(b".")
        return b"".join([bytes((len(label),)) + label for label in labels]) + b"\0"
    if not text.isascii():
        text = _a_labels(text)
    return names.lower(names.from_text(text))


def absolute(text: str) -> str:
    """The one spelling zones are known by: absolute, lower case, A-labels. Raises WireError."""
    if len(text) <= _PLAIN_MAX and _PLAIN.fullmatch(text):
        return text if text.endswith(".") else text + "."
    return names.to_text(wire_name(text))


def _a_labels(text: str) -> str:
    import idna

    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise WireError("a domain name", f"{text!r} ({error})") from None
