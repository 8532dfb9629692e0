"""Who may start next, under every order of arrivals and ends."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from xfer.server.lanes import Lanes

Started = list[tuple[str, int, bool]]


def lanes(total: int, each: int, started: Started) -> Lanes[tuple[str, int]]:
    def start(item: tuple[str, int], late: bool) -> bool:
        started.append((*item, late))
        return True

    return Lanes(total, each, start)


def test_what_is_fresh_starts_before_what_is_late_and_lanes_take_turns() -> None:
    started: Started = []
    made = lanes(1, 1, started)
    made.add("a", ("a", 0))
    for number in (1, 2):
        made.add("a", ("a", number), late=True)
        made.add("a", ("a", number + 10))
        made.add("b", ("b", number + 20))
    assert made.waiting == 6
    while made.running:
        lane, _, late = started[-1]
        made.done(lane, late, True)
    assert started == [
        ("a", 0, False),
        ("a", 11, False),
        ("b", 21, False),
        ("a", 12, False),
        ("b", 22, False),
        ("a", 1, True),
        ("a", 2, True),
    ]


def test_late_work_leaves_half_of_the_places_and_a_silent_lane_has_nothing_else() -> None:
    started: Started = []
    made = lanes(4, 4, started)
    for number in range(6):
        made.add("dead", ("dead", number))
    assert len(started) == 4
    made.done("dead", False, answered=False)
    made.add("dead", ("dead", 6))
    for _ in range(3):
        made.done("dead", False, answered=False)
    assert (made.running, started[-1]) == (3, ("dead", 6, True))
    for number in range(7, 10):
        made.add("dead", ("dead", number))
    for _ in range(2):
        made.done("dead", False, answered=False)
    assert made.running == 2, "others find two places free"
    made.add("live", ("live", 0))
    assert [item[:2] for item in started[7:]] == [("dead", 7), ("live", 0)]


def test_more_room_lets_more_start() -> None:
    started: Started = []
    made = lanes(1, 1, started)
    for number in range(5):
        made.add("a", ("a", number))
    made.resize(10, 3)
    assert len(started) == 3
    made.resize(10, 10)
    assert len(started) == 5


def test_what_has_nothing_to_do_takes_no_place() -> None:
    made: Lanes[int] = Lanes(1, 1, lambda item, late: item == 5000)
    for number in range(5001):
        made.add("a", number)
    assert (made.running, made.waiting) == (1, 0)


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans(), st.booleans()), max_size=60
    ),
)
def test_all_start_in_the_end_and_never_too_many_at_once(
    total: int, each: int, steps: list[tuple[str, bool, bool, bool]]
) -> None:
    started: Started = []
    made = lanes(total, each, started)
    ended = added = 0

    def end(answered: bool) -> None:
        nonlocal ended
        lane, _, late = started[ended]
        ended += 1
        made.done(lane, late, answered)

    for lane, late, ends, answered in steps:
        if ends and ended < len(started):
            end(answered)
        else:
            made.add(lane, (lane, added), late)
            added += 1
        running = started[ended:]
        assert made.running == len(running) <= total
        assert max(Counter(name for name, _, _ in running).values(), default=0) <= each
        assert sum(late for _, _, late in running) <= max(1, total // 2)
    while ended < len(started):
        end(True)
    assert (made.running, made.waiting, len(started)) == (0, 0, added)
