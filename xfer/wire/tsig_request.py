"""Signed requests: making one, and checking one (RFC 8945 §5.1, §5.2).

A refused request is answered as §5.3.2 says, and `RequestRefused` makes that answer:

    malformed           FORMERR, no TSIG
    BADKEY, BADSIG      NOTAUTH, TSIG without MAC
    BADTIME, BADTRUNC   NOTAUTH, TSIG signed; BADTIME tells our clock in the other data
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from xfer.errors import TsigError, TsigKind
from xfer.wire import names
from xfer.wire.tsig_keys import FUDGE, Key
from xfer.wire.tsig_record import append, build, find, malformed, strip, time_bytes
from xfer.wire.tsig_refused import RequestRefused
from xfer.wire.tsig_stream import (
    ResponseSigner,
    check_length,
    check_mac,
    check_time,
    variables,
)


class VerifiedRequest:
    """A request whose TSIG, if it has one, is right.

    message: without the TSIG, ARCOUNT mended, with the ID it came with (the answer must carry it);
    key: None where the request is not signed, which is no failure here: whether a key is required
    is the ACL's business; mac: b"" where unsigned; original_id: as the TSIG tells it.
    """

    def __init__(self, message: bytes, key: Key | None, mac: bytes, original_id: int) -> None:
        self.message = message
        self.key = key
        self.mac = mac
        self.original_id = original_id

    def signer(self) -> ResponseSigner | None:
        """The signer for the responses; None where the request was not signed."""
        if self.key is None:
            return None
        return ResponseSigner(self.key, self.mac, self.original_id)


def sign_request(msg: bytes, key: Key, now: int, fudge: int = FUDGE) -> tuple[bytes, bytes]:
    """The signed message, and its MAC for the ResponseVerifier.

    now: Unix seconds; fudge: seconds.  Raises WireError where the result would exceed 65535 octets.
    """
    mac = key.start()
    mac.update(msg)
    mac.update(key.variables + time_bytes(now) + struct.pack(">HHH", fudge, 0, 0))
    digest = mac.digest()[: key.algorithm.mac_size]
    original_id = (msg[0] << 8) | msg[1]
    return append(msg, build(key, now, fudge, digest, original_id, 0, b"")), digest


def verify_request(msg: bytes, keys: Mapping[bytes, Key], now: int) -> VerifiedRequest:
    """The request without its TSIG, and the key it was signed with.

    keys: by lower-case wire name; now: Unix seconds.  Checks in the order of RFC 8945 §5.2: shape,
    key, MAC, time, our policy on short MACs.  Raises RequestRefused.
    """
    try:
        tsig = find(msg)
    except TsigError as exc:
        raise RequestRefused(exc, msg, now) from exc
    if tsig is None:
        return VerifiedRequest(msg, None, b"", (msg[0] << 8) | msg[1])
    signed_by = f"{names.to_text(tsig.owner)} with {names.to_text(tsig.algorithm)}"
    key = keys.get(tsig.owner)
    if key is None:
        error = TsigError(TsigKind.UNKNOWN_KEY, "a TSIG key that we know", signed_by)
        raise RequestRefused(error, msg, now, tsig)
    if tsig.algorithm != key.algorithm.wire:
        error = TsigError(TsigKind.WRONG_ALGORITHM, f"a TSIG by {key.text()}", signed_by)
        raise RequestRefused(error, msg, now, tsig)
    stripped = strip(msg, tsig)
    mac = key.start()
    mac.update(stripped)
    mac.update(variables(key, tsig))
    digest = mac.digest()
    try:
        check_mac(tsig, key, digest)
    except TsigError as exc:
        raise RequestRefused(exc, msg, now, tsig) from exc
    try:
        check_time(tsig, now)
        check_length(tsig, key)
    except TsigError as exc:
        raise RequestRefused(exc, msg, now, tsig, key) from exc
    if tsig.error != 0:
        raise RequestRefused(malformed("TSIG error 0 in a request", str(tsig.error)), msg, now)
    return VerifiedRequest(msg[:2] + stripped[2:], key, tsig.mac, tsig.original_id)
