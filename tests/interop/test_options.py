"""What dig and kdig see of our options, and what a rate limit leaves to real clients."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.peers import PrimaryZone, Xferd

pytestmark = pytest.mark.lab

ZONE = "example.test."
TEXT = "@ 300 SOA ns1 host 7 3600 600 86400 60\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"
RATES = "[rrl]\nresponses_per_second = 1\nburst = 5\nslip = {slip}\n"


def daemon(extra: str = "") -> Xferd:
    server = '[server]\nlisten = ["{listen}"]\njournal = "{journal}"\ncontrol = "{control}"\n'
    more = 'nsid = "xfer at home"\n[limits]\ntcp_idle_timeout = 7.5\n'
    made = Xferd([PrimaryZone(ZONE, TEXT)])
    zone = f'[[zone]]\nname = "{ZONE}"\nrole = "primary"\nfile = "{made.zone_file(ZONE)}"\n'
    made.config = server + more + extra + zone
    return made


@pytest.fixture(scope="module")
def xfer() -> Iterator[Xferd]:
    with daemon() as server:
        server.wait_serving(ZONE, 7)
        yield server


def run(program: str, server: Xferd, *words: str) -> str:
    made = subprocess.run(
        [program, f"@{server.address}", "-p", str(server.port), *words],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return made.stdout


def test_dig_sees_cookie_nsid_expire_and_keepalive(xfer: Xferd) -> None:
    said = run("dig", xfer, ZONE, "SOA", "+nsid", "+expire", "+cookie")
    assert re.search(r"; COOKIE: [0-9a-f]{48} \(good\)", said)
    assert '("xfer at home")' in said
    assert "; EXPIRE: 86400" in said
    assert "KEEPALIVE" not in said
    assert "; TCP KEEPALIVE: 7.5 secs" in run("dig", xfer, ZONE, "SOA", "+tcp", "+keepalive")


def test_dig_is_told_what_is_wrong(xfer: Xferd) -> None:
    assert "EDE: 20 (Not Authoritative)" in run("dig", xfer, "example.net.", "SOA")
    assert "status: BADVERS" in run("dig", xfer, ZONE, "SOA", "+edns=1", "+noednsnegotiation")
    assert "status: FORMERR" in run("dig", xfer, ZONE, "SOA", "+cookie=0102")
    unknown = run("dig", xfer, ZONE, "SOA", "+ednsopt=65001:beef")
    assert "status: NOERROR" in unknown
    assert "; OPT=65001" not in unknown


def test_dig_gets_a_cookie_without_a_question(xfer: Xferd) -> None:
    said = run("dig", xfer, "+header-only", "+cookie")
    assert "status: NOERROR" in said
    assert "(good)" in said


def test_kdig_sees_cookie_and_nsid_and_keeps_a_connection(xfer: Xferd) -> None:
    said = run("kdig", xfer, ZONE, "SOA", "+cookie", "+nsid")
    assert re.search(r";; COOKIE: [0-9A-F]{48}", said)
    assert '"xfer at home"' in said
    kept = run("kdig", xfer, "+tcp", "+keepopen", ZONE, "SOA", ZONE, "NS", ZONE, "TXT")
    assert kept.count("status: NOERROR") == 3


def flood(server: Xferd, count: int) -> None:
    for number in range(count):
        query = dns.message.make_query(ZONE, "SOA", id=number)
        try:
            dns.query.udp(query, server.address, timeout=0.05, port=server.port)
        except dns.exception.Timeout:
            continue


def spent(server: Xferd) -> float:
    """Use up what the rate allows, 1 a second: until when, on the monotonic clock, no answer is
    whole. The bucket lacked something at the last query that got TC, and then gave one away."""
    lacking: float | None = None
    while True:
        query, asked = dns.message.make_query(ZONE, "SOA"), time.monotonic()
        try:
            answer = dns.query.udp(query, server.address, timeout=5, port=server.port)
        except dns.exception.Timeout:
            continue
        if answer.flags & dns.flags.TC:
            lacking = asked
        elif lacking is not None:
            return lacking + 1.0


def limited_dig(server: Xferd, sign: str, *words: str) -> str:
    """What dig says above the rate; again where it took so long that it may not have been."""
    while True:
        until = spent(server)
        said = run("dig", server, ZONE, "SOA", *words)
        if sign in said or time.monotonic() < until:
            return said


def test_above_the_rate_a_client_comes_back_over_tcp_or_with_a_cookie() -> None:
    with daemon(RATES.replace("{slip}", "1")) as limited:
        limited.wait_serving(ZONE, 7)
        sign = ";; Truncated, retrying in TCP mode."
        said = limited_dig(limited, sign, "+nocookie")
        assert sign in said
        assert "(TCP)" in said
        assert "ns1.example.test." in said
        sign = ";; BADCOOKIE, retrying."
        said = limited_dig(limited, sign, "+cookie")
        assert sign in said
        assert "(UDP)" in said
        assert "ns1.example.test." in said


def test_the_figures_tell_of_all_that() -> None:
    with daemon(RATES.replace("{slip}", "2")) as limited:
        limited.wait_serving(ZONE, 7)
        flood(limited, 20)
        made = subprocess.run(
            ["curl", "-sS", "--unix-socket", str(limited.control), "http://xfer/metrics"],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(made.stdout)
        for sample in family.samples
    }
    asked = {key: value for key, value in samples.items() if key[0] == "xfer_requests_total"}
    # The fixture asks as well.
    assert sum(asked.values()) >= 20
    dropped = samples["xfer_rate_limited_total", "dropped"]
    assert dropped >= 5
    assert samples["xfer_requests_total", "SOA", "none", "udp"] == dropped
    assert samples["xfer_rate_limited_total", "truncated"] >= 5
    assert samples["xfer_zone_queries_total", ZONE] >= 20
