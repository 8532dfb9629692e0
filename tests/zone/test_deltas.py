"""Deltas as they come: counted, limited, and refused where they contradict each other."""

from __future__ import annotations

import pytest

from tests.strategies import ORIGIN, apex, batches, host
from tests.zone.changing import batch
from xfer.errors import ChangeRefused, Failure, TransferError
from xfer.wire import records
from xfer.zone.deltas import Deltas

ZONE = apex() + [host(n) for n in range(20)]


def test_counts_all_that_came() -> None:
    deltas = Deltas(ORIGIN, 1)
    deltas.delete(batches(ZONE[:10], 10)[0])
    outside = batch([host(20_001)], {host(20_001): (b"\1A\0", bytes(4))})
    outside.outside.append((b"\1x\0", 1, 0))
    deltas.add(outside)
    assert deltas.records == 12
    assert deltas.octets == sum(map(len, [*ZONE[:10], host(20_001)])) + 7
    assert deltas.outside == [(b"\1x\0", 1)]


@pytest.mark.parametrize("ttl", [b"\0\0\0\0", b"\0\0\1\x2c"])
def test_removed_twice_is_refused_whatever_the_ttl(ttl: bytes) -> None:
    deltas = Deltas(ORIGIN, 1)
    deltas.delete(batch([host(5)], None))
    end = records.rrset_end(host(5))
    with pytest.raises(ChangeRefused, match=r"h0000005\.example\.test\. A 0\.0\.0\.5, .* removed"):
        deltas.delete(batch([host(5)[:end] + ttl + host(5)[end + 4 :]], None))


def test_added_twice_is_refused() -> None:
    deltas = Deltas(ORIGIN, 1)
    with pytest.raises(ChangeRefused, match="which an earlier change has added"):
        deltas.add(batch([host(5), host(5)], None))
    deltas = Deltas(ORIGIN, 1)
    deltas.delete(batch([host(5)], None))
    deltas.add(batch([host(5)], None))
    with pytest.raises(ChangeRefused, match="which an earlier change has added"):
        deltas.add(batch([host(5)], None))


def test_limits_are_named_and_leave_an_axfr_open() -> None:
    deltas = Deltas(ORIGIN, 1, 10)
    deltas.delete(batches(ZONE[:10], 10)[0])
    with pytest.raises(TransferError, match=r"limits\.max_zone_records") as caught:
        deltas.add(batches(ZONE[10:11], 1)[0])
    assert caught.value.failure is Failure.POLICY
    assert caught.value.try_axfr
    deltas = Deltas(ORIGIN, 1, 0, 100)
    with pytest.raises(TransferError, match=r"100 octets \(limits\.max_zone_bytes\)"):
        deltas.add(batches(ZONE[:10], 10)[0])
