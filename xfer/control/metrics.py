"""The daemon's figures in Prometheus' text format, through prometheus_client.

Label values are bounded: types and RCODEs have names or are "other", zones are those that the
engine names one by one (`limits.statistics_zones`), and "" stands for all others together.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from xfer.control.engine import ServerStatus, ZoneState
from xfer.server.statistics import SAMPLED

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def exposition(status: ServerStatus) -> bytes:
    """All figures of `status`, and what the operating system says of this process."""
    registry = CollectorRegistry()
    registry.register(_Server(status))
    ProcessCollector(namespace="xfer", registry=registry)
    return generate_latest(registry)


@attrs.define(eq=False)
class _Server(Collector):
    status: ServerStatus

    def collect(self) -> Iterator[Metric]:
        status = self.status
        about = {"version": status.version, "kernel": status.kernel}
        yield InfoMetricFamily("xfer", "Version, and form of the kernel.", about)
        yield from _queries(status)
        yield from _signatures(status)
        zones = GaugeMetricFamily("xfer_zones", "Zones by state.", labels=["state"])
        for state in ZoneState:
            zones.add_metric([state.value], status.states.get(state.value, 0))
        yield zones
        transfers = GaugeMetricFamily(
            "xfer_transfers_running", "Transfers now.", labels=["direction"]
        )
        transfers.add_metric(["in"], status.transfers_in)
        transfers.add_metric(["out"], status.transfers_out)
        yield transfers
        yield GaugeMetricFamily("xfer_tcp_clients", "TCP connections now.", status.tcp_clients)
        yield GaugeMetricFamily(
            "xfer_image_bytes", "Memory of ready-made AXFR messages.", status.image_bytes
        )


def _signatures(status: ServerStatus) -> Iterator[Metric]:
    signatures = status.signatures
    worrying = GaugeMetricFamily(
        "xfer_zones_signatures",
        'Zones whose first signature has "ended", or ends soon and is not renewed ("near").',
        labels=["state"],
    )
    worrying.add_metric(["near"], signatures.near)
    worrying.add_metric(["ended"], signatures.ended)
    yield worrying
    ends = GaugeMetricFamily(
        "xfer_signatures_end_timestamp_seconds",
        "When the first signature of a zone ends, signed here or elsewhere; those to worry about "
        "are among those shown.",
        labels=["zone"],
    )
    for name, at in signatures.ends_at.items():
        ends.add_metric([name], at)
    yield ends


def _queries(status: ServerStatus) -> Iterator[Metric]:
    queries = status.queries
    requests = CounterMetricFamily(
        "xfer_requests",
        'Requests; type is "notify", "opcode", "unreadable" or "other" where it is no type with a '
        'name, rcode "none" where nothing was answered.',
        labels=["transport", "type", "rcode"],
    )
    for asked in queries.asked:
        requests.add_metric([asked.transport, asked.type, asked.rcode], asked.count)
    yield requests
    zones = CounterMetricFamily(
        "xfer_zone_queries",
        'Queries by zone, those without any left out; zone "" is all that are not shown apart.',
        labels=["zone"],
    )
    for name, count in queries.zones.items():
        zones.add_metric([name], count)
    if queries.zones_more:
        zones.add_metric([""], queries.zones_more)
    yield zones
    limited = CounterMetricFamily(
        "xfer_rate_limited", "Answers above the rate limit.", labels=["action"]
    )
    for action in ("dropped", "truncated", "badcookie", "unchanged"):
        limited.add_metric([action], queries.limited.get(action, 0))
    yield limited
    signed = CounterMetricFamily(
        "xfer_online_signatures",
        "Signatures that answers needed when they were asked for.",
        labels=["result"],
    )
    for result in ("made", "again", "refused"):
        signed.add_metric([result], queries.signed.get(result, 0))
    yield signed
    service = queries.service
    sums, so_far = [], 0
    for bound, count in zip((*service.bounds, float("inf")), service.counts, strict=True):
        so_far += count
        sums.append(("+Inf" if bound == float("inf") else repr(bound), so_far))
    yield HistogramMetricFamily(
        "xfer_service_seconds",
        f"From a request's octets to its answer's; one request in {SAMPLED} is timed.",
        buckets=sums,
        sum_value=service.total,
    )
