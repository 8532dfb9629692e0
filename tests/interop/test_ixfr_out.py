"""Secondaries of every make get from xfer, as IXFR, what changed, however xfer itself got it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interop.chain import key_of
from tests.peers import (
    Knot,
    Named,
    Nsd,
    PrimaryZone,
    Remote,
    SecondaryZone,
    Server,
    Xferd,
    free_port,
)

pytestmark = pytest.mark.lab

ZONE = "example.test."


def zone_text(serial: int, *extra: str, hosts: range = range(300)) -> str:
    """A zone with mixed case in owners and rdata."""
    lines = [
        f"$ORIGIN {ZONE}\n$TTL 300",
        f"@ IN SOA nS1 HostMaster {serial} 3600 600 86400 60",
        "@ NS nS1\n@ MX 10 MaiL\nnS1 A 192.0.2.1\nMaiL A 192.0.2.3",
        *(f"host{i} A 10.0.{i >> 8 & 255}.{i & 255}" for i in hosts),
        *extra,
    ]
    return "\n".join(lines) + "\n"


RRSIG = (
    "www RRSIG A 13 3 300 20300101000000 20200101000000 4711 example.test. "
    "oXKPzDYGHdnLvZMmDUEDkbA6BCjSsfkHQmXT6sUZsNHjtkyz8LbI3ZlJiWzVJmhbl6fW6VTxFM5BqLjIKLjzWA=="
)

STEPS: dict[int, str] = {
    2: zone_text(2, "www A 192.0.2.80"),
    # Only the case of a name changes, in owner and rdata.
    3: zone_text(3, "WwW A 192.0.2.80", "alias CNAME WwW"),
    4: zone_text(4, "WwW A 192.0.2.80", "alias CNAME WwW", RRSIG, "big TXT " + '"x" ' * 4000),
    # 20,000 records come, of several messages.
    5: zone_text(5, "alias CNAME WwW", hosts=range(20_300)),
    6: zone_text(6, "sub NS ns.sub", "ns.sub A 192.0.2.9", hosts=range(10_000, 20_300)),
}


def sent(xfer: Server) -> list[dict[str, Any]]:
    """What xfer logged of outgoing transfers."""
    events = [json.loads(line) for line in xfer.logs().splitlines() if line.startswith("{")]
    return [e for e in events if e.get("direction") == "out" and e["event"].startswith("transfer")]


def received_by_bind(server: Server) -> int:
    return server.logs().count("got incremental response")


def received_by_knot(server: Server) -> int:
    lines = server.logs().splitlines()
    return sum("IXFR, incoming" in line and "finished" in line for line in lines)


def received_by_nsd(server: Server) -> int:
    """NSD does not say in which form an update came: all but its first transfer."""
    return server.logs().count(" is updated to ")


@contextlib.contextmanager
def three(
    kind: Callable[[SecondaryZone], Server], extra: str = ""
) -> Iterator[tuple[Named, Xferd, Server]]:
    """A BIND that only speaks AXFR, xfer, and a secondary that hears of changes by NOTIFY."""
    port, xfer_port = free_port("127.0.0.13"), free_port("127.0.0.12")
    keys = key_of(0), key_of(1)
    primary = Named(
        [
            PrimaryZone(
                ZONE,
                zone_text(1),
                keys=[keys[0]],
                notify=[Remote("127.0.0.12", xfer_port, keys[0])],
            )
        ],
        options="provide-ixfr no;",
    )
    with primary:
        primary.wait_serving(ZONE, 1)
        here = SecondaryZone(
            ZONE,
            [primary.remote(keys[0])],
            keys=[keys[1]],
            notify=[Remote("127.0.0.13", port, keys[1])],
            allow_notify=[primary.address],
        )
        with Xferd([here], address="127.0.0.12", port=xfer_port, extra=extra) as xfer:
            xfer.wait_serving(ZONE, 1)
            there = kind(SecondaryZone(ZONE, [xfer.remote(keys[1])]))
            there.address, there.port = "127.0.0.13", port
            with there:
                there.wait_serving(ZONE, 1)
                yield primary, xfer, there


def same(primary: Server, secondary: Server) -> None:
    exact = secondary.keeps_case
    assert secondary.axfr(ZONE, exact_case=exact) == primary.axfr(ZONE, key_of(0), exact_case=exact)


KINDS: dict[str, tuple[Callable[[SecondaryZone], Server], Callable[[Server], int]]] = {
    "named": (lambda zone: Named([zone], debug=3), received_by_bind),
    "knotd": (lambda zone: Knot([zone]), received_by_knot),
    "nsd": (lambda zone: Nsd([zone]), received_by_nsd),
}


@pytest.mark.parametrize("peer", KINDS)
def test_what_came_by_axfr_goes_out_as_ixfr(peer: str) -> None:
    kind, received = KINDS[peer]
    with three(kind) as (primary, xfer, secondary):
        same(primary, secondary)
        for serial, text in STEPS.items():
            primary.edit_zone(ZONE, text)
            secondary.wait_serving(ZONE, serial, timeout=30)
            same(primary, secondary)
        first, *others = [e for e in sent(xfer) if e["kind"] != "soa"]
        assert first["kind"] == "axfr"
        assert [(e["kind"], e["serial_from"], e["serial_to"]) for e in others] == [
            ("ixfr", serial - 1, serial) for serial in STEPS
        ]
        assert received(secondary) == len(STEPS), secondary.logs()
