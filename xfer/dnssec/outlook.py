"""What each key of a zone does, what happens to it next, and when: for the operator. Pure.

The times are those before which nothing can happen (`timing.py`), so they move where a secondary
lags or the parent is slow; what waits for somebody has none.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from xfer.config_dnssec import DnssecPolicy, KeyLayout
from xfer.dnssec.idents import algorithm_in
from xfer.dnssec.keystate import Goal, KeyState, PastKeyset, PastSigners, ZoneKeys, ZoneState
from xfer.dnssec.layout import layout_of
from xfer.dnssec.lifecycle import SIGNED, due_at, timing_of
from xfer.dnssec.timing import FOREVER, Facts, Timing, has


@attrs.frozen
class Outlook:
    """does: what the key is used for now; event: what happens to it next, "" for nothing; at: Unix
    seconds, None where that is not known."""

    does: str
    event: str = ""
    at: float | None = None


@attrs.frozen
class HeldUp:
    """A secondary that has not got a version that something waits for.

    name: of the secondary; serial: of that version; since: when that was published; until: when it
    is waited for no longer, because it serves nothing older by then (SOA EXPIRE).
    """

    name: str
    serial: int
    since: float
    until: float


def outlook(zone: ZoneKeys, key: KeyState, policy: DnssecPolicy) -> Outlook:
    """Of one of the zone's keys, as of the last `advance`."""
    does = _does(zone, key)
    event, at = _next(zone, key, policy, timing_of(zone, policy))
    return Outlook(does, event, None if at is None or at == FOREVER else at)


def deletable_at(zone: ZoneKeys, policy: DnssecPolicy) -> float | None:
    """When a disabled zone may be served without DNSSEC; None where something else comes first."""
    if zone.state is not ZoneState.DISABLED or zone.asked:
        return None
    timing = timing_of(zone, policy)
    return max((timing.ds_gone(past) for past in zone.past_ds), default=0.0)


def wanted_from(zone: ZoneKeys, policy: DnssecPolicy) -> float | None:
    """The earliest time at which the DS that the keys call for may be put at the parent; None where
    that hangs on a secondary, or the zone is not to have any."""
    tops = {key.ident for key in zone.serving() if key.role.signs_keys}
    if zone.state not in SIGNED or not tops:
        return None
    at = _known_everywhere(zone, tops, timing_of(zone, policy))
    return None if at == FOREVER else at


def held_up(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> tuple[HeldUp, ...]:
    """The secondaries that waits of the zone hang on, in the order of their names."""
    timing = timing_of(zone, policy)
    waited: dict[str, HeldUp] = {}
    pasts: list[tuple[float | None, int | None, float | None]] = [
        (zone.wanted_at, zone.wanted_serial, zone.wanted_everywhere)
    ]
    pasts += [(past.at, past.serial, past.everywhere) for past in zone.past_keysets]
    pasts += [(past.at, past.serial, past.everywhere) for past in zone.past_signers]
    for at, serial, everywhere in pasts:
        if at is None or serial is None or everywhere is not None:
            continue
        for seen in facts.secondaries:
            until = at + timing.expiry(seen, facts)
            if not has(seen, serial) and until > now:
                known = waited.get(seen.name)
                if known is None or known.until < until:
                    waited[seen.name] = HeldUp(seen.name, serial, at, until)
    return tuple(waited[name] for name in sorted(waited))


def _does(zone: ZoneKeys, key: KeyState) -> str:
    signs_keys = key.ident in zone.keyset.signers
    signs_zone = key.ident in zone.signers
    if signs_keys and signs_zone:
        return "signs the DNSKEY RRset and the zone"
    if signs_keys:
        return "signs the DNSKEY RRset"
    if signs_zone:
        return "signs the zone"
    if key.ident in zone.keyset.keys:
        return "is published, and signs nothing" + (" any more" if key.used is not None else " yet")
    return "is not published" + (" any more" if key.used is not None else " yet")


def _next(
    zone: ZoneKeys, key: KeyState, policy: DnssecPolicy, timing: Timing
) -> tuple[str, float | None]:
    if key.goal is Goal.LEAVE:
        return _leaving(zone, key, timing)
    return _serving(zone, key, policy, timing)


def _serving(
    zone: ZoneKeys, key: KeyState, policy: DnssecPolicy, timing: Timing
) -> tuple[str, float | None]:
    ident, role = key.ident, key.role
    if ident not in zone.keyset.keys and _handed_in(zone, policy) and not key.elsewhere:
        return "published once it is in a DNSKEY RRset that is handed in", None
    if ident not in zone.keyset.keys:
        if ident in zone.signers:
            gone = [timing.signatures_gone(p) for p in zone.past_signers if ident not in p.what]
            return "published once its signatures are in all caches", max(gone, default=None)
        if ident in zone.wanted:
            return "published once its DS is in all caches", None
        return "published", None
    if role.signs_zone and ident not in zone.signers:
        gone = [timing.keyset_gone(p) for p in zone.past_keysets if ident not in p.what.keys]
        if zone.multi_signer and not zone.joining and key.shared is None:
            return "signs once the other signers publish it", None
        return "signs the zone once all caches know it", max(gone, default=None)
    if key.elsewhere and ident not in zone.keyset.signers:
        return "", None
    if role.signs_keys and zone.state in SIGNED and ident not in zone.ds:
        if ident in zone.wanted:
            return "its DS is to be put at the parent", None
        at = _known_everywhere(zone, {ident}, timing)
        if at == FOREVER:
            return "its DS may be put at the parent once every secondary has its DNSKEY", None
        return "its DS may be put at the parent", at
    at = due_at(zone, key, policy, timing)
    return ("its successor is published", at) if at != FOREVER else ("", None)


def _handed_in(zone: ZoneKeys, policy: DnssecPolicy) -> bool:
    return layout_of(zone, policy) is KeyLayout.ZSK


def _leaving(zone: ZoneKeys, key: KeyState, timing: Timing) -> tuple[str, float | None]:
    ident = key.ident
    heirs = {heir.ident for heir in zone.serving() if ident in heir.replaces}
    if ident in zone.signers:
        gone = [timing.keyset_gone(p) for p in zone.past_keysets if not heirs <= p.what.keys]
        return "signs no more once all caches know its successor", max(gone, default=None)
    if ident in zone.ds | zone.wanted:
        if ident not in zone.wanted:
            return "its DS is to be taken from the parent", None
        at = _known_everywhere(zone, heirs, timing) if heirs else None
        return "its DS may be replaced at the parent", at
    if ident in zone.keyset.keys:
        gone = [timing.ds_gone(past) for past in zone.past_ds if ident in past.what]
        gone += [timing.signatures_gone(past) for past in zone.past_signers if ident in past.what]
        if zone.imported is not None:
            return "to be left out by whoever has the KSK", max(gone, default=None)
        return "taken out once no cache needs it", max(gone, default=None)
    gone = [timing.keyset_gone(past) for past in zone.past_keysets if ident in past.what.keys]
    gone += [timing.signatures_gone(past) for past in zone.past_signers if ident in past.what]
    return "forgotten once it has left all caches", max(gone, default=None)


def _known_everywhere(zone: ZoneKeys, idents: Iterable[str], timing: Timing) -> float:
    """When no cache holds a DNSKEY RRset without these, or anything from before the zone was
    signed by their algorithms."""
    wanted = frozenset(idents)
    algorithms = {algorithm_in(ident) for ident in wanted}

    def older(past: PastKeyset) -> bool:
        return not wanted <= past.what.signers

    def otherwise(past: PastSigners) -> bool:
        return not algorithms <= {algorithm_in(ident) for ident in past.what}

    gone = [timing.keyset_gone(past) for past in zone.past_keysets if older(past)]
    gone += [timing.signatures_gone(past) for past in zone.past_signers if otherwise(past)]
    return max(gone, default=0.0)
