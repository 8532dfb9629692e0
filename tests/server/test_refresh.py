"""One look at the primaries: who is asked, what is published, what is recorded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.server.fakes import KEY, MemoryCommits, peer, snapshot, zone_config
from tests.server.upstream import Ixfr, Secondary, Upstream, simulate
from tests.transfer.zone import ORIGIN
from xfer.config import Role
from xfer.errors import Failure
from xfer.journal import NewVersion
from xfer.server.hints import Hint
from xfer.server.pull import PullLimits
from xfer.server.status import IxfrState, Outcome
from xfer.server.zones import Zone
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonemd import make_zonemd

FIRST = peer("first", "192.0.2.1", keys=(KEY,))
SECOND = peer("second", "192.0.2.2")


class World(Upstream):
    """A zone with two primaries, each a snapshot it serves or None for a refused connection."""

    def __init__(self, **served: Snapshot | None) -> None:
        super().__init__(first=served.get("first"), second=served.get("second"))
        self.down_for = 0.0
        self.zone = Zone(zone_config(primaries=[FIRST, SECOND]))
        self.secondary: Secondary | None = None
        self.broken = False
        self.meanwhile: Callable[[], None] | None = None
        self.raising: int | None = None

    @property
    def published(self) -> list[str]:
        """Sources of the versions that were published in the last attempt."""
        assert self.secondary is not None
        return [new.source for new in self.secondary.commits.committed]

    def attempt(self, **options: object) -> Outcome:
        outcomes: list[Outcome] = []
        self.asked.clear()

        async def session(secondary: Secondary) -> None:
            self.secondary = secondary
            secondary.commits.broken = self.broken
            if self.raising is not None:
                secondary.refresher.raising[self.zone] = self.raising
            outcomes.append(
                await secondary.refresher.attempt(self.zone, **options)  # type: ignore[arg-type]
            )

        simulate(self, session, limits=PullLimits(idle=5, total=20))
        return outcomes[0]

    async def dial(self, target):  # type: ignore[no-untyped-def]
        if self.meanwhile is not None:
            self.meanwhile()
        return await super().dial(target)


def test_a_first_version_comes_from_the_first_primary_without_asking_before() -> None:
    world = World(first=snapshot(1, 400, 30), second=snapshot(2))
    outcome = world.attempt()
    assert outcome.ok
    assert (outcome.peer, outcome.serial_from, outcome.serial_to) == ("first", None, 1)
    assert (world.told(), world.secondary and world.secondary.notified) == (["first axfr"], [1])
    assert world.zone.snapshot is not None
    assert world.zone.snapshot.count == 30 * 400 + 2
    assert world.zone.primaries["first"].serial == 1
    assert world.zone.transfer_from is None


def test_the_second_primary_stands_in_and_the_zone_is_not_failing() -> None:
    world = World(second=snapshot(2))
    assert world.attempt().ok
    assert world.told() == ["first tcp", "second axfr"]
    error = world.zone.primaries["first"].error
    assert error is not None
    assert error.failure == "transport"
    assert "connection refused" in error.sentence
    assert (world.zone.error, world.zone.failures) == (None, 0)


def test_when_all_fail_the_first_reason_is_the_zones() -> None:
    world = World()
    outcome = world.attempt()
    assert not outcome.ok
    assert outcome.failure is not None
    assert "192.0.2.1" in outcome.failure.sentence
    assert (world.zone.failures, world.zone.serial) == (1, None)


@pytest.mark.parametrize("offered", [5, 4])
def test_a_primary_without_news_keeps_the_zone_alive(offered: int) -> None:
    world = World(first=snapshot(offered))
    world.zone.snapshot = snapshot(5)
    outcome = world.attempt()
    assert outcome.ok
    assert world.told() == ["first soa", "second soa"]
    assert (world.zone.serial, world.published) == (5, [])
    assert world.zone.primaries["first"].behind is (offered < 5)
    assert world.zone.expires is not None


def test_a_newer_serial_is_transferred() -> None:
    world = World(first=snapshot(5), second=snapshot(6))
    world.zone.snapshot = snapshot(5)
    outcome = world.attempt()
    assert (outcome.serial_from, outcome.serial_to, outcome.peer) == (5, 6, "second")
    assert world.told() == ["first soa", "second soa", "second ixfr"]
    assert world.published == ["axfr from 192.0.2.2#53"], "the answer was a whole zone"
    assert world.zone.primaries["second"].ixfr is IxfrState.FULL


def test_a_forced_transfer_takes_a_lower_serial() -> None:
    world = World(first=snapshot(3))
    world.zone.snapshot = snapshot(5)
    assert world.attempt(force=True).ok
    assert world.zone.serial == 3


def test_a_forced_transfer_of_the_same_content_makes_no_version() -> None:
    world = World(second=snapshot(5))
    assert world.attempt(only=SECOND).ok
    outcome = world.attempt(force=True, only=SECOND)
    assert outcome.ok
    assert "has what is served already" in outcome.message
    assert (world.told(), world.published) == (["second axfr"], [])


def test_a_journal_that_fails_is_not_tried_again_with_the_next_primary() -> None:
    world = World(first=snapshot(6), second=snapshot(7))
    world.zone.snapshot = snapshot(5)
    world.broken = True
    outcome = world.attempt()
    assert not outcome.ok
    assert outcome.failure is not None
    assert outcome.failure.failure == "policy"
    assert "disk full" in outcome.message
    assert (world.zone.serial, world.told()) == (5, ["first soa", "first ixfr"])


def test_a_zone_that_a_reload_removes_meanwhile_is_not_published() -> None:
    world = World(first=snapshot(6))

    def remove() -> None:
        world.zone.removed = True

    world.meanwhile = remove
    assert not world.attempt().ok
    assert world.published == []


def test_a_zone_that_a_reload_makes_a_primary_zone_meanwhile_keeps_its_content() -> None:
    world = World(first=snapshot(6))
    world.zone.snapshot = snapshot(5)

    def promote() -> None:
        world.zone.config = zone_config(role=Role.PRIMARY)

    world.meanwhile = promote
    assert not world.attempt(force=True).ok
    assert (world.published, world.zone.serial) == ([], 5)


@pytest.mark.parametrize("offered", [4, 5, 5 + 2**31])
def test_an_expired_zone_takes_any_serial(offered: int) -> None:
    world = World(first=snapshot(offered))
    world.zone.snapshot = snapshot(5)
    world.zone.expires = -1.0
    outcome = world.attempt()
    assert outcome.ok
    assert world.zone.serial == offered
    assert world.zone.expires > 0
    assert len(world.published) == (offered != 5), "the same serial needs no transfer"


@pytest.mark.parametrize("offered", [4, 5 + 2**31])
def test_a_serial_that_no_primary_has_is_not_called_current(offered: int) -> None:
    world = World(first=snapshot(offered), second=snapshot(4))
    world.zone.snapshot = snapshot(5)
    outcome = world.attempt()
    assert outcome.ok
    assert outcome.message == (
        f"serial 5 is served still: first has {offered}, which is not above it and not followed"
    )


def test_news_that_cannot_be_had_is_a_failure_though_another_primary_has_what_is_served() -> None:
    world = World(first=snapshot(5), second=snapshot(6))
    world.zone.snapshot = snapshot(5)
    world.broken = True
    outcome = world.attempt()
    assert not outcome.ok
    assert world.told() == ["first soa", "second soa", "second ixfr"]
    assert world.zone.error is not None
    assert "disk full" in world.zone.error.sentence
    assert world.zone.expires is not None, "the check of the first one counts"
    assert (world.zone.serial, world.zone.failures) == (5, 1)


def hint(serial: int | None, source: str = "192.0.2.1") -> Hint:
    return Hint(serial, source)


def test_after_a_notify_with_a_newer_serial_ixfr_is_asked_without_an_soa_query() -> None:
    world = World(first=snapshot(6), second=snapshot(6))
    world.zone.snapshot = snapshot(5)
    outcome = world.attempt(hint=hint(6, "192.0.2.2"))
    assert (outcome.peer, outcome.serial_to) == ("second", 6)
    assert world.told() == ["second ixfr"], "of who sent the NOTIFY"


@pytest.mark.parametrize("serial", [None, 5, 4, 5 + 2**31])
def test_a_notify_without_a_newer_serial_makes_an_soa_query(serial: int | None) -> None:
    world = World(first=snapshot(6), second=snapshot(5))
    world.zone.snapshot = snapshot(5)
    assert world.attempt(hint=hint(serial)).ok
    assert world.told() == ["first soa", "first ixfr"]


def test_a_whole_zone_is_not_asked_for_on_the_word_of_a_notify() -> None:
    world = World(first=snapshot(5), second=snapshot(5))
    world.zone.snapshot = snapshot(5)
    plain = peer("first", "192.0.2.1", ixfr=False)
    world.zone.config = zone_config(primaries=[plain, SECOND])
    assert world.attempt(hint=hint(6)).ok
    assert world.told() == ["first soa", "second soa"]


def test_a_notify_of_what_its_sender_has_not_leaves_the_zone_current() -> None:
    world = World(first=snapshot(5), second=snapshot(5))
    world.zone.snapshot = snapshot(5)
    outcome = world.attempt(hint=hint(9))
    assert outcome.ok
    assert world.told() == ["first ixfr", "second soa"]
    assert "is current" in outcome.message
    assert world.zone.primaries["first"].serial == 5


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [(Ixfr.SERVFAIL, "denied"), (Ixfr.CLOSED, "transport"), (Ixfr.SILENT, "transport")],
)
@pytest.mark.parametrize("told", [None, Hint(6, "192.0.2.1")])
def test_where_ixfr_fails_axfr_follows_from_the_same_primary(
    behaviour: Ixfr, failure: str, told: Hint | None
) -> None:
    world = World(first=snapshot(6), second=snapshot(6))
    world.zone.snapshot = snapshot(5)
    world.ixfr["first"] = behaviour
    outcome = world.attempt(hint=told)
    assert outcome.ok
    assert (outcome.kind, world.zone.serial, world.zone.error) == ("axfr", 6, None)
    assert world.told()[-2:] == ["first ixfr", "first axfr"]
    known = world.zone.primaries["first"]
    assert known.error is None
    assert known.ixfr_error is not None
    assert known.ixfr_error.failure == failure
    timed_out = failure == Failure.TRANSPORT.value
    assert (known.ixfr_broken, known.ixfr_timeouts) == (None if timed_out else 5, int(timed_out))


def test_ixfr_is_not_asked_again_from_the_serial_that_broke_it() -> None:
    world = World(first=snapshot(6), second=None)
    world.zone.snapshot = snapshot(5)
    world.ixfr["first"] = Ixfr.SERVFAIL
    assert world.attempt(only=FIRST).ok
    before = world.zone.primaries["first"]
    world.zone.snapshot = snapshot(5)
    assert world.attempt(only=FIRST, hint=hint(6)).ok
    assert world.told() == ["first soa", "first axfr"]
    assert world.zone.primaries["first"].ixfr_error == before.ixfr_error
    world.served["first"] = snapshot(7)
    assert world.attempt(only=FIRST, hint=hint(7)).ok
    assert world.told() == ["first ixfr", "first axfr"], "another serial may work"


def test_after_repeated_time_outs_axfr_is_asked_straight_away() -> None:
    world = World(first=snapshot(6), second=None)
    world.zone.snapshot = snapshot(5)
    world.ixfr["first"] = Ixfr.SILENT
    for serial in (6, 7):
        world.served["first"] = snapshot(serial)
        assert world.attempt(only=FIRST, hint=hint(serial)).ok
        assert world.told() == ["first ixfr", "first axfr"]
    world.served["first"] = snapshot(8)
    assert world.attempt(only=FIRST, hint=hint(8)).ok
    assert world.told() == ["first soa", "first axfr"]
    assert world.zone.serial == 8


def test_a_server_that_cannot_be_reached_is_not_asked_for_axfr_besides() -> None:
    world = World(first=None, second=snapshot(6))
    world.zone.snapshot = snapshot(5)
    assert world.attempt(hint=hint(6)).ok
    assert world.told() == ["first tcp", "second soa", "second ixfr"]


def test_other_content_under_the_serial_that_is_served_is_reported() -> None:
    world = World(first=snapshot(5, hosts=9), second=snapshot(5))
    world.zone.snapshot = snapshot(5)
    assert world.attempt(force=True, only=FIRST).ok
    assert world.zone.primaries["first"].diverged == 5
    assert world.zone.snapshot is not None
    assert world.zone.snapshot.count == 9 + 2, "forced, it is taken"


@pytest.mark.parametrize("kind", ["rollback", "axfr"])
def test_other_content_than_was_made_here_is_told_apart(kind: str) -> None:
    world = World(first=snapshot(5, hosts=9), second=snapshot(5))
    world.zone.snapshot = snapshot(5)
    new = NewVersion(world.zone.origin, 5, None, world.zone.snapshot, "a test", kind)
    world.zone.version = MemoryCommits().submit(new).result()
    assert world.attempt(force=True, only=FIRST).ok
    known = world.zone.primaries["first"]
    assert (known.diverged, known.diverged_here) == (5, kind == "rollback")
    assert not world.zone.made_here


@pytest.mark.parametrize(
    ("offered", "above", "serial", "source"),
    [
        (4, 5, 6, "axfr from 192.0.2.1#53, its serial 4 raised"),
        (4, 3, 6, "axfr from 192.0.2.1#53, its serial 4 raised"),  # 5 came after 3 was looked up
        (5, 8, 9, "axfr from 192.0.2.1#53, its serial 5 raised"),
        (8, 8, 9, "axfr from 192.0.2.1#53, its serial 8 raised"),
        (9, 8, 9, "axfr from 192.0.2.1#53"),
    ],
)
def test_a_primarys_content_is_taken_under_a_serial_that_secondaries_follow(
    offered: int, above: int, serial: int, source: str
) -> None:
    world = World(first=snapshot(offered, hosts=9), second=snapshot(3))
    world.zone.snapshot = snapshot(5)
    world.raising = above
    outcome = world.attempt(force=True)
    assert (outcome.ok, outcome.serial_to, world.zone.serial) == (True, serial, serial)
    assert world.published == [source]
    assert world.zone.primaries["first"].serial == offered
    raised = offered != serial
    assert (world.zone.raised, world.zone.made_here) == (raised, raised)
    again = world.attempt(force=True)
    assert (again.ok, world.published, world.zone.serial) == (True, [], serial)
    assert "has what is served already" in again.message


def test_what_is_bound_to_its_serial_is_not_raised() -> None:
    apex = [*snapshot(4).blocks[0].records(), *make_zonemd(snapshot(4))]
    digested = Snapshot(ORIGIN, [Block.make(sorted(apex), {}), *snapshot(4).blocks[1:]])
    world = World(first=digested, second=None)
    world.zone.snapshot = snapshot(5)
    world.raising = 5
    outcome = world.attempt(force=True, only=FIRST)
    assert not outcome.ok
    assert "got serial 4, and the ZONEMD forbids us to give it another" in outcome.message
    assert (world.zone.serial, world.published) == (5, [])


def test_one_dead_primary_never_makes_a_healthy_zone_failing() -> None:
    world = World(first=None, second=snapshot(5))
    world.zone.snapshot = snapshot(5)
    for _ in range(3):
        assert world.attempt().ok
    assert (world.zone.error, world.zone.failures) == (None, 0)
    assert world.told() == ["second soa", "first soa"], "who answers is asked first"
    assert world.zone.primaries["first"].failures == 3


def test_after_a_rollback_the_whole_zone_is_asked_for() -> None:
    world = World(first=snapshot(6, hosts=9), second=snapshot(5))
    world.zone.snapshot = snapshot(5, hosts=4)
    new = NewVersion(ORIGIN, 5, None, world.zone.snapshot, "rollback to serial 3", "rollback")
    world.zone.version = MemoryCommits().submit(new).result()
    assert world.attempt(hint=hint(6)).ok
    assert world.told() == ["first soa", "first axfr"]
    assert not world.zone.made_here


def test_a_rollback_is_not_called_current_though_a_primary_has_its_serial() -> None:
    world = World(first=snapshot(5, hosts=9), second=snapshot(5))
    world.zone.snapshot = snapshot(5, hosts=4)
    new = NewVersion(ORIGIN, 5, None, world.zone.snapshot, "rollback to serial 3", "rollback")
    world.zone.version = MemoryCommits().submit(new).result()
    assert "made here and is not what the primaries have" in world.attempt().message
    assert world.zone.state(0.0).value == "stale"


def test_a_forced_transfer_from_one_primary_that_fails_says_nothing_about_the_others() -> None:
    world = World(first=None, second=snapshot(5))
    world.zone.snapshot = snapshot(5)
    outcome = world.attempt(force=True, only=FIRST)
    assert not outcome.ok
    assert outcome.failure is not None
    assert (world.zone.error, world.zone.failures) == (None, 0)
    assert world.zone.primaries["first"].failures == 1
