"""The story of a zone in sentences: what is served, what is broken, what follows."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from xfer.server.reasons import Weight, span
from xfer.server.status import (
    FailureReport,
    Held,
    IxfrState,
    Phase,
    PrimaryStatus,
    Progress,
    RefusedSource,
    SecondaryStatus,
    ZoneState,
    ZoneStatus,
)
from xfer.server.why import reasons

NOW = 10_000.0
FAILED = FailureReport(
    "auth", "auth: expected our secret, got another", NOW - 120, "the secrets differ"
)
ONE = PrimaryStatus("one", "192.0.2.1#53", 7, NOW - 60, NOW - 600, rtt=0.0015)
TWO = PrimaryStatus("two", "192.0.2.2#53", 7, NOW - 90)
ZONE = ZoneStatus(
    name="example.com.",
    role="secondary",
    state=ZoneState.CURRENT,
    serial=7,
    records=100,
    version=3,
    versions=3,
    source="ixfr from 192.0.2.1#53",
    published_at=NOW - 600,
    checked_at=NOW - 60,
    expires_at=NOW + 604_740,
    next_action="check the primaries",
    next_at=NOW + 3540,
    primaries=(ONE, TWO),
)


def told(zone: ZoneStatus, *refused: RefusedSource) -> list[str]:
    return [reason.text for reason in reasons(zone, refused, NOW)]


def test_a_zone_that_is_current() -> None:
    assert told(ZONE) == [
        "example.com. is current: it serves serial 7, confirmed by a primary 1 min ago. It is "
        "version v3, ixfr from 192.0.2.1#53, published 10 min ago.",
        "Next: check the primaries, in 59 min.",
        "Unless a primary confirms it before, it expires in 6 d 23 h; answers are SERVFAIL from "
        "then on.",
        "Primary one (192.0.2.1#53) has serial 7: it said so 1 min ago, in 1.5 ms.",
        "Primary two (192.0.2.2#53) has serial 7: it said so 1 min 30 s ago.",
    ]


def test_one_dead_primary_of_two_degrades_and_does_not_break() -> None:
    zone = attrs.evolve(ZONE, primaries=(ONE, attrs.evolve(TWO, error=FAILED, failures=3)))
    found = reasons(zone, (), NOW)
    assert [reason.weight for reason in found[:2]] == [Weight.STATE, Weight.DEGRADED]
    assert found[1].text == (
        "Primary two (192.0.2.2#53) failed, the 3rd time in a row, 2 min ago: auth: expected our "
        "secret, got another (the secrets differ)."
    )


def test_all_primaries_failing_comes_right_after_what_is_served() -> None:
    zone = attrs.evolve(
        ZONE,
        state=ZoneState.FAILING,
        error=FAILED,
        next_action="retry",
        primaries=tuple(attrs.evolve(item, error=FAILED) for item in (ONE, TWO)),
    )
    found = reasons(zone, (), NOW)
    assert "whether that is current is not known: the last check failed" in found[0].text
    assert [reason.weight for reason in found[:3]] == [Weight.STATE, Weight.BROKEN, Weight.BROKEN]
    assert found[3].text == "Next: retry, in 59 min."


def test_an_error_that_is_no_primarys_is_told() -> None:
    zone = attrs.evolve(ZONE, role="primary", primaries=(), error=FAILED)
    assert told(zone)[1].startswith("The last attempt, 2 min ago: auth: expected our secret")


def test_a_stale_zone_names_who_is_ahead() -> None:
    zone = attrs.evolve(
        ZONE,
        state=ZoneState.STALE,
        primaries=(attrs.evolve(ONE, serial=9, error=FAILED, failures=1), TWO),
        error=FAILED,
    )
    first, second, *_ = told(zone)
    assert first.startswith("example.com. is stale: it serves serial 7, while one has 9.")
    assert second.startswith("Primary one (192.0.2.1#53) failed, 2 min ago: auth")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"state": ZoneState.LOADING}, "is being read from the journal"),
        (
            {"state": ZoneState.EMPTY, "serial": None},
            "is not served: no version of it was ever received. Answers are SERVFAIL.",
        ),
        (
            {"state": ZoneState.EXPIRED, "expires_at": NOW - 30.0},
            "example.com. expired 30 s ago: no primary confirmed it in the time that its SOA "
            "allows. Answers are SERVFAIL; serial 7 is kept. The last check that succeeded was "
            "1 min ago.",
        ),
        ({"checked_at": None}, "which no primary has confirmed since the start"),
        ({"role": "primary"}, "example.com. serves serial 7. It is version v3"),
        (
            {"held": Held(7, 4, 2, NOW - 7200)},
            "example.com. is held at serial 7 since 2 h ago: a rollback to the content of serial 4 "
            "(v2). Its primaries are not followed until `xfer zone release example.com.`.",
        ),
        (
            {"held": Held(5, 3, 2, NOW - 7200, 4)},
            "example.com. is held at serial 7 (content serial 5) since 2 h ago: a rollback to the "
            "content of serial 4 (content serial 3) (v2).",
        ),
        (
            {"made_here": True, "raised": True},
            "example.com. serves serial 7, which has a primary's content under a serial of our own",
        ),
    ],
)
def test_the_first_sentence(change: dict[str, Any], expected: str) -> None:
    assert expected in told(attrs.evolve(ZONE, **change))[0]


def test_that_nothing_is_answered_comes_before_a_hold() -> None:
    held = Held(7, 4, 2, NOW - 7200)
    zone = attrs.evolve(ZONE, state=ZoneState.EXPIRED, expires_at=NOW - 30.0, held=held)
    first, second, *_ = told(zone)
    assert first.startswith("example.com. expired 30 s ago: ")
    assert second.startswith("example.com. is held at serial 7 since 2 h ago: ")


def test_ixfr_that_failed() -> None:
    broken = attrs.evolve(ONE, ixfr=IxfrState.BROKEN, ixfr_broken=6, ixfr_error=FAILED)
    assert (
        "IXFR from serial 6 from one failed, 2 min ago: auth: expected our secret, got another "
        "(the secrets differ). AXFR takes its place, and is not asked again from there."
    ) in told(attrs.evolve(ZONE, primaries=(broken,)))


@pytest.mark.parametrize(
    ("primary", "expected"),
    [
        ({"serial": 5, "behind": True}, "has serial 5, which is behind ours (7), and is not"),
        ({"diverged": 7}, "had other content under serial 7 than was served here under it: its"),
        ({"diverged": 8}, "than was served here under it: its primaries differ"),
        (
            {"diverged": 7, "diverged_here": True},
            "had other content under serial 7 than was made and served here under it, so that",
        ),
        ({"diverged": 6}, "than was served here under it; secondaries that follow to serial 7 "),
        ({"diverged": 6, "diverged_here": True}, "than was made here under it; secondaries that"),
        ({"ixfr": IxfrState.FULL}, "answers IXFR with the whole zone"),
        ({"serial": None, "checked_at": None}, "has not been asked yet"),
    ],
)
def test_primaries(primary: dict[str, Any], expected: str) -> None:
    zone = attrs.evolve(ZONE, primaries=(attrs.evolve(ONE, **primary), TWO))
    assert any(expected in text for text in told(zone))


@pytest.mark.parametrize("theirs", [5, 7 + 2**31])
def test_a_serial_that_no_primary_has_is_not_called_current(theirs: int) -> None:
    """One that was restored from an old copy, or that began to count anew."""
    back = attrs.evolve(ONE, serial=theirs, behind=theirs == 5)
    assert told(attrs.evolve(ZONE, primaries=(back, attrs.evolve(TWO, serial=4))))[0] == (
        f"example.com. serves serial 7, which no primary is known to have any more: one has "
        f"{theirs}, two has 4. A serial that is not above 7 is not followed: raise it on the "
        "primary. `xfer force-axfr example.com.` takes theirs at once, but secondaries follow a "
        "lower serial only after a transfer by hand. It is version v3, ixfr from 192.0.2.1#53, "
        "published 10 min ago."
    )
    assert "is current" in told(attrs.evolve(ZONE, primaries=(back, TWO)))[0]
    unknown = attrs.evolve(TWO, serial=None, checked_at=None)
    assert "is current" in told(attrs.evolve(ZONE, primaries=(unknown,)))[0]


def test_a_primary_is_below_the_serial_of_a_rollback_without_that_being_worth_a_word() -> None:
    """It always is, and `xfer force-axfr` is refused until the zone is released."""
    below = attrs.evolve(ONE, serial=6, behind=True)
    found = told(attrs.evolve(ZONE, held=Held(7, 4, 2, NOW - 7200), primaries=(below,)))
    assert not any("force-axfr" in text for text in found)
    assert any("has serial 6: it said so" in text for text in found)


def test_a_single_primary_does_not_differ_from_others() -> None:
    zone = attrs.evolve(ZONE, primaries=(attrs.evolve(ONE, diverged=7),))
    assert (
        "Primary one (192.0.2.1#53) had other content under serial 7 than was served here under "
        "it: it was changed there without a new serial, and secondaries that have serial 7 cannot "
        "tell. What to do: raise the serial there."
    ) in told(zone)


def test_the_answer_to_an_older_notify_does_not_say_why_a_newer_one_is_not_delivered() -> None:
    waits = SecondaryStatus(
        "sec",
        "192.0.2.9#53",
        notified_serial=6,
        notify_result="NOERROR",
        delivered_serial=6,
        pending=7,
    )
    assert "Secondary sec (192.0.2.9#53): NOTIFY for serial 7 is not delivered yet." in told(
        attrs.evolve(ZONE, secondaries=(waits,))
    )


@pytest.mark.parametrize(
    ("secondary", "weight", "expected"),
    [
        ({}, Weight.NOTE, "has not been heard of"),
        (
            {"fetched_serial": 7, "fetched_at": NOW - 5, "fetched_kind": "ixfr",
             "notified_serial": 7, "notify_result": "NOERROR", "lag_serials": 0},
            Weight.NOTE,
            "it fetched serial 7 (ixfr) 5.0 s ago, NOTIFY for serial 7: NOERROR.",
        ),
        (
            {"fetched_serial": 4, "fetched_at": NOW - 5000, "fetched_kind": "axfr",
             "lag_serials": 3, "lag_versions": 2, "lag_seconds": 600.0},
            Weight.DEGRADED,
            "is 3 serials, 2 versions behind for 10 min; it fetched serial 4 (axfr) 1 h 23 min ago",
        ),
        (
            {"pending": 7, "notify_result": "no answer", "next_at": NOW + 30, "tries": 2},
            Weight.DEGRADED,
            "(192.0.2.9#53): NOTIFY for serial 7 is not delivered: no answer; next try in 30 s.",
        ),
        (
            {"fetched_serial": 7, "fetched_at": NOW - 50, "seen_serial": 9, "seen_at": NOW - 5},
            Weight.DEGRADED,
            "has serial 9, which is above ours (7): it will not follow until ours passes that",
        ),
        (
            {"pending": 7, "notify_result": "REFUSED", "given_up_at": NOW - 3600, "tries": 9},
            Weight.DEGRADED,
            "NOTIFY for serial 7 was given up 1 h ago after 9 rounds: REFUSED; `xfer notify`",
        ),
        (
            {"fetched_serial": 7, "fetched_at": NOW - 5, "probe_error": "REFUSED"},
            Weight.NOTE,
            "it does not tell its serial: REFUSED",
        ),
    ],
)  # fmt: skip
def test_secondaries(secondary: dict[str, Any], weight: Weight, expected: str) -> None:
    item = attrs.evolve(SecondaryStatus("sec", "192.0.2.9#53"), **secondary)
    zone = attrs.evolve(ZONE, secondaries=(item,))
    (found,) = [r for r in reasons(zone, (), NOW) if r.text.startswith("Secondary sec")]
    assert expected in found.text
    assert found.weight is weight


def test_a_running_transfer_is_told() -> None:
    running = Progress("one", "ixfr", Phase.RECEIVING, NOW - 3, 9, 1, 1234, 5678)
    zone = attrs.evolve(ZONE, state=ZoneState.TRANSFERRING, transfer=running)
    assert (
        "A transfer of serial 9 from one runs (ixfr, receiving, 1,234 records so far), begun "
        "3.0 s ago."
    ) in told(zone)


def test_refusals_of_this_zone_and_of_its_peers() -> None:
    refused = (
        RefusedSource("192.0.2.2", 3, NOW - 10, "TSIG bad-mac"),
        RefusedSource("198.51.100.1", 1, NOW - 20, "no peer", "example.com."),
        RefusedSource("198.51.100.2", 1, NOW - 20, "no peer", "example.org."),
        RefusedSource("198.51.100.3", 1, NOW - 20, "TSIG bad-key"),
    )
    texts = [text for text in told(ZONE, *refused) if "refused" in text]
    assert texts == [
        "3 requests from two (192.0.2.2) refused, last 10 s ago: TSIG bad-mac.",
        "1 request from 198.51.100.1 refused, last 20 s ago: no peer.",
    ]


def test_warnings_of_the_checks_come_last() -> None:
    zone = attrs.evolve(ZONE, findings=("duplicate (warn): www.example.com. A: comes twice",))
    assert told(zone)[-1].startswith("A check warns: duplicate (warn)")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (9.96, "10.0 s"), (59.4, "59 s"), (60, "1 min"), (61, "1 min 1 s"),
     (599, "9 min 59 s"), (601, "10 min"), (3600, "1 h"), (7260, "2 h 1 min"), (86400 * 3, "3 d"),
     (90000, "1 d 1 h")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_what_was_made_here_is_not_current_though_a_primary_has_that_serial() -> None:
    zone = attrs.evolve(ZONE, made_here=True, source="rollback to serial 5 (v2)")
    assert told(zone)[0] == (
        "example.com. is not current: it serves serial 7, whose content was made here (version v3, "
        "rollback to serial 5 (v2), published 10 min ago), not by a primary. A primary is followed "
        "once its serial passes 7 (one has 7, two has 7); `xfer force-axfr example.com.` takes "
        "theirs at once, but secondaries follow a lower or equal serial only after a transfer by "
        "hand."
    )


@pytest.mark.parametrize(
    ("role", "advice"), [("primary", "where there is a copy"), ("secondary", "a transfer")]
)
def test_a_version_that_the_journal_lost_is_told(role: str, advice: str) -> None:
    zone = attrs.evolve(ZONE, role=role, damaged=("version 4 (serial 8): expected block ab",))
    found = reasons(zone, (), NOW)[1]
    assert found.weight is Weight.BROKEN
    assert "could not be read at the start, and serial 7 took its place: version 4" in found.text
    assert f"What to do: {advice}" in found.text
