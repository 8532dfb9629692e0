"""A zone whose KSK somebody else has, who hands in the DNSKEY RRset signed (RFC 8901 model 1)."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing

from tests.dnssec.holding import DAY, handed
from tests.dnssec.signed import check_signatures, key
from tests.server.test_core import until
from tests.server.test_signing import SIGNED, SignedWorld, keys_of, signing_of
from xfer.dnssec import ds
from xfer.dnssec.keys import SigningKey
from xfer.dnssec.keystate import Goal, ZoneState
from xfer.errors import KeyRefused, StepRefused
from xfer.server.came_signed import ends_of
from xfer.server.core import Core
from xfer.server.dnssec_orders import DnssecOrders
from xfer.server.dnssec_status import Ordered
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.wire.records import CDS, DNSKEY, RRSIG, split
from xfer.zone.snapshot import APEX
from xfer.zone.zonefile import zone_file_pieces

ELSEWHERE = SIGNED + 'keys = "zsk"\n'
KSK, NEXT = key(13, True), key(13, True, 1)
BY = Ordered("somebody")
ORIGIN = names.from_text("example.com.")


class Elsewhere(SignedWorld):
    """The KSK is somebody else's."""

    def __init__(self, directory: Path, config: str = ELSEWHERE) -> None:
        super().__init__(directory, config)

    def orders(self, core: Core) -> DnssecOrders:
        return DnssecOrders(core.signers, core.signers.store, core.executor, self.time)

    def zsks(self, zone: Zone) -> list[bytes]:
        """Ours, that are to stay or sign."""
        keys = keys_of(zone)
        return [
            one.public
            for one in keys.keys
            if not one.elsewhere and (one.goal is Goal.SERVE or one.ident in keys.signers)
        ]

    async def hand_in(
        self, core: Core, zone: Zone, zsks: list[bytes], *ksks: SigningKey, **more: object
    ) -> None:
        force = bool(more.pop("force", False))
        text = handed(zone.origin, zsks, ksks or (KSK,), self.time.wall(), **more)  # type: ignore[arg-type]
        await self.orders(core).import_dnskey(zone, BY, text, force)
        await until(lambda: not zone.busy)


def dnskeys(zone: Zone) -> set[bytes]:
    assert zone.snapshot is not None
    return {split(record)[4] for record in zone.snapshot.rrset(APEX, DNSKEY)}


def todo(zone: Zone) -> str:
    return "\n".join(signing_of(zone).todo)


def test_it_is_served_unsigned_until_the_dnskey_rrset_is_handed_in(tmp_path: Path) -> None:
    world = Elsewhere(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        assert not zone.snapshot.rrset(APEX, RRSIG, DNSKEY)
        assert zone.serial == 1
        assert "import-dnskey example.com." in todo(zone)
        world.edit(2, "www A 192.0.2.2")
        await core.read_file(zone)
        assert zone.serial == 2
        zsks = world.zsks(zone)
        assert len(zsks) == 1
        await world.hand_in(core, zone, zsks, cds=True)
        assert dnskeys(zone) == {*zsks, KSK.public}
        assert zone.snapshot.rrset(APEX, CDS)
        assert check_signatures(zone.snapshot, world.time.wall()) > 8
        assert keys_of(zone).state is ZoneState.PENDING
        await world.pass_days(core, zone, 1)
        assert "have whoever has the KSK put this DS at the parent" in todo(zone)

    world.session(run)


def test_keys_in_the_content_are_left_out(tmp_path: Path) -> None:
    world = Elsewhere(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        await world.hand_in(core, zone, world.zsks(zone))
        foreign = handed(zone.origin, [], [NEXT], world.time.wall()).splitlines()[0]
        world.edit(2, foreign)
        await core.read_file(zone)
        assert zone.content is not None and zone.content.rrset(APEX, DNSKEY)
        assert NEXT.public not in dnskeys(zone)
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())
        assert not signing_of(zone).error

    world.session(run)


def test_a_restart_goes_on_with_it(tmp_path: Path) -> None:
    world = Elsewhere(tmp_path)
    kept = []

    async def first(core: Core, zone: Zone) -> None:
        await world.hand_in(core, zone, world.zsks(zone))
        kept.append((zone.serial, dnskeys(zone), keys_of(zone).imported))

    async def again(core: Core, zone: Zone) -> None:
        assert kept == [(zone.serial, dnskeys(zone), keys_of(zone).imported)]
        assert await world.orders(core).export(zone, BY, tmp_path / "out")

    world.session(first)
    (tmp_path / "out").mkdir(mode=0o700)
    world.session(again)
    assert len(list((tmp_path / "out").glob("*.private"))) == 1


def test_a_lost_journal_costs_one_more_hand_in(tmp_path: Path) -> None:
    world = Elsewhere(tmp_path, ELSEWHERE + 'parent = ["192.0.2.53:53"]\n')
    zsks: list[bytes] = []

    async def first(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        zsks.extend(world.zsks(zone))
        await world.hand_in(core, zone, zsks)

    async def again(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        assert zone.snapshot is None
        assert world.zsks(zone) == zsks
        await world.hand_in(core, zone, zsks)
        assert dnskeys(zone) == {*zsks, KSK.public}
        assert keys_of(zone).state is ZoneState.ACTIVE

    world.session(first)
    lost = list(tmp_path.glob("*.db*"))
    assert lost
    for file in lost:
        file.unlink()
    world.parent.has = frozenset({ds.ds_of(ORIGIN, KSK.public).rdata})
    world.session(again)


def test_nothing_unsigned_is_served_where_the_parent_has_a_ds(tmp_path: Path) -> None:
    world = Elsewhere(tmp_path, ELSEWHERE + 'parent = ["192.0.2.53:53"]\n')

    world.parent.has = frozenset({ds.ds_of(ORIGIN, KSK.public).rdata})

    async def run(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        assert zone.snapshot is None
        assert "expected a signed DNSKEY RRset" in signing_of(zone).error
        assert "would be bogus unsigned" in signing_of(zone).error
        assert "import-dnskey" in todo(zone)
        with pytest.raises(StepRefused, match="whose DS is at the parent"):
            await world.hand_in(core, zone, world.zsks(zone), NEXT)
        await world.hand_in(core, zone, world.zsks(zone))
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())
        assert keys_of(zone).state is ZoneState.ACTIVE
        assert signing_of(zone).error == ""

    world.session(run)


def test_a_zsk_rolls_from_one_rrset_to_the_next(tmp_path: Path) -> None:
    world = Elsewhere(tmp_path, ELSEWHERE + 'parent = ["192.0.2.53:53"]\n')

    async def run(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        old = world.zsks(zone)
        await world.hand_in(core, zone, old, days=100)
        await world.pass_days(core, zone, 1)
        world.parent.has = frozenset({ds.ds_of(zone.origin, KSK.public).rdata})
        await world.pass_days(core, zone, 1)
        assert keys_of(zone).state is ZoneState.ACTIVE
        assert todo(zone) == ""
        await world.orders(core).roll(zone, BY, "zsk")
        await world.pass_days(core, zone, 3)
        new = [one for one in world.zsks(zone) if one not in old]
        assert len(new) == 1
        assert "beside the old ones" in todo(zone)
        assert dnskeys(zone) == {*old, KSK.public}
        with pytest.raises(StepRefused, match=r"expected our DNSKEY .* which signs the zone"):
            await world.hand_in(core, zone, new)
        await world.hand_in(core, zone, [*old, *new], days=100)
        assert dnskeys(zone) == {*old, *new, KSK.public}
        (before,) = keys_of(zone).signers
        world.time.now += 600
        await world.settle(core, zone)
        assert keys_of(zone).signers == {before}
        with pytest.raises(StepRefused, match=r"expected our DNSKEY .* which signs the zone"):
            await world.hand_in(core, zone, new)
        while keys_of(zone).signers == {before}:
            world.time.now += 600
            await world.settle(core, zone)
        with pytest.raises(StepRefused, match="too early: caches may hold signatures by") as early:
            await world.hand_in(core, zone, new)
        assert early.value.at is not None
        assert "take DNSKEY" not in todo(zone)
        world.time.now += early.value.at - world.time.wall()
        await world.settle(core, zone)
        assert f"have whoever has the KSK take DNSKEY {before} out" in todo(zone)
        await world.hand_in(core, zone, new, days=100)
        assert dnskeys(zone) == {*new, KSK.public}
        await world.pass_days(core, zone, 1)
        assert before not in {one.ident for one in keys_of(zone).keys}
        assert todo(zone) == ""

    world.session(run)


def test_its_signatures_end_and_nobody_makes_them_here(tmp_path: Path) -> None:
    world = Elsewhere(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        orders = world.orders(core)
        await world.hand_in(core, zone, world.zsks(zone), days=10)
        ends = keys_of(zone).imported
        assert ends is not None
        status = orders.status(zone)
        assert status.keyset_ends_at == ends.ends
        assert status.ends_at is not None and status.ends_at <= ends.ends
        with structlog.testing.capture_logs() as logs:
            await world.pass_days(core, zone, 7)
        assert [one["log_level"] for one in logs if "end soon" in one["event"]] == ["warning"]
        found = await ends_of([zone], world.time.wall(), 10)
        assert (found.near, found.ended) == (1, 0)
        assert found.ends_at == {zone.name: ends.ends}
        assert "have whoever has the KSK sign the DNSKEY RRset anew" in todo(zone)
        assert f"end {ends.ends}" not in todo(zone)
        text = handed(zone.origin, world.zsks(zone), [KSK], world.time.wall(), days=1)
        with pytest.raises(StepRefused, match="expected a newer one"):
            await orders.import_dnskey(zone, BY, text)
        world.time.now += 4 * 86400
        await world.settle(core, zone)
        assert "its signatures ended" in todo(zone)
        await world.hand_in(core, zone, world.zsks(zone), days=20)
        assert "anew" not in todo(zone)
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())

    world.session(run)


def test_what_does_not_verify_changes_nothing(tmp_path: Path) -> None:
    world = Elsewhere(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        orders = world.orders(core)
        good = handed(zone.origin, world.zsks(zone), [KSK], world.time.wall())
        before = keys_of(zone), zone.serial
        for text in (good.replace(" 257 ", " 256 "), good.splitlines()[0], "", "x"):
            with pytest.raises(KeyRefused):
                await orders.import_dnskey(zone, BY, text)
        planned = await orders.import_dnskey(zone, Ordered("x", dry_run=True), good)
        assert "publish the DNSKEY RRset" in planned.did
        assert (keys_of(zone), zone.serial) == before

    world.session(run)


def test_what_others_signed_stays_until_both_sets_have_all_keys(tmp_path: Path) -> None:
    """From signed elsewhere to signed here, under one KSK."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    there = Elsewhere(tmp_path / "there")
    texts: list[str] = []

    async def sign(core: Core, zone: Zone) -> None:
        await there.hand_in(core, zone, there.zsks(zone))
        assert zone.snapshot is not None
        texts.append("".join(zone_file_pieces(zone.snapshot)))

    there.session(sign)

    async def comes_signed(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        assert not signing_of(zone).error
        await core.came_signed.look_at_some()
        said = world.orders(core).status(zone)
        assert said.ends_at is not None and said.ends_first and said.warn_at is not None
        ours = world.zsks(zone)
        assert len(ours) == 1 and not set(ours) & dnskeys(zone)
        both = [*ours, *dnskeys(zone) - {KSK.public}]
        with pytest.raises(StepRefused, match="has not got our DNSKEY"):
            await world.hand_in(core, zone, both)
        theirs.extend(both)

    async def has_our_key(core: Core, zone: Zone) -> None:
        await there.hand_in(core, zone, theirs)
        assert zone.snapshot is not None
        texts.append("".join(zone_file_pieces(zone.snapshot)))

    async def taken_over(core: Core, zone: Zone) -> None:
        assert zone.serial == 3 and dnskeys(zone) == {*theirs, KSK.public}
        with pytest.raises(StepRefused, match="caches may hold DNSKEYs of others without our"):
            await world.hand_in(core, zone, theirs)
        world.time.now += DAY
        await core.signers.look(zone)
        with pytest.raises(StepRefused, match="got none of tag"):
            await world.hand_in(core, zone, theirs[:1])
        await world.hand_in(core, zone, theirs)
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())
        assert keys_of(zone).signed and not signing_of(zone).error
        await core.came_signed.look_at_some()
        assert zone.came_signed is None

    theirs: list[bytes] = []
    (tmp_path / "signed").mkdir()
    world = Elsewhere(tmp_path / "signed")
    (tmp_path / "signed" / "zone").write_text(texts[0])
    world.session(comes_signed)
    there.session(has_our_key)
    (tmp_path / "signed" / "zone").write_text(texts[1])
    world.session(taken_over)
    before = Elsewhere(
        tmp_path / "here", ELSEWHERE.replace('dnssec = "live-signed"', 'dnssec = "pre-signed"')
    )
    (tmp_path / "here" / "zone").write_text(texts[0])

    async def serve(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        assert zone.snapshot.rrset(APEX, RRSIG, DNSKEY)

    before.session(serve)
    here = Elsewhere(tmp_path / "here")
    here.edit(50)

    async def switch(core: Core, zone: Zone) -> None:
        await here.settle(core, zone)
        assert zone.snapshot is not None
        assert zone.snapshot.rrset(APEX, RRSIG, DNSKEY)
        assert "what is served is signed" in signing_of(zone).error
        with pytest.raises(StepRefused, match="has not got our DNSKEY"):
            await here.hand_in(core, zone, [*here.zsks(zone), *dnskeys(zone) - {KSK.public}])
        assert zone.serial is not None and zone.serial < 50

    here.session(switch)
