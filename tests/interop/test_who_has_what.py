"""What xfer knows of a real secondary: told, fetched, seen; and again after xfer was killed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.chain import key_of
from tests.peers import Named, PrimaryZone, Remote, SecondaryZone, Xferd, events, free_port

pytestmark = pytest.mark.lab

ZONE = "example.test."
KEY = key_of(0)
STORED = ("delivered_serial", "seen_serial", "fetched_serial")
LIMITS = """
[limits]
notify_timeout = 0.2
notify_ladder = [1.0]
probe_ladder = [0.2, 0.5, 0.5, 1, 1, 1, 1, 1, 1]
"""


def text(serial: int) -> str:
    hosts = "".join(f"host{number} A 192.0.2.{number}\n" for number in range(1, 100 + serial))
    return (
        f"$ORIGIN {ZONE}\n$TTL 300\n@ IN SOA ns hostmaster {serial} 3600 600 86400 60\n"
        f"@ NS ns\nns A 192.0.2.1\n{hosts}"
    )


def secondary(xfer: Xferd) -> dict[str, Any]:
    done = xfer.cli("status", ZONE, "--json")
    assert done.returncode == 0, done.stderr
    status: dict[str, Any] = json.loads(done.stdout)["secondaries"][0]
    return status


def until(xfer: Xferd, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The secondary's status once it is as wanted."""
    end = time.monotonic() + 30
    while not wanted(status := secondary(xfer)):
        assert time.monotonic() < end, status
        time.sleep(0.1)
    return status


def notified(xfer: Xferd) -> list[dict[str, Any]]:
    """The NOTIFYs that xfer logged."""
    return [event for event in events(xfer.logs()) if event["event"] == "notify"]


def test_what_bind_was_told_fetched_and_has() -> None:
    port = free_port("127.0.0.1")
    zone = PrimaryZone(ZONE, text(1), keys=[KEY], notify=[Remote("127.0.0.1", port, KEY)])
    with Xferd([zone], address="127.0.0.12", extra=LIMITS) as xfer:
        xfer.wait_serving(ZONE, 1)
        gone = until(xfer, lambda status: status["tries"] > 0)
        assert (gone["pending"], gone["delivered_serial"], gone["lag_serials"]) == (1, None, None)
        assert "connection refused over TCP" in gone["notify_result"]

        with Named([SecondaryZone(ZONE, [xfer.remote(KEY)], keys=[KEY])], port=port) as bind:
            bind.wait_serving(ZONE, 1)
            first = until(xfer, lambda status: status["seen_serial"] == 1)
            assert (first["fetched_serial"], first["fetched_kind"]) == (1, "axfr")
            assert (first["pending"], first["lag_serials"], first["lag_versions"]) == (None, 0, 0)

            xfer.edit_zone(ZONE, text(2))
            bind.wait_serving(ZONE, 2)
            second = until(xfer, lambda status: status["seen_serial"] == 2)
            assert (second["delivered_serial"], second["notify_result"]) == (2, "NOERROR")
            assert (second["fetched_kind"], second["fetched_from"]) == ("ixfr", 1)
            shown = xfer.cli("status", ZONE).stdout
            assert f"secondary  peer-0 127.0.0.1#{port}, up to date\n" in shown
            assert "told       of serial 2: NOERROR, " in shown
            assert "fetched    serial 2 by ixfr from 1, " in shown
            assert "has        serial 2 by its own word, " in shown

            before = len(notified(xfer))
            restart(xfer, 2)
            again = until(xfer, lambda status: status["seen_serial"] == 2)
            assert again["fetched_kind"] == "ixfr"
            assert len(notified(xfer)) == before, "what was delivered is not sent again"

            bind.kill()
            xfer.edit_zone(ZONE, text(3))
            behind = until(xfer, lambda status: status["tries"] > 0)
            assert (behind["pending"], behind["lag_serials"], behind["lag_versions"]) == (3, 1, 1)
            assert behind["lag_seconds"] > 0
            restart(xfer, 3)
            resumed = until(xfer, lambda status: status["tries"] > behind["tries"])
            assert (resumed["pending"], resumed["delivered_serial"]) == (3, 2)
            bind.launch()
            bind.wait_serving(ZONE, 3)
            assert until(xfer, lambda status: status["seen_serial"] == 3)["pending"] is None


def restart(xfer: Xferd, serial: int) -> None:
    """Kill and start it again, once the journal has what xfer knows of the secondary."""
    known = secondary(xfer)
    until(xfer, lambda _: all(stored(xfer).get(key) == known[key] for key in STORED))
    xfer.kill()
    xfer.launch()
    xfer.wait_serving(ZONE, serial)


def stored(xfer: Xferd) -> dict[str, Any]:
    """What the journal has of the secondary."""
    with contextlib.closing(sqlite3.connect(xfer.directory / "journal.db")) as journal:
        rows = journal.execute("SELECT data FROM peer_states WHERE role = 'secondary'").fetchall()
    return dict(json.loads(rows[0][0])) if rows else {}
