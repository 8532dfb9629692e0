"""`xfer journal verify|stats|backup|restore`: on the journal's file, with or without a daemon.

Exit codes: 0 done, 1 failed or damaged (the reason on stderr, one line first), 2 usage or config.
Only `restore` writes to a journal, so only it needs the daemon stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.errors import ConfigError, XferError

if TYPE_CHECKING:
    from xfer.journal.audit import Figures, Verification
    from xfer.journal.sqlite import SqliteDatabase

app = typer.Typer(
    name="journal",
    help="Check, measure, copy and put back the journal; also without a daemon.",
    no_args_is_help=True,
)

Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="Config file that names the journal.", show_default=False),
]
Location = Annotated[
    str | None,
    typer.Option(
        "--journal",
        help="The journal itself: a path, or sqlite:///absolute/path; instead of -c.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

ZONES_SHOWN = 20


@app.command()
def verify(config: Config = None, journal: Location = None, as_json: Json = False) -> None:
    """Read every block and version, and check them against their digests."""
    with _reporting(), _opened(_url(config, journal)) as database:
        from xfer.journal import audit

        result = audit.verify(database)
        place = str(database.path)
    if as_json:
        _print_json({"journal": place, "ok": result.ok, **_plain(result)})
    if not result.ok:
        problems = result.problems()
        typer.echo(f"{place}: {_many(len(problems), 'problem')}; first: {problems[0]}", err=True)
        for problem in problems[1:]:
            typer.echo(problem, err=True)
        if not result.file:
            typer.echo(
                "a damaged block is written anew when a transfer or an import brings it again: "
                "`xfer force-axfr ZONE`; for older versions, `xfer journal restore` a backup",
                err=True,
            )
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"{place}: sound, {_summary(result)}")


@app.command()
def stats(
    config: Config = None,
    journal: Location = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help=f"Every zone, not the {ZONES_SHOWN} whose history is the largest."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Versions, records and room of each zone, what its history costs first, and of the file."""
    with _reporting(), _opened(_url(config, journal)) as database:
        from xfer.journal import audit

        figures = audit.measure(database)
        place = str(database.path)
    if as_json:
        _print_json({"journal": place, **_plain(figures)})
    else:
        _print_figures(place, figures, every)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="File to write.", show_default=False)],
    config: Config = None,
    journal: Location = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a verified copy of the journal, while the daemon may be running."""
    with _reporting(), _opened(_url(config, journal)) as database:
        from xfer.journal import backup as copies

        result = copies.backup(database, target, force=force)
    if as_json:
        _print_json({"backup": str(target), **_plain(result)})
    else:
        typer.echo(f"{target}: written and verified, {_summary(result)}")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="Backup to put in place.", show_default=False)],
    config: Config = None,
    journal: Location = None,
    as_json: Json = False,
) -> None:
    """Put a backup in the journal's place; the old journal is kept beside it."""
    with _reporting():
        url = _url(config, journal)
        from xfer.clock import SystemClock
        from xfer.journal import backup as copies

        done = copies.restore(source, url, SystemClock())
    if as_json:
        _print_json(
            {
                "journal": str(done.journal),
                "aside": str(done.aside) if done.aside else None,
                **_plain(done.verification),
            }
        )
        return
    typer.echo(f"{done.journal}: restored and verified, {_summary(done.verification)}")
    if done.aside is not None:
        typer.echo(f"the journal that was there is kept as {done.aside}")


@contextmanager
def _reporting() -> Iterator[None]:
    """An error of ours becomes a line on stderr and the exit code."""
    try:
        yield
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except XferError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@contextmanager
def _opened(url: str) -> Iterator[SqliteDatabase]:
    """The journal for reading; nothing of it is locked."""
    from xfer.clock import SystemClock
    from xfer.journal.store import Journal

    with Journal.open(url, SystemClock(), writable=False) as journal:
        yield journal.database


def _url(config: Path | None, journal: str | None) -> str:
    if journal is not None:
        return journal
    if config is None:
        typer.echo("expected -c CONFIG or --journal PATH, got neither", err=True)
        raise typer.Exit(2)
    from xfer.config import load

    return load(config).server.journal


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))


def _plain(value: Verification | Figures) -> dict[str, Any]:
    import attrs

    return attrs.asdict(value)


def _print_figures(place: str, figures: Figures, every: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    typer.echo(
        f"{place}: {_size(figures.file)} file, {_size(figures.wal)} WAL, "
        f"{_size(figures.free)} unused inside"
    )
    typer.echo(
        f"{_many(len(figures.zones), 'zone')}, {_many(figures.blocks, 'block')} "
        f"({_size(figures.block_octets)}), {_many(figures.orphans, 'orphan')} "
        f"({_size(figures.orphan_octets)}), {_many(figures.peers, 'peer state')}, "
        f"{_many(figures.marks, 'mark')}"
    )
    if not figures.zones:
        return
    largest = sorted(figures.zones, key=lambda zone: (-zone.history, -zone.newest, zone.zone))
    shown = largest if every else largest[:ZONES_SHOWN]
    table = Table("zone", box=None)
    for title in ("serial", "records", "versions", "newest", "history", "shared"):
        table.add_column(title, justify="right")
    for zone in shown:
        table.add_row(
            zone.zone,
            str(zone.serial),
            f"{zone.records:,}",
            str(zone.versions),
            _size(zone.newest),
            _size(zone.history),
            _size(zone.shared),
        )
    Console().print(table)
    if len(shown) < len(largest):
        typer.echo(f"{len(largest) - len(shown)} zones with less history are not shown; see --all")


def _summary(result: Verification) -> str:
    return (
        f"{_many(result.versions, 'version')} of {_many(result.blocks, 'block')} "
        f"({_size(result.octets)}), {_many(result.orphans, 'orphan')}, "
        f"{_many(result.peers, 'peer state')}, {_many(result.marks, 'mark')}"
    )


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _size(octets: int) -> str:
    """Decimal units, three digits or so."""
    size = float(octets)
    units = ["GB", "MB", "kB", "B"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop()
    unit = units[-1]
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
