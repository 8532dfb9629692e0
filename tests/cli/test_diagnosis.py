"""What to look at when a transfer failed, in a sentence or none."""

from __future__ import annotations

import pytest

from xfer.cli.diagnosis import advice
from xfer.errors import Failure, TransferError, XferError, ZoneError
from xfer.server.target import Target
from xfer.wire.names import from_text
from xfer.wire.tsig import HMAC_SHA256, Key

ORIGIN = from_text("example.com.")
KEY = Key(from_text("k1."), HMAC_SHA256, b"secret")
PLAIN = Target("192.0.2.1", 5353)


def denied(rcode: str, source: str = "") -> TransferError:
    peer = "192.0.2.1#5353" + (f" from {source}" if source else "")
    return TransferError(Failure.DENIED, "an answer", f"rcode {rcode}", peer=peer)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TransferError(Failure.TRANSPORT, "a connection", "refused"), "TCP at 192.0.2.1 port 5353"),
        (
            TransferError(Failure.PROTOCOL, "records", "an empty message"),
            "no data for example.com.",
        ),
        (denied("NOTAUTH"), "not authoritative for example.com."),
        (denied("SERVFAIL"), "knows example.com. and cannot serve it"),
    ],
)
def test_each_failure_has_one_line(error: TransferError, said: str) -> None:
    (line,) = advice(error, PLAIN, ORIGIN)
    assert said in line


@pytest.mark.parametrize(
    "error",
    [
        ZoneError("two SOAs"),
        TransferError(Failure.AUTH, "a good MAC", "another"),
        TransferError(Failure.CONTENT, "one SOA", "two"),
        TransferError(Failure.POLICY, "at most 5 records", "6"),
        TransferError(Failure.PROTOCOL, "a name", "a loop"),
        denied("NXDOMAIN"),
    ],
)
def test_what_says_all_itself_gets_no_advice(error: XferError) -> None:
    assert advice(error, PLAIN, ORIGIN) == []


@pytest.mark.parametrize(
    ("target", "source", "said"),
    [
        (PLAIN, "192.0.2.9", "we asked from 192.0.2.9: "),
        (PLAIN, "2001:db8::9", "we asked from 2001:db8::9: "),
        (Target("192.0.2.1", source="192.0.2.8"), "192.0.2.9", "we asked from 192.0.2.9: "),
        (Target("192.0.2.1", source="192.0.2.8"), "", "we asked from 192.0.2.8: "),
        (PLAIN, "", "we asked from an address the system chose: "),
    ],
)
def test_a_refusal_says_where_we_asked_from(target: Target, source: str, said: str) -> None:
    first, _ = advice(denied("REFUSED", source), target, ORIGIN)
    assert first.startswith(said)
    assert "the transfer ACL of example.com." in first


@pytest.mark.parametrize(
    ("key", "said"),
    [(None, "not signed: the peer may ask for a key"), (KEY, "allow the key k1. with hmac-sha256")],
)
def test_a_refusal_says_which_key_signed(key: Key | None, said: str) -> None:
    _, second = advice(denied("REFUSED"), Target("192.0.2.1", key=key), ORIGIN)
    assert said in second
