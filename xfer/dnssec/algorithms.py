"""The DNSSEC algorithms: numbers, mnemonics, sizes (RFC 8624, RFC 4034 Appendix A.1).

Which of them new keys may have, and how these are called, says `xfer.config_dnssec`, as the config
can name them.
"""

from __future__ import annotations

from typing import Final

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from xfer.config_dnssec import ALGORITHMS as GENERATED
from xfer.errors import KeyRefused


@attrs.frozen
class Algorithm:
    """One of the DNSSEC algorithms that are used here.

    size: octets of a coordinate (ECDSA) or of the public key (EdDSA), 0 for RSA.
    """

    number: int
    size: int
    digest: hashes.HashAlgorithm | None = None
    curve: ec.EllipticCurve | None = None

    @property
    def mnemonic(self) -> str:
        return _MNEMONICS[self.number]

    @property
    def generated(self) -> bool:
        """Whether new keys may have it (RFC 8624 §3.1)."""
        return self.number in GENERATED

    def __str__(self) -> str:
        return f"{self.mnemonic} ({self.number})"

    @property
    def is_rsa(self) -> bool:
        return self.size == 0


RSASHA256: Final = 8
RSASHA512: Final = 10
ECDSAP256SHA256: Final = 13
ECDSAP384SHA384: Final = 14
ED25519: Final = 15
ED448: Final = 16

ALGORITHMS: Final[dict[int, Algorithm]] = {
    algorithm.number: algorithm
    for algorithm in (
        Algorithm(RSASHA256, 0, hashes.SHA256()),
        Algorithm(RSASHA512, 0, hashes.SHA512()),
        Algorithm(ECDSAP256SHA256, 32, hashes.SHA256(), ec.SECP256R1()),
        Algorithm(ECDSAP384SHA384, 48, hashes.SHA384(), ec.SECP384R1()),
        Algorithm(ED25519, 32),
        Algorithm(ED448, 57),
    )
}
_MNEMONICS: Final = {
    **GENERATED,
    RSASHA512: "RSASHA512",
    # Known by name only, so that a refusal can name them.
    1: "RSAMD5", 2: "DH", 3: "DSA", 5: "RSASHA1", 6: "DSA-NSEC3-SHA1", 7: "NSEC3RSASHA1",
    12: "ECC-GOST", 17: "SM2SM3", 23: "ECC-GOST12", 252: "INDIRECT", 253: "PRIVATEDNS",
    254: "PRIVATEOID",
}  # fmt: skip
_NUMBERS: Final = {mnemonic: number for number, mnemonic in _MNEMONICS.items()}


def algorithm_text(number: int) -> str:
    """The mnemonic of an algorithm, or its number where it has none here."""
    return _MNEMONICS.get(number, str(number))


def algorithm_of(given: int | str) -> Algorithm:
    """The algorithm of a number (13, "13") or mnemonic ("ECDSAP256SHA256", any case).

    Raises KeyRefused where it is none, or one that is not used here.
    """
    number = given if isinstance(given, int) else _NUMBERS.get(given.strip().upper(), -1)
    if number < 0 and isinstance(given, str) and len(given) <= 3 and given.isascii():
        number = int(given) if given.isdigit() else -1
    known = ALGORITHMS.get(number)
    if known is None:
        named = f"{number} ({_MNEMONICS[number]})" if number in _MNEMONICS else repr(given)[:80]
        raise KeyRefused(f"one of the algorithms {_listed()}", named)
    return known


def _listed() -> str:
    return ", ".join(str(item) for item in ALGORITHMS.values())
