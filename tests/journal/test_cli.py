"""`xfer journal …` as an operator or a script runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.journal.contents import ZONE, StillClock, new, snapshot
from tests.journal.test_damage import flip_byte
from xfer.cli.journal import app
from xfer.journal import Journal


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def path(tmp_path: Path, clock: StillClock) -> str:
    """A closed journal of one zone with two versions."""
    with Journal.open(str(tmp_path / "journal.db"), clock) as journal:
        (first,) = journal.commit([new(snapshot(1, range(8)))])
        journal.commit([new(snapshot(2, range(9)), parent=first.id)])
    return str(tmp_path / "journal.db")


def test_verify_of_a_sound_journal(path: str) -> None:
    assert run("verify", "--journal", path) == (
        0,
        f"{path}: sound, 2 versions of 5 blocks ({_octets(path)}), 0 orphans, 0 peer states, "
        "0 marks\n",
        "",
    )
    code, out, _ = run("verify", "--journal", f"sqlite://{path}", "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["versions"]) == (0, True, 2)


def test_a_relative_journal_starts_at_the_working_directory(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(path).parent)
    for given in ("journal.db", "sqlite:journal.db"):
        code, out, _ = run("verify", "--journal", given)
        assert (code, out.partition(":")[0]) == (0, "journal.db")


def _octets(path: str) -> str:
    with Journal.open(path, StillClock(), writable=False) as journal:
        return f"{journal.stats().block_octets} B"


def test_verify_of_a_damaged_journal_fails_and_names_it(path: str) -> None:
    block = snapshot(2, range(9)).blocks[-1]
    flip_byte(Path(path), block.data[-12:])
    code, out, err = run("verify", "--journal", path)
    assert (code, out) == (1, "")
    line, advice = err.splitlines()
    assert "a damaged block is written anew" in advice
    assert line.startswith(f"{path}: 1 problem; first: block {block.digest.hex()}: ")
    assert line.endswith("it hits example. version 2 (serial 2)")
    code, out, _ = run("verify", "--journal", path, "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    assert found["damaged"][0]["versions"] == ["example. version 2 (serial 2)"]


def test_stats_for_people_and_for_machines(path: str) -> None:
    code, out, _ = run("stats", "--journal", path)
    assert code == 0
    assert "1 zone, 5 blocks" in out
    assert out.splitlines()[-1].split()[:4] == ["example.", "2", "10", "2"]
    found = json.loads(run("stats", "--journal", path, "--json")[1])
    assert found["zones"][0]["zone"] == "example."
    assert found["blocks"] == 5


def test_backup_and_restore(path: str, tmp_path: Path, clock: StillClock) -> None:
    copy = str(tmp_path / "copy.db")
    code, out, _ = run("backup", copy, "--journal", path)
    assert code == 0
    assert out.startswith(f"{copy}: written and verified, 2 versions")
    code, _, err = run("backup", copy, "--journal", path)
    assert (code, len(err.splitlines())) == (1, 1)
    assert "expected no such file, got one" in err
    assert run("backup", copy, "--journal", path, "--force")[0] == 0
    with Journal.open(path, clock) as journal:
        journal.commit([new(snapshot(3), parent=2)])
        code, _, err = run("restore", copy, "--journal", path)
        assert code == 1
        assert "stop that daemon first" in err
        assert run("backup", str(tmp_path / "live.db"), "--journal", path)[0] == 0
    code, out, _ = run("restore", copy, "--journal", path, "--json")
    assert code == 0
    assert Path(json.loads(out)["aside"]).exists()
    with Journal.open(path, clock) as journal:
        assert [version.serial for version in journal.versions(ZONE)] == [2, 1]


def test_the_config_names_the_journal(path: str, tmp_path: Path) -> None:
    config = tmp_path / "xfer.toml"
    config.write_text('[server]\nlisten = ["127.0.0.1:5300"]\njournal = "journal.db"\n')
    code, out, err = run("verify", "-c", str(config))
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: sound")


def test_usage_and_config_errors_exit_with_2(tmp_path: Path) -> None:
    assert run("verify")[::2] == (2, "expected -c CONFIG or --journal PATH, got neither\n")
    config = tmp_path / "xfer.toml"
    config.write_text("[server]\njornal = 1\n")
    code, _, err = run("verify", "-c", str(config))
    assert code == 2
    assert "jornal" in err.splitlines()[0]
    assert run("verify", "--journal", str(tmp_path / "none.db"))[0] == 1


def test_a_journal_that_is_none_is_one_line_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("text, and more of it\n" * 99)
    code, _, err = run("stats", "--journal", str(tmp_path / "x"))
    assert code == 1
    assert err == f"{tmp_path}/x: expected a journal, got a file that is no SQLite database\n"


def test_the_command_line_starts_without_the_database() -> None:
    program = "import sys, xfer.cli.journal; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
