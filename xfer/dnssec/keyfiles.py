"""BIND's key files: `K<name>+<algorithm>+<tag>.key` and `.private` as texts, read and written.

The .key is the DNSKEY as a line of a zone file under comments. The .private is "Private-key-format:
v1.3" (RFC 6605 §6, RFC 8080 §6 and RFC 5702 §6 show some): `Field: value` lines, numbers in base64,
then times in UTC as YYYYMMDDHHMMSS. Files of ldns, Knot's keymgr and older BIND have less of it.

What stands in a .private is never repeated in an error: a damaged file may have it anywhere.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Mapping
from typing import Final

import attrs
from cryptography.exceptions import InternalError
from cryptography.hazmat.primitives.asymmetric import rsa

from xfer.dnssec.algorithms import Algorithm, algorithm_of
from xfer.dnssec.ds import Dnskey, dnskey_from, dnskey_from_text
from xfer.dnssec.idents import tag_of
from xfer.dnssec.keys import RSA_BITS, SigningKey, from_octets, verify
from xfer.errors import KeyRefused, WireError
from xfer.log import Secret
from xfer.wire import names

MOST_OCTETS: Final = 64 * 1024  # of a file; RSA of 4096 bits needs 4 kB
FORMAT: Final = "v1.3"
#: Times that BIND's tools keep, in the order they write them.
TIMES: Final[tuple[str, ...]] = (
    "Created", "Publish", "Activate", "Revoke", "Inactive", "Delete", "DSPublish", "SyncPublish",
    "SyncDelete",
)  # fmt: skip
_RSA: Final[tuple[str, ...]] = (
    "Modulus", "PublicExponent", "PrivateExponent", "Prime1", "Prime2", "Exponent1", "Exponent2",
    "Coefficient",
)  # fmt: skip
_HARDWARE: Final = ("Engine", "Label")  # the key itself stands in an HSM
_NAME: Final = re.compile(r"K(?P<owner>.*\.)\+(?P<algorithm>\d{3})\+(?P<tag>\d{5})")
_COMMENT: Final = re.compile(r"(?<!\\);.*")
_TIME: Final = re.compile(r"\d{14}", re.ASCII)
_LAST: Final = 253402300799  # 9999-12-31 23:59:59


@attrs.frozen
class KeyPair:
    """What the two files of a key hold.

    owner: wire name, lower-case; ttl: of the DNSKEY, None where the file gives none; times: by the
    names of TIMES, Unix seconds.
    """

    owner: bytes
    key: SigningKey
    ttl: int | None = None
    times: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def stem(self) -> str:
        return stem_of(self.owner, self.key.ident)


def file_text(owner: bytes) -> str:
    """A name as BIND writes it into file names: lower case, unusual octets as %XX, a final dot."""
    labels = [
        "".join(
            chr(octet)
            if (chr(octet).isalnum() and octet < 128) or octet in b"-_"
            else f"%{octet:02X}"
            for octet in label
        )
        for label in names.labels(names.lower(owner))
    ]
    return ".".join(labels) + "."


def stem_of(owner: bytes, ident: str) -> str:
    """`Kexample.com.+013+09394`, to which .key and .private come."""
    return f"K{file_text(owner)}+{ident}"


def ident_in(name: str) -> str:
    """The ident in a file name without its ending; "" where it is no name of a key file."""
    match = _NAME.fullmatch(name)
    return f"{match['algorithm']}+{match['tag']}" if match else ""


def read_public(text: str, file: str = "") -> tuple[bytes, int | None, Dnskey]:
    """Owner, TTL and DNSKEY of a .key file's text. Raises KeyRefused."""
    bare = "\n".join(_COMMENT.sub("", line) for line in text.splitlines())
    words = bare.replace("(", " ").replace(")", " ").split()
    if not words:
        raise KeyRefused("a DNSKEY record", "an empty file", file)
    try:
        owner = names.lower(names.from_text(words[0]))
    except WireError as error:
        raise KeyRefused(error.expected, error.got[:80], file) from None
    rest = words[1:]
    ttl: int | None = None
    while rest and (rest[0].upper() == "IN" or (rest[0].isascii() and rest[0].isdigit())):
        if rest[0].upper() != "IN":
            ttl = min(int(rest[0][:10]), 0x7FFFFFFF)
        rest = rest[1:]
    if not rest or rest[0].upper() != "DNSKEY":
        raise KeyRefused("OWNER [TTL] IN DNSKEY …", f"{rest[0][:20]!r}" if rest else "an end", file)
    try:
        return owner, ttl, dnskey_from_text(" ".join(rest[1:]))
    except KeyRefused as error:
        raise KeyRefused(error.expected, error.got, file) from None


def read_pair(public: str, private: Secret, file: str = "") -> KeyPair:
    """The key of both files' contents; file: their common name, for errors.

    Raises KeyRefused where either is damaged, too large, of an algorithm that is not used here, or
    where they are not of the same key.
    """
    owner, ttl, dnskey = read_public(public, f"{file}.key" if file else "")
    where = f"{file}.private" if file else ""
    fields = _fields(private, where)
    known = _algorithm(fields, where)
    if known.number != dnskey.algorithm:
        raise KeyRefused(f"algorithm {dnskey.algorithm} as in the .key", str(known), where)
    for field in _HARDWARE:
        if field in fields:
            raise KeyRefused(
                "the private key itself", f"{field}, a key in a hardware module", where
            )
    key = _private_key(known, dnskey.flags, fields, where)
    if key.public != dnskey.rdata:
        raise KeyRefused(
            f"the private key of the .key (tag {tag_of(dnskey.rdata)})",
            f"that of another one (tag {key.tag})",
            where,
            "the two files have to come from one key",
        )
    times = {name: _time(fields[name], name, where) for name in TIMES if name in fields}
    return KeyPair(owner, key, ttl, times)


def _fields(private: Secret, where: str) -> dict[str, str]:
    octets = private.reveal()
    if len(octets) > MOST_OCTETS:
        raise KeyRefused(f"at most {MOST_OCTETS} octets", str(len(octets)), where)
    try:
        lines = octets.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise KeyRefused("ASCII text", "other octets", where) from None
    fields: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(";"):
            continue
        name, colon, value = line.partition(":")
        at = f"{where}:{number}" if where else f"line {number}"
        if not colon:
            raise KeyRefused("FIELD: VALUE", "a line without a colon", at)
        if name.strip() in fields:
            raise KeyRefused("each field once", "one for the second time", at)
        fields[name.strip()] = value.strip()
    form = fields.get("Private-key-format", "")
    if not re.fullmatch(r"v1\.\d{1,3}", form, re.ASCII):
        got = "another" if form else "none"
        raise KeyRefused(f"Private-key-format: {FORMAT}", got, where)
    return fields


def _algorithm(fields: Mapping[str, str], where: str) -> Algorithm:
    """Of `Algorithm: 13 (ECDSAP256SHA256)`."""
    match = re.match(r"(\d{1,3})(?:\s|$)", fields.get("Algorithm", ""), re.ASCII)
    if match is None:
        raise KeyRefused("Algorithm: NUMBER", "something else", where)
    try:
        return algorithm_of(int(match[1]))
    except KeyRefused as error:
        raise KeyRefused(error.expected, error.got, where) from None


def _private_key(known: Algorithm, flags: int, fields: Mapping[str, str], where: str) -> SigningKey:
    try:
        if known.is_rsa:
            key = SigningKey(known.number, flags, _rsa(fields))
            if not _signs(key):
                raise KeyRefused("numbers that make one RSA key", "some that do not fit")
            return key
        octets = _octets(fields, "PrivateKey", known.size)
        if known.curve is not None:  # BIND leaves leading zeros out, also in 9.18
            octets = octets.rjust(known.size, b"\0")
        return from_octets(known.number, flags, Secret(octets))
    except KeyRefused as error:
        raise KeyRefused(error.expected, error.got, where) from None


def _rsa(fields: Mapping[str, str]) -> rsa.RSAPrivateKey:
    most = RSA_BITS[1] // 8
    n, e, d, p, q, dmp1, dmq1, iqmp = [
        int.from_bytes(_octets(fields, name, most), "big") for name in _RSA
    ]
    if n.bit_length() < RSA_BITS[0]:
        raise KeyRefused(f"RSA of {RSA_BITS[0]} to {RSA_BITS[1]} bits", str(n.bit_length()))
    if not _fit(n, e, d, p, q, dmp1, dmq1, iqmp):
        raise KeyRefused("numbers that make one RSA key", "some that do not fit")
    try:
        # OpenSSL's own check looks for primes too, which takes 35 ms; `_signs` finds what is none.
        return rsa.RSAPrivateNumbers(
            p, q, d, dmp1, dmq1, iqmp, rsa.RSAPublicNumbers(e, n)
        ).private_key(unsafe_skip_rsa_key_validation=True)
    except ValueError:
        raise KeyRefused("numbers that make one RSA key", "some that do not fit") from None


def _fit(n: int, e: int, d: int, p: int, q: int, dmp1: int, dmq1: int, iqmp: int) -> bool:
    """RFC 8017 §3.2, but for p and q being prime."""
    return (
        p > 2
        and q > 2
        and p * q == n
        and n & e & 1 == 1
        and 3 <= e < n
        and d < n
        and dmp1 == d % (p - 1)
        and dmq1 == d % (q - 1)
        and e * dmp1 % (p - 1) == 1
        and e * dmq1 % (q - 1) == 1
        and iqmp < p
        and iqmp * q % p == 1
    )


def _signs(key: SigningKey) -> bool:
    """Whether what the key signs verifies."""
    try:
        return verify(key.public, b"xfer", key.sign(b"xfer"))
    except (ValueError, InternalError):  # OpenSSL's, of numbers that are no key
        return False


def _octets(fields: Mapping[str, str], name: str, most: int) -> bytes:
    try:
        octets = base64.b64decode(fields[name], validate=True)
    except KeyError:
        raise KeyRefused(f"the field {name}", "none") from None
    except ValueError:
        raise KeyRefused(f"{name} in base64", "something else") from None
    if not 0 < len(octets) <= most:
        raise KeyRefused(f"{name} of 1 to {most} octets", str(len(octets)))
    return octets


def _time(value: str, name: str, where: str) -> int:
    """BIND writes `20261122101434`, and dnssec-settime -u adds more in brackets."""
    try:
        if not _TIME.fullmatch(value[:14]) or value[14:15].strip():
            raise ValueError
        utc = datetime.datetime.strptime(value[:14], "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise KeyRefused(f"{name} as YYYYMMDDHHMMSS", "something else", where) from None
    return int(utc.timestamp())


def write_public(pair: KeyPair) -> str:
    """The text of the .key file, as BIND writes it."""
    key = pair.key
    role = "key" if key.sep else "zone"
    lines = [f"; This is a {role}-signing key, keyid {key.tag}, for {names.to_text(pair.owner)}"]
    for name, utc in _shown(pair):
        lines.append(f"; {name}: {utc:%Y%m%d%H%M%S} ({utc:%a %b} {utc.day:2} {utc:%H:%M:%S %Y})")
    lines.append(dnskey_from(key.public).line(pair.owner, pair.ttl))
    return "\n".join(lines) + "\n"


def write_private(pair: KeyPair) -> Secret:
    """The text of the .private file."""
    private = pair.key.reveal()
    known = algorithm_of(pair.key.algorithm)
    lines = [f"Private-key-format: {FORMAT}", f"Algorithm: {known.number} ({known.mnemonic})"]
    if isinstance(private, rsa.RSAPrivateKey):
        own = private.private_numbers()
        public = own.public_numbers
        numbers = (public.n, public.e, own.d, own.p, own.q, own.dmp1, own.dmq1, own.iqmp)
        for name, number in zip(_RSA, numbers, strict=True):
            octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
            lines.append(f"{name}: {_base64(octets)}")
    else:
        lines.append(f"PrivateKey: {_base64(pair.key.private_octets().reveal())}")
    lines += [f"{name}: {utc:%Y%m%d%H%M%S}" for name, utc in _shown(pair)]
    return Secret(("\n".join(lines) + "\n").encode("ascii"))


def _shown(pair: KeyPair) -> list[tuple[str, datetime.datetime]]:
    return [
        (name, datetime.datetime.fromtimestamp(min(max(pair.times[name], 0), _LAST), datetime.UTC))
        for name in TIMES
        if name in pair.times
    ]


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
