"""Serial number arithmetic (RFC 1982): serials are compared, never sorted."""

from __future__ import annotations


def newer(a: int, b: int) -> bool:
    """Whether serial a is greater than b (§3.2); of two that are 2^31 apart neither is."""
    return a != b and (a - b) & 0xFFFFFFFF < 0x80000000
