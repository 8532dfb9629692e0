"""Zones that are still signed, and whose config says so no more, in a core over a real journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.test_signing import SIGNED, SignedWorld, keys_of, signing_of
from xfer.server.core import Core
from xfer.server.zones import Zone

UNSIGNED = SIGNED[: SIGNED.index("dnssec = ")]
NSEC3 = 'denial = "nsec3"\nnsec3_salt = "c0ffee"\nnsec3_iterations = 2\n'


@pytest.mark.parametrize(
    "policy",
    [
        f'algorithm = 15\nkeys = "csk"\n{NSEC3}nsec3_opt_out = true',
        f"algorithm = 14\n{NSEC3}",
        'algorithm = 15\ndenial = "nsec"',
        'algorithm = 14\nkeys = "csk"\ndenial = "compact"',
    ],
)
def test_a_zone_without_a_policy_goes_on_as_it_was_signed(tmp_path: Path, policy: str) -> None:
    world = SignedWorld(tmp_path, SIGNED.replace('denial = "nsec"', policy))

    async def run(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        before = signing_of(zone).terms
        keys = keys_of(zone).keys
        world.write(UNSIGNED)
        await core.reload()
        await world.pass_days(core, zone, 30)
        after = signing_of(zone).terms
        assert before is not None
        assert after is not None
        assert before.denial == after.denial
        assert [key.ident for key in keys] == [key.ident for key in keys_of(zone).keys]
        assert not signing_of(zone).error

    async def again(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        assert signing_of(zone).keys is not None
        assert not signing_of(zone).error

    world.session(run)
    world.session(again)
