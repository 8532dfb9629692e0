"""Other signers are asked for new keys of ours in the background."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.server.test_foreign_keys import foreign, line
from tests.server.test_signing import SIGNED, SignedWorld, keys_of
from xfer.config_parse import Endpoint
from xfer.dnssec.elsewhere import RrsetAnswer, Sides, SignerSaid
from xfer.dnssec.keystate import Role
from xfer.server.core import Core
from xfer.server.zones import Zone

HOUR = 3600.0


class Others:
    """In place of the other signer's servers: `has` is its DNSKEY RRset."""

    def __init__(self) -> None:
        self.has: frozenset[bytes] = frozenset()
        self.asked = 0

    async def ask(
        self, origin: bytes, signers: Sequence[Endpoint], parent: Sequence[Endpoint]
    ) -> Sides:
        self.asked += 1
        told = (SignerSaid(f"{one.address}", RrsetAnswer(self.has)) for one in signers)
        return Sides(tuple(told))


def test_a_new_zsk_signs_once_the_others_are_seen_with_it(tmp_path: Path) -> None:
    others = 'other_signers = ["192.0.2.7:53", "192.0.2.8:53"]\n[dnssec_policy.p]'
    world = SignedWorld(tmp_path, SIGNED.replace("[dnssec_policy.p]", others))
    fake = Others()

    async def run(core: Core, zone: Zone) -> None:
        core.signers.shares.elsewhere = fake  # type: ignore[assignment]
        _, zsk = foreign()
        world.edit(2, line(zsk.public, 300))
        await core.read_file(zone)
        old = {key.ident for key in keys_of(zone).keys if key.role is Role.ZSK}
        await world.pass_days(core, zone, 22)
        assert keys_of(zone).signers == old
        # Every ten minutes while something waits; the world is looked at by the hour.
        assert fake.asked > 22 * 24 / 2
        fake.has = frozenset(key.public for key in keys_of(zone).keys)
        await world.pass_days(core, zone, 1)
        new = keys_of(zone).signers
        assert new.isdisjoint(old)
        before = fake.asked
        await world.pass_days(core, zone, 1)
        assert fake.asked == before

    world.session(run)
