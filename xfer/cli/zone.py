"""`xfer zone show`: a zone as the daemon serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xfer.cli.common import ConfigOfDaemon, ControlOption, ZoneArgument, daemon, reported

app = typer.Typer(name="zone", help="Look at the content of zones.", no_args_is_help=True)

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


@app.callback()
def _zone() -> None:
    pass


@app.command()
def show(
    zone: ZoneArgument,
    output: OutOption = None,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Print the zone file, in canonical order."""
    from xfer.cli.client import zone_path
    from xfer.cli.files import replacing

    with reported():
        pieces = daemon(config, control).stream(zone_path(zone, "/zonefile"))
        first = next(pieces, b"")
        with replacing(output) as out:
            out.write(first)
            for piece in pieces:
                out.write(piece)
