"""Every line of the table, in the first, a middle and the last message, signed and unsigned.

Each is what an operator sees who forces a transfer: version 1 is served, the transfer of version 2
goes wrong and says so, version 1 is served still, and the next attempt brings version 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from tests.badinput.case import ANSWERS, PLACES, POSITIONS, Case
from tests.badinput.cases import CASES
from tests.badinput.primary import KEY, Primary, Script
from tests.badinput.secondary import Secondary, StoppedClock, pull
from xfer.control.engine import Outcome
from xfer.errors import Failure, TransferError
from xfer.journal import Journal


@attrs.frozen
class Placed:
    """A case at one position, signed or not."""

    case: Case
    where: str
    signed: bool

    @property
    def id(self) -> str:
        return f"{self.case.title}-{self.where}-{'signed' if self.signed else 'unsigned'}"

    @property
    def script(self) -> Script:
        return Script(2, fault=self.case.fault, at=POSITIONS[self.where])

    def fill(self, text: str) -> str:
        n = ANSWERS[self.where]
        return text.format(place=PLACES[self.where], n=n, n1=n + 1, n2=n + 2)


PLACED = [
    Placed(case, where, signed) for case in CASES for where in case.where for signed in case.tsig
]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    path: Path = tmp_path_factory.mktemp("badinput") / "journal.db"
    with Journal.open(f"sqlite://{path}", StoppedClock()) as opened:
        yield opened
        assert opened.verify().ok  # a thousand abandoned transfers have left nothing broken


def run(journal: Journal, placed: Placed, script: Script) -> Outcome:
    """Version 1, the bad transfer, version 2; returns the bad transfer's outcome."""
    key = KEY if placed.signed else None
    case = placed.case
    secondary = Secondary(
        journal, key, policy=case.policy, unsigned_messages=case.unsigned_messages
    )
    primary = Primary([Script(1), script, Script(2)])

    async def main() -> Outcome:
        zone = secondary.zone
        first = await secondary.force_axfr(primary)
        assert (first.ok, zone.serial) == (True, 1)
        served, version, durable = zone.snapshot, zone.version, secondary.durable_serial()
        assert durable == 1
        bad = await secondary.force_axfr(primary)
        assert not bad.ok, bad.message
        assert zone.snapshot is served
        assert zone.version is version
        assert zone.serving(trio.current_time()) is served
        assert secondary.durable_serial() == 1
        assert secondary.notified == 1
        assert zone.error == bad.failure
        good = await secondary.force_axfr(primary)
        assert (good.ok, zone.serial, secondary.durable_serial()) == (True, 2, 2)
        assert zone.error is None
        assert primary.asked == 3
        return bad

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("placed", PLACED, ids=lambda placed: placed.id)
def test_bad_transfer_is_named_and_changes_nothing(journal: Journal, placed: Placed) -> None:
    outcome = run(journal, placed, placed.script)
    assert outcome.failure is not None
    case = placed.case
    expected, comma, got = outcome.message.partition(", got ")
    assert comma
    assert outcome.failure.failure == case.failure.value
    assert outcome.message.startswith(
        f"{case.failure.value}: primary 192.0.2.1#53 from 192.0.2.9: expected "
    )
    assert placed.fill(case.expected) in expected
    rest = got
    for part in placed.fill(case.got).split(" … "):
        assert part in rest
        rest = rest.partition(part)[2]
    if case.placed:
        assert f", in {PLACES[placed.where]}" in got


# With an OPT these are another fault: a second OPT, and a TSIG in the place of answers.
NOT_WITH_OPT = ("BADVERS", "cut to the header")


@pytest.mark.parametrize(
    "placed",
    [
        placed
        for placed in PLACED
        if placed.signed
        and placed.case.fault.edit
        and placed.case.failure is not Failure.AUTH
        and placed.case.title not in NOT_WITH_OPT
    ],
    ids=lambda placed: placed.id,
)
def test_opt_before_the_tsig_makes_no_tsig_error_of_it(placed: Placed) -> None:
    """As BIND and Knot send it: the walk over the message must not stumble over the fault."""

    async def main() -> None:
        script = attrs.evolve(placed.script, opt=True)
        with pytest.raises(TransferError) as caught:
            await pull(Primary([script]), key=KEY, policy=placed.case.policy)
        assert caught.value.failure is placed.case.failure
        assert "(TSIG " not in caught.value.got

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
