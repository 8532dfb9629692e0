"""Which keys a zone has here: what the policy says, as far as the zone can follow it.

Who has the KSK is settled when a zone's signing begins. Changing that under a DS would take the
other one's help at every step, so the zone goes on as it is, and `mismatch` says what to do.
"""

from __future__ import annotations

from typing import Final

from xfer.config_dnssec import DnssecPolicy, KeyLayout
from xfer.dnssec.keystate import Role, ZoneKeys, ZoneState
from xfer.errors import StepRefused
from xfer.wire import names

_ROLES: Final = {
    KeyLayout.KSK_ZSK: (Role.KSK, Role.ZSK),
    KeyLayout.CSK: (Role.CSK,),
    KeyLayout.ZSK: (Role.ZSK,),
}


def layout_of(zone: ZoneKeys, policy: DnssecPolicy) -> KeyLayout:
    """The layout that a zone's keys follow."""
    if zone.imported is not None:
        return KeyLayout.ZSK
    tops = {key.role for key in zone.serving() if key.role.signs_keys}
    if policy.keys is not KeyLayout.ZSK or not tops:
        return policy.keys
    return KeyLayout.CSK if Role.CSK in tops else KeyLayout.KSK_ZSK


def roles_of(zone: ZoneKeys, policy: DnssecPolicy) -> tuple[Role, ...]:
    """The roles of the keys that the zone has here."""
    return _ROLES[layout_of(zone, policy)]


def awaits_import(zone: ZoneKeys, policy: DnssecPolicy) -> bool:
    """Whether the zone cannot be signed before somebody has handed in its DNSKEY RRset."""
    return (
        zone.imported is None
        and zone.state is not ZoneState.DELETED
        and layout_of(zone, policy) is KeyLayout.ZSK
    )


def refuse_elsewhere(zone: ZoneKeys, policy: DnssecPolicy, step: str) -> None:
    """Refuse what is between signers that each have a KSK, where somebody else has ours."""
    if layout_of(zone, policy) is KeyLayout.ZSK:
        raise StepRefused(
            step,
            "somebody else has the KSK, and puts every signer's keys into the DNSKEY RRset",
            f"have it handed in (`xfer dnssec import-dnskey {names.to_text(zone.origin)} FILE`)",
        )


def mismatch(zone: ZoneKeys, policy: DnssecPolicy) -> str:
    """What in the policy the zone cannot follow, and the way out; "" where it follows."""
    found = layout_of(zone, policy)
    if found is policy.keys or zone.state is ZoneState.DELETED:
        return ""
    if KeyLayout.ZSK not in (found, policy.keys):
        return ""
    origin = names.to_text(zone.origin)
    return (
        f'its policy says keys = "{policy.keys.value}", and it goes on with "{found.value}": who '
        f"has the KSK is changed while no DS of it is known (`xfer dnssec disable {origin}`, later "
        f"`delete`, then `enable`)"
    )
