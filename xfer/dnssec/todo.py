"""What the operator has to do next, a sentence each."""

from __future__ import annotations

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec.ds import ds_of
from xfer.dnssec.idents import tag_in
from xfer.dnssec.keystate import FOREIGN, KeyState, ZoneKeys, ZoneState, own
from xfer.dnssec.layout import awaits_import
from xfer.dnssec.observing import strangers
from xfer.dnssec.timing import Facts, moment
from xfer.wire import names


def sentences(zone: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> tuple[str, ...]:
    """Everything that waits for somebody; empty where nothing does."""
    found = [
        *_with_the_holder(zone, policy, now),
        *_at_the_parent(zone, facts),
        *_with_other_signers(zone, policy, facts),
    ]
    if facts.ds is None and zone.wanted_at is not None and zone.ds_at < zone.wanted_at:
        found.append(_how_to_confirm(zone, policy))
    return tuple(found)


def _at_the_parent(zone: ZoneKeys, facts: Facts) -> list[str]:
    if zone.wanted_at is None:
        return []
    origin = names.to_text(zone.origin)
    present = own(zone.ds)
    missing = [key for key in zone.keys if key.ident in zone.wanted - present]
    extra = [key for key in zone.keys if key.ident in present - zone.wanted]
    whose = "have whoever has the KSK " if zone.imported is not None else ""
    found = [f"{whose}put this DS at the parent: {_line(zone, key)}" for key in missing]
    then = "then " if missing else ""
    found += [f"{then}{whose}take this DS from the parent: {_line(zone, key)}" for key in extra]
    if zone.state in (ZoneState.PENDING, ZoneState.ACTIVE) and zone.imported is None:
        for ident in sorted(zone.ds):
            if ident.startswith(FOREIGN) and not (zone.multi_signer or zone.joining):
                tag = tag_in(ident)
                found.append(
                    f"the parent has a DS of {origin} with tag {tag} that is of no key here: take "
                    "it from the parent, unless another signer of the zone has that key"
                )
    return found


def _with_the_holder(zone: ZoneKeys, policy: DnssecPolicy, now: float) -> list[str]:
    """What whoever has the KSK has to do, where that is somebody else (RFC 8901 model 1)."""
    origin = names.to_text(zone.origin)
    hand_in = f"`xfer dnssec import-dnskey {origin} FILE`"
    new = [
        key.ident
        for key in zone.serving()
        if key.role.signs_zone and key.ident not in zone.keyset.keys
    ]
    if awaits_import(zone, policy):
        if not new or zone.state is not ZoneState.PENDING:
            return []
        return [
            f"give DNSKEY {_and(new)} (`xfer dnssec zsk {origin}`) to whoever has the KSK, and "
            f"hand in the DNSKEY RRset that they sign with it: {hand_in}; the zone is not signed "
            "before"
        ]
    if zone.imported is None:
        return []
    found = []
    if new and zone.state in (ZoneState.PENDING, ZoneState.ACTIVE):
        found.append(
            f"give DNSKEY {_and(new)} (`xfer dnssec zsk {origin}`) to whoever has the KSK, and "
            f"hand in the DNSKEY RRset with it beside the old ones: {hand_in}; it is not used "
            "before"
        )
    signing = zone.signers.union(*(past.what for past in zone.past_signers))
    old = [
        key.ident
        for key in zone.leaving_keys()
        if key.role.signs_zone and key.ident in zone.keyset.keys - signing
    ]
    if old and not new:
        found.append(
            f"have whoever has the KSK take DNSKEY {_and(old)} out, which no cache needs any more, "
            f"and hand in the DNSKEY RRset without: {hand_in}"
        )
    if zone.imported.ends - now <= policy.signature_refresh:
        ended = zone.imported.ends <= now
        found.append(
            f"have whoever has the KSK sign the DNSKEY RRset anew, and hand it in: {hand_in}; its "
            f"signatures {'ended' if ended else 'end'} {moment(zone.imported.ends)}"
        )
    return found


def _and(idents: list[str]) -> str:
    return " and ".join(idents)


def _line(zone: ZoneKeys, key: KeyState) -> str:
    return ds_of(zone.origin, key.public).line(zone.origin)


def _how_to_confirm(zone: ZoneKeys, policy: DnssecPolicy) -> str:
    origin = names.to_text(zone.origin)
    if zone.state in (ZoneState.PENDING_DISABLED, ZoneState.DISABLED):
        return (
            f"once all of the parent's servers have no DS of {origin}, say `xfer dnssec ds-gone "
            f"{origin}`"
        )
    just = f"the DS of {_and(sorted(zone.wanted))}" if zone.wanted else "that"
    why = "the parent is not asked (`parent` in the policy)"
    if policy.parent:
        why = "those in `parent` of the policy have been asked, and have told nothing so far"
    return (
        f"once all of the parent's servers have just {just}, say `xfer dnssec ds-seen {origin}`: "
        f"{why}"
    )


def _with_other_signers(zone: ZoneKeys, policy: DnssecPolicy, facts: Facts) -> list[str]:
    foreign = sorted(strangers(zone, facts) | {key.public for key in zone.foreign})
    found = []
    if zone.multi_signer and zone.state in (ZoneState.PENDING, ZoneState.ACTIVE):
        for key in zone.serving():
            if zone.imported is not None and key.ident not in zone.keyset.keys:
                continue  # others get it from whoever has the KSK, as we do
            if key.role.signs_zone and key.ident not in zone.signers and key.shared is None:
                found.append(
                    f"have the other signers publish DNSKEY {key.ident} (`xfer dnssec zsk`), then "
                    f"say `xfer dnssec shared {names.to_text(zone.origin)} {key.ident}`"
                )
    ours = {key.algorithm for key in zone.serving()} or {policy.algorithm}
    listed = " and ".join(map(str, sorted(ours)))
    for algorithm in sorted({rdata[3] for rdata in foreign if len(rdata) > 4}):
        if algorithm not in ours:
            found.append(
                f"another signer has a key of algorithm {algorithm}, and we sign with {listed}: "
                "all signers of a zone have to use one algorithm (RFC 8901 §4)"
            )
    if zone.multi_signer and policy.algorithm not in ours:
        found.append(
            f"the policy has algorithm {policy.algorithm}, and we go on with {listed} while the "
            "zone has other signers, who sign with it (RFC 8901 §4)"
        )
    return found
