"""Records of a zone's keys, to be copied: what the parent and other signers need of them."""

from __future__ import annotations

from xfer.dnssec.ds import DEFAULT_DIGEST, dnskey_from, ds_of
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import Goal, KeyState, ZoneKeys
from xfer.dnssec.layout import awaits_import
from xfer.dnssec.lifecycle import SIGNED
from xfer.dnssec.outlook import wanted_from
from xfer.dnssec.timing import moment
from xfer.server.dnssec_status import KeyRecord, KeyRecords
from xfer.server.signing_terms import policy_of
from xfer.server.status import Refused
from xfer.server.zones import Zone
from xfer.wire.records import DNSKEY, split
from xfer.zone.snapshot import APEX

FOREIGN_ROLE = "foreign"  # of a key that another signer of the zone has


def ds(zone: Zone, digest: int = DEFAULT_DIGEST, every: bool = False) -> KeyRecords:
    """The DS that are to be at the parent; every: those of all keys that may have one.

    Raises KeyRefused for a digest that is not made.
    """
    keys = keys_of(zone)
    found = []
    for key in keys.keys:
        if not key.role.signs_keys:
            continue
        value = ds_of(zone.origin, key.public, digest)
        if not (every or key.ident in keys.wanted):
            continue
        found.append(
            KeyRecord(
                key.ident,
                key.role.value,
                value.line(zone.origin),
                value.text,
                value.fields(),
                key.ident in keys.wanted,
                key.ident in keys.ds,
            )
        )
    return KeyRecords(zone.name, "DS", tuple(found), _ds_note(zone, keys))


def _ds_note(zone: Zone, keys: ZoneKeys) -> str:
    if keys.wanted:
        return ""
    if keys.state not in SIGNED:
        return f"{zone.name} is {keys.state.value}: no DS of it is to be at the parent"
    if awaits_import(keys, policy_of(zone)):
        return (
            f"whoever has the KSK of {zone.name} has its DS; it is known here once they have "
            f"signed the DNSKEY RRset (`xfer dnssec import-dnskey {zone.name} FILE`)"
        )
    at = wanted_from(keys, policy_of(zone))
    if at is None:
        when = "once every secondary has the signed zone"
    else:
        when = f"from {moment(at)} on"
    return (
        f"no DS of {zone.name} may be at the parent yet: caches may hold what was there before "
        f"it was signed, or older keys; it may be put there {when}"
    )


def dnskey(zone: Zone) -> KeyRecords:
    """The DNSKEY RRset as it is served, other signers' keys among ours."""
    keys = keys_of(zone)
    served = zone.snapshot.rrset(APEX, DNSKEY) if zone.snapshot is not None else ()
    ours = {key.public: key for key in keys.keys}
    found = []
    for record in served:
        rdata = split(record)[4]
        key = ours.get(rdata)
        found.append(_dnskey(zone, rdata, split(record)[3], key, key is not None, True))
    return KeyRecords(zone.name, "DNSKEY", tuple(found))


def zsk(zone: Zone) -> KeyRecords:
    """The DNSKEYs that other signers of the zone have to publish: of our keys that sign it, or
    are to."""
    keys = keys_of(zone)
    ours = [
        key
        for key in keys.keys
        if key.role.signs_zone and (key.goal is Goal.SERVE or key.ident in keys.signers)
    ]
    ttl = keys.keyset.ttl or policy_of(zone).dnskey_ttl
    return KeyRecords(
        zone.name,
        "DNSKEY",
        tuple(
            _dnskey(
                zone,
                key.public,
                ttl,
                key,
                key.goal is Goal.SERVE,
                key.ident in keys.keyset.keys,
            )
            for key in ours
        ),
    )


def keys_of(zone: Zone) -> ZoneKeys:
    """The states of its keys. Raises Refused where it has none, with what to do."""
    signing = zone.signing
    if signing is None:
        raise Refused(f'{zone.name} is not signed here: write dnssec = "live-signed" in its config')
    if signing.keys is None:
        why = signing.error or "it has no version yet"
        raise Refused(f"{zone.name} has no keys yet: {why}")
    return signing.keys


def _dnskey(
    zone: Zone, rdata: bytes, ttl: int, key: KeyState | None, wanted: bool, present: bool
) -> KeyRecord:
    """key: None for another signer's."""
    dnskey = dnskey_from(rdata)
    return KeyRecord(
        key.ident if key is not None else ident_of(rdata),
        key.role.value if key is not None else FOREIGN_ROLE,
        dnskey.line(zone.origin, ttl),
        dnskey.text,
        dnskey.fields(),
        wanted,
        present,
    )
