"""`xfer zone show|history|diff|rollback|release`: what zones hold, its history, going back."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from xfer.cli import edit, removed, soa
from xfer.cli.common import (
    ConfigOfDaemon,
    ControlOption,
    JsonOption,
    ZoneArgument,
    daemon,
    print_json,
    reported,
    usage,
)

if TYPE_CHECKING:
    from xfer.cli.client import Daemon

app = typer.Typer(name="zone", help="The content of zones and its history.", no_args_is_help=True)

OutOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Write this file, all or nothing [default: standard output].",
        metavar="FILE",
        show_default=False,
    ),
]
SerialOption = Annotated[
    str | None,
    typer.Option(
        "--serial",
        help="A version by its serial, or by its number as history prints it (v17).",
        metavar="SERIAL",
        show_default=False,
    ),
]

app.command("import")(edit.import_)
app.command("edit")(edit.edit)
app.command("soa")(soa.soa)
app.command("removed")(removed.removed)


@app.callback()
def _zone() -> None:
    pass


@app.command("export")
@app.command()
def show(
    zone: ZoneArgument,
    serial: SerialOption = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            help='What was served then: "2026-11-22 04:30" (UTC unless it says otherwise).',
            metavar="TIME",
            show_default=False,
        ),
    ] = None,
    output: OutOption = None,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Print a version as a zone file, in canonical order; the served one by default."""
    from xfer.cli.client import zone_path
    from xfer.cli.files import replacing

    if serial is not None and at is not None:
        raise usage("expected --serial or --at, got both")
    version = serial or (f"@{_time(at)}" if at is not None else "")
    with reported():
        pieces = daemon(config, control).stream(
            zone_path(zone, "/zonefile" + (f"?version={quote(version)}" if version else ""))
        )
        first = next(pieces, b"")
        with replacing(output) as out:
            out.write(first)
            for piece in pieces:
                out.write(piece)


@app.command()
def history(
    zone: ZoneArgument,
    limit: Annotated[
        int, typer.Option("-n", "--limit", help="Print so many.", min=1, max=10_000)
    ] = 1000,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """The kept versions, newest first: serial, when, from whom, how, +added −removed."""
    from xfer.cli.client import zone_path
    from xfer.cli.show import print_versions

    with reported():
        found = daemon(config, control).get(zone_path(zone, f"/versions?limit={limit}"))
        if as_json:
            print_json(found)
        else:
            print_versions(found["versions"])


@app.command()
def diff(
    zone: ZoneArgument,
    old: Annotated[str, typer.Argument(help="Serial, or version like v17.", metavar="OLD")],
    new: Annotated[str, typer.Argument(help="Serial, or version like v17.", metavar="NEW")],
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """What changed from one version to another, record by record."""
    with reported():
        pieces = _diff(daemon(config, control), zone, old, new)
        if as_json:
            print_json(_parted(b"".join(pieces).decode()))
            return
        from xfer.cli.show import print_diff

        for piece in pieces:
            print_diff(piece.decode())


@app.command()
def rollback(
    zone: ZoneArgument,
    serial: Annotated[str, typer.Argument(help="Serial, or version like v17.", metavar="SERIAL")],
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Serve that content again under a higher serial; a secondary zone is held there."""
    _order(zone, "/rollback", {"version": serial}, as_json, config, control)


@app.command()
def release(
    zone: ZoneArgument,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Take what a primary has now under a serial above ours; secondaries follow.",
        ),
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Follow the primaries again after a rollback."""
    _order(zone, "/release", {"follow": follow}, as_json, config, control)


def _order(
    zone: str,
    path: str,
    body: dict[str, Any] | None,
    as_json: bool,
    config: Path | None,
    control: Path | None,
) -> None:
    from xfer.cli.client import zone_path
    from xfer.cli.daemon import finish

    with reported():
        finish(daemon(config, control).post(zone_path(zone, path), body, True), as_json)


def _diff(asked: Daemon, zone: str, old: str, new: str) -> Iterator[bytes]:
    """The pieces end where lines end."""
    from xfer.cli.client import zone_path

    rest = b""
    for piece in asked.stream(zone_path(zone, f"/diff?old={quote(old)}&new={quote(new)}")):
        whole, newline, rest = (rest + piece).rpartition(b"\n")
        yield whole + newline
    yield rest


def _parted(text: str) -> dict[str, object]:
    before, after, *lines = text.splitlines()
    return {
        "old": before[4:],
        "new": after[4:],
        "removed": [line[1:] for line in lines if line[0] == "-"],
        "added": [line[1:] for line in lines if line[0] == "+"],
    }


def _time(text: str) -> float:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise usage(f'expected a time like "2026-11-22 04:30", got {text!r}') from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return found.timestamp()
