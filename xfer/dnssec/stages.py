"""What comes next where a zone changes its signer, or has several (`xfer.dnssec.migration`)."""

from __future__ import annotations

import enum

import attrs

from xfer.dnssec.idents import tag_in
from xfer.dnssec.keystate import ZoneKeys, ZoneState, own
from xfer.dnssec.timing import FOREVER, Timing, moment
from xfer.wire import names


class Stage(enum.Enum):
    """What has to happen next in a migration, in this order."""

    KEYS_THERE = "keys-there"
    KEYS_HERE = "keys-here"
    DS_ADDED = "ds-added"
    SERVERS_ADDED = "servers-added"
    SERVERS_MOVED = "servers-moved"
    DS_TAKEN = "ds-taken"
    KEYS_TAKEN = "keys-taken"
    DONE = "done"


ORDER = tuple(Stage)


@attrs.frozen
class Next:
    """Where a migration is: the stage that is not reached yet, what to do for it, and until when
    it has to wait (None: it can be done now, or depends on something else)."""

    stage: Stage
    says: str
    at: float | None = None


def reached(zone: ZoneKeys, now: float, timing: Timing) -> Next:
    """Where the zone is on its way between signers; zone: with all that is observed by `now`."""
    if not (zone.multi_signer or zone.joining or zone.leaving):
        return Next(Stage.DONE, "the zone has one signer")
    return (
        _keys_there(zone, now, timing)
        or _keys_here(zone, timing)
        or _ds_added(zone, now, timing)
        or _servers(zone, now, timing)
        or _ds_taken(zone, now, timing)
        or _keys_taken(zone, now, timing)
        or Next(Stage.DONE, "the zone has one signer")
    )


def sentences(zone: ZoneKeys, now: float, timing: Timing) -> tuple[str, ...]:
    """What the operator has to do where a zone changes its signer; none while that waits for a
    time, or where the zone is to have several."""
    if not (zone.joining or zone.leaving or zone.moved_at is not None):
        return ()
    found = reached(zone, now, timing)
    if found.at is not None or found.stage is Stage.DONE:
        return ()
    return (f"{found.says} (`xfer dnssec migrate {names.to_text(zone.origin)}`)",)


def _keys_there(zone: ZoneKeys, now: float, timing: Timing) -> Next | None:
    if zone.moved_at is not None:
        return None
    for key in zone.serving():
        if not key.role.signs_zone:
            continue
        if key.shared is None:
            return Next(
                Stage.KEYS_THERE,
                f"have the other signer publish our DNSKEY {key.ident}, then confirm that",
            )
        at = timing.shared_gone(key.shared, zone.their_ttl)
        if at > now:
            return Next(Stage.KEYS_THERE, until("old DNSKEY RRsets of the other signer", at), at)
    if not any(key.role.signs_zone for key in zone.serving()):
        return Next(Stage.KEYS_THERE, "wait until our keys are made")
    return None


def _keys_here(zone: ZoneKeys, timing: Timing) -> Next | None:
    if zone.moved_at is not None:
        return None
    if not zone.keyset.foreign:
        return Next(Stage.KEYS_HERE, "give us the other signer's DNSKEYs to publish")
    lacking = [past for past in zone.past_keysets if not zone.keyset.foreign <= past.what.foreign]
    if lacking:
        at = max(timing.keyset_gone(past) for past in lacking)
        if at == FOREVER:
            return Next(Stage.KEYS_HERE, "wait until all secondaries have our new DNSKEY RRset")
        return Next(Stage.KEYS_HERE, until("our old DNSKEY RRsets", at), at)
    return None


def _ds_added(zone: ZoneKeys, now: float, timing: Timing) -> Next | None:
    if zone.moved_at is not None:
        return None
    foreign = zone.ds - own(zone.ds)
    if not own(zone.ds):
        if not zone.wanted:
            return Next(Stage.DS_ADDED, "wait until our DS may be put at the parent")
        return Next(Stage.DS_ADDED, "put our DS at the parent beside the other signer's")
    if not foreign:
        return Next(Stage.DS_ADDED, "put the other signer's DS at the parent beside ours")
    lacking = [past for past in zone.past_ds if not own(past.what) or past.what == own(past.what)]
    at = max((timing.ds_gone(past) for past in lacking), default=0.0)
    if at > now:
        return Next(Stage.DS_ADDED, until("DS sets of one signer alone", at), at)
    return None


def _servers(zone: ZoneKeys, now: float, timing: Timing) -> Next | None:
    origin = names.to_text(zone.origin)
    if zone.delegated_at is None and zone.moved_at is None:
        return Next(
            Stage.SERVERS_ADDED,
            f"add the new signer's servers to the NS of {origin}, in both zones and at the parent, "
            "then confirm that",
        )
    if zone.moved_at is None:
        return Next(
            Stage.SERVERS_MOVED,
            f"take the old signer's servers from the NS of {origin}, in both zones and at the "
            "parent, then confirm that; or stay with two signers",
        )
    return None


def _ds_taken(zone: ZoneKeys, now: float, timing: Timing) -> Next | None:
    assert zone.moved_at is not None

    def theirs(idents: frozenset[str]) -> frozenset[str]:
        return own(idents) if zone.leaving else idents - own(idents)

    left = theirs(zone.ds)
    at = timing.delegation_gone(zone.moved_at, zone.moved_ttl, longest(zone))
    if not left:
        early = [past for past in zone.past_ds if theirs(past.what) and past.at < at]
        if at > now and early:
            whose = "our" if zone.leaving else "the old signer's"
            return Next(
                Stage.DS_TAKEN,
                f"{whose} DS has left the parent too early: put it back until {moment(at)}, for "
                "caches may hold answers that it alone leads to",
            )
        return None
    if at > now:
        return Next(Stage.DS_TAKEN, until("the old signer's NS and answers", at), at)
    whose = "our" if zone.leaving else "the old signer's"
    tags = " and ".join(f"tag {tag_in(one)}" for one in sorted(left))
    return Next(Stage.DS_TAKEN, f"take {whose} DS from the parent: {tags}")


def longest(zone: ZoneKeys) -> int:
    """For how long caches keep an answer of any signer, DNSKEY RRsets too, in seconds."""
    keysets = [zone.keyset, *(past.what for past in zone.past_keysets)]
    return max(zone.zone_ttl, zone.their_ttl, *(one.ttl for one in keysets))


def _keys_taken(zone: ZoneKeys, now: float, timing: Timing) -> Next | None:
    at = old_keys_until(zone, timing)
    if at > now:
        return Next(Stage.KEYS_TAKEN, until("the old signer's DS", at), at)
    if zone.leaving and zone.state is not ZoneState.DELETED:
        return Next(Stage.KEYS_TAKEN, "have the new signer take out our DNSKEYs, then delete")
    if not zone.leaving and zone.keyset.foreign:
        return Next(Stage.KEYS_TAKEN, "take out the old signer's DNSKEYs")
    return None


def until(what: str, at: float) -> str:
    """What to wait for, and how long."""
    return f"wait until {moment(at)}: caches may hold {what} until then"


def old_keys_until(zone: ZoneKeys, timing: Timing) -> float:
    """Until when the DNSKEYs of the signer that goes are needed: 1.5 × the TTL of its DS after that
    left the parent; FOREVER while it is there; 0 where no cache can know one."""

    def theirs(idents: frozenset[str]) -> frozenset[str]:
        return own(idents) if zone.leaving else idents - own(idents)

    if theirs(zone.ds):
        return FOREVER
    pasts = [past for past in zone.past_ds if theirs(past.what)]
    return max((timing.old_signer_gone(past) for past in pasts), default=0.0)
