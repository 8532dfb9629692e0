"""Commands that ask the daemon: what they print, and the code they end with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.control.engine import SmallEngine
from xfer.control.engine import RefusedSource
from xfer.errors import ConfigError


@pytest.fixture
def socket_option(engine: SmallEngine, tmp_path: Path) -> tuple[str, str]:
    return ("--control", str(tmp_path / "control.sock"))


def test_status_is_one_line_a_zone(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("status", *socket_option)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["ZONE", "ROLE", "STATE", "SERIAL", "RECORDS", "NOTE"]
    assert lines[1][:3] == ["busy.example.", "secondary", "transferring"]
    assert lines[2][2:5] == ["failing", "-", "-"]
    assert lines[3] == ["example.com.", "secondary", "current", "7", "3"]
    assert "TSIG bad-mac" in result.stdout
    assert "\x1b" not in result.stdout


def test_status_of_one_zone_tells_everything(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("status", "Example.COM", *socket_option)
    assert result.exit_code == 0
    for part in (
        "state      current",
        "source     axfr from 192.0.2.1#53",
        "next       check the primaries 1970-01-01 01:16:40Z",
        "primary    one 192.0.2.1#53, serial 7, asked 1970-01-01",
        "primary    two 192.0.2.2#53, serial unknown\nerror      1970-01-01 00:16:40Z (",
        " ago): auth: TSIG bad-mac: expected our secret, got another\n",
        "secondary  public 192.0.2.9#53\ntold       of serial 7: NOERROR, 1970-01-01 00:16:41Z (",
    ):
        assert part in result.stdout


def test_why(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("why", "example.com", *socket_option)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "example.com. is current: it serves serial 7.",
        "  Primary two failed.",
    ]
    result = xfer("why", "example.com", "--json", *socket_option)
    assert [item["weight"] for item in json.loads(result.stdout)["reasons"]] == ["state", "broken"]


def test_why_of_a_zone_that_is_not_there(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("why", "nowhere.example", *socket_option)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nowhere.example. is not configured here" in result.stderr


REFUSED = (
    RefusedSource("192.0.2.9", 2, 1000.0, "TSIG bad-mac"),
    RefusedSource("192.0.2.66", 1, 1000.0, "no peer", "example.com."),
    RefusedSource("192.0.2.67", 1, 1000.0, "no zone of this server", "example.org."),
)


def test_status_names_who_was_refused(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str]
) -> None:
    engine.refused = REFUSED
    lines = xfer("status", *socket_option).stdout.splitlines()
    assert lines[4] == ""
    assert lines[5].startswith("refused    192.0.2.9, 2 requests, last 1970-01-01 00:16:40Z (")
    assert lines[6].startswith("refused    192.0.2.66, 1 request, last for example.com. 1970-")
    assert lines[7].endswith("ago): no zone of this server")
    engine.refused = REFUSED * 4
    lines = xfer("status", *socket_option).stdout.splitlines()
    assert lines[15:] == ["refused    2 more sources: --json has them"]


def test_status_of_a_zone_names_who_was_refused_it_and_which_of_its_peers(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str]
) -> None:
    engine.refused = REFUSED
    told = xfer("status", "example.com", *socket_option).stdout
    assert [line.split()[1] for line in told.splitlines() if line.startswith("refused")] == [
        "192.0.2.9,",
        "192.0.2.66,",
    ]


def test_the_schedule_is_that_of_all_zones(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("status", "example.com", "--schedule", *socket_option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "`xfer status example.com` says what is next" in result.stderr


def test_the_schedule_is_listed_soonest_first(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    lines = xfer("status", "--schedule", *socket_option).stdout.splitlines()
    assert len(lines) > 1
    assert all(line.endswith("  check the primaries") for line in lines)
    assert lines == sorted(lines)
    listed = json.loads(xfer("status", "--schedule", "--json", *socket_option).stdout)["schedule"]
    assert [item["zone"] for item in listed] == [line.split()[-4] for line in lines]


def test_status_as_json(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    every = json.loads(xfer("status", "--json", *socket_option).stdout)
    assert every["server"]["pid"] == 42
    assert [zone["serial"] for zone in every["zones"]] == [None, None, 7]
    one = json.loads(xfer("status", "example.com", "--json", *socket_option).stdout)
    assert one == every["zones"][2]


def test_an_unknown_zone_ends_with_1(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("status", "no.example", *socket_option)
    assert result.exit_code == 1
    assert result.stderr == "xfer: zone no.example. is not configured here\n"


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("refresh", "a"),
        ("force-axfr", "a", "--wait"),
        ("notify", "a"),
        ("reload",),
        ("zone", "show", "a"),
    ],
    ids=lambda words: words[0],
)
def test_no_daemon_ends_with_3(xfer: Xfer, tmp_path: Path, words: tuple[str, ...]) -> None:
    result = xfer(*words, "--control", str(tmp_path / "none.sock"))
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith(f"xfer: no daemon answers at {tmp_path}/none.sock (no such")
    assert len(result.stderr.splitlines()) == 1


def test_force_axfr_waits_when_told_to(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str]
) -> None:
    started = xfer("force-axfr", "example.com", *socket_option)
    assert (started.exit_code, started.stdout) == (0, "example.com. transfer started\n")
    done = xfer("force-axfr", "example.com", "--wait", "--peer", "two", *socket_option)
    assert (done.exit_code, done.stdout) == (0, "example.com. serial 7 → 8\n")
    assert engine.orders == [
        ("force-axfr", "example.com.", None, False),
        ("force-axfr", "example.com.", "two", True),
    ]


def test_a_failed_transfer_ends_with_1_and_its_reason(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str]
) -> None:
    engine.fails = True
    result = xfer("force-axfr", "example.com", "--wait", *socket_option)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "xfer: example.com. auth: TSIG bad-mac: expected our secret, got another",
        "compare it",
    ]
    as_json = xfer("force-axfr", "example.com", "--wait", "--json", *socket_option)
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["failure"]["failure"] == "auth"


def test_a_reload_of_a_config_that_is_wrong_ends_with_2(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str]
) -> None:
    engine.config_error = ConfigError("xfer.toml", "zone[a]", "wrong", "mend it")
    result = xfer("reload", *socket_option)
    assert result.exit_code == 2
    assert result.stderr.startswith("xfer: xfer.toml: zone[a]: wrong; mend it")


def test_an_unknown_peer_ends_with_1(xfer: Xfer, socket_option: tuple[str, str]) -> None:
    result = xfer("force-axfr", "example.com", "--peer", "three", *socket_option)
    assert result.exit_code == 1
    assert "three is no primary of example.com." in result.stderr


def test_refresh_notify_and_reload_say_what_came_of_it(
    xfer: Xfer, socket_option: tuple[str, str]
) -> None:
    assert xfer("refresh", "example.com", *socket_option).stdout == (
        "example.com. up to date at serial 7\n"
    )
    assert "NOTIFY sent to 1 secondary" in xfer("notify", "example.com", *socket_option).stdout
    reloaded = xfer("reload", *socket_option)
    assert reloaded.stdout == "reloaded: 1 zone added, 0 removed, 0 changed\n"
    assert "only a restart applies server.listen" in reloaded.stderr


def test_the_daemon_is_found_by_option_config_or_environment(
    xfer: Xfer, engine: SmallEngine, tmp_path: Path
) -> None:
    config = tmp_path / "xfer.toml"
    config.write_text('[server]\ncontrol = "control.sock"\n')
    path = str(tmp_path / "control.sock")
    nowhere = {"XFER_CONTROL": str(tmp_path / "none.sock")}
    assert xfer("status", env={"XFER_CONTROL": path}).exit_code == 0
    assert xfer("status", "-c", str(config)).exit_code == 0
    assert xfer("status", "-c", str(config), env=nowhere).exit_code == 0
    assert xfer("status", "--control", path, env=nowhere).exit_code == 0
    assert xfer("status", env=nowhere).exit_code == 3
    missing = xfer("status", "-c", str(tmp_path / "none.toml"))
    assert missing.exit_code == 2
    assert "none.toml: cannot be read: No such file or directory" in missing.stderr


def test_zone_show_prints_or_writes_the_zone_file(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str], tmp_path: Path
) -> None:
    shown = xfer("zone", "show", "example.com", *socket_option)
    assert shown.stdout.splitlines()[2] == "r2.example.com. 3600 IN A 192.0.2.2"
    out = tmp_path / "out.zone"
    written = xfer("zone", "show", "example.com", "-o", str(out), *socket_option)
    assert (written.exit_code, written.stdout) == (0, "")
    assert out.read_text() == shown.stdout
    nothing = xfer("zone", "show", "empty.example", "-o", str(out), *socket_option)
    assert nothing.exit_code == 1
    assert nothing.stderr == "xfer: zone empty.example. has no version yet\n"


def test_a_zone_file_that_breaks_off_leaves_the_old_one(
    xfer: Xfer, engine: SmallEngine, socket_option: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out.zone"
    out.write_text("old")
    engine.pieces, engine.broken_after = 20_000, 10_000
    result = xfer("zone", "show", "example.com", "-o", str(out), *socket_option)
    assert result.exit_code == 1
    assert "the daemon broke off its answer: it ended early" in result.stderr
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "control.sock",
        "control.sock.lock",
        "out.zone",
    ]
