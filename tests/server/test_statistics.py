"""Counters: what they count as one, how they add up, and that they stay few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.server.statistics import (
    BOUNDS,
    NO_ANSWER,
    NOTIFY,
    OTHER_OPCODE,
    OTHER_TYPE,
    SAMPLED,
    UNREADABLE,
    Asked,
    QueryStatus,
    ServiceTime,
    Statistics,
    type_text,
)

NAMES = {b"\1a\0": "a.", b"\1b\0": "b.", b"\1c\0": "c."}


def report(statistics: Statistics, most: int = 10) -> QueryStatus:
    return statistics.report(NAMES.get, most)


def test_requests_are_counted_by_transport_type_and_rcode() -> None:
    counted = Statistics()
    for kind, rcode, tcp in [(6, 0, False), (6, 0, False), (6, 0, True), (1, 3, False)]:
        counted.count(kind, rcode, tcp)
    counted.count(UNREADABLE, NO_ANSWER, False)
    counted.count(15, 23, False)
    assert report(counted).asked == (
        Asked("tcp", "SOA", "NOERROR", 1),
        Asked("udp", "A", "NXDOMAIN", 1),
        Asked("udp", "MX", "BADCOOKIE", 1),
        Asked("udp", "SOA", "NOERROR", 2),
        Asked("udp", "unreadable", "none", 1),
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (28, "AAAA"),
        (50, "NSEC3"),
        (252, "AXFR"),
        (257, "CAA"),
        (200, "other"),
        (OTHER_TYPE, "other"),
        (NOTIFY, "notify"),
        (OTHER_OPCODE, "opcode"),
        (UNREADABLE, "unreadable"),
    ],
)
def test_types_without_a_name_are_one(kind: int, text: str) -> None:
    assert type_text(kind) == text


def test_zones_that_are_too_many_or_gone_are_not_named() -> None:
    counted = Statistics()
    for origin in (b"\1b\0", b"\4gone\0", b"\1a\0", b"\1c\0", b"\1c\0", b"\1b\0"):
        counted.count_zone(origin)
    assert report(counted).zones == {"b.": 2, "a.": 1, "c.": 2}
    assert b"\4gone\0" not in counted.zones
    few = report(counted, 1)
    assert (few.zones, few.zones_more) == ({"b.": 2}, 3)
    assert (report(counted, 0).zones, report(counted, 0).zones_more) == ({}, 5)


@pytest.mark.parametrize(
    ("seconds", "place"), [(0.0, 0), (BOUNDS[0], 0), (0.0000101, 1), (1.0, -2), (1.01, -1)]
)
def test_a_time_belongs_to_the_first_bound_that_it_does_not_exceed(
    seconds: float, place: int
) -> None:
    counted = Statistics()
    counted.took(seconds)
    service = report(counted).service
    assert service.counts[place] == sum(service.counts) == 1
    assert service.total == seconds


def test_one_request_in_sixteen_is_timed() -> None:
    counted = Statistics()
    assert [counted.timed() for _ in range(3 * SAMPLED)].count(True) == 3


_EVENTS = st.lists(
    st.tuples(st.sampled_from([1, 6, 28, 260]), st.sampled_from([0, 3, 16, 31]), st.booleans())
)


@given(_EVENTS, _EVENTS)
def test_what_another_process_counted_adds_up(
    here: list[tuple[int, int, bool]], there: list[tuple[int, int, bool]]
) -> None:
    together, ours, others = Statistics(), Statistics(), Statistics()
    for events, alone in ((here, ours), (there, others)):
        for kind, rcode, tcp in events:
            for counted in (together, alone):
                counted.count(kind, rcode, tcp)
                counted.count_zone(b"\1a\0")
                counted.count_limited("dropped")
                counted.count_signed({"made": kind})
                counted.took(0.25)
    ours.absorb(others.drain())
    assert report(ours) == report(together)
    assert report(others) == QueryStatus(service=ServiceTime())
