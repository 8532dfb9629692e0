"""Logging: structlog to stderr, one event per outcome, secrets redacted by type.

`setup()` is called once by the program that runs; libraries and tests never need it. Events are
JSON lines, or coloured text on a terminal. Redaction goes by type, not by field name: a `Secret`,
a TSIG key or raw octets under any name never reach the output.
"""

from __future__ import annotations

import base64
import enum
import ipaddress
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import PurePath
from typing import Any, TextIO

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FORMATS = ("auto", "json", "console")


class Secret:
    """Octets that never print: not by str, repr, format, log or traceback of attrs values."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @classmethod
    def from_base64(cls, text: str) -> Secret:
        """Raises ValueError, without echoing the text, where it is not base64."""
        try:
            return cls(base64.b64decode("".join(text.split()), validate=True))
        except ValueError:
            raise ValueError("not base64") from None

    def reveal(self) -> bytes:
        """The octets, for the one place that needs them."""
        return self._octets

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._octets == other._octets

    def __hash__(self) -> int:
        return hash(self._octets)

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


def redacted(value: object) -> object:
    """`value` as something that may be printed: text, numbers, lists and dicts.

    A TSIG key (anything with a `secret` of octets) becomes its name, raw octets their length.
    """
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (Secret, bytearray)):
        return "<secret>"
    if isinstance(value, bytes):
        return f"<{len(value)} octets>"
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redacted(item) for item in value]
    if isinstance(value, (PurePath, ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return str(value)
    if isinstance(value, BaseException):
        return str(value)
    if isinstance(getattr(value, "secret", None), (bytes, Secret)):
        return f"<{type(value).__name__.lower()}>"
    fields = getattr(type(value), "__attrs_attrs__", None)
    if fields is not None:
        return {field.name: redacted(getattr(value, field.name)) for field in fields}
    return str(value)


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """structlog processor: every value of the event through `redacted` (`exc_info` stays)."""
    return {
        key: value
        if key in ("exc_info", "event") and not isinstance(value, bytes)
        else redacted(value)
        for key, value in event.items()
    }


def setup(
    level: str = "info", format: str = "auto", stream: TextIO | None = None, *, cache: bool = True
) -> None:
    """Send events of `level` and above to `stream` (stderr).

    format: "json", "console", or "auto" (console on a terminal). cache: bind loggers once, for
    speed; False in tests, which change the set-up.
    """
    import structlog

    out = sys.stderr if stream is None else stream
    console = format == "console" or (format == "auto" and out.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact_event,
    ]
    if console:
        # Locals of a traceback would print secrets: plain tracebacks only.
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        )
    else:
        processors.append(structlog.processors.format_exc_info)
        processors.append(structlog.processors.JSONRenderer())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=cache,
    )
