"""A zone's keys through time: rollovers, the zone's states, what to do next. Pure.

`advance(zone, policy, now, facts)` gives the next `Step`. The caller then

  1. makes the keys in `Step.generate`, stores them on disk, hands each to `commands.add_made`, and
     advances again;
  2. where `Step.publish`: signs a version as `publication(...)` of `Step.zone` says, and commits it
     in one transaction with the state `published(Step.zone, policy, serial, now)`;
  3. else commits `Step.zone` if it has changed;
  4. advances once more after 2, comes back at `Step.next_at`, and as soon as a secondary has
     another serial, the DS at the parent another look, the content another TTL, or the policy
     another value.

After a start, `observing.resumed` begins the waits for what may not have left the daemon before;
after the wall clock was set ahead while it ran, `observing.clock_set` keeps all waits as they are.

Nothing is served before `published` has recorded it, so a crash anywhere repeats a step and skips
none. Rollovers are not scripts: each look tries the changes that bring the zone nearer to its
goals, in a fixed order (`moves.py`), and makes those that `rules.Served` allows beside all that
caches may hold. Timings are RFC 7583's (`timing.py`), order and goals those of RFC 6781 §4.1,
RFC 7344, RFC 8078 and RFC 8901.
"""

from __future__ import annotations

import attrs

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import moves, observing, stages, todo
from xfer.dnssec.keystate import (
    Goal,
    KeyState,
    PastKeyset,
    PastSigners,
    Request,
    Role,
    Why,
    ZoneKeys,
    ZoneState,
)
from xfer.dnssec.layout import roles_of
from xfer.dnssec.publication import publication
from xfer.dnssec.timing import FOREVER, Facts, Timing

SIGNED = (ZoneState.PENDING, ZoneState.ACTIVE)


@attrs.frozen
class NewKey:
    """A key that is to be made."""

    role: Role
    algorithm: int
    why: Why


@attrs.frozen
class Event:
    """Something that happened: kind (a word to count by), the key's ident or "", a sentence."""

    kind: str
    key: str
    says: str


@attrs.frozen
class Step:
    """What `advance` found: the zone as it is to be, keys to make, whether a version has to be
    published, when to look again (Unix seconds; None: only when the world changes), what the
    operator has to do (a sentence each), and what happened."""

    zone: ZoneKeys
    generate: tuple[NewKey, ...] = ()
    publish: bool = False
    next_at: float | None = None
    todo: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()


def advance(
    zone: ZoneKeys,
    policy: DnssecPolicy,
    now: float,
    facts: Facts,
    timing: Timing | None = None,
) -> Step:
    """The next step of a zone at `now` (Unix seconds). timing: the policy's, where not given."""
    if timing is None:
        timing = timing_of(zone, policy)
    zone = observing.observed(observing.clamped(zone, now), now, facts, timing)
    events: list[Event] = []
    zone = _settle(zone, events)
    generate = _to_make(zone, policy, now, timing)
    if not generate or zone.signed:
        zone, made = moves.moved(zone, policy, now, facts, timing)
        events += [Event("served", ident, says) for ident, says in made]
        zone = _settle(zone, events)
    for key in observing.unneeded(zone):
        events.append(_left(zone, key))
    gone = {key.ident for key in observing.unneeded(zone)}
    zone = attrs.evolve(zone, keys=tuple(key for key in zone.keys if key.ident not in gone))
    return Step(
        zone,
        generate,
        zone.unpublished or _shows_other(zone, policy),
        _next_look(zone, policy, now, facts, timing),
        (*todo.sentences(zone, policy, now, facts), *stages.sentences(zone, now, timing)),
        tuple(events),
    )


def algorithms_of(zone: ZoneKeys) -> frozenset[int]:
    """The algorithms of our keys that are to stay."""
    return frozenset(key.algorithm for key in zone.serving())


def timing_of(zone: ZoneKeys, policy: DnssecPolicy) -> Timing:
    """The waits of a policy; without margins while a compromised key is still in caches."""
    return Timing(policy, hurried=any(key.compromised for key in zone.keys))


def _shows_other(zone: ZoneKeys, policy: DnssecPolicy) -> bool:
    next_one = publication(zone, policy)
    return next_one.fingerprint() != zone.shown and not (next_one.unsigned and not zone.shown)


def published(zone: ZoneKeys, policy: DnssecPolicy, serial: int, now: float) -> ZoneKeys:
    """The zone once the version that serves it is published, with that serial, at `now`.

    For every version: where nothing of it is new, nothing changes.
    """

    def when(past: PastKeyset) -> PastKeyset:
        return past if past.at is not None else attrs.evolve(past, at=now, serial=serial)

    def signed(past: PastSigners) -> PastSigners:
        return past if past.at is not None else attrs.evolve(past, at=now, serial=serial)

    if zone.wanted_serial is None and (zone.wanted or zone.asked):
        zone = attrs.evolve(zone, wanted_at=now, wanted_serial=serial, wanted_everywhere=None)
    return attrs.evolve(
        zone,
        past_keysets=tuple(when(past) for past in zone.past_keysets),
        past_signers=tuple(signed(past) for past in zone.past_signers),
        keys=observing.used(zone, now),
        shown=publication(zone, policy).fingerprint(),
    )


def _settle(zone: ZoneKeys, events: list[Event]) -> ZoneKeys:
    state = observing.settled(zone)
    if state is zone.state:
        return zone
    events.append(Event(state.value, "", f"the zone is {state.value} now"))
    return attrs.evolve(zone, state=state)


def _left(zone: ZoneKeys, key: KeyState) -> Event:
    heirs = [other for other in zone.keys if key.ident in other.replaces]
    if not heirs:
        return Event("gone", key.ident, f"{key.role.value} {key.ident} is in no cache any more")
    heir = heirs[0]
    return Event(
        f"{heir.role.value} {heir.why.value}",
        key.ident,
        f"{key.role.value} {key.ident} is replaced by {heir.ident} and in no cache any more",
    )


# Which keys there should be.


def _to_make(
    zone: ZoneKeys, policy: DnssecPolicy, now: float, timing: Timing
) -> tuple[NewKey, ...]:
    if zone.state not in SIGNED:
        return ()
    serving = zone.serving()
    needed: list[NewKey] = []
    for role in roles_of(zone, policy):
        fits = [k for k in serving if k.role is role and k.algorithm == policy.algorithm]
        asked = next((r for r in zone.requests if r.role is role), None)
        if asked is not None:
            needed.append(NewKey(role, policy.algorithm, asked.why))
        elif not fits:
            # Another algorithm or layout waits for rollovers that are under way.
            if _ready_for_new_kind(zone, policy):
                needed.append(NewKey(role, policy.algorithm, _why_new(zone, role, policy)))
        elif due_at(zone, fits[0], policy, timing) <= now:
            needed.append(NewKey(role, policy.algorithm, Why.LIFETIME))
    return tuple(needed)


def _ready_for_new_kind(zone: ZoneKeys, policy: DnssecPolicy) -> bool:
    begun = any(_fits(zone, key, policy) for key in zone.serving())
    if not begun and zone.multi_signer and algorithms_of(zone) - {policy.algorithm}:
        return False  # the others' answers are not signed by the new one (RFC 8901 §4)
    return begun or not zone.leaving_keys() or not zone.serving()


def _fits(zone: ZoneKeys, key: KeyState, policy: DnssecPolicy) -> bool:
    if key.elsewhere:  # whoever has it replaces it
        return False
    return key.algorithm == policy.algorithm and key.role in roles_of(zone, policy)


def _why_new(zone: ZoneKeys, role: Role, policy: DnssecPolicy) -> Why:
    others = [key for key in zone.keys if key.ident in zone.keyset.keys]
    if not others:
        return Why.FIRST
    if any(key.algorithm != policy.algorithm for key in others):
        return Why.ALGORITHM
    return Why.LAYOUT


def due_at(zone: ZoneKeys, key: KeyState, policy: DnssecPolicy, timing: Timing) -> float:
    """When the key that replaces this one has to be published; FOREVER: not before something else
    has happened, or by hand only."""
    lifetime = policy.zsk_lifetime if key.role is Role.ZSK else policy.ksk_lifetime
    rolling = any(other.role is key.role for other in zone.leaving_keys())
    if not lifetime or key.used is None or rolling or zone.state not in SIGNED or key.elsewhere:
        return FOREVER
    lead = timing.lead()
    if zone.imported is not None:  # somebody else has to sign in that time
        lead += policy.signature_refresh
    return key.used + lifetime - min(lead, lifetime / 2)


def with_new(zone: ZoneKeys, key: KeyState, policy: DnssecPolicy) -> ZoneKeys:
    """The zone with a key that was made or imported: the keys it replaces are to leave.

    A key of a new algorithm or layout replaces all that are not of it, once each role has one.
    """
    keys = (*zone.keys, key)
    same = [k for k in zone.serving() if k.role is key.role and k.algorithm == key.algorithm]
    replaced = {k.ident for k in same}
    serving = [k for k in keys if k.goal is Goal.SERVE and _fits(zone, k, policy)]
    if {k.role for k in serving} >= set(roles_of(zone, policy)):
        others = (k for k in zone.serving() if not k.elsewhere)
        replaced |= {k.ident for k in others if not _fits(zone, k, policy)}
    replaced.discard(key.ident)
    changed = []
    for one in keys:
        if one.ident in replaced:
            one = attrs.evolve(one, goal=Goal.LEAVE)
        elif one.goal is Goal.SERVE:
            mine = tuple(i for i in sorted(replaced) if _replaces(zone, one, i, key))
            one = attrs.evolve(one, replaces=(*one.replaces, *mine))
        changed.append(one)
    requests = tuple(request for request in zone.requests if request.role is not key.role)
    return attrs.evolve(zone, keys=tuple(changed), requests=requests)


def _replaces(zone: ZoneKeys, heir: KeyState, ident: str, new: KeyState) -> bool:
    old = zone.key(ident)
    if old is None or heir.ident == ident:
        return False
    if old.role is heir.role:
        return heir.ident == new.ident or old.algorithm != heir.algorithm
    return Role.CSK in (old.role, heir.role)


def with_request(zone: ZoneKeys, request: Request) -> ZoneKeys:
    """The zone with a rollover asked for, in place of an earlier request for that role."""
    others = tuple(r for r in zone.requests if r.role is not request.role)
    return attrs.evolve(zone, requests=(*others, request))


# When to look again.


def _next_look(
    zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts, timing: Timing
) -> float | None:
    """The next time at which something becomes possible without the world having changed."""
    times = [due_at(zone, key, policy, timing) for key in zone.serving()]
    pasts: list[tuple[float | None, int | None, float | None]] = [
        (zone.wanted_at, zone.wanted_serial, zone.wanted_everywhere)
    ]
    for keyset in zone.past_keysets:
        times.append(timing.keyset_gone(keyset))
        pasts.append((keyset.at, keyset.serial, keyset.everywhere))
    for signed in zone.past_signers:
        times.append(timing.signatures_gone(signed))
        pasts.append((signed.at, signed.serial, signed.everywhere))
    times += [timing.ds_gone(past) for past in zone.past_ds]
    times += [timing.old_signer_gone(past) for past in zone.past_ds]
    if zone.imported is not None:
        times += [zone.imported.ends - policy.signature_refresh, zone.imported.ends]
    if zone.multi_signer:
        next_one = stages.reached(zone, now, timing).at
        times += [] if next_one is None else [next_one]
        shared = [key.shared for key in zone.serving() if key.shared is not None]
        times += [timing.shared_gone(since, zone.their_ttl) for since in shared]
    for at, serial, everywhere in pasts:
        if everywhere is None and at is not None and serial is not None:
            times.append(timing.everywhere(serial, at, now, facts)[1])
    return min((at for at in times if now < at < FOREVER), default=None)
