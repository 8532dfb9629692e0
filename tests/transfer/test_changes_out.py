"""IXFR out: differences as messages, read again by our own receiver and by dnspython."""

from __future__ import annotations

import io
import struct

import dns.message
import dns.rdatatype
import dns.versioned
import dns.xfr
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transfer.changing import changes, host, version
from tests.transfer.zone import IXFR, MSG_ID, ORIGIN, frames, record
from xfer.errors import ZoneError
from xfer.transfer.envelope import State as InState
from xfer.transfer.ixfr_in import IxfrIn
from xfer.transfer.outbound import ChangesOut, State, in_one_message
from xfer.transfer.updates import Add, Delete
from xfer.wire import names
from xfer.wire.records import Spelling, split
from xfer.wire.request import make_query, serial_soa
from xfer.wire.tsig import Key, ResponseVerifier, sign_request, verify_request
from xfer.zone.apply import Applier
from xfer.zone.changeset import Changeset
from xfer.zone.check import Policy
from xfer.zone.deltas import Deltas
from xfer.zone.snapshot import Snapshot

KEY = Key.from_text("k1.", "hmac-sha256", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
NOW = 1_790_000_000
TXT = 16


def text(owner: str, size: int) -> bytes:
    """A TXT record of about `size` octets."""
    return record(f"{owner}.example.com.", TXT, (b"\xff" + b"x" * 255) * (size // 256))


def sent(out: ChangesOut) -> list[bytes]:
    """All of its messages."""
    octets = b""
    while out.state is not State.DONE:
        octets += out.message(NOW)
    made = frames(octets)
    assert (out.octets, out.messages) == (len(octets), len(made))
    return made


def answer(difference: Changeset, **options: object) -> list[bytes]:
    return sent(ChangesOut(difference, MSG_ID, False, (ORIGIN, IXFR), **options))  # type: ignore[arg-type]


def received(old: Snapshot, messages: list[bytes]) -> Snapshot:
    """What our own secondary makes of it."""
    machine = IxfrIn(ORIGIN, MSG_ID, old.serial)
    deltas = Deltas(ORIGIN, old.serial)
    for one in messages:
        for update in machine.feed(one):
            if isinstance(update, Delete):
                deltas.delete(update.batch)
            elif isinstance(update, Add):
                deltas.add(update.batch)
    machine.finish()
    assert machine.state is InState.COMPLETE
    applier = Applier(old, deltas, Policy())
    while applier.step():
        pass
    return applier.snapshot()


def read_by_dnspython(old: Snapshot, messages: list[bytes]) -> list[tuple[str, str, str]]:
    """What dnspython has after the transfer: owner, type and rdata."""
    zone = dns.versioned.Zone("example.com.", relativize=False)
    with zone.writer() as writer:
        for rrset in dns.message.from_wire(listed(old)).answer:
            writer.add(rrset.name, rrset)
    with dns.xfr.Inbound(zone, dns.rdatatype.IXFR, serial=old.serial) as inbound:
        done = False
        for one in messages:
            assert not done, "it ends with its last message"
            done = inbound.process_message(dns.message.from_wire(one, xfr=True, multi=True))
    assert done
    return contents(zone)


def listed(snapshot: Snapshot) -> bytes:
    """A snapshot as one message, whatever its size."""
    out = io.BytesIO()
    count = 0
    for one in snapshot.records():
        owner, rdata = snapshot.spelled(one)
        _, rtype, _, ttl, _ = split(one)
        out.write(owner + struct.pack("!HHIH", rtype, 1, ttl, len(rdata)) + rdata)
        count += 1
    return struct.pack("!6H", 0, 0x8400, 0, count, 0, 0) + out.getvalue()


def contents(zone: dns.versioned.Zone) -> list[tuple[str, str, str]]:
    return sorted(
        (str(name), dns.rdatatype.to_text(rdata.rdtype), str(rdata))
        for name, rdataset in zone.iterate_rdatasets()
        for rdata in rdataset
    )


def zone_of(snapshot: Snapshot) -> list[tuple[str, str, str]]:
    zone = dns.versioned.Zone("example.com.", relativize=False)
    with zone.writer() as writer:
        for rrset in dns.message.from_wire(listed(snapshot)).answer:
            writer.add(rrset.name, rrset)
    return contents(zone)


def test_a_small_difference_is_one_message_in_the_order_of_rfc_1995() -> None:
    old = version(1, [host("a"), host("gone")])
    new = version(2, [host("a"), host("new")])
    (only,) = answer(changes(old, new))
    message = dns.message.from_wire(only, xfr=True, one_rr_per_rrset=True)
    shown = [
        (rrset[0].serial if rrset.rdtype == dns.rdatatype.SOA else str(rrset.name))
        for rrset in message.answer
    ]
    assert shown == [2, 1, "gone.example.com.", 2, "new.example.com.", 2]
    assert received(old, [only]).root == new.root


@pytest.mark.parametrize("signed", [False, True])
def test_20000_changes_come_in_messages_that_are_all_signed(signed: bool) -> None:
    old = version(1, [host(f"old{n:05}") for n in range(10_000)])
    new = version(2, [host(f"new{n:05}") for n in range(10_000)])
    query, mac = sign_request(make_query(MSG_ID, ORIGIN, IXFR, ixfr_soa=serial_soa(1)), KEY, NOW)
    signer = verify_request(query, {KEY.name: KEY}, NOW).signer() if signed else None
    messages = answer(changes(old, new), signer=signer)
    assert len(messages) > 10
    assert max(map(len, messages)) < 16_600
    if signed:
        verifier = ResponseVerifier(KEY, mac, 0)
        for one in messages:
            verifier.feed(one, NOW)
        verifier.finish()
        assert verifier.signed == len(messages)
    else:
        assert list(received(old, messages).records()) == list(new.records())


def test_every_letter_arrives_in_owners_and_rdata() -> None:
    before, after = host("www"), host("mail")
    spelled: Spelling = {
        before: (names.from_text("WwW.example.com."), b"\0\0\0\1"),
        after: (names.from_text("MaiL.Example.com."), b"\0\0\0\1"),
    }
    old = version(1, [before], spelled)
    new = version(2, [after, before], {after: spelled[after]})
    (only,) = answer(changes(old, new))
    for name in ("WwW", "MaiL", "www"):
        assert bytes([len(name)]) + name.encode() in only
    # The case of www alone has changed, so it goes and comes.
    assert dns.message.from_wire(only, xfr=True, one_rr_per_rrset=True).answer[2].name.labels[
        0
    ] == (b"WwW")


def test_a_record_larger_than_our_messages_has_one_of_its_own() -> None:
    old = version(1, [text("a", 40_000), host("b")])
    new = version(2, [host("b"), text("c", 60_000), text("d", 30_000), host("e")])
    messages = answer(changes(old, new))
    assert all(struct.unpack_from("!H", one, 6)[0] > 0 for one in messages)
    assert received(old, messages).root != old.root
    assert list(received(old, messages).records()) == list(new.records())


def test_a_record_that_fits_no_message_is_said_to() -> None:
    old = version(1)
    huge = text(".".join(["a" * 60] * 3 + ["b" * 50]), 65_500)
    out = ChangesOut(changes(old, version(2, [huge])), MSG_ID, False, (ORIGIN, IXFR))
    out.message(NOW)
    with pytest.raises(ZoneError, match="a record that fits a message of 65535 octets"):
        out.message(NOW)


def test_the_question_and_the_opt_stand_in_the_first_message_only() -> None:
    asked = names.from_text("eXaMpLe.COM.")
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    new = version(2, [host(f"h{n}") for n in range(3000)])
    out = ChangesOut(changes(version(1), new), 77, True, (asked, IXFR), opt)
    messages = sent(out)
    assert len(messages) > 2
    assert messages[0][12 : 12 + len(asked)] == asked
    assert messages[0][2] & 1, "RD is repeated"
    assert {one[:2] for one in messages} == {struct.pack("!H", 77)}
    assert [struct.unpack_from("!H", one, 4)[0] for one in messages] == [1] + [0] * (
        len(messages) - 1
    )
    assert [struct.unpack_from("!H", one, 10)[0] for one in messages] == [1] + [0] * (
        len(messages) - 1
    )


def test_there_is_nothing_after_the_end() -> None:
    out = ChangesOut(changes(version(1), version(2)), MSG_ID, False, (ORIGIN, IXFR))
    sent(out)
    with pytest.raises(ZoneError, match="no further message"):
        out.message(NOW)


@pytest.mark.parametrize("hosts", [1, 200])
def test_one_datagram_has_all_of_it_or_nothing(hosts: int) -> None:
    old, new = version(1), version(2, [host(f"h{n}") for n in range(hosts)])
    difference = changes(old, new)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    made = in_one_message(difference, MSG_ID, False, (ORIGIN, IXFR), 1232, opt)
    if hosts == 200:
        assert made is None
        return
    assert made is not None
    assert received(old, [made]).root == new.root
    size = len(made)
    exact = in_one_message(difference, MSG_ID, False, (ORIGIN, IXFR), size, opt)
    assert exact == made
    assert in_one_message(difference, MSG_ID, False, (ORIGIN, IXFR), size - 1, opt) is None


NUMBERS = st.sets(st.integers(0, 400))


@given(NUMBERS, NUMBERS)
def test_any_difference_is_read_as_it_was_meant(first: set[int], second: set[int]) -> None:
    old = version(1, [host(f"h{n}") for n in first])
    new = version(2, [host(f"h{n}", 1 + n % 2) for n in second])
    messages = answer(changes(old, new))
    assert list(received(old, messages).records()) == list(new.records())
    assert read_by_dnspython(old, messages) == zone_of(new)
