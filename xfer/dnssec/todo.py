"""What the operator has to do next, a sentence each."""

from __future__ import annotations

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec.ds import ds_of
from xfer.dnssec.idents import tag_in
from xfer.dnssec.keystate import FOREIGN, KeyState, ZoneKeys, ZoneState, own
from xfer.dnssec.observing import strangers
from xfer.dnssec.timing import Facts
from xfer.wire import names


def sentences(zone: ZoneKeys, policy: DnssecPolicy, facts: Facts) -> tuple[str, ...]:
    """Everything that waits for somebody; empty where nothing does."""
    found = [*_at_the_parent(zone, facts), *_with_other_signers(zone, policy, facts)]
    if facts.ds is None and zone.wanted_at is not None and zone.ds_at < zone.wanted_at:
        found.append(_how_to_confirm(zone))
    return tuple(found)


def _at_the_parent(zone: ZoneKeys, facts: Facts) -> list[str]:
    if zone.wanted_at is None:
        return []
    origin = names.to_text(zone.origin)
    present = own(zone.ds)
    missing = [key for key in zone.keys if key.ident in zone.wanted - present]
    extra = [key for key in zone.keys if key.ident in present - zone.wanted]
    found = [f"put this DS at the parent: {_line(zone, key)}" for key in missing]
    taking = "then take this DS from the parent" if missing else "take this DS from the parent"
    found += [f"{taking}: {_line(zone, key)}" for key in extra]
    if zone.state in (ZoneState.PENDING, ZoneState.ACTIVE):
        for ident in sorted(zone.ds):
            if ident.startswith(FOREIGN) and not (zone.multi_signer or zone.joining):
                tag = tag_in(ident)
                found.append(
                    f"the parent has a DS of {origin} with tag {tag} that is of no key here: take "
                    "it from the parent, unless another signer of the zone has that key"
                )
    return found


def _line(zone: ZoneKeys, key: KeyState) -> str:
    return ds_of(zone.origin, key.public).line(zone.origin)


def _how_to_confirm(zone: ZoneKeys) -> str:
    origin = names.to_text(zone.origin)
    if zone.state in (ZoneState.PENDING_DISABLED, ZoneState.DISABLED):
        return (
            f"once all of the parent's servers have no DS of {origin}, say `xfer dnssec ds-gone "
            f"{origin}`"
        )
    return (
        f"once all of the parent's servers have just that, say `xfer dnssec ds-seen {origin}`: "
        "the parent is not asked (`parent` in the policy)"
    )


def _with_other_signers(zone: ZoneKeys, policy: DnssecPolicy, facts: Facts) -> list[str]:
    foreign = sorted(strangers(zone, facts) | {key.public for key in zone.foreign})
    found = []
    if zone.multi_signer and zone.state in (ZoneState.PENDING, ZoneState.ACTIVE):
        for key in zone.serving():
            if key.role.signs_zone and key.ident not in zone.signers and key.shared is None:
                found.append(
                    f"have the other signers publish DNSKEY {key.ident} (`xfer dnssec zsk`), then "
                    f"say `xfer dnssec shared {names.to_text(zone.origin)} {key.ident}`"
                )
    for algorithm in sorted({rdata[3] for rdata in foreign if len(rdata) > 4}):
        if algorithm != policy.algorithm:
            found.append(
                f"another signer has a key of algorithm {algorithm}, and we sign with "
                f"{policy.algorithm}: all signers of a zone have to use one algorithm (RFC 8901 §5)"
            )
    return found
