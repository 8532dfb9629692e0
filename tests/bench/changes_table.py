"""Runs what `changes` measures, server by server in turn, and prints it."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator

import attrs

from tests.bench import changes
from tests.bench.changes import Cost, Latencies
from tests.bench.changing import Changing
from tests.bench.load import percentile
from tests.bench.table import Verdict
from tests.peers import TsigKey

KEY = TsigKey.make("k1.")


@attrs.frozen
class Report:
    """Lines for people, figures for --json, and the claims that were looked at."""

    lines: list[str]
    figures: object
    verdicts: list[Verdict]


def latency(counts: list[int], names: list[str], rounds: int, times: int, slack: float) -> Report:
    """`times` changes a round, for each size and server."""
    results: dict[int, dict[str, list[Latencies]]] = {}
    for count, path in changes.fresh(counts, KEY):
        found = results.setdefault(count, {name: [] for name in names})
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                with Changing(KEY, path, count) as primary:
                    found[name].append(changes.measure_latency(name, primary, times))
                print(f"  round {number + 1}: {name}", file=sys.stderr)
    return Report(
        list(_latency_lines(results)),
        {
            str(count): {name: [attrs.asdict(one) for one in all_] for name, all_ in found.items()}
            for count, found in results.items()
        },
        list(_latency_verdicts(results, slack)),
    )


def _seconds(rounds: list[Latencies]) -> list[float]:
    return [value for one in rounds for value in one.seconds]


def _latency_lines(results: dict[int, dict[str, list[Latencies]]]) -> Iterator[str]:
    for count, found in results.items():
        yield ""
        yield (
            f"NOTIFY to served, one record of {count:,} changed"
            f"{'changes':>10}{'median ms':>11}{'p99 ms':>9}{'max ms':>9}{'CPU ms':>9}"
        )
        for name, rounds in found.items():
            all_ = _seconds(rounds)
            cpu = sum(one.cpu_seconds for one in rounds) / len(all_)
            yield (
                f"{'':34}{name:12}{len(all_):>10}{statistics.median(all_) * 1e3:11.2f}"
                f"{percentile(all_, 0.99) * 1e3:9.2f}{max(all_) * 1e3:9.2f}{cpu * 1e3:9.2f}"
            )


def _latency_verdicts(
    results: dict[int, dict[str, list[Latencies]]], slack: float
) -> Iterator[Verdict]:
    medians = {
        count: {name: statistics.median(_seconds(all_)) for name, all_ in found.items()}
        for count, found in results.items()
    }
    largest, smallest = medians[max(medians)], medians[min(medians)]
    if "xfer" not in largest:
        return
    if "BIND" in largest:
        claim = "one change, NOTIFY to served: xfer's median by BIND's"
        yield Verdict(claim, largest["xfer"] / largest["BIND"], 3.0 * slack, at_least=False)
    if len(medians) > 1:
        claim = f"the same, {max(medians):,} records by {min(medians):,}"
        growth = largest["xfer"] / smallest["xfer"]
        yield Verdict(claim, growth, 1.5 * slack, at_least=False)


def ixfr(
    counts: list[int], names: list[str], rounds: int, size: int, times: int, slack: float
) -> Report:
    """Deltas of `size` changes, `times` a round."""
    results: dict[int, dict[str, dict[str, list[Cost]]]] = {}
    for count, path in changes.fresh(counts, KEY):
        found = results.setdefault(count, {})
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                with Changing(KEY, path, count) as primary:
                    measured = changes.measure_ixfr(name, primary, size, times)
                for stage, costs in measured.items():
                    found.setdefault(stage, {}).setdefault(name, []).extend(costs)
                print(f"  round {number + 1}: {name}", file=sys.stderr)
    return Report(
        list(_ixfr_lines(results, size)),
        {
            str(count): {
                stage: {name: [attrs.asdict(cost) for cost in costs] for name, costs in by.items()}
                for stage, by in found.items()
            }
            for count, found in results.items()
        },
        list(_ixfr_verdicts(results, slack)),
    )


def _ixfr_lines(results: dict[int, dict[str, dict[str, list[Cost]]]], size: int) -> Iterator[str]:
    for count, found in results.items():
        yield ""
        yield (
            f"{f'IXFR of {size:,} changes, {count:,} records':46}{'seconds':>9}"
            f"{'(min–max)':>16}{'CPU s':>8}"
        )
        for stage in (changes.INTO, changes.OUT, changes.OUT_RESTARTED):
            for number, (name, costs) in enumerate(found.get(stage, {}).items()):
                seconds = [cost.seconds for cost in costs]
                spread = f"{min(seconds):.4f}–{max(seconds):.4f}"
                cpu = statistics.median(cost.cpu_seconds for cost in costs)
                yield (
                    f"  {stage if number == 0 else '':32}{name:12}"
                    f"{statistics.median(seconds):9.4f}{spread:>16}{cpu:8.2f}"
                )


def _ixfr_verdicts(
    results: dict[int, dict[str, dict[str, list[Cost]]]], slack: float
) -> Iterator[Verdict]:
    found = results[max(results)]
    for stage in (changes.INTO, changes.OUT):
        medians = {
            name: statistics.median(cost.seconds for cost in costs)
            for name, costs in found.get(stage, {}).items()
        }
        if "xfer" in medians and "BIND" in medians:
            claim = f"IXFR {stage}: xfer's seconds by BIND's"
            yield Verdict(claim, medians["xfer"] / medians["BIND"], 3.0 * slack, at_least=False)
