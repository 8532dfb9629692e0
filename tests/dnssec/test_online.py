"""Signatures that are made when somebody asks (`xfer.dnssec.online`, `signatures`)."""

from __future__ import annotations

import dns.name
import pytest

from tests.answer.online import LASTING, NOW, Clock
from xfer.answer.online import EXISTS, OVER_UDP
from xfer.dnssec.keys import make_key, verify
from xfer.dnssec.online import OnlineSigner, cost_of, labels_of
from xfer.dnssec.signatures import Signatures
from xfer.errors import SigningBusy
from xfer.wire.names import from_text
from xfer.wire.records import RRSIG, make, split

ORIGIN = from_text("example.com.")
A = [make(b"www\0\0", 1, 300, bytes(4))]


def test_a_signature_holds_as_long_as_the_policy_says() -> None:
    key, clock = make_key(13, True), Clock()
    signer = OnlineSigner(ORIGIN, [key], True, LASTING, Signatures(0, 0, clock, clock))
    (record,) = signer.sign(A, EXISTS)
    owner, rtype, covered, ttl, rdata = split(record)
    assert (owner, rtype, covered, ttl) == (b"www\0\0", RRSIG, 1, 300)
    assert rdata[:8] == b"\0\1\x0d\3" + (300).to_bytes(4, "big")
    expiration, inception = (int.from_bytes(rdata[at : at + 4], "big") for at in (8, 12))
    assert (inception, expiration) == (NOW - 3600, NOW + 14 * 86400)
    head, signature = rdata[: 18 + len(ORIGIN)], rdata[18 + len(ORIGIN) :]
    assert head.endswith(key.tag.to_bytes(2, "big") + ORIGIN)
    wire = from_text("www.example.com.") + b"\0\1\0\1\0\0\1\x2c\0\4" + bytes(4)
    assert verify(key.public, head + wire, signature)


def test_signatures_of_other_keys_are_not_given() -> None:
    clock = Clock()
    shared = Signatures(1 << 16, 0, clock, clock)
    signers = [OnlineSigner(ORIGIN, [make_key(13, True)], True, LASTING, shared) for _ in range(2)]
    assert signers[0].sign(A, EXISTS) != signers[1].sign(A, EXISTS)
    assert signers[0].sign(A, EXISTS) == signers[0].sign(A, EXISTS)
    assert shared.drain() == {"made": 2, "again": 2}
    assert shared.drain() == {}


def test_the_dearer_a_signature_the_fewer_there_are() -> None:
    clock = Clock()
    keys = [make_key(algorithm, True) for algorithm in (13, 14, 15, 16)]
    assert [cost_of(key) for key in keys] == [1.0, 10.0, 1.25, 8.0]
    assert cost_of(make_key(8, True, bits=3072)) == pytest.approx(40.5)
    signatures = Signatures(0, 20, clock, clock)
    signer = OnlineSigner(ORIGIN, keys[:2], True, LASTING, signatures)
    assert len(signer.sign(A, EXISTS)) == 2
    signer.sign(A, EXISTS)
    with pytest.raises(SigningBusy, match=r"limits\.online_signatures"):
        signer.sign(A, EXISTS)
    clock.now += 1
    signer.sign(A, OVER_UDP)


@pytest.mark.parametrize("name", [".", "a.", "*.", "*.a.", "a.*.b.", "x.y.z."])
def test_labels_are_counted_as_dnspython_does(name: str) -> None:
    of = dns.name.from_text(name)
    expected = len(of) - 1 - (of.labels[0] == b"*")
    assert labels_of(of.to_wire() or b"") == expected
