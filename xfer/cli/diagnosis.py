"""What to look at when a transfer failed: REQUIREMENTS A13 as sentences.

Where a signature failed, the error itself says which of name, algorithm, secret or clock it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xfer.errors import Failure, TransferError, XferError
from xfer.wire import names

if TYPE_CHECKING:
    from xfer.server.target import Target


def advice(error: XferError, target: Target, origin: bytes) -> list[str]:
    """Lines for the operator beneath the error's own sentence; empty where that says it all."""
    if not isinstance(error, TransferError):
        return []
    zone = names.to_text(origin)
    peer = f"{target.address} port {target.port}"
    if error.failure is Failure.TRANSPORT:
        return [
            f"check that a DNS server listens on TCP at {peer} and that no firewall is between",
        ]
    if error.failure is Failure.DENIED:
        return _about_denial(error, target, zone)
    if error.failure is Failure.PROTOCOL and "empty message" in error.got:
        return [f"the peer answered with nothing: it may have no data for {zone} yet"]
    return []


def _about_denial(error: TransferError, target: Target, zone: str) -> list[str]:
    source = _source_of(error, target)
    if "NOTAUTH" in error.got:
        return [f"the peer is not authoritative for {zone}: check the name and the server"]
    if "SERVFAIL" in error.got:
        return [f"the peer knows {zone} and cannot serve it: expired or not loaded; see its log"]
    if "REFUSED" not in error.got:
        return []
    lines = [
        f"we asked from {source}: the transfer ACL of {zone} on the peer must hold that address"
    ]
    if target.key is None:
        lines.append("the request was not signed: the peer may ask for a key (--tsig or -k)")
    else:
        lines.append(f"or it must allow the key {target.key.text()}, which signed the request")
    return lines


def _source_of(error: TransferError, target: Target) -> str:
    """The address the server layer says was used."""
    match = re.search(r" from (\S+)$", error.peer)
    return match[1] if match else target.source or "an address the system chose"
