"""What signing work needs to know besides records, in a form that processes can be sent."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from xfer.dnssec.rrsig import Preparer
from xfer.dnssec.terms import Denial, Terms
from xfer.errors import ZoneError
from xfer.wire.records import (
    CDNSKEY,
    CDS,
    DNSKEY,
    NSEC3PARAM,
    RRSIG,
    key_end,
    make,
    soa_fields,
    split,
)
from xfer.zone.snapshot import APEX

Sign = Callable[[bytes], bytes]


@attrs.frozen
class Recipe:
    """How the version that is being signed gets its signatures.

    origin: lower-case wire name of the apex; algorithms, tags, ksks, zsks, presigned: as for
    `Preparer`, keys in the order of `Terms.keys`; now, inception, expiration, keep: Unix seconds;
    jitter: seconds; seed: of jitter; negative_ttl: TTL of NSEC and NSEC3 records (RFC 9077 §3).
    """

    origin: bytes
    algorithms: tuple[int, ...]
    tags: tuple[int, ...]
    ksks: tuple[int, ...]
    zsks: tuple[int, ...]
    presigned: tuple[bytes, ...]
    now: int
    inception: int
    expiration: int
    keep: int
    jitter: int
    seed: int
    negative_ttl: int
    denial: Denial

    def preparer(self) -> Preparer:
        """A new one."""
        return Preparer(
            self.origin,
            list(self.algorithms),
            list(self.tags),
            list(self.ksks),
            list(self.zsks),
            self.inception,
            self.expiration,
            self.jitter,
            self.seed,
            self.now,
            self.keep,
            list(self.presigned),
            self.negative_ttl,
            self.denial.kind == "nsec",
        )


def negative_ttl(soa: bytes) -> int:
    """TTL of NSEC and NSEC3 records: the SOA's TTL or MINIMUM, whichever is less (RFC 9077 §3)."""
    return min(split(soa)[3], soa_fields(soa)[6])


def recipe_of(origin: bytes, soa: bytes, terms: Terms, now: float, rng: random.Random) -> Recipe:
    """The recipe for a version with this SOA record. Raises ZoneError for terms that do not go
    together."""
    keys = terms.keys
    places = {key.ident: place for place, key in enumerate(keys)}
    if keys and len({key.public for key in (*terms.ksks, *terms.zsks)}) != len(keys):
        raise ZoneError("expected keys of different key tags, got two of one tag and algorithm")
    if not terms.unsigned and not terms.zsks:
        raise ZoneError("expected a key that signs the zone, got none")
    for record in terms.presigned:
        key, rtype, covered = split(record)[:3]
        if (key, rtype) != (APEX, RRSIG) or covered not in (DNSKEY, CDS, CDNSKEY):
            raise ZoneError(
                "expected RRSIG records of the DNSKEY, CDS and CDNSKEY RRsets, got others"
            )
    # Jitter must leave a signature in force until it is due for renewal.
    jitter = max(0, min(terms.jitter, terms.validity - terms.refresh - 1))
    moment = int(now)
    return Recipe(
        origin,
        tuple(key.algorithm for key in keys),
        tuple(key.tag for key in keys),
        () if terms.unsigned else tuple(places[key.ident] for key in terms.ksks),
        () if terms.unsigned else tuple(places[key.ident] for key in terms.zsks),
        () if terms.unsigned else terms.presigned,
        moment,
        moment - terms.inception_offset,
        moment + terms.validity,
        moment + terms.refresh,
        jitter,
        rng.getrandbits(32),
        negative_ttl(soa),
        Denial("none") if terms.unsigned else terms.denial,
    )


def apex_extra(terms: Terms) -> list[bytes]:
    """The records that come to the content's at the apex; refuses others."""
    extra = list(terms.apex)
    for record in extra:
        if key_end(record) != 1:
            raise ZoneError("expected records at the apex to publish there, got others")
    if terms.denial.kind == "nsec3" and not terms.unsigned:
        extra.append(make(APEX, NSEC3PARAM, 0, terms.denial.nsec3param))
    return extra
