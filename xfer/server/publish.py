"""Publishing: the one function through which a version comes to be served (DESIGN §1).

    TSIG of the last message verified → checks passed     the candidate exists only after both
    → signed, where that is done here                     first the content is made durable
    → differences known, blocks written ahead             phase writing
    → journal commit durable                              phase flipping
    → served by all worker processes                      phase swapping
    → snapshot swapped, differences noted for IXFR        phase swapping
    → NOTIFY queued                                       phase notifying

A failure before the swap raises and leaves the old version serving.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Protocol, TypeVar

import attrs
import trio

from xfer.answer.respond import Responder
from xfer.clock import Clock
from xfer.errors import Failure, JournalError, TransferError
from xfer.journal import Mark, NewVersion, Version
from xfer.journal.blocks import weight
from xfer.journal.store import GATHER_BYTES
from xfer.journal.versions import PUBLISHED, RECEIVED
from xfer.server import digests, dropped, phases
from xfer.server.changes import Changes, difference
from xfer.server.executor import Executor
from xfer.server.readiness import responder_for
from xfer.server.status import Phase
from xfer.server.zones import Content, Zone, lifetime
from xfer.wire import names, records
from xfer.zone.block import Block
from xfer.zone.changeset import Changeset
from xfer.zone.check import Finding
from xfer.zone.snapshot import Snapshot

if TYPE_CHECKING:
    from xfer.dnssec.online import OnlineSigner

T = TypeVar("T")

# The event loop stands still for so many seconds while a small change is committed, and not again
# for so long. The commit needs 1 ms of the interpreter in many small pieces; against an event loop
# that answers queries it takes 4 to 7 ms to get them.
STANDING = 0.004
BETWEEN = 0.02
FEW = 64  # records of a small change
SMALL = 1 << 16  # octets of a first version that need no thread; far below GATHER_BYTES
FIRSTS = 2000  # first versions between two times that what they brought is left to stay


@attrs.frozen
class Candidate:
    """Content that has passed every check and may be published.

    source: for the operator, "axfr from 192.0.2.1#53"; kind: "axfr", "file"; expire: the primary's
    EXPIRE option in seconds, None without one; marks: stored with the version; confirmed: a primary
    has just given it, so that EXPIRE counts anew; changes: against what is served, where they are
    known (IXFR, an edit), else they are looked for; online: who signs its proofs, where that is
    done as they are asked for.
    """

    snapshot: Snapshot
    findings: tuple[Finding, ...]
    source: str
    kind: str
    expire: int | None = None
    marks: tuple[Mark, ...] = ()
    confirmed: bool = True
    changes: Changeset | None = None
    online: OnlineSigner | None = None

    def changes_from(self, served: Snapshot) -> Changeset | None:
        """Its changes where they are indeed those from what is served."""
        changes = self.changes
        if changes is None or changes.old_soa != served.soa:
            return None
        return changes if changes.new_soa == self.snapshot.soa else None


class Ahead(Protocol):
    """Holds the blocks written before their version (`xfer.journal.store.WriteAhead`)."""

    def write(self, new: Sequence[Block]) -> None: ...


class Followers(Protocol):
    """Other processes that answer (`xfer.server.workers.Workers`)."""

    async def ahead(
        self, zone: Zone, snapshot: Snapshot, online: OnlineSigner | None = None
    ) -> None: ...

    def swapped(self, zone: Zone) -> None: ...


class Signer(Protocol):
    """Makes what is served of what came (`xfer.server.signing.Signers`)."""

    async def follow(self, zone: Zone) -> None: ...


class Commits(Protocol):
    """Commits versions of many zones together (`xfer.journal.GroupCommitter`)."""

    def submit(self, new: NewVersion) -> Future[Version]: ...

    def set_mark(self, mark: Mark) -> Future[None]: ...


@attrs.define(eq=False)
class Publisher:
    """notify: queues NOTIFY for the version that the zone now serves; changes: remembers what each
    version changed, None where nobody asks for it; followers: serve a version before we do; signer:
    of zones that are signed here; on_served: told of each version that is served now."""

    commits: Commits
    executor: Executor
    clock: Clock
    notify: Callable[[Zone], None]
    changes: Changes | None = None
    followers: Followers | None = None
    signer: Signer | None = None
    on_served: Callable[[Zone], None] = lambda _: None
    _stood: float = -math.inf
    _firsts: int = 0

    async def publish(self, zone: Zone, candidate: Candidate, ahead: Ahead) -> Version:
        """Make the candidate durable, serve it, tell the secondaries; returns its version.

        Where the zone is signed here, the candidate is its content: what is served is made of that,
        and what hinders it is the signer's to tell and to mend.

        Raises TransferError (POLICY) where the journal fails.
        """
        if zone.signing is None or self.signer is None:
            return await self.serve(zone, candidate, ahead)
        version, _, _ = await self._store(zone, candidate, ahead, RECEIVED)
        zone.received = Content(candidate.snapshot, version)
        self._came(zone, candidate)
        await self.signer.follow(zone)
        return version

    async def keep(self, zone: Zone, ahead: Ahead) -> None:
        """Make content durable as such that was only served until now, as it came.

        Raises TransferError (POLICY) where the journal fails.
        """
        content = zone.received
        if content is None:
            return
        version = content.version
        candidate = Candidate(content.snapshot, (), version.source, version.kind, confirmed=False)
        kept, _, _ = await self._store(zone, candidate, ahead, RECEIVED)
        zone.received = Content(content.snapshot, kept)

    async def remember(self, mark: Mark) -> None:
        """Make a mark durable that comes with no version, in one commit with what other zones have
        by then. Raises JournalError."""
        await wait_for(self.commits.set_mark(mark))

    async def serve(self, zone: Zone, candidate: Candidate, ahead: Ahead) -> Version:
        """Like `publish`, of what is to be served as it is."""
        snapshot = candidate.snapshot
        version, changes, responder = await self._store(zone, candidate, ahead, PUBLISHED)
        phases.enter_phase(zone, Phase.SWAPPING)
        if self.followers is not None:
            await self.followers.ahead(zone, snapshot, candidate.online)
        zone.online = candidate.online
        zone.snapshot, zone.version = snapshot, version
        zone.prepared(responder)
        zone.damaged = ()
        if changes is not None and self.changes is not None:
            self.changes.note(version, changes)
        if zone.signing is None:
            self._came(zone, candidate)
        if self.followers is not None:
            self.followers.swapped(zone)
        self.on_served(zone)
        phases.enter_phase(zone, Phase.NOTIFYING)
        self.notify(zone)
        return version

    async def _store(
        self, zone: Zone, candidate: Candidate, ahead: Ahead, chain: str
    ) -> tuple[Version, Changeset | None, Responder | None]:
        """Commit it to one of the zone's chains; its version, what it changes there, where that is
        known, and what is to answer it, where it is to be served and that is work."""
        snapshot = candidate.snapshot
        serving = chain == PUBLISHED
        before = zone.snapshot if serving else zone.content
        parent = zone.version if serving else zone.content_version
        try:
            phases.enter_phase(zone, Phase.WRITING)
            changes = await self._prepare(before, candidate, ahead)
            responder = None
            if serving:
                responder = await responder_for(zone, snapshot, self.executor, candidate.online)
            phases.enter_phase(zone, Phase.FLIPPING)
            now = self.clock.wall()
            lacking: tuple[Mark, ...] = ()
            confirmed = zone.secondary and candidate.confirmed
            if chain == zone.content_chain:
                lacking = dropped.marks_of(snapshot, candidate.findings)
                lacking += digests.marks_of(snapshot)
            new = NewVersion(
                origin=zone.origin,
                serial=snapshot.serial,
                parent=parent.id if parent is not None else None,
                snapshot=snapshot,
                source=candidate.source,
                kind=candidate.kind,
                received_at=now if confirmed else None,
                expire_at=now + lifetime(snapshot, candidate.expire) if confirmed else None,
                chain=chain,
                marks=(*candidate.marks, *lacking),
                added=len(changes.added) if changes is not None else None,
                removed=len(changes.removed) if changes is not None else None,
                changes=changes,
            )
            version = await wait_for(self.commits.submit(new), self._standing(changes))
        except JournalError as error:
            raise TransferError(
                Failure.POLICY,
                "the version to be stored in the journal",
                str(error),
                hint="nothing can be published while the journal fails",
                try_next=False,
            ) from error
        return version, changes, responder

    def _came(self, zone: Zone, candidate: Candidate) -> None:
        """Note what is known of content that is durable now."""
        dropped.restore(zone, dropped.marks_of(candidate.snapshot, candidate.findings))
        zone.findings = _findings(zone.findings, candidate)
        if zone.secondary and candidate.confirmed:
            zone.keep_alive(self.clock.monotonic(), candidate.expire, True)
        elif zone.expires is not None:
            latest = self.clock.monotonic() + lifetime(candidate.snapshot, None)
            zone.expires = min(zone.expires, latest)

    def _standing(self, changes: Changeset | None) -> float:
        """Seconds to stand still for the commit."""
        now = self.clock.monotonic()
        if changes is None or now < self._stood + BETWEEN:
            return 0.0
        if len(changes.removed) + len(changes.added) > FEW:
            return 0.0
        self._stood = now
        return STANDING

    async def _prepare(
        self, served: Snapshot | None, candidate: Candidate, ahead: Ahead
    ) -> Changeset | None:
        """Write the blocks ahead; the changes from what is served, None for a first version and for
        changes that outweigh the zone."""
        snapshot = candidate.snapshot
        changes = candidate.changes_from(served) if served is not None else None
        if served is None and snapshot.size <= SMALL:
            # For so few octets the way to a thread costs more, and there may be very many zones.
            ahead.write(snapshot.blocks)
            self._settle_in()
            return None
        if served is None or changes is None:
            return await self.executor.run(self._write_and_compare, served, snapshot, ahead)
        held = {block.digest for block in served.blocks}
        fresh = [block for block in snapshot.blocks if block.digest not in held]
        if sum(weight(block) for block in fresh) < GATHER_BYTES:
            # So few are gathered for the commit, which is no work for a thread.
            ahead.write(fresh)
        else:
            await self.executor.run(_write_and_weigh, ahead, fresh, changes)
        return changes

    def _settle_in(self) -> None:
        """What first versions bring stays: looking through all of it for garbage as often as it
        has grown by a quarter holds up the event loop, by a second for a hundred thousand zones."""
        self._firsts += 1
        if self._firsts % FIRSTS == 0:
            gc.collect(1)
            gc.freeze()

    def _write_and_compare(
        self, served: Snapshot | None, snapshot: Snapshot, ahead: Ahead
    ) -> Changeset | None:
        """In a worker thread."""
        ahead.write(snapshot.blocks)
        if served is None:
            return None
        room = self.changes.room(snapshot) if self.changes is not None else snapshot.size
        return difference(served, snapshot, room)


def _write_and_weigh(ahead: Ahead, fresh: Sequence[Block], changes: Changeset) -> None:
    """In a worker thread: many changes have many octets to count, which are then known."""
    ahead.write(fresh)
    _ = changes.octets


def _findings(known: tuple[Finding, ...], candidate: Candidate) -> tuple[Finding, ...]:
    """What the checks say of the version: an IXFR was checked only where it has changed something,
    elsewhere what was found before still holds."""
    changes = candidate.changes
    if candidate.kind != "ixfr" or changes is None:
        return candidate.findings
    touched = {
        names.wire_of(record[: records.key_end(record)], changes.origin)
        for record in (*changes.removed, *changes.added)
    }
    kept = tuple(finding for finding in known if finding.owner not in touched)
    return (*kept, *candidate.findings)


async def wait_for(future: Future[T], standing: float = 0.0) -> T:
    """The result of work in a thread of its own, without a thread that waits for it.

    standing: seconds for which the event loop stands still first, so that the work has the
    interpreter for itself. Not cancelled once handed in: what the journal has made durable must be
    served.
    """
    if standing:
        wait([future], standing)
        if future.done():
            return future.result()
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
