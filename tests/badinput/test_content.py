"""Content that a policy lets through: what is dropped is gone, what is warned of stays, and both
are reported."""

from __future__ import annotations

import attrs
import pytest
import trio
import trio.testing

from tests.badinput.case import POSITIONS, edit, put
from tests.badinput.primary import CNAME, KEY, SOA, A, Draft, Fault, Primary, Script, name, rr
from tests.badinput.secondary import pull
from xfer.server.pull import PullResult
from xfer.wire import names, records
from xfer.zone.check import Grade, Policy

HOST = name("bad")
ADDRESS = b"\x0a\x00\x00\xff"
OUTSIDE = name("www.example.net.")


def _both(draft: Draft) -> None:
    draft.put(rr(HOST, CNAME, name("ns1")))
    draft.put(rr(HOST, A, ADDRESS))


def _two(draft: Draft) -> None:
    draft.put(rr(HOST, CNAME, name("ns1")))
    draft.put(rr(HOST, CNAME, name("ns2")))


@attrs.frozen
class Kept:
    """rule, grade: the policy; left: types that stay at bad.example.com; finding: what is said."""

    fault: Fault
    rule: str
    grade: Grade
    left: list[int]
    finding: str


KEPT = [
    Kept(
        put(rr(OUTSIDE, A, ADDRESS)),
        "out-of-zone",
        Grade.DROP,
        [],
        "out-of-zone (drop): www.example.net. A: is not at or below example.com.",
    ),
    Kept(
        edit(_both),
        "cname-and-other",
        Grade.DROP,
        [A],
        "cname-and-other (drop): bad.example.com. CNAME: stands beside 1 other record(s)",
    ),
    Kept(
        edit(_both),
        "cname-and-other",
        Grade.WARN,
        [A, CNAME],
        "cname-and-other (warn): bad.example.com. CNAME: stands beside 1 other record(s)",
    ),
    Kept(
        edit(_two),
        "several-cnames",
        Grade.DROP,
        [CNAME],
        "several-cnames (drop): bad.example.com. CNAME: stands 2 times",
    ),
    Kept(
        edit(_two),
        "several-cnames",
        Grade.WARN,
        [CNAME, CNAME],
        "several-cnames (warn): bad.example.com. CNAME: stands 2 times",
    ),
    Kept(
        put(rr(HOST, SOA, name("a") + name("b") + bytes(20))),
        "soa-below-apex",
        Grade.DROP,
        [],
        "soa-below-apex (drop): bad.example.com. SOA: is not at the apex",
    ),
]


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("where", list(POSITIONS))
@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: f"{kept.rule}-{kept.grade.value}")
def test_policy_applies(kept: Kept, where: str, signed: bool) -> None:
    primary = Primary([Script(2, fault=kept.fault, at=POSITIONS[where])])
    policy = Policy({kept.rule: kept.grade})

    async def main() -> PullResult:
        return await pull(primary, key=KEY if signed else None, policy=policy)

    result = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    snapshot = result.snapshot
    at_host = snapshot.owner(names.key_of(HOST, snapshot.origin))
    assert [records.split(record)[1] for record in at_host] == kept.left
    assert snapshot.count == 15 + len(kept.left)
    assert kept.finding in [str(finding) for finding in result.findings]
