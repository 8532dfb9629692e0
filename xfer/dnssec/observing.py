"""What has happened since the last look: versions that reached every secondary, DS sets that came
and went at the parent, and old things that have left all caches."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from xfer.dnssec import ds
from xfer.dnssec.keystate import NOTHING, KeyState, PastDs, ZoneKeys, ZoneState, own
from xfer.dnssec.timing import Facts, Timing


def clamped(zone: ZoneKeys, now: float) -> ZoneKeys:
    """The same with no time later than `now`: the clock went back, and what has happened has
    happened by now. Waits begin anew then, none becomes shorter."""
    return _with_times(zone, lambda at: min(at, now))


def clock_set(zone: ZoneKeys, by: float) -> ZoneKeys:
    """The same after the wall clock was set while we ran: `by` seconds forward (negative: back).

    For a clock that was wrong and is right now: waits that run are neither cut short nor drawn out.
    """
    return _with_times(zone, lambda at: max(0.0, at + by))


def _with_times(zone: ZoneKeys, changed: Callable[[float], float]) -> ZoneKeys:
    """The zone with another time for each at which something has happened."""

    def maybe(at: float | None) -> float | None:
        return None if at is None else changed(at)

    return attrs.evolve(
        zone,
        keys=tuple(
            attrs.evolve(
                key, made=changed(key.made), used=maybe(key.used), shared=maybe(key.shared)
            )
            for key in zone.keys
        ),
        foreign=tuple(attrs.evolve(key, made=changed(key.made)) for key in zone.foreign),
        past_keysets=tuple(
            attrs.evolve(past, at=maybe(past.at), everywhere=maybe(past.everywhere))
            for past in zone.past_keysets
        ),
        past_signers=tuple(
            attrs.evolve(past, at=maybe(past.at), everywhere=maybe(past.everywhere))
            for past in zone.past_signers
        ),
        ds_at=changed(zone.ds_at) if zone.ds_at else 0.0,
        past_ds=tuple(attrs.evolve(past, at=changed(past.at)) for past in zone.past_ds),
        wanted_at=maybe(zone.wanted_at),
        wanted_everywhere=maybe(zone.wanted_everywhere),
        delegated_at=maybe(zone.delegated_at),
        moved_at=maybe(zone.moved_at),
    )


def resumed(zone: ZoneKeys, now: float) -> ZoneKeys:
    """The same after a restart: what not every secondary had by then may have reached nobody
    before, so its waits begin now."""

    def again(at: float | None, everywhere: float | None) -> float | None:
        return at if at is None or everywhere is not None else max(at, now)

    return attrs.evolve(
        zone,
        past_keysets=tuple(
            attrs.evolve(past, at=again(past.at, past.everywhere)) for past in zone.past_keysets
        ),
        past_signers=tuple(
            attrs.evolve(past, at=again(past.at, past.everywhere)) for past in zone.past_signers
        ),
        wanted_at=again(zone.wanted_at, zone.wanted_everywhere),
    )


def observed(zone: ZoneKeys, now: float, facts: Facts, timing: Timing) -> ZoneKeys:
    """The zone with what the facts tell, without what no cache can hold any more."""
    zone = attrs.evolve(
        zone,
        zone_ttl=max(zone.zone_ttl, facts.zone_max_ttl),
        negative_ttl=max(zone.negative_ttl, facts.negative_ttl),
        multi_signer=zone.joining
        or zone.leaving
        or bool(zone.foreign)
        or (zone.imported is not None and bool(zone.keyset.foreign))
        or bool(strangers(zone, facts)),
    )
    zone = _reached(zone, now, facts, timing)
    if facts.ds is not None and zone.ds_at <= facts.ds.at:
        found = ds.whose(zone, facts.ds.rdata)
        zone = with_ds(zone, found, min(facts.ds.at, now), facts.ds.ttl, timing)
    zone = answered(zone, timing)
    return attrs.evolve(
        zone,
        past_keysets=tuple(p for p in zone.past_keysets if timing.keyset_gone(p) > now),
        past_signers=tuple(p for p in zone.past_signers if timing.signatures_gone(p) > now),
        past_ds=tuple(p for p in zone.past_ds if _ds_kept_until(p, timing) > now),
    )


def strangers(zone: ZoneKeys, facts: Facts) -> frozenset[bytes]:
    """DNSKEYs in the content that are none of ours."""
    return facts.foreign - {key.public for key in zone.keys}


def _ds_kept_until(past: PastDs, timing: Timing) -> float:
    if past.what == own(past.what):
        return timing.ds_gone(past)
    return max(timing.ds_gone(past), timing.old_signer_gone(past))


def _reached(zone: ZoneKeys, now: float, facts: Facts, timing: Timing) -> ZoneKeys:
    def since(at: float | None, serial: int | None, known: float | None) -> float | None:
        if known is not None or at is None or serial is None:
            return known
        reached, last = timing.everywhere(serial, at, now, facts)
        return last if reached else None

    return attrs.evolve(
        zone,
        past_keysets=tuple(
            attrs.evolve(past, everywhere=since(past.at, past.serial, past.everywhere))
            for past in zone.past_keysets
        ),
        past_signers=tuple(
            attrs.evolve(past, everywhere=since(past.at, past.serial, past.everywhere))
            for past in zone.past_signers
        ),
        wanted_everywhere=since(zone.wanted_at, zone.wanted_serial, zone.wanted_everywhere),
    )


def with_ds(
    zone: ZoneKeys, found: frozenset[str], at: float, ttl: int | None, timing: Timing
) -> ZoneKeys:
    """The zone after the DS set `found` was seen at the parent at `at`."""
    if found != zone.ds:
        past = zone.past_ds
        if zone.ds:
            # A set that comes and goes again and again counts once, from when it last went.
            same = [one.ttl for one in past if one.what == zone.ds]
            ttl_then = max([timing.ds_ttl(zone.ds_ttl), *same])
            past = tuple(one for one in past if one.what != zone.ds)
            past = (*past, PastDs(zone.ds, at, ttl_then))
        zone = attrs.evolve(zone, ds=found, ds_ttl=0, past_ds=past)
    chosen = own(found)
    free = zone.imported is not None and bool(zone.wanted)
    if free and chosen != zone.wanted and chosen & zone.keyset.signers:
        # Whoever has the KSKs chooses which has a DS; what we named before may have been there.
        asked = zone.asked if zone.wanted in zone.asked else (*zone.asked, zone.wanted)
        zone = attrs.evolve(zone, wanted=chosen, asked=asked)
    known = zone.ds_ttl if ttl is None else max(zone.ds_ttl, ttl)
    return attrs.evolve(zone, ds_at=at, ds_ttl=known)


def answered(zone: ZoneKeys, timing: Timing) -> ZoneKeys:
    """The zone without what was asked for before, once the parent has done what is asked for now,
    and no secondary shows it an older CDS.

    A set that was asked for may have been at the parent without our seeing it, until right before
    it was seen with this one, so caches may have it. Where nothing is asked for and nothing was
    ever seen, nothing was there (REQUIREMENTS A25).
    """
    done = (
        zone.wanted_at is not None
        and zone.wanted_everywhere is not None
        and zone.ds_at >= zone.wanted_at
        and own(zone.ds) == zone.wanted
    )
    if not (done and zone.asked):
        return zone
    past = zone.past_ds
    if zone.wanted or past:
        ttl = timing.ds_ttl(zone.ds_ttl)
        seen = {zone.wanted, *(one.what for one in past if one.at == zone.ds_at)}
        past += tuple(PastDs(one, zone.ds_at, ttl) for one in zone.asked if one not in seen)
    return attrs.evolve(zone, asked=(), past_ds=past)


def used(zone: ZoneKeys, now: float) -> tuple[KeyState, ...]:
    """The keys, with the time at which each came into use, where that is now."""
    result = []
    for key in zone.keys:
        signing = key.ident in (zone.signers if key.role.signs_zone else zone.keyset.signers)
        result.append(attrs.evolve(key, used=now) if signing and key.used is None else key)
    return tuple(result)


def in_need(zone: ZoneKeys, ident: str) -> bool:
    """Whether a key is in what is served or asked for, or in what a cache may hold."""
    return (
        ident in zone.keyset.keys | zone.signers | zone.ds | zone.wanted
        or any(ident in past.what.keys for past in zone.past_keysets)
        or any(ident in past.what for past in zone.past_signers)
        or any(ident in past.what for past in zone.past_ds)
        or any(ident in asked for asked in zone.asked)
    )


def unneeded(zone: ZoneKeys) -> tuple[KeyState, ...]:
    """Keys on their way out that nobody can need any more."""
    return tuple(key for key in zone.leaving_keys() if not in_need(zone, key.ident))


def settled(zone: ZoneKeys) -> ZoneState:
    """The state that the DS at the parent calls for (REQUIREMENTS A25)."""
    present = bool(own(zone.ds))
    if zone.state in (ZoneState.PENDING, ZoneState.ACTIVE):
        return ZoneState.ACTIVE if present else ZoneState.PENDING
    if zone.state in (ZoneState.PENDING_DISABLED, ZoneState.DISABLED):
        gone = not present and not zone.asked and zone.wanted == NOTHING
        return ZoneState.DISABLED if gone else ZoneState.PENDING_DISABLED
    return zone.state
