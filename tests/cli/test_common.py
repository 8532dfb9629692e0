"""Exit codes, where the daemon is looked for, and words for people."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from xfer.cli.common import ENVIRONMENT, Misused, daemon, many, print_json, reported, usage
from xfer.config import ConfigErrors
from xfer.config_socket import DEFAULT_CONTROL
from xfer.errors import ConfigError, ControlError, XferError, ZoneError

CONFIG = ConfigError("xfer.toml", "server.listen", "expected an address, got 7")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ZoneError("two SOAs"), 1, "two SOAs"),
        (ControlError("no such zone"), 1, "no such zone"),
        (ControlError("a limit of 7", kind="ConfigErrors"), 2, "a limit of 7"),
        (ControlError("nobody listens", unreachable=True), 3, "nobody listens"),
        (Misused("expected a name"), 2, "expected a name"),
        (CONFIG, 2, "xfer.toml: server.listen: expected an address, got 7"),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    error: XferError, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as exit, reported():
        raise error
    assert exit.value.exit_code == code
    assert capsys.readouterr() == ("", f"xfer: {line}\n")


def test_all_errors_of_a_config_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    other = ConfigError("xfer.toml", "limits.x", "no such key")
    with pytest.raises(typer.Exit) as exit, reported():
        raise ConfigErrors([CONFIG, other])
    assert exit.value.exit_code == 2
    assert capsys.readouterr().err.count("xfer: xfer.toml: ") == 2


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(KeyError), reported():
        raise KeyError("zone")


def test_bad_usage_is_raised_by_who_finds_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage("expected a file, got none").exit_code == 2
    assert capsys.readouterr().err == "xfer: expected a file, got none\n"


@pytest.mark.parametrize(
    ("config", "control", "environment", "found"),
    [
        (None, None, None, Path(DEFAULT_CONTROL)),
        (None, "/from/option", None, Path("/from/option")),
        (None, "/from/env", "/from/env", Path("/from/env")),
        ("xfer.toml", None, None, Path("/from/config")),
        ("xfer.toml", "/from/option", None, Path("/from/option")),
        ("xfer.toml", "/from/env", "/from/env", Path("/from/config")),
        ("xfer.toml", "/from/option", "/from/env", Path("/from/option")),
    ],
)
def test_where_the_daemon_is(
    config: str | None,
    control: str | None,
    environment: str | None,
    found: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "xfer.toml").write_text('[server]\ncontrol = "/from/config"\n')
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    if environment is not None:
        monkeypatch.setenv(ENVIRONMENT, environment)
    asked = daemon(tmp_path / config if config else None, Path(control) if control else None)
    assert asked.path == found


def test_json_in_a_pipe_is_one_line_with_every_letter(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"zone": "bücher.example.", "serials": [5, 6]})
    assert capsys.readouterr().out == '{"zone": "bücher.example.", "serials": [5, 6]}\n'


def test_json_at_a_terminal_is_indented(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_json({"serial": 5})
    assert capsys.readouterr().out == '{\n  "serial": 5\n}\n'


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 records"), (1, "1 record"), (2000, "2,000 records")]
)
def test_one_is_not_many(count: int, text: str) -> None:
    assert many(count, "record") == text
