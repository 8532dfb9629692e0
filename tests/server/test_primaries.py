"""What is known of primaries: the order they are asked in, IXFR, and over a restart."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fakes import WALL, MemoryCommits, peer, snapshot, zone_config
from xfer.errors import Failure, TransferError
from xfer.journal import NewVersion
from xfer.peers import Peer
from xfer.server import primaries
from xfer.server.hints import Hint
from xfer.server.status import FailureReport, IxfrState, PrimaryStatus
from xfer.server.zones import Zone

A, B, C = (peer(name, f"192.0.2.{n}") for n, name in enumerate("abc", 1))
REPORT = FailureReport("transport", "expected an answer, got none", WALL - 10)


def zone(**known: dict[str, object]) -> Zone:
    made = Zone(zone_config(primaries=[A, B, C]), snapshot=snapshot(5))
    for item in (A, B, C):
        if item.name in known:
            fields = known[item.name]
            made.primaries[item.name] = attrs.evolve(made.primary(item), **fields)  # type: ignore[arg-type]
    return made


def order(made: Zone, hint: Hint | None = None) -> str:
    return "".join(item.name for item in primaries.in_order(made, hint))


def test_the_configured_order_holds_until_something_is_known() -> None:
    assert order(zone()) == "abc"
    assert order(zone(a={"rtt": 0.2}, b={"rtt": 0.01})) == "abc", "small differences do not count"


def test_those_that_fail_are_behind_or_slow_come_later() -> None:
    assert order(zone(a={"failures": 1})) == "bca"
    assert order(zone(a={"behind": True}, b={"failures": 2})) == "cab"
    assert order(zone(a={"rtt": 0.9})) == "bca"
    assert order(zone(a={"failures": 9}, b={"failures": 3}, c={"failures": 4})) == "abc"


def test_who_sent_the_notify_comes_first() -> None:
    known = zone(c={"failures": 5})
    assert order(known, Hint(6, "192.0.2.3")) == "cab"
    assert order(known, Hint(6, "192.0.2.99")) == "abc"
    assert primaries.notifier(known, Hint(6, "192.0.2.3")) is C
    assert primaries.notifier(known, Hint(6, "192.0.2.99")) is None


def broken(failure: Failure) -> TransferError:
    return TransferError(failure, "changes", "none")


def test_ixfr_is_not_asked_again_from_the_serial_where_it_failed() -> None:
    known = zone()
    assert primaries.may_ixfr(known, A, WALL)
    known.primaries["a"] = primaries.ixfr_failed(
        known.primary(A), 5, broken(Failure.CONTENT), REPORT
    )
    assert known.primary(A).ixfr is IxfrState.BROKEN
    assert not primaries.may_ixfr(known, A, WALL)
    known.snapshot = snapshot(6)
    assert primaries.may_ixfr(known, A, WALL), "another serial may work"


def test_after_repeated_time_outs_ixfr_rests_for_an_hour() -> None:
    known = zone()
    for _ in range(2):
        assert primaries.may_ixfr(known, A, WALL)
        known.primaries["a"] = primaries.ixfr_failed(
            known.primary(A), 5, broken(Failure.TRANSPORT), REPORT
        )
    assert not primaries.may_ixfr(known, A, WALL)
    assert primaries.may_ixfr(known, A, WALL + 3600)
    assert primaries.may_ixfr(known, A, WALL - 10**6), "the clock has jumped back"


def test_ixfr_needs_a_version_and_the_switch() -> None:
    known = zone()
    assert not primaries.may_ixfr(known, attrs.evolve(A, ixfr=False), WALL)
    known.snapshot = None
    assert not primaries.may_ixfr(known, A, WALL)


@pytest.mark.parametrize(("kind", "state"), [("ixfr", "works"), ("soa", "works"), ("axfr", "full")])
def test_what_it_makes_of_ixfr_is_noted(kind: str, state: str) -> None:
    before = attrs.evolve(zone().primary(A), ixfr_broken=4, ixfr_timeouts=1, failures=3)
    after = primaries.transferred(before, 6, True, kind, kind != "soa", WALL)
    assert (after.ixfr.value, after.ixfr_broken, after.ixfr_timeouts) == (state, None, 0)
    assert (after.failures, after.transfers) == (0, int(kind != "soa"))


def test_an_axfr_says_nothing_of_ixfr() -> None:
    before = attrs.evolve(zone().primary(A), ixfr=IxfrState.BROKEN, ixfr_broken=5)
    after = primaries.transferred(before, 6, False, "axfr", True, WALL)
    assert (after.ixfr, after.ixfr_broken) == (IxfrState.BROKEN, 5)


def test_a_lower_serial_is_noted_and_failures_end_only_without_news() -> None:
    before = attrs.evolve(zone().primary(A), failures=2, error=REPORT)
    lower = primaries.answered(before, 4, 5, 0.01, WALL)
    assert (lower.behind, lower.failures, lower.error) == (True, 0, None)
    newer = primaries.answered(before, 6, 5, 0.01, WALL)
    assert (newer.behind, newer.failures, newer.error) == (False, 2, REPORT)


SERIAL = st.none() | st.integers(0, 2**32 - 1)
TIME = st.none() | st.floats(0, WALL)
REPORTS = st.none() | st.builds(
    FailureReport, st.text(), st.text(), st.floats(0, WALL), hint=st.text()
)
KNOWN = st.builds(
    PrimaryStatus,
    peer=st.just("a"),
    address=st.just("192.0.2.1#53"),
    serial=SERIAL,
    checked_at=TIME,
    transferred_at=TIME,
    error=REPORTS,
    failures=st.integers(0, 1000),
    rtt=st.none() | st.floats(0, 100),
    behind=st.booleans(),
    diverged=SERIAL,
    diverged_here=st.booleans(),
    ixfr=st.sampled_from(IxfrState),
    ixfr_broken=SERIAL,
    ixfr_timeouts=st.integers(0, 9),
    ixfr_error=REPORTS,
    notified_serial=SERIAL,
    notified_at=TIME,
)
JUNK: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@given(KNOWN, st.integers(0, 2**32 - 1), SERIAL)
def test_an_answer_changes_what_it_tells_of_and_nothing_else(
    known: PrimaryStatus, serial: int, served: int | None
) -> None:
    after = primaries.answered(known, serial, served, 0.01, WALL)
    assert after == attrs.evolve(
        known,
        serial=serial,
        checked_at=WALL,
        rtt=0.01,
        checks=known.checks + 1,
        behind=after.behind,
        failures=after.failures,
        error=after.error,
    )


@given(KNOWN)
def test_what_is_known_comes_back_after_a_restart(known: PrimaryStatus) -> None:
    data = json.loads(json.dumps(primaries.to_data(known)))
    assert primaries.from_data(A, data, WALL) == known


@given(
    st.dictionaries(st.sampled_from([field.name for field in attrs.fields(PrimaryStatus)]), JUNK)
)
def test_what_is_not_fit_is_as_unknown(data: dict[str, object]) -> None:
    data["address"] = A.endpoint
    found = primaries.from_data(A, data, WALL)  # type: ignore[arg-type]
    assert found.failures >= 0
    assert found.ixfr_error is None or found.ixfr_error.at <= WALL


def test_times_of_a_clock_that_jumped_are_now_and_another_address_knows_nothing() -> None:
    known = attrs.evolve(zone().primary(A), serial=7, checked_at=WALL + 1e6)
    data = primaries.to_data(known)
    assert primaries.from_data(A, data, WALL).checked_at == WALL
    moved = Peer("a", B.address)
    assert primaries.from_data(moved, data, WALL).serial is None


def test_a_check_that_finds_nothing_new_is_not_worth_a_write() -> None:
    before = attrs.evolve(zone().primary(A), serial=5, checked_at=WALL)
    assert not primaries.worth_saving(before, primaries.answered(before, 5, 5, 0.02, WALL + 60))
    assert primaries.worth_saving(before, primaries.answered(before, 6, 5, 0.02, WALL + 60))
    assert primaries.worth_saving(None, before)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [("axfr", True), ("ixfr", True), ("rollback", False), ("edit", False), ("file", False)],
)
def test_ixfr_is_not_asked_from_a_serial_whose_content_was_made_here(
    kind: str, allowed: bool
) -> None:
    known = zone()
    new = NewVersion(known.origin, 5, None, snapshot(5), "a test", kind)
    known.version = MemoryCommits().submit(new).result()
    assert known.made_here is not allowed
    assert primaries.may_ixfr(known, A, WALL) is allowed


def test_ixfr_is_not_asked_from_a_serial_under_which_the_primaries_differ() -> None:
    known = zone(b={"diverged": 5})
    assert not primaries.may_ixfr(known, A, WALL), "which one's content is served is not known"
    known.snapshot = snapshot(6)
    assert primaries.may_ixfr(known, A, WALL)
