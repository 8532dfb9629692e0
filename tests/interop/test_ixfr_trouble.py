"""IXFR that cannot work: the zone is current again by itself, at once and from the same primary.

The history is gone, a delta does not fit, the primary answers IXFR with an error or not at all:
each time xfer must take the whole zone instead, remember that IXFR from that serial is broken
there, say so, and ask for IXFR again for the next change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interop import counting
from tests.interop.chain import key_of
from tests.interop.edits import SERIAL, TEXT, ZONE, Editor
from tests.peers import Named, PrimaryZone, Remote, SecondaryZone, Xferd, axfr
from tests.peers.fake import Behaviour, FakePrimary
from tests.peers.updates import Updates

pytestmark = pytest.mark.lab

IN, OUT = key_of(0), key_of(1)
HOSTS = [f"host{i}.{ZONE} 300 A 192.0.2.{i}" for i in range(200)]
BASE = [f"{ZONE} 300 NS ns1.{ZONE}", f"ns1.{ZONE} 300 A 192.0.2.1", *HOSTS]
#: A transfer that stands still is given up after a second, where one does: others may be as slow
#: as the machine makes them.
SHORT = "[limits]\nidle_timeout = 1\n"
SILENT = {Behaviour.STALL, Behaviour.LONE_SOA}
HEALED = 15.0  # seconds

#: Behaviours that are an answer in good form: nothing is broken, and no error is told.
SOUND = {Behaviour.WHOLE}


def content(version: int) -> list[str]:
    """The zone with one host changed for each version."""
    changed = dict(enumerate(BASE))
    for number in range(version):
        changed[50 + number] = f"changed{number}.{ZONE} 300 A 198.51.100.{number}"
    return list(changed.values())


def status(xfer: Xferd) -> dict[str, Any]:
    done = xfer.cli("status", ZONE, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def wait_current(xfer: Xferd, primary: FakePrimary) -> None:
    """Until xfer serves what the primary serves, all of it."""
    xfer.wait_serving(ZONE, primary.serial, timeout=HEALED)
    got = [f"{r.owner} {r.ttl} {r.rtype} {r.rdata}" for r in xfer.axfr(ZONE, OUT)]
    assert sorted(got) == sorted(primary.records())


@pytest.mark.parametrize(
    "behaviour",
    [one for one in Behaviour if one is not Behaviour.GOOD],
    ids=lambda one: str(one.name.lower()),
)
def test_the_zone_is_current_again_without_anyone_touching_it(behaviour: Behaviour) -> None:
    with FakePrimary(ZONE, IN) as primary:
        primary.publish(1, content(0))
        limits = SHORT if behaviour in SILENT else ""
        with Xferd([SecondaryZone(ZONE, [primary.remote], keys=[OUT])], extra=limits) as xfer:
            wait_current(xfer, primary)
            primary.behaviour = behaviour
            primary.publish(2, content(1))
            primary.asked.clear()
            assert primary.notify(xfer.remote()) == "NOERROR"
            wait_current(xfer, primary)
            assert primary.asked.count("TCP IXFR 1") == 1
            if behaviour not in SOUND:
                assert primary.asked.count("TCP AXFR") == 1
                assert primary.asked.index("TCP AXFR") > primary.asked.index("TCP IXFR 1")
                tells(xfer, primary, serial=1)

            # IXFR is asked for again from the serial after the broken one, and works.
            primary.behaviour = Behaviour.GOOD
            primary.publish(3, content(2))
            primary.asked.clear()
            assert primary.notify(xfer.remote()) == "NOERROR"
            wait_current(xfer, primary)
            assert "TCP IXFR 2" in primary.asked and "TCP AXFR" not in primary.asked
            kinds = counting.at_least(3, lambda: counting.of_xfer(xfer.logs(), "in").kinds)
            assert kinds == ("axfr", "axfr", "ixfr")


def tells(xfer: Xferd, primary: FakePrimary, serial: int) -> None:
    """The status names the primary and the serial from which IXFR failed there; so does `why`."""
    found = status(xfer)
    assert found["state"] == "current"
    (one,) = found["primaries"]
    assert one["address"] == f"{primary.remote.address}#{primary.remote.port}"
    assert one["serial"] == primary.serial
    assert one["ixfr_error"]["sentence"], one
    assert one["ixfr_broken"] == serial or one["ixfr_timeouts"] == 1, one
    why = xfer.cli("why", ZONE)
    assert why.returncode == 0, why.stderr
    since = f"from serial {serial} " if one["ixfr_broken"] is not None else ""
    assert f"IXFR {since}from {one['peer']} failed" in why.stdout, why.stdout
    assert "AXFR takes its place" in why.stdout, why.stdout


def test_a_primary_whose_history_is_gone_sends_the_zone_and_all_is_well(tmp_path: Path) -> None:
    zone = PrimaryZone(ZONE, TEXT, keys=[IN], updaters=[IN])
    with Named([zone]) as primary:
        here = SecondaryZone(ZONE, [primary.remote(IN)], keys=[OUT])
        with Xferd([here], directory=tmp_path / "xfer") as xfer:
            xfer.wait_serving(ZONE, SERIAL)
            xfer.stop()
            with Updates(primary.remote(IN), ZONE) as updates:
                editor = Editor(7)
                for _ in range(5):
                    updates.send(editor.edit())
            primary.rndc("sync", "-clean", ZONE)
            primary.stop()
            primary.launch()
            primary.wait_serving(ZONE, SERIAL + 5)
            xfer.launch()
            xfer.wait_serving(ZONE, SERIAL + 5, timeout=HEALED)
            expected = primary.axfr(ZONE, IN)
            assert axfr(xfer.address, xfer.port, ZONE, OUT) == expected
            assert status(xfer)["state"] == "current"
            kinds = counting.at_least(2, lambda: counting.of_xfer(xfer.logs(), "in").kinds)
            assert kinds == ("axfr", "axfr")


def test_another_primary_that_has_the_history_is_not_needed(tmp_path: Path) -> None:
    """The whole zone comes from the primary whose delta did not fit, not from the next one."""
    with FakePrimary(ZONE, IN) as first, FakePrimary(ZONE, IN) as second:
        for one in (first, second):
            one.publish(1, content(0))
        remotes: list[Remote] = [first.remote, second.remote]
        with Xferd([SecondaryZone(ZONE, remotes, keys=[OUT])]) as xfer:
            wait_current(xfer, first)
            first.behaviour = Behaviour.ABSENT
            for one in (first, second):
                one.publish(2, content(1))
            second.asked.clear()
            assert first.notify(xfer.remote()) == "NOERROR"
            wait_current(xfer, first)
            assert "TCP AXFR" in first.asked
            assert not [question for question in second.asked if question.startswith("TCP")]
