"""`xfer reload` and the zone files that it has read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.control import primary
from xfer.server.core import Core

ADDED = (
    primary.CONFIG
    + """
[[zone]]
name = "added.example"
role = "primary"
file = "added"
"""
)


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with primary.running(primary.write(tmp_path)) as running:
        yield running


@pytest.fixture
def on(core: Core, tmp_path: Path) -> tuple[str, ...]:
    return ("--control", str(tmp_path / "control.sock"))


def test_a_changed_file_is_served_when_it_ends(
    xfer: Xfer, on: tuple[str, ...], tmp_path: Path
) -> None:
    primary.write(tmp_path, zone=primary.ZONE + "new A 192.0.2.7\n", config=ADDED)
    (tmp_path / "added").write_text(primary.ZONE)
    result = xfer("reload", *on)
    assert result.stdout == "reloaded: 1 zone added, 0 removed, 0 changed\n"
    assert (result.exit_code, result.stderr) == (0, "")
    assert "serial 6," in xfer("zone", "show", "example.com", *on).stdout
    assert "serial 5," in xfer("zone", "show", "added.example", *on).stdout


def test_refused_files_are_named_and_it_fails(
    xfer: Xfer, on: tuple[str, ...], tmp_path: Path
) -> None:
    primary.write(tmp_path, zone=primary.ZONE + "new A 192.0.2\n", config=ADDED)
    result = xfer("reload", *on)
    assert (result.exit_code, result.stdout) == (
        1,
        "reloaded: 1 zone added, 0 removed, 0 changed\n",
    )
    first, second = result.stderr.splitlines()[:2]
    assert first.startswith(f"xfer: added.example. its file was refused: {tmp_path}/added: ")
    assert second.startswith(f"xfer: example.com. its file was refused: {tmp_path}/zone:6: ")
    as_json = xfer("reload", "--json", *on)
    assert as_json.exit_code == 1
    refused = json.loads(as_json.stdout)["refused"]
    assert [item["zone"] for item in refused] == ["added.example.", "example.com."]
    primary.write(tmp_path)
    assert xfer("reload", *on).exit_code == 0


def test_a_file_and_a_zone_that_both_changed(
    xfer: Xfer, on: tuple[str, ...], tmp_path: Path
) -> None:
    xfer("zone", "soa", "example.com", "--defaults", "--yes", *on)
    primary.write(tmp_path, zone=primary.ZONE + "new A 192.0.2.7\n")
    result = xfer("reload", *on)
    assert result.exit_code == 1
    assert "got both: serial 6 (SOA set by" in result.stderr
    assert "`xfer zone import example.com. " in result.stderr
