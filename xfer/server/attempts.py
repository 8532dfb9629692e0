"""Attempts at secondary zones: when one starts, and what is planned after it.

    due                  scheduled check, at the pace of `xfer.server.pace`
    NOTIFY               at once, before all that is scheduled; while one runs it is remembered
    its news not served  again after each step of `notify_retries`, besides RETRY
    operator             at once

One attempt at a zone at a time (RFC 1996 §4.3). All of it runs in the event loop.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.journal import GroupCommitter
from xfer.peers import Peer
from xfer.server import primaries, timers
from xfer.server.hints import SAME_HINT_PAUSE, Hint
from xfer.server.pace import Pace, Paces
from xfer.server.refresh import Refresher, Told
from xfer.server.saving import Saving
from xfer.server.schedule import Schedule
from xfer.server.soa import SoaAnswer
from xfer.server.soa_probe import Query
from xfer.server.status import FailureReport, Outcome
from xfer.server.zones import Zone

log = structlog.get_logger()

CHECK, RETRY, FIRST = "check the primaries", "retry", "first transfer"
FOLLOW = "follow up a NOTIFY"
BUSY_PAUSE = 5.0  # seconds until a zone that is being worked on is looked at again


class Attempts:
    """ladder: seconds between tries after a NOTIFY whose news could not be had; longest:
    `retry_max`; at_once: attempts after NOTIFYs that run at once, the others wait their turn."""

    def __init__(
        self,
        nursery: trio.Nursery,
        refresher: Refresher,
        committer: GroupCommitter,
        clock: Clock,
        rng: random.Random,
        paces: Paces | None = None,
        ladder: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0),
        longest: float = 3600.0,
    ) -> None:
        self.refresher = refresher
        self.ladder = ladder
        self.longest = longest
        self.stopping = False
        self.schedule = Schedule(clock, self._due, self._expire, Pace(paces or Paces()))
        self.saving = Saving(committer, clock)
        self.working: set[Zone] = set()
        self._nursery = nursery
        self._clock = clock
        self._rng = rng
        self._urgent = 0
        self._yielding: dict[Zone, Callable[[], None]] = {}  # checks that give way to a NOTIFY
        self._waiting: deque[Zone] = deque()

    def resize(self, paces: Paces, ladder: tuple[float, ...], longest: float) -> None:
        """New limits; what is planned stays so."""
        self.schedule.pace.resize(paces)
        self.ladder, self.longest = ladder, longest

    async def paced(self, peer: Peer) -> None:
        """Wait until one more scheduled check of that primary may go."""
        now = self._clock.monotonic()
        await trio.sleep(max(0.0, self.schedule.pace.take(peer.name, now) - now))

    # -- what starts one

    def notified(self, zone: Zone, hint: Hint) -> bool:
        """A NOTIFY that was accepted; whether it is worth a check."""
        zone.notifies += 1
        sender = primaries.notifier(zone, hint)
        if sender is not None:
            zone.primaries[sender.name] = primaries.notified(
                zone.primary(sender), hint.serial, self._clock.wall()
            )
        if self.stopping or zone.removed or not zone.secondary:
            return False
        # A lower serial is looked at: the primary may have gone back, or lost what it had.
        same = hint.serial is not None and hint.serial == zone.content_serial
        if same and zone.error is None and not self._expired(zone):
            return False
        self._follow(zone, hint)
        return True

    def start(self, zone: Zone) -> None:
        """Check the zone's primaries in the background; once more after a check that runs."""
        if self.stopping or zone.removed or zone.loading or not zone.secondary:
            return  # once loaded, a secondary zone is checked anyway
        if zone.busy:
            zone.again = True
            return
        self._nursery.start_soon(self.attempt, zone)

    def soon(self, zone: Zone) -> None:
        """Check the zone's primaries at the pace of scheduled checks, or after what runs."""
        if zone.busy:
            zone.again = True
        elif not zone.loading:
            self.schedule.arm(zone)
            self.schedule.at(zone, self._clock.monotonic(), CHECK)
            self.schedule.run_due()

    def spawn(self, zone: Zone, force: bool, only: Peer | None) -> None:
        """An attempt in the background, after the one that runs."""
        self._nursery.start_soon(self.attempt, zone, force, only)

    def loaded(self, zone: Zone) -> None:
        """A secondary zone has been read from the journal: plan its first check and its expiry."""
        self.schedule.arm(zone)
        if zone.hint is not None:
            hint, zone.hint = zone.hint, None
            self._follow(zone, hint)
        else:
            first = FIRST if zone.content is None else CHECK
            self.schedule.at(zone, self._clock.monotonic(), first)

    def _follow(self, zone: Zone, hint: Hint) -> None:
        """Check because of a NOTIFY: now, after what runs, or after a pause where the same one has
        just been followed up."""
        waiting = zone.hint is not None
        zone.hint = hint if zone.hint is None else zone.hint.joined(hint)
        if zone.loading or waiting:
            return
        if zone.busy:
            checking = self._yielding.get(zone) if zone.transfer_from is None else None
            if checking is not None and not hint.met(zone.content_serial):
                checking()  # it may wait for a primary that is dead
            self.refresher.slots.hurry(zone)
            return
        now = self._clock.monotonic()
        pause = zone.hinted_at + SAME_HINT_PAUSE - now
        if pause > 0 and zone.pursued is not None and zone.pursued.serial == zone.hint.serial:
            zone.hint = None
            zone.rung = max(zone.rung, 0)
            if zone.due is None or zone.due > now + pause:
                self.schedule.at(zone, now + pause, FOLLOW)
            return
        if self._urgent < self.schedule.pace.paces.at_once:
            self._urgent += 1
            self._nursery.start_soon(self._run_urgent, zone)
        else:
            self._waiting.append(zone)

    async def _run_urgent(self, zone: Zone) -> None:
        try:
            if zone.hint is not None:  # else an attempt that has started meanwhile took it
                await self.attempt(zone)
        finally:
            self._urgent -= 1
            while self._waiting and self._urgent < self.schedule.pace.paces.at_once:
                following = self._waiting.popleft()
                if following.hint is not None and not following.busy:
                    self._urgent += 1
                    self._nursery.start_soon(self._run_urgent, following)

    def _due(self, zone: Zone, peer: str | None) -> bool:
        if self.stopping or zone.removed or zone.loading or not zone.secondary:
            return False
        if zone.busy:  # an attempt plans the next one at its end, other work does not
            self.schedule.at(zone, self._clock.monotonic() + BUSY_PAUSE, CHECK)
            return False
        if peer is None or not self._look(zone, peer):
            self._nursery.start_soon(self._run_due, zone, peer)
        return True

    async def _run_due(self, zone: Zone, peer: str | None, told: Told | None = None) -> None:
        try:
            outcome = await self.attempt(zone, told=told)
            if peer is not None and told is None:
                failure = outcome.failure
                if outcome.ok:
                    self.schedule.pace.answered(peer)
                elif failure is not None and failure.failure == Failure.TRANSPORT.value:
                    self.schedule.pace.lost(peer, self._clock.monotonic())
        finally:
            if peer is not None:
                self.schedule.ended(peer)

    # -- one look, which is an attempt without a task of its own as long as there is no news

    def _look(self, zone: Zone, peer: str) -> bool:
        """Ask the only primary of a zone; False where an attempt is to do it. peer: by whose place
        it runs."""
        query: Query | None = None

        def came(said: SoaAnswer | TransferError | None) -> None:
            self._looked(zone, peer, Told(asked, said))

        def lost() -> None:
            self.schedule.pace.lost(peer, self._clock.monotonic())

        def give_way() -> None:
            if query is not None:
                query.cancel()
            self._let_go(zone)
            self.schedule.ended(peer)
            self._plan(zone, True)

        query = self.refresher.look(zone, came, lost)
        if query is None:
            return False
        (asked,) = zone.config.primaries
        zone.busy = True
        self.working.add(zone)
        self._yielding[zone] = give_way
        return True

    def _looked(self, zone: Zone, peer: str, told: Told) -> None:
        self._let_go(zone)
        answer = told.said
        try:
            if isinstance(answer, SoaAnswer):
                self.schedule.pace.answered(peer)
                before = zone.primaries.get(told.peer.name)
                if self.refresher.settled(zone, told.peer, answer):
                    self.schedule.ended(peer)
                    self._plan(zone, True)
                    self.saving.keep(zone, {} if before is None else {told.peer.name: before})
                    return
        except Exception as error:
            self.crashed(zone, error)
        self._nursery.start_soon(self._run_due, zone, peer, told)

    def _let_go(self, zone: Zone) -> None:
        self._yielding.pop(zone, None)
        zone.busy = False
        self.working.discard(zone)
        zone.rest()

    # -- one attempt

    async def attempt(
        self,
        zone: Zone,
        force: bool = False,
        only: Peer | None = None,
        told: Told | None = None,
    ) -> Outcome:
        """One attempt, when none runs, and the plan for the next. told: see `Refresher.attempt`."""
        async with self._turn(zone):
            if zone.removed or not zone.secondary:
                return Outcome(False, True, "no secondary zone any more", zone.name)
            before, held = dict(zone.primaries), zone.content_version
            hint, zone.hint = zone.hint, None
            if hint is not None:
                zone.pursued, zone.rung = hint, 0
            elif zone.rung >= 0:
                hint = zone.pursued
            if hint is not None:
                zone.hinted_at = self._clock.monotonic()
            outcome = Outcome(True, True, "a NOTIFY came first", zone.name)
            scope = trio.CancelScope()
            if hint is None and not force:
                self._yielding[zone] = scope.cancel
            try:
                with scope:
                    outcome = await self.refresher.attempt(
                        zone, force=force, only=only, hint=hint, told=told
                    )
            except Exception as error:
                # A mistake of ours with one zone must not take the others down.
                outcome = self.crashed(zone, error)
            finally:
                self._yielding.pop(zone, None)
        if not zone.removed and zone.secondary:
            self._plan(zone, outcome.ok)
            if outcome.ok and zone.content_version is not held:
                self.saving.committed(zone, before)
            else:
                self.saving.keep(zone, before)
        return outcome

    @asynccontextmanager
    async def turn(self, zone: Zone) -> AsyncIterator[None]:
        """The block has the zone for itself, once it is loaded; for other work than attempts. What
        asked for one meanwhile gets it afterwards.

        Of two zones of one name, the one that a reload removed may still be at work when the other
        one starts.
        """
        try:
            async with self._turn(zone):
                yield
        finally:
            if zone.secondary and not (zone.busy or zone.removed or self.stopping):
                again, zone.again = zone.again, False
                hint, zone.hint = zone.hint, None
                if hint is not None:
                    self._follow(zone, hint)
                elif again:
                    self.start(zone)

    @asynccontextmanager
    async def _turn(self, zone: Zone) -> AsyncIterator[None]:
        await zone.until_idle()
        zone.busy = True
        self.working.add(zone)
        try:
            yield
        finally:
            zone.busy = False
            self.working.discard(zone)
            zone.rest()

    def crashed(self, zone: Zone, error: Exception) -> Outcome:
        """An error that is ours: recorded as the zone's."""
        sentence = f"expected no error inside xfer, got {type(error).__name__}: {error}"
        log.error("internal error", zone=zone.name, error=sentence, exc_info=error)
        zone.failures += 1
        zone.error = FailureReport(Failure.POLICY.value, sentence, self._clock.wall())
        return Outcome(False, True, sentence, zone.name, failure=zone.error)

    # -- what comes after it

    def _plan(self, zone: Zone, succeeded: bool) -> None:
        now = self._clock.monotonic()
        self.schedule.arm(zone)
        spread = self._rng.uniform(-1, 1)
        after = self._after(zone, succeeded, zone.left(now), spread)
        action = CHECK if succeeded else RETRY
        if zone.rung >= 0:
            step = self._next_step(zone, succeeded, spread)
            if step is not None and step < after:
                after, action = step, FOLLOW
        if zone.again:
            zone.again = False
            after = 0.0
        self.schedule.at(zone, now + after, action)
        hint, zone.hint = zone.hint, None
        if hint is not None and not (succeeded and hint.met(zone.content_serial)):
            self._follow(zone, hint)

    def _after(self, zone: Zone, succeeded: bool, left: float | None, spread: float) -> float:
        own = zone.timers()
        if own is None:
            return timers.first_after(zone.failures, spread)
        if succeeded:
            return timers.refresh_after(own, left, spread)
        return timers.retry_after(own, zone.failures, self.longest, left, spread)

    def _next_step(self, zone: Zone, succeeded: bool, spread: float) -> float | None:
        """Seconds until the NOTIFY is followed up again; None where it is done with."""
        hint = zone.pursued
        assert hint is not None
        done = hint.serial is None or hint.met(zone.content_serial) or zone.held is not None
        if not (succeeded and done):
            step = timers.ladder_after(self.ladder, zone.rung, spread)
            if step is not None:
                zone.rung += 1
                return step
        zone.rung = -1
        return None

    def _expired(self, zone: Zone) -> bool:
        return zone.content is not None and zone.holding(self._clock.monotonic()) is None

    def _expire(self, zone: Zone) -> None:
        if zone.removed or zone.expired or not zone.secondary:
            return
        zone.expired = True
        log.error("zone expired", zone=zone.name, serial_from=zone.serial)
        if not zone.busy:
            self.saving.keep(zone, zone.primaries)
            if zone.due is None or zone.due - self._clock.monotonic() > timers.FIRST_MAX:
                self._plan(zone, False)
