"""The largest TTL of a version, looked for in its new blocks only."""

from __future__ import annotations

import pytest

from tests.server.fakes import snapshot
from xfer.dnssec.ttls import LargestTtl
from xfer.wire.records import A, make
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot


def with_ttl(ttl: int) -> Snapshot:
    """A version of which one record has that TTL."""
    before = snapshot(blocks=3, hosts=30)
    last = Block.make([make(b"zzz\0\0", A, ttl, b"\1\2\3\4")], {})
    return Snapshot(before.origin, [*before.blocks, last])


def test_the_largest_of_all_records() -> None:
    before = snapshot(blocks=3, hosts=30)
    usual = LargestTtl().of(before)
    assert LargestTtl().of(with_ttl(usual + 1)) == usual + 1
    assert LargestTtl().of(with_ttl(2**31 - 1)) == 2**31 - 1
    assert LargestTtl().of(with_ttl(0)) == usual


def test_known_blocks_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ttls = LargestTtl()
    ttls.of(with_ttl(1_000_000))
    looked: list[bytes] = []

    def look(block: Block) -> int:
        looked.append(block.digest)
        return 5

    monkeypatch.setattr("xfer.dnssec.ttls._largest", look)
    assert ttls.of(with_ttl(900_000)) < 1_000_000
    assert len(looked) == 1
