"""What is kept: its memory is bounded, a flood drives nothing out, a lease ends all at once."""

from __future__ import annotations

from xfer.answer.kept import OVERHEAD, Cache, Kept, Lease, Tally

TALLY = Tally()


def kept(lease: Lease | None = None, size: int = 50) -> Kept:
    return Kept(lease or Lease(100.0), TALLY, TALLY, bytes(size))


def twice(cache: Cache, key: bytes, answer: Kept) -> None:
    cache.put(key, answer)
    cache.put(key, answer)


def test_the_second_time_lets_an_answer_in() -> None:
    cache = Cache(1 << 20)
    cache.put(b"a", kept())
    assert cache.get(b"a", 0.0) is None
    cache.put(b"a", kept())
    assert cache.get(b"a", 0.0) is not None


def test_a_lease_that_ends_ends_all() -> None:
    cache = Cache(1 << 20)
    lease = Lease(100.0)
    for number in range(100):
        twice(cache, b"%d" % number, kept(lease))
    assert cache.get(b"7", 99.0) is not None
    assert cache.get(b"7", 100.0) is None
    lease.end()
    assert cache.get(b"8", 0.0) is None
    twice(cache, b"8", kept())
    assert cache.get(b"8", 0.0) is not None


def test_memory_is_bounded_and_what_is_asked_for_stays() -> None:
    budget = 100 * (50 + 8 + OVERHEAD)
    cache = Cache(budget)
    hot = kept()
    twice(cache, b"hot", hot)
    for number in range(10_000):
        twice(cache, b"%08d" % number, kept())
        if number % 10 == 0:
            assert cache.get(b"hot", 0.0) is hot
        assert len(cache) <= 102
    assert cache.get(b"%08d" % 1, 0.0) is None


def test_a_flood_of_names_that_are_asked_for_once_drives_nothing_out() -> None:
    cache = Cache(1000 * (50 + 8 + OVERHEAD))
    for number in range(40):
        twice(cache, b"hot%d" % number, kept())
    for number in range(100_000):  # of which each of the 40 is asked for once in a thousand
        cache.put(b"%08d" % number, kept())
        if number % 25 == 0:
            assert cache.get(b"hot%d" % (number // 25 % 40), 0.0) is not None


def test_without_memory_nothing_is_kept() -> None:
    cache = Cache(0)
    twice(cache, b"a", kept())
    assert len(cache) == 0
