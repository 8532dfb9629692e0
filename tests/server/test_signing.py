"""Zones that are signed here, in a core over a real journal and real key files."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog.testing
import trio
import trio.testing

from tests.dnssec.signed import check_signatures
from tests.server.fakes import HandClock
from tests.server.test_core import World, until, zone_of
from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import commands
from xfer.dnssec.keystate import Role, ZoneKeys, ZoneState
from xfer.dnssec.parent import ParentSaid
from xfer.dnssec.timing import DsSeen
from xfer.journal.versions import RECEIVED
from xfer.server.core import Core
from xfer.server.edited import RemovedZone
from xfer.server.signed import Signing
from xfer.server.zones import Zone
from xfer.wire.records import CDS, DNSKEY, NSEC, RRSIG, split
from xfer.zone.snapshot import APEX

DAY = 86400.0
TEXT = """$ORIGIN example.com.
$TTL 300
@ SOA ns1 hostmaster {serial} 3600 600 86400 60
@ NS ns1
ns1 A 192.0.2.1
{extra}
"""
SIGNED = """
keys = "{directory}/keys"
[[zone]]
name = "example.com"
role = "primary"
file = "{directory}/zone"
dnssec = "live-signed"
dnssec_policy = "p"
[dnssec_policy.p]
denial = "nsec"
zsk_lifetime = "20d"
dnskey_ttl = 600
signature_validity = "10d"
signature_refresh = "4d"
signature_jitter = "1d"
signatures_at_once = 3
"""


class Parent:
    """In place of the parent's servers: `has` is its DS set."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.has: frozenset[bytes] = frozenset()
        self.asked: list[float] = []

    async def ask(self, origin: bytes, policy: DnssecPolicy) -> ParentSaid:
        self.asked.append(self.clock.wall())
        return ParentSaid(DsSeen(self.has, self.clock.wall(), 3600))


class SignedWorld(World):
    """A core with a zone of its own that is signed."""

    def __init__(self, directory: Path, config: str = SIGNED) -> None:
        self.time = HandClock()
        super().__init__(directory, config, self.time)
        self.parent = Parent(self.time)
        self.edit(1)

    def edit(self, serial: int, *extra: str) -> None:
        text = TEXT.format(serial=serial, extra="\n".join(extra))
        (self.directory / "zone").write_text(text)

    def session(self, run: Callable[[Core, Zone], Awaitable[None]]) -> None:
        """run: once the zone is read, its file too."""

        async def main(core: Core) -> None:
            core.signers.watch.parents = self.parent  # type: ignore[assignment]
            await core.load_all()
            zone = zone_of(core)
            await until(lambda: core.loaded.is_set() and not zone.busy)
            await core.read_file(zone)
            await run(core, zone)

        self.run(main, stored=False)

    async def pass_days(self, core: Core, zone: Zone, days: int) -> None:
        """Let time pass, an hour at a time; what is served validates all along."""
        for hour in range(24 * days):
            self.time.now += 3600
            await self.settle(core, zone)
            if hour % 24 == 0:
                assert zone.snapshot is not None
                check_signatures(zone.snapshot, self.time.wall())

    async def settle(self, core: Core, zone: Zone) -> None:
        """Do all that is due by now."""
        for _ in range(50):
            core.signers.reminders.run_due()
            await trio.testing.wait_all_tasks_blocked()
            await until(lambda: not zone.busy)
            await trio.testing.wait_all_tasks_blocked()
            due = core.signers.reminders.due(zone)
            if not (zone.busy or signing_of(zone).asking) and due and due > self.time.wall():
                return
        raise AssertionError("something is due again and again")


def signing_of(zone: Zone) -> Signing:
    assert zone.signing is not None
    return zone.signing


def keys_of(zone: Zone) -> ZoneKeys:
    keys = signing_of(zone).keys
    assert keys is not None
    return keys


def test_a_zone_is_served_signed_and_its_content_kept_apart(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        assert zone.content is not None
        assert check_signatures(zone.snapshot, world.time.wall()) > 4
        assert zone.content.count == 3
        assert len(zone.snapshot.rrset(APEX, DNSKEY)) == 2
        assert not zone.content.rrset(APEX, DNSKEY)
        world.edit(2, "www A 192.0.2.2")
        await core.read_file(zone)
        assert zone.serial == zone.content_serial == 2
        assert zone.snapshot.rrset(b"www\0\0", NSEC)
        check_signatures(zone.snapshot, world.time.wall())
        origin = zone.origin
        assert [v.serial for v in core.journal.versions(origin, RECEIVED)] == [2, 1]
        assert [v.kind for v in core.journal.versions(origin)] == ["signed", "signed"]

    world.session(run)


def test_a_restart_goes_on_with_the_same_keys_and_signs_nothing_anew(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)
    roots: list[bytes] = []

    async def run(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        roots.append(zone.snapshot.root)
        assert not signing_of(zone).error

    world.session(run)
    world.session(run)
    assert roots[0] == roots[1]


def test_content_that_came_before_a_crash_is_signed_after_it(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def fail(core: Core, zone: Zone) -> None:
        world.edit(2, "www A 192.0.2.2")

        class Killed:
            """The process ends before anything is signed."""

            async def follow(self, zone: Zone) -> None:
                pass

        core.publisher.signer = Killed()
        await core.read_file(zone)
        assert (zone.content_serial, zone.serial) == (2, 1)

    async def run(core: Core, zone: Zone) -> None:
        assert (zone.content_serial, zone.serial) == (2, 2)
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())

    world.session(fail)
    world.session(run)


def test_signatures_are_renewed_in_time_and_zsks_roll(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)
    first: list[set[str]] = []

    async def run(core: Core, zone: Zone) -> None:
        first.append({key.ident for key in keys_of(zone).keys if key.role is Role.ZSK})
        await world.pass_days(core, zone, 45)
        later = {key.ident for key in keys_of(zone).keys if key.role is Role.ZSK}
        assert later.isdisjoint(first[0])
        assert zone.content_serial == 1
        assert zone.serial is not None
        assert zone.serial > 5
        assert zone.snapshot is not None
        assert zone.snapshot.rrset(APEX, CDS)

    world.session(run)


def test_a_month_off_leaves_nothing_undone(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())

    world.session(run)
    world.time.now += 31 * DAY
    world.session(run)


def test_a_lost_key_leaves_what_is_served_and_is_told(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        assert not signing_of(zone).error

    async def lost(core: Core, zone: Zone) -> None:
        world.edit(2, "www A 192.0.2.2")
        await core.read_file(zone)
        assert (zone.content_serial, zone.serial) == (2, 1)
        assert "expected the key 013+" in signing_of(zone).error
        for file in (tmp_path / "away").iterdir():
            file.rename(tmp_path / "keys" / "example.com" / file.name)
        world.time.now += 61
        await world.settle(core, zone)
        assert zone.serial == 2
        assert not signing_of(zone).error

    world.session(run)
    (tmp_path / "away").mkdir()
    for file in (tmp_path / "keys" / "example.com").glob("K*"):
        file.rename(tmp_path / "away" / file.name)
    world.session(lost)


def test_a_zone_that_was_served_unsigned_is_signed_by_a_reload(tmp_path: Path) -> None:
    plain = SIGNED.replace('dnssec = "live-signed"\n', "")
    world = SignedWorld(tmp_path, plain)

    async def run(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        assert not zone.snapshot.rrset(APEX, DNSKEY)
        world.write(SIGNED)
        await core.reload()
        await until(lambda: zone.signing is not None and not zone.busy)
        assert zone.snapshot.rrset(APEX, DNSKEY)
        assert (zone.content_serial, zone.serial) == (1, 2)
        # The config alone does not take a signature back: there may be a DS.
        world.write(plain)
        await core.reload()
        await until(lambda: not zone.busy)
        world.edit(5, "www A 192.0.2.2")
        await core.read_file(zone)
        assert zone.snapshot.rrset(b"www\0\0", RRSIG, 1)
        await core.signers.change(zone, lambda keys, *_: commands.disable(keys))

    world.session(run)


@pytest.mark.parametrize("data", ['{"keys": {}}', '{"made_of": 3, "terms": "", "keys": 1}', "[]"])
def test_a_damaged_state_of_keys_makes_no_new_ones(tmp_path: Path, data: str) -> None:
    world = SignedWorld(tmp_path)
    keys: list[list[str]] = []

    def listed() -> list[str]:
        return sorted(file.name for file in (tmp_path / "keys" / "example.com").iterdir())

    async def run(core: Core, zone: Zone) -> None:
        assert zone.serial == 1
        core.journal.change_marks({(zone.origin, "dnssec"): data})
        keys.append(listed())

    async def damaged(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        assert zone.snapshot.rrset(APEX, DNSKEY)
        world.edit(2)
        await core.read_file(zone)
        assert zone.serial == 1
        assert "expected the state of the keys" in signing_of(zone).error
        keys.append(listed())

    world.session(run)
    world.session(damaged)
    assert keys[0] == keys[1]


def test_the_parent_is_asked_and_its_ds_makes_the_zone_active(tmp_path: Path) -> None:
    config = SIGNED + 'parent = ["192.0.2.53:53"]\n'
    world = SignedWorld(tmp_path, config)

    async def run(core: Core, zone: Zone) -> None:
        parent = world.parent
        await world.pass_days(core, zone, 1)
        assert keys_of(zone).state is ZoneState.PENDING
        assert zone.snapshot is not None
        (cds,) = zone.snapshot.rrset(APEX, CDS)
        assert any("put this DS at the parent" in each for each in signing_of(zone).todo)
        parent.has = frozenset((split(cds)[4],))
        await world.pass_days(core, zone, 1)
        assert keys_of(zone).state is ZoneState.ACTIVE
        assert not signing_of(zone).todo
        # What is waited for is asked for every 10 minutes of an hour's step, else daily.
        before = len(parent.asked)
        await world.pass_days(core, zone, 3)
        assert 3 <= len(parent.asked) - before <= 5
        parent.has = frozenset()
        await world.pass_days(core, zone, 2)
        assert keys_of(zone).state is ZoneState.PENDING
        assert any("put this DS at the parent" in each for each in signing_of(zone).todo)

    world.session(run)


def sign_elsewhere(world: SignedWorld, directory: Path, serial: int) -> None:
    """The zone's file as dnssec-signzone makes it, with keys of its own in `directory`."""
    directory.mkdir(exist_ok=True)
    if not list(directory.glob("K*.key")):
        for options in (["-f", "KSK"], []):
            run = ["dnssec-keygen", "-q", "-a", "13", "-K", str(directory), *options, "example.com"]
            subprocess.run(run, check=True, capture_output=True)
    world.edit(serial)
    start, end = (
        time.strftime("%Y%m%d%H%M%S", time.gmtime(world.time.wall() + by))
        for by in (-3600, 30 * DAY)
    )
    zone = world.directory / "zone"
    options = ["-P", "-S", "-K", str(directory), "-s", start, "-e", end, "-o", "example.com"]
    run = ["dnssec-signzone", "-q", *options, "-f", str(zone), str(zone)]
    subprocess.run(run, check=True, capture_output=True, cwd=world.directory)


PRE_SIGNED = SIGNED.replace("live-signed", "pre-signed")


def test_what_others_have_signed_is_served_as_it_comes_until_their_keys_are_here(
    tmp_path: Path,
) -> None:
    world = SignedWorld(tmp_path, PRE_SIGNED)
    sign_elsewhere(world, tmp_path / "elsewhere", 1)

    async def run(core: Core, zone: Zone) -> None:
        world.write(SIGNED)
        await core.reload()
        await until(lambda: zone.signing is not None and not zone.busy)
        assert "it comes signed by other keys" in signing_of(zone).error
        sign_elsewhere(world, tmp_path / "elsewhere", 2)
        await core.read_file(zone)
        assert zone.serial == 2
        assert zone.snapshot is not None
        assert zone.snapshot is zone.content
        theirs = set(zone.snapshot.rrset(APEX, DNSKEY))
        for file in (tmp_path / "elsewhere").glob("K*.key"):
            pair = core.signers.store.read_files(file)
            core.signers.store.take_in(zone.origin, pair)
        world.time.now += 61
        await world.settle(core, zone)
        assert not signing_of(zone).error
        assert zone.serial == 3
        assert {split(r)[4] for r in zone.snapshot.rrset(APEX, DNSKEY)} == {
            split(r)[4] for r in theirs
        }
        check_signatures(zone.snapshot, world.time.wall())

    world.session(run)


@pytest.mark.parametrize("there", [False, True])
def test_what_others_have_signed_is_signed_anew_where_the_parent_has_no_ds(
    tmp_path: Path, there: bool
) -> None:
    world = SignedWorld(tmp_path, SIGNED + 'parent = ["192.0.2.53:53"]\n')
    sign_elsewhere(world, tmp_path / "elsewhere", 1)
    if there:
        world.parent.has = frozenset((bytes((1, 2, 13, 2)) + bytes(32),))

    async def run(core: Core, zone: Zone) -> None:
        await world.settle(core, zone)
        assert zone.snapshot is not None
        keys = len(zone.snapshot.rrset(APEX, DNSKEY))
        if there:
            assert "the parent has a DS with tag 258 that is of no key" in signing_of(zone).error
            assert (zone.serial, keys) == (1, 2)
        else:
            assert not signing_of(zone).error
            assert (zone.serial, keys_of(zone).state) == (2, ZoneState.PENDING)
            check_signatures(zone.snapshot, world.time.wall())

    world.session(run)


def test_the_files_of_keys_that_have_gone_are_put_aside(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)
    place = tmp_path / "keys" / "example.com"

    async def run(core: Core, zone: Zone) -> None:
        there = {file.name for file in place.glob("K*")}
        (zsk,) = [key for key in keys_of(zone).keys if key.role is Role.ZSK]
        await world.pass_days(core, zone, 25)
        gone = {file.name for file in (place / "removed").glob("K*")}
        assert gone == {f"Kexample.com.+{zsk.ident}{ending}" for ending in (".key", ".private")}
        assert gone < there
        assert len(list(place.glob("K*.key"))) == 2

    world.session(run)


def test_a_zone_that_comes_back_when_it_was_forgotten_goes_on_with_its_keys(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)
    place = tmp_path / "keys" / "example.com"

    async def session(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        before = set(zone.snapshot.rrset(APEX, DNSKEY))
        away = SIGNED[: SIGNED.index("[[zone]]")] + SIGNED[SIGNED.index("[dnssec_policy.p]") :]
        world.write(away + "[limits]\nkeep_removed = 2\n")
        await core.reload()
        await until(lambda: bool(core.removed.said(zone.origin)))
        (kept,) = await core.removed.listed(10)
        assert (kept.serial, kept.keys, kept.key_directory) == (1, 2, str(place))
        world.time.now += 2 * DAY + 1
        await core.removed.forget_due()
        assert not core.journal.marks(zone.origin)
        (left,) = await core.removed.listed(10)
        assert left == RemovedZone("example.com.", None, None, None, 0, 2, str(place))
        world.write(SIGNED)
        await core.reload()
        again = zone_of(core)
        await until(lambda: again.snapshot is not None and not again.busy)
        assert again.snapshot is not None
        assert set(again.snapshot.rrset(APEX, DNSKEY)) == before
        assert await core.removed.listed(10) == []

    with structlog.testing.capture_logs() as logs:
        world.session(session)
    (told,) = [entry for entry in logs if entry["event"] == "private keys stay"]
    assert (told["keys"], told["directory"]) == (2, str(place))


def test_renewals_of_many_names_go_together(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path, SIGNED.replace("signatures_at_once = 3\n", ""))
    world.edit(1, *(f"h{i} A 192.0.2.{i}" for i in range(100)))

    async def run(core: Core, zone: Zone) -> None:
        await world.pass_days(core, zone, 1)
        before = zone.serial
        end = world.time.wall() + 6 * DAY
        while (due := core.signers.reminders.due(zone)) is not None and due < end:
            world.time.now += max(0.0, due - world.time.wall())
            await world.settle(core, zone)
            assert zone.snapshot is not None
            ends = signing_of(zone).ends_at
            assert ends is not None
            assert ends > world.time.wall() + 3.9 * DAY
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())
        # 205 signatures end within a day, at a time each; what is due within an hour goes along.
        assert before is not None
        assert zone.serial is not None
        assert 10 <= zone.serial - before <= 26

    world.session(run)


def test_a_key_that_goes_in_the_same_look_as_another_is_made_is_put_aside(tmp_path: Path) -> None:
    world = SignedWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        old = next(key.ident for key in keys_of(zone).keys if key.role is Role.ZSK)
        await core.signers.change(zone, lambda keys, of, *_: commands.roll(keys, Role.ZSK, of))
        while old in keys_of(zone).keyset.keys:
            world.time.now += 600
            await world.settle(core, zone)
        assert keys_of(zone).key(old) is not None
        world.time.now += 2 * 86400
        await core.signers.change(zone, lambda keys, of, *_: commands.roll(keys, Role.KSK, of))
        assert keys_of(zone).key(old) is None
        place = core.signers.store.zone_directory(zone.origin)
        assert len(list(place.glob("*.private"))) == len(keys_of(zone).keys) == 3
        assert len(list((place / "removed").glob("*.private"))) == 1

    world.session(run)
