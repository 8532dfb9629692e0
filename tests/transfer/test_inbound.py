"""AXFR in: every way a transfer may go, and the sentence for every way it may go wrong."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transfer.zone import (
    AXFR,
    MSG_ID,
    ORIGIN,
    apex_ns,
    first,
    host,
    message,
    question,
    rr,
    soa,
    soa_rdata,
)
from xfer.errors import Failure, TransferError
from xfer.transfer.envelope import TRANSITIONS, Event, State, StreamLimits
from xfer.transfer.inbound import AxfrIn
from xfer.transfer.updates import Abandon, Add, Begin, Finish, Kind, Update
from xfer.wire import names


def machine(**limits: int) -> AxfrIn:
    return AxfrIn(ORIGIN, MSG_ID, StreamLimits(**limits))


def run(axfr: AxfrIn, *messages: bytes) -> list[Update]:
    return list(itertools.chain.from_iterable(axfr.feed(one) for one in messages))


def added(updates: list[Update]) -> int:
    return sum(len(update.batch.records) for update in updates if isinstance(update, Add))


def failure(axfr: AxfrIn, *messages: bytes) -> TransferError:
    """Feed all but the last message, and return what the last one raises."""
    run(axfr, *messages[:-1])
    with pytest.raises(TransferError) as raised:
        axfr.feed(messages[-1])
    assert axfr.state is State.FAILED
    return raised.value


def test_one_message_with_everything_is_a_transfer() -> None:
    axfr = machine()
    updates = run(axfr, first(soa(), apex_ns(), host(1), soa()))
    assert isinstance(updates[0], Begin)
    assert (updates[0].kind, updates[0].serial) == (Kind.AXFR, 1)
    assert added(updates) == 3
    assert updates[-1] == Finish(1)
    assert axfr.state is State.COMPLETE
    axfr.finish()


def test_one_record_per_message_is_a_transfer() -> None:
    axfr = machine()
    updates = run(
        axfr, first(soa()), message(apex_ns()), message(host(1)), message(host(2)), message(soa())
    )
    assert added(updates) == 4
    assert isinstance(updates[-1], Finish)
    assert (axfr.messages, axfr.records, axfr.serial) == (5, 5, 1)


@pytest.mark.parametrize("asked", [None, question()], ids=["none", "repeated"])
def test_later_messages_may_repeat_the_question_or_leave_it_out(asked: bytes | None) -> None:
    axfr = machine()
    run(axfr, first(soa(), host(1)), message(host(2), soa(), asked=asked))
    axfr.finish()


def test_the_question_may_come_back_in_another_case() -> None:
    axfr = machine()
    run(axfr, message(soa(), apex_ns(), soa(), asked=question(names.from_text("EXAMPLE.com."))))
    axfr.finish()


def test_the_authoritative_bit_is_not_looked_at() -> None:
    axfr = machine()
    run(axfr, first(soa(), apex_ns(), soa(), flags=0x8000))
    axfr.finish()


def test_records_outside_the_zone_are_handed_on_for_the_policy() -> None:
    outside = rr(names.from_text("www.example.net."), 1, bytes(4))
    updates = run(machine(), first(soa(), outside, host(1), soa()))
    batch = next(update.batch for update in updates if isinstance(update, Add))
    assert [(owner, rtype) for owner, rtype, _ in batch.outside] == [
        (names.from_text("www.example.net."), 1)
    ]
    assert len(batch.records) == 2


def test_an_option_in_the_additional_section_is_remembered() -> None:
    axfr = machine()
    expire = struct.pack("!HHI", 9, 4, 1234)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(expire)) + expire
    run(axfr, first(soa(), apex_ns(), soa(), additional=(opt,)))
    assert axfr.edns is not None
    assert axfr.edns.option(9) == struct.pack("!I", 1234)


HEADER_FAULTS = {
    "other ID": ({"msg_id": MSG_ID + 1}, Failure.PROTOCOL, f"message ID {MSG_ID}", "ID 4712"),
    "QR clear": ({"flags": 0x0400}, Failure.PROTOCOL, "a response (QR set)", "a query"),
    "opcode": ({"flags": 0xA400}, Failure.PROTOCOL, "opcode 0", "opcode 4"),
    "TC set": ({"flags": 0x8600}, Failure.PROTOCOL, "a whole message", "truncated"),
    "FORMERR": ({"flags": 0x8401}, Failure.DENIED, "rcode NOERROR", "rcode FORMERR"),
    "SERVFAIL": ({"flags": 0x8402}, Failure.DENIED, "rcode NOERROR", "rcode SERVFAIL"),
    "NXDOMAIN": ({"flags": 0x8403}, Failure.DENIED, "rcode NOERROR", "rcode NXDOMAIN"),
    "NOTIMP": ({"flags": 0x8404}, Failure.DENIED, "rcode NOERROR", "rcode NOTIMP"),
    "REFUSED": ({"flags": 0x8405}, Failure.DENIED, "rcode NOERROR", "rcode REFUSED"),
    "NOTAUTH": ({"flags": 0x8409}, Failure.DENIED, "rcode NOERROR", "rcode NOTAUTH"),
    "authority": (
        {"authority": (host(9),)},
        Failure.PROTOCOL,
        "no record in the authority section",
        "1",
    ),
    "two questions": ({"questions": 2}, Failure.PROTOCOL, "one question", "2"),
    "too few records": ({"count": 9}, Failure.PROTOCOL, "9 records", "the end of the message"),
    "too many records": ({"count": 1}, Failure.PROTOCOL, "end with its last record", "octets more"),
}
PLACES = ["first", "middle", "last"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", HEADER_FAULTS)
def test_a_fault_in_a_message_fails_the_transfer_with_its_sentence(fault: str, place: str) -> None:
    changes, kind, expected, got = HEADER_FAULTS[fault]
    parts = {
        "first": [(soa(), apex_ns())],
        "middle": [(soa(), apex_ns()), (host(1), host(2))],
        "last": [(soa(), apex_ns()), (host(1), host(2)), (host(3), soa())],
    }[place]
    good = [first(*parts[0])] + [message(*part) for part in parts[1:]]
    asked = question() if place == "first" or fault == "two questions" else None
    bad = message(*parts[-1], asked=asked, **changes)  # type: ignore[arg-type]
    error = failure(machine(), *good[:-1], bad)
    assert error.failure is kind
    assert expected in error.expected
    assert got in error.got
    number = len(parts)
    place_text = "the first message" if number == 1 else f"message {number}"
    assert place_text in str(error) or f"after {number - 1} messages" in str(error)


def test_a_refused_transfer_says_whose_list_to_look_at() -> None:
    error = failure(machine(), message(flags=0x8405))
    assert "their ACL must hold our source address" in error.hint


@pytest.mark.parametrize("cut", range(12))
def test_less_than_a_header_fails(cut: int) -> None:
    error = failure(machine(), first(soa())[:cut])
    assert error.failure is Failure.PROTOCOL
    assert "12 octets" in error.expected


@pytest.mark.parametrize("place", PLACES)
def test_every_cut_of_a_message_fails(place: str) -> None:
    whole = {
        "first": [first(soa(), host(1))],
        "middle": [first(soa(), host(1)), message(host(2), host(3))],
        "last": [first(soa(), host(1)), message(host(2), soa())],
    }[place]
    for length in range(len(whole[-1])):
        error = failure(machine(), *whole[:-1], whole[-1][:length])
        assert error.failure is Failure.PROTOCOL
        assert error.expected
        assert error.got


def test_the_first_message_must_have_the_question() -> None:
    error = failure(machine(), message(soa(), apex_ns(), soa()))
    assert (error.expected, error.got) == ("one question", "0, in the first message")


@pytest.mark.parametrize("later", [False, True], ids=["first", "later"])
@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (question(names.from_text("example.net.")), "example.net. IN AXFR"),
        (question(rtype=6), "example.com. IN SOA"),
        (question(rclass=3), "example.com. CLASS3 AXFR"),
        (b"\xc0\x0c\x00\xfc\x00\x01", "an unreadable one"),
    ],
    ids=["name", "type", "class", "loop"],
)
def test_another_question_is_named(asked: bytes, text: str, later: bool) -> None:
    before = [first(soa(), host(1))] if later else []
    error = failure(machine(), *before, message(soa(), soa(), asked=asked))
    assert error.failure is Failure.PROTOCOL
    assert error.expected == "the question example.com. IN AXFR"
    assert text in error.got


@pytest.mark.parametrize(
    ("answers", "got"),
    [
        ((host(1), soa()), "host1.example.com. A"),
        ((apex_ns(), soa()), "example.com. NS"),
        ((soa(owner=names.from_text("example.net.")), soa()), "example.net. SOA"),
        ((soa(owner=names.from_text("sub.example.com.")), soa()), "sub.example.com. SOA"),
    ],
    ids=["host", "ns", "other zone's soa", "soa below the apex"],
)
def test_the_first_record_must_be_the_soa(answers: tuple[bytes, ...], got: str) -> None:
    error = failure(machine(), first(*answers))
    assert error.expected == "the SOA of example.com. as the first record"
    assert error.got.startswith(got)


@pytest.mark.parametrize("later", [False, True], ids=["first", "later"])
def test_an_empty_message_fails(later: bool) -> None:
    before = [first(soa(), host(1))] if later else []
    error = failure(machine(), *before, message(asked=question()))
    assert error.expected == "at least one record in the answer section"
    assert "an empty message" in error.got


@pytest.mark.parametrize(
    "closing",
    [soa(2), soa(1, ttl=60), soa(1, refresh=301)],
    ids=["serial", "ttl", "timers"],
)
@pytest.mark.parametrize("later", [False, True], ids=["one message", "later message"])
def test_a_closing_soa_that_differs_fails(closing: bytes, later: bool) -> None:
    messages = (
        [first(soa(), host(1)), message(closing)] if later else [first(soa(), host(1), closing)]
    )
    error = failure(machine(), *messages)
    assert error.failure is Failure.PROTOCOL
    assert "the closing SOA to equal the opening one (serial 1" in error.expected
    assert "another SOA (serial" in error.got


@pytest.mark.parametrize("rest", [(host(2),), (host(2), host(3)), (soa(),)])
def test_records_after_the_closing_soa_are_counted(rest: tuple[bytes, ...]) -> None:
    error = failure(machine(), first(soa(), host(1), soa(), *rest))
    assert error.expected == "the closing SOA to be the last record"
    assert error.got.startswith(f"{len(rest)} more after it")


def test_a_record_outside_the_zone_after_the_closing_soa_counts_too() -> None:
    outside = rr(names.from_text("example.net."), 1, bytes(4))
    error = failure(machine(), first(soa(), outside, host(1), soa(), outside))
    assert error.got.startswith("1 more after it")


def test_a_record_outside_the_zone_before_the_closing_soa_is_no_fault() -> None:
    outside = rr(names.from_text("example.net."), 1, bytes(4))
    run(machine(), first(soa(), outside, host(1), outside, soa()))


def test_a_message_after_the_end_fails_and_spoils_the_transfer() -> None:
    axfr = machine()
    run(axfr, first(soa(), apex_ns(), soa()))
    error = failure(axfr, message(host(1)))
    assert error.expected == "nothing after the message with the closing SOA"
    with pytest.raises(TransferError):
        axfr.finish()


def test_the_end_of_the_stream_before_the_closing_soa_fails() -> None:
    axfr = machine()
    run(axfr, first(soa(), host(1)))
    with pytest.raises(TransferError, match="expected the closing SOA, got the end of the stream"):
        axfr.finish()


def test_an_abandoned_machine_takes_nothing_more() -> None:
    axfr = machine()
    run(axfr, first(soa(), host(1)))
    assert axfr.abandon("it took too long") == Abandon("it took too long")
    with pytest.raises(TransferError, match="nothing after a message that failed"):
        axfr.feed(message(soa()))


@pytest.mark.parametrize(
    ("limits", "key"),
    [
        ({"messages": 2}, "max_message_count"),
        ({"records": 4}, "max_zone_records"),
        ({"octets": 300}, "max_zone_bytes"),
    ],
)
def test_a_limit_stops_an_endless_stream_and_names_its_setting(
    limits: dict[str, int], key: str
) -> None:
    axfr = machine(**limits)
    with pytest.raises(TransferError) as raised:
        run(axfr, first(soa()), *(message(host(number)) for number in range(250)))
    assert raised.value.failure is Failure.POLICY
    assert key in raised.value.hint
    assert axfr.messages < 10


def test_the_count_in_a_header_is_held_against_the_limit_before_parsing() -> None:
    error = failure(machine(records=10), first(soa(), count=60000))
    assert error.failure is Failure.POLICY


@pytest.mark.parametrize(
    "bad",
    [
        rr(ORIGIN, 1, bytes(4), rclass=3),
        rr(ORIGIN, AXFR, b""),
        rr(ORIGIN, 1, bytes(3)),
        rr(b"\x40" + b"a" * 64 + b"\0", 1, bytes(4)),
        b"\xc0\xff" + rr(b"", 1, bytes(4)),
        rr(ORIGIN, 2, b"\xc0\x00")[:-1],
    ],
    ids=["class", "meta-type", "short rdata", "long label", "forward pointer", "cut name"],
)
@pytest.mark.parametrize("place", PLACES)
def test_what_the_parser_refuses_fails_with_the_place(bad: bytes, place: str) -> None:
    messages = {
        "first": [first(soa(), bad)],
        "middle": [first(soa(), host(1)), message(host(2), bad)],
        "last": [first(soa(), host(1)), message(bad, soa())],
    }[place]
    error = failure(machine(), *messages)
    assert error.failure is Failure.PROTOCOL
    assert "in the first message" in error.got or "in message 2" in error.got


def test_the_soa_rdata_is_what_begins_the_zone() -> None:
    updates = run(machine(), first(soa(7), apex_ns(), soa(7)))
    assert isinstance(updates[0], Begin)
    assert updates[0].soa.endswith(soa_rdata(7))


def test_every_state_has_a_way_to_fail_and_only_complete_ends() -> None:
    for state in State:
        assert TRANSITIONS[state, Event.FAULT] is State.FAILED
    into_complete = {key for key, state in TRANSITIONS.items() if state is State.COMPLETE}
    assert into_complete == {(State.WAITING, Event.WHOLE), (State.RECEIVING, Event.CLOSING)}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.booleans())
def test_any_split_into_messages_brings_the_same_records(cuts: list[int], repeat: bool) -> None:
    stream = [soa(), apex_ns(), *(host(number) for number in range(30)), soa()]
    messages: list[bytes] = []
    for size in itertools.cycle(cuts):
        part, stream = stream[:size], stream[size:]
        asked = question() if repeat or not messages else None
        messages.append(message(*part, asked=asked))
        if not stream:
            break
    axfr = machine()
    updates = run(axfr, *messages)
    axfr.finish()
    assert added(updates) == 32
    assert [type(u) for u in updates if not isinstance(u, Add)] == [Begin, Finish]


@given(st.binary(max_size=400))
def test_rubbish_is_refused_with_a_transfer_error_or_taken_as_it_is(data: bytes) -> None:
    axfr = machine()
    run(axfr, first(soa(), host(1)))
    try:
        axfr.feed(data)
    except TransferError as error:
        assert error.expected
        assert error.got
