"""Runs what `signed` measures, signer by signer in turn, and prints it."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator

import attrs

from tests.bench import changes, signed
from tests.bench.changes_table import KEY, Report
from tests.bench.changing import Changing
from tests.bench.load import percentile
from tests.bench.signed import Found
from tests.bench.table import Verdict

YARDSTICK = "openssl speed"
BARE = "`cryptography` alone"
OWN = "xfer, one process that signs"
Results = dict[int, dict[str, list[Found]]]


def signing(counts: list[int], names: list[str], rounds: int, times: int, slack: float) -> Report:
    """`times` changes of ten records a round, for each size and signer."""
    results: Results = {}
    rates: dict[str, list[float]] = {YARDSTICK: [], BARE: [], OWN: []}
    for count, path in changes.fresh(counts, KEY):
        found = results.setdefault(count, {name: [] for name in names})

        def primary(path: object = path, count: int = count) -> Changing:
            return Changing(KEY, path, count)  # type: ignore[arg-type]

        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                found[name].append(signed.measure(name, primary, count, times))
                print(f"  round {number + 1}: {name}", file=sys.stderr)
            rates[YARDSTICK].append(signed.openssl_rate())
            own, bare = signed.own_rates()
            rates[OWN].append(own)
            rates[BARE].append(bare)
    figures = {
        str(count): {name: [attrs.asdict(one) for one in all_] for name, all_ in found.items()}
        for count, found in results.items()
    }
    return Report(
        list(lines(results, rates)),
        {"rates": rates, **figures},
        list(verdicts(results, rates, slack)),
    )


def _median(found: list[Found], name: str) -> float:
    return float(statistics.median(getattr(one.whole, name) for one in found))


def _changes(found: list[Found], name: str) -> list[float]:
    return [getattr(change, name) for one in found for change in one.changes]


def lines(results: Results, rates: dict[str, list[float]]) -> Iterator[str]:
    """The table."""
    for count, found in results.items():
        yield ""
        yield (
            f"{f'{count:,} records signed from nothing':38}{'seconds':>9}{'(min–max)':>16}"
            f"{'signatures/s':>14}{'CPU s':>8}{'/CPU s':>9}{'peak MB':>9}{'signing alone':>15}"
        )
        for name, all_ in found.items():
            seconds = [one.whole.seconds for one in all_]
            cpu, made = _median(all_, "cpu_seconds"), all_[0].whole.signatures
            alone = [one.whole.alone for one in all_ if one.whole.alone is not None]
            yield (
                f"  {name:36}{statistics.median(seconds):9.2f}"
                f"{f'{min(seconds):.2f}–{max(seconds):.2f}':>16}"
                f"{made / statistics.median(seconds):14,.0f}{cpu:8.2f}{made / cpu:9,.0f}"
                f"{_median(all_, 'peak_bytes') / 1e6:9.0f}"
                + (f"{f'{statistics.median(alone):.2f} s':>15}" if alone else "")
            )
        yield (
            f"{f'{signed.CHANGED} records of {count:,} changed':38}{'changes':>9}{'median ms':>11}"
            f"{'p99 ms':>9}{'max ms':>9}{'CPU ms':>9}"
        )
        for name, all_ in found.items():
            if changed := _changes(all_, "seconds"):
                cpu = statistics.median(_changes(all_, "cpu_seconds"))
                yield (
                    f"  {name:36}{len(changed):>9}{statistics.median(changed) * 1e3:11.1f}"
                    f"{percentile(changed, 0.99) * 1e3:9.1f}{max(changed) * 1e3:9.1f}"
                    f"{cpu * 1e3:9.1f}"
                )
        for name, all_ in found.items():
            if latencies := [each for one in all_ for each in one.latencies]:
                yield (
                    f"  SOA queries to {name} while all is signed anew: {len(latencies):,}, "
                    f"p50 {percentile(latencies, 0.5) * 1e3:.2f} ms, "
                    f"p99 {percentile(latencies, 0.99) * 1e3:.2f} ms, "
                    f"max {max(latencies) * 1e3:.1f} ms, lost {sum(map(math.isinf, latencies))}"
                )
    yield ""
    for name, measured in rates.items():
        yield (
            f"{name:38}{statistics.median(measured):9,.0f} signatures/s and core, algorithm 13 "
            f"({min(measured):,.0f}–{max(measured):,.0f})"
        )


def verdicts(results: Results, rates: dict[str, list[float]], slack: float) -> Iterator[Verdict]:
    """The goals, at the largest size."""
    count = max(results)
    found = results[count]
    ours = found.get("xfer")
    others = {name: all_ for name, all_ in found.items() if not name.startswith("xfer")}
    if ours and others:
        for what, name in (("seconds", "seconds"), ("CPU seconds", "cpu_seconds")):
            best = min(others, key=lambda other: _median(others[other], name))
            ratio = _median(ours, name) / _median(others[best], name)
            claim = f"{count:,} records signed, xfer's {what} by the least ({best})"
            yield Verdict(claim, ratio, slack, at_least=False)
    if ours:
        median = statistics.median(_changes(ours, "seconds")) * 1e3
        claim = f"{signed.CHANGED} records of {count:,} changed, ms until served signed"
        yield Verdict(claim, median, 100 * slack, at_least=False)
        latencies = [each for one in ours for each in one.latencies]
        p99 = percentile(latencies, 0.99) * 1e3
        yield Verdict("SOA queries while signing, p99 ms", p99, 20 * slack, at_least=False)
    ratio = statistics.median(rates[YARDSTICK]) / statistics.median(rates[OWN])
    claim = "OpenSSL's signatures/s by those of one process that signs"
    yield Verdict(claim, ratio, 1.25 * slack, at_least=False)
