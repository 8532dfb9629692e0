"""What an operator can ask for, and what is refused, with the reason and what to do first.

Every command takes the zone's state and gives the next; `lifecycle.advance` is called on that, as
after anything that happens. All raise StepRefused and then nothing has changed. Commands for other
signers' keys and for moving a zone from one signer to another are in `migration.py`.
"""

from __future__ import annotations

from typing import Final

import attrs

from xfer.config_dnssec import DnssecPolicy, KeyLayout
from xfer.dnssec import ds, observing
from xfer.dnssec.idents import ident_of, tag_in
from xfer.dnssec.keystate import (
    FOREIGN,
    Goal,
    Keyset,
    KeyState,
    Request,
    Role,
    Why,
    ZoneKeys,
    ZoneState,
    own,
)
from xfer.dnssec.layout import layout_of, refuse_elsewhere, roles_of
from xfer.dnssec.lifecycle import SIGNED, NewKey, algorithms_of, timing_of, with_new, with_request
from xfer.dnssec.timing import Facts, moment
from xfer.errors import StepRefused
from xfer.wire import names

MOST_KEYS: Final = 40
"""Keys of a zone, old ones included, with which no further one is made in an emergency."""


@attrs.frozen
class OwnKey:
    """A key that is handed over: DNSKEY rdata and its role."""

    role: Role
    public: bytes


def _checked(zone: ZoneKeys, key: OwnKey, step: str) -> str:
    public = key.public
    if len(public) < 5 or public[2] != 3 or not public[0] & 1 or public[1] & 0x80:
        raise StepRefused(step, "expected the rdata of a zone's DNSKEY that is not revoked")
    ident = ident_of(public)
    if zone.key(ident) is not None:
        raise StepRefused(
            step, f"the zone has a key with algorithm and tag {ident} already", "take another key"
        )
    return ident


def enable(
    origin: bytes,
    now: float,
    facts: Facts,
    policy: DnssecPolicy,
    before: ZoneKeys | None = None,
    *,
    served: tuple[OwnKey, ...] = (),
    joining: bool = False,
) -> ZoneKeys:
    """The zone in state pending, to be signed.

    before: its state until now, None for none. served: our keys that have signed the zone until
    now, where it was signed elsewhere and its keys were imported: the zone goes on with them.
    joining: another signer serves the zone now, and we are to come beside it or after it.
    """
    step = f"enable DNSSEC for {names.to_text(origin)}"
    if before is not None and before.state in SIGNED:
        raise StepRefused(step, f"it is {before.state.value} already")
    if joining:
        refuse_elsewhere(before or ZoneKeys(origin), policy, step)
    if before is not None and before.state is not ZoneState.DELETED:
        raise StepRefused(
            step, f"it is {before.state.value}", "cancel that with `xfer dnssec disable --cancel`"
        )
    zone = before if before is not None else ZoneKeys(origin)
    zone = attrs.evolve(
        zone,
        state=ZoneState.PENDING,
        joining=joining,
        leaving=False,
        multi_signer=joining,
        delegated_at=None,
        moved_at=None,
    )
    keys = []
    for key in served:
        ident = _checked(zone, key, step)
        keys.append(KeyState(ident, key.role, key.public, now, why=Why.IMPORT, used=now))
    if len({key.ident for key in keys}) < len(keys):
        raise StepRefused(step, "two keys have the same algorithm and tag", "roll one of them")
    if served and zone.signed:
        raise StepRefused(step, "it is signed here already")
    zone = attrs.evolve(zone, keys=(*zone.keys, *keys))
    if served:
        zone = _going_on(zone, keys, facts, step)
    present = zone.ds if facts.ds is None else ds.whose(zone, facts.ds.rdata)
    strangers = [ident for ident in sorted(present) if ident.startswith(FOREIGN)]
    # Whoever has the KSK has its DS there; until they hand it in, nothing is signed.
    expected = joining or layout_of(zone, policy) is KeyLayout.ZSK
    if strangers and not own(present) and not expected:
        tags = ", ".join(str(tag_in(i)) for i in strangers)
        raise StepRefused(
            step,
            f"the parent has a DS with tag {tags} that is of no key here, so every validator would "
            "call the zone bogus",
            "import the keys that have signed it, or move it with `xfer dnssec migrate`, or take "
            "the DS from the parent and wait until its TTL has passed",
        )
    return zone


def _going_on(zone: ZoneKeys, keys: list[KeyState], facts: Facts, step: str) -> ZoneKeys:
    tops = frozenset(key.ident for key in keys if key.role.signs_keys)
    signers = frozenset(key.ident for key in keys if key.role.signs_zone)
    if not tops or not signers:
        missing = "signs the DNSKEY RRset" if not tops else "signs the zone"
        raise StepRefused(step, f"none of the imported keys {missing}", "import that one too")
    idents = frozenset(key.ident for key in keys)
    return attrs.evolve(
        zone,
        keyset=Keyset(idents, tops, max(facts.zone_max_ttl, 1)),
        signers=signers,
        zone_ttl=facts.zone_max_ttl,
        negative_ttl=facts.negative_ttl,
        asked=(tops,),
    )


def add_made(
    zone: ZoneKeys, new: NewKey, public: bytes, now: float, policy: DnssecPolicy
) -> ZoneKeys:
    """The zone with a key that `advance` wanted made; its private part is on disk. Where the ident
    is taken already (1 in 65,536), the key is refused and another one has to be made."""
    ident = _checked(zone, OwnKey(new.role, public), f"add a {new.role.value}")
    return with_new(zone, KeyState(ident, new.role, public, now, why=new.why), policy)


def add_imported(zone: ZoneKeys, key: OwnKey, now: float, policy: DnssecPolicy) -> ZoneKeys:
    """The zone with a key from elsewhere, which takes the place of ours with that role by a normal
    rollover."""
    step = f"import a {key.role.value}"
    ident = _checked(zone, key, step)
    _signed_here(zone, step)
    roles = roles_of(zone, policy)
    if key.role not in roles or key.public[3] != policy.algorithm:
        wanted = " and ".join(role.value for role in roles)
        raise StepRefused(
            step,
            f"the policy has keys {wanted} of algorithm {policy.algorithm}, got a "
            f"{key.role.value} of algorithm {key.public[3]}",
            "change the policy",
        )
    _not_rolling(zone, key.role, step)
    return with_new(zone, KeyState(ident, key.role, key.public, now, why=Why.IMPORT), policy)


def _signed_here(zone: ZoneKeys, step: str) -> None:
    if zone.state not in SIGNED:
        first = "`xfer dnssec disable --cancel` comes first"
        if zone.state is ZoneState.DELETED:
            first = "`xfer dnssec enable` comes first"
        raise StepRefused(step, f"the zone is {zone.state.value}", first)


def _not_rolling(zone: ZoneKeys, role: Role, step: str) -> None:
    old = [key for key in zone.leaving_keys() if key.role is role]
    if old:
        raise StepRefused(
            step,
            f"{role.value} {old[0].ident} is still being replaced",
            "wait until it is gone (`xfer dnssec status`)",
        )
    if any(request.role is role for request in zone.requests):
        raise StepRefused(step, f"a rollover of the {role.value} has been asked for already")


def roll(zone: ZoneKeys, role: Role, policy: DnssecPolicy) -> ZoneKeys:
    """The zone with a rollover of its key of that role begun now."""
    step = f"roll the {role.value}"
    _signed_here(zone, step)
    roles = roles_of(zone, policy)
    if role not in roles:
        wanted = " and ".join(one.value for one in roles)
        raise StepRefused(step, f"the policy has {wanted}", f"roll the {wanted}")
    _one_algorithm(zone, policy, step)
    _not_rolling(zone, role, step)
    if not any(key.role is role for key in zone.serving()):
        raise StepRefused(step, "the zone has no such key yet")
    return with_request(zone, Request(role, Why.COMMAND))


def roll_algorithm(zone: ZoneKeys, policy: DnssecPolicy) -> ZoneKeys:
    """The zone as it is: a policy with another algorithm than the keys have is what rolls it.
    Refused where there is nothing to do, or where that has to wait."""
    step = f"roll to algorithm {policy.algorithm}"
    _signed_here(zone, step)
    if all(key.algorithm == policy.algorithm for key in zone.serving()):
        raise StepRefused(
            step, "all keys are of it", "set `algorithm` in the zone's [dnssec_policy] first"
        )
    _one_algorithm(zone, policy, step)
    for role in Role:
        _not_rolling(zone, role, step)
    return zone


def _one_algorithm(zone: ZoneKeys, policy: DnssecPolicy, step: str) -> None:
    """Refuse keys of a new algorithm while other signers go on with the old one."""
    ours = algorithms_of(zone)
    if zone.multi_signer and ours and policy.algorithm not in ours:
        raise StepRefused(
            step,
            f"the policy has algorithm {policy.algorithm}, other signers sign the zone too, and "
            "all have to use one algorithm (RFC 8901 §4)",
            "roll it while the zone has one signer",
        )


@attrs.frozen
class Emergency:
    """An emergency roll: the zone, and what is at stake, a sentence each."""

    zone: ZoneKeys
    stake: tuple[str, ...]


def roll_compromised(
    zone: ZoneKeys, ident: str, policy: DnssecPolicy, now: float, facts: Facts
) -> Emergency:
    """A key that somebody else may have is replaced as fast as no validator fails, without the
    policy's margins (RFC 6781 §4.2.1.1)."""
    step = f"replace compromised key {ident}"
    key = zone.key(ident)
    if key is None:
        known = ", ".join(one.ident for one in zone.keys) or "none"
        raise StepRefused(step, f"the zone has no such key; it has {known}")
    if key.compromised:
        raise StepRefused(step, "that is under way already")
    if key.elsewhere:
        raise StepRefused(
            step,
            "somebody else has it",
            "have them replace it, and hand in the DNSKEY RRset with its successor",
        )
    if len(zone.keys) >= MOST_KEYS:
        raise StepRefused(
            step, f"the zone has {len(zone.keys)} keys", "wait until some are gone from caches"
        )
    keys = tuple(
        attrs.evolve(one, compromised=True) if one.ident == ident else one for one in zone.keys
    )
    zone = attrs.evolve(zone, keys=keys)
    current = key.role in roles_of(zone, policy) and key.algorithm == policy.algorithm
    if key.goal is Goal.SERVE and zone.state in SIGNED and current:
        zone = with_request(zone, Request(key.role, Why.EMERGENCY))
    return Emergency(zone, _stake(zone, key, policy, facts))


def _stake(zone: ZoneKeys, key: KeyState, policy: DnssecPolicy, facts: Facts) -> tuple[str, ...]:
    timing = timing_of(zone, policy)
    ttl = max(zone.zone_ttl, facts.zone_max_ttl)
    found = []
    if key.role.signs_keys:
        found.append(
            f"until the DS of {key.ident} has left the parent and caches "
            f"({timing.ds_ttl(zone.ds_ttl)} s after that), whoever has the key can forge any "
            "answer of the zone, keys included"
        )
        found.append(
            f"the new DS can be put at the parent {policy.dnskey_ttl} s after the new DNSKEY has "
            "reached every secondary; earlier, validators that hold the old DNSKEY RRset would fail"
        )
    if key.role.signs_zone:
        found.append(
            f"until the DNSKEY of {key.ident} has left caches, whoever has the key can forge "
            f"answers; it is used no more {policy.dnskey_ttl} s after the new one has reached "
            f"every secondary, and taken out {ttl} s after that"
        )
    found.append(
        "taking the key out at once would be faster, and make the zone bogus for every validator "
        f"that holds something older: for up to {max(ttl, policy.dnskey_ttl)} s"
    )
    return tuple(found)


def disable(zone: ZoneKeys) -> ZoneKeys:
    """The zone on its way to be unsigned: pending-disabled, still signed, its DS to go."""
    step = "disable DNSSEC"
    if zone.state not in SIGNED:
        raise StepRefused(step, f"the zone is {zone.state.value} already")
    if zone.multi_signer and not (zone.joining or zone.leaving) and zone.ds - own(zone.ds):
        raise StepRefused(
            step,
            "the parent has another signer's DS too, under which our answers would be bogus once "
            "ours has gone",
            f"leave the zone to that signer (`xfer dnssec migrate {names.to_text(zone.origin)} "
            "leave`), or have it leave",
        )
    return attrs.evolve(zone, state=ZoneState.PENDING_DISABLED, requests=())


def cancel_disable(zone: ZoneKeys) -> ZoneKeys:
    """The zone as before it was disabled."""
    if zone.state not in (ZoneState.PENDING_DISABLED, ZoneState.DISABLED):
        raise StepRefused("cancel the disabling", f"the zone is {zone.state.value}")
    state = ZoneState.ACTIVE if own(zone.ds) else ZoneState.PENDING
    return attrs.evolve(zone, state=state)


def delete(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
    """The zone without DNSSEC: its next version is unsigned.

    Only from disabled, and when no cache can hold a DS any more (REQUIREMENTS A25)."""
    step = "take DNSSEC out of the zone"
    timing = timing_of(zone, policy)
    zone = observing.observed(observing.clamped(zone, now), now, facts, timing)
    if zone.state is ZoneState.DELETED:
        raise StepRefused(step, "that is done already")
    if zone.state in SIGNED:
        raise StepRefused(step, f"it is {zone.state.value}", "`xfer dnssec disable` it")
    # Where nobody is sent to our servers, another signer's DS is no matter.
    leads = own(zone.ds) if zone.leaving or zone.joining else zone.ds
    if leads:
        tags = ", ".join(sorted(leads))
        raise StepRefused(
            step, f"the parent has a DS of it ({tags})", "take that from the parent first"
        )
    if any(own(past.what) for past in zone.past_ds) or (zone.past_ds and not zone.joining):
        # What leaves the parent last is what caches hold longest.
        at = max(
            max(timing.ds_gone(past), timing.old_signer_gone(past))
            if zone.leaving
            else timing.ds_gone(past)
            for past in zone.past_ds
        )
        raise StepRefused(
            step,
            f"caches may hold its DS until {moment(at)}, and would call the unsigned zone bogus",
            "wait until then",
            at,
        )
    if zone.asked:
        raise StepRefused(
            step,
            "the parent has been asked for a DS, and it is not known that there is none",
            f"see that there is none and say `xfer dnssec ds-gone {names.to_text(zone.origin)}`",
        )
    keys = tuple(attrs.evolve(key, goal=Goal.LEAVE) for key in zone.keys)
    return attrs.evolve(
        zone,
        state=ZoneState.DELETED,
        keys=keys,
        foreign=(),
        joining=False,
        multi_signer=False,
    )


def ds_seen(
    zone: ZoneKeys,
    policy: DnssecPolicy,
    now: float,
    facts: Facts,
    idents: frozenset[str] | None = None,
) -> ZoneKeys:
    """The zone after the operator has seen at all of the parent's servers just the DS of `idents`
    (None: those that are wanted)."""
    step = "take the DS as seen"
    if idents is None:
        idents = zone.wanted
    if not idents:
        raise StepRefused(step, "no DS of the zone is wanted yet", "see `xfer dnssec status`")
    unknown = [i for i in sorted(idents) if zone.key(i) is None]
    if unknown:
        raise StepRefused(step, f"the zone has no key {unknown[0]}")
    allowed = zone.wanted | zone.ds
    if zone.imported is not None and zone.wanted:  # whoever has the KSK chooses among those
        allowed |= zone.keyset.signers
    early = sorted(idents - allowed)
    if early:
        raise StepRefused(
            step, f"the DS of {early[0]} is not wanted yet", "take it from the parent again"
        )
    return _by_hand(zone, policy, now, facts, idents, step)


def ds_gone(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
    """The zone after the operator has seen no DS of ours at any of the parent's servers."""
    return _by_hand(zone, policy, now, facts, frozenset(), "take the DS as gone")


def _by_hand(
    zone: ZoneKeys,
    policy: DnssecPolicy,
    now: float,
    facts: Facts,
    idents: frozenset[str],
    step: str,
) -> ZoneKeys:
    if facts.ds is not None:
        there = ds.whose(zone, facts.ds.rdata)
        if own(there) != idents:
            listed = ", ".join(sorted(there)) or "none"
            raise StepRefused(
                step, f"the parent's servers showed {listed} at {moment(facts.ds.at)}", "wait"
            )
        return zone
    foreign = zone.ds - own(zone.ds)
    zone = observing.clamped(zone, now)
    return observing.with_ds(zone, idents | foreign, now, None, timing_of(zone, policy))


def remove_key(zone: ZoneKeys, ident: str) -> ZoneKeys:
    """The zone without a key that nobody can need; others go by rollovers, and are refused."""
    step = f"remove key {ident}"
    key = zone.key(ident)
    if key is None:
        raise StepRefused(step, "the zone has no such key")
    if observing.in_need(zone, ident):
        served = ident in zone.keyset.keys or ident in zone.signers or ident in zone.ds
        where = "it is in use" if served else "caches may still need it"
        raise StepRefused(step, where, "roll it: it is removed by itself once nobody can need it")
    return attrs.evolve(zone, keys=tuple(one for one in zone.keys if one.ident != ident))
