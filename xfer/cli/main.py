"""The `xfer` command: every subcommand, each of which imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

import xfer
from xfer.cli import daemon, dnssec, journal, local, migrate, pull, tsig, zone

app = typer.Typer(
    name="xfer",
    help="A secondary-DNS and zone-transfer engine: pulls zones from primaries, keeps every "
    "version, and pushes them on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would double the start-up time
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xfer {xfer.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    pass


for command in (
    local.serve,
    local.check,
    daemon.status,
    daemon.why,
    daemon.refresh,
    daemon.force_axfr,
    daemon.notify,
    daemon.reload,
    pull.pull,
):
    app.command(name=command.__name__.replace("_", "-"))(command)
app.add_typer(zone.app)
dnssec.app.command()(migrate.migrate)
dnssec.app.add_typer(migrate.foreign)
app.add_typer(dnssec.app)
app.add_typer(journal.app)
app.add_typer(tsig.app)


def main() -> None:
    """Entry point; exits with the codes of `xfer.cli.common`."""
    app(prog_name="xfer")
