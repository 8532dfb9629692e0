"""What `xfer serve` does before the daemon is there: the config, and a process that parses.

That process takes as long to start as the daemon's own imports do. It is started before them, so
that the first large transfer, often asked for within milliseconds, does not wait for it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from xfer import log as logging
from xfer.config import Config, load
from xfer.errors import ConfigError, XferError
from xfer.server.pipeline import Parsers

if TYPE_CHECKING:
    from xfer.server.daemon import C, Control


def run(config_path: str | Path, new_control: Callable[[], Control[C]]) -> int:
    """Run until a signal ends it; returns the process's exit code (0, 1 or 2).

    new_control: imports and makes the control API, which lies above this layer. Problems of the
    config and of what it names are printed to stderr, one line first.
    """
    path = Path(config_path)

    def read() -> Config:
        return load(path)

    try:
        config = read()
    except ConfigError as error:
        print(f"xfer: {error}", file=sys.stderr)
        return 2
    logging.setup(config.server.log_level, config.server.log_format)
    try:
        with contextlib.closing(Parsers(config.limits.parser_processes)) as parsers:
            if any(zone.primaries for zone in config.zones.values()):
                parsers.start()
            from xfer.server import daemon

            daemon.run(config, read, new_control(), parsers)
    except XferError as error:
        print(f"xfer: {error}", file=sys.stderr)
        return 1
    except BaseExceptionGroup as group:
        failures, rest = group.split(XferError)
        if failures is None or rest is not None:
            raise
        print(f"xfer: {_first(failures)}", file=sys.stderr)
        return 1
    return 0


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One error of those that ended the daemon; nurseries wrap even a single one."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
