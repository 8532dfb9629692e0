"""What all commands share: options, output for people and machines, exit codes.

Exit codes: 0 done, 1 the operation failed, 2 usage or config, 3 the daemon cannot be reached. The
reason goes to stderr, one line first.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.config_socket import DEFAULT_CONTROL, control_path
from xfer.errors import ConfigError, ControlError, XferError

if TYPE_CHECKING:
    from xfer.cli.client import Daemon

DONE, FAILED, USAGE, UNREACHABLE = range(4)
CONFIG_KINDS = ("ConfigError", "ConfigErrors")
DEFAULT_CONFIG = Path("/etc/xfer/xfer.toml")
ENVIRONMENT = "XFER_CONTROL"

ConfigOption = Annotated[
    Path, typer.Option("-c", "--config", help="The config file.", metavar="FILE")
]
ConfigOfDaemon = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        help="Find the daemon by its config file.",
        metavar="FILE",
        show_default=False,
    ),
]
ControlOption = Annotated[
    Path | None,
    typer.Option(
        "--control",
        help=f"Find the daemon by its control socket [default: {DEFAULT_CONTROL}].",
        metavar="SOCKET",
        envvar=ENVIRONMENT,
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it is done.")]
ZoneArgument = Annotated[str, typer.Argument(help="Name of the zone.", metavar="ZONE")]


class Misused(XferError):
    """What was typed cannot be meant: usage, where it is found out late."""


def daemon(config: Path | None, control: Path | None) -> Daemon:
    """The daemon that -c or --control name; -c wins over the environment, not over --control."""
    from xfer.cli.client import Daemon

    from_environment = control is not None and str(control) == os.environ.get(ENVIRONMENT)
    if config is not None and (control is None or from_environment):
        control = control_path(config)
    return Daemon(control or Path(DEFAULT_CONTROL))


@contextmanager
def reported() -> Iterator[None]:
    """Turn the errors of xfer into a line on stderr and an exit code."""
    try:
        yield
    except ConfigError as error:
        for item in getattr(error, "errors", (error,)):
            fail(str(item))
        raise typer.Exit(USAGE) from None
    except Misused as error:
        raise usage(str(error)) from None
    except ControlError as error:
        fail(str(error))
        if error.unreachable:
            raise typer.Exit(UNREACHABLE) from None
        # The config that a reload reads is as wrong as one that is read here.
        raise typer.Exit(USAGE if error.kind in CONFIG_KINDS else FAILED) from None
    except XferError as error:
        fail(str(error))
        raise typer.Exit(FAILED) from None


def fail(message: str) -> None:
    """One problem on stderr."""
    note(f"xfer: {message}")


def note(message: str) -> None:
    """A line on stderr, where it does not mix with output."""
    typer.echo(message, err=True)


def usage(message: str) -> typer.Exit:
    """To be raised for bad usage that typer cannot see: says what was expected."""
    fail(message)
    return typer.Exit(USAGE)


def print_json(value: Any) -> None:
    """Indented for eyes, one line for pipes."""
    indent = 2 if sys.stdout.isatty() else None
    typer.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def many(count: int, noun: str) -> str:
    """ "1 record", "2,000 records"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
