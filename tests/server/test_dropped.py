"""A version that lacks records because of others is followed by a whole zone, not by an IXFR."""

from __future__ import annotations

import pytest
import trio

from tests.server.fakes import peer, snapshot, zone_config
from tests.server.upstream import Secondary, Upstream, simulate
from tests.transfer.changing import host, version
from tests.transfer.zone import record
from xfer.journal import Mark
from xfer.server import dropped, primaries
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.zone.check import Finding, Grade, Policy

A = peer("a", "192.0.2.1")
CNAME = record("www.example.com.", 5, names.from_text("h.example.com."))
OTHER = host("www")


def test_a_cname_comes_back_once_the_data_beside_it_has_gone() -> None:
    upstream = Upstream(a=version(5, [CNAME, OTHER]))

    async def session(secondary: Secondary) -> None:
        secondary.refresher.policy = Policy({"cname-and-other": Grade.DROP})
        zone = secondary.zone([A])
        await trio.sleep(60)
        assert zone.snapshot is not None
        assert (zone.snapshot.count, zone.complete) == (3, False)
        (mark,) = secondary.commits.committed[-1].marks
        upstream.served["a"] = version(6, [CNAME])
        start = len(upstream.asked)
        await secondary.attempts.attempt(zone)
        assert upstream.told(start) == ["a soa", "a axfr"]
        assert zone.snapshot.root == version(6, [CNAME]).root
        assert zone.complete
        upstream.served["a"] = version(7)
        await secondary.attempts.attempt(zone)
        assert upstream.told(start)[2:] == ["a soa", "a ixfr"]
        dropped.restore(zone, [mark])
        assert zone.complete, "the mark is of another version"

    simulate(upstream, session)


@pytest.mark.parametrize("data", [{}, {"root": 5}, {"root": snapshot(5).root.hex()}])
def test_that_records_are_lacking_outlives_a_restart(data: dict[str, str]) -> None:
    zone = Zone(zone_config(primaries=[A]), snapshot=snapshot(5))
    assert primaries.may_ixfr(zone, A, 0.0)
    dropped.restore(zone, [Mark(zone.origin, "dropped", data)])
    assert not primaries.may_ixfr(zone, A, 0.0)


@pytest.mark.parametrize(
    ("rule", "grade", "marked"),
    [
        ("several-dnames", Grade.DROP, True),
        ("rrset-size", Grade.DROP, True),
        ("several-dnames", Grade.WARN, False),
        ("out-of-zone", Grade.DROP, False),
        ("soa-below-apex", Grade.DROP, False),
    ],
)
def test_what_is_dropped_whatever_stands_beside_it_costs_no_axfr(
    rule: str, grade: Grade, marked: bool
) -> None:
    found = dropped.marks_of(snapshot(5), [Finding(rule, grade, b"\0", 5, "")])
    assert bool(found) is marked
