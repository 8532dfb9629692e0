"""No setting, command or option without documentation, and none documented that is not there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import typer.main

from xfer.cli.main import app
from xfer.config_keys import TABLES, documented, reference

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = [
    pytest.param(field, id=f"{table}.{field.name}")
    for table, kind in TABLES.items()
    for field in attrs.fields(kind)
]
#: What users type, as DESIGN §4 fixes it, as far as it is built.
COMMANDS = {
    "serve",
    "check",
    "status",
    "refresh",
    "force-axfr",
    "notify",
    "reload",
    "pull",
    "why",
    "zone show",
    "zone export",
    "zone history",
    "zone diff",
    "zone rollback",
    "zone release",
    "zone import",
    "zone edit",
    "zone soa",
    "zone removed",
    "journal verify",
    "journal stats",
    "journal backup",
    "journal restore",
    "dnssec status",
    "dnssec keys",
    "dnssec ds",
    "dnssec dnskey",
    "dnssec zsk",
    "dnssec enable",
    "dnssec disable",
    "dnssec delete",
    "dnssec roll",
    "dnssec ds-seen",
    "dnssec ds-gone",
    "dnssec shared",
    "dnssec import",
    "dnssec import-dnskey",
    "dnssec export",
    "dnssec remove-key",
    "dnssec migrate",
    "dnssec foreign add",
    "dnssec foreign remove",
    "tsig generate",
}


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its words, groups left out."""
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield " ".join(path), command
        return
    for name, sub in subcommands.items():
        yield from walk(sub, (*path, name))


ALL = dict(walk(typer.main.get_command(app)))


@pytest.mark.parametrize("field", SETTINGS)
def test_every_setting_has_its_sentence(field: Any) -> None:
    assert callable(field.metadata["parse"])
    assert len(field.metadata["doc"]) > 10
    assert not field.metadata["doc"].endswith(".")


def test_the_reference_holds_every_key_once_with_a_default() -> None:
    rows = [(table, key) for table, key, _, _ in documented()]
    assert len(rows) == len(set(rows))
    assert all(default and sentence for _, _, default, sentence in documented())
    text = reference()
    assert all(f"| `{key}` |" in text for _, key in rows)
    assert all(f"[{table}]" in text or f"[{table}.NAME]" in text for table in TABLES)


def test_the_commands_are_those_of_the_design() -> None:
    assert set(ALL) == COMMANDS


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_option_has_its_help(name: str) -> None:
    command = ALL[name]
    assert command.help
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, f"{name}: {parameter.name}"


def readme_commands() -> list[str]:
    """Lines of the README's code blocks that call xfer, without comments."""
    lines: list[str] = []
    for block in re.findall(r"```[a-z]*\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        lines += re.findall(r"^(?:\S*/)?xfer (.+)$", block, re.MULTILINE)
    return lines


@pytest.mark.parametrize("line", readme_commands())
def test_the_readme_names_only_what_exists(line: str) -> None:
    words = shlex.split(line, comments=True)
    name = next(found for n in (3, 2, 1) if (found := " ".join(words[:n])) in ALL)
    known = {text for parameter in ALL[name].params for text in parameter.opts}
    used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert used <= known
