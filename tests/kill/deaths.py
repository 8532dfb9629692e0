"""What became of each round, and the histogram of them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from tests.kill import plan as plans
from tests.kill.plan import Plan


@attrs.frozen
class Death:
    """One round's end.

    where: as `plan.place` says; ahead: whether it was writing blocks ahead; new: whether the
    version that served afterwards was the one on its way; child: whether a process of its own was
    parsing; forced: whether `force-axfr --wait` had asked for the transfer.
    """

    plan: Plan
    where: str
    ahead: bool
    new: bool
    child: bool
    forced: bool


def hits(deaths: Sequence[Death]) -> Counter[str]:
    """How often it died in each row of POINTS, and elsewhere; AHEAD counts beside the others."""
    counted = Counter(death.where for death in deaths)
    counted[plans.AHEAD] = sum(death.ahead for death in deaths)
    return counted


def histogram(deaths: Sequence[Death]) -> list[str]:
    """One line a phase: how often, in what circumstances, and which version served afterwards."""
    columns = f"{'serves old':>11} {'new':>4} {'writing ahead':>14} {'child':>6} {'force-axfr':>11}"
    lines = [f"{'died while':<18} {'kills':>5} {columns}"]
    for row in [*plans.PHASES, plans.AFTER, "before"]:
        here = [death for death in deaths if death.where == row]
        if not here and row not in plans.PHASES:
            continue
        new = sum(death.new for death in here)
        lines.append(
            f"{row:<18} {len(here):>5} {len(here) - new:>11} {new:>4}"
            f" {sum(death.ahead for death in here):>14} {sum(death.child for death in here):>6}"
            f" {sum(death.forced for death in here):>11}  {'#' * len(here)}"
        )
    return lines
