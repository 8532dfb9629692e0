"""Tokens come at their rate, with a small burst after a pause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xfer.server.buckets import BURST, Bucket, Buckets


@given(
    st.floats(0.5, 1e5),
    st.lists(st.floats(0, 0.3), min_size=1, max_size=300),
)
def test_in_no_second_more_tokens_are_good_than_the_rate_and_a_burst(
    rate: float, pauses: list[float]
) -> None:
    bucket = Bucket(rate)
    now, good = 0.0, []
    for pause in pauses:
        now += pause
        good.append(bucket.take(now))
        assert good[-1] >= now
    assert good == sorted(good)
    for number, start in enumerate(good):
        within = sum(1 for at in good[number:] if at < start + 1)
        assert within <= rate * (1 + BURST) + 2


def test_tokens_are_evenly_spaced_where_many_are_asked_for() -> None:
    bucket = Bucket(10)
    bucket.take(100.0)
    good = [round(bucket.take(100.0) - 100.0, 6) for _ in range(20)]
    assert good == [round(0.1 * n, 6) for n in range(1, 21)]


def test_one_name_leaves_the_others_their_tokens() -> None:
    buckets = Buckets(1000.0, 10.0)
    slow = [buckets.of("a").take(0.0) for _ in range(100)]
    assert slow[-1] > 9
    assert buckets.take("b", 0.0) == 0.0


def test_a_new_rate_holds_for_known_names_too() -> None:
    buckets = Buckets(1000.0, 10.0)
    buckets.of("a").take(0.0)
    buckets.resize(1000.0, 100.0)
    first, second = buckets.of("a").take(0.0), buckets.of("a").take(0.0)
    assert round(second - first, 6) == 0.01
