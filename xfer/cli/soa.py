"""`xfer zone soa`: the fields of a zone's SOA, shown and set (REQUIREMENTS A20)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from xfer.cli.change import (
    DryRunOption,
    YesOption,
    can_ask,
    nobody_to_ask,
    published,
    tell,
    user,
)
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
from xfer.errors import ZoneError


def _option(flag: str, what: str, metavar: str) -> Any:
    return typer.Option(flag, help=what, metavar=metavar, show_default=False)


def soa(
    zone: ZoneArgument,
    mname: Annotated[str | None, _option("--mname", "The primary's name.", "NAME")] = None,
    rname: Annotated[
        str | None,
        _option("--rname", "Who is responsible: an e-mail address, or it as a name.", "MAILBOX"),
    ] = None,
    refresh: Annotated[int | None, _option("--refresh", "600 to 86400.", "SECONDS")] = None,
    retry: Annotated[
        int | None, _option("--retry", "600 to 3600, at most refresh.", "SECONDS")
    ] = None,
    expire: Annotated[
        int | None, _option("--expire", "86400 to 2419200, at least refresh.", "SECONDS")
    ] = None,
    negative_ttl: Annotated[
        int | None, _option("--negative-ttl", "60 to 86400 (MINIMUM).", "SECONDS")
    ] = None,
    ttl: Annotated[int | None, _option("--ttl", "Of the SOA record: 1800 to 3600.", "SECONDS")] = (
        None
    ),
    defaults: Annotated[
        bool,
        typer.Option("--defaults", help="The default of every time that is not given."),
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Show the SOA of a zone, or set fields of a primary zone's: shows the difference, and asks."""
    from attrs import asdict

    from xfer.cli.client import zone_path
    from xfer.zone.soa_fields import SoaChange

    change = SoaChange(mname, rname, refresh, retry, expire, negative_ttl, ttl)
    if defaults:
        change = change.with_defaults()
    try:
        change.check()
    except ZoneError as error:
        raise usage(str(error)) from None
    if change.empty and (yes or dry_run):
        raise usage("expected a field to set, --rname for instance, or --defaults; got none")
    if not (change.empty or yes or dry_run or can_ask()):
        raise nobody_to_ask()
    with reported():
        asked = daemon(config, control)
        path = zone_path(zone, "/soa")
        if change.empty:
            found = asked.get(path)
            if as_json:
                print_json(found)
            else:
                _print(found)
            return
        fields = {name: value for name, value in asdict(change).items() if value is not None}

        def send(*, dry_run: bool = False, if_version: int | None = None) -> dict[str, Any]:
            body = {"by": user(), **fields, "dry_run": dry_run}
            if if_version is not None:
                body["if_version"] = if_version
            answer: dict[str, Any] = asked.post(path, body, True)
            return answer

        tell(published(send, yes=yes, dry_run=dry_run), dry_run=dry_run, as_json=as_json)


def _print(found: dict[str, Any]) -> None:
    from xfer.zone.soa_fields import RANGES

    typer.echo(f"primary (MNAME)        {found['mname']}")
    email = f"  ({found['email']})" if found["email"] else ""
    typer.echo(f"responsible (RNAME)    {found['rname']}{email}")
    typer.echo(f"serial                 {found['serial']}")
    for name, title in (
        ("refresh", "refresh"),
        ("retry", "retry"),
        ("expire", "expire"),
        ("negative_ttl", "negative TTL (MINIMUM)"),
        ("ttl", "TTL of the SOA"),
    ):
        limits = RANGES[name]
        typer.echo(
            f"{title:<22} {found[name]:<8} {limits.low} to {limits.high}, default {limits.default}"
        )
