"""Cookie secrets, the NSID and rate limits in the config."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from xfer.config import Config, ConfigErrors, load
from xfer.config_rrl import Rrl

ONE, TWO = "000102030405060708090a0b0c0d0e0f", "f0e0d0c0b0a090807060504030201000"


def loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "xfer.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        loaded(tmp_path, text)
    (error,) = caught.value.errors
    return str(error)


def secrets(config: Config) -> list[str]:
    return [secret.reveal().hex() for secret in config.server.cookie_secret]


def test_secrets_keep_their_order_and_never_print(tmp_path: Path) -> None:
    config = loaded(tmp_path, f'[server]\ncookie_secret = ["{ONE}", "{TWO}"]\n')
    assert secrets(config) == [ONE, TWO]
    assert ONE not in repr(config)
    assert ONE not in str(config.server)
    assert secrets(loaded(tmp_path, f'[server]\ncookie_secret = "{TWO.upper()}"\n')) == [TWO]
    assert secrets(loaded(tmp_path, "")) == []


def test_a_file_of_secrets_is_read_and_its_mode_watched(tmp_path: Path) -> None:
    file = tmp_path / "cookies"
    file.write_text(f"{ONE}\n{TWO}\n")
    file.chmod(0o600)
    text = '[server]\ncookie_secret_file = "cookies"\n'
    config = loaded(tmp_path, text)
    assert secrets(config) == [ONE, TWO]
    assert config.warnings == ()
    file.chmod(0o644)
    (warning,) = loaded(tmp_path, text).warnings
    assert "everyone on this machine can read the secret" in str(warning)


def test_a_readable_config_with_a_secret_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "xfer.toml"
    path.write_text(f'[server]\ncookie_secret = "{ONE}"\n')
    path.chmod(0o644)
    (warning,) = load(path).warnings
    assert "chmod o-r" in str(warning)


@pytest.mark.parametrize("content", ["", "0102", "x" * 32, "\udcff"])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "cookies").write_bytes(content.encode(errors="surrogateescape"))
    said = refused(tmp_path, '[server]\ncookie_secret_file = "cookies"\n')
    assert "server.cookie_secret_file" in said
    assert "openssl rand -hex 16" in said


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, '[server]\ncookie_secret_file = "none"\n')
    assert "No such file or directory" in said


@pytest.mark.parametrize("value", ["", "aa", ONE + "00", "not hexadecimal, 32 characters!!"])
def test_what_is_no_secret_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    said = refused(tmp_path, f'[server]\ncookie_secret = "{value}"\n')
    assert "expected 32 hexadecimal digits" in said
    assert not value or value not in said


def test_both_keys_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cookies").write_text(ONE)
    text = f'[server]\ncookie_secret = "{ONE}"\ncookie_secret_file = "cookies"\n'
    assert "keep one of them" in refused(tmp_path, text)


def test_the_nsid_is_short_text(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[server]\nnsid = "ns1"\n').server.nsid == "ns1"
    assert "at most 200" in refused(tmp_path, f'[server]\nnsid = "{"n" * 201}"\n')


def test_rate_limits_are_off_unless_set(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").rrl == Rrl()
    assert Rrl().responses_per_second == 0
    text = '[rrl]\nresponses_per_second = 50\nslip = 1\nexempt = "192.0.2.0/24"\n'
    assert loaded(tmp_path, text).rrl == Rrl(50, slip=1, exempt=(ip_network("192.0.2.0/24"),))


@pytest.mark.parametrize(
    "line", ["responses_per_second = -1", "slip = 101", "ipv4_prefix = 33", "table_size = 1"]
)
def test_rate_limits_have_ranges(tmp_path: Path, line: str) -> None:
    assert "expected a whole number" in refused(tmp_path, f"[rrl]\n{line}\n")
