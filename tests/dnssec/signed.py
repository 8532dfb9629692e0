"""Zones to sign in tests, keys to sign them with, and the real tools that verify what came out."""

from __future__ import annotations

import functools
import io
import random
import subprocess
import time
from pathlib import Path

import dns.dnssec
import dns.name
import dns.node
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset

from tests.dnssec.apart import make_key
from xfer.dnssec.keys import SigningKey
from xfer.dnssec.signing import Denial, Terms
from xfer.wire import names, records
from xfer.wire.parse import Batch
from xfer.zone.build import Builder
from xfer.zone.check import RULES, Grade, Policy
from xfer.zone.snapshot import APEX, Snapshot
from xfer.zone.zonefile import read_zone_text, write_zone_file

ORIGIN = names.from_text("example.")
NOW = time.time()
"""The tools verify at the time at which they run."""
LENIENT = Policy({name: Grade.WARN for name, rule in RULES.items() if Grade.WARN in rule.grades})


def key(algorithm: int, sep: bool = False, number: int = 0) -> SigningKey:
    """The same key for the same arguments."""
    return _key(algorithm, sep, number)


@functools.cache
def _key(algorithm: int, sep: bool, number: int) -> SigningKey:
    return make_key(algorithm, sep)


def dnskey(signing: SigningKey, ttl: int = 3600) -> bytes:
    """The DNSKEY record of a key."""
    return records.make(APEX, records.DNSKEY, ttl, signing.public)


def terms(
    denial: Denial = Denial(),
    ksks: tuple[SigningKey, ...] = (),
    zsks: tuple[SigningKey, ...] = (),
    **more: object,
) -> Terms:
    """Terms with these keys published, a KSK and a ZSK of algorithm 13 where none are given."""
    ksks = ksks or (key(13, True),)
    zsks = zsks or (key(13),)
    apex = tuple(sorted({dnskey(each) for each in (*ksks, *zsks)}))
    return Terms(apex=apex, ksks=ksks, zsks=zsks, denial=denial, **more)  # type: ignore[arg-type]


def zone(text: str, origin: bytes = ORIGIN) -> Snapshot:
    """The zone of a file's text with names relative to the origin."""
    return read_zone_text(text, "test", origin, LENIENT)[0]


def build(listed: list[bytes]) -> Snapshot:
    """The zone of these records."""
    builder = Builder(ORIGIN, LENIENT)
    batch = Batch()
    batch.records = list(listed)
    builder.add(batch)
    while builder.step():
        pass
    return builder.snapshot()


def text_of(snapshot: Snapshot) -> str:
    """Its zone file."""
    out = io.StringIO()
    write_zone_file(snapshot, out)
    return out.getvalue()


def unsigned(snapshot: Snapshot) -> list[bytes]:
    """All its records, of RRSIGs only what does not change from one signature to the next."""
    out = []
    for record in snapshot.records():
        _, rtype, _, _, rdata = records.split(record)
        if rtype == records.RRSIG:
            at = len(record) - len(rdata)
            record = record[: at + 8] + record[at + 16 : at + 18 + len(snapshot.origin)]
        out.append(record)
    return out


def check_signatures(snapshot: Snapshot, now: float = NOW, each: int = 1) -> int:
    """Have dnspython validate each RRSIG against its RRset; their number. each: 1 in so many."""
    name = dns.name.from_wire(snapshot.origin, 0)[0]
    keys: dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset] = {
        name: dns.rrset.from_rdata_list(
            name, 1, [rdata_of(record) for record in snapshot.rrset(APEX, records.DNSKEY)]
        )
    }
    count = 0
    for record in snapshot.records():
        key, rtype, covered, ttl, _ = records.split(record)
        if rtype != records.RRSIG:
            continue
        count += 1
        if count % each:
            continue
        owner = dns.name.from_wire(names.wire_of(key, snapshot.origin), 0)[0]
        found = snapshot.rrset(key, covered)
        assert found, f"an RRSIG of nothing at {owner}"
        assert records.split(found[0])[3] == ttl
        rrset = dns.rrset.from_rdata_list(owner, ttl, [rdata_of(each) for each in found])
        rrsig = dns.rrset.from_rdata_list(owner, ttl, [rdata_of(record)])
        dns.dnssec.validate(rrset, rrsig, keys, None, now)
    return count


def rdata_of(record: bytes) -> dns.rdata.Rdata:
    """dnspython's form of a record's rdata."""
    _, rtype, _, _, rdata = records.split(record)
    return dns.rdata.from_wire(
        dns.rdataclass.IN, dns.rdatatype.RdataType.make(rtype), rdata, 0, len(rdata)
    )


def verify(snapshot: Snapshot, directory: Path, zonemd: bool = False) -> None:
    """Have dnssec-verify and ldns-verify-zone look at all of a signed version.

    zonemd: whether it has to have a ZONEMD record, which is verified anyway.
    """
    path = directory / "signed"
    path.write_text(text_of(snapshot))
    origin = names.to_text(snapshot.origin)
    # -x: what is signed by the KSK is not asked to be signed by the ZSK. -ZZ: there is a ZONEMD.
    commands = [
        ["dnssec-verify", "-q", "-x", "-o", origin, str(path)],
        ["ldns-verify-zone", "-V", "1", *(["-ZZ"] if zonemd else []), str(path)],
    ]
    for command in commands:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def rng(seed: int = 1) -> random.Random:
    """Randomness that repeats."""
    return random.Random(seed)
