"""TSIG hmac-sha256 over ready-made messages, as fast as Python can (RFC 8945 §5.3).

The product's own TSIG is not used here: what measures must not share the fault it measures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time

from tests.peers import TsigKey

_FUDGE = 300


def _wire(name: str) -> bytes:
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


class Signer:
    """Signs one stream of messages: a request (no prior MAC), or the answers to one."""

    def __init__(self, key: TsigKey, request_mac: bytes = b"") -> None:
        if key.algorithm != "hmac-sha256":
            raise ValueError(f"the benchmark signs with hmac-sha256, not {key.algorithm}")
        self._hmac = hmac.new(base64.b64decode(key.secret), digestmod=hashlib.sha256)
        self._name = _wire(key.name)
        self._algorithm = _wire("hmac-sha256")
        self.mac = request_mac
        self._first = True

    def sign(self, message_id: int, flags: int, counts: tuple[int, int, int], body: bytes) -> bytes:
        """The message with its two octets of TCP length: header, `body`, TSIG.

        `counts` are QDCOUNT, ANCOUNT, NSCOUNT; the TSIG is the one additional record.
        """
        now = int(time.time())
        when = struct.pack("!HIH", now >> 32, now & 0xFFFFFFFF, _FUDGE)
        digest = self._hmac.copy()
        if self.mac:
            digest.update(struct.pack("!H", len(self.mac)) + self.mac)
        digest.update(struct.pack("!6H", message_id, flags, *counts, 0))
        digest.update(body)
        if self._first:
            # TSIG variables: name, class ANY, TTL 0, algorithm, times, no error, no other data.
            digest.update(self._name + b"\0\xff\0\0\0\0" + self._algorithm + when + b"\0\0\0\0")
            self._first = False
        else:
            digest.update(when)
        self.mac = digest.digest()
        rdata = (
            self._algorithm
            + when
            + struct.pack("!H", len(self.mac))
            + self.mac
            + struct.pack("!HHH", message_id, 0, 0)
        )
        tsig = self._name + struct.pack("!HHIH", 250, 255, 0, len(rdata)) + rdata
        header = struct.pack("!7H", 12 + len(body) + len(tsig), message_id, flags, *counts, 1)
        return header + body + tsig
