"""ZONEMD on its way through a transfer: refused, taken, kept in mind, and beside the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import pytest
import trio

from tests.badinput.primary import ORIGIN as CHILDS_ORIGIN
from tests.badinput.primary import rr
from tests.server.fakes import peer, zone_config
from tests.server.receiving import (
    BEFORE_ANYTHING,
    HOSTS,
    drafts,
    framed,
    framing,
    job,
    told,
)
from tests.server.upstream import Secondary, Upstream, simulate
from tests.transfer.changing import changes, host, version
from tests.zone import changing
from xfer.errors import TransferError
from xfer.journal import Mark
from xfer.server import digests, dropped
from xfer.server.building import Base, Building
from xfer.server.parsing import LocalReception, RemoteReception
from xfer.server.pipeline import Pipeline
from xfer.server.pull import INLINE_RECORDS
from xfer.server.zones import Zone
from xfer.transfer.updates import Add, Begin, Delete, Kind
from xfer.wire.records import ZONEMD, split
from xfer.zone.block import Block
from xfer.zone.build import Builder
from xfer.zone.check import Finding, Grade, Policy
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonemd import make_zonemd

A = peer("a", "192.0.2.1")


def with_zonemd(snapshot: Snapshot, records: Sequence[bytes] | None = None) -> Snapshot:
    """The version with these ZONEMD records, its own where none are given."""
    extra = make_zonemd(snapshot) if records is None else records
    return Snapshot(snapshot.origin, [Block.make(sorted([*snapshot.records(), *extra]), {})])


def flipped(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


GOOD = with_zonemd(version(5))
BAD = with_zonemd(version(6, [host("a")]), [flipped(make_zonemd(version(6, [host("a")]))[0])])


def test_a_wrong_digest_is_not_served_and_the_old_version_goes_on() -> None:
    upstream = Upstream(a=GOOD)

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        assert zone.content is not None
        assert zone.content.zonemd == "verified (SHA-384)"
        (mark,) = secondary.commits.committed[-1].marks
        assert mark.name == "zonemd"
        upstream.served["a"] = BAD
        await secondary.attempts.attempt(zone)
        assert (zone.serial, zone.content.zonemd) == (5, "verified (SHA-384)")
        assert zone.error is not None
        assert zone.error.failure == "content"
        assert "expected SHA-384 digest" in zone.error.sentence
        assert "as the ZONEMD says, got" in zone.error.sentence
        secondary.refresher.policy = Policy({"zonemd": Grade.WARN})
        await secondary.attempts.attempt(zone)
        assert (zone.serial, zone.content.zonemd) == (6, "not verified")
        assert any("zonemd (warn)" in warning for warning in zone.warnings())

    simulate(upstream, session)


def test_what_came_of_it_outlives_a_restart_for_the_same_content_only() -> None:
    made = with_zonemd(version(5))
    made.zonemd = "verified (SHA-384)"
    (mark,) = digests.marks_of(made)
    again = Zone(zone_config(primaries=[A]), snapshot=with_zonemd(version(5)))
    digests.restore(again, [Mark(again.origin, "other", {}), mark])
    assert again.content is not None
    assert again.content.zonemd == "verified (SHA-384)"
    other = Zone(zone_config(primaries=[A]), snapshot=with_zonemd(version(6)))
    digests.restore(other, [mark])
    assert other.content is not None
    assert other.content.zonemd == ""
    digests.restore(Zone(zone_config(primaries=[A])), [mark])
    assert digests.marks_of(version(5)) == ()


@pytest.mark.parametrize(
    ("rule", "grade", "marked"),
    [
        ("ttl-mismatch", Grade.WARN, True),
        ("soa-below-apex", Grade.DROP, True),
        ("several-cnames", Grade.DROP, True),
        ("soa-below-apex", Grade.WARN, False),
        ("out-of-zone", Grade.DROP, False),
        ("duplicate", Grade.WARN, False),
    ],
)
def test_a_zone_with_a_digest_is_asked_for_whole_once_it_was_mended(
    rule: str, grade: Grade, marked: bool
) -> None:
    assert bool(dropped.marks_of(GOOD, [Finding(rule, grade, b"\0", 1, "")])) is marked


def test_a_child_verifies_as_this_process_does() -> None:
    plain = told(LocalReception(job(), framing(None)), framed(drafts(HOSTS), None)).snapshot
    good = split(make_zonemd(plain)[0])[4]
    with closing(Pipeline()) as child:
        for rdata in (good, flipped(good)):
            messages = drafts([*HOSTS, rr(CHILDS_ORIGIN, ZONEMD, rdata)])
            stream = framed(messages, None)
            receptions = (
                LocalReception(job(), framing(None)),
                RemoteReception(child, job(), framing(None), BEFORE_ANYTHING),
            )
            for reception in receptions:
                if rdata == good:
                    assert told(reception, stream).snapshot.zonemd == "verified (SHA-384)"
                    continue
                reception.take([stream], 0)
                while reception.behind:
                    reception.catch_up()
                with pytest.raises(TransferError, match="as the ZONEMD says, got"):
                    reception.finish()


def building(base: Snapshot, new: Snapshot, extra: Sequence[bytes] = ()) -> Building:
    """An IXFR that has come to its end."""
    made = Building(
        base.origin, lambda: Builder(base.origin, Policy()), Base(base.serial, base, Policy())
    )
    found = changes(base, new)
    made.apply(Begin(Kind.IXFR, new.serial, new.soa))
    made.apply(Delete(changing.batch(found.removed, None)))
    made.apply(Add(changing.batch([*found.added, *extra], None)))
    return made


def test_a_small_change_of_a_large_zone_is_digested_beside_the_event_loop() -> None:
    hosts = [host(f"h{n}") for n in range(50)]
    old, new = version(5, hosts), version(6, hosts)
    assert 0 < building(old, new).differing <= INLINE_RECORDS
    assert building(old, new, make_zonemd(new)).differing > INLINE_RECORDS
    assert building(with_zonemd(old), with_zonemd(new)).differing > INLINE_RECORDS
    received = building(with_zonemd(old), with_zonemd(new)).finish()
    assert received.snapshot is not None
    assert received.snapshot.zonemd == "verified (SHA-384)"
