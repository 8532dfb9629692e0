"""Zones that are signed here when something else happens meanwhile, or goes wrong."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.dnssec.signed import check_signatures, text_of
from tests.server.fakes import snapshot
from tests.server.test_core import until, zone_of
from tests.server.test_signing import DAY, SIGNED, TEXT, SignedWorld, signing_of
from xfer.dnssec.parent import ParentSaid
from xfer.errors import JournalError, ZoneError
from xfer.journal import Journal, Mark
from xfer.journal.versions import PUBLISHED, RECEIVED
from xfer.server import sign_work
from xfer.server.core import Core
from xfer.server.edited import Edited
from xfer.server.editing import Order
from xfer.server.history import Named
from xfer.server.publish import Candidate
from xfer.server.sign_work import Made, SignWork
from xfer.server.status import Refused
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.wire.records import RRSIG, A

UNSIGNED = SIGNED.replace('dnssec = "live-signed"\n', "")


class TroubledWorld(SignedWorld):
    """Its sessions begin without the zone's file being read again."""

    def session(self, run: Callable[[Core, Zone], Awaitable[None]]) -> None:
        async def main(core: Core) -> None:
            core.signers.watch.parents = self.parent  # type: ignore[assignment]
            await core.load_all()
            zone = zone_of(core)
            await until(lambda: core.loaded.is_set() and not zone.busy)
            await trio.testing.wait_all_tasks_blocked()
            await until(lambda: not zone.busy)
            await run(core, zone)

        self.run(main, stored=False)

    async def reload(self, core: Core, zone: Zone, config: str) -> None:
        self.write(config)
        await core.reload()
        await trio.testing.wait_all_tasks_blocked()
        await until(lambda: not zone.busy)


async def take(core: Core, zone: Zone, serial: int, *extra: str) -> None:
    """Import the zone with other records."""
    text = TEXT.format(serial=serial, extra="\n".join(extra))
    digest = hashlib.sha256(text.encode()).hexdigest()
    await core.editor.take(
        zone, io.StringIO(text), Order("import", "new", "op", False, None, digest)
    )


def has(zone: Zone, name: bytes) -> bool:
    """Whether a signed name is served."""
    assert zone.snapshot is not None
    return bool(zone.snapshot.rrset(name + b"\0\0", RRSIG, A))


def test_what_was_served_unsigned_is_still_the_content_after_a_restart(tmp_path: Path) -> None:
    world = TroubledWorld(tmp_path, UNSIGNED)

    async def adopted(core: Core, zone: Zone) -> None:
        await take(core, zone, 7, "edited A 192.0.2.3")
        await world.reload(core, zone, SIGNED)
        assert has(zone, b"edited")
        (kept,) = core.journal.versions(zone.origin, RECEIVED)
        assert (kept.serial, kept.kind) == (7, "import")

    async def restarted(core: Core, zone: Zone) -> None:
        assert zone.content_serial == 7
        await core.read_file(zone)
        assert has(zone, b"edited")
        assert not signing_of(zone).error

    world.session(adopted)
    world.session(restarted)


def test_content_that_cannot_be_signed_is_told_and_makes_no_more_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = TroubledWorld(tmp_path)

    def refuse(_: object) -> bool:
        raise ZoneError("expected what can be signed, got something else")

    async def run(core: Core, zone: Zone) -> None:
        waits = []
        for _ in range(8):
            assert signing_of(zone).error == "expected what can be signed, got something else"
            assert zone.snapshot is None
            due = core.signers.reminders.due(zone)
            assert due is not None
            waits.append(due - world.time.wall())
            world.time.now += waits[-1]
            core.signers.reminders.run_due()
            await trio.testing.wait_all_tasks_blocked()
            await until(lambda: not zone.busy)
        assert waits == [60, 60, 120, 240, 480, 900, 900, 900]
        assert len(list((tmp_path / "keys" / "example.com").glob("K*.key"))) == 2

    monkeypatch.setattr(sign_work, "_steps", refuse)
    world.session(run)


def test_rollback_takes_what_a_version_was_made_of_whatever_the_clock_says(tmp_path: Path) -> None:
    world = TroubledWorld(tmp_path, UNSIGNED)

    async def run(core: Core, zone: Zone) -> None:
        await take(core, zone, 2, "unsigned A 192.0.2.3")
        await world.reload(core, zone, SIGNED)
        for serial, name in ((10, "one"), (11, "two"), (12, "three")):
            world.time.now -= 500
            await take(core, zone, serial, f"{name} A 192.0.2.3")
            assert zone.serial == serial
        await core.rollbacks.rollback(zone, Named(serial=10))
        assert has(zone, b"one")
        assert zone.serial == 13
        await core.rollbacks.rollback(zone, Named(serial=2))
        assert has(zone, b"unsigned")
        assert zone.serial == 14
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())

    world.session(run)


def test_a_zone_that_leaves_while_it_is_signed_gets_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = TroubledWorld(tmp_path)
    make = SignWork.make

    async def run(core: Core, zone: Zone) -> None:
        async def slow(self: SignWork, *args: object) -> Made:
            made = await make(self, *args)  # type: ignore[arg-type]
            world.write("")
            await core.reload()
            return made

        monkeypatch.setattr(SignWork, "make", slow)
        world.edit(2, "www A 192.0.2.9")
        await core.read_file(zone)
        assert zone.removed
        assert [v.serial for v in core.journal.versions(zone.origin)] == [1]

    world.session(run)


def test_signatures_of_a_time_to_come_are_made_anew_when_the_clock_is_set_back(
    tmp_path: Path,
) -> None:
    world = TroubledWorld(tmp_path)
    world.edit(1, *(f"h{n} A 192.0.2.{n}" for n in range(40)))

    async def run(core: Core, zone: Zone) -> None:
        world.time.now -= 3 * DAY
        await core.signers.look(zone)
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())
        serial = zone.serial
        await world.settle(core, zone)
        assert zone.serial == serial

    world.session(run)


def test_a_zone_whose_keys_cannot_be_read_at_a_reload_gets_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = TroubledWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        before = zone.snapshot
        assert before is not None
        await world.reload(core, zone, "")
        monkeypatch.setattr(core.journal.__class__, "marks", unreadable)
        world.write(SIGNED)
        await core.reload()
        await until(lambda: not (zone_of(core).loading or zone_of(core).busy))
        again = zone_of(core)
        assert again.snapshot is not None
        assert again.snapshot.root == before.root
        await until(lambda: signing_of(again).error == "disk on fire")
        assert len(list((tmp_path / "keys" / "example.com").glob("K*.key"))) == 2

    def unreadable(*_: object) -> list[Mark]:
        raise JournalError("disk on fire")

    world.session(run)


def test_a_reload_signs_what_could_not_be_signed(tmp_path: Path) -> None:
    world = TroubledWorld(tmp_path)

    async def signed(_: Core, zone: Zone) -> None:
        await until(lambda: zone.serial == 1 and not zone.busy)

    async def mended(core: Core, zone: Zone) -> None:
        world.edit(2, "www A 192.0.2.9")
        await core.read_file(zone)
        await until(lambda: "chmod 600" in signing_of(zone).error and not zone.busy)
        assert zone.serial == 1
        private.chmod(0o600)
        await core.reload()
        await until(lambda: zone.serial == 2 and not zone.busy)
        assert not signing_of(zone).error

    world.session(signed)
    private = next((tmp_path / "keys" / "example.com").glob("K*.private"))
    private.chmod(0o644)
    world.session(mended)


SECOND = """
keys = "{directory}/keys"
[[peer]]
name = "p"
address = "192.0.2.1"
[[zone]]
name = "example.com"
primaries = ["p"]
dnssec = "live-signed"
"""


def test_what_came_and_was_not_signed_before_a_restart_expires_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = TroubledWorld(tmp_path, SECOND)
    world.refuse.set()

    def refuse(_: object) -> bool:
        raise ZoneError("expected a zone that can be signed, got another")

    monkeypatch.setattr(sign_work, "_steps", refuse)

    async def run(core: Core, zone: Zone) -> None:
        came = Candidate(snapshot(5), (), "axfr from 192.0.2.1#53", "axfr")
        async with core.attempts.turn(zone):
            with core.journal.write_ahead() as ahead:
                await core.publisher.publish(zone, came, ahead)
        assert (zone.content_serial, zone.serial) == (5, None)
        assert zone.expires is not None

    async def restarted(core: Core, zone: Zone) -> None:
        assert (zone.content_serial, zone.serial) == (5, None)
        assert zone.expires is not None

    world.session(run)
    world.session(restarted)


def test_an_export_that_is_imported_again_leaves_no_key_of_another_signer(tmp_path: Path) -> None:
    world = TroubledWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        text = text_of(zone.snapshot)

        async def give(more: str) -> Edited:
            order = Order("import", "new", "op", False, None, "")
            return await core.editor.take(zone, io.StringIO(text + more), order)

        assert not (await give("")).changed
        assert (await give("www.example.com. 300 IN A 192.0.2.2\n")).changed
        assert zone.content is not None
        assert (zone.content.count, zone.content_serial, zone.serial) == (4, 2, 2)
        assert has(zone, b"www")
        assert not signing_of(zone).error
        keys = signing_of(zone).keys
        assert keys is not None
        assert not keys.multi_signer

    world.session(run)


def test_a_file_that_was_exported_signed_is_published_unsigned_as_content(tmp_path: Path) -> None:
    world = TroubledWorld(tmp_path)

    async def run(core: Core, zone: Zone) -> None:
        assert zone.snapshot is not None
        text = text_of(zone.snapshot) + "web.example.com. 300 IN A 192.0.2.3\n"
        (tmp_path / "zone").write_text(text)
        assert (await core.read_file(zone)).ok
        assert zone.content is not None
        assert (zone.content.count, zone.serial) == (4, 2)
        assert has(zone, b"web")
        assert (await core.read_file(zone)).message.endswith("has what is served (serial 2)")

    world.session(run)


def damage(world: TroubledWorld, chains: list[str]) -> None:
    """Spoil the blocks that only the newest versions of these chains have."""
    origin = names.from_text("example.com.")
    path = world.directory / "journal.db"
    with Journal.open(str(path), world.clock) as journal:
        found = {
            chain: {b.digest for b in journal.load(journal.versions(origin, chain)[0]).blocks}
            for chain in (RECEIVED, PUBLISHED)
        }
    spoilt = set().union(*(found[chain] for chain in chains))
    for chain in found.keys() - set(chains):
        spoilt -= found[chain]
    with contextlib.closing(sqlite3.connect(path)) as database:
        which = "(SELECT id FROM blocks WHERE digest = ?)"
        for digest in spoilt:
            database.execute(f"UPDATE block_data SET data = x'00' WHERE id = {which}", [digest])
        database.commit()


@pytest.mark.parametrize(
    ("chains", "serials"),
    [
        ([RECEIVED], (30, 30, 31)),  # as what is served has it
        ([PUBLISHED], (30, 31, 32)),  # made again
        ([RECEIVED, PUBLISHED], (20, 20, 31)),  # older, and not to be given out as something new
    ],
)
def test_damaged_chains_do_not_take_content_back(
    tmp_path: Path, chains: list[str], serials: tuple[int, int, int]
) -> None:
    world = TroubledWorld(tmp_path)
    came, served, following = serials

    async def edited(core: Core, zone: Zone) -> None:
        for serial in (20, 30):
            await take(core, zone, serial, f"h{serial} A 192.0.2.3")

    async def restarted(core: Core, zone: Zone) -> None:
        assert (zone.content_serial, zone.serial) == (came, served)
        assert has(zone, b"h30") is (came == 30)
        assert bool(signing_of(zone).error) is (came == 20)
        await take(core, zone, 1, "more A 192.0.2.4")
        assert not signing_of(zone).error
        assert has(zone, b"more")
        assert zone.serial == following
        assert zone.snapshot is not None
        check_signatures(zone.snapshot, world.time.wall())

    world.session(edited)
    damage(world, chains)
    world.session(restarted)
    world.session(lambda core, zone: has_still(zone))


async def has_still(zone: Zone) -> None:
    assert has(zone, b"more")
    assert not signing_of(zone).error


def test_a_secondary_whose_content_is_damaged_asks_for_all_of_it(tmp_path: Path) -> None:
    world = TroubledWorld(tmp_path, SECOND)
    world.refuse.set()

    async def give(core: Core, zone: Zone) -> None:
        for serial in (5, 6):
            came = Candidate(snapshot(serial, hosts=serial), (), "axfr", "axfr")
            async with core.attempts.turn(zone):
                with core.journal.write_ahead() as ahead:
                    await core.publisher.publish(zone, came, ahead)

    async def restarted(core: Core, zone: Zone) -> None:
        assert (zone.content_serial, zone.serial) == (None, 6)
        assert zone.expires is not None
        await core.attempt(zone)
        assert zone.transfer_kind == "axfr"

    world.session(give)
    damage(world, [RECEIVED])
    world.session(restarted)


def test_what_came_and_is_not_signed_is_not_said_to_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = TroubledWorld(tmp_path)

    def refuse(_: object) -> bool:
        raise ZoneError("expected one thing, got another")

    async def run(core: Core, zone: Zone) -> None:
        await take(core, zone, 2, "www A 192.0.2.3")
        signing_of(zone).renew_at = 0
        await core.signers.look(zone)
        assert (zone.content_serial, zone.serial) == (2, 3)
        outcome = await core.rollbacks.rollback(zone, Named(serial=1))
        assert outcome.message == (
            "the content of serial 1 is served as serial 4 (content serial 3)"
        )
        assert (outcome.serial_from, outcome.serial_to) == (3, 4)
        monkeypatch.setattr(sign_work, "_steps", refuse)
        why = "came and is not served yet: expected one thing, got another"
        outcome = await core.rollbacks.rollback(zone, Named(serial=2))
        assert outcome.message == f"the content of serial 2 {why}"
        order = Order("import", "new", "op", False, None, "")
        edited = await core.editor.take(
            zone, io.StringIO(TEXT.format(serial=9, extra="ftp A 192.0.2.4")), order
        )
        assert edited.findings == (f"serial 9 {why}",)
        assert zone.serial == 4

    world.session(run)


def test_a_mistake_in_asking_the_parent_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = TroubledWorld(tmp_path, SIGNED + 'parent = ["192.0.2.53:53"]\n')

    async def mistake(*_: object) -> ParentSaid:
        raise RuntimeError("a mistake")

    async def run(core: Core, zone: Zone) -> None:
        world.time.now += DAY
        await world.settle(core, zone)
        said = signing_of(zone).said
        assert said is not None
        assert said.why == "RuntimeError: a mistake"
        assert not signing_of(zone).asking

    monkeypatch.setattr(world.parent, "ask", mistake)
    world.session(run)


def test_a_rollback_names_served_serials_and_those_of_content(tmp_path: Path) -> None:
    world = TroubledWorld(tmp_path)
    named = "serial 3 (content serial 2)"

    async def run(core: Core, zone: Zone) -> None:
        signing_of(zone).renew_at = 0
        await core.signers.look(zone)
        await take(core, zone, 2, "www A 192.0.2.3")
        await take(core, zone, 8, "ftp A 192.0.2.3")
        await take(core, zone, 9, "ftp A 192.0.2.4")
        (_, _, found, *_) = await core.history.versions(zone, 9)
        assert (found.serial, zone.content_serial) == (3, 9)
        outcome = await core.rollbacks.rollback(zone, Named(serial=3))
        assert outcome.message == f"the content of {named} is served as serial 10"
        (newest, *_) = core.journal.versions(zone.origin, RECEIVED)
        assert newest.source == f"rollback to {named} (v{found.version})"
        with pytest.raises(Refused, match=re.escape(f"serves the content of {named} already, as")):
            await core.rollbacks.rollback(zone, Named(serial=3))

    world.session(run)
