"""The short form of `make rollovers`: fewer years, one world of each kind, each mutant once."""

from __future__ import annotations

import pytest

from tests.rollovers.mutants import MUTANTS, Mutant, caught
from tests.rollovers.scenarios import SCENARIOS, Scenario

YEARS = 1.5


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_validator_ever_sees_a_bogus_answer(scenario: Scenario) -> None:
    world, verdict = scenario.run(YEARS, seed=7)
    assert verdict.bogus == []
    assert verdict.combinations > 20
    # Half of what ten years have to bring in proportion: so short a time varies more.
    for kind, least in scenario.least.items():
        assert world.counts[kind] >= least * YEARS / 20, (kind, world.counts)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wait_that_is_left_out_is_seen(mutant: Mutant) -> None:
    scenario = mutant.scenarios[0]
    assert any(caught(mutant, scenario, seed, 4.0)[0] for seed in range(1, 4))
