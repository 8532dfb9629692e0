"""Random damage: a transfer ends as a TransferError or as a zone that passed every check."""

from __future__ import annotations

from collections.abc import Iterable

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.badinput.primary import KEY, ORIGIN, Draft, Fault, Piece, Primary, Script, rr
from tests.badinput.secondary import pull
from xfer.errors import TransferError
from xfer.server.pull import PullResult
from xfer.wire import records
from xfer.wire.tsig import Key

EXAMPLES = 400


def transfer(fault: Fault, key: Key | None, at: int | None = None) -> PullResult | TransferError:
    async def main() -> PullResult | TransferError:
        try:
            return await pull(Primary([Script(2, messages=3, fault=fault, at=at)]), key=key)
        except TransferError as error:
            return error

    # A hang would wait for the idle limit; the clock jumps there.
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


SOUND = transfer(Fault(), None)
assert isinstance(SOUND, PullResult)
ROOT = SOUND.snapshot.root


@st.composite
def damages(draw: st.DrawFn) -> Fault:
    """Octets replaced, cut out, put in, and the stream cut off."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["set", "flip", "cut", "insert", "end", "copy"]),
                st.integers(0, 999),
                st.integers(0, 255),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def damage(frames: list[bytes]) -> Iterable[Piece]:
        whole = bytearray(b"".join(frames))
        for step, place, value in steps:
            at = place * len(whole) // 1000
            if step == "set":
                whole[at : at + 1] = bytes([value])
            elif step == "flip":
                whole[at : at + 1] = bytes(octet ^ (1 << value % 8) for octet in whole[at : at + 1])
            elif step == "cut":
                del whole[at : at + value % 16 + 1]
            elif step == "insert":
                whole[at:at] = bytes([value]) * (value % 5 + 1)
            elif step == "copy":
                whole[at:at] = whole[value : value + 20]
            else:
                del whole[at:]
        return [bytes(whole)]

    return Fault(stream=damage)


def check(result: PullResult | TransferError) -> None:
    if isinstance(result, TransferError):
        assert result.expected
        assert result.got
        assert str(result)
        return
    snapshot = result.snapshot
    assert snapshot.origin == ORIGIN
    everything = list(snapshot.records())
    assert len(everything) == snapshot.count
    assert everything == sorted(set(everything))
    types = [records.split(record)[1] for record in snapshot.owner(b"\0")]
    assert types.count(records.SOA) == 1
    assert records.NS in types


@settings(max_examples=EXAMPLES)
@given(damages())
def test_damaged_unsigned_stream(fault: Fault) -> None:
    check(transfer(fault, None))


@settings(max_examples=EXAMPLES)
@given(damages())
def test_damaged_signed_stream_never_brings_other_content(fault: Fault) -> None:
    result = transfer(fault, KEY)
    check(result)
    if isinstance(result, PullResult):
        assert result.snapshot.root == ROOT  # the case of the key's name is not signed


RDATA = st.binary(max_size=40)
TYPES = st.sampled_from([1, 2, 5, 6, 12, 15, 16, 17, 24, 28, 29, 30, 33, 35, 39, 43, 46, 47, 48,
                         50, 51, 62, 63, 64, 65, 256, 257, 65280])  # fmt: skip
OWNERS = st.one_of(
    st.binary(min_size=1, max_size=12).map(lambda b: b + ORIGIN),
    st.binary(min_size=1, max_size=63).map(lambda b: bytes([len(b)]) + b + ORIGIN),
    st.integers(0xC000, 0xC0FF).map(lambda n: n.to_bytes(2, "big")),
)


@settings(max_examples=EXAMPLES)
@given(
    st.lists(st.builds(rr, OWNERS, TYPES, RDATA), min_size=1, max_size=4),
    st.integers(0, 2),
    st.sampled_from([None, KEY]),
)
def test_random_records(extra: list[bytes], at: int, key: Key | None) -> None:
    def change(draft: Draft) -> None:
        for record in extra:
            draft.put(record)

    check(transfer(Fault(edit=change), key, at))


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=120), st.integers(0, 2), st.sampled_from([None, KEY]))
def test_random_message(octets: bytes, at: int, key: Key | None) -> None:
    result = transfer(Fault(transit=lambda wire: wire[:2] + octets), key, at)
    check(result)
    assert isinstance(result, TransferError)
