"""Other signers are asked for new keys of ours in the background."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog.testing

from tests.dnssec.apart import make_key
from tests.server.test_foreign_keys import foreign, line
from tests.server.test_signing import SIGNED, SignedWorld, keys_of, signing_of
from xfer.config_parse import Endpoint
from xfer.dnssec.elsewhere import RrsetAnswer, Sides, Signature, SignerSaid
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import Role
from xfer.server import dnssec_told
from xfer.server.core import Core
from xfer.server.zones import Zone

OTHERS = 'other_signers = ["192.0.2.7:53", "192.0.2.8:53"]\n'
CONFIG = SIGNED.replace("[dnssec_policy.p]", f"{OTHERS}[dnssec_policy.p]").replace("20d", "80d")


class Others:
    """In place of the other signer's servers: `has` is its DNSKEY RRset."""

    def __init__(self) -> None:
        self.has: frozenset[bytes] = frozenset()
        self.ttl = 0
        self.error = ""
        self.asked = 0

    async def ask(
        self, origin: bytes, signers: Sequence[Endpoint], parent: Sequence[Endpoint]
    ) -> Sides:
        self.asked += 1
        by = tuple(Signature(ident_of(one), 0, 1 << 31) for one in self.has)
        said = None if self.error else RrsetAnswer(self.has, self.ttl, by)
        return Sides(tuple(SignerSaid(f"{one.address}", said, error=self.error) for one in signers))


def test_a_new_zsk_signs_once_the_others_are_seen_with_it(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path, CONFIG.replace("80d", "20d"))
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

    world.session(run)


def test_a_mistake_of_ours_with_what_they_say_ends_nothing(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path, CONFIG)

    class Broken(Others):
        async def ask(
            self, origin: bytes, signers: Sequence[Endpoint], parent: Sequence[Endpoint]
        ) -> Sides:
            self.asked += 1
            raise IndexError("a mistake")

    fake = Broken()

    async def run(core: Core, zone: Zone) -> None:
        core.signers.shares.elsewhere = fake  # type: ignore[assignment]
        world.edit(2, line(foreign()[1].public, 300))
        with structlog.testing.capture_logs() as logs:
            await core.read_file(zone)
            await world.pass_days(core, zone, 1)
        assert fake.asked > 2
        assert "a mistake" in str([one for one in logs if one["log_level"] == "error"])

    world.session(run)


def test_a_signer_that_drops_our_key_is_told_of_and_the_wait_begins_anew(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path, CONFIG)
    fake = Others()

    async def run(core: Core, zone: Zone) -> None:
        core.signers.shares.elsewhere = fake  # type: ignore[assignment]
        _, zsk = foreign()
        world.edit(2, line(zsk.public, 300))
        await core.read_file(zone)
        (ours,) = (key for key in keys_of(zone).keys if key.role is Role.ZSK)
        fake.has = frozenset({ours.public, zsk.public})
        fake.ttl = 7200
        await world.pass_days(core, zone, 1)
        assert shared(zone) is not None
        assert keys_of(zone).their_ttl == 7200
        assert not told(world, zone)
        fake.has = frozenset({zsk.public})
        with structlog.testing.capture_logs() as logged:
            await world.pass_days(core, zone, 1)
        assert shared(zone) is None
        says = f"192.0.2.7 has not got our DNSKEY {ours.ident}"
        assert says in told(world, zone)
        assert [one for one in logged if one.get("says") == says and one["zone"] == zone.name]
        assert len([one for one in logged if one.get("says") == says]) == 1
        fake.has = frozenset({ours.public, zsk.public, make_key(13, False).public})
        await world.pass_days(core, zone, 1)
        assert shared(zone) == pytest.approx(world.time.wall(), abs=86400)
        (said, _) = told(world, zone)
        assert "which we do not publish" in said
        fake.has = frozenset()
        fake.error = "it is silent"
        await world.pass_days(core, zone, 1)
        assert shared(zone) is not None  # who says nothing has dropped nothing
        world.edit(3)
        await core.read_file(zone)
        assert not told(world, zone)

    world.session(run)


def shared(zone: Zone) -> float | None:
    (key,) = (key for key in keys_of(zone).keys if key.role is Role.ZSK)
    return key.shared


def told(world: SignedWorld, zone: Zone) -> tuple[str, ...]:
    """What is amiss with the other signers, as the zone's status has it."""
    status = dnssec_told.told(zone, world.time.wall())
    assert status is not None
    return tuple(one for one in status.todo if one in signing_of(zone).others)
