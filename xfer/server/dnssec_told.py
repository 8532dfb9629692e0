"""What is told of a zone's signing, out of what is recorded about it (`xfer.server.signed`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from xfer.config_dnssec import DenialChoice, DnssecPolicy
from xfer.config_keys import Dnssec
from xfer.dnssec import layout
from xfer.dnssec.algorithms import algorithm_text
from xfer.dnssec.idents import tag_in
from xfer.dnssec.keystate import KeyState, ZoneKeys, ZoneState, own, presences
from xfer.dnssec.outlook import deletable_at, held_up, outlook
from xfer.dnssec.terms import Denial
from xfer.dnssec.timing import Facts, moment
from xfer.server.dnssec_status import DnssecKey, DnssecStatus, DsMatch, DsStatus
from xfer.server.signing_terms import denial_of, is_signed, policy_of, seen_at_secondaries
from xfer.wire.records import soa_fields

if TYPE_CHECKING:
    from xfer.server.signed import Signing
    from xfer.server.zones import Zone


def told(
    zone: Zone, now: float, next_look: float | None = None, whole: bool = True
) -> DnssecStatus | None:
    """Of a zone that is, or is to be, signed, here or elsewhere; None of one without DNSSEC.

    next_look: when its keys are looked at next; whole: also what takes a while to make out, which
    is too long for a list of thousands of zones: each key, and whom they wait for.
    """
    mode = zone.config.dnssec
    signing = zone.signing
    if signing is None:
        if mode is Dnssec.UNSIGNED and zone.came_signed is None:
            return None
        return _came(zone, DnssecStatus(mode.value, published_serial=zone.serial))
    policy = policy_of(zone)
    keys = signing.keys
    plain = DnssecStatus(
        mode.value,
        error=signing.error,
        failed_at=signing.failed_at,
        mismatch=_mismatch(zone, keys),
        todo=(*signing.others, *signing.todo),
        received_serial=zone.content_serial,
        published_serial=zone.serial,
        validity=policy.signature_validity,
        refresh=policy.signature_refresh,
        next_look=next_look,
    )
    if keys is None:
        return _came(zone, plain)
    served = keys.signed and not signing.fresh
    known = attrs.evolve(
        plain,
        signed=served,
        state=keys.state,
        ds=_ds(signing, keys, policy),
        denial=_denial(zone, signing, policy) if served else "",
        ends_at=signing.ends_at,
        renew_at=signing.renew_at,
        multi_signer=keys.multi_signer,
        keyset_ends_at=None if keys.imported is None else keys.imported.ends,
    )
    if not keys.signed and zone.came_signed is not None:
        known = _came(zone, known)
    if not whole:
        return known
    return attrs.evolve(
        known,
        todo=(*known.todo, *_todo(zone, keys, policy, now)),
        keys=tuple(key_of(keys, key, policy) for key in keys.keys),
        held_up=held_up(keys, policy, now, _facts(zone)),
    )


def _came(zone: Zone, plain: DnssecStatus) -> DnssecStatus:
    """With what is known of signatures that came with it."""
    came = zone.came_signed
    if came is None:
        snapshot, pre_signed = zone.snapshot, zone.config.dnssec is Dnssec.PRE_SIGNED
        if pre_signed and snapshot is not None and not is_signed(snapshot):
            said = 'its config says dnssec = "pre-signed", and what comes has no signatures'
            return attrs.evolve(plain, mismatch=plain.mismatch or said)
        return plain
    return attrs.evolve(plain, ends_at=came.ends_at, warn_at=came.warn_at, ends_first=came.owner)


def key_of(zone: ZoneKeys, key: KeyState, policy: DnssecPolicy) -> DnssecKey:
    """What is told of a key."""
    there, ahead = presences(zone, key.ident), outlook(zone, key, policy)
    return DnssecKey(
        ident=key.ident,
        tag=tag_in(key.ident),
        algorithm=key.algorithm,
        algorithm_name=algorithm_text(key.algorithm),
        role=key.role,
        goal=key.goal,
        why=key.why,
        made_at=key.made,
        used_at=key.used,
        dnskey=there.dnskey,
        signatures=there.zone_signatures if key.role.signs_zone else there.key_signatures,
        ds=there.ds,
        does=ahead.does,
        event=ahead.event,
        at=ahead.at,
        replaces=key.replaces,
        compromised=key.compromised,
        elsewhere=key.elsewhere,
    )


def _ds(signing: Signing, keys: ZoneKeys, policy: DnssecPolicy) -> DsStatus:
    present = own(keys.ds) if keys.multi_signer or keys.joining or keys.leaving else keys.ds
    if not keys.ds_at or (not policy.parent and _told_before(keys) and present != keys.wanted):
        match = DsMatch.NOT_ASKED
    elif present == keys.wanted:
        match = DsMatch.MATCHES if keys.wanted else DsMatch.NONE
    elif not present:
        match = DsMatch.NOT_SEEN
    else:
        match = DsMatch.DIFFERS
    return DsStatus(
        match,
        tuple(sorted(keys.wanted)),
        tuple(sorted(keys.ds)),
        keys.ds_at or None,
        bool(policy.parent),
        signing.said.why if signing.said is not None else "",
    )


def _told_before(keys: ZoneKeys) -> bool:
    """Whether what is known of the parent is older than what is wanted there."""
    return keys.wanted_at is not None and keys.ds_at < keys.wanted_at


def _facts(zone: Zone) -> Facts:
    """As far as they are about secondaries."""
    expire = soa_fields(zone.content.soa)[5] if zone.content is not None else 0
    return Facts(0, 0, expire, seen_at_secondaries(zone, expire))


def _denial(zone: Zone, signing: Signing, policy: DnssecPolicy) -> str:
    denial = signing.terms.denial if signing.terms is not None else denial_of(zone, policy)
    return denial_text(denial, policy.denial)


def denial_text(denial: Denial, choice: DenialChoice) -> str:
    """How what is not there is proved, in words."""
    if denial.kind == "nsec":
        return "NSEC"
    if denial.kind == "nsec3":
        salt = f"salt {denial.salt.hex()}" if denial.salt else "no salt"
        opt_out = ", opt-out" if denial.opt_out else ""
        return f"NSEC3, {denial.iterations} iterations, {salt}{opt_out}"
    if choice is DenialChoice.WHITE_LIES:
        return "NSEC3 white lies, signed as they are asked for"
    return "compact (RFC 9824), signed as it is asked for"


def _mismatch(zone: Zone, keys: ZoneKeys | None) -> str:
    """What in the config does not fit the state, and the way out."""
    name, mode = zone.name, zone.config.dnssec.value
    state = keys.state if keys is not None else None
    if zone.config.signed_here:
        if state is ZoneState.DELETED:
            return (
                f'its config says dnssec = "{mode}", and its signing was ended: '
                f"`xfer dnssec enable {name}` begins it anew"
            )
        return layout.mismatch(keys, policy_of(zone)) if keys is not None else ""
    if state is ZoneState.DELETED or state is None:
        return ""
    way = {
        ZoneState.PENDING: f"`xfer dnssec disable {name}`",
        ZoneState.ACTIVE: f"`xfer dnssec disable {name}`, take its DS from the parent",
        ZoneState.PENDING_DISABLED: "take its DS from the parent",
        ZoneState.DISABLED: "wait until no cache holds its DS",
    }[state]
    return (
        f'its config says dnssec = "{mode}", and it is still signed here, because validators would '
        f"call it bogus while its DS is known: {way}, then `xfer dnssec delete {name}`; or write "
        'dnssec = "live-signed" again'
    )


def _todo(zone: Zone, keys: ZoneKeys, policy: DnssecPolicy, now: float) -> tuple[str, ...]:
    at = deletable_at(keys, policy)
    if at is None:
        return ()
    when = "now" if at <= now else f"from {moment(at)} on"
    return (f"`xfer dnssec delete {zone.name}` serves the zone without DNSSEC, {when}",)
