"""Zones that others sign again after they were signed here, in a core over a real journal."""

from __future__ import annotations

from pathlib import Path

from tests.server.test_signing import SIGNED, SignedWorld, keys_of, signing_of
from xfer.dnssec import commands
from xfer.dnssec.keystate import ZoneState
from xfer.server.core import Core
from xfer.server.zones import Zone
from xfer.wire.records import RRSIG, SOA
from xfer.zone.snapshot import APEX

RRSIG_OF_SOA = f"@ RRSIG SOA 13 2 300 20400101000000 20200101000000 1 @ {'A' * 86}=="


def came_signed(zone: Zone) -> bool:
    assert zone.snapshot is not None
    return len(zone.snapshot.rrset(APEX, RRSIG, SOA)) == 1


def test_after_the_end_of_its_signing_a_zone_may_come_signed(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)
    ended = SIGNED.replace("live-signed", "pre-signed")

    async def end(core: Core, zone: Zone) -> None:
        await core.signers.change(zone, lambda keys, *_: commands.disable(keys))
        await core.signers.change(zone, lambda keys, *rest: commands.ds_gone(keys, *rest))
        world.time.now += 86400
        await core.signers.change(zone, commands.delete)
        assert keys_of(zone).state is ZoneState.DELETED
        world.write(ended)
        await core.reload()
        world.edit(2, RRSIG_OF_SOA)
        await core.read_file(zone)
        # Secondaries would not follow a lower serial.
        assert "raise it where it is signed now" in signing_of(zone).error
        assert not came_signed(zone)
        world.edit(9, RRSIG_OF_SOA)
        await core.read_file(zone)
        assert came_signed(zone)
        assert zone.serial == 9
        assert not signing_of(zone).error

    async def go_on(core: Core, zone: Zone) -> None:
        assert came_signed(zone)
        world.edit(10, RRSIG_OF_SOA, "www A 192.0.2.2")
        await core.read_file(zone)
        assert zone.serial == 10

    async def take_over(core: Core, zone: Zone) -> None:
        # What had come when it was signed here before is not what comes now.
        assert zone.content_serial == zone.serial == 10
        assert came_signed(zone)
        assert "it comes signed by other keys" in signing_of(zone).error

    world.session(end)
    world.session(go_on)
    world.write(SIGNED)
    world.session(take_over)
    world.session(take_over)
