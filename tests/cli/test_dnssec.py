"""`xfer dnssec …` against a real core that signs a zone."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.control import primary
from tests.control.test_dnssec import CONFIG, ZONE
from tests.server.test_dnssec_orders import files_of, secret_words
from xfer.cli import dnssec
from xfer.server.core import Core


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = primary.write(tmp_path, CONFIG, zone=ZONE)
    (tmp_path / "plain").write_text(ZONE)
    text = path.read_text()
    path.write_text(text.replace("[server]\n", f'[server]\nkeys = "{tmp_path}/keys"\n', 1))
    return path


@pytest.fixture
def core(config: Path) -> Iterator[Core]:
    with primary.running(config) as running:
        yield running


@pytest.fixture
def on(core: Core, tmp_path: Path) -> tuple[str, str]:
    return ("--control", str(tmp_path / "control.sock"))


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnssec, "can_ask", lambda: True)


def lines(text: str, label: str) -> list[str]:
    """What the lines with a label say."""
    return [line[11:] for line in text.splitlines() if line[:10].rstrip() == label]


def test_status_is_a_few_lines_that_say_what_is_next(xfer: Xfer, on: tuple[str, str]) -> None:
    result = xfer("dnssec", "status", "example.com", *on)
    assert result.exit_code == 0
    text = result.stdout
    assert lines(text, "dnssec") == ["live-signed, pending, 2 keys"]
    assert lines(text, "serial")[0].startswith("5 received, ")
    assert lines(text, "denial") == ["compact (RFC 9824), signed as it is asked for"]
    ksk, zsk = lines(text, "key")
    assert ksk.startswith("ksk 013+")
    assert "signs the DNSKEY RRset; next: its DS" in ksk
    assert zsk.startswith("zsk 013+")
    assert "signs the zone; next: its successor is published, " in zsk
    assert "the first ends 20" in lines(text, "signatures")[0]
    assert "`parent` in the policy names whom to ask" in lines(text, "ds")[0]
    assert len(text.splitlines()) < 15
    assert "dnssec     live-signed, pending, 2 keys\n" in xfer("status", "example.com", *on).stdout


def test_json_has_what_the_api_gives(xfer: Xfer, on: tuple[str, str]) -> None:
    found = json.loads(xfer("dnssec", "status", "example.com", "--json", *on).stdout)
    assert [key["role"] for key in found["keys"]] == ["ksk", "zsk"]
    keys = json.loads(xfer("dnssec", "keys", "example.com", "--json", *on).stdout)
    assert keys["keys"] == found["keys"]
    (ds,) = json.loads(xfer("dnssec", "ds", "example.com", "--all", "--json", *on).stdout)[
        "records"
    ]
    assert ds["fields"]["key_tag"] == found["keys"][0]["tag"]


def test_records_are_copied_as_they_stand(xfer: Xfer, on: tuple[str, str], tmp_path: Path) -> None:
    ds = xfer("dnssec", "ds", "example.com", "--all", *on).stdout
    exported = xfer("dnssec", "export", "example.com", "-o", str(tmp_path / "out"), "--yes", *on)
    ksk = next(
        file for file in (tmp_path / "out").glob("*.key") if "key-signing" in file.read_text()
    )
    made = subprocess.run(
        ["dnssec-dsfromkey", "-2", str(ksk)], capture_output=True, text=True, check=True
    )
    assert ds.split() == made.stdout.split()
    assert exported.exit_code == 0
    zsk = xfer("dnssec", "zsk", "example.com", *on).stdout
    assert zsk.startswith("example.com. ")
    assert " IN DNSKEY 256 3 13 " in zsk
    both = xfer("dnssec", "dnskey", "example.com", *on).stdout
    assert len(both.splitlines()) == 2
    assert zsk in both
    assert xfer("dnssec", "ds", "example.com", "--digest", "1", *on).exit_code == 1


def test_a_ds_that_would_come_too_early_is_not_printed(
    xfer: Xfer, core: Core, on: tuple[str, str]
) -> None:
    xfer("dnssec", "disable", "example.com", "--yes", *on)
    result = xfer("dnssec", "ds", "example.com", *on)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no DS of it is to be at the parent" in result.stderr


def test_an_order_shows_what_is_at_stake_and_asks(
    xfer: Xfer, on: tuple[str, str], at_a_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    result = xfer("dnssec", "roll", "example.com", "zsk", "--compromised", *on)
    assert result.exit_code == 1
    assert result.stdout.startswith("example.com. would replace compromised key 013+")
    assert "at stake: until the DNSKEY of 013+" in result.stderr
    assert result.stderr.endswith("nothing was changed\n")
    found = json.loads(xfer("dnssec", "status", "example.com", "--json", *on).stdout)
    assert not any(key["compromised"] for key in found["keys"])
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    result = xfer("dnssec", "roll", "example.com", "zsk", "--compromised", *on)
    assert result.exit_code == 0
    found = json.loads(xfer("dnssec", "status", "example.com", "--json", *on).stdout)
    assert any(key["compromised"] for key in found["keys"]) or len(found["keys"]) == 2


def test_nobody_is_asked_where_nobody_is(xfer: Xfer, on: tuple[str, str]) -> None:
    result = xfer("dnssec", "disable", "example.com", *on)
    assert result.exit_code == 2
    assert "--yes or --dry-run" in result.stderr
    looked = xfer("dnssec", "disable", "example.com", "--dry-run", *on)
    assert (looked.exit_code, looked.stdout.splitlines()[0]) == (
        0,
        "example.com. would disable DNSSEC",
    )
    found = xfer("dnssec", "disable", "example.com", "--dry-run", "--json", *on)
    assert json.loads(found.stdout)["dry_run"] is True
    assert lines(xfer("dnssec", "status", "example.com", *on).stdout, "dnssec") == [
        "live-signed, pending, 2 keys"
    ]


def test_from_a_first_ds_to_an_unsigned_zone_and_back(xfer: Xfer, on: tuple[str, str]) -> None:
    def until(what: str, *words: str) -> None:
        deadline = time.monotonic() + 60
        while what not in xfer("dnssec", words[0], "example.com", *words[1:], *on).stdout:
            assert time.monotonic() < deadline, what

    def order(*words: str) -> str:
        result = xfer("dnssec", words[0], "example.com", *words[1:], "--yes", *on)
        assert result.exit_code == 0, result.stderr
        return result.stdout.splitlines()[0]

    early = xfer("dnssec", "delete", "example.com", "--yes", *on)
    assert early.exit_code == 1
    assert early.stderr == (
        "xfer: cannot take DNSSEC out of the zone: it is pending; `xfer dnssec disable` it\n"
    )
    until(" IN DS ", "ds")
    assert order("ds-seen").endswith("done; it is active")
    assert "matches: 013+" in xfer("dnssec", "status", "example.com", *on).stdout
    assert order("disable").endswith("it is pending-disabled")
    assert order("disable", "--cancel").endswith("it is active")
    order("disable")
    assert order("ds-gone").endswith("it is disabled")
    assert order("delete").endswith("it is deleted")
    shown = xfer("zone", "show", "example.com", *on).stdout
    assert "RRSIG" not in shown
    assert "DNSKEY" not in shown
    assert "its signing was ended" in xfer("why", "example.com", *on).stdout
    assert order("enable").endswith("it is pending")
    history = xfer("zone", "history", "example.com", *on).stdout
    assert "signed here, content 5" in history
    assert "signatures taken out" in history


def test_keys_come_and_go_as_files_of_their_owner(
    xfer: Xfer, core: Core, on: tuple[str, str], tmp_path: Path
) -> None:
    made = subprocess.run(
        ["dnssec-keygen", "-q", "-a", "13", "-K", str(tmp_path), "example.com"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    result = xfer("dnssec", "import", "example.com", str(tmp_path / f"{made}.key"), "--yes", *on)
    assert result.exit_code == 0, result.stderr
    ident = made.partition("+")[2]
    assert f"import {ident}: done" in result.stdout
    assert f"zsk {ident} " in xfer("dnssec", "status", "example.com", *on).stdout
    text = xfer("dnssec", "keys", "example.com", *on).stdout
    assert "  caches: DNSKEY " in text
    assert "(import), replaces 013+" in text
    out = tmp_path / "out"
    done = xfer("dnssec", "export", "example.com", "--key", ident, "-o", str(out), "--yes", *on)
    assert sorted(file.name for file in out.iterdir()) == [f"{made}.key", f"{made}.private"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in out.iterdir())
    secrets = secret_words(out)
    assert secrets
    assert not [word for word in secrets if word in done.stdout + done.stderr + text]
    again = xfer("dnssec", "export", "example.com", "-o", str(out), "--yes", *on)
    assert again.exit_code == 1
    assert "one that exists already" in again.stderr


def test_keys_that_are_not_the_zones_are_refused(
    xfer: Xfer, on: tuple[str, str], tmp_path: Path
) -> None:
    other = files_of(tmp_path / "in", "example.org.", sep=True)
    result = xfer("dnssec", "import", "example.com", str(other), "--yes", *on)
    assert result.exit_code == 1
    assert "expected a key of example.com., got one of example.org." in result.stderr
    (tmp_path / "in" / "Kexample.com.+013+00001.key").write_bytes(b"\xff" * 100)
    hostile = str(tmp_path / "in" / "Kexample.com.+013+00001.private")
    result = xfer("dnssec", "import", "example.com", hostile, "--dry-run", *on)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert len(xfer("dnssec", "keys", "example.com", *on).stdout.splitlines()) == 6


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("roll", "example.com", "dsk", "--yes"), 2, "expected ksk, zsk, csk, algorithm"),
        (("roll", "example.com", "zsk", "--key", "1", "--yes"), 2, "--key with --compromised"),
        (("roll", "example.com", "algorithm", "--compromised", "--yes"), 2, "expected the role"),
        (("roll", "example.com", "algorithm", "--yes"), 1, "set `algorithm` in the zone's"),
        (("remove-key", "example.com", "1", "--yes"), 1, "has no key '1'; it has 013+"),
        (("ds-seen", "example.com", "--key", "1", "--yes"), 1, "has no key '1'"),
        (("status", "example.com", "--ask"), 1, "nobody is to be asked for the DS"),
        (("shared", "example.com", "1", "--yes"), 1, "has no key '1'"),
        (("status", "none.example"), 1, "none.example. is not configured here"),
        (("ds", "plain.example"), 1, 'write dnssec = "live-signed" in its config'),
        (("status", "a..b"), 2, "the name of the zone"),
    ],
)
def test_bad_input_is_named(
    xfer: Xfer, on: tuple[str, str], words: tuple[str, ...], code: int, sentence: str
) -> None:
    result = xfer("dnssec", *words, *on)
    assert (result.exit_code, sentence in result.stderr) == (code, True), result.stderr


def test_without_a_daemon_the_exit_code_says_so(xfer: Xfer, tmp_path: Path) -> None:
    assert xfer("dnssec", "status", "a", "--control", str(tmp_path / "none")).exit_code == 3


def test_a_zone_without_dnssec_says_that_in_a_line(xfer: Xfer, on: tuple[str, str]) -> None:
    result = xfer("dnssec", "status", "plain.example", *on)
    assert (result.exit_code, result.stdout) == (0, "dnssec     unsigned\n")


def test_a_config_that_has_it_unsigned_shows_the_way_out(
    xfer: Xfer, core: Core, on: tuple[str, str], config: Path
) -> None:
    xfer("dnssec", "ds-seen", "example.com", "--yes", *on)
    signed = 'dnssec = "live-signed"\ndnssec_policy = "quick"\n'
    config.write_text(config.read_text().replace(signed, ""))
    assert xfer("reload", *on).exit_code == 0
    for words in (("dnssec", "status"), ("status",), ("why",)):
        text = xfer(*words, "example.com", *on).stdout
        assert 'its config says dnssec = "unsigned", and it is still signed here' in text, words
        assert "`xfer dnssec disable example.com.`, take its DS from the parent" in text
    assert "config and signing differ: see `xfer why example.com.`" in xfer("status", *on).stdout
