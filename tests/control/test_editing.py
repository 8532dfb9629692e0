"""The API for editing zones, over a real core with a primary zone."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control import primary
from xfer.cli.client import Daemon
from xfer.errors import ControlError

CHANGED = (primary.ZONE + "mail A 192.0.2.9\n").encode()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    path = primary.write(tmp_path, limits="import_body = 2048")
    with primary.running(path):
        yield Daemon(tmp_path / "control.sock")


def test_an_edit_begins_with_the_text_and_its_version(daemon: Daemon) -> None:
    begun = daemon.get("/zones/example.com/edit")
    assert (begun["zone"], begun["version"], begun["serial"]) == ("example.com.", 1, 5)
    assert begun["text"].endswith("www.example.com.\t300\tIN\tA\t192.0.2.2\n")
    path = "/zones/example.com/import?kind=edit&by=alice&if_version=1"
    found = daemon.send(path, CHANGED)
    assert (found["published"], found["version"], found["serial_to"]) == (True, 2, 6)
    assert daemon.get("/zones/example.com")["source"] == "edit by alice"


def test_a_conflict_says_so_to_programs_too(daemon: Daemon) -> None:
    daemon.send("/zones/example.com/import?if_version=1", CHANGED)
    with pytest.raises(ControlError, match="got v2, serial 6") as caught:
        daemon.send("/zones/example.com/import?if_version=1", primary.ZONE.encode())
    assert caught.value.kind == "Conflict"


def test_what_names_a_source_is_one_bounded_line(daemon: Daemon) -> None:
    daemon.send("/zones/example.com/import?source=" + "a" * 300 + "%0Aevil", CHANGED)
    source = daemon.get("/zones/example.com")["source"]
    assert source == "import of …" + "a" * 195 + "?evil"


def test_a_zone_file_has_a_limit_of_its_own(daemon: Daemon) -> None:
    with pytest.raises(ControlError) as caught:
        daemon.send("/zones/example.com/import", CHANGED + b";" * 2048)
    assert caught.value.kind == "TooLarge"
    assert "a zone file of at most 2048 octets (limits.import_body)" in str(caught.value)
    assert daemon.get("/zones/example.com")["serial"] == 5


@pytest.mark.parametrize("asks", ["if_version=-1", "kind=rollback", "dry_run=perhaps"])
def test_a_question_that_makes_no_sense(daemon: Daemon, asks: str) -> None:
    with pytest.raises(ControlError) as caught:
        daemon.send(f"/zones/example.com/import?{asks}", CHANGED)
    assert caught.value.kind == "Invalid"


def test_zones_that_are_not_there(daemon: Daemon) -> None:
    for path in ("/zones/no.example/edit", "/zones/second.example/edit"):
        with pytest.raises(ControlError, match=r"no\.example\.|secondary zone"):
            daemon.get(path)
    assert daemon.get("/removed") == {"zones": []}


def test_a_serial_of_a_version_that_the_journal_has_lost_is_not_given_again(
    tmp_path: Path,
) -> None:
    path = primary.write(tmp_path)
    with primary.running(path):
        found = Daemon(tmp_path / "control.sock").send("/zones/example.com/import", CHANGED)
        assert found["serial_to"] == 6
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as raw, raw:
        raw.execute("UPDATE block_data SET data = x'00' WHERE id = (SELECT max(id) FROM blocks)")
    with primary.running(path):
        daemon = Daemon(tmp_path / "control.sock")
        zone = daemon.get("/zones/example.com")
        assert zone["serial"] == 5
        assert "serial 6" in zone["damaged"][0]
        other = (primary.ZONE + "other A 192.0.2.8\n").encode()
        assert daemon.send("/zones/example.com/import", other)["serial_to"] == 7
