"""Serial policies: always newer than what is served, whatever the time is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fakes import snapshot
from tests.transfer.zone import NS, SOA, record, soa_rdata
from xfer.config_keys import SerialPolicy
from xfer.server.serials import bound_to_serial, last_given, next_serial, with_serial
from xfer.wire import names, records
from xfer.wire.serial import newer
from xfer.zone.block import Block
from xfer.zone.changeset import diff
from xfer.zone.snapshot import Snapshot

SERIALS = st.integers(0, 2**32 - 1)
TIMES = st.floats(0, 4e10)  # beyond 2106, where Unix time needs more than 32 bits
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


@given(st.sampled_from(SerialPolicy), SERIALS, TIMES)
def test_the_next_serial_is_always_newer(policy: SerialPolicy, served: int, now: float) -> None:
    found = next_serial(policy, served, now)
    assert 0 <= found < 2**32
    assert newer(found, served)


@pytest.mark.parametrize(
    ("policy", "served", "expected"),
    [
        ("increment", 7, 8),
        ("increment", 2**32 - 1, 0),
        ("increment", None, 1),
        ("unixtime", 7, int(NOON)),
        ("unixtime", int(NOON), int(NOON) + 1),
        ("unixtime", int(NOON) + 5, int(NOON) + 6),
        ("unixtime", None, int(NOON)),
        ("date", 7, 2026112200),
        ("date", 2026112200, 2026112201),
        ("date", 2026112299, 2026112300),
        ("date", None, 2026112200),
        ("date", 2**32 - 1, 2026112200),  # newer, by RFC 1982
        ("date", 3221225471, 3221225472),  # the date is behind it
    ],
)
def test_policies(policy: str, served: int | None, expected: int) -> None:
    assert next_serial(SerialPolicy(policy), served, NOON) == expected


@given(SERIALS)
def test_another_serial_changes_the_soa_alone(serial: int) -> None:
    before = snapshot(serial=7, blocks=2)
    after = with_serial(before, serial)
    assert after.serial == serial
    assert after.blocks[1:] == before.blocks[1:]
    changes = diff(before, after)
    assert len(changes.removed) == len(changes.added) == (serial != 7)
    assert with_serial(after, 7).root == before.root


def test_the_case_that_the_soa_came_in_stays() -> None:
    soa = record("example.com.", SOA, soa_rdata(7))
    rdata = records.split(soa)[4]
    spelled = (names.from_text("Example.COM."), rdata.replace(b"example", b"EXAMPLE"))
    ns = record("example.com.", NS, names.from_text("ns.example.com."))
    before = Snapshot(
        names.from_text("example.com."), [Block.make(sorted([soa, ns]), {soa: spelled})]
    )
    after = with_serial(before, 9)
    owner, new = after.spelled(after.soa)
    assert owner == spelled[0]
    assert new == spelled[1][:-20] + (9).to_bytes(4, "big") + spelled[1][-16:]


def test_a_signed_soa_is_bound_to_its_serial() -> None:
    plain = snapshot(serial=7)
    assert bound_to_serial(plain) == ""
    rdata = SOA.to_bytes(2, "big") + bytes(16) + names.from_text("example.com.") + b"signature"
    signature = record("example.com.", records.RRSIG, rdata)
    digest = record("example.com.", records.ZONEMD, (7).to_bytes(4, "big") + b"\1\1" + bytes(48))
    foreign = record("example.com.", records.ZONEMD, (6).to_bytes(4, "big") + b"\1\1" + bytes(48))
    for extra, expected in ((signature, "RRSIG over its SOA"), (digest, "ZONEMD"), (foreign, "")):
        content = sorted([*plain.records(), extra])
        found = Snapshot(plain.origin, [Block.make(content, {})])
        assert bound_to_serial(found) == expected


@pytest.mark.parametrize(
    ("served", "others", "last"),
    [
        (5, [], 5),
        (5, [None, 4, 5], 5),
        (101, [102], 102),
        (101, [103, 102, None], 103),
        (0xFFFFFFFF, [3], 3),
        (5, [0x80000005], 5),  # 2^31 apart: neither is newer
    ],
)
def test_the_newest_serial_that_was_given_out(
    served: int, others: list[int | None], last: int
) -> None:
    assert last_given(served, others) == last
