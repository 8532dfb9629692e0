"""Runs `answers` and `replacing` for each size, and prints them."""

from __future__ import annotations

import attrs

from tests.bench import answers as rates
from tests.bench import replacing as replaced
from tests.bench.answers import MAKERS
from tests.bench.changes_table import Report
from tests.bench.table import Verdict

__all__ = ["MAKERS", "answers", "replacing"]


def answers(counts: list[int], names: list[str], rounds: int, slack: float) -> Report:
    """Hot and cold queries to each server."""
    lines: list[str] = []
    figures: dict[str, object] = {}
    verdicts: list[Verdict] = []
    for count in counts:
        results = rates.run(count, names, rounds)
        lines += rates.lines(count, results)
        verdicts = list(rates.verdicts(results, slack))
        figures[str(count)] = {
            kind: {
                name: [attrs.asdict(one, filter=lambda a, _: a.name != "latencies") for one in all_]
                for name, all_ in servers.items()
            }
            for kind, servers in results.items()
        }
    return Report(lines, figures, verdicts)


def replacing(counts: list[int], names: list[str], slack: float) -> Report:
    """Twenty new versions under full load."""
    lines: list[str] = []
    figures: dict[str, object] = {}
    verdicts: list[Verdict] = []
    for count in counts:
        for name in names:
            found = replaced.run(count, name)
            lines += replaced.lines(count, name, found)
            figures[f"{name} {count}"] = attrs.asdict(
                found, filter=lambda a, _: a.name != "latencies"
            )
            if name in ("xfer", rates.ONE_WORKER):
                verdicts += replaced.verdicts(name, found, slack)
    return Report(lines, figures, verdicts)
