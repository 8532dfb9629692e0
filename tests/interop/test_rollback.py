"""Back to a version three changes ago: one step for a BIND secondary, and a hold until released."""

from __future__ import annotations

import json

import pytest

from tests.interop import counting
from tests.interop.chain import key_of
from tests.interop.edits import SERIAL, TEXT, ZONE, Editor
from tests.peers import Named, PrimaryZone, Remote, SecondaryZone, Xferd, free_port
from tests.peers.updates import Updates
from tests.peers.zones import Record

pytestmark = pytest.mark.lab

IN, OUT = key_of(0), key_of(1)
EDITS = 4
BACK = SERIAL + 1  # three changes before the last one
SERVED = SERIAL + EDITS + 1


def without_soa(records: list[Record]) -> list[Record]:
    return [record for record in records if record.rtype != "SOA"]


def test_a_rollback_reaches_the_secondary_in_one_step_and_holds_the_zone() -> None:
    port = free_port("127.0.0.1")
    told = Remote("127.0.0.1", free_port("127.0.0.1"), OUT)
    zone = PrimaryZone(ZONE, TEXT, keys=[IN], updaters=[IN], notify=[Remote("127.0.0.1", port, IN)])
    with Named([zone]) as primary:
        here = SecondaryZone(ZONE, [primary.remote(IN)], keys=[OUT], notify=[told])
        with Xferd([here], port=port) as xfer:
            xfer.wait_serving(ZONE, SERIAL)
            below = SecondaryZone(ZONE, [xfer.remote(OUT)], keys=[OUT])
            with Named([below], port=told.port, debug=3) as secondary:
                secondary.wait_serving(ZONE, SERIAL)
                editor = Editor(5)
                contents = {}
                for number in range(1, EDITS + 1):
                    with Updates(primary.remote(IN), ZONE) as updates:
                        updates.send(editor.edit())
                    for server in (xfer, secondary):
                        server.wait_serving(ZONE, SERIAL + number, timeout=20)
                    contents[SERIAL + number] = without_soa(secondary.axfr(ZONE, OUT))

                done = xfer.cli("zone", "rollback", ZONE, str(BACK))
                assert done.returncode == 0, done.stderr
                assert f"the content of serial {BACK} is served as serial {SERVED}" in done.stdout
                secondary.wait_serving(ZONE, SERVED, timeout=20)
                assert without_soa(secondary.axfr(ZONE, OUT)) == contents[BACK]
                counting.at_least(EDITS + 2, lambda: counting.of_bind(secondary.logs()).serials)
                received = counting.of_bind(secondary.logs())
                assert received.kinds == ("axfr",) + ("ixfr",) * (EDITS + 1)
                assert received.serials[-2:] == (SERVED - 1, SERVED)

                # Held: a change at the primary is seen, and not taken; also after a restart.
                with Updates(primary.remote(IN), ZONE) as updates:
                    updates.send(editor.edit())
                    updates.send(editor.edit())
                assert xfer.cli("refresh", ZONE, "--wait").returncode == 0
                xfer.stop()
                xfer.start()
                xfer.wait_serving(ZONE, SERVED)
                status = json.loads(xfer.cli("status", ZONE, "--json").stdout)
                assert status["serial"] == SERVED
                assert status["held"]["content_serial"] == BACK
                refused = xfer.cli("force-axfr", ZONE, "--wait")
                assert refused.returncode == 1
                assert "zone release" in refused.stderr

                done = xfer.cli("zone", "release", ZONE)
                assert done.returncode == 0, done.stderr
                for server in (xfer, secondary):
                    server.wait_serving(ZONE, SERVED + 1, timeout=20)
                assert secondary.axfr(ZONE, OUT, exact_case=False) == primary.axfr(
                    ZONE, IN, exact_case=False
                )
                history = json.loads(xfer.cli("zone", "history", ZONE, "--json").stdout)
                kinds = [version["kind"] for version in history["versions"]]
                assert kinds[1] == "rollback"
                assert kinds[2:] == ["ixfr"] * EDITS + ["axfr"]
                # What the primary has is taken under a serial of our own, and followed by IXFR.
                assert xfer.cli("zone", "rollback", ZONE, str(BACK)).returncode == 0
                secondary.wait_serving(ZONE, SERVED + 2, timeout=20)
                done = xfer.cli("zone", "release", ZONE, "--follow")
                assert done.returncode == 0, done.stderr
                assert f"released: serial {SERVED + 3} from" in done.stdout
                secondary.wait_serving(ZONE, SERVED + 3, timeout=20)
                assert without_soa(secondary.axfr(ZONE, OUT)) == without_soa(xfer.axfr(ZONE, OUT))
                assert sorted(without_soa(secondary.axfr(ZONE, OUT, exact_case=False))) == sorted(
                    without_soa(primary.axfr(ZONE, IN, exact_case=False))
                )
                assert "under a serial of our own" in xfer.cli("why", ZONE).stdout
                with Updates(primary.remote(IN), ZONE) as updates:
                    for _ in range(3):  # its serial passes ours
                        updates.send(editor.edit())
                for server in (xfer, secondary):
                    server.wait_serving(ZONE, SERVED + 4, timeout=20)
                assert secondary.axfr(ZONE, OUT, exact_case=False) == primary.axfr(
                    ZONE, IN, exact_case=False
                )
                assert "is current" in xfer.cli("why", ZONE).stdout
                shown = xfer.cli("zone", "show", ZONE, "--serial", str(BACK)).stdout
                assert f"serial {BACK}," in shown
