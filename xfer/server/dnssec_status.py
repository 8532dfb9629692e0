"""What the engine tells of a zone's signing: the values that the control API hands out.

As in `xfer.server.status`: frozen, text, numbers and enums; times are Unix seconds, None is "not
known" or "not yet". Nothing here holds a private part of a key.
"""

from __future__ import annotations

import enum

import attrs

from xfer.dnssec.keystate import Goal, Presence, Role, Why, ZoneState
from xfer.dnssec.outlook import HeldUp


class DsMatch(enum.Enum):
    """How the DS at the parent fits the DS that the keys call for."""

    MATCHES = "matches"
    DIFFERS = "differs"
    NOT_SEEN = "not seen"  # one is called for, and there is none
    NOT_ASKED = "not asked"  # nobody has looked, or told us
    NONE = "none"  # none is called for, and there is none


@attrs.frozen
class DnssecKey:
    """One of our keys.

    ident: algorithm and tag, as in the names of its files; does: what it is used for now; event:
    what happens to it next, "" for nothing; at: when, None where that hangs on something else;
    elsewhere: somebody else has it.
    """

    ident: str
    tag: int
    algorithm: int
    algorithm_name: str
    role: Role
    goal: Goal
    why: Why
    made_at: float
    used_at: float | None
    dnskey: Presence
    signatures: Presence
    ds: Presence
    does: str
    event: str = ""
    at: float | None = None
    replaces: tuple[str, ...] = ()
    compromised: bool = False
    elsewhere: bool = False


@attrs.frozen
class DsStatus:
    """The DS at the parent. wanted, present: idents of keys, "foreign:…" where it is of none here;
    at: when it was last seen, or told us; asked: whether the parent is asked by us; error: why the
    last look there told nothing, "" where it did."""

    match: DsMatch
    wanted: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    at: float | None = None
    asked: bool = False
    error: str = ""


@attrs.frozen
class DnssecStatus:
    """A zone's signing.

    mode: as configured, "unsigned", "pre-signed" or "live-signed"; signed: whether what is served
    was signed here; state: None before its first keys; mismatch: what in the config does not fit
    the state, and the way out, "" for nothing; error: why what came is not served, or keys do not
    move; todo: what the operator has to do, a sentence each; denial: in force, in words; ends_at:
    when the first signature ends, renew_at: when that is made anew; validity, refresh: of the
    policy, in seconds; warn_at, ends_first: where it comes signed, from when on that end is near,
    and whose the signature is; held_up: secondaries that a rollover waits for; keyset_ends_at:
    when the signatures of the DNSKEY RRset end, where somebody else makes them. A list of zones
    leaves out keys and held_up.
    """

    mode: str
    signed: bool = False
    state: ZoneState | None = None
    mismatch: str = ""
    error: str = ""
    failed_at: float | None = None
    todo: tuple[str, ...] = ()
    keys: tuple[DnssecKey, ...] = ()
    ds: DsStatus = DsStatus(DsMatch.NOT_ASKED)
    denial: str = ""
    ends_at: float | None = None
    renew_at: float | None = None
    validity: int = 0
    refresh: int = 0
    warn_at: float | None = None
    ends_first: str = ""
    received_serial: int | None = None
    published_serial: int | None = None
    next_look: float | None = None
    held_up: tuple[HeldUp, ...] = ()
    multi_signer: bool = False
    keyset_ends_at: float | None = None


@attrs.frozen
class KeyRecord:
    """A record of a key, to be copied.

    line: of a zone file; text: its rdata; fields: the rdata's fields one by one, as registrars ask
    for them; wanted: whether it is to be there now (a DS at the parent, a DNSKEY in the zone);
    present: whether it is, as far as is known.
    """

    key: str
    role: str
    line: str
    text: str
    fields: dict[str, int | str]
    wanted: bool
    present: bool


@attrs.frozen
class KeyRecords:
    """Records of a zone's keys. note: what to mind before they are used, "" for nothing."""

    zone: str
    type: str
    records: tuple[KeyRecord, ...]
    note: str = ""


@attrs.frozen
class Ordered:
    """Who orders, for the log, and whether only to look."""

    by: str
    dry_run: bool = False


@attrs.frozen
class DnssecOrder:
    """What came of an order to a zone's signing, or would come (dry_run).

    did: what was (would be) done, in words; stake: what is at stake, a sentence each; says: what
    follows at once, a sentence each; files: that were written; dnssec: the zone afterwards.
    """

    zone: str
    did: str
    dry_run: bool
    dnssec: DnssecStatus
    stake: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@attrs.frozen
class MigrationSide:
    """What one server said. side: "signer" or "parent"; ours, theirs: idents of the DNSKEYs (at a
    parent: DS) that it publishes, of our keys and others; ns: the zone's NS there; error: why it
    told nothing; serial: of the zone's SOA there, None where that was not told."""

    side: str
    server: str
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    ns: tuple[str, ...] = ()
    error: str = ""
    serial: int | None = None


@attrs.frozen
class MigrationStatus:
    """Where a zone is between two signers.

    stage: what comes next (`xfer.dnssec.stages.Stage`), says: what to do for it; at: not before
    that time; direction: "joining", "leaving", "staying" where the other one goes, "together" with
    another signer, or "alone"; sides: what everybody said when asked just now; lacking: what does
    not go together, a sentence each.
    """

    zone: str
    stage: str
    says: str
    at: float | None
    direction: str
    sides: tuple[MigrationSide, ...] = ()
    lacking: tuple[str, ...] = ()
