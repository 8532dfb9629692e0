"""What is kept of a zone's keys: which there are, what has been served, and what may be cached.

A validator needs three things for an answer: the DS set from the parent, the DNSKEY RRset with its
signatures, and a signature of the answer itself. It may hold each of them for a full TTL from
whichever server it asked, so it may put together any old one with any new one. `ZoneKeys` keeps for
each of the three what is served now and every older one that a cache may still hold (`Past`), with
the time at which it was replaced. Only things that have happened are recorded, never a deadline:
deadlines follow from them and the timings (`timing.py`), so a restart, a changed policy or a clock
that was set cannot make one come early.

From that follows, for each of the records of a key (RFC 7583 §3 and RFC 6781 §4.1 speak of them as
published, ready, active, retired, dead), whether caches may, do, or cannot know it: `Presence`.

              published                 every old RRset without it
     HIDDEN ─────────────> RUMOURED ──── has left all caches ─────> OMNIPRESENT
        ^                     │                                         │
        │                     │ withdrawn                               │ withdrawn
        │                     v                                         │
        └─────────────── UNRETENTIVE <───────────────────────────────────┘
           every RRset with it has left all caches

The zone as a whole (REQUIREMENTS A25; `observing.settled`, and the commands):

                            DS seen                  disable
      enable ──> PENDING <───────────> ACTIVE ──────────────────> PENDING_DISABLED
                  ^   │     DS gone      ^                             │    ^
                  │   │                  │ cancel (DS still there)     │    │ DS seen
                  │   │                  └─────────────────────────────┤    │
                  │   │ disable, never a DS                    DS gone │    │
                  │   └───────────────────────────┐                    v    │
                  │              cancel           └─────────────────> DISABLED
                  ├──────────────────────────────────────────────────────┤
                  │ enable                 delete, all DS out of caches   v
                  └────────────────────────────────────────────────── DELETED
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

import attrs

NOTHING: Final[frozenset[str]] = frozenset()
FOREIGN: Final = "foreign:"
"""Begins the ident of what is not our key: the DS, or a signer, of somebody else."""


class Role(enum.Enum):
    """What a key signs: the DNSKEY RRset (and CDS), all else, or both."""

    KSK = "ksk"
    ZSK = "zsk"
    CSK = "csk"

    @property
    def signs_keys(self) -> bool:
        """Whether it signs the DNSKEY RRset, and has a DS."""
        return self is not Role.ZSK

    @property
    def signs_zone(self) -> bool:
        """Whether it signs what is not at the top of the chain."""
        return self is not Role.KSK


class Goal(enum.Enum):
    """Where a key is going."""

    SERVE = "serve"
    LEAVE = "leave"


class Why(enum.Enum):
    """Why a key was made: which kind of rollover brought it in."""

    FIRST = "first"
    LIFETIME = "lifetime"
    COMMAND = "command"
    ALGORITHM = "algorithm"
    LAYOUT = "layout"  # KSK and ZSK ↔ CSK
    EMERGENCY = "emergency"
    IMPORT = "import"


class Presence(enum.Enum):
    """What caches may know of one record of a key."""

    HIDDEN = "hidden"  # in no cache
    RUMOURED = "rumoured"  # in some, and coming
    OMNIPRESENT = "omnipresent"  # whoever has the RRset has it
    UNRETENTIVE = "unretentive"  # in some, and leaving


class ZoneState(enum.Enum):
    """REQUIREMENTS A25."""

    PENDING = "pending"  # signed, no DS at the parent
    ACTIVE = "active"  # signed, DS at the parent
    PENDING_DISABLED = "pending-disabled"  # to be unsigned, DS still at the parent
    DISABLED = "disabled"  # still signed, DS gone
    DELETED = "deleted"  # no DNSSEC at all


@attrs.frozen
class KeyState:
    """One of our keys.

    ident: algorithm and tag, "013+12345"; public: DNSKEY rdata; made, used: Unix seconds at which
    it came, and at which it was first used for what its role is (None: not yet); replaces: idents
    of the keys it came for; compromised: somebody else may have it; shared: the time since when
    every other signer of the zone has it in its DNSKEY RRset (RFC 8901), None: not known to.
    elsewhere: a KSK that somebody else has, who hands in the DNSKEY RRset signed by it.
    """

    ident: str
    role: Role
    public: bytes
    made: float
    goal: Goal = Goal.SERVE
    why: Why = Why.FIRST
    used: float | None = None
    replaces: tuple[str, ...] = ()
    compromised: bool = False
    shared: float | None = None
    elsewhere: bool = False

    @property
    def algorithm(self) -> int:
        """Its DNSSEC algorithm."""
        return self.public[3]


@attrs.frozen
class Keyset:
    """A DNSKEY RRset as served: our keys in it, those that sign it, its TTL, and stand-ins for the
    keys of other signers in it. Empty: none is served.

    TTL of the empty one: for how long caches remember that there is none (RFC 2308).
    """

    keys: frozenset[str] = NOTHING
    signers: frozenset[str] = NOTHING
    ttl: int = 0
    foreign: frozenset[str] = NOTHING


@attrs.frozen
class PastKeyset:
    """A DNSKEY RRset that is served no more, while caches may have it.

    at, serial: when, and by which version, it was replaced (None: by one that is not published
    yet); everywhere: when the last of our secondaries had that version (None: not yet).
    """

    what: Keyset
    at: float | None = None
    serial: int | None = None
    everywhere: float | None = None


@attrs.frozen
class PastSigners:
    """Zone signatures by these keys, made no more, while caches may have them; as PastKeyset.

    ttl: the largest of any record of the zone while they were made.
    """

    what: frozenset[str]
    ttl: int
    at: float | None = None
    serial: int | None = None
    everywhere: float | None = None


@attrs.frozen
class PastDs:
    """A DS set that is at the parent no more, while caches may have it: when that was first seen,
    and its TTL (seconds)."""

    what: frozenset[str]
    at: float
    ttl: int


@attrs.frozen
class ForeignKey:
    """A DNSKEY of another signer of the zone that we publish, and since when; content: it came in
    the zone's content, not by an order."""

    public: bytes
    made: float
    content: bool = False


@attrs.frozen
class Imported:
    """The DNSKEY RRset as whoever has the KSK signed it (RFC 8901 model 1), with the CDS and
    CDNSKEY RRsets where they came along.

    records: complete records of the apex, as `xfer.wire.records` has them, with their RRSIGs;
    begins, ends: between which all of these hold, Unix seconds.
    """

    records: tuple[bytes, ...]
    begins: int
    ends: int


@attrs.frozen
class Request:
    """A rollover that was asked for and whose key is not made yet."""

    role: Role
    why: Why


@attrs.frozen
class ZoneKeys:
    """All that is kept of a zone's keys, and changed by `lifecycle.advance` and the commands only.

    origin: wire name, lower case. keyset, signers: what the next (or the published) version has.
    zone_ttl: largest TTL of any record, negative_ttl: of a negative answer, since `signers` were
    set. ds: at the parent as last known; ds_at: when that was seen (0: never); ds_ttl: largest TTL
    seen of it, 0: none. wanted: whose DS we ask for (CDS, to-do list); wanted_at, wanted_serial:
    since when, None while it is not published. asked: sets that were wanted before and that a slow
    parent may still put in. requests: see Request. joining: our servers are not delegated to yet,
    another signer's are. leaving: the delegation has moved away from our servers. multi_signer:
    other signers are asked for the zone as well (RFC 8901). delegated_at: since when our servers
    are in the delegation beside another signer's; moved_at, moved_ttl: since when the signer that
    goes (the other one, or we where `leaving`) is in it no more, and the largest TTL of the NS that
    was seen since `delegated_at`; their_ttl: largest TTL of the others' DNSKEY RRset that was seen.
    shown: fingerprint of the publication that is served, "" before the first. imported: the DNSKEY
    RRset that `keyset` is of, where somebody else signs it; None where we do, or none is served.
    """

    origin: bytes
    state: ZoneState = ZoneState.PENDING
    keys: tuple[KeyState, ...] = ()
    foreign: tuple[ForeignKey, ...] = ()
    requests: tuple[Request, ...] = ()
    keyset: Keyset = Keyset()
    signers: frozenset[str] = NOTHING
    zone_ttl: int = 0
    negative_ttl: int = 0
    past_keysets: tuple[PastKeyset, ...] = ()
    past_signers: tuple[PastSigners, ...] = ()
    ds: frozenset[str] = NOTHING
    ds_at: float = 0.0
    ds_ttl: int = 0
    past_ds: tuple[PastDs, ...] = ()
    wanted: frozenset[str] = NOTHING
    wanted_at: float | None = None
    wanted_serial: int | None = None
    wanted_everywhere: float | None = None
    asked: tuple[frozenset[str], ...] = ()
    joining: bool = False
    leaving: bool = False
    multi_signer: bool = False
    delegated_at: float | None = None
    moved_at: float | None = None
    moved_ttl: int = 0
    their_ttl: int = 0
    shown: str = ""
    imported: Imported | None = None

    def key(self, ident: str) -> KeyState | None:
        """The key of that ident."""
        return next((key for key in self.keys if key.ident == ident), None)

    @property
    def signed(self) -> bool:
        """Whether the zone's versions are signed, now or as soon as one is published."""
        return bool(self.keyset.keys)

    @property
    def unpublished(self) -> bool:
        """Whether a version has to be published before anything of this is served."""
        return (
            any(past.at is None for past in self.past_keysets)
            or any(past.at is None for past in self.past_signers)
            or (self.wanted_serial is None and (bool(self.wanted) or bool(self.asked)))
        )

    def serving(self) -> tuple[KeyState, ...]:
        """Keys that are to stay."""
        return tuple(key for key in self.keys if key.goal is Goal.SERVE)

    def leaving_keys(self) -> tuple[KeyState, ...]:
        """Keys that are on their way out."""
        return tuple(key for key in self.keys if key.goal is Goal.LEAVE)


@attrs.frozen
class Presences:
    """Where the four records of a key are: its DNSKEY, its signatures of the zone and of the DNSKEY
    RRset, its DS."""

    dnskey: Presence
    zone_signatures: Presence
    key_signatures: Presence
    ds: Presence


def own(idents: Iterable[str]) -> frozenset[str]:
    """Those that are our keys."""
    return frozenset(ident for ident in idents if not ident.startswith(FOREIGN))


def _presence(now: bool, before: Iterable[bool]) -> Presence:
    seen = set(before)
    if now:
        return Presence.RUMOURED if False in seen else Presence.OMNIPRESENT
    return Presence.UNRETENTIVE if True in seen else Presence.HIDDEN


def presences(zone: ZoneKeys, ident: str) -> Presences:
    """Where a key's records are, as of the last `advance` (which forgets what has left caches)."""
    return Presences(
        _presence(
            ident in zone.keyset.keys, (ident in past.what.keys for past in zone.past_keysets)
        ),
        _presence(ident in zone.signers, (ident in past.what for past in zone.past_signers)),
        _presence(
            ident in zone.keyset.signers,
            (ident in past.what.signers for past in zone.past_keysets),
        ),
        _presence(ident in zone.ds, (ident in past.what for past in zone.past_ds)),
    )
