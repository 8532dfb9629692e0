"""`xfer zone import|edit`: new content for a primary zone, looked at before it is published."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from xfer.cli.change import (
    DryRunOption,
    YesOption,
    can_ask,
    has_news,
    nobody_to_ask,
    published,
    show_change,
    tell,
    tell_change,
    user,
)
from xfer.cli.common import (
    FAILED,
    ConfigOfDaemon,
    ControlOption,
    JsonOption,
    ZoneArgument,
    daemon,
    fail,
    note,
    reported,
    usage,
)
from xfer.errors import ControlError

if TYPE_CHECKING:
    from xfer.cli.client import Daemon

#: Errors of the text, which another look into the editor can mend.
OF_THE_TEXT = ("ZoneFileError", "ZoneRejected", "ZoneError", "WireError", "TooLarge")


def import_(
    zone: ZoneArgument,
    file: Annotated[Path, typer.Argument(help="The zone file; - for standard input.")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Make a zone file the content of a primary zone: shows the difference, and asks."""
    ask = not (yes or dry_run)
    if ask and (not can_ask() or str(file) == "-"):
        raise nobody_to_ask()
    content = _read(file)
    name = "standard input" if str(file) == "-" else str(file)
    with reported():
        change = _Change(daemon(config, control), zone, "import", name)
        found = published(partial(change.send, content), yes=yes, dry_run=dry_run)
        tell(found, dry_run=dry_run, as_json=as_json)


def edit(
    zone: ZoneArgument,
    yes: YesOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Open a primary zone in $VISUAL or $EDITOR, show what was changed, and publish it."""
    from xfer.cli.client import zone_path

    if not (yes or can_ask()):
        raise usage("expected --yes where there is no terminal to ask on, got none")
    with reported():
        asked = daemon(config, control)
        begun = asked.get(zone_path(zone, "/edit"))
        before = begun["text"].encode()
        number, name = tempfile.mkstemp(prefix=f"{_stem(zone)}-", suffix=".zone")
        path = Path(name)
        change = _Change(asked, zone, "edit", name)
        with os.fdopen(number, "wb") as out:
            out.write(before)
        try:
            found = _edited(change, path, before, begun["version"], yes)
        except ControlError as error:  # why comes first
            kept = _kept(path, before)
            error.args = (f"{error}\n{kept}" if kept else str(error),)
            raise
        except BaseException:
            if kept := _kept(path, before):
                note(kept)
            raise
        path.unlink(missing_ok=True)
        if found is None:
            typer.echo(f"{begun['zone']} is unchanged")
        else:
            tell_change(found)


def _kept(path: Path, before: bytes) -> str:
    """Remove the file, or say that it stays because something was written into it."""
    if path.read_bytes() != before:
        return f"what you wrote is kept in {path}"
    path.unlink(missing_ok=True)
    return ""


class _Change:
    """A zone's new content on its way to the daemon."""

    def __init__(self, asked: Daemon, zone: str, kind: str, source: str) -> None:
        self.asked = asked
        self.zone = zone
        self.asks = {"kind": kind, "source": source, "by": user()}

    def send(
        self, content: bytes, *, dry_run: bool = False, if_version: int | None = None
    ) -> dict[str, Any]:
        """What it changes. Raises ControlError."""
        from xfer.cli.client import zone_path

        asks = dict(self.asks)
        if dry_run:
            asks["dry_run"] = "1"
        if if_version is not None:
            asks["if_version"] = str(if_version)
        found: dict[str, Any] = self.asked.send(
            zone_path(self.zone, f"/import?{urlencode(asks)}"), content
        )
        return found


def _edited(
    change: _Change, path: Path, before: bytes, version: int, yes: bool
) -> dict[str, Any] | None:
    """Open the editor until what it leaves is published; None where nothing was changed."""
    while True:
        _open_editor(path)
        content = path.read_bytes()
        if content == before:
            return None
        try:
            found = change.send(content, dry_run=True, if_version=version)
        except ControlError as error:
            if error.kind not in OF_THE_TEXT or yes:
                raise
            fail(str(error))
            if typer.confirm("Edit again?", default=True, err=True):
                continue
            raise typer.Exit(FAILED) from None
        if not has_news(found):
            return None
        if yes:
            return change.send(content, if_version=version)
        show_change(found)
        answer = typer.prompt("Publish it? [y]es, [e]dit again, [n]o", default="n", err=True)
        if answer[:1].lower() == "y":
            return change.send(content, if_version=version)
        if answer[:1].lower() != "e":
            note("nothing was changed")
            raise typer.Exit(FAILED)


def _open_editor(path: Path) -> None:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        words = [*shlex.split(command), str(path)]
        code = subprocess.run(words, check=False).returncode
    except (OSError, ValueError) as error:
        raise ControlError(
            f"expected $VISUAL or $EDITOR to be an editor, got {command!r}: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from None
    if code != 0:
        raise ControlError(f"expected the editor {command!r} to end with 0, got {code}")


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise usage(
            f"expected a zone file that can be read, got {file}: {error.strerror}"
        ) from None


def _stem(zone: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "." for c in zone).strip(".")[:60] or "root"
