"""A release that takes a primary's content at once: under a serial that rises, whatever else runs.

How a rollback and its end reach real secondaries is in `tests/interop/test_rollback.py`.
"""

from __future__ import annotations

import trio

from tests.server.fakes import MemoryCommits, peer, snapshot
from tests.server.upstream import Secondary, Upstream, simulate
from xfer.journal import NewVersion
from xfer.server.executor import InlineExecutor
from xfer.server.history import History
from xfer.server.rollback import Rollbacks
from xfer.server.status import Outcome, Refused

A = peer("a", "192.0.2.1")


class NoVersions:
    """A journal that lists nothing."""

    def latest(self, origin: bytes, chain: str) -> None:
        return None


def test_of_two_releases_at_once_none_takes_the_serial_back() -> None:
    upstream = Upstream(a=snapshot(4, hosts=9))
    outcomes: list[Outcome | Refused] = []

    async def session(secondary: Secondary) -> None:
        zone = secondary.zone([A])
        await trio.sleep(60)
        zone.snapshot = snapshot(5)
        new = NewVersion(zone.origin, 5, None, zone.snapshot, "rollback", "rollback")
        zone.version = MemoryCommits().submit(new).result()
        history = History(NoVersions(), InlineExecutor())  # type: ignore[arg-type]
        rollbacks = Rollbacks(
            history,
            secondary.attempts,
            secondary.refresher.publisher,
            NoVersions(),  # type: ignore[arg-type]
            secondary.commits,  # type: ignore[arg-type]
            secondary.clock,
        )

        async def release() -> None:
            try:
                outcomes.append(await rollbacks.release(zone, follow=True))
            except Refused as error:
                outcomes.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(release)
            nursery.start_soon(release)
        assert zone.serial == 6
        assert zone.raised
        assert zone not in secondary.refresher.raising

    simulate(upstream, session)
    done = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
    assert [outcome.serial_to for outcome in done] == [6]
    (refused,) = [str(outcome) for outcome in outcomes if isinstance(outcome, Refused)]
    assert refused == "example.com. is being released already"
