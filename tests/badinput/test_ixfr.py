"""Answers to IXFR that are wrong, stop, or bring no differences: what a pull makes of them."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable

import attrs
import pytest
import trio

from tests.badinput.driving import SIGNED, failure_of, run
from tests.badinput.primary import (
    KEY,
    NS,
    ORIGIN,
    OTHER_SECRET,
    SOUND,
    A,
    Draft,
    Fault,
    Pause,
    Primary,
    Script,
    Signature,
    host,
    name,
    rr,
    soa,
    zone_records,
)
from tests.badinput.secondary import TestClock, pull
from xfer.errors import Failure, TransferError
from xfer.server.executor import InlineExecutor
from xfer.server.pull import PullLimits, PullResult, pull_zone
from xfer.server.target import Connection, Target
from xfer.transfer.envelope import StreamLimits
from xfer.wire.tsig import Key
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot

HOSTS = 12  # in the zone that we have, messages of three records each


@attrs.frozen
class Answer(Script):
    """An answer to IXFR: these records, so many in a message."""

    records: tuple[bytes, ...] = ()
    each: int = 1000

    def drafts(self, msg_id: int, question: bytes) -> list[Draft]:
        drafts = [Draft(msg_id, answers=list(some)) for some in batched(self.records, self.each)]
        drafts[0].questions.append(question)
        if self.fault.edit is not None:
            for index, draft in enumerate(drafts):
                if self.concerned(index):
                    self.fault.edit(draft)
        return drafts


def batched(records: tuple[bytes, ...], size: int) -> list[tuple[bytes, ...]]:
    return [records[at : at + size] for at in range(0, len(records), size)]


def answer(
    *records: bytes, fault: Fault = SOUND, at: int | None = None, each: int = 1000
) -> Primary:
    return Primary([Answer(2, records=records, fault=fault, at=at, each=each)])


def delta(old: int, new: int, gone: list[bytes], come: list[bytes]) -> list[bytes]:
    return [soa(old), *gone, soa(new), *come]


CHANGE = (soa(3), *delta(1, 2, [host(1)], [host(100), host(101)]),
          *delta(2, 3, [host(100)], [host(1)]), soa(3))  # fmt: skip
CHANGED = [*zone_records(3, HOSTS), host(101)]


async def first(**arguments: object) -> Snapshot:
    """What we have: serial 1."""
    script = Script(1, messages=HOSTS // 3 + 1)
    return (await pull(Primary([script]), **arguments)).snapshot  # type: ignore[arg-type]


async def changes(primary: Primary, **arguments: object) -> PullResult:
    return await pull(primary, previous=await first(), **arguments)  # type: ignore[arg-type]


async def whole(*records: bytes) -> Snapshot:
    """The zone of those records, the SOA first."""
    return (await pull(answer(*records, records[0]))).snapshot


@SIGNED
@pytest.mark.parametrize("each", [1, 2, 3, 1000])
def test_changes_are_applied(key: Key | None, each: int) -> None:
    async def main() -> None:
        result = await changes(answer(*CHANGE, each=each), key=key)
        assert (result.kind, result.serial, result.records) == ("ixfr", 3, len(CHANGE))
        expected = await whole(*CHANGED)
        assert list(result.snapshot.records()) == list(expected.records())
        assert result.changes is not None
        # Of what was deleted and added again, nothing is left.
        assert (len(result.changes.removed), len(result.changes.added)) == (1, 2)

    run(main)


@SIGNED
@pytest.mark.parametrize("each", [1, 2, 1000])
def test_the_whole_zone_is_an_answer_too(key: Key | None, each: int) -> None:
    async def main() -> None:
        result = await changes(answer(*CHANGED, soa(3), each=each), key=key)
        assert (result.kind, result.serial, result.changes) == ("axfr", 3, None)
        expected = await whole(*CHANGED)
        assert list(result.snapshot.records()) == list(expected.records())

    run(main)


@SIGNED
def test_nothing_new_is_what_we_have(key: Key | None) -> None:
    async def main() -> None:
        have = await first()
        for records in ([soa(1)], [soa(0)], [*zone_records(1, HOSTS), soa(1)]):
            for each in (2, 1000):
                result = await pull(answer(*records, each=each), previous=have, key=key)
                assert (result.kind, result.content) == ("soa", have)

    run(main)


def test_without_a_version_changes_are_only_looked_at() -> None:
    async def main() -> None:
        result = await pull(answer(*CHANGE), ixfr_from=1)
        assert (result.kind, result.content, len(result.differences)) == ("ixfr", None, 4)
        result = await pull(answer(soa(1)), ixfr_from=1)
        assert (result.kind, result.content, result.serial) == ("soa", None, 1)

    run(main)


CONTENT = [
    ("gone is not there", delta(1, 2, [host(99)], []), "to remove a record that is there",
     "host-0099.example.com."),
    ("come is there", delta(1, 2, [], [host(1)]), "to add a record that is not there",
     "host-0001.example.com."),
    ("gone twice", delta(1, 2, [host(1), host(1)], []), "to remove a record once", "host-0001"),
    ("come twice", delta(1, 2, [], [host(99), host(99)]), "to add a record once", "host-0099"),
    ("another version's SOA", [soa(1, refresh=9), soa(2)], "to remove a record that is there",
     "SOA"),
    ("no NS is left", delta(1, 2, [rr(ORIGIN, NS, name("ns1"))], []), "", "NS"),
]  # fmt: skip


@SIGNED
@pytest.mark.parametrize(("records", "expected", "got"), [case[1:] for case in CONTENT],
                         ids=[case[0] for case in CONTENT])  # fmt: skip
def test_changes_that_do_not_fit(
    key: Key | None, records: list[bytes], expected: str, got: str
) -> None:
    async def main() -> None:
        have = await first()
        error = await failure_of(answer(soa(2), *records, soa(2)), previous=have, key=key)
        assert error.failure is Failure.CONTENT
        assert error.try_axfr
        assert expected in error.expected
        assert got in str(error)
        assert error.peer

    run(main)


@SIGNED
@pytest.mark.parametrize(("rcode", "worth"), [(1, True), (2, True), (3, False), (4, True),
                                              (5, True), (9, False)])  # fmt: skip
@pytest.mark.parametrize("signed", [True, False])
def test_an_error_for_an_answer(key: Key | None, rcode: int, worth: bool, signed: bool) -> None:
    def refuse(draft: Draft) -> None:
        draft.flags |= rcode
        draft.answers = []

    fault = Fault(edit=refuse)
    if not signed:
        fault = attrs.evolve(fault, signature=lambda _: Signature(None, 0))

    async def main() -> None:
        error = await failure_of(answer(soa(2), fault=fault), previous=await first(), key=key)
        assert (error.failure, error.try_axfr) == (Failure.DENIED, worth)

    run(main)


def where_it_ends(octets: int) -> Callable[[list[bytes]], list[bytes | Pause]]:
    return lambda frames: [b"".join(frames)[:octets]]


@SIGNED
def test_closed_at_any_octet(key: Key | None) -> None:
    async def main() -> None:
        have = await first()
        done = 0
        for octets in itertools.count():
            primary = answer(*CHANGE, fault=Fault(stream=where_it_ends(octets)), each=1)
            try:
                result = await pull(primary, previous=have, key=key)
            except TransferError as error:
                assert error.failure in (Failure.TRANSPORT, Failure.PROTOCOL)
                assert error.try_axfr
                assert not done
                continue
            assert result.kind == "ixfr"
            done += 1
            if done == 3:
                return

    run(main)


def test_silence_is_limited() -> None:
    def silent(octets: int) -> Fault:
        return Fault(stream=lambda frames: [b"".join(frames)[:octets], Pause()])

    async def main() -> None:
        have = await first()
        one = 2 + 12 + len(ORIGIN) + 4 + len(soa(3))
        for octets, failure, seconds in [
            (0, Failure.TRANSPORT, 30), (17, Failure.TRANSPORT, 30), (one, Failure.PROTOCOL, 5),
            (one + 100, Failure.TRANSPORT, 30),
        ]:  # fmt: skip
            start = trio.current_time()
            error = await failure_of(answer(*CHANGE, fault=silent(octets), each=1), previous=have)
            assert (error.failure, error.try_axfr) == (failure, True)
            assert trio.current_time() - start == pytest.approx(seconds, abs=0.01)
        limits = PullLimits(idle=10, total=7)
        error = await failure_of(answer(*CHANGE, fault=silent(17)), previous=have, limits=limits)
        assert (error.failure, error.try_axfr) == (Failure.TRANSPORT, True)
        assert "7 s" in error.expected

    run(main)


def test_an_address_that_nobody_listens_at_is_not_worth_an_axfr() -> None:

    async def dial(_: Target) -> Connection:
        raise ConnectionRefusedError(111, "refused")

    async def main() -> None:
        with pytest.raises(TransferError) as caught:
            await pull_zone(
                Target("192.0.2.1"), ORIGIN, policy=Policy(), clock=TestClock(),
                rng=random.Random(1), executor=InlineExecutor(), dial=dial, ixfr_from=1,
            )  # fmt: skip
        assert not caught.value.try_axfr

    run(main)


@pytest.mark.parametrize(("signature", "at"), [
    (lambda was: Signature(OTHER_SECRET, was.time), 0),
    (lambda was: Signature(OTHER_SECRET, was.time), 1),
    (lambda was: Signature(None, was.time), 0),
    (lambda was: Signature(None, was.time), 2),
    (lambda was: Signature(was.key, was.time - 1000), 1),
])  # fmt: skip
def test_signatures_hold_for_changes(signature: Callable[[Signature], Signature], at: int) -> None:
    async def main() -> None:
        primary = answer(*CHANGE, fault=Fault(signature=signature), at=at, each=4)
        error = await failure_of(primary, previous=await first(), key=KEY)
        assert (error.failure, error.try_axfr) == (Failure.AUTH, False)

    run(main)


def test_more_changes_than_the_limits_allow_may_be_a_zone_that_they_do() -> None:
    async def main() -> None:
        have = await first()
        for stream in (StreamLimits(records=8), StreamLimits(octets=300), StreamLimits(messages=2)):
            error = await failure_of(
                answer(*CHANGE, each=2), previous=have, limits=PullLimits(stream=stream)
            )
            assert (error.failure, error.try_axfr) == (Failure.POLICY, True)
            assert error.hint

    run(main)


def test_a_whole_zone_that_fails_would_fail_again() -> None:
    async def main() -> None:
        have = await first()
        for records in (
            [*CHANGED, soa(4)],  # another end
            [soa(3), host(1), soa(3)],  # no NS
        ):
            error = await failure_of(answer(*records), previous=have)
            assert not error.try_axfr
        stream = answer(*CHANGED, soa(3), fault=Fault(stream=where_it_ends(300)), each=2)
        assert not (await failure_of(stream, previous=have)).try_axfr

    run(main)


def test_any_octet_may_be_another() -> None:
    """Unsigned, so some of it goes unnoticed; none of it breaks anything."""
    rng = random.Random(4)

    async def main() -> None:
        have = await first()
        records = list(have.records())
        size = sum(len(record) for record in CHANGE) + 12 + len(ORIGIN) + 4

        def flip(at: int) -> Fault:
            value = rng.randrange(1, 256)
            return Fault(
                transit=lambda wire: wire[:at] + bytes([wire[at] ^ value]) + wire[at + 1 :]
            )

        outcomes = set()
        for at in range(size):
            try:
                result = await pull(answer(*CHANGE, fault=flip(at)), previous=have)
                outcomes.add(result.kind)
            except TransferError as error:
                outcomes.add(error.failure.value)
            assert list(have.records()) == records
        assert {"ixfr", "protocol", "content"} <= outcomes

    run(main)


def test_many_changes_in_many_messages() -> None:
    """Beyond what is parsed and applied in the event loop."""

    async def main() -> None:
        have = await first()
        hosts = [rr(name(f"many-{n}"), A, struct.pack("!I", n)) for n in range(3000)]
        result = await pull(
            answer(soa(2), *delta(1, 2, [], hosts), soa(2), each=500), previous=have, lockstep=True
        )
        assert result.kind == "ixfr"
        assert result.snapshot.count == have.count + 3000

    run(main)
