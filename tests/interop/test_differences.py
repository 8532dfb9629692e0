"""A primary that never sends IXFR: xfer finds the differences, and its secondaries get IXFR."""

from __future__ import annotations

import pytest

from tests.interop import counting
from tests.interop.chain import key_of
from tests.interop.edits import SERIAL, TEXT, ZONE, Editor
from tests.peers import Knot, Named, PrimaryZone, Remote, SecondaryZone, Xferd, free_port
from tests.peers.updates import Updates

pytestmark = pytest.mark.lab

IN, OUT = key_of(0), key_of(1)
EDITS = 10


def test_secondaries_get_deltas_of_what_came_whole() -> None:
    port = free_port("127.0.0.1")
    told = [Remote("127.0.0.1", free_port("127.0.0.1"), OUT) for _ in range(2)]
    zone = PrimaryZone(ZONE, TEXT, keys=[IN], updaters=[IN], notify=[Remote("127.0.0.1", port, IN)])
    with Named([zone], options="provide-ixfr no;") as primary:
        here = SecondaryZone(ZONE, [primary.remote(IN)], keys=[OUT], notify=told)
        with Xferd([here], port=port) as xfer:
            xfer.wait_serving(ZONE, SERIAL)
            below = [SecondaryZone(ZONE, [xfer.remote(OUT)], keys=[OUT])]
            with (
                Named(below, port=told[0].port, debug=3) as named,
                Knot(below, port=told[1].port) as knot,
            ):
                for secondary in (named, knot):
                    secondary.wait_serving(ZONE, SERIAL)
                editor = Editor(3)
                for number in range(1, EDITS + 1):
                    with Updates(primary.remote(IN), ZONE) as updates:
                        updates.send(editor.edit())
                    for server in (xfer, named, knot):
                        server.wait_serving(ZONE, SERIAL + number, timeout=20)
                expected = primary.axfr(ZONE, IN, exact_case=False)
                for server in (xfer, named, knot):
                    assert server.axfr(ZONE, OUT, exact_case=False) == expected, server.program
                wanted = EDITS + 1
                kinds = counting.at_least(wanted, lambda: counting.of_xfer(xfer.logs(), "in").kinds)
                assert kinds == ("axfr",) * wanted
                for read in (
                    lambda: counting.of_bind(named.logs()).kinds,
                    lambda: counting.of_knot(knot.logs()).kinds,
                ):
                    assert counting.at_least(wanted, read) == ("axfr",) + ("ixfr",) * EDITS
