"""A short form of `python -m tests.answers`: all zones, a few thousand queries, no finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.answers.__main__ import run_world
from tests.answers.compare import Tally
from tests.answers.kinds import KINDS
from tests.answers.world import SHARED, generated, real

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def complaints(tally: Tally) -> str:
    return "\n\n".join(str(finding) for finding in tally.findings[:10])


def test_generated_zones_are_answered_as_bind_knot_and_nsd_do(tmp_path: Path) -> None:
    tally = Tally()
    run_world(generated(tmp_path, 2), 4000, 2, "xfer", tally)
    assert not tally.findings, complaints(tally)
    assert set(KINDS) <= set(tally.asked)
    # Signed answers have been proved, not only compared.
    assert sum(tally.checked.values()) > 1000


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/zones")
def test_the_root_and_arpa_are_answered_as_bind_knot_and_nsd_do() -> None:
    tally = Tally()
    run_world(real(), 1000, 2, "xfer", tally)
    assert not tally.findings, complaints(tally)
