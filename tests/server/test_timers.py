"""When a zone is looked at next: SOA timers, backoff, jitter, and never past the expiry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transfer.zone import SOA, record
from xfer.server import timers
from xfer.server.timers import LAST_TRY, MOST_RAISED, Timers
from xfer.wire import names

U32 = st.integers(0, 2**32 - 1)
SPREAD = st.floats(-1, 1)


def soa(refresh: int, retry: int, expire: int) -> bytes:
    numbers = (1, refresh, retry, expire, 60)
    rdata = names.from_text("ns1.example.com.") + names.from_text("h.example.com.")
    return record(
        "example.com.", SOA, rdata + b"".join(number.to_bytes(4, "big") for number in numbers)
    )


def test_the_soas_timers_rule_and_the_zones_own_refresh_goes_before() -> None:
    assert Timers.of(soa(300, 60, 86400)) == Timers(300.0, 60.0, 86400)
    assert Timers.of(soa(300, 60, 86400), 30) == Timers(30.0, 30.0, 86400)
    assert Timers.of(soa(300, 60, 86400), 10**6) == Timers(43200.0, 60.0, 86400)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ((300, 60, 0), 360),
        ((300, 60, 200), 360),
        ((0, 0, 0), 2),
        ((2**32 - 1, 60, 100), MOST_RAISED),
        ((2**32 - 1, 60, 10**6), 10**6),
    ],
)
def test_an_expire_out_of_proportion_is_raised_with_a_warning(
    written: tuple[int, int, int], kept: int
) -> None:
    assert Timers.of(soa(*written)).expire == kept
    told = timers.warnings(soa(*written))
    assert bool(told) is (kept != written[2])
    assert all(str(kept) in sentence for sentence in told)


@given(U32, U32, U32, st.none() | st.integers(1, 2**31 - 1))
def test_whatever_is_written_a_check_comes_before_the_expiry(
    refresh: int, retry: int, expire: int, own: int | None
) -> None:
    kept = Timers.of(soa(refresh, retry, expire), own)
    assert 1 <= kept.retry <= kept.refresh <= max(1.0, kept.expire / 2)


@given(st.floats(1, 1e6), st.integers(0, 2000), st.floats(1, 1e5), st.floats(-100, 1e6), SPREAD)
def test_no_delay_passes_the_last_try_before_the_expiry(
    retry: float, failures: int, longest: float, left: float, spread: float
) -> None:
    own = Timers(retry * 3, retry, 10**7)
    delay = timers.retry_after(own, failures, longest, left, spread)
    assert delay > 0
    if left > 2:
        assert delay <= left - min(LAST_TRY, left / 4)
    if left <= 0:
        assert delay <= timers.FIRST_MAX * 1.1


def test_retry_doubles_up_to_its_limit() -> None:
    own = Timers(10_000.0, 600.0, 10**6)
    delays = [timers.retry_after(own, n, 3600.0, None, 0.0) for n in range(1, 7)]
    assert delays == [600, 1200, 2400, 3600, 3600, 3600]
    slow = Timers(10_000.0, 7200.0, 10**6)
    assert timers.retry_after(slow, 9, 3600.0, None, 0.0) == 7200, "never below RETRY"


@pytest.mark.parametrize("spread", [-1.0, 0.0, 1.0])
def test_jitter_is_symmetric(spread: float) -> None:
    own = Timers(1000.0, 100.0, 10**6)
    assert timers.refresh_after(own, None, spread) == 1000 * (1 + 0.1 * spread)
    assert timers.retry_after(own, 1, 3600, None, spread) == 100 * (1 + 0.1 * spread)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 1.0), (1, 2.0), (4, 16.0), (8, 256.0), (9, 300.0), (1000, 300.0)]
)
def test_before_the_first_version_tries_slow_down(failures: int, seconds: float) -> None:
    assert timers.first_after(failures, 0.0) == seconds
