"""The short form of `make bench ARGS='--only signing'`: each signer signs all of a small zone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import changes, signed, signed_table, zone
from tests.bench.changes_table import KEY
from tests.bench.changing import Changing
from tests.bench.signed import Change, Expected, Found, Signing
from tests.peers import SecondaryZone

COUNT = 1234
TIMES = 2


def found(seconds: float, change: float, p99: float = 0.001) -> Found:
    return Found(Signing(seconds, seconds, 1 << 20, 800), [Change(change, change)] * 3, [p99] * 9)


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in signed.NAMES if name != "dnssec-signzone -n 1"])
def test_each_signs_all_of_the_zone_and_what_changed(name: str) -> None:
    for count, path in changes.fresh([COUNT], KEY):

        def primary(path: Path = path, count: int = count) -> Changing:
            return Changing(KEY, path, count)

        one = signed.measure(name, primary, count, TIMES)
    assert one.whole.signatures == Expected.of(COUNT).signatures
    changed = {"ldns-signzone": 0, "dnssec-signzone": 1}
    assert len(one.changes) == changed.get(name, TIMES)
    assert (len(one.latencies) > 0) == (name == "xfer")


def test_what_signing_makes_of_a_zone_is_counted() -> None:
    """By hand: 26 records are the apex (SOA, NS, MX), two name servers and 2 of each unit."""
    assert len(list(zone.records(26))) == 26
    # Names: apex, 2 customers, 2 hosts, ns1, ns2, 2 www. RRsets: 3 and the DNSKEY, 4 a host.
    signatures = 4 + 2 * 4 + 2 + 2 + 9
    assert Expected.of(26) == Expected(26 + 2 + 9 + signatures, signatures)
    Expected.of(26).check(26 + 2 + 9 + signatures + 2)
    with pytest.raises(signed.Wrong, match="expected 62 records"):
        Expected.of(26).check(61)


def test_the_signers_of_zones_have_their_policies(tmp_path: Path) -> None:
    zones = [SecondaryZone(zone.ZONE, [])]
    for name, text in (("BIND", 'dnssec-policy "bench"; inline-signing yes'), ("Knot", "bench")):
        server = signed.SERVERS[name](zones, tmp_path / name)
        server.prepare()
        written = "".join(file.read_text() for file in server.directory.glob("*.conf"))
        assert text in written


def test_the_verdicts_are_the_goals() -> None:
    def missed(ours: Found, rate: float) -> list[str]:
        results = {10: {"xfer": [ours], "Knot": [found(2.0, 1.0)]}}
        rates = {signed_table.YARDSTICK: [125.0], signed_table.OWN: [rate]}
        assert list(signed_table.lines(results, rates))
        verdicts = signed_table.verdicts(results, rates, 1.0)
        return [verdict.claim.split(",")[0] for verdict in verdicts if not verdict.holds]

    assert missed(found(1.9, 0.09), 100.0) == []
    assert missed(found(2.1, 0.11, 0.021), 99.0) == [
        "10 records signed",
        "10 records signed",
        "10 records of 10 changed",
        "SOA queries while signing",
        "OpenSSL's signatures/s by those of one process that signs",
    ]
