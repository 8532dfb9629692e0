"""What the README tells people to type exists and works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from xfer.config import load

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


COMMANDS = [
    words
    for block in blocks("sh")
    for line in block.splitlines()
    if (words := shlex.split(line, comments=True))
]
XFER_COMMANDS = [words[1:] for words in COMMANDS if Path(words[0]).name == "xfer"]
MAKE_TARGETS = [words[1] for words in COMMANDS if words[0] == "make"]


def xfer(*args: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command line of this tree."""
    command = [sys.executable, "-c", "from xfer.__main__ import main; main()", *args]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_every_command_is_make_or_xfer() -> None:
    assert {Path(words[0]).name for words in COMMANDS} == {"make", "xfer"}


@pytest.mark.parametrize("target", MAKE_TARGETS)
def test_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", MAKEFILE, flags=re.MULTILINE)


def test_bare_make_lists_the_targets() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in (*MAKE_TARGETS, "help", "lint"):
        assert f"make {target} " in done.stdout


@pytest.mark.parametrize("words", XFER_COMMANDS, ids=" ".join)
def test_xfer_command_and_its_options_exist(words: list[str]) -> None:
    names = words[:2] if words[0] in {"zone", "tsig", "journal", "dnssec"} else words[:1]
    names = words[:3] if names == ["dnssec", "foreign"] else names
    done = xfer(*names, "--help")
    assert done.returncode == 0, done.stderr
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(^|[\s,│]){re.escape(option)}\b", done.stdout), (option, done.stdout)


@pytest.mark.parametrize("text", blocks("toml"))
def test_config_passes_check(text: str, tmp_path: Path) -> None:
    assert tomllib.loads(text)
    path = tmp_path / "xfer.toml"
    path.write_text(text)
    path.chmod(0o600)
    assert [zone.name for zone in load(path).zones.values()] == ["example.com."]
    done = xfer("check", "-c", str(path))
    assert (done.returncode, done.stderr) == (0, ""), done


def test_tsig_generate_prints_a_key() -> None:
    done = xfer("tsig", "generate", "k1.")
    assert done.returncode == 0, done.stderr
    assert "hmac-sha256" in done.stdout


def test_changelog_names_this_version_or_unreleased() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", changelog, flags=re.MULTILINE)
