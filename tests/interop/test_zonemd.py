"""ZONEMD between Knot and xfer: each verifies what the other has made, whole zones and changes."""

from __future__ import annotations

import json
import textwrap
import time
from typing import Any

import pytest

from tests.peers import Knot, PrimaryZone, SecondaryZone, TsigKey, Xferd
from tests.peers.updates import Updates
from xfer.wire import names, records
from xfer.zone.check import Policy
from xfer.zone.zonefile import read_zone_text
from xfer.zone.zonemd import SHA384, SHA512, make_zonemd

pytestmark = pytest.mark.lab

ZONE = "digested.test."
KEY = TsigKey.make("k1.")
UPDATER = TsigKey.make("updater.")
VERIFY = ("zonemd-verify: on",)


def zone_text(serial: int) -> str:
    return textwrap.dedent(
        f"""\
        $TTL 3600
        $ORIGIN {ZONE}
        @ SOA ns1 hostmaster {serial} 3600 600 604800 300
        @ NS ns1
        ns1 A 192.0.2.1
        sub NS ns.sub
        ns.sub A 192.0.2.7
        occluded.sub TXT "is digested as well"
        * A 192.0.2.9
        Mixed.Case MX 10 Mail
        """
    ) + "".join(f"host{n} A 10.0.0.{n}\n" for n in range(40))


def digested(serial: int, algorithm: int, wrong: bool = False) -> str:
    """The zone with a ZONEMD of our own."""
    text = zone_text(serial)
    origin = names.from_text(ZONE)
    snapshot, _ = read_zone_text(text, "test", origin, Policy())
    digest = bytearray(records.split(make_zonemd(snapshot, [algorithm])[0])[4][6:])
    digest[-1] ^= wrong
    return f"{text}@ ZONEMD {serial} 1 {algorithm} {digest.hex()}\n"


def status(server: Xferd) -> dict[str, Any]:
    done = server.cli("status", ZONE, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("algorithm", ["zonemd-sha384", "zonemd-sha512"])
def test_each_version_of_knot_is_verified_here_and_by_the_next_knot(algorithm: str) -> None:
    zone = PrimaryZone(ZONE, zone_text(1), keys=[KEY], updaters=[UPDATER])
    with Knot([zone], zone_options=[f"zonemd-generate: {algorithm}"]) as primary:
        primary.wait_serving(ZONE, 2)  # one more than in the file, as it adds the ZONEMD
        with Xferd([SecondaryZone(ZONE, [primary.remote(KEY)], keys=[KEY])]) as xfer:
            xfer.wait_serving(ZONE, 2)
            verified = f"verified ({algorithm.removeprefix('zonemd-').upper().replace('A', 'A-')})"
            assert status(xfer)["zonemd"] == verified
            behind = SecondaryZone(ZONE, [xfer.remote(KEY)])
            with Knot([behind], zone_options=VERIFY) as secondary:
                secondary.wait_serving(ZONE, 2)
                for serial in range(3, 6):
                    with Updates(primary.remote(UPDATER), ZONE) as updates:
                        updates.send([f"add new{serial}.{ZONE} 300 A 192.0.2.{serial}"])
                    primary.wait_serving(ZONE, serial)
                    xfer.refresh(ZONE)
                    xfer.wait_serving(ZONE, serial)
                    found = status(xfer)
                    assert found["source"].startswith("ixfr from")
                    assert (found["zonemd"], found["findings"]) == (verified, [])
                    secondary.refresh(ZONE)
                    secondary.wait_serving(ZONE, serial)
            shown = xfer.cli("status", ZONE).stdout
            assert f"zonemd     {verified}" in shown


@pytest.mark.parametrize("algorithm", [SHA384, SHA512])
def test_knot_takes_what_is_made_here_and_nothing_that_was_flipped(algorithm: int) -> None:
    zone = PrimaryZone(ZONE, digested(1, algorithm), keys=[KEY])
    with Xferd([zone], extra='[checks]\nzonemd = "warn"\n') as xfer:
        xfer.wait_serving(ZONE, 1)
        with Knot([SecondaryZone(ZONE, [xfer.remote(KEY)])], zone_options=VERIFY) as secondary:
            secondary.wait_serving(ZONE, 1)
            xfer.edit_zone(ZONE, digested(2, algorithm, wrong=True))
            xfer.wait_serving(ZONE, 2)
            assert status(xfer)["zonemd"] == "not verified"
            secondary.refresh(ZONE)
            time.sleep(0.5)
            assert secondary.serial(ZONE) == 1
            xfer.edit_zone(ZONE, digested(3, algorithm))
            xfer.wait_serving(ZONE, 3)
            secondary.refresh(ZONE)
            secondary.wait_serving(ZONE, 3)


def test_what_knot_serves_with_a_wrong_digest_is_not_taken() -> None:
    with Knot([PrimaryZone(ZONE, digested(1, SHA384), keys=[KEY])]) as primary:
        primary.wait_serving(ZONE, 1)
        with Xferd([SecondaryZone(ZONE, [primary.remote(KEY)])]) as xfer:
            xfer.wait_serving(ZONE, 1)
            primary.edit_zone(ZONE, digested(2, SHA384, wrong=True))
            primary.wait_serving(ZONE, 2)
            done = xfer.cli("refresh", ZONE, "--wait")
            assert done.returncode == 1
            assert "expected SHA-384 digest" in done.stderr
            assert xfer.serial(ZONE) == 1
            found = status(xfer)
            assert (found["zonemd"], found["state"]) == ("verified (SHA-384)", "failing")
            assert "content: " in found["error"]["sentence"]
            primary.edit_zone(ZONE, digested(3, SHA384))
            primary.wait_serving(ZONE, 3)
            assert xfer.cli("refresh", ZONE, "--wait").returncode == 0
            assert (xfer.serial(ZONE), status(xfer)["zonemd"]) == (3, "verified (SHA-384)")
