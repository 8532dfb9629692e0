"""Progress of a transfer that the daemon runs, shown while its order is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from xfer.cli.client import Daemon, zone_path
from xfer.cli.common import many
from xfer.errors import XferError

INTERVAL = 0.2  # seconds between two looks


def watched(daemon: Daemon, zone: str, work: Callable[[], Any]) -> Any:
    """Run `work` in a thread and show the zone's phase and figures on stderr until it is done."""
    from rich.console import Console

    result: list[Any] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with Console(stderr=True).status(f"{zone}: asking the daemon") as line:
        thread.start()
        while thread.is_alive():
            thread.join(INTERVAL)
            try:
                transfer = daemon.get(zone_path(zone))["transfer"]
            except XferError:
                continue  # `work` reports it
            if transfer is not None:
                line.update(_text(zone, transfer))
    if problems:
        raise problems[0]
    return result[0]


def _text(zone: str, transfer: dict[str, Any]) -> str:
    serial = "" if transfer["serial"] is None else f" serial {transfer['serial']}"
    return (
        f"{zone}{serial} from {transfer['peer']}: {transfer['phase']}, "
        f"{many(transfer['records'], 'record')}, {transfer['bytes'] / 1e6:,.1f} MB"
    )
