"""IXFR from BIND and Knot: what we make of their differences is what they serve."""

from __future__ import annotations

import random
import subprocess
import textwrap
from collections.abc import Iterator

import pytest
import trio

from tests.peers import zones
from tests.peers.knot import Knot
from tests.peers.named import Named
from tests.peers.process import PrimaryZone, Server, TsigKey
from xfer.clock import SystemClock
from xfer.errors import Failure, TransferError
from xfer.server.executor import ThreadExecutor
from xfer.server.pull import PullResult, pull_zone
from xfer.server.target import Target
from xfer.wire import names
from xfer.wire.tsig import Key
from xfer.zone.block import Block
from xfer.zone.changeset import diff
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot

pytestmark = pytest.mark.lab

ZONE = "changes.test."
ORIGIN = names.from_text(ZONE)
KEY = TsigKey.make("k1.")
UPDATER = TsigKey.make("updater.")


def zone_text(serial: int, hosts: int) -> str:
    head = f"""\
        $TTL 3600
        @ SOA ns1 hostmaster {serial} 3600 600 604800 300
        @ NS ns1
        ns1 A 192.0.2.1
        """
    return textwrap.dedent(head) + "".join(
        f"host{n} A 10.0.{n // 256}.{n % 256}\n" for n in range(hosts)
    )


@pytest.fixture(scope="module", params=["BIND", "BIND, one answer", "Knot"])
def primary(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A zone of 3,000 hosts, and edits by dynamic update."""
    zone = PrimaryZone(ZONE, zone_text(1, 3000), keys=[KEY], updaters=[UPDATER])
    server = (
        Knot([zone])
        if request.param == "Knot"
        else Named([zone], one_answer=request.param.endswith("one answer"))
    )
    with server:
        server.wait_serving(ZONE, 1)
        yield server


def update(primary: Server, *lines: str) -> None:
    text = f"server {primary.address} {primary.port}\nzone {ZONE}\n"
    text += "".join(f"update {line}\n" for line in lines) + "send\n"
    key = f"{UPDATER.algorithm}:{UPDATER.name}:{UPDATER.secret}"
    subprocess.run(["nsupdate", "-y", key], input=text, text=True, check=True, timeout=30)


def pull(
    primary: Server, previous: Snapshot | None = None, serial: int | None = None, udp: bool = False
) -> PullResult:
    """The zone, or its changes since `previous`."""
    if previous is not None and serial is None:
        serial = previous.serial
    key = Key.from_text(KEY.name, KEY.algorithm, KEY.secret)
    target = Target(primary.address, primary.port, key=key, ixfr_udp=udp)

    async def main() -> PullResult:
        return await pull_zone(
            target,
            ORIGIN,
            policy=Policy(),
            clock=SystemClock(),
            rng=random.Random(1),
            executor=ThreadExecutor(1),
            previous=previous,
            ixfr_from=serial,
        )

    return trio.run(main)


def check(primary: Server, old: Snapshot, result: PullResult) -> None:
    """The result is what an AXFR brings, and its changes are the difference."""
    assert result.kind == "ixfr"
    assert result.changes is not None
    whole = pull(primary).snapshot
    assert list(result.snapshot.records()) == list(whole.records())
    assert result.snapshot.spelling() == whole.spelling()
    assert result.snapshot.serial == zones.query_soa(primary.address, primary.port, ZONE).serial  # type: ignore[union-attr]
    expected = diff(old, whole)
    assert (result.changes.removed, result.changes.added) == (expected.removed, expected.added)


def test_one_change_and_many_arrive_as_changes(primary: Server) -> None:
    first = pull(primary).snapshot
    assert pull(primary, first).kind == "soa"
    assert pull(primary, first).content is first

    update(primary, "add www.changes.test. 300 A 192.0.2.80")
    one = pull(primary, first)
    check(primary, first, one)
    assert one.changes is not None
    assert (len(one.changes.removed), len(one.changes.added)) == (1, 2)

    for n in range(15):  # Knot keeps 20 changes
        update(
            primary,
            f"delete host{n}.changes.test. A",
            f"add WWW{n}.Changes.Test. 300 TXT case{n}",
            f"delete www{n - 1}.changes.test. TXT",
        )
    check(primary, one.snapshot, pull(primary, one.snapshot))
    many = pull(primary, first)
    check(primary, first, many)
    assert pull(primary, many.snapshot).kind == "soa"
    # Both answer IXFR over UDP with their SOA, whatever has changed.
    assert pull(primary, many.snapshot, udp=True).kind == "soa"
    check(primary, first, pull(primary, first, udp=True))


def test_a_history_that_does_not_reach_brings_the_whole_zone(primary: Server) -> None:
    present = pull(primary).snapshot
    asked = pull(primary, present, serial=(present.serial - 1000) & 0xFFFFFFFF)
    assert asked.kind == "axfr"
    assert asked.snapshot.root == present.root


def test_a_version_that_is_not_theirs_is_left_alone(primary: Server) -> None:
    first = pull(primary).snapshot
    for n in range(2):
        update(primary, f"add extra.changes.test. 300 TXT {n}{random.getrandbits(32)}")
    present = pull(primary).snapshot
    update(primary, "delete extra.changes.test. TXT")
    # The serial is right, the content is an older one.
    records = [*first.records()]
    records[records.index(first.soa)] = present.soa
    wrong = Snapshot(ORIGIN, [Block.make(sorted(records), first.spelling())])
    with pytest.raises(TransferError) as caught:
        pull(primary, wrong)
    assert caught.value.failure is Failure.CONTENT
    assert caught.value.try_axfr
