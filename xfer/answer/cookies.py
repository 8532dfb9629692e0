"""DNS cookies as servers give and check them (RFC 7873, RFC 9018): no state, one hash a query.

A COOKIE option is the client's cookie (8 octets) and, once it has one, the server's:

    0        1                4           8                  16
    +--------+----------------+-----------+------------------+
    | version| reserved, zero | timestamp | SipHash-2-4      |   RFC 9018 §4
    +--------+----------------+-----------+------------------+

The hash is over client cookie, the first 8 octets as received, and the client's address, so every
server with the same secret accepts it, BIND and Knot among them. SipHash comes from siphashc:
neither hashlib nor `cryptography` has SipHash-2-4.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final, NamedTuple

from siphashc import siphash

COOKIE: Final = 10  # option code
SECRET_SIZE: Final = 16

CLIENT_SIZE: Final = 8
SIZE: Final = 24  # of the option, with a server cookie of ours
SHORTEST, LONGEST = 16, 40  # of an option with any server's cookie (RFC 7873 §4)

# RFC 9018 §4.3, seconds
LIFETIME: Final = 3600
FUTURE: Final = 300
RENEW: Final = 1800

_MASK: Final = 0xFFFF_FFFF
_HALF: Final = 0x8000_0000
_VERSION: Final = b"\x01\x00\x00\x00"


class Checked(NamedTuple):
    """valid: the client has a cookie of ours, so its address is its own; answer: what our COOKIE
    option says."""

    valid: bool
    answer: bytes


class Cookies:
    """secrets: 16 octets each; the first makes cookies, all are accepted (RFC 9018 §5)."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets or any(len(secret) != SECRET_SIZE for secret in secrets):
            sizes = [len(secret) for secret in secrets]
            raise ValueError(f"expected secrets of {SECRET_SIZE} octets, got {sizes}")
        self._secrets = tuple(secrets)

    def check(self, option: bytes, client: bytes, now: int) -> Checked | None:
        """What a request's COOKIE option is worth; None where it is malformed: FORMERR
        (RFC 7873 §5.2.2).

        option: its data; client: the address, 4 or 16 octets; now: Unix seconds.
        """
        size = len(option)
        if size < CLIENT_SIZE or CLIENT_SIZE < size < SHORTEST or size > LONGEST:
            return None
        own = option[:CLIENT_SIZE]
        # A server cookie of another size or version is none of ours.
        if size == SIZE and option[8] == 1:
            # Serial arithmetic: timestamps go round in 2106 (RFC 9018 §4.3, RFC 1982).
            age = (now - int.from_bytes(option[12:16], "big") + _HALF & _MASK) - _HALF
            if -FUTURE <= age <= LIFETIME:
                for secret in self._secrets:
                    if hmac.compare_digest(_hash(secret, option[:16], client), option[16:]):
                        kept = age <= RENEW and secret is self._secrets[0]
                        return Checked(True, option if kept else self.make(own, client, now))
        return Checked(False, self.make(own, client, now))

    def make(self, own: bytes, client: bytes, now: int) -> bytes:
        """The COOKIE option's data for a client; own: its cookie, 8 octets."""
        front = own + _VERSION + (now & _MASK).to_bytes(4, "big")
        return front + _hash(self._secrets[0], front, client)


def _hash(secret: bytes, front: bytes, client: bytes) -> bytes:
    # The digest is in the byte order of the reference implementation.
    return siphash(secret, front + client).to_bytes(8, "little")
