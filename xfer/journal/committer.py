"""Group commit: the versions of many zones in one transaction.

A transaction costs a synchronised write whatever is in it, so what arrives while one is running
goes into the next one together, and with it what is waiting to be saved of zones and peers. One
thread of its own does it, and prunes and collects when nobody waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice
from typing import Final, TypeVar

import attrs

from xfer.errors import JournalError
from xfer.journal import states
from xfer.journal.flip import INLINE_BYTES
from xfer.journal.store import Journal
from xfer.journal.versions import Mark, NewVersion, PeerState, Retention, Version, ZoneState

T = TypeVar("T")

GROUP_VERSIONS: Final = 512
GROUP_BYTES: Final = 8 << 20
"""Block data that the versions of one group may bring along; see flip.INLINE_BYTES."""
GROUPS_PER_CHORE: Final = 8
ZONES_PER_CHORE: Final = 100
LINGER: Final = 0.1
"""Seconds without a commit before upkeep begins: states are saved, history pruned, orphans
collected. Upkeep right after a commit would take the time of whoever waits for it, or for the next;
and states go along with a commit that comes meanwhile."""
STATES_ALONG: Final = 200
"""States, of zones and of peers each, that a group of versions takes along."""


@attrs.frozen(eq=False)
class _Queued:
    number: int  # rises with every version and state that is handed in
    new: NewVersion
    future: Future[Version]


@attrs.frozen(eq=False)
class _Change:
    """Of a mark: data as JSON, None to clear it."""

    key: states.MarkKey
    data: str | None
    future: Future[None]


@attrs.define(eq=False)
class GroupCommitter:
    """Commits versions from any thread; made by `start`, ended by `close`.

    Retention is applied to a zone after each of its commits.
    """

    _journal: Journal
    _retention: Retention
    _on_trouble: Callable[[JournalError], None] | None = None
    _wake: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _queue: deque[_Queued] = attrs.field(factory=deque, init=False)
    _marks: list[_Change] = attrs.field(factory=list, init=False)
    _forgetting: deque[tuple[bytes, Future[None]]] = attrs.field(factory=deque, init=False)
    _states: dict[bytes, tuple[int, ZoneState]] = attrs.field(factory=dict, init=False)
    _peers: dict[states.PeerKey, str] = attrs.field(factory=dict, init=False)
    _number: int = attrs.field(default=0, init=False)
    _untidy: set[tuple[bytes, str]] = attrs.field(factory=set, init=False)
    _collect_after: int | None = attrs.field(default=0, init=False)
    _let_go: bool = attrs.field(default=False, init=False)
    _sweep: bool = attrs.field(default=False, init=False)
    _busy: bool = attrs.field(default=True, init=False)
    _rested: bool = attrs.field(default=False, init=False)
    _hurry: int = attrs.field(default=0, init=False)
    _closing: bool = attrs.field(default=False, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
    lost: int = attrs.field(default=0, init=False)
    """How often states could not be stored. Whoever handed one in before may do so again."""
    groups: int = attrs.field(default=0, init=False)
    """Transactions made so far."""
    trouble: JournalError | None = attrs.field(default=None, init=False)
    """The last error of work that nobody waits for: states, pruning, collecting."""

    @classmethod
    def start(
        cls,
        journal: Journal,
        retention: Retention | None = None,
        on_trouble: Callable[[JournalError], None] | None = None,
    ) -> GroupCommitter:
        """A running committer; first it collects what a crash left behind.

        on_trouble: told, in the committer's thread, what goes to `trouble`.
        """
        committer = cls(journal, retention or Retention(), on_trouble)
        committer._thread = threading.Thread(
            target=committer._run, name="journal-committer", daemon=True
        )
        journal.on_let_go = committer.collect
        committer._thread.start()
        return committer

    def collect(self) -> None:
        """Look for orphans soon, as a transfer that failed leaves them. Never waits."""
        with self._wake:
            first = not self._has_upkeep()
            self._let_go = True
            if first:
                self._wake.notify_all()

    def sweep(self) -> None:
        """Apply retention to all zones soon: versions age without commits, too. Never waits."""
        with self._wake:
            first = not self._has_upkeep()
            self._sweep = True
            if first:
                self._wake.notify_all()

    def retain(self, retention: Retention) -> None:
        """From now on apply `retention`; a zone's history follows with its next commit."""
        self._retention = retention

    def submit(self, new: NewVersion) -> Future[Version]:
        """Queue a version whose blocks are written ahead (up to 1 MB of them need not be).

        The future brings the durable Version or the JournalError; its callbacks run in the
        committer's thread, so they must not block. Returns at once.
        """
        future: Future[Version] = Future()
        with self._wake:
            self._must_be_open()
            self._number += 1
            self._queue.append(_Queued(self._number, new, future))
            self._wake.notify_all()
        return future

    def commit(self, new: NewVersion) -> Version:
        """Write the version's blocks ahead where needed, and wait until it is durable."""
        with self._journal.write_ahead() as ahead:
            if new.snapshot.size > INLINE_BYTES:
                ahead.write(new.snapshot.blocks)
            return self.submit(new).result()

    def save(self, state: ZoneState) -> None:
        """Store a zone's state soon; of several for one zone, the last one counts. Never waits."""
        with self._wake:
            first = not self._has_upkeep()
            self._number += 1
            self._states[state.origin] = (self._number, state)
            if first:
                self._wake.notify_all()

    def save_peer(self, state: PeerState) -> None:
        """Store what is known of a peer soon; the last one counts. Never waits.

        Raises JournalError for data that JSON cannot hold.
        """
        key, data = states.peer_row(state)
        with self._wake:
            first = not self._has_upkeep()
            self._peers[key] = data
            if first:
                self._wake.notify_all()

    def set_mark(self, mark: Mark) -> Future[None]:
        """Set a mark; the future ends when that is durable. Raises JournalError as `save_peer`."""
        return self._change(*states.mark_row(mark))

    def clear_mark(self, origin: bytes, name: str) -> Future[None]:
        """Remove a mark, if it is there; the future ends when that is durable."""
        return self._change((origin, name), None)

    def forget(self, origin: bytes) -> Future[None]:
        """Forget a zone, see `Journal.forget`, between the commits of others."""
        future: Future[None] = Future()
        with self._wake:
            self._must_be_open()
            self._states.pop(origin, None)
            for key in [key for key in self._peers if key[0] == origin]:
                del self._peers[key]
            self._forgetting.append((origin, future))
            self._wake.notify_all()
        return future

    def settle(self) -> None:
        """Wait until nothing is queued, and nothing left to save, prune or collect.

        Returns as well when the committer has closed.
        """
        with self._wake:
            self._hurry += 1
            self._wake.notify_all()
            self._wake.wait_for(
                lambda: (
                    not self._busy and (self._closing or not (self._due() or self._has_upkeep()))
                )
            )
            self._hurry -= 1

    def close(self) -> None:
        """Commit what is queued, then end. The journal stays open."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> GroupCommitter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if self._closing:
            raise JournalError("expected an open committer, got one that is closing")

    def _change(self, key: states.MarkKey, data: str | None) -> Future[None]:
        future: Future[None] = Future()
        with self._wake:
            self._must_be_open()
            self._marks.append(_Change(key, data, future))
            self._wake.notify_all()
        return future

    # -- in the committer's thread

    def _run(self) -> None:
        since_chore = 0
        while self._wait():
            with self._wake:
                group, changes = self._take(), self._marks
                self._marks = []
            if changes:
                self._change_marks(changes)
            if group:
                self._rested = False
                self._commit(group)
                since_chore += 1
            if not (group or changes) or since_chore >= GROUPS_PER_CHORE:
                since_chore = 0
                self._do_chore()

    def _wait(self) -> bool:
        """Wait for work; False when closing, with all done that cannot wait for the next start."""
        with self._wake:
            while not (self._due() or (self._has_upkeep() and (self._rested or self._hurry))):
                self._busy = False
                self._rested = False
                self._wake.notify_all()
                if self._closing:
                    break
                self._rested = not self._wake.wait(LINGER if self._has_upkeep() else None)
            if self._closing and not (self._queue or self._marks or self._states or self._peers):
                for _, future in self._forgetting:
                    future.set_exception(JournalError("expected to forget a zone, got closed"))
                self._forgetting.clear()
                self._busy = False
                self._wake.notify_all()
                return False
            self._busy = True
        return True

    def _due(self) -> bool:
        """Whether there is work that somebody waits for."""
        return bool(self._queue or self._marks or self._forgetting)

    def _has_upkeep(self) -> bool:
        """Whether there is work that nobody waits for."""
        return bool(
            self._states
            or self._peers
            or self._untidy
            or self._let_go
            or self._sweep
            or self._collect_after is not None
        )

    def _take(self) -> list[_Queued]:
        group: list[_Queued] = []
        room = GROUP_BYTES
        while self._queue and len(group) < GROUP_VERSIONS and room > 0:
            queued = self._queue.popleft()
            if queued.future.set_running_or_notify_cancel():
                group.append(queued)
                room -= min(queued.new.snapshot.size, INLINE_BYTES)
        return group

    def _commit(self, group: list[_Queued]) -> None:
        new = [queued.new for queued in group]
        try:
            outcomes = self._commit_along(group) or self._journal.commit_each(new)
        except BaseException as error:  # nobody may be left waiting, whatever happened
            for queued in group:
                queued.future.set_exception(error)
            return
        self.groups += 1
        for queued, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, JournalError):
                queued.future.set_exception(outcome)
                continue
            if queued.new.sets_state:
                with self._wake:
                    at, _ = self._states.get(outcome.origin, (queued.number, None))
                    if at < queued.number:  # saved before this success was known
                        del self._states[outcome.origin]
            self._untidy.add((outcome.origin, outcome.chain))
            queued.future.set_result(outcome)

    def _commit_along(self, group: list[_Queued]) -> list[Version | JournalError] | None:
        """Commit with the states that are waiting; None where there are none, or it fails.

        A state that a version of the group replaces stays behind, for the case that this fails.
        """
        replacing = {queued.new.origin: queued.number for queued in group if queued.new.sets_state}
        with self._wake:
            if not (self._states or self._peers):
                return None
            zones = {
                origin: self._states[origin]
                for origin in islice(self._states, STATES_ALONG)
                if self._states[origin][0] > replacing.get(origin, 0)
            }
            peers = dict(islice(self._peers.items(), STATES_ALONG))
            for origin in zones:
                del self._states[origin]
            for key in peers:
                del self._peers[key]
        try:
            return self._journal.commit_along(
                [queued.new for queued in group], [state for _, state in zones.values()], peers
            )
        except Exception:  # of whichever: the versions are tried alone, and the states after them
            with self._wake:
                self._states = {**zones, **self._states}
                self._peers = {**peers, **self._peers}
            return None

    def _change_marks(self, changes: list[_Change]) -> None:
        changes = [one for one in changes if one.future.set_running_or_notify_cancel()]
        try:
            self._journal.change_marks({one.key: one.data for one in changes})
        except BaseException as error:
            for one in changes:
                one.future.set_exception(error)
            return
        for one in changes:
            one.future.set_result(None)

    def _do_chore(self) -> None:
        try:
            self._chore()
        except Exception as unforeseen:
            # Whatever it was, versions must go on being committed.
            error = _journal_error(unforeseen)
            self.trouble = error
            self._untidy.clear()
            self._collect_after = None
            if self._on_trouble is not None:
                self._on_trouble(error)

    def _chore(self) -> None:
        """One bounded piece of upkeep, or of forgetting a zone."""
        with self._wake:
            zones, self._states = self._states, {}
            peers, self._peers = self._peers, {}
            sweep = self._sweep and not (zones or peers or self._forgetting)
            self._sweep = self._sweep and not sweep
            if self._let_go:
                self._let_go = False
                self._collect_after = 0
        if zones or peers:
            try:
                self._journal.commit_along([], [state for _, state in zones.values()], peers)
            except BaseException:
                self.lost += 1
                raise
        elif self._forgetting:
            self._forget_some(*self._forgetting.popleft())
        elif sweep:
            self._untidy.update(self._journal.with_history())
        elif self._untidy:
            some = [self._untidy.pop() for _ in range(min(len(self._untidy), ZONES_PER_CHORE))]
            overgrown = self._journal.overgrown(some, self._retention)
            if overgrown:
                self._untidy.update(self._journal.prune_some(overgrown, self._retention))
                self._collect_after = 0
        elif self._collect_after is not None:
            _, self._collect_after = self._journal.collect_some(self._collect_after)

    def _forget_some(self, origin: bytes, future: Future[None]) -> None:
        try:
            more = self._journal.forget_some(origin)
        except BaseException as error:
            future.set_exception(error)
            return
        self._collect_after = 0
        if more:
            self._forgetting.append((origin, future))
        else:
            future.set_result(None)


def _journal_error(error: Exception) -> JournalError:
    if isinstance(error, JournalError):
        return error
    return JournalError(f"expected to look after the journal, got {error!r}")
