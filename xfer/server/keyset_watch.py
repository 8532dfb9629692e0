"""Where somebody else has the KSK and signs the DNSKEY RRset (RFC 8901 §2.1.1): what a zone waits
for, and what its operator is told."""

from __future__ import annotations

import structlog

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec.keyset import rdata_of
from xfer.dnssec.keystate import ZoneKeys
from xfer.dnssec.layout import awaits_import
from xfer.server.signed import Signing
from xfer.server.signing_terms import is_signed, keyset_news
from xfer.server.zones import Zone
from xfer.wire.records import DNSKEY
from xfer.zone.snapshot import APEX, Snapshot

log = structlog.get_logger()


def held_back(
    zone: Zone,
    signing: Signing,
    content: Snapshot,
    keys: ZoneKeys,
    policy: DnssecPolicy,
) -> str:
    """Why nothing is made of the content before somebody has handed in the DNSKEY RRset:
    unsigned, the zone would be bogus; "" where it is served unsigned until then, or signed."""
    if not awaits_import(keys, policy):
        return ""
    if is_signed(content):
        return f"{zone.name} comes signed, and is served so"
    wanted = f"expected a signed DNSKEY RRset of {zone.name} (`xfer dnssec import-dnskey`)"
    if keys.ds:
        return f"{wanted}: the parent has a DS, with which it would be bogus unsigned"
    if signing.fresh and zone.snapshot is not None and is_signed(zone.snapshot):
        return f"{wanted}: what is served is signed, and unsigned it might be bogus"
    if signing.fresh and policy.parent and not keys.ds_at:
        return f"{wanted}, or the parent's word that there is no DS"
    return ""


def served_elsewhere(zone: Zone, keys: ZoneKeys) -> frozenset[bytes]:
    """DNSKEY rdata of what is served where others have signed that; none where it is unsigned, or
    signed here."""
    served = zone.snapshot
    if keys.signed or served is None or not is_signed(served):
        return frozenset()
    return frozenset(rdata_of(served.rrset(APEX, DNSKEY), DNSKEY))


def tell_keyset(zone: Zone, signing: Signing, now: float) -> None:
    """Log where the signatures that somebody else makes of the DNSKEY RRset end soon, or ended."""
    news = keyset_news(zone, now)
    if news and news != signing.keyset_told and signing.keys and signing.keys.imported:
        says = "ended" if news == "ended" else "end soon"
        log.warning(
            f"signatures of the DNSKEY RRset {says}",
            zone=zone.name,
            seconds=round(signing.keys.imported.ends - now),
            note="whoever has the KSK has to sign it anew (`xfer dnssec import-dnskey`)",
        )
    signing.keyset_told = news
