"""`xfer dnssec status|ds|dnskey|zsk|keys|…`: signing as the operator sees and steers it.

Every order shows what it would do and what is at stake, and asks; `--yes` goes ahead. What would
break the zone is refused by the daemon, with the reason and what to do first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.cli.change import can_ask, user
from xfer.cli.common import (
    FAILED,
    ConfigOfDaemon,
    ControlOption,
    JsonOption,
    ZoneArgument,
    daemon,
    fail,
    note,
    print_json,
    reported,
    usage,
)

if TYPE_CHECKING:
    from xfer.cli.client import Daemon

app = typer.Typer(
    name="dnssec", help="Zones that are signed here: their keys and their DS.", no_args_is_help=True
)

YesOption = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would follow.")]
ROLLED = ("ksk", "zsk", "csk", "algorithm")


def _many_keys(what: str) -> Any:
    return typer.Option("--key", help=what, metavar="KEY", show_default=False)


@app.callback()
def _dnssec() -> None:
    pass


# -- questions


@app.command()
def status(
    zone: ZoneArgument,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask the parent's servers for the DS first.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """How a zone is signed, what its keys do next, and what you have to do."""
    from xfer.cli.client import zone_path
    from xfer.cli.show_dnssec import print_status

    if ask:
        with reported():
            found = daemon(config, control).post(zone_path(zone, "/dnssec/ask-parent"), None, True)
    else:
        found = _get(zone, "", config, control)
    if as_json:
        print_json(found)
    else:
        print_status(found)


@app.command()
def keys(
    zone: ZoneArgument,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Every key: what it does, what caches know of it, when it was made and used."""
    from xfer.cli.show_dnssec import print_keys

    found = _get(zone, "", config, control)
    if as_json:
        print_json({"keys": found["keys"]})
    else:
        print_keys(found["keys"])


@app.command()
def ds(
    zone: ZoneArgument,
    digest: Annotated[
        int, typer.Option("--digest", help="2 (SHA-256) or 4 (SHA-384).", metavar="TYPE")
    ] = 2,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that are not to be at the parent now.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """The DS to put at the parent, as lines to copy; --json has the fields one by one."""
    _records(zone, f"/ds?digest={digest}&every={str(every).lower()}", as_json, config, control)


@app.command()
def dnskey(
    zone: ZoneArgument,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """The DNSKEYs that are published, as lines to copy."""
    _records(zone, "/dnskey", as_json, config, control)


@app.command()
def zsk(
    zone: ZoneArgument,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """The DNSKEYs that other signers of the zone have to publish, as lines to copy."""
    _records(zone, "/zsk", as_json, config, control)


# -- orders


@app.command()
def enable(
    zone: ZoneArgument,
    joining: Annotated[
        bool, typer.Option("--joining", help="Another signer serves the zone now, and goes on.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Sign a zone again whose signing was ended; `dnssec = "live-signed"` begins it."""
    do_order(zone, "/enable", {"joining": joining}, yes, dry_run, as_json, config, control)


@app.command()
def disable(
    zone: ZoneArgument,
    cancel: Annotated[bool, typer.Option("--cancel", help="Go on signing after all.")] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Begin to end a zone's signing: its DS has to leave the parent first."""
    do_order(zone, "/disable", {"cancel": cancel}, yes, dry_run, as_json, config, control)


@app.command()
def delete(
    zone: ZoneArgument,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Serve a disabled zone without DNSSEC, once no cache holds its DS."""
    do_order(zone, "/delete", {}, yes, dry_run, as_json, config, control)


@app.command()
def roll(
    zone: ZoneArgument,
    what: Annotated[str, typer.Argument(help="|".join(ROLLED), metavar="WHAT")],
    compromised: Annotated[
        bool,
        typer.Option("--compromised", help="Somebody else may have the key: without margins."),
    ] = False,
    key: Annotated[
        str, typer.Option("--key", help="Which one is compromised.", metavar="KEY")
    ] = "",
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Replace a key now, or begin the algorithm rollover that the policy calls for."""
    if what.lower() not in ROLLED:
        raise usage(f"expected {', '.join(ROLLED)}, got {what!r}")
    if key and not compromised:
        raise usage("expected --key with --compromised, got it alone")
    if compromised and what.lower() == "algorithm":
        raise usage("expected the role of the compromised key, got algorithm")
    body = {"what": what.lower(), "compromised": compromised, "key": key}
    do_order(zone, "/roll", body, yes, dry_run, as_json, config, control)


@app.command()
def ds_seen(
    zone: ZoneArgument,
    key: Annotated[
        list[str] | None, _many_keys("Its DS is there [default: those that are wanted].")
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Say that all of the parent's servers have the DS, and no other of this zone."""
    do_order(zone, "/ds-seen", {"keys": key or []}, yes, dry_run, as_json, config, control)


@app.command()
def ds_gone(
    zone: ZoneArgument,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Say that none of the parent's servers has a DS of this zone's keys any more."""
    do_order(zone, "/ds-gone", {}, yes, dry_run, as_json, config, control)


@app.command()
def shared(
    zone: ZoneArgument,
    key: Annotated[str, typer.Argument(help="Its ident, 013+12345, or its tag.", metavar="KEY")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Say that all other signers of the zone publish this key of ours (`zsk`)."""
    do_order(zone, "/shared", {"key": key}, yes, dry_run, as_json, config, control)


@app.command("import")
def import_(
    zone: ZoneArgument,
    files: Annotated[
        list[Path],
        typer.Argument(help="BIND's K*.key or K*.private; the other is beside it.", metavar="FILE"),
    ],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Take keys over from BIND's key files, which the daemon has to be able to read."""
    body = {"files": [str(file.absolute()) for file in files]}
    do_order(zone, "/import", body, yes, dry_run, as_json, config, control)


@app.command("import-dnskey")
def import_dnskey(
    zone: ZoneArgument,
    file: Annotated[
        Path, typer.Argument(help="The RRset and its RRSIGs, as in a zone file; - for stdin.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Even where it is older than the one that is served.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Publish a DNSKEY RRset that whoever has the KSK has signed (policy: `keys = "zsk"`)."""
    body = {"records": text_in(file, "a DNSKEY RRset"), "force": force}
    do_order(zone, "/import-dnskey", body, yes, dry_run, as_json, config, control)


@app.command()
def export(
    zone: ZoneArgument,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="The daemon writes there, mode 0600.", metavar="DIR"),
    ],
    key: Annotated[list[str] | None, _many_keys("Only that one [default: all].")] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Copy private keys as BIND's key files; they belong to the daemon's user."""
    body = {"directory": str(output.absolute()), "keys": key or []}
    do_order(zone, "/export", body, yes, dry_run, as_json, config, control)


@app.command()
def remove_key(
    zone: ZoneArgument,
    key: Annotated[str, typer.Argument(help="Its ident, 013+12345, or its tag.", metavar="KEY")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOfDaemon = None,
    control: ControlOption = None,
) -> None:
    """Forget a key that nobody can need; its files are put aside."""
    do_order(zone, "/remove-key", {"key": key}, yes, dry_run, as_json, config, control)


# -- inside


def text_in(file: Path, what: str) -> str:
    """The text of a file, "-" for standard input."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise usage(f"expected {what} in {file}: {error}") from None


def _get(zone: str, rest: str, config: Path | None, control: Path | None) -> Any:
    from xfer.cli.client import zone_path

    with reported():
        return daemon(config, control).get(zone_path(zone, "/dnssec" + rest))


def _records(
    zone: str, rest: str, as_json: bool, config: Path | None, control: Path | None
) -> None:
    found = _get(zone, rest, config, control)
    if as_json:
        print_json(found)
    for record in () if as_json else found["records"]:
        typer.echo(record["line"])
    if found["records"]:
        if found["note"] and not as_json:
            note(f"xfer: warning: {found['note']}")
        return
    fail(found["note"] or f"{found['zone']} has no {found['type']} to show")
    raise typer.Exit(FAILED)


def do_order(
    zone: str,
    rest: str,
    body: dict[str, Any],
    yes: bool,
    dry_run: bool,
    as_json: bool,
    config: Path | None,
    control: Path | None,
) -> None:
    """Show what the order would do and ask, unless told not to; then have it done, and tell."""
    from xfer.cli.show_dnssec import print_done, print_plan

    if not (yes or dry_run or can_ask()):
        raise usage("expected --yes or --dry-run where there is no terminal to ask on, got neither")
    with reported():
        asked = daemon(config, control)
        if dry_run or not yes:
            planned = _send(asked, zone, rest, body, True)
            if dry_run and as_json:
                print_json(planned)
            else:
                print_plan(planned)
            if dry_run:
                return
            if not typer.confirm("Do it?", err=True):
                note("nothing was changed")
                raise typer.Exit(FAILED)
        done = _send(asked, zone, rest, body, False)
    if as_json:
        print_json(done)
    else:
        print_done(done)
    error = done["dnssec"]["error"]
    if error:
        fail(f"what follows from it failed, and is tried again: {error}")
        raise typer.Exit(FAILED)


def _send(asked: Daemon, zone: str, rest: str, body: dict[str, Any], dry_run: bool) -> Any:
    from xfer.cli.client import zone_path

    order = {**body, "by": user(), "dry_run": dry_run}
    return asked.post(zone_path(zone, "/dnssec" + rest), order, True)
