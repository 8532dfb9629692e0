"""What a published version has to look like: who signs, what proves denial, for how long."""

from __future__ import annotations

import attrs

from xfer.dnssec.keys import SigningKey

SHA1 = 1  # the only hash algorithm of NSEC3 (RFC 5155 §11)


@attrs.frozen
class Denial:
    """What proves that something is not there.

    kind: "nsec", "nsec3", or "none" where answers make their proofs up as they are asked;
    iterations (additional ones), salt, opt_out (insecure delegations stand in no record): of NSEC3.
    """

    kind: str = attrs.field(
        default="nsec", validator=attrs.validators.in_(("nsec", "nsec3", "none"))
    )
    iterations: int = attrs.field(default=0)
    salt: bytes = b""
    opt_out: bool = False

    @iterations.validator
    def _check(self, attribute: object, value: int) -> None:
        if not 0 <= value <= 65535 or len(self.salt) > 255:
            raise ValueError(
                "expected at most 65535 iterations and 255 octets of salt, got "
                f"{value} and {len(self.salt)}"
            )

    @property
    def parameters(self) -> bytes:
        """Algorithm, iterations, length and octets of the salt, as `xfer.answer.nsec3` has them;
        b"" without NSEC3."""
        if self.kind != "nsec3":
            return b""
        return bytes((SHA1,)) + self.iterations.to_bytes(2, "big") + self.salted

    @property
    def salted(self) -> bytes:
        """Length and octets of the salt."""
        return bytes((len(self.salt),)) + self.salt

    @property
    def nsec3param(self) -> bytes:
        """Rdata of the NSEC3PARAM record; its flags are 0 always (RFC 5155 §4.1.2)."""
        return bytes((SHA1, 0)) + self.iterations.to_bytes(2, "big") + self.salted


@attrs.frozen
class Terms:
    """The terms on which a version is published.

    apex: complete records that come to those of the content at the apex (our DNSKEY, CDS, CDNSKEY);
    an RRset that is in both has the TTL that it has here. ksks: sign the apex's DNSKEY, CDS and
    CDNSKEY RRsets (RFC 7344 §4.1); zsks: sign all else; a CSK is in both; each RRset is signed by
    every key of its list. presigned: RRSIG records of those three that were made elsewhere; with
    them the ksks sign nothing, and what the content has of the three is left out; without: rdata of
    records of the three that are left out of it (of keys of ours that were removed). validity,
    jitter, inception_offset: a signature made at `now` holds from now − inception_offset to now +
    validity − (0 … jitter); refresh: it is renewed when it holds for less than that. All in
    seconds. zonemd: with a ZONEMD record (RFC 8976). unsigned: the content without any DNSSEC.
    """

    apex: tuple[bytes, ...] = ()
    ksks: tuple[SigningKey, ...] = ()
    zsks: tuple[SigningKey, ...] = ()
    presigned: tuple[bytes, ...] = ()
    without: frozenset[bytes] = frozenset()
    denial: Denial = Denial()
    validity: int = 14 * 86400
    refresh: int = 5 * 86400
    jitter: int = 12 * 3600
    inception_offset: int = 3600
    zonemd: bool = False
    unsigned: bool = False

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """All that sign, each once."""
        if self.unsigned:
            return ()
        return tuple({key.ident: key for key in (*self.ksks, *self.zsks)}.values())
