"""BIND's key files go both ways, damaged ones are refused, and no error repeats what is in them."""

from __future__ import annotations

import base64
import io
import math
import random
import re
import subprocess
from pathlib import Path

import dns.dnssec
import dns.dnssecalgs
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import rsa
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer import log
from xfer.dnssec import keyfiles
from xfer.dnssec.ds import ds_of
from xfer.dnssec.keyfiles import KeyPair, read_pair, read_public, write_private, write_public
from xfer.dnssec.keys import SigningKey, from_octets, make_key, verify
from xfer.errors import KeyRefused
from xfer.log import Secret
from xfer.wire import names

OWNER = names.from_text("example.com.")
MADE = [8, 13, 14, 15, 16]
TIMES = {"Created": 1700000000, "Publish": 1700000001, "Activate": 1700000002, "Delete": 2100000000}


@pytest.fixture(scope="module")
def pool() -> dict[int, SigningKey]:
    return {algorithm: make_key(algorithm, algorithm % 2 == 0) for algorithm in MADE}


@pytest.mark.parametrize("algorithm", MADE)
def test_what_is_written_reads_back(pool: dict[int, SigningKey], algorithm: int) -> None:
    pair = KeyPair(OWNER, pool[algorithm], 3600, TIMES)
    again = read_pair(write_public(pair), write_private(pair))
    assert again.key.public == pair.key.public
    assert again.key.private_der() == pair.key.private_der()
    assert (again.owner, again.ttl, again.times) == (OWNER, 3600, TIMES)
    assert again.stem == f"Kexample.com.+{pair.key.ident}"


def test_a_short_scalar_keeps_its_leading_zeros(pool: dict[int, SigningKey]) -> None:
    """dnssec-keygen of 9.18 leaves them out, which one key in 256 shows; all read both ways."""
    scalar = b"\0\0" + b"\x5a" * 30
    pair = KeyPair(OWNER, from_octets(13, 256, Secret(scalar)))
    text = write_private(pair).reveal()
    assert b"PrivateKey: AABaWl" in text
    short = text.replace(base64.b64encode(scalar), base64.b64encode(scalar[2:]))
    assert short != text
    assert read_pair(write_public(pair), Secret(short)).key.public == pair.key.public


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("example.com.", "example.com."),
        ("EXAMPLE.com.", "example.com."),
        (".", "."),
        (r"a\.b/c.example.", "a%2Eb%2Fc.example."),
        ("_x-1.example.", "_x-1.example."),
        (r"\255\000.example.", "%FF%00.example."),
        ("xn--bcher-kva.example.", "xn--bcher-kva.example."),
    ],
)
def test_names_in_file_names(name: str, text: str) -> None:
    owner = names.from_text(name)
    assert keyfiles.file_text(owner) == text
    stem = keyfiles.stem_of(owner, "013+00042")
    assert stem == f"K{text}+013+00042"
    assert keyfiles.ident_in(stem) == "013+00042"


@pytest.mark.parametrize(
    "name", ["", "Kx.+013+1", "Kx+013+00001", "x.+013+00001", "Kx.+013+00001.key"]
)
def test_other_names_are_of_no_key(name: str) -> None:
    assert keyfiles.ident_in(name) == ""


def test_a_public_file_may_have_comments_ttl_and_parentheses() -> None:
    owner, ttl, dnskey = read_public(
        "; a comment\nExample.COM. 300 IN DNSKEY 257 3 15 ( l02Woi0iS8Aa25FQkUd9RM ; half\n"
        " zZHJpBoRQwAQEX1SxZJA4= ) ;{id = 3613 (ksk)}\n"
    )
    assert (owner, ttl, dnskey.flags, len(dnskey.public_key)) == (OWNER, 300, 257, 32)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "an empty file"),
        ("; only this", "an empty file"),
        ("example.com. IN A 192.0.2.1", "expected OWNER .TTL. IN DNSKEY …, got 'A'"),
        ("example.com. IN KEY 512 3 13 AA==", "got 'KEY'"),
        ("example.com. 300 IN", "got an end"),
        ("example.com. IN DNSKEY 257 3 13", "public key"),
        ("example.com. IN DNSKEY 257 3 13 A?==", "base64"),
        ("a..b IN DNSKEY 257 3 13 AA==", "labels"),
        ("\N{SNOWMAN} IN DNSKEY 257 3 13 AA==", "ASCII"),
        ("x" * 64 + " IN DNSKEY", "63 octets"),
    ],
)
def test_damaged_public_files(text: str, problem: str) -> None:
    with pytest.raises(KeyRefused, match=problem) as refused:
        read_public(text, "keys/K.key")
    assert str(refused.value).startswith("keys/K.key: expected ")


def _changed(text: str, field: str, value: str | None) -> str:
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(field + ":"))
    lines[at : at + 1] = [] if value is None else [f"{field}: {value}"]
    return "\n".join(lines) + "\n"


SECRET = "aHVudGVyMmh1bnRlcjI="  # hunter2hunter2
DAMAGE: list[tuple[int, str, str | None, str]] = [
    (13, "Private-key-format", None, "expected Private-key-format: v1.3, got none"),
    (13, "Private-key-format", SECRET, "got another"),
    (13, "Private-key-format", "v2.0", "got another"),
    (13, "Algorithm", None, "expected Algorithm: NUMBER"),
    (13, "Algorithm", SECRET, "expected Algorithm: NUMBER, got something else"),
    (13, "Algorithm", "5 (RSASHA1)", r"5 \(RSASHA1\)"),
    (13, "Algorithm", "14 (ECDSAP384SHA384)", "algorithm 13 as in the .key"),
    (13, "PrivateKey", None, "expected the field PrivateKey, got none"),
    (13, "PrivateKey", "§", "ASCII"),
    (13, "PrivateKey", "!" + SECRET, "base64"),
    (13, "PrivateKey", SECRET, "another one"),
    (13, "PrivateKey", SECRET[:-1] + "A" * 61, "1 to 32 octets"),
    (13, "PrivateKey", "/" * 42 + "8=", "out of range"),
    (13, "PrivateKey", "A" * 42 + "A=", "out of range"),
    (13, "PrivateKey", "", "1 to 32 octets"),
    (15, "PrivateKey", SECRET, "32 octets of a private key of ED25519"),
    (16, "PrivateKey", SECRET, "57 octets of a private key of ED448"),
    (13, "Created", SECRET, "Created as YYYYMMDDHHMMSS, got something else"),
    (13, "Created", "20261322101434", "Created as"),
    (13, "Created", "202611221014340", "Created as"),
    (8, "Modulus", SECRET, "RSA of 1024 to 4096 bits"),
    (8, "Modulus", "A" * 1000, "1 to 512 octets"),
    (8, "PublicExponent", "AQAC", "do not fit"),
    (8, "PublicExponent", "AA==", "do not fit"),
    (8, "Prime1", None, "the field Prime1"),
    (8, "Prime1", SECRET, "do not fit"),
    (8, "Prime2", "AA==", "do not fit"),
    (8, "PrivateExponent", SECRET, "do not fit"),
    (8, "Coefficient", SECRET, "do not fit"),
]


@pytest.mark.parametrize(("algorithm", "field", "value", "problem"), DAMAGE)
def test_damaged_private_files(
    pool: dict[int, SigningKey], algorithm: int, field: str, value: str | None, problem: str
) -> None:
    pair = KeyPair(OWNER, pool[algorithm], None, TIMES)
    private = _changed(write_private(pair).reveal().decode(), field, value)
    with pytest.raises(KeyRefused, match=problem) as refused:
        read_pair(write_public(pair), Secret(private.encode()), "dir/K")
    assert str(refused.value).startswith("dir/K.private: expected ")
    _assert_hidden(str(refused.value), pair)


def test_rsa_of_numbers_that_fit_and_are_not_prime(pool: dict[int, SigningKey]) -> None:
    """Only a trial signature tells: p is a product, all else is worked out as if it were prime."""
    private = pool[8].reveal()
    assert isinstance(private, rsa.RSAPrivateKey)
    chance = random.Random(1)
    e = 65537
    while True:
        p, q = (chance.getrandbits(1024) | 1 | 3 << 1022 for _ in range(2))
        if math.gcd(e, (p - 1) * (q - 1)) == 1 and math.gcd(p, q) == 1:
            break
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = (p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    fields = {
        name: base64.b64encode(number.to_bytes(256, "big").lstrip(b"\0")).decode()
        for name, number in zip(
            ("Modulus", "PublicExponent", "PrivateExponent", "Prime1", "Prime2", "Exponent1",
             "Exponent2", "Coefficient"),
            numbers,
            strict=True,
        )
    }  # fmt: skip
    lines = ["Private-key-format: v1.3", "Algorithm: 8 (RSASHA256)"]
    text = "\n".join(lines + [f"{name}: {value}" for name, value in fields.items()])
    with pytest.raises(KeyRefused, match="numbers that make one RSA key, got some that do not fit"):
        read_pair(write_public(KeyPair(OWNER, pool[8])), Secret(text.encode()))


def _assert_hidden(shown: str, pair: KeyPair) -> None:
    assert SECRET not in shown
    assert "hunter2" not in shown
    for line in write_private(pair).reveal().decode().splitlines():
        field, _, value = line.partition(": ")
        if field not in ("Private-key-format", "Algorithm", *keyfiles.TIMES):
            assert value not in shown
            assert value[:12] not in shown or field == "PublicExponent"


def test_lines_that_are_none(pool: dict[int, SigningKey]) -> None:
    pair = KeyPair(OWNER, pool[13])
    text = write_private(pair).reveal()
    for private, problem in (
        (text + b"PrivateKey: AA==\n", r"K.private:4: expected each field once"),
        (text + SECRET.encode(), r"K.private:4: expected FIELD: VALUE, got a line without a colon"),
        (text + b"Label: pkcs11\n", "got Label, a key in a hardware module"),
        (b"", "Private-key-format"),
        (b"\0" * 70_000, "expected at most 65536 octets, got 70000"),
        (b"\xff", "ASCII"),
    ):
        with pytest.raises(KeyRefused, match=problem) as refused:
            read_pair(write_public(pair), Secret(private), "K")
        assert SECRET not in str(refused.value)
    for harmless in (b"; comment\n\n", b"Successor: 12345\n", b"New: thing\n"):
        assert read_pair(write_public(pair), Secret(text + harmless)).key.public == pair.key.public


@pytest.mark.parametrize("algorithm", MADE)
def test_files_of_two_keys_are_no_pair(pool: dict[int, SigningKey], algorithm: int) -> None:
    key = pool[algorithm]
    ours, theirs = KeyPair(OWNER, key), KeyPair(OWNER, make_key(algorithm, True))
    with pytest.raises(KeyRefused, match=rf"of the .key \(tag {theirs.key.tag}\), got that of"):
        read_pair(write_public(theirs), write_private(ours))


@settings(max_examples=200)
@given(st.data())
def test_a_file_with_any_octet_changed_is_the_key_or_refused(data: st.DataObject) -> None:
    pair = _PAIR
    octets = bytearray(write_private(pair).reveal())
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_pair(write_public(pair), Secret(bytes(octets)))
    except KeyRefused as refused:
        _assert_hidden(str(refused), pair)
    else:
        assert found.key.public == pair.key.public


_PAIR = KeyPair(OWNER, make_key(13, True), None, TIMES)


def test_nothing_prints_the_private_file(pool: dict[int, SigningKey]) -> None:
    pair = KeyPair(OWNER, pool[15], None, TIMES)
    out = io.StringIO()
    log.setup("info", "json", out, cache=False)
    try:
        structlog.get_logger().info("key", pair=pair, text=write_private(pair), some=[pair])
        try:
            read_pair(write_public(_PAIR), write_private(pair), "K")
        except KeyRefused:
            structlog.get_logger().exception("refused")
    finally:
        structlog.reset_defaults()
    assert "refused" in out.getvalue()
    _assert_hidden(out.getvalue() + repr(pair), pair)


# With the real tools.


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _keygen(directory: Path, algorithm: int, *options: str) -> KeyPair:
    bits = ("-b", "2048") if algorithm in (8, 10) else ()
    stem = _run(
        "dnssec-keygen", "-q", "-a", str(algorithm), *bits, *options, "example.com", cwd=directory
    ).strip()
    return _read(directory / stem)


def _read(stem: Path) -> KeyPair:
    private = Secret(Path(f"{stem}.private").read_bytes())
    return read_pair(Path(f"{stem}.key").read_text(), private, str(stem))


def _write(directory: Path, pair: KeyPair) -> None:
    (directory / f"{pair.stem}.key").write_text(write_public(pair))
    (directory / f"{pair.stem}.private").write_bytes(write_private(pair).reveal())


def _padded(private: bytes, size: int) -> bytes:
    """A private key file whose scalar has as many octets as the curve has; 0: as it is."""
    found = re.search(rb"(?m)^PrivateKey: (.*)$", private)
    if not size or found is None:
        return private
    scalar = base64.b64encode(base64.b64decode(found[1]).rjust(size, b"\0"))
    return private[: found.start(1)] + scalar + private[found.end(1) :]


@pytest.mark.lab
@pytest.mark.parametrize("algorithm", [8, 10, 13, 14, 15, 16])
@pytest.mark.parametrize("role", ["KSK", "ZSK"])
def test_keys_of_dnssec_keygen_load_and_write_back_alike(
    tmp_path: Path, algorithm: int, role: str
) -> None:
    options = ("-f", "KSK") if role == "KSK" else ()
    pair = _keygen(
        tmp_path, algorithm, *options, "-L", "3600", "-I", "20300101000000", "-D", "20300201000000"
    )
    assert pair.owner == OWNER
    assert pair.ttl == 3600
    assert pair.key.flags == (257 if role == "KSK" else 256)
    assert pair.times["Inactive"] == 1893456000
    assert set(pair.times) == {"Created", "Publish", "Activate", "Inactive", "Delete"}
    theirs = (tmp_path / f"{pair.stem}.private").read_bytes()
    assert write_private(pair).reveal() == _padded(theirs, {13: 32, 14: 48}.get(algorithm, 0))
    shown = (tmp_path / f"{pair.stem}.key").read_text()
    # BIND breaks the base64 into pieces, we do not.
    assert "".join(write_public(pair).split()) == "".join(shown.split())
    signature = pair.key.sign(b"data")
    assert verify(pair.key.public, b"data", signature)
    public = dns.rdata.from_wire("IN", "DNSKEY", pair.key.public, 0, len(pair.key.public))
    assert isinstance(public, DNSKEY)
    dns.dnssec._validate_signature(signature, b"data", public)


ZONE = """$ORIGIN example.com.
@ 300 IN SOA ns h 1 7200 3600 86400 300
@ 300 IN NS ns
ns 300 IN A 192.0.2.1
*.w 300 IN TXT "x"
"""


@pytest.mark.lab
@pytest.mark.parametrize("algorithm", MADE)
def test_our_key_files_sign_in_bind(tmp_path: Path, algorithm: int) -> None:
    pairs = [KeyPair(OWNER, make_key(algorithm, sep), 300, TIMES) for sep in (True, False)]
    for pair in pairs:
        _write(tmp_path, pair)
    (tmp_path / "zone").write_text(ZONE)
    _run("dnssec-signzone", "-S", "-K", ".", "-o", "example.com", "zone", cwd=tmp_path)
    _run("dnssec-verify", "-o", "example.com", "zone.signed", cwd=tmp_path)
    _run("named-checkzone", "example.com", "zone.signed", cwd=tmp_path)
    ds = _run("dnssec-dsfromkey", f"{pairs[0].stem}.key", cwd=tmp_path)
    assert ds.split() == ds_of(OWNER, pairs[0].key.public).line(OWNER).split()


@pytest.mark.lab
@pytest.mark.parametrize("algorithm", [8, 10, 13, 14, 15, 16])
def test_keys_of_dnssec_keygen_sign_here_what_dnssec_verify_accepts(
    tmp_path: Path, algorithm: int
) -> None:
    ksk = _keygen(tmp_path, algorithm, "-f", "KSK").key
    zsk = _keygen(tmp_path, algorithm).key
    signed = _signed(ksk, zsk)
    (tmp_path / "signed").write_text(signed)
    _run("dnssec-verify", "-o", "example.com", "signed", cwd=tmp_path)
    _run("ldns-verify-zone", "signed", cwd=tmp_path)


def _signed(ksk: SigningKey, zsk: SigningKey) -> str:
    """The zone with NSEC and signatures, put together by dnspython around our `sign`."""
    zone = dns.zone.from_text(ZONE, relativize=False, origin="example.com.")
    apex = dns.name.from_text("example.com.")
    rdatas = [dns.rdata.from_wire("IN", "DNSKEY", k.public, 0, len(k.public)) for k in (ksk, zsk)]
    keyset = zone.find_rdataset(apex, "DNSKEY", create=True)
    for rdata in rdatas:
        keyset.add(rdata, 300)
    owners = sorted(zone.nodes)
    for owner, following in zip(owners, [*owners[1:], owners[0]], strict=True):
        types = [dns.rdatatype.to_text(rds.rdtype) for rds in zone.nodes[owner]]
        text = f"{following} {' '.join([*types, 'RRSIG', 'NSEC'])}"
        nsec = dns.rdata.from_text("IN", "NSEC", text)
        zone.find_rdataset(owner, "NSEC", create=True).add(nsec, 300)
    for owner in owners:
        for rdataset in list(zone.nodes[owner].rdatasets):
            key = ksk if rdataset.rdtype == dns.rdatatype.DNSKEY else zsk
            labels = len(owner.labels) - 1 - owner.is_wild()
            head = (
                f"{dns.rdatatype.to_text(rdataset.rdtype)} {key.algorithm} {labels} 300 "
                f"20370101000000 20200101000000 {key.tag} {apex}"
            )
            blank = dns.rdata.from_text("IN", "RRSIG", f"{head} AA==")
            data = dns.dnssec._make_rrsig_signature_data((owner, rdataset), blank)  # type: ignore[arg-type]
            full = blank.replace(signature=key.sign(data))
            covers = zone.find_rdataset(owner, "RRSIG", rdataset.rdtype, create=True)
            covers.add(full, 300)
    return zone.to_text(relativize=False, want_origin=False)


@pytest.mark.lab
@pytest.mark.parametrize("algorithm", MADE)
def test_knot_imports_our_key_files(tmp_path: Path, algorithm: int) -> None:
    pair = KeyPair(OWNER, make_key(algorithm, True), 300, TIMES)
    _write(tmp_path, pair)
    keymgr = ("keymgr", "-D", str(tmp_path / "kasp"), "example.com")
    _run(*keymgr, "import-bind", str(tmp_path / f"{pair.stem}.key"), cwd=tmp_path)
    ours = ds_of(OWNER, pair.key.public).text.lower()
    assert ours in _run(*keymgr, "ds", str(pair.key.tag), cwd=tmp_path).lower()


@pytest.mark.lab
def test_keys_of_ldns_keygen_load(tmp_path: Path) -> None:
    """ldns-keygen leaves the times out, and says so in a comment of the .key."""
    stem = _run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "example.com", cwd=tmp_path).strip()
    pair = _read(tmp_path / stem)
    assert pair.times == {}
    assert pair.key.flags == 257
    assert pair.stem == stem
