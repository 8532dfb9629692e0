"""Zones that are signed here: what came is signed, keys roll, signatures are renewed in time.

    content changed ──┐
    a key's time      ├─► keys advance ─► terms ─► sign what is due ─► Publisher.serve ─► look again
    a signature's     │   (lifecycle)             (ChangeSigner)      with the keys'     at the next
    a restart ────────┘                                               state, one commit  time

A look does nothing where nothing is due, so it may come at any time; all happens in the zone's turn
(`xfer.server.attempts`). What fails leaves the served version as it is, is told in `signing.error`,
and is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.config_dnssec import DenialChoice, DnssecPolicy
from xfer.dnssec import commands, holder, lifecycle, migration, observing
from xfer.dnssec.keystate import ZoneKeys, ZoneState
from xfer.dnssec.layout import awaits_import
from xfer.dnssec.online import Lasting, OnlineSigner
from xfer.dnssec.signatures import Signatures
from xfer.dnssec.signing import Terms
from xfer.dnssec.timing import Facts
from xfer.errors import JournalDamaged, XferError
from xfer.journal import Journal, Mark
from xfer.journal.versions import RECEIVED
from xfer.server import signed
from xfer.server.ds_watch import DsWatch
from xfer.server.elsewhere import Elsewhere
from xfer.server.executor import Executor
from xfer.server.key_steps import KeySteps
from xfer.server.keyset_watch import held_back, served_elsewhere, tell_keyset
from xfer.server.keystore import KeyStore
from xfer.server.parent import ParentWatch
from xfer.server.publish import Candidate, Publisher
from xfer.server.reminders import Reminders
from xfer.server.set_clock import ahead_of, keep_waits
from xfer.server.share_watch import Change as Change
from xfer.server.share_watch import ShareWatch
from xfer.server.sign_work import SignWork, made_after
from xfer.server.signed import KIND, Signing
from xfer.server.signed_elsewhere import SignedElsewhere
from xfer.server.signing_basis import Basis
from xfer.server.signing_terms import (
    came_back,
    fingerprint,
    has_removed,
    is_signed,
    policy_of,
    waits,
)
from xfer.server.status import Refused
from xfer.server.zones import Content, Zone
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()

RETRY: Final = 60.0  # seconds after a look that failed; then as long as it has failed until now
RETRY_MOST: Final = 900.0
ASK_AGAIN: Final = 300.0  # seconds between two looks at secondaries that keys wait for


def _nobody(_: Zone) -> None:
    """Nobody is asked."""


@attrs.define(eq=False)
class Signers:
    """turn: holds a zone for itself; signatures: made as answers are; parents: asks for DS;
    elsewhere: asks other signers; ask_secondaries: for the serials of a zone's secondaries."""

    journal: Journal
    publisher: Publisher
    store: KeyStore
    executor: Executor
    clock: Clock
    nursery: trio.Nursery
    turn: Callable[[Zone], AbstractAsyncContextManager[None]]
    work: SignWork
    signatures: Signatures
    parents: ParentWatch
    elsewhere: Elsewhere
    ask_secondaries: Callable[[Zone], None] = _nobody
    basis: Basis = attrs.field(init=False)
    key_steps: KeySteps = attrs.field(init=False)
    reminders: Reminders = attrs.field(init=False)
    watch: DsWatch = attrs.field(init=False)
    signed_elsewhere: SignedElsewhere = attrs.field(init=False)
    shares: ShareWatch = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.basis = Basis(self.journal, self.store, self.executor)
        self.key_steps = KeySteps(self.store, self.executor, self.basis)
        self.reminders = Reminders(self.clock, self.look_soon)
        self.watch = DsWatch(self.parents, self.nursery, self.clock, self.look_soon)
        self.signed_elsewhere = SignedElsewhere(
            self.journal,
            self.publisher,
            self.store,
            self.executor,
            self.clock,
            self.basis,
            self.watch,
        )
        self.shares = ShareWatch(self.elsewhere, self.nursery, self.clock, self.change)

    # -- when

    def known(self, zone: Zone, marks: Sequence[Mark]) -> Signing | None:
        """What is known of a zone's signing, by its marks; None where it is not signed here.

        A zone whose signing was not ended stays signed whatever the config says: without that,
        validators would call it bogus as long as its DS is at the parent.
        """
        try:
            found = signed.restored(zone.origin, marks)
        except JournalDamaged as error:
            return Signing(damaged=str(error))
        if found is None and zone.config.signed_here:
            return Signing()
        if found is not None and found.keys is not None:
            found.keys = observing.resumed(found.keys, self.clock.wall())
            found.ahead = ahead_of(self.clock)
        return found

    async def online(self, zone: Zone, signing: Signing) -> OnlineSigner | None:
        """Who signs proofs of what the zone has served, where that is done as they are asked for.

        None as well where its keys cannot be had, which the next look tells of.
        """
        if signing.keys is None or signing.fresh:
            return None
        try:
            terms = await self.basis.terms(zone, signing, signing.keys, policy_of(zone))
        except XferError:
            return None
        same = fingerprint(terms, policy_of(zone).denial) == signing.print
        return self._online(zone, terms) if same else None

    def _online(self, zone: Zone, terms: Terms) -> OnlineSigner | None:
        if terms.unsigned or terms.denial.kind != "none":
            return None
        policy = policy_of(zone)
        lasting = Lasting(terms.validity, terms.refresh, terms.inception_offset)
        compact = policy.denial is not DenialChoice.WHITE_LIES
        return OnlineSigner(zone.origin, terms.zsks, compact, lasting, self.signatures)

    async def change(self, zone: Zone, change: Change) -> None:
        """Do what an operator wants of the zone's keys, and what follows from it.

        Raises StepRefused, with nothing changed; Refused where the zone is not signed here.
        """
        async with self.turn(zone):
            if zone.signing is not None:
                await keep_waits(zone, zone.signing, self.clock, self.publisher)
            signing, keys, *_ = await self._changed(zone, change)
            mark = signed.mark_of(zone.origin, keys, signing.made_of, signing.print)
            await self.publisher.remember(mark)
            signing.keys = keys
            await self.follow(zone)

    async def join(self, zone: Zone, *, dry_run: bool = False) -> None:
        """Begin to sign a zone that another signer serves now (`xfer.dnssec.migration`).

        Raises StepRefused; Refused where the zone is not to be signed here, or has nothing to sign.
        """
        async with self.turn(zone):
            signing, content = zone.signing, zone.content
            if zone.removed or signing is None or content is None or signing.damaged:
                why = signing.damaged if signing is not None else ""
                raise Refused(f"{zone.name} cannot be signed here yet: {why or 'see `xfer why`'}")
            await keep_waits(zone, signing, self.clock, self.publisher)
            policy, now = policy_of(zone), self.clock.wall()
            facts = await self.basis.facts(zone, signing, content)
            if signing.keys is None or signing.keys.state is ZoneState.DELETED:
                keys = commands.enable(zone.origin, now, facts, policy, signing.keys, joining=True)
            else:
                keys = migration.join(signing.keys, policy, now, facts)
            if not dry_run:
                mark = signed.mark_of(zone.origin, keys, signing.made_of, signing.print)
                await self.publisher.remember(mark)
                signing.keys = keys
                await self.follow(zone)

    async def ask_parent(self, zone: Zone) -> None:
        """Ask the parent for the zone's DS now, and take what it says into account."""
        if zone.signing is not None:
            await self.watch.ask(zone, zone.signing, policy_of(zone))
            await self.look(zone)

    async def try_change(self, zone: Zone, change: Change) -> lifecycle.Step:
        """What `change` would bring about at once; raises as `change` does."""
        _, keys, policy, now, facts = await self._changed(zone, change)
        return lifecycle.advance(keys, policy, now, facts)

    async def _changed(
        self, zone: Zone, change: Change
    ) -> tuple[Signing, ZoneKeys, DnssecPolicy, float, Facts]:
        signing, content = zone.signing, zone.content
        if zone.removed or signing is None:
            raise Refused(
                f'{zone.name} is not signed here: write dnssec = "live-signed" in its config'
            )
        if content is None or signing.keys is None:
            why = signing.damaged or signing.error or "it has no version yet"
            raise Refused(f"{zone.name} has no keys yet: {why}")
        policy, now = policy_of(zone), self.clock.wall()
        facts = await self.basis.facts(zone, signing, content)
        return signing, change(signing.keys, policy, now, facts), policy, now, facts

    def look_soon(self, zone: Zone) -> None:
        """Look at the zone in the background, after what runs."""
        if not zone.removed and (zone.signing is not None or zone.config.signed_here):
            self.nursery.start_soon(self.look, zone)

    async def look(self, zone: Zone) -> None:
        """Do what is due of a zone's keys and signatures."""
        async with self.turn(zone):
            if zone.removed:
                return
            if zone.signing is None and zone.config.signed_here:
                self._adopt(zone)
            await self.follow(zone)

    def _adopt(self, zone: Zone) -> None:
        """From now on the zone is signed: what it has served is what came."""
        snapshot, version = zone.snapshot, zone.version
        zone.signing = Signing()
        if snapshot is not None and version is not None:
            zone.received = Content(snapshot, version)

    def secondary_seen(self, zone: Zone) -> None:
        """More is known of a secondary of the zone: keys may have waited for that."""
        signing = zone.signing
        if signing is not None and signing.keys is not None and waits(signing.keys):
            serials = tuple(zone.secondary_status(p).seen_serial for p in zone.config.secondaries)
            if serials != signing.seen:
                signing.seen = serials
                self.look_soon(zone)

    async def follow(self, zone: Zone) -> None:
        """Serve what came, signed, and do what else is due; the caller has the zone for itself."""
        signing = zone.signing
        if signing is None:
            return
        try:
            again = await self._bring_up(zone, signing)
        except XferError as error:
            self._failed(zone, signing, str(error))
        except Exception as error:  # a mistake of ours with one zone must not end the others
            log.error("internal error", zone=zone.name, error=str(error), exc_info=error)
            self._failed(zone, signing, f"{type(error).__name__}: {error}")
        else:
            signing.error, signing.failed_at = "", None
            if again is not None:
                self.reminders.at(zone, again)
            else:
                self.reminders.forget(zone)

    def _failed(self, zone: Zone, signing: Signing, sentence: str) -> None:
        now = self.clock.wall()
        if sentence != signing.error:
            log.error("signing failed", zone=zone.name, error=sentence)
            signing.failed_at = now
        signing.error = sentence
        since = now - (now if signing.failed_at is None else signing.failed_at)
        self.reminders.at(zone, now + min(max(RETRY, since), RETRY_MOST))

    # -- what

    async def _bring_up(self, zone: Zone, signing: Signing) -> float | None:
        """Make and serve the version that is due, if one is; when to look again."""
        content = zone.content
        if signing.damaged:
            raise JournalDamaged(signing.damaged)
        if content is None:
            return None
        await keep_waits(zone, signing, self.clock, self.publisher)
        now = self.clock.wall()
        policy = policy_of(zone)
        if await self.signed_elsewhere.stays(zone, signing, content):
            return None
        if signing.keys is None and is_signed(content):
            await self.signed_elsewhere.take_over(zone, signing, content)
        before = signing.keys
        step = await self.key_steps.next(zone, signing, content, policy, now)
        signing.todo = (*step.todo, *signing.kept)
        tell_keyset(zone, signing, now)
        keys, terms = step.zone, await self.basis.terms(zone, signing, step.zone, policy)
        print_ = fingerprint(terms, policy.denial)
        served = None if signing.fresh else zone.snapshot
        same = served is not None and content.root == signing.made_of and print_ == signing.print
        if signing.renew_at is None and served is not None:
            await self.work.look_up_expiry(signing, served, terms)
        due = signing.renew_at is not None and signing.renew_at <= now
        due = due or (served is not None and made_after(served, now))
        due = due or (served is not None and has_removed(served, terms))
        told = came_back(zone, terms)
        signing.todo += told
        held = held_back(zone, signing, content, keys, policy)
        if held:
            if is_signed(content):
                await self.signed_elsewhere.pass_on(zone, content)
            keys = holder.with_served(keys, served_elsewhere(zone, keys), self.clock.wall())
            await self.publisher.remember(
                signed.mark_of(zone.origin, keys, signing.made_of, signing.print)
            )
            signing.keys = keys
            again = self.watch.look(zone, signing, keys, policy, now)
            if is_signed(content):
                return again
            raise XferError(held)
        if step.publish or not same or due:
            await self._publish(zone, signing, content, keys, terms, now)
        elif keys != signing.keys:
            mark = signed.mark_of(zone.origin, keys, signing.made_of, print_)
            await self.publisher.remember(mark)
            signing.keys = keys
        for event in step.events:
            log.info("keys", zone=zone.name, kind=event.kind, key=event.key, says=event.says)
        await self.key_steps.put_away(zone, before, signing.keys or keys)
        if step.publish:  # what comes after that has its own time
            now = self.clock.wall()
            keys = signing.keys or keys
            step = lifecycle.advance(
                keys, policy, now, await self.basis.facts(zone, signing, content)
            )
            signing.todo = (*step.todo, *signing.kept, *told)
            if step.publish or step.generate:  # without a wait before it
                return now
        times = [
            step.next_at,
            signing.renew_at,
            signing.kept_until,
            self.watch.look(zone, signing, keys, policy, now),
            self.shares.look(zone, signing, keys, policy, now),
        ]
        if waits(keys) and zone.config.secondaries:
            self.ask_secondaries(zone)
            times.append(now + ASK_AGAIN)
        return min((when for when in times if when is not None), default=None)

    async def _publish(
        self,
        zone: Zone,
        signing: Signing,
        content: Snapshot,
        keys: ZoneKeys,
        terms: Terms,
        now: float,
    ) -> None:
        """Sign what is due and serve it; the state of the keys is committed with it."""
        started = self.clock.monotonic()
        if zone.content_version is not None and zone.content_version.chain != RECEIVED:
            with self.journal.write_ahead(content) as ahead:
                await self.publisher.keep(zone, ahead)
        serial = await self.basis.serial(zone, content, now)
        made = await self.work.make(zone, signing, content, terms, serial, now)
        if zone.removed:  # one of its name may be there again, and do the same
            raise XferError("expected a configured zone, got one that a reload has removed")
        # Signing takes its time, and waits begin when the version is served.
        policy = policy_of(zone)
        stored = lifecycle.published(keys, policy, serial, self.clock.wall())
        print_ = fingerprint(terms, policy_of(zone).denial)
        source = f"signed here, content {content.serial}"
        if terms.unsigned:
            waits_for = awaits_import(keys, policy)
            source = "unsigned, as it came" if waits_for else "signatures taken out"
        candidate = Candidate(
            made.snapshot,
            (),
            source,
            KIND,
            marks=(signed.mark_of(zone.origin, stored, content.root, print_),),
            confirmed=False,
            changes=made.changes,
            online=self._online(zone, terms),
        )
        serial_from = zone.serial
        with self.journal.write_ahead(zone.snapshot) as ahead:
            await self.publisher.serve(zone, candidate, ahead)
        # The old version was served until now; a restart takes longer than the commit.
        signing.keys = lifecycle.published(keys, policy, serial, self.clock.wall())
        signing.made_of, signing.print = content.root, print_
        signing.terms, signing.base = terms, content
        await self.work.look_up_expiry(signing, made.snapshot, terms)
        log.info(
            "signed",
            zone=zone.name,
            serial_from=serial_from,
            serial_to=serial,
            records=made.snapshot.count,
            signatures=made.signatures,
            seconds=round(self.clock.monotonic() - started, 6),
        )
