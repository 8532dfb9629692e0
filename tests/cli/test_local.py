"""Commands without a daemon: check, tsig generate, help, and how fast they start."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from xfer.cli.keys import key_of_file
from xfer.config import load
from xfer.config_keys import documented
from xfer.wire.tsig import ALGORITHMS

ROOT = Path(__file__).resolve().parents[2]


def test_check_counts_what_it_found(xfer: Xfer, tmp_path: Path) -> None:
    config = tmp_path / "xfer.toml"
    config.write_text('[[peer]]\nname = "one"\naddress = "192.0.2.1"\n')
    result = xfer("check", "-c", str(config))
    assert result.exit_code == 0
    assert result.stdout == f"{config} is fine: 0 zones, 1 peer, 0 TSIG keys, 0 warnings\n"


def test_check_prints_every_problem_and_ends_with_2(xfer: Xfer, tmp_path: Path) -> None:
    config = tmp_path / "xfer.toml"
    config.write_text("[server]\nlistn = 1\n[limts]\n")
    result = xfer("check", "-c", str(config))
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2
    found = json.loads(xfer("check", "-c", str(config), "--json").stdout)
    assert not found["ok"]
    assert {"file": str(config), "key": "server.listn", "problem": "unknown key"}.items() <= found[
        "errors"
    ][1].items()


def test_check_warns_and_ends_with_0(xfer: Xfer, tmp_path: Path) -> None:
    config = tmp_path / "xfer.toml"
    config.write_text('[[tsig]]\nname = "k"\nsecret = "c2hvcnQ="\n')
    config.chmod(0o644)
    result = xfer("check", "-c", str(config))
    assert result.exit_code == 0
    assert "the secret has 5 octets" in result.stderr
    assert "everyone on this machine can read the secret" in result.stderr
    assert "2 warnings" in result.stdout


def test_check_looks_at_private_keys_and_leaves_them(xfer: Xfer, tmp_path: Path) -> None:
    config = tmp_path / "xfer.toml"
    config.write_text(
        f'[server]\nkeys = "{tmp_path}/keys"\n'
        + "".join(
            f'[[zone]]\nname = "{name}"\nrole = "primary"\nfile = "{config}"\n'
            'dnssec = "live-signed"\n'
            for name in ("a.test", "b.test")
        )
    )
    assert "0 warnings" in xfer("check", "-c", str(config)).stdout
    (tmp_path / "keys").mkdir(mode=0o755)
    (tmp_path / "keys").chmod(0o755)
    result = xfer("check", "-c", str(config))
    assert result.exit_code == 0
    assert result.stderr.count("run: chmod 700") == 1  # though it is of both zones
    (tmp_path / "keys").chmod(0o700)
    place = tmp_path / "keys" / "a.test"
    place.mkdir(mode=0o700)
    names = ["Ka.test.+013+00001.key", ".new-Ka.test.+013+00002.private"]
    for name in names:  # the second is what a killed daemon leaves, for its next start
        (place / name).touch()
    told = json.loads(xfer("check", "-c", str(config), "--json").stdout)["warnings"]
    assert [(each["file"], each["key"]) for each in told] == [(str(config), "zone[a.test].dnssec")]
    assert "no Ka.test.+013+00001.private" in told[0]["problem"]
    assert sorted(file.name for file in place.iterdir()) == sorted(names)


def test_check_explains_every_key(xfer: Xfer) -> None:
    text = xfer("check", "--explain-keys").stdout
    for _, key, _, sentence in documented():
        assert f"| `{key}` |" in text
        assert sentence in text
    assert len(json.loads(xfer("check", "--explain-keys", "--json").stdout)) == len(
        list(documented())
    )


def test_serve_with_a_bad_config_ends_with_2(xfer: Xfer, tmp_path: Path) -> None:
    result = xfer("serve", "-c", str(tmp_path / "none.toml"))
    assert result.exit_code == 2


@pytest.mark.parametrize("algorithm", [item.text for item in ALGORITHMS])
def test_a_generated_key_has_the_digest_size_and_reads_back(
    xfer: Xfer, tmp_path: Path, algorithm: str
) -> None:
    result = xfer("tsig", "generate", "K1.Example", "--algorithm", algorithm)
    assert result.exit_code == 0
    bind, toml = result.stdout.split("# xfer.toml\n")
    key_file, config = tmp_path / "k.key", tmp_path / "xfer.toml"
    key_file.write_text(bind)
    config.write_text(toml)
    key = key_of_file(key_file)
    assert len(key.secret) == key.algorithm.digest_size
    assert load(config).tsig == {b"\x02k1\x07example\x00": key}


def test_a_generated_key_as_json(xfer: Xfer) -> None:
    found = json.loads(xfer("tsig", "generate", "k1", "--json").stdout)
    assert (found["name"], found["algorithm"]) == ("k1.", "hmac-sha256")
    assert len(base64.b64decode(found["secret"])) == 32


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tsig", "generate", "a..b"), "expected labels that are not empty"),
        (("tsig", "generate", "k", "--algorithm", "md4"), "expected a TSIG algorithm"),
        (("pull", "a", "--from", "[::1"), "expected --from ADDR[:PORT]"),
        (("pull", "a", "--from", "127.0.0.1:99999"), "expected a port from 1 to 65535"),
        (("pull", "a", "--from", "127.0.0.1", "--tsig", "k"), "expected NAME:ALG:SECRET"),
        (("pull", "a", "--from", "127.0.0.1", "--tsig", "k:hmac-sha256:?"), "secret in base64"),
        (("pull", "a", "--from", "127.0.0.1", "--source", "x..y"), "an address or a host name"),
        (("pull", "a"), "Missing option '--from'"),
        (("stats",), "No such command 'stats'"),
    ],
)
def test_bad_usage_ends_with_2(xfer: Xfer, words: tuple[str, ...], sentence: str) -> None:
    result = xfer(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr


# typer looks into pydantic by itself where that is installed.
HEAVY = ("dns", "fastapi", "hypercorn", "rich", "sqlalchemy", "structlog", "trio")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["status", "--control", "/none"], ["tsig", "generate", "k"]],
    ids=lambda words: words[0],
)
def test_quick_commands_import_nothing_heavy(words: list[str]) -> None:
    """Start-up time is what is imported; counting modules does not depend on the machine's load."""
    code = (
        "import sys\n"
        "from xfer.__main__ import main\n"
        f"sys.argv[1:] = {words!r}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
