"""Plain values between processes: the same on the other side, however a socket cuts them."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.server.values import Frames, frame, receive, send

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(0, 1 << 70) | st.binary() | st.text() | st.floats(0, 9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)
VALUES = st.lists(PLAIN, max_size=4).map(tuple)


@given(st.lists(VALUES, max_size=10), st.lists(st.integers(0, 30)))
def test_frames_come_out_however_they_are_cut(
    sent: list[tuple[Any, ...]], sizes: list[int]
) -> None:
    octets = b"".join(frame(*values) for values in sent)
    frames = Frames()
    found = []
    for size in sizes:
        found += list(frames.feed(octets[:size]))
        octets = octets[size:]
    found += list(frames.feed(octets))
    assert found == sent


def test_a_frame_is_there_with_its_last_octet_and_not_before() -> None:
    octets = frame("command", [b"block"] * 3)
    frames = Frames()
    assert [list(frames.feed(octets[at : at + 1])) for at in range(len(octets) - 1)] == [
        [] for _ in octets[1:]
    ]
    assert list(frames.feed(octets[-1:])) == [("command", [b"block"] * 3)]


def test_a_value_that_occurs_twice_comes_twice() -> None:
    once = [1, b"same"]
    ((first, second),) = Frames().feed(frame(once, once))
    assert first == second == once
    assert first is not second


@given(VALUES)
def test_a_connection_brings_what_was_sent(values: tuple[Any, ...]) -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        send(ours, *values)
        assert receive(theirs) == values


def test_the_end_of_a_connection_is_told() -> None:
    ours, theirs = multiprocessing.Pipe()
    with theirs:
        ours.close()
        with pytest.raises(EOFError):
            receive(theirs)


def test_only_plain_values_are_taken() -> None:
    with pytest.raises(ValueError, match="unmarshallable"):
        frame(object())


def test_importing_it_brings_nothing_large() -> None:
    """Each worker process has it."""
    code = "import sys, xfer.server.values; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"multiprocessing", "trio", "attrs", "socket"} & set(done.stdout.split())
