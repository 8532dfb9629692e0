"""Group commit: the versions of many zones in one transaction.

A transaction costs a synchronised write whatever is in it, so what arrives while one is running
goes into the next one together. One thread of its own does it, and prunes and collects when
nobody waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

import attrs

from xfer.errors import JournalError
from xfer.journal.flip import INLINE_BYTES
from xfer.journal.store import Journal
from xfer.journal.versions import NewVersion, Retention, Version, ZoneState

GROUP_VERSIONS: Final = 512
GROUP_BYTES: Final = 8 << 20
"""Block data that the versions of one group may bring along; see flip.INLINE_BYTES."""
GROUPS_PER_CHORE: Final = 8
ZONES_PER_CHORE: Final = 100


@attrs.frozen(eq=False)
class _Queued:
    number: int  # rises with every version and state that is handed in
    new: NewVersion
    future: Future[Version]


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
    _states: dict[bytes, tuple[int, ZoneState]] = attrs.field(factory=dict, init=False)
    _number: int = attrs.field(default=0, init=False)
    _untidy: set[tuple[bytes, str]] = attrs.field(factory=set, init=False)
    _collect_after: int | None = attrs.field(default=0, init=False)
    _let_go: bool = attrs.field(default=False, init=False)
    _busy: bool = attrs.field(default=True, init=False)
    _closing: bool = attrs.field(default=False, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
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
            self._let_go = True
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
            if self._closing:
                raise JournalError("expected an open committer, got one that is closing")
            self._number += 1
            self._queue.append(_Queued(self._number, new, future))
            self._wake.notify_all()
        return future

    def commit(self, new: NewVersion) -> Version:
        """Write the version's blocks ahead where needed, and wait until it is durable."""
        with self._journal.write_ahead() as ahead:
            if sum(len(block.data) for block in new.snapshot.blocks) > INLINE_BYTES:
                ahead.write(new.snapshot.blocks)
            return self.submit(new).result()

    def save(self, state: ZoneState) -> None:
        """Store a zone's state soon; of several for one zone, the last one counts. Never waits."""
        with self._wake:
            self._number += 1
            self._states[state.origin] = (self._number, state)
            self._wake.notify_all()

    def settle(self) -> None:
        """Wait until nothing is queued, and nothing left to save, prune or collect.

        Returns as well when the committer has closed.
        """
        with self._wake:
            self._wake.wait_for(
                lambda: not self._busy and (self._closing or not (self._queue or self._has_chore()))
            )

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

    # -- in the committer's thread

    def _run(self) -> None:
        since_chore = 0
        while True:
            with self._wake:
                while not (self._queue or self._has_chore()):
                    self._busy = False
                    self._wake.notify_all()
                    if self._closing:
                        return
                    self._wake.wait()
                self._busy = True
                if self._closing and not (self._queue or self._states):
                    self._busy = False
                    self._wake.notify_all()
                    return  # tidying can wait for the next start
                group = self._take()
            if group:
                self._commit(group)
                since_chore += 1
            if self._has_chore() and (not group or since_chore >= GROUPS_PER_CHORE):
                since_chore = 0
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

    def _has_chore(self) -> bool:
        waiting = self._states or self._untidy or self._let_go
        return bool(waiting) or self._collect_after is not None

    def _take(self) -> list[_Queued]:
        group: list[_Queued] = []
        room = GROUP_BYTES
        while self._queue and len(group) < GROUP_VERSIONS and room > 0:
            queued = self._queue.popleft()
            if queued.future.set_running_or_notify_cancel():
                group.append(queued)
                size = sum(len(block.data) for block in queued.new.snapshot.blocks)
                room -= min(size, INLINE_BYTES)
        return group

    def _commit(self, group: list[_Queued]) -> None:
        try:
            outcomes = self._journal.commit_each([queued.new for queued in group])
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

    def _chore(self) -> None:
        """One bounded piece of what nobody waits for."""
        with self._wake:
            states, self._states = self._states, {}
            if self._let_go:
                self._let_go = False
                self._collect_after = 0
        if states:
            # What cannot be saved now is saved with the zone's next check.
            self._journal.save_states(state for _, state in states.values())
        elif self._untidy:
            some = [self._untidy.pop() for _ in range(min(len(self._untidy), ZONES_PER_CHORE))]
            for origin, chain in self._journal.overgrown(some, self._retention):
                self._journal.prune(origin, self._retention, chain)
                self._collect_after = 0
        elif self._collect_after is not None:
            _, self._collect_after = self._journal.collect_some(self._collect_after)


def _journal_error(error: Exception) -> JournalError:
    if isinstance(error, JournalError):
        return error
    return JournalError(f"expected to look after the journal, got {error!r}")
