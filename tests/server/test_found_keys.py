"""Keys that lie in the key directory before anything is known of a zone's signing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dnssec.signed import check_signatures
from tests.server.test_signing import SIGNED, SignedWorld, keys_of, signing_of
from xfer.dnssec.keystate import ZoneState
from xfer.server.core import Core
from xfer.server.keystore import KeyStore
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.wire.records import CDS, DNSKEY, split
from xfer.zone.snapshot import APEX


@pytest.mark.parametrize("has_ds", [False, True])
def test_without_its_journal_a_zone_goes_on_with_the_keys_that_lie_there(
    tmp_path: Path, has_ds: bool
) -> None:
    world = SignedWorld(tmp_path, SIGNED + 'parent = ["192.0.2.53:53"]\n')
    served: list[set[bytes]] = []

    async def run(core: Core, zone: Zone) -> None:
        await world.pass_days(core, zone, 1)
        assert zone.snapshot is not None
        served.append({split(record)[4] for record in zone.snapshot.rrset(APEX, DNSKEY)})
        (cds,) = zone.snapshot.rrset(APEX, CDS)
        if has_ds:
            world.parent.has = frozenset((split(cds)[4],))

    async def again(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        assert zone.snapshot is not None
        assert not signing_of(zone).error
        found = {split(record)[4] for record in zone.snapshot.rrset(APEX, DNSKEY)}
        assert found == served[0]
        state = ZoneState.ACTIVE if has_ds else ZoneState.PENDING
        assert keys_of(zone).state is state
        check_signatures(zone.snapshot, world.time.wall())
        assert len(list((tmp_path / "keys" / "example.com").glob("K*.key"))) == 2

    world.session(run)
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    world.session(again)


def test_keys_that_were_made_before_a_kill_are_the_first_ones(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path, SIGNED)

    async def run(core: Core, zone: Zone) -> None:
        assert zone.serial == 1
        assert len(list((tmp_path / "keys" / "example.com").glob("K*.key"))) == 2

    store = KeyStore(tmp_path / "keys")
    for sep in (True, False):
        store.generate(names.from_text("example.com."), 13, sep, world.time.wall())
    world.session(run)
