"""The work of signing a version: what changed or all of it, in threads, or in processes.

content, terms ─► a signer's steps, one thread at a time ─► portions ─► SignPool, or threads
                          ▲                                                   │
                          └──────────────── signed portions ◄─────────────────┘
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Final

import attrs
import trio

from xfer.dnssec.expiry import Expiries
from xfer.dnssec.keys import SigningKey
from xfer.dnssec.rrsig import expiration_of
from xfer.dnssec.signing import ChangeSigner, Portion, Signed, Signer, Terms, WholeSigner
from xfer.dnssec.signing import sign as sign_portion
from xfer.errors import JournalDamaged
from xfer.journal import Journal
from xfer.server.executor import Executor
from xfer.server.signed import Signing
from xfer.server.signing_terms import fingerprint, policy_of
from xfer.server.signpool import SignPool
from xfer.server.zones import Zone
from xfer.wire.records import RRSIG, SOA, split
from xfer.zone.changeset import Changeset, diff
from xfer.zone.check import Policy
from xfer.zone.snapshot import APEX, Snapshot

STEPS: Final = 64  # steps of a signer between two looks at what came back
EARLIER: Final = 3600  # seconds by which signatures go along with those that are due, at most
AHEAD: Final = 4  # portions that wait to be signed, for each that is being signed


@attrs.frozen
class Made:
    """A signed version; changes: in what is served, None where it is the first that is signed;
    signatures: how many were made."""

    snapshot: Snapshot
    changes: Changeset | None
    signatures: int


@attrs.define(eq=False)
class SignWork:
    """checks: the policy for what is published; at_once: threads that sign."""

    journal: Journal
    executor: Executor
    rng: random.Random
    checks: Callable[[], Policy]
    pool: SignPool
    at_once: int = attrs.field(factory=lambda: os.cpu_count() or 1)

    async def make(
        self,
        zone: Zone,
        signing: Signing,
        content: Snapshot,
        terms: Terms,
        serial: int,
        now: float,
    ) -> Made:
        """The next version: of what is served what changed, where that was signed here. Raises
        XferError."""
        signer = await self.executor.run(self._signer, zone, signing, content, terms, serial, now)
        try:
            await self._sign(signer, terms.keys)
        except ExceptionGroup as group:
            raise _first(group) from None
        changes = signer.changeset() if isinstance(signer, ChangeSigner) else None
        return Made(signer.snapshot(), changes, signer.made)

    def _signer(
        self,
        zone: Zone,
        signing: Signing,
        content: Snapshot,
        terms: Terms,
        serial: int,
        now: float,
    ) -> Signer:
        """In a worker thread: what makes the next version."""
        checks = self.checks()
        served = zone.snapshot
        if signing.fresh or served is None:
            return WholeSigner(content, terms, serial, now, self.rng, zone.snapshot, checks)
        same_terms = signing.print == fingerprint(terms, policy_of(zone).denial)
        old_terms = signing.terms or (terms if same_terms else None)
        if made_after(served, now):
            old_terms = None  # all have to be looked at
        if signing.renew_at is not None and signing.renew_at <= now:
            # Each ends at a time of its own: else each would have a version of its own.
            early = min(EARLIER, terms.refresh // 4)
            terms = attrs.evolve(terms, refresh=terms.refresh + early)
        changes = None
        if content.root != signing.made_of:
            before = self._made_of(zone, signing, content)
            if before is None:
                old_terms = None
            else:
                changes = diff(before, content)
        return ChangeSigner(
            served,
            content,
            changes,
            old_terms,
            terms,
            serial,
            now,
            self.rng,
            renew=policy_of(zone).signatures_at_once,
            memory=signing.memory,
            policy=checks,
        )

    def _made_of(self, zone: Zone, signing: Signing, content: Snapshot) -> Snapshot | None:
        """The content that the served version was made of; None where it is not kept any more."""
        if signing.base is not None and signing.base.root == signing.made_of:
            return signing.base
        for version in self.journal.versions(zone.origin, zone.content_chain):
            if version.root == signing.made_of:
                try:
                    return self.journal.load(version, content)
                except JournalDamaged:
                    newest = zone.content_version
                    if newest is None or newest.id < version.id:
                        raise  # what is left is older than what is served was made of
        return None

    async def _sign(self, signer: Signer, keys: tuple[SigningKey, ...]) -> None:
        """Do the work of a signer: its steps in one thread at a time, signatures in several, or in
        processes where there are many."""
        came: list[Signed] = []
        news = trio.Event()
        limit = trio.CapacityLimiter(self.at_once)
        ahead = AHEAD * max(self.at_once, self.pool.most)

        async def one(portion: Portion) -> None:
            done = await job.sign(signer.recipe, portion)
            if done is None:
                async with limit:
                    done = await self.executor.run(
                        sign_portion, signer.recipe, signer.signs, portion
                    )
            came.append(done)
            news.set()

        with self.pool.job(keys) as job:
            async with trio.open_nursery() as nursery:
                while True:
                    news = trio.Event()
                    for part in came:
                        signer.give(part)
                    came.clear()
                    more = await self.executor.run(_steps, signer)
                    for portion in signer.take():
                        nursery.start_soon(one, portion)
                    if signer.waiting > ahead or (not more and signer.waiting):
                        if not came:
                            await news.wait()
                    elif not more:
                        return

    async def look_up_expiry(self, signing: Signing, served: Snapshot, terms: Terms) -> None:
        """Note when the first signature of what is served has to be renewed."""
        if terms.unsigned:
            signing.renew_at = signing.ends_at = None
            return
        expiries = Expiries(served, signing.expiries, terms.presigned)
        await self.executor.run(_finish, expiries)
        signing.expiries = expiries
        signing.ends_at = min([expiries.soonest, *map(expiration_of, terms.presigned)])
        signing.renew_at = expiries.soonest - terms.refresh


def made_after(served: Snapshot, now: float) -> bool:
    """Whether signatures of a version hold from a later time on: the clock was set back. The SOA's
    is of every version, so it is the last that was made."""
    return any(
        int.from_bytes(split(record)[4][12:16]) > now for record in served.rrset(APEX, RRSIG, SOA)
    )


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """One of the errors that ended the work; the nursery wraps even a single one."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _finish(expiries: Expiries) -> None:
    """In a worker thread."""
    while expiries.step():
        pass


def _steps(signer: Signer) -> bool:
    """In a worker thread: some steps; whether there may be more at once."""
    return all(signer.step() for _ in range(STEPS))
