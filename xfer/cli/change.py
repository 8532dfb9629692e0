"""A change of a zone's content, as commands go about it: shown, asked about, published, told.

What the daemon answers to any of them is described in `xfer.control`: zone, serials, counts, diff
and findings, of what was done or, on a dry run, would be.
"""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated, Any, Protocol

import typer

from xfer.cli.common import FAILED, many, note, print_json, usage

YesOption = Annotated[bool, typer.Option("--yes", help="Publish without asking.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


class Send(Protocol):
    """Has the daemon do the change, or say what it would do; only where `if_version` is what it
    serves, if that is given. Raises ControlError."""

    def __call__(
        self, *, dry_run: bool = False, if_version: int | None = None
    ) -> dict[str, Any]: ...


def published(send: Send, *, yes: bool, dry_run: bool) -> dict[str, Any]:
    """Publish what changes anything, once somebody has looked at it; at once with `yes`, and
    never with `dry_run`. What the daemon said last. Raises typer.Exit where the answer is no."""
    if yes and not dry_run:
        return send()
    found = send(dry_run=True)
    if dry_run or not has_news(found):
        return found
    show_change(found)
    if not typer.confirm("Publish it?", err=True):
        note("nothing was changed")
        raise typer.Exit(FAILED)
    return send(if_version=found["version"] or 0)


def tell(found: dict[str, Any], *, dry_run: bool, as_json: bool) -> None:
    """What came of it."""
    if as_json:
        print_json(found)
    elif dry_run:
        show_change(found)
    else:
        tell_change(found)


def nobody_to_ask() -> typer.Exit:
    """To be raised where a question would come and nobody can answer it."""
    return usage("expected --yes or --dry-run where there is no terminal to ask on, got neither")


def can_ask() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def user() -> str:
    """Who edits, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"user {os.getuid()}"


def show_change(found: dict[str, Any]) -> None:
    """What would change, for somebody who has to decide."""
    from xfer.cli.show import print_diff

    print_diff(found["diff"])
    if found["more"] and found["serial_from"] is not None:
        note(f"… and {many(found['more'], 'changed record')} more")
    for finding in found["findings"]:
        note(f"xfer: warning: {finding}")
    if _changed(found, "would change"):
        typer.echo(f"{found['zone']} {_serials(found)}: {_counts(found)}")
    _explain(found)


def tell_change(found: dict[str, Any]) -> None:
    """What was changed."""
    for finding in found["findings"] if has_news(found) else ():
        note(f"xfer: warning: {finding}")
    if _changed(found, "changed"):
        typer.echo(f"{found['zone']} {_serials(found)} is served: {_counts(found)}")
    _explain(found)


def has_news(found: dict[str, Any]) -> bool:
    """Whether there is anything to publish."""
    return bool(found["changed"] or found["comments"])


def _changed(found: dict[str, Any], verb: str) -> bool:
    """Whether there is another version; says what there is where there is none."""
    if not found["changed"]:
        same = f"{found['zone']} has that content already, serial {found['serial_to']}"
        typer.echo(same + (f"; {_comments(found)} {verb}" if found["comments"] else ""))
    return bool(found["changed"])


def _comments(found: dict[str, Any]) -> str:
    return many(found["comments"], "comment")


def _explain(found: dict[str, Any]) -> None:
    if found["note"]:
        note(found["note"])


def _serials(found: dict[str, Any]) -> str:
    if found["serial_from"] is None:
        return f"serial {found['serial_to']}"
    return f"serial {found['serial_from']} → {found['serial_to']}"


def _counts(found: dict[str, Any]) -> str:
    counts = f"+{found['added']:,} −{found['removed']:,}, {many(found['records'], 'record')}"
    return counts + (f", {_comments(found)}" if found["comments"] else "")
