"""IXFR in: what an answer turns out to be, and the sentence for every way it may go wrong."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transfer.zone import (
    IXFR,
    MSG_ID,
    ORIGIN,
    SOA,
    A,
    apex_ns,
    host,
    message,
    question,
    record,
    rr,
    soa,
    soa_rdata,
)
from xfer.errors import Failure, TransferError
from xfer.transfer.envelope import State, StreamLimits
from xfer.transfer.ixfr_in import IxfrIn
from xfer.transfer.updates import Add, Begin, Delete, Finish, Kind, Update
from xfer.wire import names

HAVE = 5
TOP = 0xFFFFFFFF


def machine(serial: int = HAVE, **limits: int) -> IxfrIn:
    return IxfrIn(ORIGIN, MSG_ID, serial, StreamLimits(**limits))


def answer(*records: bytes, **others: object) -> bytes:
    """A first message."""
    return message(*records, asked=question(rtype=IXFR), **others)  # type: ignore[arg-type]


def messages(sizes: list[int], *answers: bytes) -> list[bytes]:
    """The records in messages of those sizes; what is left goes into one more."""
    out: list[bytes] = []
    rest = list(answers)
    for size in [*sizes, len(rest)]:
        if rest:
            make = message if out else answer
            out.append(make(*rest[:size]))
            rest = rest[size:]
    return out


def run(ixfr: IxfrIn, *given_messages: bytes) -> list[Update]:
    return list(itertools.chain.from_iterable(ixfr.feed(one) for one in given_messages))


def delta(old: int, new: int, gone: list[int], come: list[int]) -> list[bytes]:
    return [soa(old), *map(host, gone), soa(new), *map(host, come)]


def content(updates: list[Update]) -> list[tuple[str, bytes]]:
    """("-" or "+", record) in the order in which they came."""
    out = []
    for update in updates:
        if isinstance(update, Add | Delete):
            sign = "+" if isinstance(update, Add) else "-"
            out += [(sign, one) for one in update.batch.records]
    return out


def stored(number: int) -> bytes:
    return record(f"host{number}.example.com.", A, bytes((192, 0, 2, number)))


def stored_soa(serial: int) -> bytes:
    return record("example.com.", SOA, soa_rdata(serial))


ONE = [soa(6), *delta(5, 6, [1], [2, 3]), soa(6)]
ONE_CONTENT = [
    ("-", stored_soa(5)), ("-", stored(1)), ("+", stored_soa(6)), ("+", stored(2)),
    ("+", stored(3)),
]  # fmt: skip
TWO = [soa(9), *delta(5, 7, [1], []), *delta(7, 9, [], [1]), soa(9)]
TWO_CONTENT = [
    ("-", stored_soa(5)), ("-", stored(1)), ("+", stored_soa(7)),
    ("-", stored_soa(7)), ("+", stored_soa(9)), ("+", stored(1)),
]  # fmt: skip
WHOLE = [soa(6), apex_ns(), host(1), host(2), soa(6)]
WHOLE_CONTENT = [
    ("+", stored_soa(6)),
    ("+", record("example.com.", 2, names.from_text("ns1.example.com."))),
    ("+", stored(1)),
    ("+", stored(2)),
]
ANSWERS = [(ONE, Kind.IXFR, ONE_CONTENT), (TWO, Kind.IXFR, TWO_CONTENT),
           (WHOLE, Kind.AXFR, WHOLE_CONTENT)]  # fmt: skip


@pytest.mark.parametrize(("records", "kind", "expected"), ANSWERS)
def test_an_answer_may_be_split_anywhere(
    records: list[bytes], kind: Kind, expected: list[tuple[str, bytes]]
) -> None:
    for bits in range(1 << (len(records) - 1)):
        cuts = [n + 1 for n in range(len(records) - 1) if bits >> n & 1]
        sizes = [b - a for a, b in itertools.pairwise([0, *cuts])]
        ixfr = machine()
        updates = run(ixfr, *messages(sizes, *records))
        assert updates[0] == Begin(kind, ixfr.serial or 0, stored_soa(ixfr.serial or 0))
        assert updates[-1] == Finish(ixfr.serial or 0)
        assert content(updates) == expected
        assert (ixfr.kind, ixfr.state, ixfr.records) == (kind, State.COMPLETE, len(records))
        ixfr.finish()


@given(st.data())
def test_many_differences_in_random_messages(data: st.DataObject) -> None:
    serial = start = data.draw(st.integers(0, TOP))
    records: list[bytes] = []
    expected: list[tuple[str, bytes]] = []
    numbers = st.lists(st.integers(1, 200), max_size=3)
    for _ in range(data.draw(st.integers(1, 5))):
        new = (serial + data.draw(st.integers(1, 1 << 28))) & TOP
        gone, come = data.draw(numbers), data.draw(numbers)
        records += delta(serial, new, gone, come)
        expected += [("-", stored_soa(serial)), *(("-", stored(n)) for n in gone)]
        expected += [("+", stored_soa(new)), *(("+", stored(n)) for n in come)]
        serial = new
    records = [soa(serial), *records, soa(serial)]
    ixfr = machine(start)
    sizes = data.draw(st.lists(st.integers(1, 4), max_size=len(records)))
    updates = run(ixfr, *messages(sizes, *records))
    assert content(updates) == expected
    assert ixfr.state is State.COMPLETE
    assert updates[-1] == Finish(serial)


@pytest.mark.parametrize("serial", [HAVE, HAVE - 1, (HAVE + 0x80000001) & TOP, HAVE + 0x80000000])
def test_an_soa_that_is_not_newer_says_that_we_are_up_to_date(serial: int) -> None:
    ixfr = machine()
    assert run(ixfr, answer(soa(serial))) == []
    assert (ixfr.state, ixfr.kind, ixfr.serial) == (State.CURRENT, None, serial)
    ixfr.finish()
    # Whoever knows no IXFR sends the zone, whatever we have.
    ixfr = machine()
    assert run(ixfr, answer(soa(serial), apex_ns(), host(1))) == []
    assert ixfr.state is State.CURRENT


def test_a_newer_soa_alone_is_not_enough() -> None:
    ixfr = machine()
    assert run(ixfr, answer(soa(6))) == []
    assert ixfr.lone
    with pytest.raises(TransferError) as caught:
        ixfr.finish()
    assert (caught.value.failure, caught.value.expected) == (
        Failure.PROTOCOL, "the changes since serial 5, or the zone",
    )  # fmt: skip
    assert ixfr.axfr_may_work


def test_a_wrapped_serial_is_newer() -> None:
    ixfr = machine(TOP)
    updates = run(ixfr, answer(soa(1), *delta(TOP, 1, [], [1]), soa(1)))
    assert content(updates)[0] == ("-", stored_soa(TOP))
    assert ixfr.state is State.COMPLETE


def test_a_record_that_changes_its_case_keeps_each() -> None:
    upper = rr(names.from_text("HOST1.example.com."), A, bytes((192, 0, 2, 1)))
    for gone, come, spelled in [(upper, host(1), {}), (host(1), upper, {stored(1): upper[:19]})]:
        ixfr = machine()
        updates = run(ixfr, answer(soa(6), soa(5), gone, soa(6), come, soa(6)))
        added = updates[2]
        assert isinstance(added, Add)
        assert {r: owner for r, (owner, _) in added.batch.spelling.items()} == spelled


def test_records_outside_the_zone_are_told_where_they_belong() -> None:
    alien = rr(names.from_text("www.example.net."), A, bytes(4))
    ixfr = machine()
    updates = run(ixfr, answer(soa(6), soa(5), alien, host(1), soa(6), host(2), alien, soa(6)))
    batches = [update.batch for update in updates if isinstance(update, Add | Delete)]
    assert [len(batch.outside) for batch in batches] == [1, 1]
    assert content(updates) == [
        ("-", stored_soa(5)), ("-", stored(1)), ("+", stored_soa(6)), ("+", stored(2)),
    ]  # fmt: skip


@attrs.frozen
class Bad:
    title: str
    given: list[bytes]
    expected: str
    got: str
    failure: Failure = Failure.PROTOCOL
    axfr_may_work: bool = True


BAD = [
    Bad("no SOA first", [answer(host(1), soa(6))], "the SOA of example.com. as the first record",
        "host1.example.com. A"),
    Bad("another start", [answer(soa(6), *delta(4, 6, [], []), soa(6))],
        "the first difference to start at serial 5, which is ours", "one that starts at 4"),
    Bad("a gap", [answer(soa(9), *delta(5, 6, [], []), *delta(7, 9, [], []), soa(9))],
        "the next difference to start at serial 6", "an SOA with serial 7"),
    Bad("an end before the last", [answer(soa(9), *delta(5, 6, [], []), soa(9))],
        "the next difference to start at serial 6", "an SOA with serial 9"),
    Bad("a serial that stays", [answer(soa(9), *delta(5, 5, [], []), soa(9))],
        "a difference from serial 5 to a newer one", "one to 5"),
    Bad("a serial that falls", [answer(soa(9), *delta(5, 7, [], []), *delta(7, 6, [], []))],
        "a difference from serial 7 to a newer one", "one to 6"),
    Bad("a serial half around", [answer(soa(9), *delta(5, 5 + 0x80000000, [], []))],
        "a difference from serial 5 to a newer one", "one to 2147483653"),
    Bad("beyond the end", [answer(soa(9), *delta(5, 10, [], []))],
        "differences up to serial 9, as the opening SOA says", "one to 10"),
    Bad("another last SOA", [answer(soa(6), soa(5), soa(6, refresh=1), soa(6))],
        "the last difference to bring the opening SOA", "timers 1/60"),
    Bad("another closing SOA", [answer(soa(6), soa(5), soa(6), soa(6, refresh=1))],
        "the closing SOA to equal the opening one", "timers 1/60"),
    Bad("more than the end", [answer(soa(6), soa(5), soa(6), soa(6), host(1))],
        "the closing SOA to be the last record", "1 more after it"),
    Bad("more messages", [answer(*ONE), message(host(1))],
        "nothing after the message with the closing SOA", "one more message"),
    Bad("the question of AXFR", [message(*ONE, asked=question())],
        "the question example.com. IN IXFR", "example.com. IN AXFR"),
    Bad("an empty answer", [answer()], "at least one record in the answer section", "an empty"),
    Bad("SERVFAIL", [answer(flags=0x8402)], "rcode NOERROR", "SERVFAIL", Failure.DENIED),
    Bad("FORMERR", [answer(flags=0x8401)], "rcode NOERROR", "FORMERR", Failure.DENIED),
    Bad("NOTIMP", [answer(flags=0x8404)], "rcode NOERROR", "NOTIMP", Failure.DENIED),
    Bad("REFUSED", [answer(flags=0x8405)], "rcode NOERROR", "REFUSED", Failure.DENIED),
    Bad("SERVFAIL later", [answer(*ONE[:3]), message(flags=0x8402)],
        "rcode NOERROR in message 2", "rcode SERVFAIL after 1 message with 3 records",
        Failure.DENIED),
    Bad("a cut record", [answer(*ONE)[:-3]], "octets of SOA rdata", "octet 403 (record 7"),
    Bad("truncated", [answer(soa(6), flags=0x8600)], "a whole message", "TC set"),
    Bad("a whole zone with another end", [answer(*WHOLE[:-1], soa(7))],
        "the closing SOA to equal the opening one", "serial 7", axfr_may_work=False),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=[case.title for case in BAD])
def test_what_is_wrong_is_said(case: Bad) -> None:
    ixfr = machine()
    run(ixfr, *case.given[:-1])
    with pytest.raises(TransferError) as caught:
        ixfr.feed(case.given[-1])
    error = caught.value
    assert error.failure is case.failure
    assert case.expected in error.expected
    assert case.got in error.got
    assert ixfr.axfr_may_work is case.axfr_may_work
    assert error.try_axfr is (case.failure is Failure.DENIED)
    assert ixfr.state is State.FAILED


def test_rcodes_that_say_no_to_the_zone_are_not_worth_an_axfr() -> None:
    for rcode in (3, 9):
        with pytest.raises(TransferError) as caught:
            machine().feed(answer(flags=0x8400 | rcode))
        assert not caught.value.try_axfr


@pytest.mark.parametrize("count", range(1, len(TWO)))
def test_an_end_too_early_is_told(count: int) -> None:
    ixfr = machine()
    ixfr.feed(answer(*TWO[:count]))
    with pytest.raises(TransferError):
        ixfr.finish()
    assert ixfr.state is State.FAILED
