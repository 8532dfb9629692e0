"""Publishing: the one function through which a version comes to be served (DESIGN §1).

    TSIG of the last message verified → checks passed     the candidate exists only after both
    → blocks written ahead                                phase writing
    → journal commit durable                              phase flipping
    → snapshot swapped                                    phase swapping
    → NOTIFY queued                                       phase notifying

A failure before the swap raises and leaves the old version serving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

import attrs
import trio

from xfer.clock import Clock
from xfer.errors import Failure, JournalError, TransferError
from xfer.journal import Mark, NewVersion, Version
from xfer.server import phases
from xfer.server.executor import Executor
from xfer.server.status import Phase
from xfer.server.zones import Zone, lifetime
from xfer.zone.block import Block
from xfer.zone.check import Finding
from xfer.zone.snapshot import Snapshot

T = TypeVar("T")


@attrs.frozen
class Candidate:
    """Content that has passed every check and may be published.

    source: for the operator, "axfr from 192.0.2.1#53"; kind: "axfr", "file"; expire: the primary's
    EXPIRE option in seconds, None without one; marks: stored with the version.
    """

    snapshot: Snapshot
    findings: tuple[Finding, ...]
    source: str
    kind: str
    expire: int | None = None
    marks: tuple[Mark, ...] = ()


class Ahead(Protocol):
    """Holds the blocks written before their version (`xfer.journal.store.WriteAhead`)."""

    def write(self, new: Sequence[Block]) -> None: ...


class Commits(Protocol):
    """Commits versions of many zones together (`xfer.journal.GroupCommitter`)."""

    def submit(self, new: NewVersion) -> Future[Version]: ...


@attrs.define(eq=False)
class Publisher:
    """notify: queues NOTIFY for the version that the zone now serves."""

    commits: Commits
    executor: Executor
    clock: Clock
    notify: Callable[[Zone], None]

    async def publish(self, zone: Zone, candidate: Candidate, ahead: Ahead) -> Version:
        """Make the candidate durable, serve it, tell the secondaries; returns its version.

        Raises TransferError (POLICY) where the journal fails.
        """
        snapshot = candidate.snapshot
        try:
            phases.enter_phase(zone, Phase.WRITING)
            await self.executor.run(ahead.write, snapshot.blocks)
            phases.enter_phase(zone, Phase.FLIPPING)
            now = self.clock.wall()
            new = NewVersion(
                origin=zone.origin,
                serial=snapshot.serial,
                parent=zone.version.id if zone.version is not None else None,
                snapshot=snapshot,
                source=candidate.source,
                kind=candidate.kind,
                received_at=now if zone.secondary else None,
                expire_at=now + lifetime(snapshot, candidate.expire) if zone.secondary else None,
                marks=candidate.marks,
            )
            version = await wait_for(self.commits.submit(new))
        except JournalError as error:
            raise TransferError(
                Failure.POLICY,
                "the version to be stored in the journal",
                str(error),
                hint="nothing can be published while the journal fails",
                try_next=False,
            ) from error
        phases.enter_phase(zone, Phase.SWAPPING)
        zone.snapshot, zone.version = snapshot, version
        zone.findings = tuple(str(finding) for finding in candidate.findings)
        if zone.secondary:
            zone.keep_alive(self.clock.monotonic(), candidate.expire, True)
        phases.enter_phase(zone, Phase.NOTIFYING)
        self.notify(zone)
        return version


async def wait_for(future: Future[T]) -> T:
    """The result of work in a thread of its own, without a thread that waits for it.

    Not cancelled once handed in: what the journal has made durable must be served.
    """
    done = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def wake(_: Future[T]) -> None:
        try:
            token.run_sync_soon(done.set)
        except trio.RunFinishedError:
            pass  # the daemon has ended meanwhile

    future.add_done_callback(wake)
    with trio.CancelScope(shield=True):
        await done.wait()
    return future.result()
