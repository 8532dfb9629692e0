"""`xfer dnssec migrate|foreign`: several signers of a zone, and moves between them.

The daemon asks the other signer's servers and the parent before each step; what is too early is
refused there, with the reason and the time.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

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
from xfer.cli.dnssec import DryRunOption, YesOption, do_order, text_in

ACTIONS = ("status", "join", "next", "leave")

foreign = typer.Typer(
    name="foreign", help="DNSKEYs of other signers that we publish.", no_args_is_help=True
)


@foreign.callback()
def _foreign() -> None:
    pass


def migrate(
    zone: ZoneArgument,
    action: Annotated[str, typer.Argument(help="|".join(ACTIONS), metavar="ACTION")] = "status",
    ns: Annotated[
        list[str] | None,
        typer.Option(
            "--ns",
            help="A server that was added to the zone's NS, or taken from it.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    step: Annotated[
        str, typer.Option("--step", help="Take this step, or none.", metavar="STEP")
    ] = "",
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Move a zone from one signer to another, or have two: what comes next, and doing it."""
    if action not in ACTIONS:
        raise usage(f"expected {', '.join(ACTIONS)}, got {action!r}")
    if ns and action not in ("next", "leave"):
        raise usage(f"expected --ns with next or leave, got it with {action}")
    if step and action != "next":
        raise usage(f"expected --step with next, got it with {action}")
    if action == "status":
        _status(zone, as_json, config, control)
        return
    body: dict[str, Any] = {}
    if action != "join":
        body["servers"] = ns or []
    if step:
        body["step"] = step
    do_order(zone, f"/migration/{action}", body, yes, dry_run, as_json, config, control)
    if not (as_json or dry_run):
        _status(zone, False, config, control)


@foreign.command()
def add(
    zone: ZoneArgument,
    file: Annotated[
        Path,
        typer.Argument(help="DNSKEYs, one a line as in a zone file; - for stdin.", metavar="FILE"),
    ],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Publish another signer's DNSKEYs, of which its ZSKs are needed."""
    body = {"records": text_in(file, "DNSKEYs")}
    do_order(zone, "/foreign/add", body, yes, dry_run, as_json, config, control)


@foreign.command()
def remove(
    zone: ZoneArgument,
    key: Annotated[str, typer.Argument(help="Its ident, 013+12345, or its tag.", metavar="KEY")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Take out a DNSKEY of another signer that no validator can need any more."""
    do_order(zone, "/foreign/remove", {"key": key}, yes, dry_run, as_json, config, control)


def _status(zone: str, as_json: bool, config: Path | None, control: Path | None) -> None:
    from xfer.cli.client import zone_path

    with reported():
        found = daemon(config, control).get(zone_path(zone, "/dnssec/migration"))
    if as_json:
        print_json(found)
        return
    for label, text in rows(found, time.time()):
        typer.echo(f"{label:<10} {text}")


def rows(found: dict[str, Any], now: float) -> list[tuple[str, str]]:
    """Label and text of each line about where a zone is between its signers."""
    from xfer.cli.show import when

    lines = [("signers", found["direction"])]
    lines += [(side["side"], _side(side)) for side in found["sides"]]
    lines += [("lacking", item) for item in found["lacking"]]
    due = "" if found["at"] is None or found["at"] <= now else f", {when(found['at'], now)}"
    return [*lines, ("next", f"{found['stage']}{due}: {found['says']}")]


def _side(side: dict[str, Any]) -> str:
    if side["error"]:
        return str(side["error"])
    ns = f"NS {' '.join(side['ns']) or 'none'}"
    ours = " ".join(side["ours"]) or "none"
    theirs = " ".join(side["theirs"]) or "none"
    if side["side"] == "parent":
        return f"{side['server']} has our DS {ours}, others {theirs}, {ns}"
    return (
        f"{side['server']} has serial {side['serial']}, our DNSKEYs {ours}, others {theirs}, {ns}"
    )
