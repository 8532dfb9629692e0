"""`xfer serve` and `xfer check`: what needs the config and no daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xfer.cli.common import (
    DEFAULT_CONFIG,
    USAGE,
    ConfigOption,
    JsonOption,
    fail,
    many,
    note,
    print_json,
    reported,
)
from xfer.errors import ConfigError, KeyRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xfer.config import Config
    from xfer.config_read import Warned
    from xfer.control.daemon import UnixControl


def serve(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the daemon in the foreground; SIGHUP reloads, SIGTERM ends."""
    from xfer.server.launch import run

    with reported():
        code = run(config, _new_control)
    raise typer.Exit(code)


def _new_control() -> UnixControl:
    from xfer.control.daemon import UnixControl

    return UnixControl()


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    explain_keys: Annotated[
        bool, typer.Option("--explain-keys", help="Print every config key and its default.")
    ] = False,
) -> None:
    """Validate the config: every problem with its file, key and fix; exit 0 or 2. Zone files and
    private keys that cannot be used are warnings."""
    if explain_keys:
        _explain(as_json)
        return
    from xfer.config import load

    try:
        found = load(config)
    except ConfigError as error:
        errors: tuple[ConfigError, ...] = getattr(error, "errors", (error,))
        if as_json:
            items = [
                {"file": e.file, "key": e.key, "problem": e.problem, "fix": e.fix} for e in errors
            ]
            print_json({"ok": False, "errors": items, "warnings": []})
        for item in errors:
            fail(str(item))
        raise typer.Exit(USAGE) from None
    told = [*found.warnings, *_of_keys(found)]
    warnings = [{"file": warned.file, "key": warned.key, "problem": warned.text} for warned in told]
    for warned in told:
        note(f"xfer: warning: {warned}")
    if as_json:
        counts = {"zones": len(found.zones), "peers": len(found.peers), "keys": len(found.tsig)}
        print_json({"ok": True, "errors": [], "warnings": warnings, **counts})
    else:
        counted = ", ".join(
            many(len(items), noun)
            for items, noun in (
                (found.zones, "zone"),
                (found.peers, "peer"),
                (found.tsig, "TSIG key"),
                (told, "warning"),
            )
        )
        typer.echo(f"{config} is fine: {counted}")


def _of_keys(config: Config) -> Iterator[Warned]:
    """What keeps private keys of live-signed zones from being used, each sentence once."""
    from xfer.config_read import Warned
    from xfer.server.keystore import KeyStore

    store = KeyStore(config.server.keys)
    said: set[str] = set()
    for zone in config.zones.values():
        if not zone.signed_here:
            continue
        try:
            problems = store.look(zone.origin).problems
        except KeyRefused as problem:
            problems = (problem,)
        for text in map(str, problems):
            if text not in said:
                said.add(text)
                name = zone.name.rstrip(".") or "."
                yield Warned(str(zone.declared_in), f"zone[{name}].dnssec", text)


def _explain(as_json: bool) -> None:
    from xfer.config_keys import documented, reference

    if as_json:
        print_json(
            [
                {"table": table, "key": key, "default": default, "what": what}
                for table, key, default, what in documented()
            ]
        )
    else:
        typer.echo(reference(), nl=False)
