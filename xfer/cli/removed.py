"""`xfer zone removed`: zones that left the config and are still kept."""

from __future__ import annotations

import time
from typing import Any

import typer

from xfer.cli.common import (
    ConfigOfDaemon,
    ControlOption,
    JsonOption,
    daemon,
    note,
    print_json,
    reported,
)

_DAY = 86400


def removed(
    as_json: JsonOption = False, config: ConfigOfDaemon = None, control: ControlOption = None
) -> None:
    """Zones that left the config, and how long their versions are kept.

    To restore one, put it back into the config and reload: it serves what it had.
    """
    with reported():
        found: list[dict[str, Any]] = daemon(config, control).get("/removed")["zones"]
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("no removed zone is kept")
        return
    now = time.time()
    typer.echo(f"{'ZONE':<24}  {'SERIAL':>10}  {'VERSIONS':>8}  {'REMOVED':<17}  KEPT FOR")
    for zone in found:
        when = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(zone["removed_at"]))
        typer.echo(
            f"{zone['zone']:<24}  {zone['serial']:>10}  {zone['versions']:>8}  {when:<17}  "
            f"{_left(zone['until'] - now)}"
        )
    note("put a zone back into the config and `xfer reload`: it serves what it had")


def _left(seconds: float) -> str:
    if seconds <= 0:
        return "not any more"
    if seconds < _DAY:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / _DAY:.1f} days"
