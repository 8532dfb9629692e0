"""Secondaries of every make get from xfer, as IXFR, what changed, however xfer itself got it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dns.name
import dns.query
import dns.rdatatype
import dns.tsig
import dns.versioned
import dns.xfr
import dns.zone
import pytest

from tests.interop.chain import key_of
from tests.interop.counting import at_least
from tests.peers import (
    Knot,
    Named,
    Nsd,
    PrimaryZone,
    Record,
    Remote,
    SecondaryZone,
    Server,
    Xferd,
    events,
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
    found = events(xfer.logs())
    return [e for e in found if e.get("direction") == "out" and e["event"].startswith("transfer")]


def received_by_bind(server: Server) -> list[str]:
    return re.findall("got incremental response", server.logs())


def received_by_knot(server: Server) -> list[str]:
    lines = server.logs().splitlines()
    return [line for line in lines if "IXFR, incoming" in line and "finished" in line]


def received_by_nsd(server: Server) -> list[str]:
    """NSD does not say in which form an update came: all but its first transfer."""
    before = re.findall(r"serial (\d+) is updated to", server.logs())
    return [serial for serial in before if serial != "0"]


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


KINDS: dict[str, tuple[Callable[[SecondaryZone], Server], Callable[[Server], list[str]]]] = {
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
        first, *others = at_least(1 + len(STEPS), lambda: kinds(xfer))
        assert first[0] == "axfr"
        assert others == [("ixfr", serial - 1, serial) for serial in STEPS]
        assert len(at_least(len(STEPS), lambda: received(secondary))) == len(STEPS), (
            secondary.logs()
        )


def kinds(xfer: Server) -> list[tuple[str, int | None, int]]:
    """(kind, serial from, serial to) of what xfer sent, SOAs alone left out."""
    return [(e["kind"], e["serial_from"], e["serial_to"]) for e in sent(xfer) if e["kind"] != "soa"]


def by_dnspython(
    xfer: Server, zone: dns.zone.Zone, udp: dns.query.UDPMode = dns.query.UDPMode.NEVER
) -> list[Record]:
    """What dnspython has after it asked for IXFR (AXFR, where its zone is empty)."""
    key = key_of(1)
    query, _ = dns.xfr.make_query(
        zone,
        keyring={dns.name.from_text(key.name): dns.tsig.Key(key.name, key.secret, key.algorithm)},
    )
    dns.query.inbound_xfr(
        xfer.address, zone, query, port=xfer.port, timeout=10, lifetime=30, udp_mode=udp
    )
    return folded(
        Record(str(name), rdataset.ttl, dns.rdatatype.to_text(rdata.rdtype), str(rdata))
        for name, rdataset in zone.iterate_rdatasets()
        for rdata in rdataset
    )


def folded(records: Iterable[Record]) -> list[Record]:
    """In lower case: dnspython's zones know one spelling of each name."""
    return sorted(
        Record(owner.lower(), ttl, rtype, rdata.lower()) for owner, ttl, rtype, rdata in records
    )


def empty() -> dns.zone.Zone:
    return dns.versioned.Zone(ZONE, relativize=False)


def test_history_outlives_a_restart_and_dnspython_reads_it() -> None:
    """Versions that only the journal remembers, condensed into one step."""
    key = key_of(1)
    with Xferd([PrimaryZone(ZONE, zone_text(1), keys=[key])]) as xfer:
        xfer.wait_serving(ZONE, 1)
        copies = [empty(), empty()]
        for copy in copies:
            by_dnspython(xfer, copy)
        for serial in (2, 3, 4):
            xfer.edit_zone(ZONE, STEPS[serial])
            xfer.wait_serving(ZONE, serial)
        assert by_dnspython(xfer, copies[0]) == folded(xfer.axfr(ZONE, key))
        at_least(4, lambda: kinds(xfer))
        xfer.kill()
        xfer.launch()
        xfer.wait_serving(ZONE, 4)
        assert by_dnspython(xfer, copies[1]) == folded(xfer.axfr(ZONE, key))
        expected = [("axfr", None, 1)] * 2 + [("ixfr", 1, 4), ("axfr", None, 4)] * 2
        assert at_least(len(expected), lambda: kinds(xfer)) == expected


def test_over_udp_the_differences_come_where_they_fit() -> None:
    key = key_of(1)
    with Xferd([PrimaryZone(ZONE, zone_text(1), keys=[key])]) as xfer:
        xfer.wait_serving(ZONE, 1)
        copy = empty()
        by_dnspython(xfer, copy)
        for serial in (2, 5):
            xfer.edit_zone(ZONE, STEPS[serial])
            xfer.wait_serving(ZONE, serial)
            got = by_dnspython(xfer, copy, dns.query.UDPMode.TRY_FIRST)
            assert got == folded(xfer.axfr(ZONE, key))
        # The second difference does not fit, so dnspython asks again over TCP.
        ways = [("axfr", None), ("ixfr", "udp"), ("axfr", None), ("ixfr", None), ("axfr", None)]
        found = at_least(len(ways), lambda: sent(xfer))
        assert [(e["kind"], e.get("over")) for e in found] == ways


def test_after_a_forced_fall_of_the_serial_the_old_line_gets_the_whole_zone() -> None:
    keys = key_of(0), key_of(1)
    primary = Named([PrimaryZone(ZONE, zone_text(4), keys=[keys[0]])])
    with primary:
        primary.wait_serving(ZONE, 4)
        here = SecondaryZone(ZONE, [primary.remote(keys[0])], keys=[keys[1]])
        with Xferd([here], address="127.0.0.12") as xfer:
            xfer.wait_serving(ZONE, 4)
            copy = empty()
            by_dnspython(xfer, copy)
            primary.stop()
            primary.zone_file(ZONE).write_text(zone_text(2, "other A 192.0.2.9"))
            primary.launch()
            primary.wait_serving(ZONE, 2)
            xfer.retransfer(ZONE)
            xfer.wait_serving(ZONE, 2)
            primary.edit_zone(ZONE, zone_text(9, "www A 192.0.2.9"))
            primary.wait_serving(ZONE, 9)
            xfer.refresh(ZONE)
            xfer.wait_serving(ZONE, 9)
            # 4 never led to 9 here: differences would leave it with a wrong zone.
            assert by_dnspython(xfer, copy) == folded(xfer.axfr(ZONE, keys[1]))
            found = at_least(2, lambda: kinds(xfer))
            assert found[:2] == [("axfr", None, 4), ("axfr", 4, 9)]
