"""The printed table: medians over the rounds, each server beside the others, and the verdicts."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator

import attrs

from tests.bench import stages
from tests.bench.servers import PEERS
from tests.bench.stages import Figures

Results = dict[int, dict[str, dict[str, list[Figures]]]]
"""Zone size → stage → server → its figures, one or more a round."""

_STAGES = (
    stages.RECEIVE_FIRST,
    stages.RECEIVE_REPLACING,
    stages.SEND_COLD_FIRST,
    stages.SEND_COLD_REPLACED,
    stages.SEND_COLD_RESTARTED,
    stages.SEND_WARM,
    stages.STARTUP,
    stages.LIFE,
)


def median(figures: list[Figures]) -> Figures:
    """The median of each figure by itself."""

    def of(name: str) -> float:
        return float(statistics.median(getattr(f, name) for f in figures))

    plain = Figures(of("seconds"), of("cpu_seconds"), int(of("peak_bytes")))
    if figures[0].lost is None:
        return plain
    return attrs.evolve(
        plain,
        latency_p50=of("latency_p50"),
        latency_p99=of("latency_p99"),
        latency_max=of("latency_max"),
        lost=int(of("lost")),
    )


def lines(results: Results) -> Iterator[str]:
    """The whole table, line by line."""
    for size, rows in results.items():
        yield ""
        yield f"{size:,} records, TSIG hmac-sha256, medians"
        heads = "".join(f"{'× ' + peer:>9}" for peer in PEERS)
        yield (
            f"{'':30}{'server':11}{'records/s':>12}{'seconds':>9}{'(min–max)':>15}{'CPU s':>8}"
            f"{'peak MB':>9}{heads}"
        )
        for stage in _STAGES:
            yield from _stage_lines(size, stage, rows.get(stage, {}))
        yield from _latency_lines(rows.get(stages.UDP, {}))


def _stage_lines(size: int, stage: str, servers: dict[str, list[Figures]]) -> Iterator[str]:
    medians = {name: median(figures) for name, figures in servers.items()}
    for number, (name, figures) in enumerate(medians.items()):
        ratios = "".join(
            f"{medians[peer].seconds / figures.seconds:9.2f}" if peer in medians else f"{'':9}"
            for peer in PEERS
        )
        all_seconds = [f.seconds for f in servers[name]]
        spread = f"{min(all_seconds):.3f}–{max(all_seconds):.3f}"
        timed = stage != stages.LIFE
        rate = f"{size / figures.seconds:,.0f}" if timed and stage != stages.STARTUP else ""
        yield (
            f"{stage if number == 0 else '':30}{name:11}{rate:>12}"
            + (f"{figures.seconds:9.3f}{spread:>15}" if timed else f"{'':24}")
            + f"{figures.cpu_seconds:8.2f}{figures.peak_bytes / 1e6:9.0f}"
            + (ratios if timed else "")
        )


def _latency_lines(servers: dict[str, list[Figures]]) -> Iterator[str]:
    if servers:
        yield (
            f"{stages.UDP + ', 1,000/s':41}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'lost':>7}"
            f"{'transfer s':>12}"
        )
    for name, figures in servers.items():
        row = median(figures)
        worst = max(f.latency_max or 0.0 for f in figures)
        p50, p99 = row.latency_p50 or 0.0, row.latency_p99 or 0.0
        yield (
            f"{'':30}{name:11}{p50 * 1e3:9.2f}{p99 * 1e3:9.2f}"
            f"{worst * 1e3:9.2f}{max(f.lost or 0 for f in figures):7}{row.seconds:12.3f}"
        )


@attrs.frozen
class Verdict:
    """One claim about xfer against a peer's figure of the same run."""

    claim: str
    measured: float
    wanted: float
    at_least: bool = True

    @property
    def holds(self) -> bool:
        if self.at_least:
            return self.measured >= self.wanted
        return self.measured <= self.wanted

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        result = "holds" if self.holds else "MISSED"
        return f"{result:7} {self.claim}: {self.measured:.2f} ({sign} {self.wanted:g})"


def verdicts(results: Results, slack: float = 1.0) -> list[Verdict]:
    """The project's claims at the largest size measured; `slack` above 1 loosens each by it."""
    if not results:
        return []
    rows = results[max(results)]
    found: list[Verdict] = []

    def seconds(stage: str, server: str) -> float | None:
        figures = rows.get(stage, {}).get(server)
        return None if not figures else median(figures).seconds

    def faster(stage: str, peer: str, wanted: float) -> None:
        ours, theirs = seconds(stage, "xfer"), seconds(stage, peer)
        if ours is not None and theirs is not None:
            found.append(Verdict(f"{stage}, × {peer}", theirs / ours, wanted / slack))

    faster(stages.SEND_WARM, "Knot", 3.0)
    faster(stages.SEND_WARM, "BIND", 10.0)
    for stage in (
        stages.SEND_COLD_FIRST,
        stages.SEND_COLD_REPLACED,
        stages.SEND_COLD_RESTARTED,
    ):
        faster(stage, "Knot", 1.0)
    for stage in (stages.RECEIVE_FIRST, stages.RECEIVE_REPLACING):
        faster(stage, "Knot", 1.0)
        faster(stage, "BIND", 1.3)
        ours, pure = seconds(stage, "xfer"), seconds(stage, "xfer pure")
        if ours is not None and pure is not None:
            claim = f"{stage}, pure Python's seconds by compiled"
            found.append(Verdict(claim, pure / ours, 3.0 * slack, at_least=False))
    life = rows.get(stages.LIFE, {})
    if "xfer" in life and "BIND" in life:
        share = median(life["xfer"]).peak_bytes / median(life["BIND"]).peak_bytes
        found.append(Verdict("peak memory by BIND's", share, slack, at_least=False))
    start = seconds(stages.STARTUP, "xfer")
    if start is not None:
        found.append(Verdict("seconds from start to answer", start, 2.0 * slack, at_least=False))
    if udp := rows.get(stages.UDP, {}).get("xfer"):
        p99 = (median(udp).latency_p99 or math.inf) * 1e3
        found.append(Verdict("SOA queries, p99 ms", p99, 20.0 * slack, at_least=False))
    return found + list(_linear(results, slack))


def _linear(results: Results, slack: float) -> Iterator[Verdict]:
    """Seconds per record, largest zone by the next smaller one's."""
    sizes = sorted(results)
    for small, large in itertools.pairwise(sizes):
        for stage in (stages.RECEIVE_FIRST, stages.RECEIVE_REPLACING, stages.SEND_WARM):
            figures = [results[size].get(stage, {}).get("xfer") for size in (small, large)]
            if figures[0] and figures[1]:
                growth = median(figures[1]).seconds / median(figures[0]).seconds
                claim = f"{stage}, {large:,} by {small:,}: seconds' growth by records'"
                measured = growth * small / large
                yield Verdict(claim, measured, 1.5 * slack, at_least=False)
