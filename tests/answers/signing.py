"""Signs zone files in several forms with fixed keys and times, so that a run can be repeated.

Keys are Ed25519 (RFC 8080), made from the zone's name: their signatures are deterministic too.
`dnssec-signzone` (BIND) and `ldns-signzone` do the signing.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import random
import re
import subprocess
from pathlib import Path

import attrs
import dns.dnssec
import dns.name
import dns.rdata
import dns.rrset
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dns.rdtypes.ANY.DNSKEY import DNSKEY

INCEPTION = "20240101000000"
EXPIRATION = "20370101000000"
NOW = 1750000000.0
"""A time at which the signatures hold (2025-06-15)."""


class Form(enum.Enum):
    """How a zone is signed."""

    UNSIGNED = "not at all"
    NSEC = "NSEC"
    NSEC3 = "NSEC3 with a salt and 5 iterations"
    OPT_OUT = "NSEC3 with opt-out, no salt, no iterations"
    LDNS = "NSEC3 by ldns-signzone"
    RESALTED = "NSEC3, and half of a chain with the next salt"
    TWO_CHAINS = "NSEC3, two whole chains with an NSEC3PARAM each"
    PARTLY = "NSEC, some RRSIGs and NSECs missing"


@attrs.frozen
class Key:
    """The one key of a zone, with the zone's name, absolute, in presentation form."""

    zone: str
    private: Ed25519PrivateKey
    dnskey: DNSKEY

    @classmethod
    def of(cls, zone: str) -> Key:
        private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(zone.encode()).digest())
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        text = f"257 3 15 {base64.b64encode(public).decode()}"
        dnskey = dns.rdata.from_text("IN", "DNSKEY", text)
        assert isinstance(dnskey, DNSKEY)
        return cls(zone, private, dnskey)

    def write(self, directory: Path) -> Path:
        """The pair of files that the signers read; returns their common path."""
        tag = dns.dnssec.key_id(self.dnskey)
        path = directory / f"K{self.zone}+015+{tag:05}"
        path.with_name(path.name + ".key").write_text(f"{self.zone} IN DNSKEY {self.dnskey}\n")
        secret = base64.b64encode(self.private.private_bytes_raw()).decode()
        path.with_name(path.name + ".private").write_text(
            f"Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nPrivateKey: {secret}\n"
        )
        return path

    def ds(self, owner: str) -> str:
        """The DS record for the parent's zone file."""
        digest = dns.dnssec.make_ds(dns.name.from_text(self.zone), self.dnskey, "SHA256")
        return f"{owner} DS {digest}\n"


def sign(text: str, zone: str, form: Form, directory: Path) -> str:
    """The zone file `text` in this form."""
    if form is Form.UNSIGNED:
        return text
    key = Key.of(zone)
    if form is Form.LDNS:
        return _ldns(text, key, directory)
    if form is Form.NSEC:
        return _signzone(text, key, directory)
    if form is Form.PARTLY:
        return _partly(_signzone(text, key, directory))
    if form is Form.OPT_OUT:
        return _signzone(text, key, directory, "-3", "-", "-H", "0", "-A")
    now = _signzone(text, key, directory, "-3", "AABBCCDD", "-H", "5")
    if form is Form.NSEC3:
        return now
    after = _signzone(text, key, directory, "-3", "0102", "-H", "0")
    if form is Form.RESALTED:
        return now + _half(after)
    return _two_chains(now, after, key)


def _signzone(text: str, key: Key, directory: Path, *options: str) -> str:
    source, target = directory / "unsigned", directory / "signed"
    source.write_text(text + f"@ DNSKEY {key.dnskey}\n")
    _run(
        "dnssec-signzone", "-z", "-P", "-O", "full", "-s", INCEPTION, "-e", EXPIRATION,
        "-o", key.zone, "-f", str(target), *options, str(source), str(key.write(directory)),
        cwd=directory,
    )  # fmt: skip
    return target.read_text()


def _ldns(text: str, key: Key, directory: Path) -> str:
    source, target = directory / "unsigned", directory / "signed"
    source.write_text(f"$ORIGIN {key.zone}\n{text}")
    _run(
        "ldns-signzone", "-n", "-s", "beef", "-t", "1", "-i", INCEPTION, "-e", EXPIRATION,
        "-o", key.zone, "-f", str(target), str(source), str(key.write(directory)),
        cwd=directory,
    )  # fmt: skip
    return "".join(_owner_escaped(line) for line in target.read_text().splitlines(keepends=True))


def _owner_escaped(line: str) -> str:
    """ldns writes quotes and @ in owners as they are."""
    owner, tab, rest = line.partition("\t")
    return re.sub(r'(?<!\\)(["@])', r"\\\1", owner) + tab + rest


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd=cwd
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def _lines(text: str) -> list[list[str]]:
    """The records of a signer's output as owner, TTL, class, type, rdata."""
    found = []
    for line in text.splitlines():
        fields = line.split(None, 4)
        if len(fields) == 5 and not line.startswith(";"):
            found.append(fields)
    return found


def _partly(text: str) -> str:
    """A third of the RRSIGs and a tenth of the NSECs gone, the apex's records apart."""
    draw = random.Random(3)
    records = _lines(text)
    apex = records[0][0].lower()
    kept = []
    for fields in records:
        owner, _, _, rtype, _ = fields
        chance = {"RRSIG": 0.33, "NSEC": 0.1}.get(rtype, 0.0)
        if owner.lower() == apex or draw.random() >= chance:
            kept.append(" ".join(fields) + "\n")
    return "".join(kept)


def _chain(text: str) -> list[str]:
    """The NSEC3 records with their signatures."""
    return [
        " ".join(fields) + "\n"
        for fields in _lines(text)
        if fields[3] == "NSEC3" or (fields[3] == "RRSIG" and fields[4].startswith("NSEC3 "))
    ]


def _half(text: str) -> str:
    """Every second owner of an NSEC3 chain."""
    lines = _chain(text)
    owners = sorted({line.split(None, 1)[0] for line in lines})[::2]
    return "".join(line for line in lines if line.split(None, 1)[0] in owners)


def _two_chains(first: str, second: str, key: Key) -> str:
    """Both chains; the NSEC3PARAM RRset of two records is signed anew."""
    params = [
        fields for text in (first, second) for fields in _lines(text) if fields[3] == "NSEC3PARAM"
    ]
    rest = [
        " ".join(fields) + "\n"
        for fields in _lines(first)
        if fields[3] != "NSEC3PARAM" and not fields[4].startswith("NSEC3PARAM ")
    ]
    ttl = int(params[0][1])
    rrset = dns.rrset.from_text(key.zone, ttl, "IN", "NSEC3PARAM", *(f[4] for f in params))
    apex = dns.name.from_text(key.zone)
    rrsig = dns.dnssec.sign(
        rrset, key.private, apex, key.dnskey,
        inception=int(INCEPTION_SECONDS), expiration=int(EXPIRATION_SECONDS),
    )  # fmt: skip
    lines = [f"{key.zone} {ttl} IN NSEC3PARAM {fields[4]}\n" for fields in params]
    lines.append(f"{key.zone} {ttl} IN RRSIG {rrsig}\n")
    return "".join([*rest, *lines, *_chain(second)])


INCEPTION_SECONDS = 1704067200
EXPIRATION_SECONDS = 2114380800
