"""DS records are what BIND, ldns and dnspython make of the same key; so are the delete forms."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdata
import pytest
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from hypothesis import given
from hypothesis import strategies as st

from xfer.dnssec import ds
from xfer.dnssec.keys import make_key
from xfer.errors import KeyRefused
from xfer.wire import names

OWNER = names.from_text("dskey.example.com.")

# RFC 4034 §5.4 (the key, SHA-1) and RFC 4509 §2.3 (the same key, SHA-256).
RFC_KEY = ds.dnskey_from_text(
    "256 3 5 AQOeiiR0GOMYkDshWoSKz9Xz fwJr1AYtsmx3TGkJaNXVbfi/ 2pHm822aJ5iI9BMzNXxeYCmZ"
    " DRD99WYwYqUSdjMmmAphXdvx egXd/M5+X7OrzKBaMbCVdFLU Uh6DhweJBjEVv5f2wwjM9Xzc nOf+EPbtG9DMBmA"
    "DjFDc2w/r ljwvFw=="
)


def test_the_vectors_of_rfc_4034_and_4509() -> None:
    sha1 = ds.Ds(60485, 5, 1, bytes.fromhex("2BB183AF5F22588179A53B0A98631FAD1A292118"))
    assert sha1.matches(OWNER, RFC_KEY.rdata)
    assert ds.ds_of(OWNER, RFC_KEY.rdata).text == (
        "60485 5 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A"
    )


def test_owner_case_does_not_count() -> None:
    upper = names.from_text("DSKEY.Example.COM.")
    assert ds.ds_of(upper, RFC_KEY.rdata) == ds.ds_of(OWNER, RFC_KEY.rdata)


@pytest.mark.parametrize("algorithm", [13, 14, 15, 16])
@pytest.mark.parametrize(("digest", "name"), [(2, "SHA256"), (4, "SHA384")])
def test_as_dnspython_makes_it(algorithm: int, digest: int, name: str) -> None:
    key = make_key(algorithm, True)
    other = dns.rdata.from_wire("IN", "DNSKEY", key.public, 0, len(key.public))
    assert isinstance(other, DNSKEY)
    theirs = dns.dnssec.make_ds(dns.name.from_text("dskey.example.com."), other, name)
    ours = ds.ds_of(OWNER, key.public, digest)
    assert ours.rdata == theirs.to_wire()
    assert ours.text.lower() == theirs.to_text()
    assert ds.ds_from(ours.rdata) == ours
    assert ours.matches(OWNER, key.public)
    assert not ours.matches(names.from_text("other.example."), key.public)
    assert not ours.matches(OWNER, make_key(algorithm, True).public)


def test_what_is_copied() -> None:
    key = RFC_KEY.rdata
    record = ds.ds_of(OWNER, key)
    assert record.line(OWNER, 3600) == f"dskey.example.com. 3600 IN DS {record.text}"
    assert record.line(OWNER, rtype="CDS") == f"dskey.example.com. IN CDS {record.text}"
    assert record.fields() == {
        "key_tag": 60485,
        "algorithm": 5,
        "algorithm_name": "RSASHA1",
        "digest_type": 2,
        "digest_name": "SHA-256",
        "digest": "D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A",
    }
    public = base64.b64encode(RFC_KEY.public_key).decode()
    assert RFC_KEY.line(OWNER) == f"dskey.example.com. IN DNSKEY 256 3 5 {public}"
    assert RFC_KEY.fields() == {
        "flags": 256,
        "protocol": 3,
        "algorithm": 5,
        "algorithm_name": "RSASHA1",
        "public_key": public,
        "key_tag": 60485,
        "role": "ZSK",
    }


def test_the_delete_forms_of_rfc_8078() -> None:
    for rtype, rdata, text in (
        ("CDS", ds.DELETE_CDS, "0 0 0 00"),
        ("CDNSKEY", ds.DELETE_CDNSKEY, "0 3 0 AA=="),
    ):
        assert dns.rdata.from_text("IN", rtype, text).to_wire() == rdata
    assert ds.ds_from(ds.DELETE_CDS).is_delete
    assert ds.dnskey_from(ds.DELETE_CDNSKEY).is_delete
    assert ds.ds_from(ds.DELETE_CDS).text == "0 0 0 00"
    assert ds.dnskey_from(ds.DELETE_CDNSKEY).text == "0 3 0 AA=="
    assert not ds.ds_of(OWNER, RFC_KEY.rdata).is_delete


@pytest.mark.parametrize("digest", [0, 1, 3, 255])
def test_other_digests_are_not_made(digest: int) -> None:
    with pytest.raises(KeyRefused, match=r"2 \(SHA-256\) or 4 \(SHA-384\)"):
        ds.ds_of(OWNER, RFC_KEY.rdata, digest)


def test_a_ds_of_an_unknown_digest_matches_nothing() -> None:
    assert not ds.ds_from(b"\xec\x45\x05\x03" + bytes(32)).matches(OWNER, RFC_KEY.rdata)


@pytest.mark.parametrize(
    ("rdata", "problem"), [(b"", "5 octets"), (b"\0\0\r\2" + bytes(20), "32 octets of SHA-256")]
)
def test_damaged_ds_rdata_is_refused(rdata: bytes, problem: str) -> None:
    with pytest.raises(KeyRefused, match=problem):
        ds.ds_from(rdata)


@given(st.binary(max_size=60))
def test_any_octets_are_a_ds_or_refused(rdata: bytes) -> None:
    try:
        found = ds.ds_from(rdata)
    except KeyRefused:
        return
    assert found.rdata == rdata
    assert not found.matches(OWNER, RFC_KEY.rdata)


@given(st.binary(min_size=5, max_size=300))
def test_dnskey_text_round_trips(rdata: bytes) -> None:
    found = ds.dnskey_from(rdata)
    assert ds.dnskey_from_text(found.text) == found
    assert found.rdata == rdata


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("257 3 13", "3 words"),
        ("x 3 13 AA==", "flags"),
        ("65536 3 13 AA==", "flags from 0 to 65535, got '65536'"),
        ("257 256 13 AA==", "protocol"),
        ("257 3 -1 AA==", "algorithm"),
        ("257 3 13 A", "base64"),
        ("257 3 13 !!!!", "base64"),
        ("257 3 ² AA==", "algorithm"),
    ],
)
def test_damaged_dnskey_text_is_refused(text: str, problem: str) -> None:
    with pytest.raises(KeyRefused, match=problem):
        ds.dnskey_from_text(text)


@pytest.mark.lab
@pytest.mark.parametrize("algorithm", [8, 13, 14, 15, 16])
def test_bind_and_ldns_make_the_same_ds(tmp_path: Path, algorithm: int) -> None:
    key = make_key(algorithm, True)
    record = ds.dnskey_from(key.public)
    file = tmp_path / f"Kdskey.example.com.+{key.ident}.key"
    file.write_text(record.line(OWNER) + "\n")
    for digest, bind, ldns in ((2, "SHA-256", "-2"), (4, "SHA-384", "-4")):
        ours = ds.ds_of(OWNER, key.public, digest).line(OWNER)
        assert _run("dnssec-dsfromkey", "-a", bind, str(file)) == ours.split()
        theirs = _run("ldns-key2ds", "-n", ldns, str(file))
        assert [part.lower() for part in theirs] == [
            part.lower() for part in ds.ds_of(OWNER, key.public, digest).line(OWNER, 3600).split()
        ]


def _run(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
