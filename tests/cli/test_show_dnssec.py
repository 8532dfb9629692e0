"""The lines about a zone's signing, out of what the daemon answers."""

from __future__ import annotations

import time
from typing import Any

import attrs
import pytest

from tests.server.test_why_dnssec import DNSSEC, NOW, ZSK
from xfer.cli.show_dnssec import brief, ds_text, rows
from xfer.control.values import to_json
from xfer.dnssec.keystate import Goal
from xfer.dnssec.outlook import HeldUp
from xfer.server.dnssec_status import DnssecStatus, DsMatch, DsStatus


def lines(**changes: Any) -> list[tuple[str, str]]:
    return rows(to_json(attrs.evolve(DNSSEC, **changes)), NOW)


def line(label: str, **changes: Any) -> str:
    (found,) = [text for name, text in lines(**changes) if name == label]
    return found


@pytest.mark.parametrize(
    ("ds", "text"),
    [
        (DNSSEC.ds, "matches: 013+00009, seen 2027-01-15 07:59:00Z (1 min ago)"),
        (
            DsStatus(DsMatch.DIFFERS, ("a",), ("b", "c"), NOW - 60),
            "differs: b, c, and to be there a, as told 2027-01-15 07:59:00Z (1 min ago)",
        ),
        (
            DsStatus(DsMatch.DIFFERS, (), ("b",), NOW - 60, True),
            "differs: b, and to be there none, seen 2027-01-15 07:59:00Z (1 min ago)",
        ),
        (
            DsStatus(DsMatch.NOT_SEEN, ("a",), (), NOW - 60, True, "192.0.2.1#53 was silent"),
            "not there, and to be there a, seen 2027-01-15 07:59:00Z (1 min ago); the last look "
            "told nothing: 192.0.2.1#53 was silent",
        ),
        (
            DsStatus(DsMatch.NOT_ASKED),
            "not known: `parent` in the policy names whom to ask; or say `xfer dnssec ds-seen`",
        ),
        (DsStatus(DsMatch.NOT_ASKED, asked=True), "not known"),
        (
            DsStatus(DsMatch.NONE, (), (), NOW - 60, True),
            "none there, and none is to be, seen 2027-01-15 07:59:00Z (1 min ago)",
        ),
    ],
)
def test_how_the_ds_fits(ds: DsStatus, text: str) -> None:
    assert ds_text(to_json(ds), NOW) == text


def test_a_key_says_what_it_does_and_what_comes_next() -> None:
    assert line("key") == "zsk 013+00007 ECDSAP256SHA256: signs the zone"
    leaving = attrs.evolve(
        ZSK, goal=Goal.LEAVE, compromised=True, event="signs no more", at=NOW + 120
    )
    assert line("key", keys=(leaving,)) == (
        "zsk 013+00007 ECDSAP256SHA256, compromised, to leave: signs the zone; next: signs no "
        "more, 2027-01-15 08:02:00Z (in 2 min)"
    )
    soon = attrs.evolve(ZSK, event="published", at=NOW - 1)
    assert line("key", keys=(soon,)).endswith("; next: published")


def test_nothing_to_do_is_said_only_where_all_is_well() -> None:
    assert line("to do") == "nothing"
    assert line("to do", todo=("wait",)) == "wait"
    for changes in ({"mismatch": "config and state"}, {"error": "no key"}):
        assert "to do" not in dict(lines(**changes))
    assert line("error", error="no key", failed_at=NOW - 60) == (
        "since 2027-01-15 07:59:00Z (1 min ago): no key"
    )


def test_whom_keys_wait_for() -> None:
    held = HeldUp("public", 7, NOW - 60, NOW + 86400)
    assert line("waits for", held_up=(held,)) == (
        "secondary public, which has not got serial 7; it counts no more 2027-01-16 08:00:00Z "
        "(in 1 d)"
    )


def test_a_zone_that_was_never_signed_has_a_line_or_two() -> None:
    assert rows(to_json(DnssecStatus("pre-signed", published_serial=3)), NOW) == [
        ("dnssec", "pre-signed")
    ]
    failed = DnssecStatus("live-signed", error="expected mode 0700, got 0755", failed_at=NOW)
    assert [label for label, _ in rows(to_json(failed), NOW)] == ["dnssec", "error"]


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        (5 * 86400.0, "came with it; the first ends {} (in 5 d) (www.example.com.)"),
        (60.0, "came with it; the first ends {} (in 1 min) (www.example.com.) and is due"),
        (-60.0, "ENDED: the first {} (1 min ago) (www.example.com.); only who signs it"),
    ],
)
def test_signatures_that_came_have_a_line(ends: float, text: str) -> None:
    at = NOW + ends
    came = DnssecStatus("unsigned", ends_at=at, warn_at=at - 86400, ends_first="www.example.com.")
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
    for found in (rows(to_json(came), NOW), brief(to_json(came), NOW)):
        (dnssec, (label, told)) = found
        assert dnssec == ("dnssec", "unsigned here; it comes signed")
        assert (label, told.startswith(text.format(stamp))) == ("signatures", True)


def test_status_of_a_zone_has_the_short_form() -> None:
    assert [label for label, _ in brief(to_json(DNSSEC), NOW)] == ["dnssec", "ds", "signatures"]
    told = attrs.evolve(DNSSEC, todo=("do this",), mismatch="they differ")
    assert [label for label, _ in brief(to_json(told), NOW)] == [
        "dnssec", "mismatch", "ds", "signatures", "to do",
    ]  # fmt: skip
