"""A sender that puts one record into each message (BIND's `transfer-format one-answer`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.chain import chain, key_of, pull
from tests.peers import Named, PrimaryZone, Xferd, axfr, file_records
from tests.peers.zones import axfr_messages

pytestmark = pytest.mark.lab

ZONE = "example.test."
TEXT = f"""$ORIGIN {ZONE}
$TTL 300
@ SOA ns hostmaster 3 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
{"".join(f"host{i} A 192.0.2.{i % 250}{chr(10)}" for i in range(500))}"""


def test_one_record_per_message_arrives_whole(tmp_path: Path) -> None:
    primary = Named([PrimaryZone(ZONE, TEXT, keys=[key_of(0)])], one_answer=True)
    with chain([Named, Xferd, Named], ZONE, TEXT, 3, primary=primary) as (_, xfer, secondary):
        messages = list(axfr_messages(primary.address, primary.port, ZONE, key_of(0)))
        assert len(messages) == 504  # 503 records and the closing SOA: it does what we think
        written = file_records(TEXT, ZONE)
        assert axfr(xfer.address, xfer.port, ZONE, key_of(1)) == written
        assert secondary.axfr(ZONE, key_of(2)) == written
        assert pull(primary, ZONE, key_of(0), tmp_path) == written
