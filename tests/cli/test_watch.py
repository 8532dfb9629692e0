"""An order that is waited for: its progress on stderr, its result or its error to who waits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from xfer.cli import watch
from xfer.cli.client import Daemon
from xfer.errors import ControlError

TRANSFER = {"serial": 7, "peer": "one", "phase": "receiving", "records": 2000, "bytes": 3_500_000}


class Telling(Daemon):
    """A daemon that says of the zone what it is given, in turn, and then lets the order end."""

    def __init__(self, *says: dict[str, Any] | ControlError | None) -> None:
        super().__init__(Path("nowhere"))
        self.says = list(says)
        self.asked: list[str] = []
        self.done = threading.Event()

    def get(self, path: str) -> Any:
        self.asked.append(path)
        if not self.says:
            self.done.set()
            return {"transfer": None}
        said = self.says.pop(0)
        if isinstance(said, ControlError):
            raise said
        return {"transfer": said}

    def order(self) -> str:
        assert self.done.wait(30)
        return "the result"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that were shown."""
    lines: list[str] = []
    monkeypatch.setattr(watch, "INTERVAL", 0.001)
    monkeypatch.setattr("rich.status.Status.update", lambda _, line: lines.append(line))
    return lines


def test_phases_are_shown_until_the_result_is_there(shown: list[str]) -> None:
    later = {**TRANSFER, "phase": "checking", "records": 1, "bytes": 0}
    daemon = Telling({**TRANSFER, "serial": None}, TRANSFER, later)
    assert watch.watched(daemon, "example.com.", daemon.order) == "the result"
    assert shown == [
        "example.com. from one: receiving, 2,000 records, 3.5 MB",
        "example.com. serial 7 from one: receiving, 2,000 records, 3.5 MB",
        "example.com. serial 7 from one: checking, 1 record, 0.0 MB",
    ]
    assert set(daemon.asked) == {"/zones/example.com."}


def test_a_daemon_that_does_not_say_is_asked_again(shown: list[str]) -> None:
    daemon = Telling(ControlError("busy"), TRANSFER)
    assert watch.watched(daemon, "example.com.", daemon.order) == "the result"
    assert len(shown) == 1


def test_what_the_order_raises_comes_out(shown: list[str]) -> None:
    daemon = Telling()

    def order() -> None:
        raise ControlError("no such zone", kind="NoSuchZone")

    with pytest.raises(ControlError, match="no such zone") as error:
        watch.watched(daemon, "example.com.", order)
    assert error.value.kind == "NoSuchZone"
