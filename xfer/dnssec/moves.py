"""Changes to what is served that bring a zone nearer to its goals, in the order they are tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from xfer.config_dnssec import DnssecPolicy, KskRollover
from xfer.dnssec import observing
from xfer.dnssec.idents import algorithm_in, foreign_dnskey
from xfer.dnssec.keystate import (
    NOTHING,
    Keyset,
    KeyState,
    PastKeyset,
    PastSigners,
    Role,
    ZoneKeys,
    ZoneState,
    own,
)
from xfer.dnssec.layout import awaits_import
from xfer.dnssec.rules import Served
from xfer.dnssec.timing import Facts, Timing

MOST_PAST: Final = 50
"""Older DNSKEY RRsets, signatures or wishes that caches may hold; where there are more, nothing
changes until some are forgotten, so that the state stays small and each look quick."""


@attrs.frozen
class Change:
    """What would be served after a change; ident: of the key it is about, says: what it does."""

    keyset: Keyset
    signers: frozenset[str]
    wanted: frozenset[str]
    ident: str
    says: str


def moved(
    zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts, timing: Timing
) -> tuple[ZoneKeys, list[tuple[str, str]]]:
    """The zone with every change made that nothing in caches forbids, and (key, sentence) of each.

    Keys only come in that are to stay, and only go out that are to leave, so this ends.
    """
    if max(len(zone.past_keysets), len(zone.past_signers), len(zone.asked)) >= MOST_PAST:
        return zone, []
    served = Served.of(zone)
    done: list[tuple[str, str]] = []
    while True:
        for change in changes(zone, policy, now, facts, timing):
            if not served.allows(change.wanted, change.keyset, change.signers):
                zone = changed(zone, change, facts)
                done.append((change.ident, change.says))
                break
        else:
            return zone, done


def changed(zone: ZoneKeys, change: Change, facts: Facts) -> ZoneKeys:
    """The zone with a change made; what was served until now stays in caches."""
    if change.keyset != zone.keyset:
        keysets = zone.past_keysets
        if all(past.at is not None for past in keysets):
            old = zone.keyset
            if not old.keys:
                old = attrs.evolve(old, ttl=max(old.ttl, zone.negative_ttl))
            keysets = (*keysets, PastKeyset(old))
        zone = attrs.evolve(zone, keyset=change.keyset, past_keysets=keysets)
        if not change.keyset.keys:
            zone = attrs.evolve(zone, imported=None)
    if change.signers != zone.signers:
        signers = zone.past_signers
        if all(past.at is not None for past in signers):
            signers = (*signers, PastSigners(zone.signers, max(zone.zone_ttl, zone.negative_ttl)))
        zone = attrs.evolve(
            zone, signers=change.signers, past_signers=signers, zone_ttl=facts.zone_max_ttl
        )
    if change.wanted != zone.wanted:
        asked = zone.asked
        if zone.wanted_serial is not None and zone.wanted and zone.wanted not in asked:
            asked = (*asked, zone.wanted)
        zone = attrs.evolve(
            zone,
            wanted=change.wanted,
            asked=asked,
            wanted_at=None,
            wanted_serial=None,
            wanted_everywhere=None,
        )
    return zone


def changes(
    zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts, timing: Timing
) -> Iterator[Change]:
    """Everything that could be changed next, the best first; none that changes nothing."""
    if zone.state is ZoneState.DELETED:
        if zone.signed or zone.signers:
            yield Change(Keyset(), NOTHING, NOTHING, "", "the zone is published unsigned")
        return
    if awaits_import(zone, policy):
        return
    for signers, ident, says in _signings(zone, now, timing):
        if signers != zone.signers:
            yield Change(zone.keyset, signers, zone.wanted, ident, says)
    for keyset, ident, says in _keysets(zone, policy, facts):
        if keyset != zone.keyset:
            yield Change(keyset, zone.signers, zone.wanted, ident, says)
    for wanted, ident, says in _wishes(zone, policy):
        if wanted != zone.wanted:
            yield Change(zone.keyset, zone.signers, wanted, ident, says)


def _may_sign(zone: ZoneKeys, key: KeyState, now: float, timing: Timing) -> bool:
    """Whether other signers' DNSKEY RRsets have the key, where there are any (RFC 8901 §6)."""
    if not zone.multi_signer or zone.joining or key.ident in zone.signers:
        return True
    if key.shared is None:
        return False
    ttl = zone.their_ttl if zone.imported is None else max(zone.their_ttl, zone.keyset.ttl)
    return timing.shared_gone(key.shared, ttl) <= now


def _signings(
    zone: ZoneKeys, now: float, timing: Timing
) -> Iterator[tuple[frozenset[str], str, str]]:
    ready = [
        key
        for key in zone.serving()
        if key.role.signs_zone and (not zone.signed or _may_sign(zone, key, now, timing))
    ]
    if not ready:
        return
    new = next((key for key in ready if key.ident not in zone.signers), ready[0])
    only = frozenset(key.ident for key in ready)
    yield only, new.ident, f"the zone is signed by {_listed(only)}"
    # A new algorithm signs before its DNSKEY is there (RFC 6781 §4.1.4), and keys of one algorithm
    # take each other's place without regard to those of another.
    leaving = {key.ident for key in zone.leaving_keys()}
    for key in ready:
        if zone.signers and key.ident not in zone.signers:
            alike = {i for i in zone.signers if algorithm_in(i) == algorithm_in(key.ident)}
            signers = (zone.signers - (alike & leaving)) | {key.ident}
            yield signers, key.ident, f"the zone is signed by {_listed(signers)}"


def _keysets(
    zone: ZoneKeys, policy: DnssecPolicy, facts: Facts
) -> Iterator[tuple[Keyset, str, str]]:
    if zone.imported is not None:
        return  # it changes with the next one that is handed in
    now = zone.keyset
    ttl = policy.dnskey_ttl
    leaving = [key for key in zone.leaving_keys() if key.ident in now.keys]
    for key in zone.serving():
        if key.ident in now.keys:
            continue
        signing = {key.ident} if key.role.signs_keys else NOTHING
        old = _double_ds(zone, key, policy)
        keys, signers = now.keys - old, now.signers - old
        verb = f"takes the place of {_listed(old)}" if old else "comes in"
        yield (
            Keyset(keys | {key.ident}, signers | signing, ttl, now.foreign),
            key.ident,
            f"DNSKEY {key.ident} {verb}",
        )
    for key in leaving:
        yield (
            Keyset(now.keys - {key.ident}, now.signers - {key.ident}, ttl, now.foreign),
            key.ident,
            f"DNSKEY {key.ident} goes out",
        )
    if now.keys:
        foreign = foreign_keys(zone, facts)
        yield attrs.evolve(now, foreign=foreign), "", "other signers' DNSKEYs come or go"
        yield attrs.evolve(now, ttl=ttl), "", f"the DNSKEY RRset has a TTL of {ttl} s"


def foreign_keys(zone: ZoneKeys, facts: Facts) -> frozenset[str]:
    """Stand-ins for the other signers' keys that are to be in the DNSKEY RRset: those that we were
    given and those in the content."""
    given = {key.public for key in zone.foreign} | observing.strangers(zone, facts)
    return frozenset(foreign_dnskey(public) for public in given)


def _double_ds(zone: ZoneKeys, new: KeyState, policy: DnssecPolicy) -> frozenset[str]:
    """The keys that a new KSK takes the place of in one change, after the DS of both have been at
    the parent (RFC 7583 §3.3.2); none where both keys are published together (§3.3.1)."""
    if policy.ksk_rollover is KskRollover.DOUBLE_KSK or new.role is not Role.KSK:
        return NOTHING
    pairs = [
        key
        for key in zone.leaving_keys()
        if key.role is Role.KSK
        and key.algorithm == new.algorithm
        and key.ident in zone.keyset.keys & zone.wanted
    ]
    if any(key.compromised for key in pairs):
        return NOTHING
    return frozenset(key.ident for key in pairs)


def _wishes(zone: ZoneKeys, policy: DnssecPolicy) -> Iterator[tuple[frozenset[str], str, str]]:
    if zone.state in (ZoneState.PENDING_DISABLED, ZoneState.DISABLED):
        yield NOTHING, "", "the DS has to leave the parent"
        return
    if zone.imported is not None:
        # Whoever has the KSKs chooses which of them has a DS.
        signers = zone.keyset.signers
        chosen = own(zone.ds) if own(zone.ds) & signers else signers
        yield chosen, "", f"the parent is to have the DS of {_listed(chosen)}"
        return
    tops = [key for key in zone.serving() if key.role.signs_keys]
    only = frozenset(key.ident for key in tops)
    if only:
        new = next((key for key in tops if key.ident not in zone.wanted), tops[0])
        yield only, new.ident, f"the parent is to have the DS of {_listed(only)}"
    for key in tops:
        if key.ident not in zone.keyset.keys and _double_ds(zone, key, policy):
            both = zone.wanted | {key.ident}
            yield both, key.ident, f"the parent is to have the DS of {_listed(both)}"
    if not zone.wanted and own(zone.ds) <= zone.keyset.keys & zone.keyset.signers:
        # The disabling was cancelled amid a rollover: the DS stays until the new one may come.
        yield own(zone.ds), "", f"the parent is to keep the DS of {_listed(own(zone.ds))}"


def _listed(idents: frozenset[str]) -> str:
    return " and ".join(sorted(idents))
