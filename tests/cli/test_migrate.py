"""`xfer dnssec migrate` and `foreign`, against a real core whose other signer does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.control import primary
from tests.control.test_dnssec import CONFIG, ZONE
from tests.dnssec.apart import make_key
from xfer.cli.migrate import rows
from xfer.dnssec.ds import dnskey_from

ELSEWHERE = "127.0.0.1:1"


@pytest.fixture
def on(tmp_path: Path) -> Iterator[tuple[str, str]]:
    path = primary.write(tmp_path, CONFIG, zone=ZONE)
    (tmp_path / "plain").write_text(ZONE)
    text = path.read_text().replace(
        'dnssec = "live-signed"', f'dnssec = "live-signed"\nother_signers = ["{ELSEWHERE}"]', 1
    )
    path.write_text(text.replace("[server]\n", f'[server]\nkeys = "{tmp_path}/keys"\n', 1))
    with primary.running(path):
        yield ("--control", str(tmp_path / "control.sock"))


def line(algorithm: int = 13) -> str:
    return dnskey_from(make_key(algorithm, False).public).line(b"\7example\3com\0", 300)


def test_a_zone_of_one_signer_has_no_next_step(xfer: Xfer, on: tuple[str, str]) -> None:
    result = xfer("dnssec", "migrate", "example.com", *on)
    assert result.exit_code == 0, result.stderr
    told = result.stdout.splitlines()
    assert told[0] == "signers    alone"
    assert told[1].startswith("signer     ")
    assert "connection refused" in told[1]
    assert told[-1] == "next       done: the zone has one signer"
    result = xfer("dnssec", "migrate", "example.com", "next", "--yes", *on)
    assert result.exit_code == 1
    assert "the zone has one signer" in result.stderr


def test_anothers_keys_are_published_and_steps_refused_while_it_is_silent(
    xfer: Xfer, on: tuple[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "theirs"
    file.write_text(f"; their ZSK\n{line()}\n")
    done = xfer("dnssec", "foreign", "add", "example.com", str(file), "--yes", "--json", *on)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["dnssec"]["multi_signer"]
    records = json.loads(xfer("dnssec", "dnskey", "example.com", "--json", *on).stdout)["records"]
    (theirs,) = [record["key"] for record in records if record["role"] == "foreign"]
    result = xfer("dnssec", "migrate", "example.com", "next", "--yes", *on)
    assert result.exit_code == 1
    assert "connection refused" in result.stderr
    found = json.loads(xfer("dnssec", "migrate", "example.com", "--json", *on).stdout)
    assert found["stage"] == "keys-there"
    assert found["direction"] == "together"
    result = xfer("dnssec", "migrate", "example.com", "next", "--step", "ds-taken", "--yes", *on)
    assert "it is too early; keys-there comes first" in result.stderr
    result = xfer("dnssec", "foreign", "remove", "example.com", theirs, "--yes", *on)
    assert result.exit_code == 0, result.stderr
    result = xfer("dnssec", "foreign", "remove", "example.com", theirs, "--yes", *on)
    assert "we were given none" in result.stderr


def test_what_is_no_dnskey_of_the_zone_is_refused(
    xfer: Xfer, on: tuple[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "theirs"
    for text, said in (
        ("www.example.com. A 192.0.2.1", "expected lines `OWNER"),
        (line().replace("example.com.", "example.net."), "expected DNSKEYs of example.com"),
        (line(15), "let both signers use one algorithm"),
        (line().replace("256", "x"), "expected flags from 0 to 65535"),
        ("", "1 to 100 DNSKEYs"),
    ):
        file.write_text(text + "\n")
        result = xfer("dnssec", "foreign", "add", "example.com", str(file), "--yes", *on)
        assert result.exit_code == 1, text
        assert said in result.stderr, (text, result.stderr)
    result = xfer("dnssec", "foreign", "add", "example.com", str(tmp_path / "no"), "--yes", *on)
    assert result.exit_code == 2


@pytest.mark.parametrize(
    "words", [("jump",), ("status", "--ns", "a."), ("join", "--step", "ds-added")]
)
def test_what_cannot_be_meant_is_usage(xfer: Xfer, words: tuple[str, ...]) -> None:
    assert xfer("dnssec", "migrate", "example.com", *words).exit_code == 2


def test_a_step_has_its_time() -> None:
    found = {
        "direction": "joining",
        "sides": [
            {"side": "parent", "server": "a#53", "ours": [], "theirs": [], "ns": [], "error": ""}
        ],
        "lacking": ["it lacks"],
        "stage": "keys-here",
        "says": "wait",
        "at": 200.0,
    }
    told = dict(rows(found, 100.0))
    assert told["parent"] == "a#53 has our DS none, others none, NS none"
    assert told["lacking"] == "it lacks"
    assert told["next"].startswith("keys-here, ")
    assert told["next"].endswith(": wait")
