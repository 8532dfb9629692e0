"""Denial made online, in front of real validators, and beside Knot's `onlinesign` (RFC 9824)."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from tests.answer.asking import ZONE, snapshot
from tests.answer.listening import Listening
from tests.answer.online import LASTING, sign
from tests.peers.knot import Knot
from tests.peers.process import PrimaryZone
from tests.peers.unbound import Unbound
from tests.peers.xferd import Xferd
from tests.server.fakes import zone_config
from xfer.dnssec.keys import SigningKey, make_key
from xfer.dnssec.online import OnlineSigner
from xfer.dnssec.signatures import Signatures
from xfer.server.zones import Zone
from xfer.wire.names import from_text
from xfer.zone.check import Policy
from xfer.zone.zonefile import read_zone_text

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CHILD = """\
$ORIGIN sub.example.com.
$TTL 300
@ SOA ns hostmaster 1 10000 2400 604800 300
@ NS ns
ns A 127.0.0.1
www A 192.0.2.1
"""
# What is asked, and whether it is NXDOMAIN for who is not told otherwise.
QUESTIONS = [
    *((name, "A", False) for name in ("www", "alias", "q.wcname", "a.dn", "ns1", "x.*.entwild")),
    *((name, "TXT", False) for name in ("deep.ent.a", "q.wild", "y.x.wild", "*.wild", "big")),
    *((name, "AAAA", False) for name in ("www", "q.wcname", "q.wild", "own.wild", "*.wild")),
    *((name, "A", False) for name in ("a", "ent.a", "ent.wild", "q.entwild", "y.x.q.entwild")),
    *(("@", rtype, False) for rtype in ("NS", "SOA", "DNSKEY", "TXT", "NSEC3PARAM", "ANY")),
    *((name, "DS", False) for name in ("sub", "sib", "secure", "www", "a")),
    *((name, "A", True) for name in ("no", "a.b.no", "*.no", "chain1", "x.dn", r"\000.www")),
    *((name, "TXT", True) for name in ("no.ent.wild", "x" * 63, "no.mail")),
    ("no", "DS", True),
]


def absolute(name: str) -> str:
    return "example.com." if name == "@" else f"{name}.example.com."


def anchor_of(key: SigningKey) -> str:
    public = base64.b64encode(key.public[4:]).decode()
    return f"{key.flags} 3 {key.algorithm} {public}"


@attrs.define
class Signed:
    """A zone signed online, and where it is answered."""

    key: SigningKey
    compact: bool
    address: tuple[str, int]


@pytest.fixture(scope="module", params=[(8, 1), (13, 1), (15, 1), (8, 0), (13, 0), (15, 0)])
def signed(request: pytest.FixtureRequest) -> Iterator[Signed]:
    algorithm, compact = request.param
    key, plain = make_key(algorithm, True), snapshot()
    signatures = Signatures(1 << 20, 0, time.monotonic, time.time)
    zone = Zone(zone_config())
    zone.online = OnlineSigner(plain.origin, [key], bool(compact), LASTING, signatures)
    zone.snapshot = sign(plain, [key], time.time())
    with Listening(zone) as listening:
        yield Signed(key, bool(compact), listening.address)


def test_unbound_finds_everything_secure(signed: Signed) -> None:
    origin = from_text("sub.example.com.")
    text, _ = read_zone_text(CHILD, "child", origin, Policy())
    child = Zone(zone_config(name="sub.example.com."), snapshot=text)
    rng = random.Random(1)
    with Listening(child) as below:
        stubs = {"example.com.": signed.address, "sub.example.com.": below.address}
        with Unbound(stubs, [f"example.com. DNSKEY {anchor_of(signed.key)}"]) as unbound:
            for name, rtype, missing in QUESTIONS:
                answer = unbound.ask(absolute(name), rtype)
                expected = missing and not signed.compact
                assert answer.rcode() == (dns.rcode.NXDOMAIN if expected else 0), (name, rtype)
                assert answer.flags & dns.flags.AD, (name, rtype)
            for _ in range(100):
                name = f"{rng.randbytes(4).hex()}.{rng.choice(['', 'wild.', 'a.', 'www.'])}"
                answer = unbound.ask(f"{name}example.com.", rng.choice(["A", "TXT", "MX"]))
                assert answer.flags & dns.flags.AD, name
            # What is below an insecure delegation is known to be so.
            for name, missing in (("www.sub", False), ("no.sub", True)):
                answer = unbound.ask(absolute(name), "A")
                assert answer.rcode() == (dns.rcode.NXDOMAIN if missing else 0)
                assert not answer.flags & dns.flags.AD


def test_delv_finds_everything_secure(signed: Signed, tmp_path: Path) -> None:
    words = anchor_of(signed.key).split()
    anchors = tmp_path / "anchors"
    anchors.write_text(
        'trust-anchors { "example.com." static-key '
        f'{words[0]} {words[1]} {words[2]} "{words[3]}"; }};\n'
    )
    host, port = signed.address
    command = ["delv", f"@{host}", "-p", str(port), "-a", str(anchors), "+root=example.com"]
    for name, rtype, _ in QUESTIONS:
        found = subprocess.run(
            [*command, absolute(name), rtype], capture_output=True, text=True, timeout=60
        )
        assert "fully validated" in found.stdout, (name, rtype, found.stdout, found.stderr)


ONLINE = """\
policy:
  - id: csk
    single-type-signing: on
    algorithm: ECDSAP256SHA256
mod-onlinesign:
  - id: online
    policy: csk
    nsec-bitmap: [NSEC]
"""
# Knot says NSEC of a delegation up to a name below it, gives no DS in a referral but its NSEC, does
# not answer RRSIG, and signs the CNAME that a DNAME makes.
OTHERWISE = ("sub", "sib", "secure", "dn")


def test_knot_signs_the_same_online() -> None:
    key, plain = make_key(13, True), snapshot()
    zone = Zone(zone_config())
    signatures = Signatures(1 << 20, 0, time.monotonic, time.time)
    zone.online = OnlineSigner(plain.origin, [key], True, LASTING, signatures)
    zone.snapshot = sign(plain, [key], time.time())
    # Knot takes no names below a DNAME.
    text = "".join(f"{line}\n" for line in ZONE.splitlines() if not line.startswith("below.dn"))
    knot = Knot(
        [PrimaryZone("example.com.", text)],
        sections=ONLINE,
        zone_options=["module: mod-onlinesign/online"],
    )
    with Listening(zone) as listening, knot:
        knot.wait_serving("example.com.", 1)
        asked = [(name, rtype) for name, rtype, _ in QUESTIONS if rtype != "DNSKEY"]
        asked += [(name, "NSEC") for name in ("www", "no", "a", "q.wild")]
        for name, rtype in asked:
            if name.split(".")[-1] in OTHERWISE:
                continue
            query = dns.message.make_query(absolute(name), rtype, want_dnssec=True, payload=1232)
            ours, theirs = (
                _shown(dns.query.udp(query, host, 10, port))
                for host, port in (listening.address, (knot.address, knot.port))
            )
            assert ours == theirs, (name, rtype)


def _shown(answer: dns.message.Message) -> list[str]:
    """An answer without what differs by design: whose signature it is, SOA's TTL with its RRSIG,
    the types that a name has which nobody has, case."""
    lines = [dns.rcode.to_text(answer.rcode())]
    for section in (answer.answer, answer.authority):
        for rrset in section:
            for rdata in rrset:
                text = rdata.to_text()
                ttl = rrset.ttl
                if rrset.rdtype == dns.rdatatype.RRSIG:
                    covered, _, labels, original = text.split()[:4]
                    text = f"{covered} {labels} {original}"
                    ttl = 0 if covered == "SOA" else ttl
                if rrset.rdtype == dns.rdatatype.NSEC:
                    text = text.replace(" NXNAME", "")
                lines.append(f"{rrset.name} {ttl} {rrset.rdtype.name} {text}".lower())
    return sorted(lines)


def config_of(directory: Path, denial: str, workers: int) -> str:
    return (
        '[server]\nlisten = ["{listen}"]\njournal = "{journal}"\ncontrol = "{control}"\n'
        f'keys = "{directory}/keys"\nworkers = {workers}\n'
        f'[limits]\nonline_signatures = 0\n[dnssec_policy.online]\ndenial = "{denial}"\n'
        f'[[zone]]\nname = "example.com"\nrole = "primary"\nfile = "{directory}/zone"\n'
        'dnssec = "live-signed"\ndnssec_policy = "online"\n'
    )


@pytest.mark.parametrize(("denial", "workers"), [("compact", 2), ("white-lies", 0)])
def test_a_daemon_and_its_worker_processes_sign_online(
    denial: str, workers: int, tmp_path: Path
) -> None:
    (tmp_path / "zone").write_text(ZONE)
    with Xferd(config=config_of(tmp_path, denial, workers), directory=tmp_path) as daemon:
        daemon.wait_serving("example.com.", 1)
        keys = _keys(daemon)
        stubs = {"example.com.": (daemon.address, daemon.port)}
        with Unbound(stubs, [f"example.com. DNSKEY {key}" for key in keys]) as unbound:
            for name, rtype, missing in QUESTIONS:
                answer = unbound.ask(absolute(name), rtype)
                expected = missing and denial != "compact"
                assert answer.rcode() == (dns.rcode.NXDOMAIN if expected else 0), (name, rtype)
                assert answer.flags & dns.flags.AD, (name, rtype)
            # A new version is answered with proofs of its own.
            text = ZONE.replace("hostmaster 1 ", "hostmaster 2 ")
            (tmp_path / "zone").write_text(text + "new.ent2 A 192.0.2.99\n")
            daemon.reload("example.com.")
            daemon.wait_serving("example.com.", 2)
            for name, rtype, rcode in (("new.ent2", "A", 0), ("ent2", "A", 0), ("no2", "A", None)):
                answer = unbound.ask(absolute(name), rtype)
                assert answer.flags & dns.flags.AD, (name, rtype)
                assert rcode is None or answer.rcode() == rcode
            # So it is after a restart, with the same keys.
            daemon.kill()
            daemon.launch()
            daemon.wait_serving("example.com.", 2)
            assert _keys(daemon) == keys
            for name, rtype in (("no3", "A"), ("new.ent2", "AAAA"), ("z.wild", "TXT")):
                assert unbound.ask(absolute(name), rtype).flags & dns.flags.AD, (name, rtype)
            for number in range(10):
                assert unbound.ask(absolute(f"later{number}"), "A").flags & dns.flags.AD
            deadline = time.monotonic() + 20
            while _signed(daemon).get("made", 0) < 10:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        transfer = dns.message.make_query("example.com.", "AXFR")
        refused = dns.query.tcp(transfer, daemon.address, 10, daemon.port)
        assert refused.rcode() == dns.rcode.REFUSED


def _keys(daemon: Xferd) -> list[str]:
    """The KSKs of the zone, as an anchor has them."""
    query = dns.message.make_query("example.com.", "DNSKEY", want_dnssec=True, payload=1232)
    answer = dns.query.udp(query, daemon.address, 10, daemon.port)
    found = [
        rdata.to_text()
        for rrset in answer.answer
        for rdata in rrset
        if rrset.rdtype == dns.rdatatype.DNSKEY
    ]
    return [text for text in found if text.startswith("257 ")]


def _signed(daemon: Xferd) -> dict[str, int]:
    status = json.loads(daemon.cli("status", "--json").stdout)
    found: dict[str, int] = status["server"]["queries"]["signed"]
    return found
