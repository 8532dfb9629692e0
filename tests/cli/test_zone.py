"""`xfer zone show|history|diff`: what they ask for, and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.control.engine import SmallEngine


@pytest.fixture
def socket_option(engine: SmallEngine, tmp_path: Path) -> tuple[str, str]:
    return ("--control", str(tmp_path / "control.sock"))


@pytest.mark.parametrize(
    ("words", "version"),
    [
        (["--serial", "7"], "7"),
        (["--serial", "v1"], "v1"),
        (["--at", "1970-01-01 00:16:40"], "@1000.0"),
        (["--at", "1970-01-01T01:16:40+01:00"], "@1000.0"),
    ],
)
def test_show_of_a_kept_version(
    xfer: Xfer, socket_option: tuple[str, str], words: list[str], version: str
) -> None:
    result = xfer("zone", "show", "example.com", *words, *socket_option)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"; the version {version}\nr0.example.com.")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--serial", "8"], 1, "expected a kept version, got '8'"),
        (["--at", "yesterday"], 2, "expected a time like"),
        (["--at", "2026-11-22", "--serial", "7"], 2, "expected --serial or --at, got both"),
    ],
)
def test_show_of_what_is_not_there(
    xfer: Xfer, socket_option: tuple[str, str], words: list[str], code: int, message: str
) -> None:
    result = xfer("zone", "show", "example.com", *words, *socket_option)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


def test_history(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("zone", "history", "example.com", *socket_option)
    assert result.exit_code == 0
    head, newest, oldest = result.stdout.splitlines()
    assert head.split()[:4] == ["VERSION", "SERIAL", "RECORDS", "CHANGES"]
    assert newest.split()[:6] == ["*", "v2", "7", "3", "+1", "−1"]
    assert newest.endswith("ago), ixfr from 192.0.2.1#53")
    assert oldest.split()[:4] == ["v1", "6", "3", "-"]


def test_history_for_machines(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str]
) -> None:
    result = xfer("zone", "history", "example.com", "-n", "1", "--json", *socket_option)
    (version,) = json.loads(result.stdout)["versions"]
    assert (version["serial"], version["added"], version["served"]) == (7, 1, True)
    assert engine.orders == [("versions", "example.com.", 1)]


def test_diff(xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str]) -> None:
    result = xfer("zone", "diff", "example.com", "6", "v2", *socket_option)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "--- example.com. serial 6, version v1",
        "+++ example.com. serial 7, version v2",
        "-example.com.\t300\tIN\tA\t192.0.2.1",
        "+example.com.\t300\tIN\tA\t192.0.2.2",
    ]
    assert engine.orders == [("diff", "example.com.", "6", "v2")]


def test_diff_for_machines(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("zone", "diff", "example.com", "6", "7", "--json", *socket_option)
    assert json.loads(result.stdout) == {
        "old": "example.com. serial 6, version v1",
        "new": "example.com. serial 7, version v2",
        "removed": ["example.com.\t300\tIN\tA\t192.0.2.1"],
        "added": ["example.com.\t300\tIN\tA\t192.0.2.2"],
    }


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "expected the name of a zone, got an empty one"),
        ("a..b", "the name of the zone: expected labels that are not empty, got 'a..b'"),
        ("x" * 64, "the name of the zone: expected labels of at most 63 octets"),
        ("b\\", "the name of the zone: expected a character after the backslash"),
        ("ä..b", "the name of the zone: expected a domain name"),
    ],
)
@pytest.mark.parametrize("command", ["zone history", "zone show", "status", "refresh", "why"])
def test_what_is_no_name_is_bad_usage(
    xfer: Xfer, socket_option: tuple[str, str], command: str, name: str, sentence: str
) -> None:
    result = xfer(*command.split(), name, *socket_option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"xfer: {sentence}")


@pytest.mark.parametrize("command", [["history"], ["diff", "1", "2"]])
def test_a_zone_that_is_not_there(
    xfer: Xfer, socket_option: tuple[str, str], command: list[str]
) -> None:
    word, *others = command
    result = xfer("zone", word, "nowhere.example", *others, *socket_option)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nowhere.example. is not configured here" in result.stderr


def test_rollback_and_release(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str]
) -> None:
    result = xfer("zone", "rollback", "example.com", "6", *socket_option)
    assert result.exit_code == 0
    assert "the content of serial 6 is served as serial 8" in result.stdout
    result = xfer("zone", "release", "example.com", "--json", *socket_option)
    assert json.loads(result.stdout)["message"] == "released: serial 8 is current"
    assert engine.orders == [("rollback", "example.com.", "6"), ("release", "example.com.", False)]
    xfer("zone", "release", "example.com", "--follow", *socket_option)
    assert engine.orders[-1] == ("release", "example.com.", True)


def test_a_rollback_that_is_refused(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("zone", "rollback", "example.com", "7", *socket_option)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "serves the content of serial 7 already" in result.stderr
