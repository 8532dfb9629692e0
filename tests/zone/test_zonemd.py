"""ZONEMD (RFC 8976): digests as others make them, what verifies and what does not, and at what.

Oracles: the examples of RFC 8976 appendix A, dnspython's digest, the real root and arpa zones,
ldns, and a digest made in the plainest way from what came.
"""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import dns.name
import dns.zone
import dns.zonetypes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import (
    ORIGIN,
    Entry,
    apex,
    batches,
    entries,
    host,
    message,
    ns_entry,
    parse,
    soa_entry,
    wire,
)
from tests.zone import changing
from xfer.errors import ZoneRejected
from xfer.wire import names, records
from xfer.zone.block import LARGEST
from xfer.zone.build import Builder
from xfer.zone.changeset import diff
from xfer.zone.check import Grade, Policy
from xfer.zone.deltas import Deltas
from xfer.zone.snapshot import APEX, Snapshot
from xfer.zone.zonefile import read_zone_text, write_zone_file
from xfer.zone.zonemd import (
    SHA384,
    SHA512,
    Digester,
    brings_zonemd,
    digest_of,
    has_zonemd,
    make_zonemd,
)

ZONES = Path(__file__).parents[3] / "shared" / "zones"
EXAMPLE = names.from_text("example.")
WARN = Policy({"zonemd": Grade.WARN})
LAX = Policy({**changing.LAX.grades, "zonemd": Grade.WARN})
# Whatever the checks find is mended or dropped, so that what is served differs from what came.
MENDING = Policy(
    dict.fromkeys(("cname-and-other", "several-cnames", "several-dnames", "rrset-size"), Grade.DROP)
)

# RFC 8976 appendix A.1, A.2 (with its errata) and A.3.
HEAD = """
example. 86400 IN SOA ns1.example. admin.example. 2018031900 1800 900 604800 86400
example. 86400 IN NS ns1.example.
example. 86400 IN NS ns2.example.
"""
SIMPLE = f"""{HEAD}
example. 86400 IN ZONEMD 2018031900 1 1 (
    c68090d90a7aed71 6bc459f9340e3d7c 1370d4d24b7e2fc3
    a1ddc0b9a87153b9 a9713b3c9ae5cc27 777f98b8e730044c )
ns1.example. 3600 IN A 203.0.113.63
ns2.example. 3600 IN AAAA 2001:db8::63
"""
COMPLEX = f"""{HEAD}
example. 86400 IN ZONEMD 2018031900 1 1 (
    a3b69bad980a3504 e1cffcb0fd6397f9 3848071c93151f55
    2ae2f6b1711d4bd2 d8b39808226d7b9d b71e34b72077f8fe )
ns1.example. 3600 IN A 203.0.113.63
NS2.example. 3600 IN AAAA 2001:db8::63
occluded.sub.example. 7200 IN TXT "I'm occluded but must be digested"
sub.example. 7200 IN NS ns1.example.
duplicate.example. 300 IN TXT "I must be digested just once"
duplicate.example. 300 IN TXT "I must be digested just once"
foo.test. 555 IN TXT "out-of-zone data must be excluded"
UPPERCASE.example. 3600 IN TXT "canonicalize uppercase owner names"
*.example. 777 IN PTR dont-forget-about-wildcards.example.
mail.example. 3600 IN MX 20 MAIL1.example.
mail.example. 3600 IN MX 10 Mail2.Example.
sortme.example. 3600 IN AAAA 2001:db8::5:61
sortme.example. 3600 IN AAAA 2001:db8::3:62
sortme.example. 3600 IN AAAA 2001:db8::4:63
sortme.example. 3600 IN AAAA 2001:db8::1:65
sortme.example. 3600 IN AAAA 2001:db8::2:64
non-apex.example. 900 IN ZONEMD 2018031900 1 1 (
    616c6c6f77656420 6275742069676e6f 7265642e20616c6c
    6f77656420627574 2069676e6f726564 2e20616c6c6f7765 )
"""
SEVERAL = f"""{HEAD}
example. 86400 IN ZONEMD 2018031900 1 1 (
    62e6cf51b02e54b9 b5f967d547ce4313 6792901f9f88e637
    493daaf401c92c27 9dd10f0edb1c56f8 080211f8480ee306 )
example. 86400 IN ZONEMD 2018031900 1 2 (
    08cfa1115c7b948c 4163a901270395ea 226a930cd2cbcf2f a9a5e6eb85f37c8a
    4e114d884e66f176 eab121cb02db7d65 2e0cc4827e7a3204 f166b47e5613fd27 )
example. 86400 IN ZONEMD 2018031900 1 240 ( e2d523f654b9422a 96c5a8f44607bbee )
example. 86400 IN ZONEMD 2018031900 241 1 (
    e1846540e33a9e41 89792d18d5d131f6 05fc283eaaaaaaaa
    aaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa )
ns1.example. 3600 IN A 203.0.113.63
ns2.example. 86400 IN TXT "This example has multiple digests"
NS2.EXAMPLE. 3600 IN AAAA 2001:db8::63
"""


def read(text: str, policy: Policy | None = None) -> tuple[Snapshot, list[str]]:
    """A zone from text, and what the ZONEMD check found."""
    snapshot, findings = read_zone_text(text, "test", EXAMPLE, policy or Policy())
    return snapshot, [str(found) for found in findings if found.rule == "zonemd"]


def zonemd(rdata: bytes, ttl: int = 3600) -> Entry:
    return Entry(ORIGIN, records.ZONEMD, ttl, rdata)


def rdata_of(serial: int, algorithm: int, digest: bytes, scheme: int = 1) -> bytes:
    return serial.to_bytes(4, "big") + bytes((scheme, algorithm)) + digest


def plain_digest(listed: Sequence[Entry], function: str = "sha384") -> bytes:
    """RFC 8976 §3.3 as it reads, of records as they came; of one with several TTLs, the lowest."""
    found: dict[tuple[dns.name.Name, int, bytes], int] = {}
    origin = dns.name.from_wire(ORIGIN, 0)[0]
    for entry in listed:
        owner = dns.name.from_wire(entry.owner, 0)[0].canonicalize()
        rdata = records.canonical_rdata(entry.rtype, entry.rdata)
        covered = entry.rtype == records.RRSIG and rdata[:2] == bytes((0, records.ZONEMD))
        if owner == origin and (entry.rtype == records.ZONEMD or covered):
            continue
        known = found.setdefault((owner, entry.rtype, rdata), entry.ttl)
        found[owner, entry.rtype, rdata] = min(known, entry.ttl)
    digest = hashlib.new(function)
    for (owner, rtype, rdata), ttl in sorted(found.items()):
        digest.update(owner.to_wire() or b"")
        digest.update(rtype.to_bytes(2, "big") + b"\0\1" + ttl.to_bytes(4, "big"))
        digest.update(len(rdata).to_bytes(2, "big") + rdata)
    return digest.digest()


def build(listed: Sequence[Entry], policy: Policy, size: int = 100) -> tuple[Snapshot, Builder]:
    builder = Builder(ORIGIN, policy)
    for start in range(0, len(listed), size):
        builder.add(parse(message([entry.wire() for entry in listed[start : start + size]])))
    while builder.step():
        pass
    return builder.snapshot(), builder


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (SIMPLE, "verified (SHA-384)"),
        (COMPLEX, "verified (SHA-384)"),
        (SEVERAL, "verified (SHA-384, SHA-512)"),
        (HEAD, ""),
    ],
    ids=["A.1", "A.2", "A.3", "none"],
)
def test_examples_of_the_rfc_verify(text: str, verdict: str) -> None:
    snapshot, found = read(text)
    assert (snapshot.zonemd, found) == (verdict, [])
    made = make_zonemd(snapshot, [SHA512, SHA384])
    for record in snapshot.rrset(APEX, records.ZONEMD):
        if records.split(record)[4][4:6] in (b"\1\1", b"\1\2"):
            assert record in made


@pytest.mark.parametrize("name", ["root-2024101100.zone", "arpa-2021051902-nsec3.zone"])
def test_real_zones_verify_and_dnspython_makes_the_same_digest(name: str) -> None:
    path = ZONES / name
    if not path.exists():
        pytest.skip(f"expected {path}, got no such file")
    origin = b"\0" if name.startswith("root") else names.from_text("arpa.")
    snapshot, _ = read_zone_text(path.read_text(), name, origin, Policy())
    assert snapshot.zonemd == "verified (SHA-384)"
    with io.StringIO() as text:
        write_zone_file(snapshot, text)
        zone = dns.zone.from_text(
            text.getvalue(), dns.name.from_wire(origin, 0)[0], relativize=False
        )
    theirs = zone.compute_digest(dns.zonetypes.DigestHashAlgorithm.SHA512).digest
    assert digest_of(snapshot, SHA512) == theirs


@given(st.lists(entries(), max_size=12), st.integers(0, 2**32 - 1), st.randoms(), st.data())
def test_what_is_verified_is_what_came(
    listed: list[Entry], serial: int, rng: random.Random, data: st.DataObject
) -> None:
    """TTLs are made uniform and records are dropped, and the digest of what came still holds."""
    again = [entry for entry in listed if data.draw(st.booleans())]
    listed = [entry for entry in listed if entry.rtype != records.ZONEMD]
    others = [Entry(e.owner, e.rtype, data.draw(st.integers(0, 9)), e.rdata) for e in again]
    below = Entry(wire([b"x"], ORIGIN), records.SOA, 5, soa_entry().rdata)
    whole = [soa_entry(ORIGIN, serial), ns_entry(), below, *listed, *others]
    whole.append(zonemd(rdata_of(serial, SHA384, plain_digest(whole))))
    whole.append(zonemd(rdata_of(serial, SHA512, plain_digest(whole, "sha512")), ttl=1))
    rng.shuffle(whole)
    snapshot, _ = build(whole, MENDING)
    assert snapshot.zonemd == "verified (SHA-384, SHA-512)"


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_mended_records_are_digested_as_they_came_in_a_zone_of_many_blocks(order: str) -> None:
    """Disorder makes the checks look twice; some owner names are mended in both looks."""
    whole = [soa_entry(), ns_entry()]
    for n in range(12_000):
        owner = wire([b"h%05d" % (n // 3)], ORIGIN)
        whole.append(Entry(owner, records.A, 300 + n % 5, n.to_bytes(4, "big")))
        if n % 7 == 0:
            whole.append(Entry(owner, records.CNAME, 60, b"\1x\0"))
    whole.append(zonemd(rdata_of(1, SHA384, plain_digest(whole))))
    if order == "shuffled":
        random.Random(5).shuffle(whole)
    snapshot, builder = build(whole, MENDING)
    assert snapshot.zonemd == "verified (SHA-384)"
    assert {found.rule for found in builder.findings()} == {"cname-and-other", "ttl-mismatch"}


GOOD = plain_digest([soa_entry(), ns_entry()])
BETTER = plain_digest([soa_entry(), ns_entry()], "sha512")
FLIPPED = bytes([GOOD[0] ^ 1]) + GOOD[1:]
SHOWN = GOOD[:8].hex() + "…"


@pytest.mark.parametrize(
    ("rdatas", "expected"),
    [
        (
            [rdata_of(1, 1, FLIPPED)],
            f"expected SHA-384 digest {FLIPPED[:8].hex()}…, as the ZONEMD says, got {SHOWN}",
        ),
        (
            [rdata_of(2, 1, GOOD)],
            "expected a ZONEMD of serial 1, which the SOA has, got serial 2",
        ),
        ([rdata_of(1, 1, GOOD[:-1])], "expected a SHA-384 digest of 48 octets, got 47"),
        ([rdata_of(1, 1, GOOD + b"\0")], "expected a SHA-384 digest of 48 octets, got 49"),
        ([rdata_of(1, 1, b"\0")], "expected a SHA-384 digest of 48 octets, got 1"),
        ([rdata_of(1, 2, GOOD)], "expected a SHA-512 digest of 64 octets, got 48"),
        (
            [rdata_of(1, 1, GOOD), rdata_of(1, 1, FLIPPED)],
            "expected one ZONEMD of scheme 1 with SHA-384, got 2",
        ),
        (
            [rdata_of(1, 1, GOOD), rdata_of(2, 1, GOOD)],
            "expected one ZONEMD of scheme 1 with SHA-384, got 2",
        ),
        (
            [rdata_of(1, 1, FLIPPED), rdata_of(3, 2, BETTER)],
            "expected a ZONEMD of serial 1, which the SOA has, got serial 3; expected SHA-384 "
            f"digest {FLIPPED[:8].hex()}…, as the ZONEMD says, got {SHOWN}",
        ),
        (
            [rdata_of(1, 1, FLIPPED), rdata_of(1, 1, GOOD, scheme=9)],
            f"expected SHA-384 digest {FLIPPED[:8].hex()}…, as the ZONEMD says, got {SHOWN}",
        ),
    ],
)
def test_what_nothing_verifies_is_refused_or_warned_of(rdatas: list[bytes], expected: str) -> None:
    whole = [soa_entry(), ns_entry(), *map(zonemd, rdatas)]
    with pytest.raises(ZoneRejected) as refused:
        build(whole, Policy())
    assert str(refused.value) == f"zonemd: {expected}"
    snapshot, builder = build(whole, WARN)
    assert snapshot.zonemd == "not verified"
    (found,) = builder.findings()
    assert str(found) == f"zonemd (warn): example.test. ZONEMD: {expected}"


@pytest.mark.parametrize(
    ("rdatas", "verdict", "told"),
    [
        ([rdata_of(1, 1, GOOD), rdata_of(1, 2, BETTER)], "verified (SHA-384, SHA-512)", ""),
        ([rdata_of(1, 1, GOOD), rdata_of(1, 1, GOOD)], "verified (SHA-384)", "duplicate"),
        ([rdata_of(1, 1, GOOD), rdata_of(9, 1, b"?", scheme=7)], "verified (SHA-384)", ""),
        (
            [rdata_of(1, 1, FLIPPED), rdata_of(1, 2, BETTER)],
            "verified (SHA-512)",
            f"expected SHA-384 digest {FLIPPED[:8].hex()}…",
        ),
        (
            [rdata_of(1, 1, GOOD, scheme=2), rdata_of(5, 9, bytes(12))],
            "not verifiable",
            "expected scheme 1 (SIMPLE) with SHA-384 or SHA-512, got scheme 2 with hash algorithm "
            "1, scheme 1 with hash algorithm 9",
        ),
        (
            [rdata_of(1, 240, bytes([n])) for n in range(9)]
            + [rdata_of(1, 1, b"?", scheme=n) for n in range(2, 8)],
            "not verifiable",
            "scheme 4 with hash algorithm 1 and 3 more",
        ),
    ],
)
def test_one_that_fits_is_enough_and_unknown_ones_are_passed_over(
    rdatas: list[bytes], verdict: str, told: str
) -> None:
    snapshot, builder = build([soa_entry(), ns_entry(), *map(zonemd, rdatas)], Policy())
    assert snapshot.zonemd == verdict
    found = [str(item) for item in builder.findings()]
    assert len(found) == bool(told)
    assert all(told in item and "(warn)" in item for item in found)


def test_a_zone_full_of_zonemd_records_is_judged_in_bounded_time() -> None:
    whole = [soa_entry(), ns_entry()]
    whole += [zonemd(rdata_of(1, n % 256, bytes(10), scheme=n // 256)) for n in range(2000)]
    with pytest.raises(ZoneRejected, match="expected a SHA-384 digest of 48 octets, got 10"):
        build(whole, Policy())


@given(changing.versions())
def test_changes_are_verified_once_they_are_applied(made: list[Snapshot]) -> None:
    old, new = made[0], made[1]
    good = make_zonemd(new)[0]
    bad = good[:-1] + bytes([good[-1] ^ 1])
    for record, verdict in ((good, "verified (SHA-384)"), (bad, "not verified")):
        deltas = Deltas(ORIGIN, old.serial)
        changing.feed(deltas, diff(old, new))
        assert not brings_zonemd(deltas)
        deltas.add(changing.batch([record], None))
        assert brings_zonemd(deltas)
        applier = changing.applied(old, deltas, LAX)
        assert applier.snapshot().zonemd == verdict
        assert has_zonemd(applier.snapshot())
        assert [found.rule for found in applier.findings()].count("zonemd") == (record != good)


def test_a_bit_that_an_ixfr_leaves_out_is_refused() -> None:
    old = changing.build([], 1)
    good = make_zonemd(changing.build([Entry(wire([b"a"], ORIGIN), 1, 60, b"\1\1\1\1")], 2))
    lost = changing.build([Entry(wire([b"a"], ORIGIN), 1, 60, b"\1\1\1\0")], 2)
    deltas = Deltas(ORIGIN, 1)
    changing.feed(deltas, diff(old, lost))
    deltas.add(changing.batch(good, None))
    with pytest.raises(ZoneRejected, match="expected SHA-384 digest"):
        changing.applied(old, deltas)


def test_made_records_have_the_serial_and_ttl_of_the_soa_and_verify() -> None:
    whole = [soa_entry(ORIGIN, 77, 1234), ns_entry(), Entry(ORIGIN, 16, 5, b"\1x")]
    snapshot, _ = build(whole, Policy())
    made = make_zonemd(snapshot, (SHA384, SHA512))
    assert made == sorted(made)
    assert [records.split(record)[1:4] for record in made] == [(records.ZONEMD, 0, 1234)] * 2
    assert [records.split(record)[4][:6] for record in made] == [b"\0\0\0M\1\1", b"\0\0\0M\1\2"]
    signature = Entry(ORIGIN, records.RRSIG, 1234, b"\0\x3f" + bytes(16) + b"\0s")
    placed = [zonemd(records.split(record)[4], 1234) for record in made]
    final, _ = build([*whole, *placed, signature], Policy())
    assert final.zonemd == "verified (SHA-384, SHA-512)"
    assert make_zonemd(final, (SHA384, SHA512)) == made


def test_an_unknown_hash_algorithm_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match=r"expected SHA-384 \(1\) or SHA-512 \(2\), got 3"):
        make_zonemd(changing.build([], 1), [3])


def test_records_left_out_are_digested_in_bounded_steps() -> None:
    """Here all of them stood between two records that stay."""
    count = 20_000
    gone = [host(n) for n in range(10, 10 + count)]
    last = host(10_000_000)
    builder = Builder(ORIGIN, Policy())
    for batch in batches([*apex(), host(1), last], 1000):
        builder.add(batch)
    while builder.step():
        pass
    whole = Builder(ORIGIN, Policy())
    for batch in batches([*apex(), host(1), *gone, last], 1000):
        whole.add(batch)
    while whole.step():
        pass
    half = count // 2
    digester = Digester(builder.snapshot(), [SHA384], [gone[:half], gone[half:]])
    steps = 1
    while digester.step():
        steps += 1
    assert steps >= count // (2 * LARGEST)
    assert digester.digests()[SHA384] == digest_of(whole.snapshot(), SHA384)


@pytest.mark.parametrize("algorithm", [SHA384, SHA512])
def test_ldns_verifies_what_is_made_and_makes_what_verifies(algorithm: int, tmp_path: Path) -> None:
    text = COMPLEX.replace("foo.test.", "foo.example.")
    bare = text.partition("example. 86400 IN ZONEMD")[0] + text.partition("b71e34b72077f8fe )")[2]
    snapshot, _ = read(bare)
    path = tmp_path / "zone"
    with path.open("w") as file:
        write_zone_file(snapshot, file)
    made = make_zonemd(snapshot, [algorithm])[0]
    digest = records.split(made)[4][6:].hex()
    line = f"example. 86400 IN ZONEMD {snapshot.serial} 1 {algorithm} {digest}\n"
    ours = tmp_path / "ours"
    ours.write_text(path.read_text() + line)
    done = subprocess.run(
        ["ldns-verify-zone", "-Z", str(ours)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ours.write_text(path.read_text().replace("203.0.113.63", "203.0.113.62") + line)
    broken = ["ldns-verify-zone", "-Z", str(ours)]
    assert subprocess.run(broken, capture_output=True, check=False).returncode != 0
    theirs = tmp_path / "theirs"
    subprocess.run(
        ["ldns-signzone", "-Z", "-z", f"1:{algorithm}", "-f", str(theirs), "-o", "example", path],
        check=True,
        capture_output=True,
    )
    arrived, _ = read(theirs.read_text())
    assert digest in theirs.read_text()
    assert arrived.zonemd.startswith("verified")
