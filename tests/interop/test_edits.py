"""Edits flow: nsupdate → primary → xfer → BIND, Knot and NSD, each edit a delta on every hop.

The short form makes 40 edits, `make edits` 500, one each 100 ms (EDITS in the environment says
how many, SEED which). Every secondary ends with the primary's records, has received a fifth as
many serials as there were edits (of those that the primary sent NOTIFY for: Knot waits a second
and more between two), and never the whole zone after the first time.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator

import attrs
import pytest

from tests.interop import counting
from tests.interop.chain import key_of
from tests.interop.counting import Counts
from tests.interop.edits import SERIAL, TEXT, ZONE, Editor
from tests.interop.seed import drawn
from tests.peers import (
    Knot,
    Nsd,
    PrimaryZone,
    Remote,
    SecondaryZone,
    Server,
    TsigKey,
    Xferd,
    axfr,
    free_port,
    wait_serial,
)
from tests.peers.bind_container import MIDDLE, PRIMARY, SECONDARY, BindFactory
from tests.peers.bind_container import TsigKey as BindKey
from tests.peers.updates import Updates

pytestmark = [pytest.mark.lab, pytest.mark.slow]

EDITS = int(os.environ.get("EDITS", "40"))
PACE = 0.1  # seconds from one edit to the next
IN, OUT = key_of(0), key_of(1)
KNOT_AT, NSD_AT = "127.0.0.14", "127.0.0.15"


@attrs.frozen
class Primary:
    """A primary that takes updates. notified: how many serials it has sent NOTIFY for."""

    remote: Remote
    program: str
    notified: Callable[[], int]


@attrs.frozen
class Secondary:
    """A secondary of xfer. wait: until it serves a serial, so many seconds; counts: what it
    received."""

    name: str
    remote: Remote
    wait: Callable[[int, float], None]
    counts: Callable[[], Counts]


def bind_key(key: TsigKey) -> BindKey:
    return BindKey(key.name.rstrip("."), key.algorithm, key.secret)


@contextlib.contextmanager
def bind_primary(bind: BindFactory, to: Remote) -> Iterator[Primary]:
    server = bind.primary(
        TEXT,
        origin=ZONE.rstrip("."),
        key=bind_key(IN),
        notify=((to.address, to.port),),
        # An edit may take the addresses of an MX record's host away; BIND would refuse it for that.
        options=f'notify-delay 0; allow-update {{ key "{IN.name.rstrip(".")}"; }};'
        " check-integrity no;",
    )
    assert server.address == PRIMARY
    yield Primary(Remote(server.address, server.port, IN), "nsupdate", lambda: EDITS)


@contextlib.contextmanager
def knot_primary(bind: BindFactory, to: Remote) -> Iterator[Primary]:
    zone = PrimaryZone(ZONE, TEXT, keys=[IN], updaters=[IN], notify=[to])
    # It keeps 20 changes otherwise, and sends the whole zone where more came between two NOTIFYs.
    with Knot([zone], address=PRIMARY, zone_options=["journal-max-depth: 1000"]) as server:

        def notified() -> int:
            return len(re.findall(r"notify, outgoing, remote \S+, serial", server.logs()))

        yield Primary(server.remote(IN), "knsupdate", notified)


@contextlib.contextmanager
def secondaries(bind: BindFactory, upstream: Remote, ports: list[int]) -> Iterator[list[Secondary]]:
    """BIND, Knot and NSD below xfer, at the ports that it sends NOTIFY to."""
    named = bind.secondary(
        (upstream.address, upstream.port),
        origin=ZONE.rstrip("."),
        key=bind_key(OUT),
        port=ports[0],
    )
    named.rndc("trace", "3")  # it then logs what kind of transfer came
    zone = [SecondaryZone(ZONE, [upstream], keys=[OUT])]
    with (
        Knot(zone, address=KNOT_AT, port=ports[1]) as knot,
        Nsd(zone, address=NSD_AT, port=ports[2]) as nsd,
    ):
        yield [
            Secondary(
                "BIND",
                Remote(named.address, named.port, OUT),
                named.wait_serial,
                lambda: counting.of_bind(named.logs()),
            ),
            of("Knot", knot, counting.of_knot),
            of("NSD", nsd, counting.of_nsd),
        ]


def of(name: str, server: Server, count: Callable[[str], Counts]) -> Secondary:
    """A secondary that is a process."""

    def wait(serial: int, timeout: float) -> None:
        server.wait_serving(ZONE, serial, timeout)

    return Secondary(name, server.remote(OUT), wait, lambda: count(server.logs()))


@pytest.fixture(params=["BIND", "Knot"])
def primary_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_edit_reaches_every_secondary_as_a_delta(
    bind: BindFactory, primary_kind: str
) -> None:
    travel(bind, primary_kind, lambda zone, port: Xferd([zone], address=MIDDLE, port=port))


def travel(
    bind: BindFactory, primary_kind: str, middle: Callable[[SecondaryZone, int], Server]
) -> None:
    seed = drawn()
    print(f"{EDITS} edits, {primary_kind} as primary")
    port = free_port(MIDDLE)
    ports = [free_port(address) for address in (SECONDARY, KNOT_AT, NSD_AT)]
    told = [
        Remote(address, at, OUT)
        for address, at in zip((SECONDARY, KNOT_AT, NSD_AT), ports, strict=True)
    ]
    start = {"BIND": bind_primary, "Knot": knot_primary}[primary_kind]
    with start(bind, Remote(MIDDLE, port, IN)) as primary:
        zone = SecondaryZone(ZONE, [primary.remote], keys=[OUT], notify=told)
        with middle(zone, port) as server:
            server.wait_serving(ZONE, SERIAL)
            with secondaries(bind, server.remote(OUT), ports) as below:
                for one in below:
                    one.wait(SERIAL, 60)
                make_edits(primary, Editor(seed))
                judge(primary, server, below)


def make_edits(primary: Primary, editor: Editor) -> None:
    with Updates(primary.remote, ZONE, program=primary.program) as updates:
        due = time.monotonic()
        for _ in range(EDITS):
            updates.send(editor.edit())
            due += PACE
            time.sleep(max(0.0, due - time.monotonic()))


def judge(primary: Primary, server: Server, below: list[Secondary]) -> None:
    last = SERIAL + EDITS
    wait_serial(primary.remote.address, primary.remote.port, ZONE, last, timeout=20)
    expected = records(primary.remote)
    assert len(expected) > 300
    server.wait_serving(ZONE, last, timeout=20)
    assert records(server.remote(OUT)) == expected
    heard = min(EDITS, primary.notified())
    wanted = EDITS // 5 if primary.program == "nsupdate" else heard // 2
    for one in below:
        one.wait(last, 20)
        assert records(one.remote) == expected, one.name
        counts = one.counts()
        print(f"{one.name}: {counts.distinct} serials")
        assert counts.distinct > wanted, f"{one.name} received {counts.distinct} serials"
        assert not counts.problem(), f"{one.name}: {counts.problem()}"
    if isinstance(server, Xferd):
        judge_xfer(server, below, wanted)


def judge_xfer(server: Xferd, below: list[Secondary], wanted: int) -> None:
    """What xfer says itself that it received, and sent to each."""
    log = server.logs()
    received = counting.of_xfer(log, "in")
    print(f"xfer: received {received.distinct} serials")
    assert received.kinds[0] == "axfr" and not received.problem(), received.problem()
    assert received.distinct > wanted
    for number, one in enumerate(below):
        # The fixture names a zone's peers in order, secondaries first.
        sent = counting.of_xfer(log, "out", f"peer-{number}")
        assert not sent.problem(), f"sent to {one.name}: {sent.problem()}"
        assert sent.distinct > wanted, f"sent to {one.name}: {sent.distinct} serials"


def records(remote: Remote) -> list[object]:
    """All records, names lower-cased: Knot and NSD fold case."""
    return list(axfr(remote.address, remote.port, ZONE, remote.key, exact_case=False))
