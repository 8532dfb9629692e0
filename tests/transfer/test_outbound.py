"""AXFR out: what a request gets, and how the answer is put together."""

from __future__ import annotations

import struct

import pytest

from tests.transfer.zone import IXFR, MSG_ID, NS, ORIGIN, SOA, A, frames, record, soa_rdata
from xfer.errors import ZoneError
from xfer.transfer.envelope import State
from xfer.transfer.inbound import AxfrIn
from xfer.transfer.outbound import (
    AXFR,
    Decision,
    ZoneOut,
    decide,
)
from xfer.transfer.updates import Add
from xfer.wire import names
from xfer.wire.request import make_query
from xfer.wire.serial import newer
from xfer.wire.tsig import Key, ResponseVerifier, sign_request, verify_request
from xfer.zone.block import Block
from xfer.zone.image import render_block
from xfer.zone.snapshot import Snapshot

KEY = Key.from_text("k1.", "hmac-sha256", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
NOW = 1_790_000_000


def snapshot(hosts: int = 50, serial: int = 1) -> Snapshot:
    records = [
        record("example.com.", SOA, soa_rdata(serial)),
        record("example.com.", NS, names.from_text("ns1.example.com.")),
        *(
            record(f"h{number}.example.com.", A, bytes((10, 0, 0, number)))
            for number in range(hosts)
        ),
    ]
    return Snapshot(ORIGIN, [Block.make(sorted(records), {})])


def whole(out: ZoneOut, served: Snapshot) -> list[bytes]:
    octets = out.opening(NOW)
    for block in served.blocks:
        octets += out.block(render_block(block, ORIGIN), NOW)
    octets += out.closing(NOW)
    assert len(octets) == out.octets
    return frames(octets)


@pytest.mark.parametrize(
    ("qtype", "client", "serial", "decision"),
    [
        (AXFR, None, 5, Decision.FULL),
        (AXFR, None, None, Decision.SERVFAIL),
        (IXFR, 4, 5, Decision.FULL),
        (IXFR, 5, 5, Decision.SOA_ONLY),
        (IXFR, 6, 5, Decision.SOA_ONLY),
        (IXFR, 0xFFFFFFFF, 5, Decision.FULL),
        (IXFR, 5, None, Decision.SERVFAIL),
    ],
)
def test_what_a_request_gets(
    qtype: int, client: int | None, serial: int | None, decision: Decision
) -> None:
    assert decide(qtype, client, serial) is decision


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [(1, 0, True), (0, 1, False), (0, 0xFFFFFFFF, True), (5, 5, False), (0x80000000, 0, False)],
)
def test_serials_compare_in_rfc_1982_arithmetic(a: int, b: int, result: bool) -> None:
    assert newer(a, b) is result


def test_our_own_receiver_reads_what_we_send() -> None:
    served = snapshot()
    received = AxfrIn(ORIGIN, MSG_ID)
    found = []
    for one in whole(ZoneOut(served, MSG_ID, False, (ORIGIN, AXFR)), served):
        for update in received.feed(one):
            if isinstance(update, Add):
                found += update.batch.records
    assert received.state is State.COMPLETE
    assert sorted(found) == list(served.records())


def test_the_question_comes_back_letter_by_letter_and_the_id_in_every_message() -> None:
    served = snapshot()
    asked = names.from_text("eXaMpLe.COM.")
    messages = whole(ZoneOut(served, 77, True, (asked, IXFR)), served)
    assert messages[0][12 : 12 + len(asked)] == asked
    assert messages[0][2] & 1, "RD is repeated in the first message"
    assert {one[:2] for one in messages} == {struct.pack("!H", 77)}


def test_every_message_of_a_signed_transfer_is_signed() -> None:
    served = snapshot()
    query, mac = sign_request(make_query(MSG_ID, ORIGIN, AXFR), KEY, NOW)
    signer = verify_request(query, {KEY.name: KEY}, NOW).signer()
    messages = whole(ZoneOut(served, MSG_ID, False, (ORIGIN, AXFR), signer=signer), served)
    verifier = ResponseVerifier(KEY, mac, 0)
    for one in messages:
        verifier.feed(one, NOW)
    verifier.finish()
    assert verifier.signed == len(messages) == 3


def test_an_opt_goes_into_the_first_message_only() -> None:
    served = snapshot()
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    messages = whole(ZoneOut(served, MSG_ID, False, (ORIGIN, AXFR), opt), served)
    assert [struct.unpack_from("!H", one, 10)[0] for one in messages] == [1, 0, 0]


def test_the_soa_alone_answers_a_client_that_is_up_to_date() -> None:
    out = ZoneOut(snapshot(serial=9), MSG_ID, False, (ORIGIN, IXFR))
    (only,) = frames(out.only(NOW))
    assert struct.unpack_from("!4H", only, 4) == (1, 1, 0, 0)
    with pytest.raises(ZoneError, match="a transfer that is done has no closing"):
        out.closing(NOW)


def test_nothing_goes_out_of_order() -> None:
    out = ZoneOut(snapshot(), MSG_ID, False, (ORIGIN, AXFR))
    with pytest.raises(ZoneError, match="ready has no block"):
        out.block([], NOW)
    out.opening(NOW)
    with pytest.raises(ZoneError, match="streaming has no opening"):
        out.opening(NOW)
