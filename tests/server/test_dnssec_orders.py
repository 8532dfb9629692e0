"""Orders to a zone's signing, over a real journal and real key files; what is told of it."""

from __future__ import annotations

import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest

from tests.dnssec.apart import make_key
from tests.dnssec.signed import check_signatures
from tests.server.test_signing import SIGNED, SignedWorld, keys_of, signing_of
from xfer.control.values import to_json
from xfer.dnssec.keyfiles import KeyPair, write_private, write_public
from xfer.dnssec.keystate import Goal, Presence, Role, ZoneState
from xfer.errors import KeyRefused, StepRefused
from xfer.server import dnssec_records
from xfer.server.core import Core
from xfer.server.dnssec_orders import DnssecOrders
from xfer.server.dnssec_status import DsMatch, Ordered
from xfer.server.keystore import KeyStore
from xfer.server.status import NoSuchKey, Refused, ZoneStatus
from xfer.server.status import ZoneState as Served
from xfer.server.why import reasons
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.zone.zonefile import zone_file_pieces

DO = Ordered("somebody")
LOOK = Ordered("somebody", True)
HOUR, DAY = 3600.0, 86400.0
ASKED = SIGNED.replace('denial = "nsec"', 'denial = "nsec"\nparent = ["192.0.2.53:53"]')


def files_of(directory: Path, owner: str, *, sep: bool, algorithm: int = 13, **times: int) -> Path:
    """A key made elsewhere, as two files; the path of its .key."""
    pair = KeyPair(names.from_text(owner), make_key(algorithm, sep), times=times)
    directory.mkdir(exist_ok=True)
    public = directory / f"{pair.stem}.key"
    public.write_text(write_public(pair))
    public.with_suffix(".private").write_bytes(write_private(pair).reveal())
    return public


def mode_of(file: str) -> int:
    return stat.S_IMODE(Path(file).stat().st_mode)


Run = Callable[[DnssecOrders, Core, Zone], Awaitable[None]]


def session(world: SignedWorld, run: Run) -> None:
    async def main(core: Core, zone: Zone) -> None:
        orders = DnssecOrders(core.signers, core.signers.store, core.executor, core.clock)
        await world.settle(core, zone)
        await run(orders, core, zone)

    world.session(main)


async def active(world: SignedWorld, orders: DnssecOrders, core: Core, zone: Zone) -> None:
    """Until its DS may be at the parent, and is."""
    await pass_hours(world, core, zone, 4)
    await orders.ds_seen(zone, DO)
    assert keys_of(zone).state is ZoneState.ACTIVE


async def pass_hours(world: SignedWorld, core: Core, zone: Zone, hours: int) -> None:
    for _ in range(hours):
        world.time.now += HOUR
        await world.settle(core, zone)
    assert zone.snapshot is not None
    if keys_of(zone).signed:
        check_signatures(zone.snapshot, world.time.wall())


def test_what_is_told_of_a_zone_from_its_first_signature_to_its_ds(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        told = orders.status(zone)
        assert (told.mode, told.state, told.signed) == ("live-signed", ZoneState.PENDING, True)
        assert [key.role for key in told.keys] == [Role.KSK, Role.ZSK]
        assert [key.dnskey for key in told.keys] == [Presence.RUMOURED] * 2
        assert (told.received_serial, told.published_serial, told.denial) == (1, 1, "NSEC")
        assert told.ends_at is not None
        assert world.time.wall() + 8 * DAY < told.ends_at <= world.time.wall() + 10 * DAY
        assert told.renew_at == told.ends_at - 4 * DAY
        assert (told.ds.match, told.ds.asked, told.error) == (DsMatch.NOT_ASKED, False, "")
        assert told.next_look is not None
        early = dnssec_records.ds(zone)
        assert early.records == ()
        assert "caches may hold what was there before it was signed" in early.note
        assert len(dnssec_records.ds(zone, every=True).records) == 1
        await pass_hours(world, core, zone, 4)
        (record,) = dnssec_records.ds(zone).records
        assert record.wanted
        assert not record.present
        assert record.line in " ".join(orders.status(zone).todo)
        assert record.fields["digest_type"] == 2
        assert dnssec_records.ds(zone, 4).records[0].fields["digest_name"] == "SHA-384"
        await orders.ds_seen(zone, DO)
        told = orders.status(zone)
        assert (told.state, told.ds.match, told.todo) == (ZoneState.ACTIVE, DsMatch.MATCHES, ())
        assert dnssec_records.ds(zone).records[0].present

    session(world, run)


def test_dnskeys_are_those_that_are_served_and_zsks_those_that_sign(tmp_path: Path) -> None:
    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        with pytest.raises(Refused, match="names whom to ask; or say `xfer dnssec ds-seen"):
            await orders.ask_parent(zone)
        ksk, zsk = keys_of(zone).keys
        assert {one.key for one in dnssec_records.dnskey(zone).records} == {ksk.ident, zsk.ident}
        (record,) = dnssec_records.zsk(zone).records
        assert (record.key, record.role, record.present) == (zsk.ident, "zsk", True)
        assert record.line.startswith("example.com. 600 IN DNSKEY 256 3 13 ")
        with pytest.raises(KeyRefused, match="digest type of 2"):
            dnssec_records.ds(zone, 1)

    session(SignedWorld(tmp_path), run)


def test_a_rollover_is_looked_at_first_and_then_begun(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        await active(world, orders, core, zone)
        before = keys_of(zone)
        looked = await orders.roll(zone, LOOK, "ksk")
        assert looked.says == ("a ksk of algorithm 13 is made",)
        assert "new DS has to be put at the parent" in looked.stake[0]
        assert keys_of(zone) is before
        done = await orders.roll(zone, DO, "ksk")
        assert [key.goal for key in done.dnssec.keys] == [Goal.LEAVE, Goal.SERVE, Goal.SERVE]
        with pytest.raises(StepRefused, match="is still being replaced; wait until it is gone"):
            await orders.roll(zone, LOOK, "ksk")
        with pytest.raises(StepRefused, match="the policy has ksk and zsk"):
            await orders.roll(zone, DO, "csk")
        with pytest.raises(StepRefused, match="set `algorithm`"):
            await orders.roll(zone, DO, "algorithm")

    session(world, run)


def test_a_compromised_key_is_replaced_with_all_that_is_at_stake_told(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        await active(world, orders, core, zone)
        old = keys_of(zone).keys[1].ident
        looked = await orders.roll(zone, LOOK, "zsk", compromised=True)
        assert any("can forge answers" in item for item in looked.stake)
        assert not any(key.compromised for key in keys_of(zone).keys)
        done = await orders.roll(zone, DO, "zsk", compromised=True)
        assert done.stake == looked.stake
        assert [key.compromised for key in done.dnssec.keys] == [False, True, False]
        with pytest.raises(StepRefused, match="under way already"):
            await orders.roll(zone, DO, "zsk", compromised=True, key=old)
        with pytest.raises(StepRefused, match="it is a zsk, got ksk"):
            await orders.roll(zone, DO, "ksk", compromised=True, key=old)
        with pytest.raises(NoSuchKey, match=r"has no key '1'; it has 013\+\d+ \(ksk\), "):
            await orders.roll(zone, DO, "zsk", compromised=True, key="1")
        await pass_hours(world, core, zone, 3)
        assert old not in {key.ident for key in keys_of(zone).keys}

    session(world, run)


def test_the_way_to_an_unsigned_zone_has_no_short_cut_and_a_way_back(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        await active(world, orders, core, zone)
        with pytest.raises(StepRefused, match="it is active; `xfer dnssec disable` it"):
            await orders.delete(zone, DO)
        looked = await orders.disable(zone, LOOK)
        assert looked.says == ("the zone is pending-disabled", "the DS has to leave the parent")
        assert "stays signed until its DS has left" in looked.stake[0]
        assert (await orders.disable(zone, DO)).dnssec.state is ZoneState.PENDING_DISABLED
        assert "no DS of it is to be at the parent" in dnssec_records.ds(zone).note
        back = await orders.disable(zone, DO, cancel=True)
        assert back.dnssec.state is ZoneState.ACTIVE
        await orders.disable(zone, DO)
        with pytest.raises(StepRefused, match="take that from the parent first"):
            await orders.delete(zone, DO)
        gone = await orders.ds_gone(zone, DO)
        assert gone.dnssec.state is ZoneState.DISABLED
        assert "serves the zone without DNSSEC, from" in gone.dnssec.todo[-1]
        with pytest.raises(StepRefused, match=r"caches may hold its DS until .* wait until then"):
            await orders.delete(zone, DO)
        await pass_hours(world, core, zone, 27)
        assert orders.status(zone).todo[-1].endswith("without DNSSEC, now")
        done = await orders.delete(zone, DO)
        assert (done.dnssec.state, done.dnssec.signed) == (ZoneState.DELETED, False)
        assert zone.snapshot is not None
        assert zone.snapshot.count == 3
        assert "`xfer dnssec enable example.com.` begins it anew" in done.dnssec.mismatch
        again = await orders.enable(zone, DO)
        assert (again.dnssec.state, again.dnssec.mismatch) == (ZoneState.PENDING, "")
        await pass_hours(world, core, zone, 1)

    session(world, run)


def test_a_config_that_has_it_unsigned_ends_nothing_and_shows_the_way_out(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        await active(world, orders, core, zone)
        world.write(SIGNED.replace('dnssec = "live-signed"\ndnssec_policy = "p"\n', ""))
        await core.reload()
        await world.settle(core, zone)
        told = orders.status(zone)
        assert (told.mode, told.state, told.signed) == ("unsigned", ZoneState.ACTIVE, True)
        assert 'config says dnssec = "unsigned", and it is still signed here' in told.mismatch
        assert "`xfer dnssec disable example.com.`, take its DS from the parent" in told.mismatch
        assert (await orders.disable(zone, DO)).dnssec.mismatch.count("take its DS from") == 1
        await orders.ds_gone(zone, DO)
        assert "wait until no cache holds its DS, then `xfer dnssec delete" in (
            orders.status(zone).mismatch
        )
        await pass_hours(world, core, zone, 27)
        await orders.delete(zone, DO)
        assert orders.status(zone).mismatch == ""

    session(world, run)


def test_keys_are_exported_for_their_owner_only_and_over_nothing(tmp_path: Path) -> None:
    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        looked = await orders.export(zone, LOOK, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert "can sign in the name of example.com." in looked.stake[0]
        done = await orders.export(zone, DO, tmp_path / "out")
        assert sorted(done.files) == sorted(map(str, (tmp_path / "out").iterdir()))
        for file in done.files:
            assert mode_of(file) == 0o600
        with pytest.raises(KeyRefused, match="a new file, got one that exists already"):
            await orders.export(zone, DO, tmp_path / "out")
        ident = keys_of(zone).keys[0].ident
        tag = str(int(ident[-5:]))
        assert len((await orders.export(zone, DO, tmp_path / "one", [tag])).files) == 2
        with pytest.raises(NoSuchKey, match="has no key 'x'"):
            await orders.export(zone, DO, tmp_path / "two", ["x"])
        assert not (tmp_path / "two").exists()

    session(SignedWorld(tmp_path), run)


def test_imported_keys_take_the_place_of_ours_by_a_rollover(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        await active(world, orders, core, zone)
        file = files_of(tmp_path / "theirs", "example.com.", sep=False)
        old = keys_of(zone).keys[1].ident
        store = core.signers.store
        held = set(store.load(zone.origin).keys)
        looked = await orders.import_keys(zone, LOOK, [file, file.with_suffix(".private")])
        new = looked.did.removeprefix("import ")
        assert looked.says == (f"DNSKEY {new} comes in",)
        assert set(store.load(zone.origin).keys) == held
        await orders.import_keys(zone, DO, [file])
        assert {key.ident for key in keys_of(zone).leaving_keys()} == {old}
        await pass_hours(world, core, zone, 8)
        assert [key.ident for key in keys_of(zone).keys if key.role is Role.ZSK] == [new]
        assert not signing_of(zone).error

    session(world, run)


def test_times_in_the_files_of_a_key_are_told_of_where_they_say_something_else(
    tmp_path: Path,
) -> None:
    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        usual = files_of(tmp_path / "in", "example.com.", sep=False, Publish=1, Activate=1)
        assert not (await orders.import_keys(zone, LOOK, [usual])).stake
        ended = files_of(tmp_path / "in", "example.com.", sep=False, Activate=1, Inactive=86400)
        (stake,) = (await orders.import_keys(zone, LOOK, [ended])).stake
        assert stake.startswith("Inactive 1970-01-02 00:00:00 UTC in the files of 013+")
        coming = files_of(tmp_path / "in", "example.com.", sep=False, Activate=4102444800)
        (stake,) = (await orders.import_keys(zone, LOOK, [coming])).stake
        assert stake.startswith("Activate 2100-01-01")

    session(SignedWorld(tmp_path), run)


def test_a_zone_without_keys_exports_none(tmp_path: Path) -> None:
    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        await orders.disable(zone, DO)
        await orders.delete(zone, DO)
        signing = signing_of(zone)
        assert signing.keys is not None
        signing.keys = attrs.evolve(signing.keys, keys=())
        with pytest.raises(Refused, match="has no keys here to export; it is deleted"):
            await orders.export(zone, DO, tmp_path / "out")

    session(SignedWorld(tmp_path), run)


def test_keys_that_are_not_the_zones_are_refused_and_none_is_kept(tmp_path: Path) -> None:
    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        store = core.signers.store
        held = set(store.load(zone.origin).keys)
        good = files_of(tmp_path / "in", "example.com.", sep=False)
        other = files_of(tmp_path / "in", "example.org.", sep=False)
        with pytest.raises(KeyRefused, match=r"a key of example\.com\., got one of example\.org\."):
            await orders.import_keys(zone, DO, [good, other])
        with pytest.raises(KeyRefused, match="No such file"):
            await orders.import_keys(zone, DO, [good, tmp_path / "in/Kexample.com.+013+00001"])
        hostile = tmp_path / "in" / "Kexample.com.+013+00002.key"
        hostile.write_text(good.read_text())
        secret = good.with_suffix(".private").read_text()
        hostile.with_suffix(".private").write_text(secret.replace("PrivateKey:", "PrivateKey"))
        with pytest.raises(KeyRefused) as refused:
            await orders.import_keys(zone, DO, [hostile])
        assert not any(word in str(refused.value) for word in secret.split() if len(word) > 20)
        wrong = files_of(tmp_path / "in", "example.com.", sep=False, algorithm=15)
        with pytest.raises(StepRefused, match=r"of algorithm 13, got a zsk of algorithm 15"):
            await orders.import_keys(zone, DO, [good, wrong])
        assert set(store.load(zone.origin).keys) == held
        assert len(keys_of(zone).keys) == 2

    session(SignedWorld(tmp_path), run)


def test_a_key_in_use_stays_and_one_that_nobody_needs_goes(tmp_path: Path) -> None:
    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        ksk = keys_of(zone).keys[0].ident
        with pytest.raises(StepRefused, match="it is in use; roll it"):
            await orders.remove_key(zone, DO, ksk)
        with pytest.raises(NoSuchKey):
            await orders.remove_key(zone, DO, "013+99999")
        with pytest.raises(StepRefused, match="no other signer of the zone is known"):
            await orders.shared(zone, DO, keys_of(zone).keys[1].ident)

    session(SignedWorld(tmp_path), run)


def test_a_zone_without_signing_is_refused_with_what_to_write(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path, SIGNED.replace('dnssec = "live-signed"\ndnssec_policy = "p"', ""))

    async def main(core: Core, zone: Zone) -> None:
        orders = DnssecOrders(core.signers, core.signers.store, core.executor, core.clock)
        assert orders.told(zone) is None
        assert orders.status(zone).mode == "unsigned"
        for asked in (dnssec_records.ds, dnssec_records.dnskey, dnssec_records.zsk):
            with pytest.raises(Refused, match='write dnssec = "live-signed" in its config'):
                asked(zone)
        with pytest.raises(Refused, match="not signed here"):
            await orders.delete(zone, DO)
        file = files_of(tmp_path / "in", "example.com.", sep=True)
        kept = await orders.import_keys(zone, DO, [file])
        assert "once example.com. is signed here, and if it came signed by them" in kept.says[0]
        assert len(core.signers.store.load(zone.origin).keys) == 1

    world.session(main)


def test_what_the_parent_has_and_whether_it_said_so(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path, ASKED)

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        told = orders.status(zone)
        assert (told.ds.match, told.ds.asked) == (DsMatch.NONE, True)
        await pass_hours(world, core, zone, 4)
        assert orders.status(zone).ds.match is DsMatch.NOT_SEEN
        with pytest.raises(StepRefused, match="the parent's servers showed none"):
            await orders.ds_seen(zone, DO)
        fields = dnssec_records.ds(zone).records[0].text.split()
        rdata = int(fields[0]).to_bytes(2, "big") + bytes((13, 2)) + bytes.fromhex(fields[3])
        world.parent.has = frozenset({rdata})
        assert (await orders.ask_parent(zone)).ds.match is DsMatch.MATCHES
        world.parent.has = frozenset({bytes((0, 1, 8, 2)) + bytes(32)})
        await pass_hours(world, core, zone, 24)
        ds = orders.status(zone).ds
        assert ds.match is DsMatch.DIFFERS
        assert ds.present[0].startswith("foreign:008+00001:")

    session(world, run)


def test_no_answer_and_no_event_has_a_private_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = SignedWorld(tmp_path)
    told: list[str] = []

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        await active(world, orders, core, zone)
        file = files_of(tmp_path / "in", "example.com.", sep=False)
        answers = [
            orders.status(zone),
            dnssec_records.ds(zone),
            dnssec_records.dnskey(zone),
            dnssec_records.zsk(zone),
            await orders.roll(zone, DO, "ksk"),
            await orders.import_keys(zone, DO, [file]),
            await orders.export(zone, DO, tmp_path / "out"),
        ]
        told.extend(json.dumps(to_json(answer)) for answer in answers)
        told.append(repr(answers) + repr(signing_of(zone)) + repr(core.signers.store))

    session(world, run)
    output = capsys.readouterr()
    everything = "\n".join((*told, output.out, output.err)) + (
        tmp_path / "journal.db"
    ).read_bytes().decode("latin-1")
    secrets = secret_words(tmp_path / "keys") | secret_words(tmp_path / "in")
    assert len(secrets) == 4
    assert not [word for word in secrets if word in everything]


def secret_words(directory: Path) -> set[str]:
    """What stands in base64 in the private key files below a directory."""
    found = set()
    for file in directory.rglob("*.private"):
        for line in file.read_text().splitlines():
            name, _, value = line.partition(": ")
            if name == "PrivateKey":
                found.add(value)
    return found


def come_signed(tmp_path: Path) -> SignedWorld:
    """A world whose zone comes signed elsewhere, by keys whose files are in `moved`."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    theirs = SignedWorld(tmp_path / "theirs")
    text: list[str] = []

    async def sign(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        text.append("".join(zone_file_pieces(zone.snapshot)))
        await orders.export(zone, DO, tmp_path / "moved")

    session(theirs, sign)
    ours = SignedWorld(tmp_path / "ours")
    ours.time.now = theirs.time.now
    (tmp_path / "ours" / "zone").write_text(text[0])
    return ours


def test_a_zone_that_comes_signed_goes_on_with_its_keys_once_they_are_imported(
    tmp_path: Path,
) -> None:
    ours = come_signed(tmp_path)

    async def take_over(core: Core, zone: Zone) -> None:
        orders = DnssecOrders(core.signers, core.signers.store, core.executor, core.clock)
        told = orders.status(zone)
        assert (told.signed, told.state) == (False, None)
        assert "import its keys (`xfer dnssec import example.com. FILES`)" in told.error
        with pytest.raises(Refused, match="has no keys yet: cannot sign"):
            await orders.roll(zone, DO, "ksk")
        files = list_of(tmp_path / "moved", ".key")
        looked = await orders.import_keys(zone, LOOK, files)
        assert (looked.dnssec.error, len(looked.says)) == (told.error, 1)
        done = await orders.import_keys(zone, DO, files)
        assert (done.dnssec.signed, done.dnssec.error) == (True, "")
        assert [f"K{zone.name}+{key.ident}.key" for key in done.dnssec.keys] == [
            file.name for file in files
        ]
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, ours.time.wall())

    ours.session(take_over)


def test_a_zone_that_comes_signed_waits_until_the_key_that_signs_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = come_signed(tmp_path)
    zsk, ksk = sorted(
        list_of(tmp_path / "moved", ".key"), key=lambda file: " 257 " in file.read_text()
    )

    async def take_over(core: Core, zone: Zone) -> None:
        orders = DnssecOrders(core.signers, core.signers.store, core.executor, core.clock)
        take_in, alone = KeyStore.take_in, []

        def watched(store: KeyStore, owner: bytes, pair: KeyPair) -> KeyPair:
            alone.append(zone.busy)
            return take_in(store, owner, pair)

        monkeypatch.setattr(KeyStore, "take_in", watched)
        done = await orders.import_keys(zone, DO, [ksk])
        assert zone.snapshot is zone.content, "as it came"
        signer = zsk.stem.removeprefix(f"K{zone.name}+")
        assert f"it comes signed by {signer}, of which no private key is here" in done.dnssec.error
        assert "import that one too" in done.dnssec.error
        done = await orders.import_keys(zone, DO, [zsk])
        assert (done.dnssec.signed, done.dnssec.error) == (True, "")
        assert {key.ident for key in done.dnssec.keys} == {
            file.stem.removeprefix(f"K{zone.name}+") for file in (zsk, ksk)
        }
        assert alone == [True, True], "no look finds some of the keys"
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, ours.time.wall())

    ours.session(take_over)


def list_of(directory: Path, ending: str) -> list[Path]:
    return sorted(directory.glob(f"*{ending}"))


def test_a_secondary_that_lags_is_told_as_what_keys_wait_for(tmp_path: Path) -> None:
    world = SignedWorld(
        tmp_path,
        SIGNED.replace("dnssec_policy", 'secondaries = ["public"]\ndnssec_policy', 1)
        + '[[peer]]\nname = "public"\naddress = "192.0.2.9"\n',
    )

    async def run(orders: DnssecOrders, core: Core, zone: Zone) -> None:
        (held,) = orders.status(zone).held_up
        assert (held.name, held.serial) == ("public", 1)
        assert held.until == held.since + DAY
        assert "once every secondary has the signed zone" in dnssec_records.ds(zone).note
        status = ZoneStatus(zone.name, "primary", Served.CURRENT, 1, dnssec=orders.status(zone))
        told = [reason.text for reason in reasons(status, (), world.time.wall() + 600)]
        assert any("Keys wait for secondary public" in text for text in told)

    world.session(
        lambda core, zone: run(
            DnssecOrders(core.signers, core.signers.store, core.executor, core.clock), core, zone
        )
    )
