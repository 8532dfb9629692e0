"""Going back: the content of a kept version again, under a new, higher serial (REQUIREMENTS C2).

    following ── rollback ──► held ── release ──► following, once a primary's serial passes ours;
                              │  ▲                with `follow`, at once under a serial of our own
                              └──┘ rollback

It is pushed like any change, so secondaries follow by IXFR. A secondary zone is held there: its
primaries are still asked, so that it does not expire, but what they have is not taken until the
operator releases it. That the zone is held is stored with the version and outlives a restart.
"""

from __future__ import annotations

from typing import Any

import attrs
import structlog

from xfer.clock import Clock
from xfer.config_keys import Dnssec
from xfer.errors import TransferError
from xfer.journal import GroupCommitter, Journal, Mark
from xfer.server.attempts import Attempts
from xfer.server.history import SIGNED, History, Named
from xfer.server.publish import Candidate, Publisher, wait_for
from xfer.server.serials import bound_to_serial, last_given, next_serial, with_serial
from xfer.server.status import Held, Outcome, Refused, told_serials
from xfer.server.zones import Zone

log = structlog.get_logger()

MARK = "held"


@attrs.define(eq=False)
class Rollbacks:
    """Publishes old content again, and ends the hold that a secondary zone is put under."""

    history: History
    attempts: Attempts
    publisher: Publisher
    journal: Journal
    committer: GroupCommitter
    clock: Clock

    async def rollback(self, zone: Zone, named: Named) -> Outcome:
        """Publish that version's content under the next serial.

        Raises NoSuchVersion, or Refused where signatures or digests hold the old serial, or where
        the content is what is served already.
        """
        if zone.config.dnssec is Dnssec.PRE_SIGNED:
            raise Refused(
                f"{zone.name} is pre-signed: its signatures hold the serials they were made for; "
                "roll back where it is signed"
            )
        version = await self.history.find(zone, named)
        old = await self.history.content(zone, version)
        signed = version.kind == SIGNED
        what = told_serials(version.serial if signed else old.serial, old.serial)
        bound = bound_to_serial(old)
        if bound:
            raise Refused(
                f"{zone.name} {what} has a {bound}, which would be false under "
                "another serial; roll back where it was made"
            )
        async with self.attempts.turn(zone):
            served = zone.content
            if served is None or zone.removed:
                raise Refused(f"{zone.name} serves no version to go back from")
            if with_serial(old, served.serial).root == served.root:
                now = told_serials(zone.serial or served.serial, served.serial)
                raise Refused(f"{zone.name} serves the content of {what} already, as {now}")
            wall = self.clock.wall()
            newest = await self.history.newest(zone)
            last = last_given(served.serial, [newest, *zone.content_serials()])
            serial = next_serial(zone.config.serial, last, wall)
            published = version.serial if signed else None
            held = None
            if zone.secondary:
                held = Held(serial, old.serial, version.id, wall, published)
            serial_from = zone.serial
            candidate = Candidate(
                with_serial(old, serial),
                (),
                f"rollback to {what} (v{version.id})",
                "rollback",
                marks=() if held is None else (mark_of(zone, held),),
                confirmed=False,
            )
            try:
                with self.journal.write_ahead() as ahead:
                    await self.publisher.publish(zone, candidate, ahead)
            except TransferError as error:
                raise Refused(str(error)) from error
            zone.held = held
            if zone.secondary:
                self.attempts.schedule.arm(zone)
                # An older version may have a shorter EXPIRE, which a restart has to know.
                self.attempts.saving.keep(zone, zone.primaries)
        log.info(
            "rollback",
            zone=zone.name,
            kind="rollback",
            serial_from=serial_from,
            serial_to=zone.serial,
            content=old.serial,
            content_from=served.serial,
            content_to=serial,
        )
        if zone.signing is not None and zone.signing.error:
            message = f"the content of {what} {zone.served_as()}"
        else:
            now = told_serials(zone.serial or serial, serial)
            message = f"the content of {what} is served as {now}"
        if held is not None:
            message += "; the zone is held there until `xfer zone release`"
        return Outcome(
            True,
            True,
            message,
            zone.name,
            kind="rollback",
            serial_from=serial_from,
            serial_to=zone.serial,
            records=old.count,
        )

    async def release(self, zone: Zone, follow: bool = False) -> Outcome:
        """Follow the primaries again, from now on.

        follow: take what a primary has now under a serial above ours, so that secondaries follow at
        once. Raises Refused where the zone is not held; with `follow`, where nothing was made here,
        or it is being done.
        """
        async with self.attempts.turn(zone):
            held = zone.held
            if held is None and not (follow and zone.made_here):
                hint = "; its primaries are followed" if zone.secondary else ""
                raise Refused(f"{zone.name} is not held{hint}")
            if held is not None:
                await wait_for(self.committer.clear_mark(zone.origin, MARK))
                zone.held = None
        log.info("released", zone=zone.name, serial_from=zone.serial)
        if follow:
            return await self._follow(zone)
        assert held is not None
        outcome = await self.attempts.attempt(zone)
        message = f"released: {outcome.message}"
        if outcome.ok and zone.content_serial == held.serial:
            message += (
                "; its content is still the rollback's, which changes when a primary's serial "
                f"passes {held.serial}, or at once by `xfer force-axfr {zone.name}`, which "
                "secondaries follow only after a transfer by hand"
            )
        return attrs.evolve(outcome, message=message)

    async def _follow(self, zone: Zone) -> Outcome:
        assert zone.content is not None
        newest = await self.history.newest(zone)
        raising = self.attempts.refresher.raising
        if zone in raising:
            # The first to end would leave the other one to take the primary's own, lower serial.
            raise Refused(f"{zone.name} is being released already")
        raising[zone] = last_given(zone.content.serial, [newest, *zone.content_serials()])
        try:
            outcome = await self.attempts.attempt(zone, force=True)
        finally:
            raising.pop(zone, None)
        message = f"released: {outcome.message}"
        if outcome.ok and zone.raised:
            message += (
                f"; that is its content under a serial of our own: it is followed once its serial "
                f"passes {zone.content_serial}, or by `xfer zone release {zone.name} --follow` "
                "again"
            )
        return attrs.evolve(outcome, message=message)


def mark_of(zone: Zone, held: Held) -> Mark:
    """What the journal remembers of a hold."""
    return Mark(zone.origin, MARK, attrs.asdict(held))


def restore(zone: Zone, marks: list[Mark]) -> None:
    """Hold the zone again where its marks say so; at what is served, where they do not say more."""
    for mark in marks:
        if mark.name == MARK and zone.secondary and zone.content_version is not None:
            served = zone.content_version
            data: dict[str, Any] = {
                "serial": served.serial,
                "content_serial": served.serial,
                "content_version": served.id,
                "at": served.created,
                "published_serial": None,
            }
            for name, value in mark.data.items():
                if name in data and isinstance(value, (int, float)):
                    data[name] = value
            zone.held = Held(**data)
