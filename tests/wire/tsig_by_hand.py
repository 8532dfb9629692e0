"""TSIG written a second time, straight from RFC 8945 §4.3 and on `hmac` alone.

It makes what dnspython cannot: shortened MACs, forged fields, unsigned errors, compressed owners.
"""

from __future__ import annotations

import hmac
import struct

import attrs

DIGESTS = {
    "hmac-md5": "md5",
    "hmac-sha1": "sha1",
    "hmac-sha224": "sha224",
    "hmac-sha256": "sha256",
    "hmac-sha384": "sha384",
    "hmac-sha512": "sha512",
    "hmac-sha256-128": "sha256",
    "hmac-sha384-192": "sha384",
    "hmac-sha512-256": "sha512",
}
SIZES = {
    "hmac-md5": 16,
    "hmac-sha1": 20,
    "hmac-sha224": 28,
    "hmac-sha256": 32,
    "hmac-sha384": 48,
    "hmac-sha512": 64,
    "hmac-sha256-128": 16,
    "hmac-sha384-192": 24,
    "hmac-sha512-256": 32,
}
SECRET = bytes(range(40))


def wire(text: str) -> bytes:
    """A name without escapes, on the wire."""
    out = b"".join(bytes([len(part)]) + part.encode() for part in text.split(".") if part)
    return out + b"\0"


def algorithm_wire(algorithm: str) -> bytes:
    return wire("hmac-md5.sig-alg.reg.int" if algorithm == "hmac-md5" else algorithm)


@attrs.frozen
class Signature:
    """What the fields of one TSIG are to be; `mac` and `size` override the computed MAC."""

    name: str = "k1"
    algorithm: str = "hmac-sha256"
    secret: bytes = SECRET
    time: int = 1_000_000
    fudge: int = 300
    error: int = 0
    other: bytes = b""
    size: int | None = None
    mac: bytes | None = None
    owner: bytes | None = None  # as it is to be written, for compression and case
    rclass: int = 255
    ttl: int = 0
    original_id: int | None = None

    def record(self, mac: bytes, original_id: int) -> bytes:
        owner = wire(self.name) if self.owner is None else self.owner
        rdata = (
            algorithm_wire(self.algorithm)
            + self.time.to_bytes(6, "big")
            + struct.pack(">HH", self.fudge, len(mac))
            + mac
            + struct.pack(">HHH", original_id, self.error, len(self.other))
            + self.other
        )
        return owner + struct.pack(">HHIH", 250, self.rclass, self.ttl, len(rdata)) + rdata

    def sign(
        self, msg: bytes, prior: bytes | None = None, *, between: bytes = b"", timers: bool = False
    ) -> tuple[bytes, bytes]:
        """(signed message, its MAC). prior: request's or last MAC; between: unsigned messages."""
        original_id = int.from_bytes(msg[:2], "big")
        if self.original_id is not None:
            original_id = self.original_id
        digest = hmac.new(self.secret, digestmod=DIGESTS[self.algorithm])
        if prior is not None:
            digest.update(struct.pack(">H", len(prior)) + prior)
        digest.update(between + struct.pack(">H", original_id) + msg[2:])
        if timers:
            digest.update(self.time.to_bytes(6, "big") + struct.pack(">H", self.fudge))
        else:
            digest.update(wire(self.name) + struct.pack(">HI", 255, 0))
            digest.update(algorithm_wire(self.algorithm))
            digest.update(self.time.to_bytes(6, "big"))
            digest.update(struct.pack(">HHH", self.fudge, self.error, len(self.other)) + self.other)
        size = SIZES[self.algorithm] if self.size is None else self.size
        mac = digest.digest()[:size] if self.mac is None else self.mac
        return with_record(msg, self.record(mac, original_id)), mac


def with_record(msg: bytes, record: bytes) -> bytes:
    """The message with one more additional record."""
    count = int.from_bytes(msg[10:12], "big") + 1
    return msg[:10] + struct.pack(">H", count) + msg[12:] + record


def query(id: int = 77, name: str = "example.com", rtype: int = 252) -> bytes:
    return struct.pack(">HHHHHH", id, 0, 1, 0, 0, 0) + wire(name) + struct.pack(">HH", rtype, 1)


def answer(id: int = 77, *, records: int = 1, rcode: int = 0, question: bool = True) -> bytes:
    """A response with that many A records of the question's name."""
    head = struct.pack(">HHHHHH", id, 0x8400 | rcode, int(question), records, 0, 0)
    body = wire("example.com") + struct.pack(">HH", 252, 1) if question else b""
    owner = b"\xc0\x0c" if question else wire("example.com")
    for n in range(records):
        body += owner + struct.pack(">HHIHI", 1, 1, 300, 4, n)
    return head + body
