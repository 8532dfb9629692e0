"""Signing what is asked for: proofs that no version holds (`xfer.answer.online`).

RFC 4034 §3.1 (RRSIG), RFC 4035 §2.2, RFC 9824, RFC 7129 Appendix B.

    answer ──an RRset to sign──▶ OnlineSigner ──made before, and good for long──▶ its RRSIGs
                                     └──else, as long as the process may sign──▶ made, remembered

See `xfer.dnssec.signatures` for what is remembered, and for how many a process may make.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import attrs

from xfer.dnssec.keys import SigningKey, from_der
from xfer.dnssec.signatures import Made, Signatures
from xfer.log import Secret
from xfer.wire.names import wire_of
from xfer.wire.records import RRSIG, key_end, make, split

# What a signature costs, in those of algorithm 13: RSA with 2,048 bits, P-384, Ed25519, Ed448.
COSTS: Final = {8: 12.0, 10: 12.0, 13: 1.0, 14: 10.0, 15: 1.25, 16: 8.0}
_RSA_BITS: Final = 2048


@attrs.frozen(eq=False)
class Lasting:
    """How long signatures hold, seconds, as the zone's policy has it: from `inception` before they
    are made, for `validity` after that; given again for half of `refresh`."""

    validity: int
    refresh: int
    inception: int


class OnlineSigner:
    """Signs what is asked for of a published version.

    origin: lower-case wire name; keys: that sign the zone (ZSKs or CSKs); compact: RFC 9824, else
    NSEC3 white lies; lasting: of its signatures; signatures: of the process.
    """

    __slots__ = ("_cost", "_heads", "_keys", "_lasting", "_signatures", "compact", "origin")

    def __init__(
        self,
        origin: bytes,
        keys: Sequence[SigningKey],
        compact: bool,
        lasting: Lasting,
        signatures: Signatures,
    ) -> None:
        self.origin = origin
        self.compact = compact
        self._keys = tuple(keys)
        self._lasting = lasting
        self._signatures = signatures
        self._cost = sum(map(cost_of, keys))
        # What tells its signatures from those of other keys and zones.
        self._heads = origin + b"".join(struct.pack("!BH", key.algorithm, key.tag) for key in keys)

    def sign(self, records: list[bytes], reason: int) -> list[bytes]:
        """The RRSIG records of an RRset; reason: one of those in `xfer.answer.online`.

        records: all of it, of one owner, type and TTL, in canonical order. Raises SigningBusy.
        """
        shared = self._signatures
        key = b"".join((self._heads, *records))
        found = shared.get(key)
        if found is not None:
            return list(found)
        shared.take(self._cost, reason)
        now = shared.wall()
        made = self._make(records, int(now))
        until = now + self._lasting.refresh / 2
        shared.put(key, Made(made, now - self._lasting.inception, until), reason)
        return list(made)

    def _make(self, records: list[bytes], now: int) -> tuple[bytes, ...]:
        owner, rtype, _, ttl, _ = split(records[0])
        wire = wire_of(owner, self.origin)
        signed = _canonical(records, wire, rtype, ttl)
        expiration = (now + self._lasting.validity) & 0xFFFFFFFF
        inception = (now - self._lasting.inception) & 0xFFFFFFFF
        labels = labels_of(wire)
        made = []
        for key in self._keys:
            head = struct.pack(
                "!HBBIIIH", rtype, key.algorithm, labels, ttl, expiration, inception, key.tag
            )
            head += self.origin
            made.append(make(owner, RRSIG, ttl, head + key.sign(head + signed)))
        return tuple(made)

    def packed(self) -> tuple[Any, ...]:
        """What a process of ours needs to sign the same, for its socket and for nothing else: the
        private keys are in it."""
        keys = [(key.algorithm, key.flags, key.private_der().reveal()) for key in self._keys]
        lasting = self._lasting
        return (
            self.compact,
            keys,
            (lasting.validity, lasting.refresh, lasting.inception),
        )

    @staticmethod
    def unpacked(origin: bytes, packed: tuple[Any, ...], signatures: Signatures) -> OnlineSigner:
        """The signer of `packed`, in the other process."""
        compact, keys, lasting = packed
        made = [from_der(algorithm, flags, Secret(private)) for algorithm, flags, private in keys]
        return OnlineSigner(origin, made, compact, Lasting(*lasting), signatures)

    def __repr__(self) -> str:
        return f"<OnlineSigner {'compact' if self.compact else 'white lies'} {self._keys!r}>"


def cost_of(key: SigningKey) -> float:
    """What a signature costs, in those of algorithm 13; RSA's grows with the cube of its size."""
    cost = COSTS[key.algorithm]
    return cost * (key.bits / _RSA_BITS) ** 3 if key.algorithm in (8, 10) else cost


def labels_of(wire: bytes) -> int:
    """The labels of an owner as an RRSIG counts them: without the root, without a wildcard's
    asterisk (RFC 4034 §3.1.3)."""
    count = at = 0
    while wire[at]:
        count += 1
        at += 1 + wire[at]
    return count - 1 if wire[:2] == b"\1*" else count


def _canonical(records: list[bytes], wire: bytes, rtype: int, ttl: int) -> bytes:
    """The RRset as it is signed (RFC 4034 §3.1.8.1, §6)."""
    head = wire + struct.pack("!HHI", rtype, 1, ttl)
    parts = []
    for record in records:
        rdata = record[key_end(record) + 6 :]
        parts.append(head + struct.pack("!H", len(rdata)) + rdata)
    return b"".join(parts)
