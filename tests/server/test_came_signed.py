"""Zones that come signed: the first end of a signature is known, and told before it comes."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing
import trio

from tests.dnssec.signed import rng, terms, text_of, zone
from tests.server.fakes import HandClock, zone_config
from tests.server.test_core import World, until, zone_of
from xfer.dnssec.expiry import Expiries
from xfer.dnssec.signing import WholeSigner, finish
from xfer.server import came_signed
from xfer.server.came_signed import Look, ends_of, look_each
from xfer.server.core import Core
from xfer.server.dnssec_told import told
from xfer.server.signed import CameSigned, Signing
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.zone.snapshot import Snapshot

DAY = 86_400
START = 1_790_000_000
ORIGIN = names.from_text("example.com.")
CONTENT = zone(
    """$ORIGIN example.com.
@ 300 SOA ns1 hostmaster 1 3600 600 86400 60
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""
    + "".join(f"h{n} 300 A 192.0.2.2\n" for n in range(9)),
    ORIGIN,
)
CONFIG = """
[[zone]]
name = "example.com"
role = "primary"
file = "{directory}/zone"
dnssec = "pre-signed"
"""


def signed(serial: int, now: float, validity: int = 14 * DAY) -> Snapshot:
    on = terms(validity=validity, refresh=validity // 3, jitter=validity // 10, inception_offset=0)
    return finish(WholeSigner(CONTENT, on, serial, now, rng()))


class Presigned(World):
    """A core with a zone whose file holds signatures."""

    def __init__(self, directory: Path, config: str = CONFIG) -> None:
        self.time = HandClock()
        super().__init__(directory, config, self.time)

    async def serve(self, core: Core, snapshot: Snapshot) -> Zone:
        (self.directory / "zone").write_text(text_of(snapshot))
        zone = zone_of(core)
        outcome = await core.read_file(zone)
        assert outcome.ok, outcome.message
        await core.came_signed.look_at_some()
        return zone


def test_the_first_end_is_found_with_its_owner_and_quickly_again() -> None:
    snapshot = signed(5, START)
    ((came, index),) = look_each([Look(snapshot, None)])
    expiries = Expiries(snapshot)
    while expiries.step():
        pass
    assert came is not None
    assert came.ends_at == expiries.soonest < START + 14 * DAY
    assert came.owner.endswith("example.com.")
    assert 12 * DAY < came.validity <= 14 * DAY
    assert index is None  # of a small zone none is kept
    assert look_each([Look(CONTENT, None)]) == [(None, None)]


def test_a_large_zone_keeps_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(came_signed, "FEW_BLOCKS", 0)
    snapshot = signed(5, START)
    ((came, index),) = look_each([Look(snapshot, None)])
    assert index is not None
    assert look_each([Look(snapshot, index)])[0][0] == came


def test_the_end_is_told_ahead_when_it_is_there_and_when_it_is_far_again(tmp_path: Path) -> None:
    world = Presigned(tmp_path)

    async def session(core: Core) -> None:
        await core.load_all()
        zone = await world.serve(core, signed(5, world.time.wall()))
        came = zone.came_signed
        assert came is not None
        assert came.warn_at == came.ends_at - DAY
        status = told(zone, world.time.wall())
        assert status is not None
        assert (status.ends_at, status.ends_first) == (came.ends_at, came.owner)
        for until_end in (2 * DAY, DAY - 1, DAY / 2, 0, -10):
            world.time.now += came.ends_at - until_end - world.time.wall()
            core.came_signed.reminders.run_due()
            core.came_signed.reminders.run_due()
        await world.serve(core, signed(6, world.time.wall()))
        assert zone.came_signed is not None
        assert zone.came_signed.told == ""
        await world.serve(core, zone_without_signatures(7))
        assert zone.came_signed is None
        status = told(zone, world.time.wall())
        assert status is not None
        assert "what comes has no signatures" in status.mismatch
        assert core.came_signed.zones() == []

    with structlog.testing.capture_logs() as logs:
        world.run(session, stored=False)
    said = [(e["event"], e["log_level"]) for e in logs if e["event"].startswith("signatures ")]
    assert said == [
        ("signatures end soon", "warning"),
        ("signatures ended", "error"),
        ("signatures renewed", "info"),
    ]


def zone_without_signatures(serial: int) -> Snapshot:
    text = text_of(CONTENT).replace(" 1 3600 600 ", f" {serial} 3600 600 ")
    return zone(text, ORIGIN)


def test_signatures_of_a_day_are_told_of_in_their_last_quarter(tmp_path: Path) -> None:
    world = Presigned(tmp_path)

    async def session(core: Core) -> None:
        await core.load_all()
        zone = await world.serve(core, signed(5, world.time.wall(), DAY))
        came = zone.came_signed
        assert came is not None
        assert came.ends_at - came.warn_at == came.validity / 4

    world.run(session, stored=False)


def test_a_reload_changes_the_time_and_a_zone_that_leaves_is_forgotten(tmp_path: Path) -> None:
    world = Presigned(tmp_path)

    async def session(core: Core) -> None:
        await core.load_all()
        zone = await world.serve(core, signed(5, world.time.wall()))
        assert zone.came_signed is not None
        world.write(CONFIG + "[limits]\nsignature_warning = 2\n")
        await core.reload()
        await core.came_signed.look_at_some()
        assert zone.came_signed.ends_at - zone.came_signed.warn_at == 2 * DAY
        world.write("")
        await core.reload()
        assert core.came_signed.zones() == core.came_signed.reminders.zones() == []

    world.run(session, stored=False)


def test_what_is_loaded_and_what_comes_is_looked_through_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(came_signed, "SOON", 0.0)
    world = Presigned(tmp_path)

    async def first(core: Core) -> None:
        await core.load_all()
        await world.serve(core, signed(5, world.time.wall()))

    async def again(core: Core) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(core.came_signed.run)
            await core.load_all()
            zone = zone_of(core)
            await until(lambda: zone.came_signed is not None)
            before = zone.came_signed
            (world.directory / "zone").write_text(text_of(signed(6, world.time.wall() + DAY)))
            await core.read_file(zone)
            await until(lambda: zone.came_signed != before)
            nursery.cancel_scope.cancel()

    world.run(first, stored=False)
    world.run(again, stored=False)


def test_a_zone_that_comes_signed_is_told_of_whatever_its_config_says(tmp_path: Path) -> None:
    world = Presigned(tmp_path, CONFIG.replace('dnssec = "pre-signed"\n', ""))

    async def session(core: Core) -> None:
        await core.load_all()
        assert told(zone_of(core), world.time.wall()) is None
        zone = await world.serve(core, signed(5, world.time.wall()))
        status = told(zone, world.time.wall())
        assert status is not None
        assert (status.mode, status.signed) == ("unsigned", False)
        assert status.ends_at is not None

    world.run(session, stored=False)


def test_zones_to_worry_about_are_among_those_that_are_named() -> None:
    def one(name: str, ends_at: int, warn_at: float) -> Zone:
        made = Zone(zone_config(name=f"{name}.example."))
        made.came_signed = CameSigned(ends_at, f"{name}.example.", DAY, warn_at)
        return made

    late = Zone(zone_config(name="late.example."))
    late.signing = Signing(ends_at=START + 9.0, renew_at=START - 4000.0)
    found = [one(f"z{n}", START + 100, START + 50) for n in range(3)]
    found += [one("near", START + 5, START - 5), one("over", START - 5, START - 9), late]
    told_of = trio.run(ends_of, found, START, 4)
    assert (told_of.near, told_of.ended) == (2, 1)
    assert list(told_of.ends_at) == [
        "over.example.",
        "near.example.",
        "late.example.",
        "z0.example.",
    ]


def test_signatures_made_here_are_not_looked_through_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Presigned(tmp_path, CONFIG.replace("pre-signed", "live-signed"))
    looked: list[int] = []

    def look(looks: list[Look]) -> list[tuple[None, None]]:
        looked.append(len(looks))
        return [(None, None) for _ in looks]

    monkeypatch.setattr(came_signed, "look_each", look)

    async def session(core: Core) -> None:
        await core.load_all()
        zone = await world.serve(core, zone_without_signatures(7))
        assert zone.signing is not None
        assert zone.signing.ends_at is not None
        assert zone.came_signed is None
        assert sum(looked) == 0

    world.run(session, stored=False)


def test_a_mistake_of_ours_in_one_look_does_not_end_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(came_signed, "SOON", 0.0)
    world = Presigned(tmp_path)

    def mistaken(_: list[Look]) -> None:
        monkeypatch.undo()
        raise IndexError("a mistake")

    async def session(core: Core) -> None:
        await core.load_all()
        await world.serve(core, signed(5, world.time.wall()))
        before = zone_of(core).came_signed
        monkeypatch.setattr(came_signed, "look_each", mistaken)
        monkeypatch.setattr(came_signed, "SOON", 0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(core.came_signed.run)
            core.came_signed.served(zone_of(core))
            await until(lambda: came_signed.look_each is look_each)
            monkeypatch.setattr(came_signed, "SOON", 0.0)
            (world.directory / "zone").write_text(text_of(signed(6, world.time.wall() + DAY)))
            await core.read_file(zone_of(core))
            await until(lambda: zone_of(core).came_signed != before)
            nursery.cancel_scope.cancel()

    with structlog.testing.capture_logs() as logs:
        world.run(session, stored=False)
    assert [one["error"] for one in logs if one["event"] == "internal error"] == ["a mistake"]
