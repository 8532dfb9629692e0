"""`xfer status|refresh|force-axfr|notify|reload`: questions and orders to the running daemon."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from xfer.cli.common import (
    FAILED,
    ConfigOfDaemon,
    ControlOption,
    JsonOption,
    WaitOption,
    ZoneArgument,
    daemon,
    fail,
    many,
    note,
    print_json,
    reported,
    usage,
)


def status(
    zone: Annotated[
        str | None, typer.Argument(help="Name of a zone; all when left out.", metavar="[ZONE]")
    ] = None,
    schedule: Annotated[
        bool,
        typer.Option("--schedule", help="What is planned next: checks, retries, expiries."),
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """One line a zone, or everything known about one."""
    from xfer.cli.client import zone_path
    from xfer.cli.show import (
        print_limited,
        print_refused,
        print_schedule,
        print_signed,
        print_zone,
        print_zones,
    )

    if schedule and zone is not None:
        raise usage(f"expected --schedule without a zone: `xfer status {zone}` says what is next")
    with reported():
        asked = daemon(config, control)
        if schedule:
            planned = asked.get("/schedule")
            if as_json:
                print_json(planned)
            else:
                print_schedule(planned["schedule"])
        elif zone is not None:
            found = asked.get(zone_path(zone))
            if as_json:
                print_json(found)
            else:
                print_zone(found, asked.get("/server")["refused"])
        elif as_json:
            print_json({"server": asked.get("/server"), "zones": list(asked.zones())})
        else:
            print_zones(asked.zones())
            server = asked.get("/server")
            print_refused(server["refused"])
            print_limited(server["queries"]["limited"])
            print_signed(server["queries"]["signed"])


def why(
    zone: ZoneArgument,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Why the zone is (not) current: what is served, what failed, what happens next."""
    from xfer.cli.client import zone_path
    from xfer.cli.show import print_why

    with reported():
        found = daemon(config, control).get(zone_path(zone, "/why"))
        if as_json:
            print_json(found)
        else:
            print_why(found["reasons"])


def refresh(
    zone: ZoneArgument,
    wait: WaitOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Check the primaries now."""
    from xfer.cli.client import zone_path

    with reported():
        asked = daemon(config, control)
        finish(asked.post(zone_path(zone, "/refresh"), {"wait": wait}, wait), as_json)


def force_axfr(
    zone: ZoneArgument,
    peer: Annotated[
        str | None,
        typer.Option(
            "--peer", help="Transfer from this primary.", metavar="NAME", show_default=False
        ),
    ] = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Transfer the whole zone now, whatever its serial."""
    from xfer.cli.client import zone_path

    body = {"wait": wait} if peer is None else {"wait": wait, "peer": peer}
    with reported():
        asked = daemon(config, control)

        def work() -> Any:
            return asked.post(zone_path(zone, "/force-axfr"), body, wait)

        if wait and sys.stderr.isatty():
            from xfer.cli.watch import watched

            outcome = watched(asked, zone, work)
        else:
            outcome = work()
        finish(outcome, as_json)


def notify(
    zone: ZoneArgument,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Tell the secondaries now."""
    from xfer.cli.client import zone_path

    with reported():
        asked = daemon(config, control)
        finish(asked.post(zone_path(zone, "/notify"), None, True), as_json)


def reload(
    as_json: JsonOption = False, config: ConfigOfDaemon = None, control: ControlOption = None
) -> None:
    """Read the config and zone files again, as SIGHUP does, and say what came of it."""
    with reported():
        outcome = daemon(config, control).post("/reload", None, True)
        for refused in outcome["refused"]:
            fail(f"{refused['zone']} its file was refused: {refused['sentence']}")
            if refused["hint"]:
                note(refused["hint"])
        if outcome["refused_more"]:
            fail(f"{many(outcome['refused_more'], 'more zone file')} refused: `xfer status`")
        if as_json:
            print_json(outcome)
            if outcome["refused"]:
                raise typer.Exit(FAILED)
            return
        for warning in outcome["warnings"]:
            note(f"xfer: warning: {warning}")
        if outcome["restart"]:
            note("xfer: warning: only a restart applies " + ", ".join(outcome["restart"]))
        typer.echo(
            f"reloaded: {many(outcome['added'], 'zone')} added, {outcome['removed']} removed, "
            f"{outcome['changed']} changed"
        )
        if outcome["refused"]:
            raise typer.Exit(FAILED)


def finish(outcome: dict[str, Any], as_json: bool) -> None:
    """Print the outcome of an order; exit 1 where it failed."""
    if as_json:
        print_json(outcome)
    if outcome["ok"]:
        for finding in outcome["findings"]:
            note(f"xfer: warning: {finding}")
        if not as_json:
            typer.echo(f"{outcome['zone']} {outcome['message']}")
        return
    fail(f"{outcome['zone']} {outcome['message']}")
    hint = (outcome["failure"] or {}).get("hint")
    if hint and hint not in outcome["message"]:
        note(hint)
    raise typer.Exit(FAILED)
