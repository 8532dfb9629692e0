"""`xfer zone soa` against a real core with a primary zone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.control import primary
from xfer.cli import soa
from xfer.server.core import Core


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with primary.running(primary.write(tmp_path)) as running:
        yield running


@pytest.fixture
def on(core: Core, tmp_path: Path) -> tuple[str, ...]:
    return ("example.com", "--control", str(tmp_path / "control.sock"))


def serial(core: Core) -> int | None:
    return next(zone for zone in core.table.zones.values() if not zone.secondary).serial


def test_the_fields_are_shown_with_their_ranges(xfer: Xfer, on: tuple[str, ...]) -> None:
    lines = xfer("zone", "soa", *on).stdout.splitlines()
    assert lines[1] == "responsible (RNAME)    hostmaster.example.com.  (hostmaster@example.com)"
    assert lines[3].split() == ["refresh", "3600", "600", "to", "86400,", "default", "10000"]
    found = json.loads(xfer("zone", "soa", "--json", *on).stdout)
    assert (found["negative_ttl"], found["ttl"], found["serial"]) == (300, 300, 5)


def test_fields_are_set_under_a_higher_serial(xfer: Xfer, core: Core, on: tuple[str, ...]) -> None:
    words = ("--rname", "host.master@example.org", "--retry", "900", "--yes")
    result = xfer("zone", "soa", *words, *on)
    assert (result.exit_code, serial(core)) == (0, 6)
    assert result.stdout == "example.com. serial 5 → 6 is served: +1 −1, 4 records\n"
    assert result.stderr == ""
    found = json.loads(xfer("zone", "soa", "--json", *on).stdout)
    assert (found["rname"], found["retry"]) == ("host\\.master.example.org.", 900)
    again = xfer("zone", "soa", *words, *on)
    assert again.stdout == "example.com. has that content already, serial 6\n"
    versions = json.loads(xfer("zone", "history", "--json", *on).stdout)["versions"]
    assert versions[0]["kind"] == "edit"
    assert versions[0]["source"].startswith("SOA set by ")


def test_the_defaults_fill_in_what_is_not_given(
    xfer: Xfer, core: Core, on: tuple[str, ...]
) -> None:
    xfer("zone", "soa", "--defaults", "--expire", "86400", "--yes", *on)
    found = json.loads(xfer("zone", "soa", "--json", *on).stdout)
    del found["mname"], found["rname"], found["email"]
    assert found == {
        "serial": 6,
        "refresh": 10000,
        "retry": 2400,
        "expire": 86400,
        "negative_ttl": 1800,
        "ttl": 3600,
    }


def test_it_asks_first(
    xfer: Xfer, core: Core, on: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soa, "can_ask", lambda: True)
    for answer, code, then in ((False, 1, 5), (True, 0, 6)):
        monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: answer)
        result = xfer("zone", "soa", "--refresh", "7200", *on)
        assert (result.exit_code, serial(core)) == (code, then)
        assert "+example.com.\t300\tIN\tSOA\tns1.example.com. " in result.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--refresh", "599", "--yes"), "expected REFRESH from 600 to 86400 seconds, got 599"),
        (("--rname", "a b@example.com", "--yes"), "an e-mail address"),
        (("--mname", "a..b", "--yes"), "MNAME 'a..b': expected labels"),
        (("--refresh", "7200"), "--yes or --dry-run"),
        (("--yes",), "a field to set"),
    ],
)
def test_bad_usage(
    xfer: Xfer, core: Core, on: tuple[str, ...], words: tuple[str, ...], sentence: str
) -> None:
    result = xfer("zone", "soa", *words, *on)
    assert (result.exit_code, serial(core)) == (2, 5)
    assert sentence in result.stderr


def test_what_the_daemon_refuses(xfer: Xfer, core: Core, on: tuple[str, ...]) -> None:
    result = xfer("zone", "soa", "--retry", "3600", "--refresh", "3600", "--yes", *on)
    assert result.exit_code == 0
    result = xfer("zone", "soa", "--refresh", "3000", "--yes", *on)
    assert result.exit_code == 1
    assert "expected RETRY of at most REFRESH, 3000 seconds, got 3600" in result.stderr
    result = xfer("zone", "soa", "second.example", "--refresh", "3000", "--yes", *on[1:])
    assert result.exit_code == 1
    assert "second.example. is a secondary zone" in result.stderr
    result = xfer("zone", "soa", "second.example", *on[1:])
    assert "second.example. has no version yet, and so no SOA" in result.stderr
