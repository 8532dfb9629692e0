"""How a zone goes on that is still signed and whose config has no policy for it any more.

Its DS has to go before its signatures may. Until then nothing rolls, and what is served stays of
the kind it is: defaults would begin an algorithm rollover where its keys are not of theirs.
"""

from __future__ import annotations

import attrs

from xfer.answer.nsec3 import hash_name, owner_of, parameters_of
from xfer.config_dnssec import DenialChoice, DnssecPolicy, KeyLayout
from xfer.dnssec.keystate import Role, ZoneKeys
from xfer.wire.records import NSEC, NSEC3, NSEC3PARAM, split
from xfer.zone.snapshot import APEX, Snapshot


def policy_left(keys: ZoneKeys, served: Snapshot | None) -> DnssecPolicy:
    """A policy by which nothing changes but the TTL of keys; served: what is signed now."""
    staying = keys.serving()
    if not staying:
        return DnssecPolicy()
    roles = {key.role for key in staying}
    layout = KeyLayout.CSK if Role.CSK in roles else KeyLayout.KSK_ZSK
    if not roles & {Role.CSK, Role.KSK}:
        layout = KeyLayout.ZSK
    policy = DnssecPolicy(
        algorithm=staying[0].algorithm, keys=layout, ksk_lifetime=0, zsk_lifetime=0
    )
    return policy if served is None else _with_denial(policy, keys.origin, served)


def _with_denial(policy: DnssecPolicy, origin: bytes, served: Snapshot) -> DnssecPolicy:
    if served.rrset(APEX, NSEC):
        return attrs.evolve(policy, denial=DenialChoice.NSEC)
    params = served.rrset(APEX, NSEC3PARAM)
    if not params:
        return policy
    parameters = parameters_of(split(params[0])[4])
    iterations, salt = parameters[1] << 8 | parameters[2], parameters[4:]
    apex = served.rrset(owner_of(hash_name(origin, salt, iterations)), NSEC3)
    return attrs.evolve(
        policy,
        denial=DenialChoice.NSEC3,
        nsec3_iterations=iterations,
        nsec3_salt=salt,
        nsec3_opt_out=bool(apex) and bool(split(apex[0])[4][1] & 1),
    )
