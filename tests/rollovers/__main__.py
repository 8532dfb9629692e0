"""`python -m tests.rollovers`: ten years of each kind of rollover, and each wait left out."""

from __future__ import annotations

import argparse
import sys
import time

from tests.rollovers.moving import Pair
from tests.rollovers.mutants import MUTANTS, PAIR_MUTANTS, caught
from tests.rollovers.scenarios import SCENARIOS, Scenario


def lived(scenario: Scenario, years: float, seed: int) -> tuple[str, list[str]]:
    """A line of the report, and what was wrong."""
    started = time.monotonic()
    world, verdict = scenario.run(years, seed)
    wrong = [f"{bogus.why}, at {bogus.at:.0f}" for bogus in verdict.bogus[:3]]
    for kind, least in scenario.least.items():
        if world.counts[kind] < least * years / 10:
            wrong.append(f"{world.counts[kind]} × {kind}, expected {least * years / 10:.0f}")
    rolled = ", ".join(
        f"{count} {kind}" for kind, count in sorted(world.counts.items()) if kind != "served"
    )
    spent = time.monotonic() - started
    return (
        f"{scenario.name:28} {len(verdict.bogus):5} bogus of {verdict.moments} moments, "
        f"{verdict.combinations} combinations; {rolled}; {spent:.1f} s",
        wrong,
    )


def _two_signers() -> int:
    """Two signers together for a while, then one; and each wait between them left out."""
    failures = 0
    for stay in (0, 400):
        for seed in (1, 2):
            pair = Pair(seed, stay=stay)
            verdict = pair.run(30 + stay)
            failures += len(verdict.bogus) + (not pair.finished())
            rolled = pair.counts["old zsk lifetime"] + pair.counts["new zsk lifetime"]
            print(
                f"two signers for {stay:3} days, then one {len(verdict.bogus):5} bogus of "
                f"{verdict.moments} moments, {verdict.combinations} combinations; {rolled} ZSKs "
                f"replaced, {sum(pair.early.values())} early steps refused"
            )
    for name, timing, together in PAIR_MUTANTS:
        seen = len(Pair(timing=timing, stay=together).run(30 + together).bogus)
        failures += not seen
        print(f"{name:24} between signers: {seen} bogus moments" + ("" if seen else " NOT CAUGHT"))
    return failures


def main() -> int:
    """Exit status 0 where nothing is bogus that should not be, and every mutant was caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3, help="worlds of each kind")
    parser.add_argument("--only", default="", help="kinds whose name has that in it")
    given = parser.parse_args()
    failures = 0
    print(f"{given.years:g} years of policy, {given.seeds} worlds of each kind:")
    for scenario in SCENARIOS:
        if given.only not in scenario.name:
            continue
        for seed in range(1, given.seeds + 1):
            line, wrong = lived(scenario, given.years, seed)
            print(line, flush=True)
            for why in wrong:
                print(f"    WRONG: {why}", flush=True)
            failures += len(wrong)
    if not given.only:
        failures += _two_signers()
    print("\neach wait and rule left out:")
    for mutant in MUTANTS:
        for name in mutant.scenarios:
            if given.only not in name:
                continue
            tries = ((caught(mutant, name, seed, given.years), seed) for seed in range(1, 5))
            found = next(((when, seed) for when, seed in tries if when[0]), None)
            if found is None:
                failures += 1
                print(f"{mutant.name:24} {name:28} NOT CAUGHT", flush=True)
            else:
                (year, bogus), seed = found
                print(
                    f"{mutant.name:24} {name:28} caught within {year:g} years, {bogus} bogus "
                    f"moments, seed {seed}",
                    flush=True,
                )
    print("all as it should be" if not failures else f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
