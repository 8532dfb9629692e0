"""The story of a zone's signing in sentences."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from xfer.dnssec.keystate import Goal, Presence, Role, Why, ZoneState
from xfer.dnssec.outlook import HeldUp
from xfer.server.dnssec_status import DnssecKey, DnssecStatus, DsMatch, DsStatus
from xfer.server.reasons import Reason, Weight
from xfer.server.status import PrimaryStatus, ZoneStatus
from xfer.server.status import ZoneState as Served
from xfer.server.why import reasons

NOW = 1_800_000_000.0
DAY = 86400.0
ZSK = DnssecKey(
    ident="013+00007",
    tag=7,
    algorithm=13,
    algorithm_name="ECDSAP256SHA256",
    role=Role.ZSK,
    goal=Goal.SERVE,
    why=Why.FIRST,
    made_at=NOW - DAY,
    used_at=NOW - DAY,
    dnskey=Presence.OMNIPRESENT,
    signatures=Presence.OMNIPRESENT,
    ds=Presence.HIDDEN,
    does="signs the zone",
)
DNSSEC = DnssecStatus(
    "live-signed",
    signed=True,
    state=ZoneState.ACTIVE,
    keys=(ZSK,),
    ds=DsStatus(DsMatch.MATCHES, ("013+00009",), ("013+00009",), NOW - 60, True),
    ends_at=NOW + 10 * DAY,
    renew_at=NOW + 5 * DAY,
    received_serial=5,
    published_serial=5,
)
ZONE = ZoneStatus(
    "example.com.", "primary", Served.CURRENT, 5, 10, 3, 3, "signed here, content 5", NOW - 60
)


def said(zone: ZoneStatus = ZONE, **changes: Any) -> list[Reason]:
    """What is told besides what is served."""
    zone = attrs.evolve(zone, dnssec=attrs.evolve(DNSSEC, **changes))
    return reasons(zone, (), NOW)[1:]


def test_of_a_zone_that_is_well_nothing_is_told() -> None:
    assert said() == []


def test_signatures_that_somebody_else_makes_are_told_before_they_end_and_after() -> None:
    def of(left: float) -> list[Reason]:
        return said(keyset_ends_at=NOW + left, ends_at=NOW + left, refresh=5 * DAY)

    assert of(5 * DAY + 1) == []
    (near,) = of(3 * DAY)
    assert near.weight is Weight.DEGRADED
    assert "which whoever has the KSK makes, end" in near.text
    (ended,) = of(-3 * DAY)
    assert ended.weight is Weight.BROKEN
    assert "until whoever has the KSK has handed in new ones" in ended.text


def test_a_serial_of_our_own_is_a_note() -> None:
    assert said(received_serial=4) == [
        Reason(
            Weight.NOTE,
            "It is signed here: the content of serial 4 is served as serial 5.",
        )
    ]


@pytest.mark.parametrize(
    ("changes", "weight", "sentence"),
    [
        (
            {"error": "expected the key 013+00007, got no such files", "failed_at": NOW - 120},
            Weight.BROKEN,
            "Signing fails since 2 min ago: expected the key 013+00007, got no such files. What is "
            "served stays as it is; its first signature ends in 10 d.",
        ),
        (
            {"ends_at": NOW - 60, "renew_at": NOW - 5 * DAY},
            Weight.BROKEN,
            "The first signature of example.com. ended 1 min ago: validators call what it covers "
            "bogus.",
        ),
        (
            {"ends_at": NOW + DAY, "renew_at": NOW - 4 * DAY},
            Weight.DEGRADED,
            "Signatures should have been renewed 4 d ago; the first one ends in 1 d, and "
            "validators call what it covers bogus from then on.",
        ),
        (
            {"mismatch": 'its config says dnssec = "unsigned", and it is still signed here'},
            Weight.DEGRADED,
            'Config and state of example.com. differ: its config says dnssec = "unsigned", and it '
            "is still signed here.",
        ),
        (
            {"ds": DsStatus(DsMatch.NOT_SEEN, ("013+00009",), (), NOW - 60, True)},
            Weight.DEGRADED,
            "There is no DS of example.com. at the parent (seen 1 min ago), so that nobody "
            "validates it; that of 013+00009 is to be there.",
        ),
        (
            {
                "ds": DsStatus(
                    DsMatch.DIFFERS, ("013+00009",), ("foreign:008+00001:ab",), NOW - 60, True
                )
            },
            Weight.BROKEN,
            "The parent has only a DS of example.com. that is of no key here (foreign:008+00001:ab,"
            " seen 1 min ago): validators call it bogus.",
        ),
        (
            {"ds": DsStatus(DsMatch.DIFFERS, ("013+00009",), ("013+00008",), NOW - 60, True)},
            Weight.NOTE,
            "The parent has the DS of 013+00008, and is to have 013+00009 (seen 1 min ago).",
        ),
        (
            {"ds": attrs.evolve(DNSSEC.ds, error="192.0.2.1#53 says REFUSED")},
            Weight.DEGRADED,
            "The last look at the parent's servers told nothing: 192.0.2.1#53 says REFUSED.",
        ),
        (
            {"held_up": (HeldUp("public", 5, NOW - 600, NOW + 7 * DAY),)},
            Weight.DEGRADED,
            "Keys wait for secondary public, which has not got serial 5 for 10 min; it is waited "
            "for no longer in 7 d, when SOA EXPIRE has passed.",
        ),
        (
            {"todo": ("put this DS at the parent: example.com. IN DS 9 13 2 AB",)},
            Weight.NEXT,
            "To do: put this DS at the parent: example.com. IN DS 9 13 2 AB",
        ),
        (
            {"keys": (attrs.evolve(ZSK, event="its successor is published", at=NOW + 60),)},
            Weight.NEXT,
            "Next of its keys: zsk 013+00007, its successor is published, in 1 min.",
        ),
    ],
)
def test_what_is_worth_a_sentence(changes: dict[str, Any], weight: Weight, sentence: str) -> None:
    assert said(**changes) == [Reason(weight, sentence)]


def test_a_secondary_that_has_just_been_told_is_worth_none() -> None:
    assert said(held_up=(HeldUp("public", 5, NOW - 5, NOW + DAY),)) == []


def test_a_zone_that_could_never_be_signed_says_why() -> None:
    zone = attrs.evolve(ZONE, serial=None)
    dnssec = DnssecStatus("live-signed", error="expected mode 0700, got 0755", failed_at=NOW - 2)
    assert [one.text for one in reasons(attrs.evolve(zone, dnssec=dnssec), (), NOW)[1:]] == [
        "Signing fails since 2.0 s ago: expected mode 0700, got 0755. "
        "Nothing is served before that."
    ]


def test_primaries_are_compared_with_what_came_and_not_with_what_was_made_of_it() -> None:
    one = PrimaryStatus("one", "192.0.2.1#53", 5, NOW - 60, NOW - 600)
    zone = attrs.evolve(ZONE, role="secondary", serial=9, primaries=(one,), checked_at=NOW - 60)
    found = reasons(attrs.evolve(zone, dnssec=DNSSEC), (), NOW)
    assert found[0].text.startswith("example.com. is current: it serves serial 9")
    assert not any("behind" in reason.text for reason in found)
    newer = attrs.evolve(zone, primaries=(attrs.evolve(one, serial=6),), dnssec=DNSSEC)
    assert reasons(newer, (), NOW)[0].text.startswith(
        "example.com. is stale: it serves serial 9, while one has 6."
    )


@pytest.mark.parametrize(
    ("ends", "weight", "words"),
    [
        (-60.0, Weight.BROKEN, "ended 1 min ago, at www.example.com.: validators call"),
        (3600.0, Weight.DEGRADED, "ends in 1 h, at www.example.com., and validators call"),
        (5 * DAY, Weight.NOTE, "comes signed, ends in 5 d, at www.example.com."),
    ],
)
def test_signatures_that_came_are_told_of(ends: float, weight: Weight, words: str) -> None:
    came = DnssecStatus(
        "pre-signed",
        published_serial=5,
        ends_at=NOW + ends,
        warn_at=NOW + ends - DAY,
        ends_first="www.example.com.",
    )
    zone = attrs.evolve(ZONE, dnssec=came)
    (reason,) = reasons(zone, (), NOW)[1:]
    assert reason.weight is weight
    assert words in reason.text
    assert ("what to do" in reason.text) == (weight is not Weight.NOTE)
