"""Other signers of a zone: their keys beside ours, and the way from one signer to another.

RFC 8901 model 2 (each signer has its own KSK and ZSK, and publishes the others' ZSKs), and moving a
zone without going insecure (REQUIREMENTS A28). The signer that comes says `join`, the one that goes
`leave`; both walk the same stages, each seen from its side:

    KEYS_THERE       they publish our ZSK
        │
    KEYS_HERE        we publish theirs
        │
    DS_ADDED         the parent has the DS of both
        │
    SERVERS_ADDED    both signers' servers are in the delegation (multi-signer zones stay here)
        │
    SERVERS_MOVED    only the new signer's servers are
        │
    DS_TAKEN         the parent has the new signer's DS alone
        │
    KEYS_TAKEN       the old signer's DNSKEYs are out, 1.5 × the TTL of its DS later
        │
      DONE

Between two stages caches have to forget: DNSKEY TTL after the first two, DS TTL after the third,
NS TTL and the zone's after the fifth. `stage` says which one is next and when; the commands refuse
what is too early.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import observing, stages
from xfer.dnssec.idents import foreign_dnskey, tag_of
from xfer.dnssec.keystate import ForeignKey, KeyState, ZoneKeys, ZoneState, own
from xfer.dnssec.layout import refuse_elsewhere
from xfer.dnssec.lifecycle import SIGNED, algorithms_of, timing_of
from xfer.dnssec.stages import ORDER, Next, Stage
from xfer.dnssec.timing import FOREVER, Facts, Timing, moment
from xfer.errors import StepRefused

MOST_GIVEN: Final = 64
"""DNSKEYs of other signers by order; a validator tries only a few. With those that the content has
brought there are at most twice as many."""


def _current(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
    timing = timing_of(zone, policy)
    return observing.observed(observing.clamped(zone, now), now, facts, timing)


def stage(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> Next:
    """Where the zone is on its way between signers."""
    if zone.imported is not None:
        says = "whoever has the KSK puts the keys of all signers into the DNSKEY RRset"
        return Next(Stage.DONE, says)
    return stages.reached(_current(zone, policy, now, facts), now, timing_of(zone, policy))


def share(zone: ZoneKeys, ident: str, now: float) -> ZoneKeys:
    """The zone after every other signer was seen with that key of ours in its DNSKEY RRset, at all
    of its servers."""
    step = f"take DNSKEY {ident} as published by the other signers"
    key = zone.key(ident)
    if key is None or not key.role.signs_zone:
        raise StepRefused(step, "that is no key of ours that signs the zone")
    keys = tuple(
        attrs.evolve(one, shared=now) if one.ident == ident and one.shared is None else one
        for one in zone.keys
    )
    return attrs.evolve(zone, keys=keys, multi_signer=True)


def unshared(zone: ZoneKeys) -> tuple[KeyState, ...]:
    """Keys of ours that sign the zone, or are to, and that nobody has seen at the other signers."""
    if not zone.multi_signer or zone.moved_at is not None or zone.state not in SIGNED:
        return ()
    return tuple(key for key in zone.serving() if key.role.signs_zone and key.shared is None)


def add_foreign(zone: ZoneKeys, public: bytes, now: float, policy: DnssecPolicy) -> ZoneKeys:
    """The zone with a DNSKEY of another signer to publish and to keep."""
    step = "publish another signer's DNSKEY"
    if len(public) < 5 or public[2] != 3 or not public[0] & 1 or public[1] & 0x80:
        raise StepRefused(step, "expected the rdata of a zone's DNSKEY that is not revoked")
    refuse_elsewhere(zone, policy, step)
    if zone.state not in SIGNED:
        raise StepRefused(step, f"the zone is {zone.state.value}", "`enable` it")
    ours = algorithms_of(zone) or {policy.algorithm}
    if public[3] not in ours:
        listed = " and ".join(map(str, sorted(ours)))
        raise StepRefused(
            step,
            f"it is of algorithm {public[3]}, and we sign with {listed}: validators want "
            "answers signed by each algorithm of the DNSKEY RRset (RFC 8901 §4)",
            "let both signers use one algorithm",
        )
    if any(key.public == public for key in zone.keys):
        raise StepRefused(step, "it is our own")
    if any(key.public == public for key in zone.foreign):
        raise StepRefused(step, "it is published already")
    if len(zone.foreign) >= MOST_GIVEN:
        raise StepRefused(
            step,
            f"the zone has {len(zone.foreign)} DNSKEYs of other signers",
            "take out what they sign by no more (`xfer dnssec foreign remove`)",
        )
    foreign = (*zone.foreign, ForeignKey(public, now))
    return attrs.evolve(zone, foreign=foreign, multi_signer=True)


@attrs.frozen
class Arrived:
    """What the DNSKEYs in the content make of a zone: the zone, a sentence for each key that has
    left the content and is still needed, and when the first of them may be let go (None: not yet
    known)."""

    zone: ZoneKeys
    kept: tuple[str, ...] = ()
    at: float | None = None


def with_content(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> Arrived:
    """The zone with the other signers' DNSKEYs that its content has, and without those that it has
    no more; whose step out comes too early stays until its time. Raises StepRefused where there
    are too many."""
    if zone.state is ZoneState.DELETED:
        return Arrived(zone)
    there = observing.strangers(zone, facts)
    known = {key.public for key in zone.foreign}
    new = tuple(ForeignKey(public, now, True) for public in sorted(there - known))
    if new:
        zone = attrs.evolve(zone, foreign=(*zone.foreign, *new))
    kept, times = [], []
    for key in zone.foreign:
        if not key.content or key.public in there:
            continue
        try:
            zone = remove_foreign(zone, key.public, policy, now, facts)
        except StepRefused as refused:
            kept.append(
                f"DNSKEY {tag_of(key.public)} of another signer has left the content, and is "
                f"published still: {refused.reason}"
            )
            times += [refused.at] if refused.at is not None else []
    if len(zone.foreign) > 2 * MOST_GIVEN:
        raise StepRefused(
            "publish other signers' DNSKEYs",
            f"expected at most {2 * MOST_GIVEN} DNSKEYs of other signers, got "
            f"{len(zone.foreign)}: those that have left the content are needed still",
            "have their signers replace keys less often",
        )
    return Arrived(zone, tuple(kept), min(times, default=None))


def remove_foreign(
    zone: ZoneKeys, public: bytes, policy: DnssecPolicy, now: float, facts: Facts
) -> ZoneKeys:
    """The zone without a DNSKEY of another signer: one that its signer has replaced, or the last
    one of a signer that has left delegation, parent and caches."""
    step = f"take out the other signer's DNSKEY {tag_of(public)}"
    if all(key.public != public for key in zone.foreign):
        raise StepRefused(step, "it is none that we were given", "see `xfer dnssec dnskey`")
    if public in facts.foreign:
        raise StepRefused(step, "it comes in the zone's content", "take it out there")
    zone = _current(zone, policy, now, facts)
    timing = timing_of(zone, policy)
    rest = tuple(key for key in zone.foreign if key.public != public)
    heirs = [key for key in rest if key.public[1] == public[1]]
    if heirs:
        _heir_known(zone, heirs, timing, step)
    else:
        _signer_gone(zone, timing, now, step)
    others = bool(rest) or bool(observing.strangers(zone, facts))
    return attrs.evolve(
        zone,
        foreign=rest,
        multi_signer=others,
        delegated_at=zone.delegated_at if others else None,
        moved_at=zone.moved_at if others else None,
        their_ttl=zone.their_ttl if others else 0,
    )


def _heir_known(zone: ZoneKeys, heirs: list[ForeignKey], timing: Timing, step: str) -> None:
    """Refuse while no other key of that signer is known to all caches."""
    gone = []
    for heir in heirs:
        one = foreign_dnskey(heir.public)
        lacking = [past for past in zone.past_keysets if one not in past.what.foreign]
        known = one in zone.keyset.foreign
        gone.append(max(map(timing.keyset_gone, lacking), default=0.0) if known else FOREVER)
    at = min(gone)
    if at == FOREVER:
        raise StepRefused(step, "not all secondaries have the key that replaces it", "wait")
    if at > 0:
        raise StepRefused(step, stages.until("DNSKEY RRsets without its successor", at), at=at)


def _signer_gone(zone: ZoneKeys, timing: Timing, now: float, step: str) -> None:
    """Refuse while validators may have to do with the signer whose key it is."""
    if zone.joining:
        return  # Nobody is sent to our servers, so nobody needs what they say of the other's key.
    if zone.delegated_at is not None and zone.moved_at is None:
        raise StepRefused(
            step,
            "the other signer's servers are asked for the zone",
            "take them from the NS, and confirm that",
        )
    at = stages.old_keys_until(attrs.evolve(zone, leaving=False), timing)
    if at == FOREVER:
        raise StepRefused(
            step, "the other signer's DS is at the parent", "take that from the parent first"
        )
    if zone.moved_at is not None:
        at = max(at, timing.delegation_gone(zone.moved_at, zone.moved_ttl, stages.longest(zone)))
    if at > now:
        raise StepRefused(
            step,
            f"caches may hold the other signer's DS, and need this key, until {moment(at)}",
            "wait until then",
            at,
        )


def join(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
    """The zone as one that another signer serves now, and that we come to. Only where no validator
    can have to do with what we serve: no DS of ours is, or was, at the parent."""
    step = "join the zone's signer"
    refuse_elsewhere(zone, policy, step)
    zone = _current(zone, policy, now, facts)
    if zone.state not in SIGNED:
        raise StepRefused(step, f"the zone is {zone.state.value}", "`enable` it")
    if zone.joining:
        raise StepRefused(step, "that is under way", stage(zone, policy, now, facts).says)
    if own(zone.ds) or any(own(past.what) for past in zone.past_ds):
        raise StepRefused(
            step,
            "validators go by a DS of ours, so the zone's servers are here already",
            "give us the other signer's DNSKEYs (`xfer dnssec foreign add`)",
        )
    return attrs.evolve(zone, joining=True, multi_signer=True)


def servers_added(
    zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts, ttl: int
) -> ZoneKeys:
    """The zone after the new signer's servers were added to the NS RRset, whose TTL (the larger of
    parent's and zone's) is `ttl`."""
    _reached(zone, policy, now, facts, Stage.SERVERS_ADDED, "add the new signer's servers")
    return attrs.evolve(zone, delegated_at=now, joining=False, moved_ttl=ttl)


def servers_moved(
    zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts, ttl: int, *, leaving: bool
) -> ZoneKeys:
    """The zone after the old signer's servers (leaving: ours) were taken from the NS RRset, whose
    TTL (the larger of parent's and zone's) is `ttl`.

    The other one may be left at any time once ours are there beside it: what comes before may
    never come where that one is out of order.
    """
    zone = _current(zone, policy, now, facts)
    if leaving or not may_move(zone):
        _reached(zone, policy, now, facts, Stage.SERVERS_MOVED, "move the servers")
    ttl = max(ttl, zone.moved_ttl)
    return attrs.evolve(zone, moved_at=now, moved_ttl=ttl, leaving=leaving)


def may_move(zone: ZoneKeys) -> bool:
    """Whether validators are led to our servers too, and find a DS of ours, so that another signer
    that is out of order may be left."""
    return zone.delegated_at is not None and zone.moved_at is None and bool(own(zone.ds))


def heard(zone: ZoneKeys, ttl: int, dropped: Iterable[str]) -> ZoneKeys:
    """The zone after its other signers were asked. ttl: of their DNSKEY RRset, seconds; dropped:
    idents of our keys that one of them does not publish: what was waited for begins anew."""
    if not zone.multi_signer or zone.moved_at is not None:
        return zone
    gone = frozenset(dropped)
    keys = tuple(attrs.evolve(key, shared=None) if key.ident in gone else key for key in zone.keys)
    return attrs.evolve(zone, keys=keys, their_ttl=max(ttl, zone.their_ttl))


def leave(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
    """The zone on its way out: pending-disabled, our DS to leave the parent. Only after our servers
    have left the delegation and the caches."""
    step = "take our DS from the parent"
    if not zone.leaving:
        raise StepRefused(step, "our servers are in the delegation", "move the servers first")
    _reached(zone, policy, now, facts, Stage.DS_TAKEN, step)
    return attrs.evolve(zone, state=ZoneState.PENDING_DISABLED, requests=())


def _reached(
    zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts, wanted: Stage, step: str
) -> None:
    found = stage(zone, policy, now, facts)
    if found.stage is Stage.DONE:
        raise StepRefused(step, found.says, "give us the other signer's DNSKEYs first")
    if ORDER.index(found.stage) > ORDER.index(wanted):
        raise StepRefused(step, "that is done already", found.says)
    if found.stage is not wanted or found.at is not None:
        raise StepRefused(step, "it is too early", found.says, found.at)
