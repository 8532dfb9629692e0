"""What to look at when a transfer failed: REQUIREMENTS A7, A13 and C4 as sentences."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from xfer.errors import Failure, TransferError, TsigError, TsigKind, XferError
from xfer.wire import names

if TYPE_CHECKING:
    from xfer.server.target import Target

_KEY_KINDS = {
    TsigKind.PEER_BADKEY: "the peer knows no {key}: there it may have another name or algorithm",
    TsigKind.PEER_BADSIG: "the peer knows the key {key}, and has another secret for it",
    TsigKind.PEER_BADTRUNC: "the peer wants longer MACs than {key} makes",
    TsigKind.BAD_MAC: "the secret of {key} differs here and there, or the answer was changed",
    TsigKind.WRONG_KEY: "the peer signed with another key than {key}",
    TsigKind.WRONG_ALGORITHM: "the peer uses another algorithm than {key}",
    TsigKind.UNKNOWN_KEY: "the peer signed with a key that is not {key}",
    TsigKind.MISSING: "the peer did not sign: it may not be configured to use {key} with us",
}


def advice(error: XferError, target: Target, origin: bytes) -> list[str]:
    """Lines for the operator beneath the error's own sentence; empty where that says it all."""
    tsig = _tsig_of(error)
    if tsig is not None:
        return _about_key(tsig, target)
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


def _about_key(error: TsigError, target: Target) -> list[str]:
    key = target.key.text() if target.key is not None else "our key"
    if error.kind in (TsigKind.PEER_BADTIME, TsigKind.BAD_TIME):
        ours = error.our_time or int(time.time())
        if not error.their_time:
            return ["one of the clocks is wrong: compare `date -u` on both machines"]
        away = error.their_time - ours
        side = "ahead of" if away > 0 else "behind"
        return [f"the peer's clock is {abs(away)} s {side} ours: one of them is wrong"]
    sentence = _KEY_KINDS.get(error.kind)
    return [] if sentence is None else [sentence.format(key=key)]


def _tsig_of(error: BaseException | None) -> TsigError | None:
    while error is not None:
        if isinstance(error, TsigError):
            return error
        error = error.__cause__
    return None


def _source_of(error: TransferError, target: Target) -> str:
    """The address the server layer says was used."""
    match = re.search(r" from (\S+)$", error.peer)
    return match[1] if match else target.source or "an address the system chose"
