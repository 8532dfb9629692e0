"""The Prometheus text, read by Prometheus's own parser."""

from __future__ import annotations

import subprocess

from prometheus_client.parser import text_string_to_metric_families

from tests.control.conftest import Control
from xfer.control.engine import ServerStatus
from xfer.control.metrics import exposition
from xfer.server.statistics import QueryStatus, Statistics
from xfer.server.status import SignatureStatus

STATUS = ServerStatus("1.0", 1, 1000.0, "compiled", "x", "y", states={"current": 7}, tcp_clients=3)


def parsed(text: bytes | str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels; none is there twice."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text if isinstance(text, str) else text.decode()):
        assert family.documentation
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def status(queries: QueryStatus) -> ServerStatus:
    return ServerStatus("1.0", 1, 1000.0, "compiled", "x", "y", queries=queries)


def counted(zones: int = 0, most: int = 2) -> QueryStatus:
    statistics = Statistics()
    statistics.count(6, 0, False)
    statistics.count(6, 0, False)
    statistics.count(0, 1, True)
    statistics.count_limited("truncated")
    for seconds in (0.000003, 0.00007, 0.00007, 30.0):
        statistics.took(seconds)
    for number in range(zones):
        statistics.count_zone(b"%d" % number)
    return statistics.report(lambda origin: f'{origin.decode()}"\\.', most)


def test_a_daemon_that_was_never_asked_has_its_figures() -> None:
    samples = parsed(exposition(STATUS))
    assert samples["xfer_zones", (("state", "current"),)] == 7
    assert samples["xfer_zones", (("state", "expired"),)] == 0
    assert samples["xfer_tcp_clients", ()] == 3
    assert samples["xfer_info", (("kernel", "compiled"), ("version", "1.0"))] == 1
    assert samples["xfer_service_seconds_count", ()] == 0
    assert samples["xfer_process_resident_memory_bytes", ()] > 0


def test_ends_of_signatures_are_told() -> None:
    signatures = SignatureStatus(2, 1, {"example.com.": 1800000000.0})
    found = ServerStatus("1.0", 1, 1000.0, "compiled", "x", "y", signatures=signatures)
    samples = parsed(exposition(found))
    assert samples["xfer_zones_signatures", (("state", "near"),)] == 2
    assert samples["xfer_zones_signatures", (("state", "ended"),)] == 1
    labels = (("zone", "example.com."),)
    assert samples["xfer_signatures_end_timestamp_seconds", labels] == 1800000000.0


def test_requests_are_labelled() -> None:
    samples = parsed(exposition(status(counted())))
    labels = (("rcode", "NOERROR"), ("transport", "udp"), ("type", "SOA"))
    assert samples["xfer_requests_total", labels] == 2
    labels = (("rcode", "FORMERR"), ("transport", "tcp"), ("type", "unreadable"))
    assert samples["xfer_requests_total", labels] == 1
    assert samples["xfer_rate_limited_total", (("action", "truncated"),)] == 1
    assert samples["xfer_rate_limited_total", (("action", "dropped"),)] == 0


def test_signatures_are_counted_by_what_became_of_them() -> None:
    statistics = Statistics()
    statistics.count_signed({"made": 2, "refused": 1})
    samples = parsed(exposition(status(statistics.report(lambda origin: None, 0))))
    for result, count in (("made", 2), ("again", 0), ("refused", 1)):
        assert samples["xfer_online_signatures_total", (("result", result),)] == count


def test_the_histogram_is_cumulative() -> None:
    samples = parsed(exposition(status(counted())))
    buckets = {
        float(labels[0][1]): value
        for (name, labels), value in samples.items()
        if name == "xfer_service_seconds_bucket"
    }
    assert buckets[0.00001] == buckets[0.00005] == 1
    assert buckets[0.0001] == buckets[1.0] == 3
    assert buckets[float("inf")] == samples["xfer_service_seconds_count", ()] == 4
    assert samples["xfer_service_seconds_sum", ()] > 30


def test_zones_beyond_the_limit_are_one_and_names_are_escaped() -> None:
    samples = parsed(exposition(status(counted(zones=5))))
    zones = {
        labels[0][1]: value
        for (name, labels), value in samples.items()
        if name == "xfer_zone_queries_total"
    }
    assert zones == {'0"\\.': 1, '1"\\.': 1, "": 3}


def test_curl_gets_them_from_the_control_socket(control: Control) -> None:
    made = subprocess.run(
        ["curl", "-sS", "-i", "--unix-socket", str(control.path), "http://xfer/metrics"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    head, _, body = made.stdout.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 200")
    assert "content-type: text/plain; version=0.0.4" in head
    assert parsed(body)["xfer_tcp_clients", ()] >= 0
