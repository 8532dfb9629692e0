"""What is stored of secondaries and read back, and how far behind they are said to be."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fakes import peer, zone_config
from xfer.journal import PeerState, Version
from xfer.journal.versions import JSON
from xfer.server.secondaries import from_state, restore, to_state, with_lag
from xfer.server.serials import last_given
from xfer.server.status import SecondaryStatus, has
from xfer.server.zones import Zone

ORIGIN = b"\x07example\x03com\x00"
SEC = SecondaryStatus("sec", "192.0.2.7#53")
serials = st.none() | st.integers(0, 0xFFFFFFFF)
times = st.none() | st.floats(0, 1e11)


@given(
    st.builds(
        SecondaryStatus,
        peer=st.text(min_size=1),
        address=st.text(min_size=1),
        notified_serial=serials,
        notified_at=times,
        notify_result=st.text(),
        delivered_serial=serials,
        pending=serials,
        tries=st.integers(0, 1000),
        fetched_serial=serials,
        fetched_at=times,
        fetched_kind=st.sampled_from(["", "axfr", "ixfr", "soa"]),
        seen_serial=serials,
        seen_at=times,
    )
)
def test_what_is_stored_is_read_back(status: SecondaryStatus) -> None:
    assert from_state(to_state(ORIGIN, status)) == status


@pytest.mark.parametrize(
    "data", [{}, {"address": 7}, {"address": "a", "tries": "2"}, {"address": "a", "pending": True}]
)
def test_what_makes_no_sense_is_passed_over(data: Mapping[str, JSON]) -> None:
    assert from_state(PeerState(ORIGIN, "sec", "secondary", data)) is None


def test_only_secondaries_that_are_still_there_are_known_again() -> None:
    zone = Zone(zone_config(secondaries=[peer("sec"), peer("moved", "192.0.2.8"), peer("new")]))
    stored = [
        to_state(ORIGIN, attrs.evolve(SEC, delivered_serial=7)),
        to_state(ORIGIN, SecondaryStatus("moved", "192.0.2.9#53", 7)),
        to_state(ORIGIN, SecondaryStatus("gone", "192.0.2.10#53", 7)),
        PeerState(ORIGIN, "new", "primary", {"address": "192.0.2.7#53"}),
    ]
    restore(zone, stored)
    assert zone.secondaries == {"sec": attrs.evolve(SEC, delivered_serial=7)}


@pytest.mark.parametrize(
    ("seen", "seen_at", "fetched", "fetched_at", "expected"),
    [
        (None, None, None, None, None),
        (5, 100.0, None, None, 5),
        (None, None, 6, 100.0, 6),
        (5, 100.0, 6, 101.0, 6),
        (6, 102.0, 5, 101.0, 6),
        (5, 102.0, 6, 101.0, 5),
    ],
)
def test_what_a_secondary_has_is_what_was_learnt_last(
    seen: int | None,
    seen_at: float | None,
    fetched: int | None,
    fetched_at: float | None,
    expected: int | None,
) -> None:
    status = attrs.evolve(
        SEC, seen_serial=seen, seen_at=seen_at, fetched_serial=fetched, fetched_at=fetched_at
    )
    assert has(status) == expected


def version(number: int, serial: int) -> Version:
    return Version(
        id=number,
        origin=ORIGIN,
        chain="published",
        parent=None,
        serial=serial,
        root=b"",
        count=1,
        size=1,
        replaced=0,
        source="",
        kind="axfr",
        created=1000.0 + 10 * number,
    )


HISTORY = [version(4, 3), version(3, 0xFFFFFFFF), version(2, 0xFFFFFFFE), version(1, 9)]


@pytest.mark.parametrize(
    ("serial", "behind", "versions", "seconds"),
    [
        (3, 0, 0, 0.0),
        (4, 0, 0, 0.0),
        (0xFFFFFFFF, 4, 1, 60.0),
        (0xFFFFFFFE, 5, 2, 70.0),
        (0xFFFFFFF0, 19, 3, 80.0),
    ],
)
def test_the_lag_counts_versions_that_are_newer(
    serial: int, behind: int, versions: int, seconds: float
) -> None:
    status = attrs.evolve(SEC, seen_serial=serial, seen_at=1.0)
    lagging = with_lag(status, HISTORY, 1100.0, whole=True)
    assert (lagging.lag_serials, lagging.lag_versions, lagging.lag_seconds) == (
        behind,
        versions,
        seconds,
    )
    served = with_lag(status, HISTORY[:1], 1100.0, whole=False)
    assert served.lag_serials == behind
    assert served.lag_versions == (None if behind else 0)
    assert served.lag_seconds == (60.0 if behind else 0.0)


def test_nothing_known_is_no_lag() -> None:
    assert with_lag(SEC, HISTORY, 1100.0, whole=True) == SEC
    assert with_lag(attrs.evolve(SEC, seen_serial=3), [], 1100.0, whole=True).lag_serials is None


def test_what_a_secondary_once_had_is_no_serial_to_go_by() -> None:
    """RFC 1982 §7: an operator who takes the serial round once more does so in two steps, each when
    all secondaries have followed. What one answered before the first would look like the newest."""
    before, turned = (1 << 31) - 3, (1 << 32) - 1
    zone = Zone(zone_config(secondaries=[peer("sec")]))
    zone.secondaries["sec"] = attrs.evolve(
        SEC,
        delivered_serial=turned,
        fetched_serial=turned,
        fetched_at=20.0,
        seen_serial=before,
        seen_at=10.0,
    )
    assert last_given(turned, zone.known_serials()) == turned
    # Until it has followed, it has the older one, and gets a serial above that.
    zone.secondaries["sec"] = attrs.evolve(SEC, fetched_serial=before, fetched_at=10.0)
    assert last_given(turned, zone.known_serials()) == before
