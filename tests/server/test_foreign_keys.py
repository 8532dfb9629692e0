"""DNSKEYs of other signers in the content of a zone that is signed here (RFC 8901)."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from tests.dnssec.apart import make_key
from tests.dnssec.signed import check_signatures
from tests.server.test_signing import SIGNED, SignedWorld, keys_of, signing_of
from xfer.dnssec import commands, migration
from xfer.dnssec.ds import dnskey_from, ds_of
from xfer.dnssec.elsewhere import Sides
from xfer.dnssec.idents import ident_of, tag_in
from xfer.dnssec.keys import SigningKey
from xfer.dnssec.keystate import Role
from xfer.dnssec.stages import Stage
from xfer.dnssec.timing import DsSeen
from xfer.errors import StepRefused
from xfer.server import zonefiles
from xfer.server.core import Core
from xfer.server.migration_sides import lacking
from xfer.server.signing_terms import policy_of
from xfer.server.zones import Zone
from xfer.wire.records import CDNSKEY, CDS, DNSKEY, NS, RRSIG, split
from xfer.zone.snapshot import APEX


def line(public: bytes, ttl: int) -> str:
    return f"@ {ttl} DNSKEY {dnskey_from(public).text}"


def served(zone: Zone) -> dict[bytes, int]:
    """The DNSKEYs that are served, with their TTL."""
    assert zone.snapshot is not None
    fields = [split(record) for record in zone.snapshot.rrset(APEX, DNSKEY)]
    return {one[4]: one[3] for one in fields}


def foreign() -> tuple[SigningKey, SigningKey]:
    return make_key(13, True), make_key(13, False)


def test_keys_in_the_content_are_published_and_signed_by_our_ksk(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        ours = set(served(zone))
        assert zone.snapshot is not None
        ksk, zsk = foreign()
        world.edit(2, line(zsk.public, 77), line(ksk.public, 77), "@ NS ns.other.net.")
        await core.read_file(zone)
        assert set(served(zone)) == ours | {ksk.public, zsk.public}
        assert set(served(zone).values()) == {600}  # the policy's, for an RRset has one TTL
        assert len(zone.snapshot.rrset(APEX, NS)) == 2
        check_signatures(zone.snapshot, world.time.wall())
        signed_by = {split(record)[4][16:18] for record in zone.snapshot.rrset(APEX, RRSIG, DNSKEY)}
        own_ksk = next(key for key in keys_of(zone).keys if key.role.signs_keys)
        assert {int.from_bytes(tag, "big") for tag in signed_by} == {tag_in(own_ksk.ident)}
        assert keys_of(zone).multi_signer
        # A CDS of ours alone would take the other's DS away (RFC 8901 §8).
        assert not zone.snapshot.rrset(APEX, CDS)
        assert not zone.snapshot.rrset(APEX, CDNSKEY)
        world.edit(3)
        await core.read_file(zone)
        assert set(served(zone)) == ours
        assert not keys_of(zone).multi_signer
        check_signatures(zone.snapshot, world.time.wall())

    world.session(run)


@pytest.mark.parametrize(
    "rdata",
    [bytes((1, 0, 2, 13)) + bytes(64), bytes((1, 0, 3, 13)) + bytes(5000)],
    ids=["of another protocol", "too long"],
)
def test_what_is_no_key_in_the_content_is_nobodys(tmp_path: Path, rdata: bytes) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        world.edit(2, f"@ 600 DNSKEY \\# {len(rdata)} {rdata.hex()}")
        await core.read_file(zone)
        assert rdata in served(zone)
        assert not keys_of(zone).multi_signer

    async def again(core: Core, zone: Zone) -> None:
        assert not signing_of(zone).damaged

    world.session(run)
    world.session(again)


def test_keys_of_ours_that_come_back_are_no_other_signers(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        ours = served(zone)
        world.edit(2, *(line(public, 900) for public in ours))
        await core.read_file(zone)
        assert served(zone) == ours
        assert not keys_of(zone).multi_signer
        assert not keys_of(zone).keyset.foreign
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())

    world.session(run)


def test_their_keys_and_cds_stay_while_ours_roll(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        _, zsk = foreign()
        cds = "@ CDS 12345 13 2 " + "ab" * 32
        world.edit(2, line(zsk.public, 300), cds)
        await core.read_file(zone)
        first = {key.ident for key in keys_of(zone).keys}
        await world.pass_days(core, zone, 22)  # a new ZSK is made, and waits for the others
        made = {key.ident for key in keys_of(zone).keys} - first
        assert made
        assert not made & keys_of(zone).signers
        assert any("have the other signers publish" in item for item in signing_of(zone).todo)
        assert zsk.public in served(zone)
        assert zone.snapshot is not None
        assert len(zone.snapshot.rrset(APEX, CDS)) == 1

    world.session(run)


def test_a_key_that_leaves_the_content_too_early_stays_until_its_time(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        ksk, zsk = foreign()
        world.edit(2, line(zsk.public, 300))
        await core.read_file(zone)
        theirs = ds_of(zone.origin, ksk.public).rdata
        signing_of(zone).ds = DsSeen(frozenset({theirs}), world.time.wall(), 3600)
        world.edit(3)
        await core.read_file(zone)
        assert zsk.public in served(zone)
        (told,) = [item for item in signing_of(zone).todo if "is published still" in item]
        assert "the other signer's DS is at the parent" in told
        signing_of(zone).ds = DsSeen(frozenset(), world.time.wall(), 3600)
        await core.signers.look(zone)
        assert zsk.public in served(zone)
        world.time.now += 3 * 3600
        await core.signers.look(zone)
        assert zsk.public not in served(zone)
        assert not any("is published still" in item for item in signing_of(zone).todo)
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())

    world.session(run)


def test_keys_in_the_content_survive_a_restart_and_cannot_be_ordered_out(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)
    _, zsk = foreign()
    world.edit(1, line(zsk.public, 300))

    async def run(core: Core, zone: Zone) -> None:
        assert [key.content for key in keys_of(zone).foreign] == [True]
        with pytest.raises(StepRefused, match="comes in the zone's content"):
            await core.signers.change(
                zone,
                lambda keys, policy, now, facts: migration.remove_foreign(
                    keys, zsk.public, policy, now, facts
                ),
            )

    world.session(run)
    world.session(run)


def test_too_many_keys_in_the_content_are_refused(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        rdata = (bytes((1, 0, 3, 13)) + number.to_bytes(64, "big") for number in range(65))
        world.edit(2, *(line(public, 300) for public in rdata))
        await core.read_file(zone)
        assert zone.serial == 1
        assert "at most 64 DNSKEYs" in signing_of(zone).error

    world.session(run)


def test_an_algorithm_rolls_once_the_zone_has_one_signer(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)
    _, zsk = foreign()
    world.edit(1, line(zsk.public, 300))

    async def alone(core: Core, zone: Zone) -> None:
        assert {key.algorithm for key in keys_of(zone).keys} == {13}

    async def run(core: Core, zone: Zone) -> None:
        await world.pass_days(core, zone, 2)
        assert {key.algorithm for key in keys_of(zone).keys} == {13}
        assert any("we go on with 13" in item for item in signing_of(zone).todo)
        with pytest.raises(StepRefused, match="roll it while the zone has one signer"):
            commands.roll_algorithm(keys_of(zone), policy_of(zone))
        with pytest.raises(StepRefused, match="all have to use one algorithm"):
            commands.roll(keys_of(zone), Role.ZSK, policy_of(zone))
        _, other = foreign()
        await core.signers.change(  # of the algorithm that we sign with
            zone,
            lambda keys, policy, now, facts: migration.add_foreign(keys, other.public, now, policy),
        )
        await core.signers.change(
            zone,
            lambda keys, policy, now, facts: migration.remove_foreign(
                keys, other.public, policy, now, facts
            ),
        )
        world.edit(2)
        await core.read_file(zone)
        await world.settle(core, zone)
        assert {key.algorithm for key in keys_of(zone).keys} == {13, 15}

    world.session(alone)
    other = SIGNED.replace("[dnssec_policy.p]", "[dnssec_policy.p]\nalgorithm = 15")
    world.write(other)
    world.session(run)


async def rolled_zsk(world: SignedWorld, core: Core, zone: Zone) -> bytes:
    """A ZSK of ours that was rolled and removed."""
    (zsk,) = [key for key in keys_of(zone).keys if not key.role.signs_keys]
    for _ in range(60):
        await world.pass_days(core, zone, 1)
        if zsk.ident not in {key.ident for key in keys_of(zone).keys}:
            return zsk.public
    raise AssertionError("the ZSK did not roll")


@pytest.mark.parametrize("with_others", [False, True])
def test_a_removed_key_of_ours_in_an_old_export_is_nobody_elses(
    tmp_path: Path, with_others: bool
) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        old = await rolled_zsk(world, core, zone)
        ours = set(served(zone))
        _, theirs = foreign()
        export = [line(public, 600) for public in (*ours, old)] if with_others else []
        cds = f"@ CDS {ds_of(zone.origin, old).text}"
        world.edit(50, line(theirs.public, 600), line(old, 600), cds, *export)
        await core.read_file(zone)
        assert set(served(zone)) == ours | {theirs.public}
        assert zone.snapshot is not None
        assert not zone.snapshot.rrset(APEX, CDS)
        assert [key.public for key in keys_of(zone).foreign] == [theirs.public]
        (told,) = [item for item in signing_of(zone).todo if "was removed" in item]
        assert f"DNSKEY {ident_of(old)}, a key of ours" in told
        check_signatures(zone.snapshot, world.time.wall())
        world.edit(51)
        await core.read_file(zone)
        assert not any("was removed" in item for item in signing_of(zone).todo)

    world.session(run)


def test_a_key_of_ours_that_stays_in_the_content_goes_when_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As from a primary whose zone has it: nothing is taken out of a transfer.
    monkeypatch.setattr(zonefiles, "without_ours", lambda snapshot, _: snapshot)
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        (zsk,) = [key for key in keys_of(zone).keys if not key.role.signs_keys]
        world.edit(2, line(zsk.public, 600))
        await core.read_file(zone)
        old = await rolled_zsk(world, core, zone)
        await world.settle(core, zone)
        await core.signers.look(zone)
        assert old not in served(zone)
        assert not keys_of(zone).multi_signer
        assert any("was removed" in item for item in signing_of(zone).todo)
        serial = zone.serial
        await core.signers.look(zone)
        assert zone.serial == serial  # it is done once

    world.session(run)
    world.session(run_again)


async def run_again(core: Core, zone: Zone) -> None:
    assert not keys_of(zone).multi_signer


def test_a_removed_key_that_another_signer_was_given_is_published(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        old = await rolled_zsk(world, core, zone)
        world.edit(50, line(old, 600))
        await core.read_file(zone)
        assert old not in served(zone)
        await core.signers.change(
            zone, lambda keys, policy, now, _: migration.add_foreign(keys, old, now, policy)
        )
        assert old in served(zone)
        assert not any("was removed" in item for item in signing_of(zone).todo)

    world.session(run)


def test_a_cds_in_the_content_that_would_take_our_ds_away_is_told(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        ksk, zsk = foreign()
        cds = ds_of(zone.origin, ksk.public).text
        world.edit(2, line(zsk.public, 300), f"@ CDS {cds}")
        await core.read_file(zone)
        await world.pass_days(core, zone, 1)
        keys, now = keys_of(zone), world.time.wall()
        assert keys.wanted
        (said,) = (
            one for one in lacking(zone, keys, Sides(), Stage.SERVERS_ADDED, now) if "CDS" in one
        )
        assert said.startswith("the zone here publishes CDS or CDNSKEY without ours")
        moved = attrs.evolve(keys, moved_at=now)
        assert said in lacking(zone, moved, Sides(), Stage.DS_TAKEN, now)
        world.edit(3, line(zsk.public, 300))
        await core.read_file(zone)
        assert "CDS" not in str(lacking(zone, keys_of(zone), Sides(), Stage.SERVERS_ADDED, now))

    world.session(run)
