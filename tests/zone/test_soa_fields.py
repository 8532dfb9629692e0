"""SOA fields that an operator sets: ranges, relations, mailboxes, and what stays as it is."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.errors import ZoneError
from xfer.wire import names
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot
from xfer.zone.soa_fields import (
    RANGES,
    SoaChange,
    SoaFields,
    address,
    fields_of,
    mailbox,
    with_fields,
)
from xfer.zone.zonefile import read_zone_text

ZONE = """\
$TTL 300
@ IN SOA NS1.example.com. hostmaster 5 3600 600 604800 300
  NS ns1
Ns1 A 192.0.2.1
"""


def snapshot(text: str = ZONE) -> Snapshot:
    return read_zone_text(text, "text", b"\7example\3com\0", Policy({}))[0]


def changed(name: str, value: int) -> SoaChange:
    times: dict[str, Any] = {name: value}
    return SoaChange(**times)


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_a_range_are_in_it(name: str) -> None:
    limits = RANGES[name]
    assert limits.low <= limits.default <= limits.high
    for value in (limits.low, limits.high):
        changed(name, value).check()
    for value in (limits.low - 1, limits.high + 1):
        with pytest.raises(
            ZoneError, match=f"from {limits.low} to {limits.high} seconds, got {value}"
        ):
            changed(name, value).check()


def test_the_defaults_fit_together() -> None:
    SoaChange().with_defaults().check()
    assert SoaChange(retry=700).with_defaults().retry == 700


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (SoaChange(refresh=600, retry=700), "RETRY of at most REFRESH, 600 seconds, got 700"),
        (SoaChange(refresh=86400, expire=86400, retry=600), ""),
        (SoaChange(retry=3600), ""),
        (SoaChange(refresh=700, retry=800), "RETRY of at most REFRESH"),
    ],
)
def test_the_times_fit_each_other(change: SoaChange, sentence: str) -> None:
    if sentence:
        with pytest.raises(ZoneError, match=sentence):
            with_fields(snapshot(), change)
    else:
        with_fields(snapshot(), change)


def test_what_stays_counts_too_but_only_where_a_time_is_set() -> None:
    odd = snapshot(ZONE.replace("3600 600 604800", "3600 7200 60"))
    with pytest.raises(ZoneError, match="RETRY of at most REFRESH, 3600 seconds, got 7200"):
        with_fields(odd, SoaChange(refresh=3600))
    assert fields_of(with_fields(odd, SoaChange(rname="a@example.org"))).retry == 7200


def test_only_the_fields_that_are_given_change() -> None:
    before = snapshot()
    after = with_fields(before, SoaChange(rname="host.Master@Example.org", ttl=1800))
    assert fields_of(after) == attrs.evolve(
        fields_of(before),
        rname="host\\.Master.Example.org.",
        email="host.Master@Example.org",
        ttl=1800,
    )
    assert fields_of(after).mname == "NS1.example.com."
    assert [r for r in after.records() if r != after.soa] == [
        r for r in before.records() if r != before.soa
    ]
    assert len(after.spelling()) == len(before.spelling()) == 2
    assert with_fields(before, SoaChange()).root == before.root
    assert isinstance(fields_of(before), SoaFields)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hostmaster@example.com", "hostmaster.example.com."),
        ("host.master@example.com.", "host\\.master.example.com."),
        ("dns+a.b.c@example.com", "dns+a\\.b\\.c.example.com."),
        ("a(b)@example.com", "a\\(b\\).example.com."),
        ("host\\.master.example.com", "host\\.master.example.com."),
        ("a@bücher.example", "a.xn--bcher-kva.example."),
    ],
)
def test_mailboxes(text: str, name: str) -> None:
    assert names.to_text(mailbox(text)) == name
    if "@" in text and text.isascii():
        assert address(mailbox(text)) == text.removesuffix(".")


@pytest.mark.parametrize(
    "text",
    [
        *("@example.com", "a@", "a@.", "a b@x.example", '"a"@x.example', "a@b@x.example"),
        *("a" * 64 + "@x.example", "a@" + "b." * 126 + "c", "", "a..b", "a@x..y", "a\\@x"),
        "ä@x.example",
    ],
)
def test_what_is_no_mailbox(text: str) -> None:
    with pytest.raises(ZoneError):
        mailbox(text)


@given(
    st.text("abcABC.-_+(;$0", min_size=1, max_size=63),
    st.lists(st.text("abcABC-0", min_size=1, max_size=20), min_size=1, max_size=4),
)
def test_an_address_comes_back(local: str, labels: list[str]) -> None:
    text = f"{local}@{'.'.join(labels)}"
    assert address(mailbox(text)) == text


def test_an_rname_that_is_no_address() -> None:
    assert address(b"\0") == ""
    assert address(b"\4host\0") == ""
    assert address(b"\1\xff\1a\0") == ""
    for local in (b"\x1b[31mred", b"a b", b"a@b", b'"a"', b"a\\b", b"a\nb", b"\x7f"):
        assert address(bytes([len(local)]) + local + b"\2ex\0") == ""
