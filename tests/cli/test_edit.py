"""`xfer zone import|edit|removed` against a real core with a primary zone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.control import primary
from xfer.cli import edit
from xfer.server.core import Core
from xfer.server.keystore import KeyStore
from xfer.wire import names

CHANGED = primary.ZONE.replace("192.0.2.2", "192.0.2.3") + "mail A 192.0.2.9\n"


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with primary.running(primary.write(tmp_path, limits="edit_records = 10")) as running:
        yield running


@pytest.fixture
def on(core: Core, tmp_path: Path) -> tuple[str, str]:
    return ("--control", str(tmp_path / "control.sock"))


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "can_ask", lambda: True)


def serial(core: Core) -> int | None:
    return next(zone for zone in core.table.zones.values() if not zone.secondary).serial


def written(directory: Path, text: str, name: str = "new") -> str:
    (directory / name).write_text(text)
    return str(directory / name)


class Editor:
    """An editor that runs a script on its file, and keeps what it was given."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script = directory / "editor"
        self.given = directory / "given"
        monkeypatch.setenv("VISUAL", f"sh {self.script}")

    def does(self, *commands: str) -> None:
        """One of the commands each time the editor is opened, the last one ever after."""
        cases = "".join(
            f"{'*' if command is commands[-1] else number}) {command};;\n"
            for number, command in enumerate(commands)
        )
        self.script.write_text(
            f'cp "$1" {self.given}\nn=$(cat {self.given}.n 2>/dev/null || echo 0)\n'
            f"echo $((n + 1)) > {self.given}.n\ncase $n in\n{cases}esac\n"
        )


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    (tmp_path / "texts").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "texts"))
    return Editor(tmp_path, monkeypatch)


def texts(directory: Path) -> list[str]:
    return [path.read_text() for path in (directory / "texts").glob("*.zone")]


def test_import_with_yes_publishes_under_a_higher_serial(
    xfer: Xfer, core: Core, on: tuple[str, str], tmp_path: Path
) -> None:
    result = xfer("zone", "import", "example.com", written(tmp_path, CHANGED), "--yes", *on)
    assert (result.exit_code, serial(core)) == (0, 6)
    assert result.stdout == "example.com. serial 5 → 6 is served: +3 −2, 5 records\n"
    again = xfer("zone", "import", "example.com", str(tmp_path / "new"), "--yes", *on)
    assert again.stdout == "example.com. has that content already, serial 6\n"
    assert serial(core) == 6


def test_import_takes_the_files_serial_where_it_is_newer(
    xfer: Xfer, core: Core, on: tuple[str, str], tmp_path: Path
) -> None:
    file = written(tmp_path, CHANGED.replace(" 5 3600", " 2026010100 3600"))
    found = json.loads(xfer("zone", "import", "example.com", file, "--yes", "--json", *on).stdout)
    assert (found["serial_from"], found["serial_to"], found["note"]) == (5, 2026010100, "")
    assert serial(core) == 2026010100


def test_import_shows_the_difference_and_asks(
    xfer: Xfer,
    core: Core,
    on: tuple[str, str],
    tmp_path: Path,
    at_a_terminal: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = written(tmp_path, CHANGED)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    result = xfer("zone", "import", "example.com", file, *on)
    assert (result.exit_code, serial(core)) == (1, 5)
    assert "-www.example.com.\t300\tIN\tA\t192.0.2.2\n" in result.stdout
    assert "+mail.example.com.\t300\tIN\tA\t192.0.2.9\n" in result.stdout
    assert result.stderr.endswith("nothing was changed\n")
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    assert xfer("zone", "import", "example.com", file, *on).exit_code == 0
    assert serial(core) == 6


def test_import_asks_nobody_where_nobody_is(
    xfer: Xfer, core: Core, on: tuple[str, str], tmp_path: Path
) -> None:
    result = xfer("zone", "import", "example.com", written(tmp_path, CHANGED), *on)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    dry = xfer("zone", "import", "example.com", str(tmp_path / "new"), "--dry-run", *on)
    assert (dry.exit_code, serial(core)) == (0, 5)
    assert dry.stdout.endswith("example.com. serial 5 → 6: +3 −2, 5 records\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (primary.ZONE + "x A 192.0.2.888\ny A 192.0.2.1\n", r'new:6: .*, in "x A 192.0.2.888"'),
        (primary.ZONE + "$INCLUDE /etc/passwd\n", r"new:6: \$INCLUDE is refused"),
        (primary.ZONE + "www CNAME ns1\n", "cname-and-other: .*www.example.com."),
        ("", r"new: expected the records of a zone, got none$"),
        ("; a remark\n$TTL 3\n", r"new: expected the records of a zone, got none$"),
        ("$TTL 3\nwww A 192.0.2.1\n", "apex-soa: .* got example.com. SOA, which is missing"),
        (primary.ZONE + "\udcff", "UTF-8"),
    ],
)
def test_bad_content_is_named_and_changes_nothing(
    xfer: Xfer, core: Core, on: tuple[str, str], tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "new").write_bytes(text.encode("utf-8", "surrogateescape"))
    result = xfer("zone", "import", "example.com", str(tmp_path / "new"), "--yes", *on)
    assert (result.exit_code, serial(core)) == (1, 5)
    assert re.search(sentence, result.stderr)


def test_a_secondary_zone_is_changed_on_its_primary(
    xfer: Xfer, on: tuple[str, str], tmp_path: Path
) -> None:
    file = written(tmp_path, CHANGED)
    for words in (("import", "second.example", file, "--yes"), ("edit", "second.example", "--yes")):
        result = xfer("zone", *words, *on)
        assert result.exit_code == 1
        assert "change it on its primary (p 192.0.2.1#53)" in result.stderr


def test_a_file_that_is_not_there(xfer: Xfer, on: tuple[str, str], tmp_path: Path) -> None:
    result = xfer("zone", "import", "example.com", str(tmp_path / "none"), "--yes", *on)
    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_an_edit_is_shown_and_published(
    xfer: Xfer,
    core: Core,
    on: tuple[str, str],
    editor: Editor,
    tmp_path: Path,
    at_a_terminal: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    editor.does('sed -i s/192.0.2.2/192.0.2.3/ "$1"')
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "y")
    result = xfer("zone", "edit", "example.com", *on)
    assert (result.exit_code, serial(core)) == (0, 6)
    assert "-www.example.com.\t300\tIN\tA\t192.0.2.2\n+www" in result.stdout
    assert texts(tmp_path) == []
    versions = json.loads(xfer("zone", "history", "example.com", "--json", *on).stdout)["versions"]
    assert [item["kind"] for item in versions] == ["edit", "file"]
    assert (versions[0]["added"], versions[0]["removed"]) == (2, 2)


def test_an_unchanged_text_is_no_edit(
    xfer: Xfer, core: Core, on: tuple[str, str], editor: Editor, tmp_path: Path
) -> None:
    editor.does("true", 'echo "; a remark" >> "$1"')
    for _ in range(2):
        result = xfer("zone", "edit", "example.com", "--yes", *on)
        assert (result.exit_code, result.stdout) == (0, "example.com. is unchanged\n")
    assert (serial(core), texts(tmp_path)) == (5, [])


def test_a_changed_comment_is_told_of_and_kept(
    xfer: Xfer,
    core: Core,
    on: tuple[str, str],
    editor: Editor,
    tmp_path: Path,
    at_a_terminal: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = written(tmp_path, primary.ZONE.replace("192.0.2.2", "192.0.2.2 ; web cf_tags=a:b"))
    result = xfer("zone", "import", "example.com", file, "--dry-run", *on)
    same = "example.com. has that content already, serial 5"
    assert result.stdout == f"{same}; 1 comment would change\n"
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    result = xfer("zone", "import", "example.com", file, *on)
    assert (result.exit_code, serial(core)) == (0, 5)
    assert result.stdout.endswith(f"{same}; 1 comment changed\n")
    shown = xfer("zone", "show", "example.com", *on).stdout
    assert shown.endswith("www.example.com.\t300\tIN\tA\t192.0.2.2\t; web cf_tags=a:b\n")
    editor.does("true", 's="; other"; sed -i "s/; web.*/$s/; s/192.0.2.1$/192.0.2.4/" "$1"')
    assert xfer("zone", "edit", "example.com", "--yes", *on).stdout == (
        "example.com. is unchanged\n"
    )
    assert editor.given.read_text() == shown
    result = xfer("zone", "edit", "example.com", "--yes", *on)
    assert result.stdout == "example.com. serial 5 → 6 is served: +2 −2, 4 records, 1 comment\n"
    assert "; other\n" in xfer("zone", "export", "example.com", *on).stdout


def test_a_slip_can_be_mended_or_left_in_a_file(
    xfer: Xfer,
    core: Core,
    on: tuple[str, str],
    editor: Editor,
    tmp_path: Path,
    at_a_terminal: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    editor.does(
        'echo "slip A 1.2.3" >> "$1"', 'sed -i "s/1.2.3$/192.0.2.7/" "$1"', 'echo "no" >> "$1"'
    )
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "y")
    result = xfer("zone", "edit", "example.com", *on)
    assert (result.exit_code, serial(core)) == (0, 6)
    assert re.search(r'\.zone:6: .*, in "slip A 1.2.3"', result.stderr)
    assert texts(tmp_path) == []
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    result = xfer("zone", "edit", "example.com", *on)
    assert (result.exit_code, serial(core)) == (1, 6)
    assert re.search(r"what you wrote is kept in \S+\.zone\n$", result.stderr)
    assert [text.splitlines()[-1] for text in texts(tmp_path)] == ["no"]


def test_an_edit_that_another_one_overtook_is_kept(
    xfer: Xfer, core: Core, on: tuple[str, str], editor: Editor, tmp_path: Path
) -> None:
    other = written(tmp_path, CHANGED)
    editor.does(
        'sed -i s/192.0.2.2/192.0.2.4/ "$1"; '
        f"PYTHONPATH={Path(__file__).parents[2]} {sys.executable} -m xfer zone import example.com "
        f"{other} --yes {on[0]} {on[1]}"
    )
    result = xfer("zone", "edit", "example.com", "--yes", *on)
    assert (result.exit_code, serial(core)) == (1, 6)
    assert "expected example.com. at version v1, which the change was made for" in result.stderr
    assert "192.0.2.4" in texts(tmp_path)[0]
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("xfer: expected example.com.")
    assert last.startswith("what you wrote is kept in "), "why it failed comes first"


def test_an_editor_that_fails_changes_nothing(
    xfer: Xfer, core: Core, on: tuple[str, str], editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor.does("exit 3")
    result = xfer("zone", "edit", "example.com", "--yes", *on)
    assert (result.exit_code, serial(core)) == (1, 5)
    assert "to end with 0, got 3" in result.stderr
    monkeypatch.setenv("VISUAL", "/no/such/editor")
    result = xfer("zone", "edit", "example.com", "--yes", *on)
    assert (result.exit_code, serial(core)) == (1, 5)
    assert "got '/no/such/editor': No such file or directory" in result.stderr


def test_a_large_zone_is_exported_instead(
    xfer: Xfer, core: Core, on: tuple[str, str], tmp_path: Path
) -> None:
    many = CHANGED + "".join(f"h{n} A 192.0.2.1\n" for n in range(20))
    xfer("zone", "import", "example.com", written(tmp_path, many), "--yes", *on)
    result = xfer("zone", "edit", "example.com", "--yes", *on)
    assert result.exit_code == 1
    assert "limits.edit_records" in result.stderr
    assert "xfer zone export example.com. -o FILE" in result.stderr


def test_an_export_is_what_show_prints(xfer: Xfer, on: tuple[str, str], tmp_path: Path) -> None:
    shown = xfer("zone", "show", "example.com", *on).stdout
    assert xfer("zone", "export", "example.com", "-o", str(tmp_path / "out"), *on).exit_code == 0
    assert (tmp_path / "out").read_text() == shown


def test_private_keys_of_zones_that_are_not_known_are_listed(
    xfer: Xfer, core: Core, on: tuple[str, str], tmp_path: Path
) -> None:
    core.removed.store = store = KeyStore(tmp_path / "keys")
    pair = store.generate(names.from_text("gone.example."), 13, True, 0)
    place = store.directory / "gone.example"
    listed = xfer("zone", "removed", *on)
    assert f"gone.example.             1 key in {place}\n" in listed.stdout
    assert "KEPT FOR" not in listed.stdout
    assert pair.key.ident not in listed.stdout
    found = json.loads(xfer("zone", "removed", "--json", *on).stdout)
    assert [(zone["keys"], zone["key_directory"]) for zone in found] == [(1, str(place))]


def test_a_removed_zone_is_listed_and_comes_back(
    xfer: Xfer, core: Core, on: tuple[str, str], tmp_path: Path
) -> None:
    assert xfer("zone", "removed", *on).stdout == "no removed zone is kept\n"
    primary.write(tmp_path, config="", zone=None)
    xfer("reload", *on)
    lines = xfer("zone", "removed", *on).stdout.splitlines()
    assert lines[1].split()[:3] == ["example.com.", "5", "1"]
    assert lines[1].endswith("7.0 days")
    missing = xfer("zone", "show", "example.com", *on)
    assert "put it back and `xfer reload`" in missing.stderr
    primary.write(tmp_path, zone=None)
    xfer("reload", *on)
    assert xfer("zone", "removed", *on).stdout == "no removed zone is kept\n"
