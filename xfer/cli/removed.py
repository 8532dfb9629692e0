"""`xfer zone removed`: zones that left the config and are still kept, and keys of such zones."""

from __future__ import annotations

import shlex
import time
from typing import Any

import typer

from xfer.cli.common import (
    ConfigOfDaemon,
    ControlOption,
    JsonOption,
    daemon,
    many,
    note,
    print_json,
    reported,
)

_DAY = 86400


def removed(
    as_json: JsonOption = False, config: ConfigOfDaemon = None, control: ControlOption = None
) -> None:
    """Zones that left the config, how long their versions are kept, and private keys left of them.

    To restore one, put it back into the config and reload: it serves what it had. Keys are kept for
    longer than versions, until you remove them.
    """
    with reported():
        found: list[dict[str, Any]] = daemon(config, control).get("/removed")["zones"]
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("no removed zone is kept")
        return
    kept = [zone for zone in found if zone["until"] is not None]
    if kept:
        _print_kept(kept)
    gone = [zone for zone in found if zone["until"] is None]
    if gone:
        _print_keys(gone)


def _print_kept(kept: list[dict[str, Any]]) -> None:
    now = time.time()
    typer.echo(
        f"{'ZONE':<24}  {'SERIAL':>10}  {'VERSIONS':>8}  {'KEYS':>4}  {'REMOVED':<17}  KEPT FOR"
    )
    for zone in kept:
        when = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(zone["removed_at"]))
        typer.echo(
            f"{zone['zone']:<24}  {zone['serial']:>10}  {zone['versions']:>8}  {zone['keys']:>4}  "
            f"{when:<17}  {_left(zone['until'] - now)}"
        )
    note("put a zone back into the config and `xfer reload`: it serves what it had")


def _print_keys(gone: list[dict[str, Any]]) -> None:
    """Zones of which nothing is left but private keys."""
    typer.echo("private keys of zones that are neither configured nor kept:")
    for zone in gone:
        keys = many(zone["keys"], "key")
        typer.echo(f"{zone['zone']:<24}  {keys} in {shlex.quote(zone['key_directory'])}")
    note(
        "a zone that is put back goes on with its keys; where the parent has no DS of them any "
        "more, back them up or remove the directory (`rm -r`)"
    )


def _left(seconds: float) -> str:
    if seconds <= 0:
        return "not any more"
    if seconds < _DAY:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / _DAY:.1f} days"
