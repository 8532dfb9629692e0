"""Where somebody else has the KSK (RFC 8901 §2.1.1, model 1): taking the DNSKEY RRset they signed.

We have a ZSK, they have the KSK and the DS. They put our ZSK into the DNSKEY RRset, sign that, and
hand it in; it is published as it is, for as long as its signatures hold. Their KSKs are kept among
the zone's keys, so that one rule (`rules.py`) judges what caches put together, whoever has a key:

    first RRset     DNSKEYs and signatures in · (unsigned data gone) · they put the DS in
    after others    our ZSK in their RRset · (older ones gone) · RRset with all keys, signatures ·
                    (theirs gone) · RRset without theirs
    ZSK             RRset with the new one · (old RRsets gone) · signatures change · (old ones
                    gone) · RRset without the old one
    KSK             RRset with, or signed by, the new one · (old RRsets gone) · they change the DS ·
                    (old DS gone) · RRset without the old one

An RRset is taken when it may be served at once, and else refused: nothing waits half-taken.
"""

from __future__ import annotations

import attrs

from xfer.config_dnssec import DnssecPolicy, KeyLayout
from xfer.dnssec import moves, observing
from xfer.dnssec.commands import MOST_KEYS
from xfer.dnssec.ds import SHA1, SHA256, SHA384, Ds, digest
from xfer.dnssec.idents import algorithm_in, foreign_dnskey, foreign_ds, ident_of, tag_in, tag_of
from xfer.dnssec.keyset import Handed, rdata_of
from xfer.dnssec.keystate import (
    FOREIGN,
    Goal,
    Imported,
    Keyset,
    KeyState,
    PastDs,
    PastSigners,
    Role,
    Why,
    ZoneKeys,
    ZoneState,
    own,
)
from xfer.dnssec.layout import layout_of
from xfer.dnssec.lifecycle import timing_of
from xfer.dnssec.rules import Served, holds
from xfer.dnssec.timing import FOREVER, Facts, Timing, moment
from xfer.errors import StepRefused
from xfer.wire import names
from xfer.wire.records import DNSKEY

STEP = "take the DNSKEY RRset"
WAIT = "hand it in again then"


def with_imported(
    zone: ZoneKeys,
    given: Handed,
    policy: DnssecPolicy,
    now: float,
    facts: Facts,
    timing: Timing | None = None,
    *,
    before: frozenset[bytes] = frozenset(),
    force: bool = False,
) -> ZoneKeys:
    """The zone with a DNSKEY RRset that somebody else has signed, to be served from now on.

    before: DNSKEY rdata of what is served, where others have signed that until now. force: even
    where it is older than the one that is served, or holds for a short time only; what would break
    the zone is refused always. Raises StepRefused.
    """
    timing = timing or timing_of(zone, policy)
    _wanted_here(zone, policy)
    zone = observing.observed(observing.clamped(zone, now), now, facts, timing)
    if before and not zone.signed:
        _after_others(zone, given, before, now, timing)
    if zone.imported is not None and zone.imported.records == given.imported.records:
        return zone
    if not force:
        _newer(zone.imported, given.imported, policy, now)
    zone = _with_keys(zone, given, now)
    keyset = _keyset(zone, given)
    signers = zone.signers
    if not zone.signed:
        signers = frozenset(
            key.ident for key in zone.serving() if key.role.signs_zone and key.ident in keyset.keys
        )
    _complete(zone, given, keyset, signers)
    _chained(zone, given, keyset, signers, timing)
    if not zone.signed and (zone.ds or (before and not zone.ds_at)):
        # Unsigned answers are bogus already, so nothing has to wait until caches forget them. What
        # others have signed may be cached, and where nobody has said which DS there is, any may be.
        there = [own(zone.ds)] if zone.ds else [frozenset({one}) for one in sorted(keyset.signers)]
        ttl = max(zone.zone_ttl, zone.negative_ttl)
        ours = {key.public for key in zone.keys if not key.elsewhere}
        known = {key.public: key.ident for key in zone.keys}
        theirs = sorted(known.get(one) or foreign_dnskey(one) for one in before - ours)
        zone = attrs.evolve(
            zone,
            keyset=keyset,
            signers=signers,
            past_signers=tuple(PastSigners(frozenset({one}), ttl) for one in theirs),
            zone_ttl=facts.zone_max_ttl,
            negative_ttl=facts.negative_ttl,
            asked=tuple(there),
        )
    else:
        _in_time(zone, keyset, signers, timing)
        change = moves.Change(keyset, signers, zone.wanted, "", "")
        zone = moves.changed(zone, change, facts)
    return attrs.evolve(zone, imported=given.imported)


def with_served(zone: ZoneKeys, served: frozenset[bytes], now: float) -> ZoneKeys:
    """The zone while what is served was signed by others: since when our keys are in its DNSKEY
    RRset (`KeyState.shared`). served: DNSKEY rdata, none where it is not signed."""

    def seen(key: KeyState) -> KeyState:
        since = now if key.shared is None else key.shared
        return attrs.evolve(key, shared=since if key.public in served else None)

    return attrs.evolve(zone, keys=tuple(seen(k) if k.role.signs_zone else k for k in zone.keys))


def _after_others(
    zone: ZoneKeys, given: Handed, served: frozenset[bytes], now: float, timing: Timing
) -> None:
    """Refuse to sign after somebody else whose signatures are served, where caches could not put
    together what was theirs and what is ours. served: their DNSKEY rdata. Raises StepRefused."""
    ours = [key for key in zone.serving() if key.role.signs_zone]
    for key in ours:
        if key.public not in served or key.shared is None:
            raise StepRefused(
                STEP,
                f"what is served was signed by others, and has not got our DNSKEY {key.ident}",
                "have it put in there first, and wait until the TTL of the DNSKEYs has passed",
            )
        # Which TTL their older DNSKEYs had is not known; it was no longer than that.
        at = timing.shared_gone(key.shared, zone.zone_ttl)
        if at > now:
            raise _too_early(f"DNSKEYs of others without our DNSKEY {key.ident}", at)
    for public in sorted(served - set(given.dnskeys)):
        raise StepRefused(
            STEP,
            f"expected the DNSKEYs in it that what is served was signed with, got none of tag "
            f"{tag_of(public)}",
            "have them left in until the TTLs of the zone have passed",
        )


def _wanted_here(zone: ZoneKeys, policy: DnssecPolicy) -> None:
    if zone.state is ZoneState.DELETED:
        raise StepRefused(STEP, "the zone is deleted", "`xfer dnssec enable` comes first")
    if layout_of(zone, policy) is not KeyLayout.ZSK:
        raise StepRefused(
            STEP,
            "its KSK is here, and signs the DNSKEY RRset",
            'write keys = "zsk" in the policy of a zone whose KSK somebody else has',
        )
    if not any(key.role.signs_zone for key in zone.serving()):
        raise StepRefused(STEP, "our ZSK is not made yet", "see `xfer dnssec status`")
    if len(zone.past_keysets) >= moves.MOST_PAST:
        raise StepRefused(
            STEP, f"caches may hold {len(zone.past_keysets)} older ones", "wait until some are gone"
        )


def _newer(old: Imported | None, new: Imported, policy: DnssecPolicy, now: float) -> None:
    forced = "--force takes it all the same"
    same = old is not None and rdata_of(old.records, DNSKEY) == rdata_of(new.records, DNSKEY)
    if old is not None and (new.begins < old.begins or (same and new.ends < old.ends)):
        raise StepRefused(
            STEP,
            f"expected a newer one than is served, whose signatures hold from {moment(old.begins)} "
            f"to {moment(old.ends)}, got {moment(new.begins)} to {moment(new.ends)}",
            forced,
        )
    if new.ends - now < policy.signature_refresh and (old is None or new.ends <= old.ends):
        raise StepRefused(
            STEP,
            f"expected signatures that hold for signature_refresh, {policy.signature_refresh} s, "
            f"or more, got some that end {moment(new.ends)}",
            forced,
        )


def _with_keys(zone: ZoneKeys, given: Handed, now: float) -> ZoneKeys:
    """The zone with their KSKs among its keys, and what is known of the parent in those terms."""
    ours = {key.ident: key.public for key in zone.keys if not key.elsewhere}
    tops = given.tops - set(ours.values())
    known = {key.ident: key.public for key in zone.keys}
    keys = list(zone.keys)
    for public in sorted(given.dnskeys):
        ident = ident_of(public)
        # Signatures by another provider's key of the tag of ours would pass for ours.
        twin = known.setdefault(ident, public) if public in tops else ours.get(ident, public)
        if twin != public:
            raise StepRefused(
                STEP,
                f"expected keys of different algorithm and tag, got two with {ident}",
                "have one of them replaced",
            )
        if public in tops and all(key.public != public for key in keys):
            keys.append(KeyState(ident, Role.KSK, public, now, why=Why.IMPORT, elsewhere=True))
    if len(keys) > MOST_KEYS:
        raise StepRefused(
            STEP,
            f"expected at most {MOST_KEYS} keys of the zone, old ones included, got {len(keys)}",
            "wait until some are gone from caches",
        )
    keys = [
        attrs.evolve(key, goal=Goal.SERVE if key.public in tops else Goal.LEAVE)
        if key.elsewhere
        else key
        for key in keys
    ]
    renamed = {
        foreign_ds(Ds(tag_of(public), public[3], kind, digest(zone.origin, public, kind)).rdata): (
            ident_of(public)
        )
        for public in tops
        for kind in (SHA1, SHA256, SHA384)
    }

    def called(idents: frozenset[str]) -> frozenset[str]:
        return frozenset(renamed.get(ident, ident) for ident in idents)

    past_ds = tuple(PastDs(called(past.what), past.at, past.ttl) for past in zone.past_ds)
    return attrs.evolve(zone, keys=tuple(keys), ds=called(zone.ds), past_ds=past_ds)


def _keyset(zone: ZoneKeys, given: Handed) -> Keyset:
    keys = frozenset(key.ident for key in zone.keys if key.public in given.dnskeys)
    signers = frozenset(
        key.ident for key in zone.keys if key.elsewhere and key.public in given.signing
    )
    known = {key.public for key in zone.keys}
    others = frozenset(foreign_dnskey(rdata) for rdata in given.dnskeys if rdata not in known)
    return Keyset(keys, signers, given.ttl, others)


def _complete(zone: ZoneKeys, given: Handed, keyset: Keyset, signers: frozenset[str]) -> None:
    """Refuse what lacks a key that signs, or has an algorithm that none of ours is of."""
    origin = names.to_text(zone.origin)
    zsks = [key for key in zone.serving() if key.role.signs_zone]
    if not keyset.signers:
        raise StepRefused(STEP, "expected a signature by a KSK, got only signatures by our keys")
    algorithms = {algorithm_in(ident) for ident in keyset.keys | keyset.foreign}
    needed = [ident for ident in signers if algorithm_in(ident) in algorithms] or (
        [key.ident for key in zsks] if not zone.signed else []
    )
    missing = sorted(set(needed) - keyset.keys)
    if missing:
        raise StepRefused(
            STEP,
            f"expected our DNSKEY {missing[0]} in it, which signs the zone, got the tags "
            f"{_tags(given)}",
            f"give it to whoever has the KSK (`xfer dnssec zsk {origin}`)",
        )
    for algorithm in sorted(algorithms - {algorithm_in(ident) for ident in signers}):
        raise StepRefused(
            STEP,
            f"expected DNSKEYs of the algorithms that the zone is signed with, got one of "
            f"{algorithm}: validators want answers signed by each (RFC 4035 §2.2)",
            "have all signers use one algorithm, which `algorithm` in the policy names",
        )


def _chained(
    zone: ZoneKeys, given: Handed, keyset: Keyset, signers: frozenset[str], timing: Timing
) -> None:
    """Refuse what the DS that is, or was, at the parent does not lead to."""
    if zone.ds and holds(zone.ds, keyset, signers, False):
        there = ", ".join(str(tag_in(ident)) for ident in sorted(zone.ds))
        by = ", ".join(str(tag_in(ident)) for ident in sorted(keyset.signers))
        raise StepRefused(
            STEP,
            f"expected a signature by a key whose DS is at the parent (tags {there}), for each "
            f"algorithm of these, got signatures by {by}",
            "the DS changes first, and this RRset comes once caches have forgotten the old one",
        )
    for past in zone.past_ds:
        if own(past.what) and holds(past.what, keyset, signers, False):
            at = timing.ds_gone(past)
            tags = ", ".join(str(tag_in(ident)) for ident in sorted(past.what))
            raise StepRefused(
                STEP,
                f"it is too early: caches may hold a DS (tags {tags}) until {moment(at)} that "
                "leads to none of its signatures",
                WAIT,
                at,
            )


def _in_time(zone: ZoneKeys, keyset: Keyset, signers: frozenset[str], timing: Timing) -> None:
    """Refuse what caches may not be able to put together with older things."""
    served = Served.of(zone)
    there, seen = own(zone.ds), zone.wanted_at is not None and zone.ds_at >= zone.wanted_at
    sets = {zone.ds, *zone.asked, *(past.what for past in zone.past_ds)}
    if not (seen and there and there.isdisjoint(zone.wanted)):  # else others were chosen
        sets |= {zone.wanted}
        if there != zone.wanted:  # of those that were named, any may be there
            sets |= {frozenset({one}) for one in zone.wanted}
    # What is served already may be broken, by a DS that changed too early, and is to be mended.
    mixed = [(keyset, by) for by in served.signers | {signers}]
    if signers != zone.signers:
        mixed += [(old, signers) for old in served.keysets]
    broken = next(filter(None, (holds(ds, a, by, False) for ds in sets for a, by in mixed)), "")
    if not broken:
        return
    older = [
        past
        for past in zone.past_signers
        for ds in sets
        if holds(ds, keyset, past.what, False) and not holds(ds, keyset, signers, False)
    ]
    if older:
        lacking = {i for past in older for i in past.what - keyset.keys - keyset.foreign}
        named = sorted({one.removeprefix(FOREIGN).partition(":")[0] for one in lacking})
        what = f"signatures by {' and '.join(named) or 'none of its keys'}"
        raise _too_early(what, max(timing.signatures_gone(past) for past in older))
    raise StepRefused(
        STEP,
        f"the parent may have been given another DS, with which {broken}",
        f"`xfer dnssec ds-seen {names.to_text(zone.origin)} --key KEY` says which one it has",
    )


def _too_early(what: str, at: float) -> StepRefused:
    if at == FOREVER:
        return StepRefused(
            STEP,
            f"it is too early: caches hold {what}, and not every secondary has what replaced that",
            "hand it in again once they have (`xfer dnssec status`)",
        )
    return StepRefused(
        STEP, f"it is too early: caches may hold {what} until {moment(at)}", WAIT, at
    )


def _tags(given: Handed) -> str:
    return ", ".join(str(tag_of(rdata)) for rdata in given.dnskeys)
