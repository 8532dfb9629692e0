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

import hashlib
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.config_dnssec import DenialChoice, DnssecPolicy
from xfer.dnssec import commands, lifecycle, looks
from xfer.dnssec.expiry import Expiries
from xfer.dnssec.keys import SEP, SigningKey, tag_of
from xfer.dnssec.keystate import Role, ZoneKeys
from xfer.dnssec.online import Lasting, OnlineSigner
from xfer.dnssec.parent import ds_text
from xfer.dnssec.publication import publication
from xfer.dnssec.recipe import negative_ttl
from xfer.dnssec.signatures import Signatures
from xfer.dnssec.signing import ChangeSigner, Denial, Portion, Signed, Signer, Terms, WholeSigner
from xfer.dnssec.signing import sign as sign_portion
from xfer.dnssec.timing import Facts, Seen
from xfer.errors import JournalDamaged, StepRefused, XferError
from xfer.journal import Journal, Mark
from xfer.server import signed
from xfer.server.executor import Executor
from xfer.server.keystore import KeyStore
from xfer.server.parent import ParentWatch
from xfer.server.publish import Candidate, Publisher
from xfer.server.reminders import Reminders
from xfer.server.serials import last_given, next_serial
from xfer.server.signed import Signing
from xfer.server.signpool import SignPool
from xfer.server.status import Refused
from xfer.server.zones import Content, Zone
from xfer.wire.records import DNSKEY, RRSIG, SOA, soa_fields, split
from xfer.wire.serial import newer
from xfer.zone.changeset import diff
from xfer.zone.check import Policy
from xfer.zone.snapshot import APEX, Snapshot

log = structlog.get_logger()

Change = Callable[[ZoneKeys, DnssecPolicy, float, Facts], ZoneKeys]
KIND: Final = "signed"  # of the versions that are made here
RETRY: Final = 60.0  # seconds after a look that failed
STEPS: Final = 64  # steps of a signer between two looks at what came back
AHEAD: Final = 4  # portions that wait to be signed, for each that is being signed
ASK_AGAIN: Final = 300.0  # seconds between two looks at secondaries that keys wait for
ROUNDS: Final = 4  # keys made in a row; each look needs one round, a rollover of all of them two


def _nobody(_: Zone) -> None:
    """Nobody is asked."""


@attrs.define(eq=False)
class Signers:
    """turn: holds a zone for itself; checks: the policy for what is published; signatures: made as
    answers are; parents: asks for DS; ask_secondaries: for the serials that a zone's secondaries
    have."""

    journal: Journal
    publisher: Publisher
    store: KeyStore
    executor: Executor
    clock: Clock
    rng: random.Random
    nursery: trio.Nursery
    turn: Callable[[Zone], AbstractAsyncContextManager[None]]
    checks: Callable[[], Policy]
    signatures: Signatures
    parents: ParentWatch
    pool: SignPool
    ask_secondaries: Callable[[Zone], None] = _nobody
    at_once: int = attrs.field(factory=lambda: os.cpu_count() or 1)
    reminders: Reminders = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reminders = Reminders(self.clock, self.look_soon)

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
        return found

    async def online(self, zone: Zone, signing: Signing) -> OnlineSigner | None:
        """Who signs proofs of what the zone has served, where that is done as they are asked for.

        None as well where its keys cannot be had, which the next look tells of.
        """
        if signing.keys is None or signing.fresh:
            return None
        try:
            terms = await self._terms(zone, signing, signing.keys, policy_of(zone))
        except XferError:
            return None
        return self._online(zone, terms) if fingerprint(terms) == signing.print else None

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
            signing, keys, *_ = await self._changed(zone, change)
            mark = signed.mark_of(zone.origin, keys, signing.made_of, signing.print)
            await self.executor.run(self.journal.set_mark, mark)
            signing.keys = keys
            await self.follow(zone)

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
        facts = await self._facts(zone, signing, content)
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
        self.reminders.at(zone, now + RETRY)

    # -- what

    async def _bring_up(self, zone: Zone, signing: Signing) -> float | None:
        """Make and serve the version that is due, if one is; when to look again."""
        content = zone.content
        if signing.damaged:
            raise JournalDamaged(signing.damaged)
        if content is None:
            return None
        now = self.clock.wall()
        policy = policy_of(zone)
        if signing.keys is None and is_signed(content):
            await self._take_over(zone, signing, content, policy, now)
        step = await self._advanced(zone, signing, content, policy, now)
        signing.todo = step.todo
        keys, terms = step.zone, await self._terms(zone, signing, step.zone, policy)
        print_ = fingerprint(terms)
        before = signing.keys
        served = None if signing.fresh else zone.snapshot
        same = served is not None and content.root == signing.made_of and print_ == signing.print
        if signing.renew_at is None and served is not None:
            await self._look_up_expiry(signing, served, terms)
        due = signing.renew_at is not None and signing.renew_at <= now
        if step.publish or not same or due:
            await self._publish(zone, signing, content, keys, terms, now)
        elif keys != signing.keys:
            mark = signed.mark_of(zone.origin, keys, signing.made_of, print_)
            await self.executor.run(self.journal.set_mark, mark)
            signing.keys = keys
        for event in step.events:
            log.info("keys", zone=zone.name, kind=event.kind, key=event.key, says=event.says)
        await self._put_away(zone, before, signing.keys or keys)
        if step.publish:  # what comes after that has its own time
            keys = signing.keys or keys
            step = lifecycle.advance(keys, policy, now, await self._facts(zone, signing, content))
            signing.todo = step.todo
        times = [
            step.next_at,
            signing.renew_at,
            self._parent_look(zone, signing, keys, policy, now),
        ]
        if waits(keys) and zone.config.secondaries:
            self.ask_secondaries(zone)
            times.append(now + ASK_AGAIN)
        return min((when for when in times if when is not None), default=None)

    async def _put_away(self, zone: Zone, before: ZoneKeys | None, keys: ZoneKeys) -> None:
        """Put aside the files of keys that have gone, which nothing that is stored names any more."""
        needed = {key.ident for key in keys.keys}
        for key in before.keys if before is not None else ():
            if key.ident not in needed:
                await self.executor.run(self.store.remove, zone.origin, key.ident, needed)

    def _parent_look(
        self, zone: Zone, signing: Signing, keys: ZoneKeys, policy: DnssecPolicy, now: float
    ) -> float | None:
        """Ask the parent for the DS where it is time; when it is time again."""
        if signing.asking:
            return None
        settled = signing.said is None or signing.said.seen is not None
        when = looks.next_look(keys, policy, signing.asked_at, settled, now)
        if when is None or when > now:
            return when
        signing.asking = True
        self.nursery.start_soon(self._ask_parent, zone, signing, policy)
        return None

    async def _ask_parent(self, zone: Zone, signing: Signing, policy: DnssecPolicy) -> None:
        said = await self.parents.ask(zone.origin, policy)
        before = signing.said
        signing.asking, signing.asked_at, signing.said = False, self.clock.wall(), said
        if said.seen is not None:
            signing.ds = said.seen
        if before is None or (before.why, before.seen and before.seen.rdata) != (
            said.why,
            said.seen and said.seen.rdata,
        ):
            told = said.why or ds_text(said.seen.rdata if said.seen is not None else frozenset())
            log.info("parent", zone=zone.name, says=told)
        self.look_soon(zone)

    async def _advanced(
        self, zone: Zone, signing: Signing, content: Snapshot, policy: DnssecPolicy, now: float
    ) -> lifecycle.Step:
        """The next step of the zone's keys, with those made that it asks for."""
        facts = await self._facts(zone, signing, content)
        keys = signing.keys
        if keys is None:
            keys = commands.enable(zone.origin, now, facts, policy)
        for _ in range(ROUNDS):
            step = lifecycle.advance(keys, policy, now, facts)
            if not step.generate:
                return step
            keys = step.zone
            for new in step.generate:
                make = partial(self.store.generate, bits=policy.rsa_bits, taken=taken_tags(keys))
                pair = await self.executor.run(
                    make, zone.origin, new.algorithm, new.role.signs_keys, now
                )
                log.info("key made", zone=zone.name, key=pair.key.ident, kind=new.role.value)
                keys = commands.add_made(keys, new, pair.key.public, now, policy)
        raise XferError(f"expected keys to be complete after {ROUNDS} rounds, got still more")

    async def _take_over(
        self, zone: Zone, signing: Signing, content: Snapshot, policy: DnssecPolicy, now: float
    ) -> None:
        """Begin to sign what was signed elsewhere. Raises StepRefused.

        There may be a DS of its keys at the parent; then no validator would take it under others.
        So it is taken over with its own keys, or where there is no DS; until then it is served as
        it comes.
        """
        facts = await self._facts(zone, signing, content)
        loaded = await self.executor.run(self.store.load, zone.origin)
        held = [pair.key for pair in loaded.keys.values() if pair.key.public in facts.foreign]
        try:
            if not held and facts.ds is None:
                raise StepRefused(
                    f"sign {zone.name} here",
                    "it comes signed by other keys, and nobody has said that the parent has no DS "
                    "of them",
                    f"import its keys (`xfer dnssec import {zone.name} FILES`), or let the "
                    "policy's `parent` say that there is no DS, or have it come unsigned",
                )
            signing.keys = commands.enable(zone.origin, now, facts, policy, served=own_keys(held))
        except StepRefused:
            await self._pass_on(zone, content)
            self._parent_look(zone, signing, ZoneKeys(zone.origin), policy, now)
            raise

    async def _pass_on(self, zone: Zone, content: Snapshot) -> None:
        """Serve what came as it is."""
        if zone.snapshot is None or zone.snapshot.root != content.root:
            source = "as it came, signed by others"
            candidate = Candidate(content, (), source, KIND, confirmed=False)
            with self.journal.write_ahead(zone.snapshot) as ahead:
                await self.publisher.serve(zone, candidate, ahead)

    async def _facts(self, zone: Zone, signing: Signing, content: Snapshot) -> Facts:
        status = [zone.secondary_status(peer) for peer in zone.config.secondaries]
        expire = soa_fields(content.soa)[5]
        return Facts(
            zone_max_ttl=await self.executor.run(signing.ttls.of, content),
            negative_ttl=negative_ttl(content.soa),
            expire=expire,
            secondaries=tuple(
                Seen(one.peer, one.seen_serial, one.seen_at or 0.0, expire) for one in status
            ),
            ds=signing.ds,
            foreign=frozenset(split(record)[4] for record in content.rrset(APEX, DNSKEY)),
        )

    async def _terms(
        self, zone: Zone, signing: Signing, keys: ZoneKeys, policy: DnssecPolicy
    ) -> Terms:
        """What the next version has to look like."""
        wanted = publication(keys, policy)
        if wanted.unsigned:
            return Terms(unsigned=True)
        held = await self._keys(zone, signing, wanted.key_signers | wanted.zone_signers)
        return Terms(
            apex=wanted.records(),
            ksks=tuple(held[ident] for ident in sorted(wanted.key_signers)),
            zsks=tuple(held[ident] for ident in sorted(wanted.zone_signers)),
            denial=denial_of(zone, policy),
            validity=policy.signature_validity,
            refresh=policy.signature_refresh,
            jitter=policy.signature_jitter,
            inception_offset=policy.signature_inception,
            zonemd=policy.zonemd,
            dnskey_ttl=policy.dnskey_ttl,
        )

    async def _keys(
        self, zone: Zone, signing: Signing, idents: frozenset[str]
    ) -> Mapping[str, SigningKey]:
        """The keys with these idents; read from disk where one was not needed until now."""
        if not idents <= signing.held.keys():
            loaded = await self.executor.run(self.store.load, zone.origin)
            signing.held = {ident: pair.key for ident, pair in loaded.keys.items()}
            missing = sorted(idents - signing.held.keys())
            if missing:
                place = self.store.zone_directory(zone.origin)
                why = "; ".join(map(str, loaded.problems)) or "no such files"
                raise XferError(
                    f"expected the key {missing[0]} of {zone.name} in {place}, got {why}: what is "
                    "served stays as it is while its signatures hold"
                )
        return signing.held

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
        serial = await self._serial(zone, content, now)
        served = None if signing.fresh else zone.snapshot
        signer = await self.executor.run(
            self._signer, zone, signing, served, content, terms, serial, now
        )
        await self._sign(signer, terms.keys)
        snapshot = signer.snapshot()
        keys = lifecycle.published(keys, policy_of(zone), serial, now)
        print_ = fingerprint(terms)
        source = f"signed here, content {content.serial}" if terms.apex else "signatures taken out"
        candidate = Candidate(
            snapshot,
            (),
            source,
            KIND,
            marks=(signed.mark_of(zone.origin, keys, content.root, print_),),
            confirmed=False,
            changes=signer.changeset() if isinstance(signer, ChangeSigner) else None,
            online=self._online(zone, terms),
        )
        serial_from = zone.serial
        with self.journal.write_ahead(zone.snapshot) as ahead:
            await self.publisher.serve(zone, candidate, ahead)
        signing.keys, signing.made_of, signing.print = keys, content.root, print_
        signing.terms, signing.base = terms, content
        await self._look_up_expiry(signing, snapshot, terms)
        log.info(
            "signed",
            zone=zone.name,
            serial_from=serial_from,
            serial_to=serial,
            records=snapshot.count,
            signatures=signer.made,
            seconds=round(self.clock.monotonic() - started, 6),
        )

    def _signer(
        self,
        zone: Zone,
        signing: Signing,
        served: Snapshot | None,
        content: Snapshot,
        terms: Terms,
        serial: int,
        now: float,
    ) -> Signer:
        """In a worker thread: what makes the next version."""
        checks = self.checks()
        if served is None:
            return WholeSigner(content, terms, serial, now, self.rng, zone.snapshot, checks)
        same_terms = signing.print == fingerprint(terms)
        old_terms = signing.terms or (terms if same_terms else None)
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
                return self.journal.load(version, content)
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

    async def _look_up_expiry(self, signing: Signing, served: Snapshot, terms: Terms) -> None:
        """Note when the first signature of what is served has to be renewed."""
        if terms.unsigned:
            signing.renew_at = signing.ends_at = None
            return
        expiries = Expiries(served, signing.expiries)
        await self.executor.run(_finish, expiries)
        signing.expiries = expiries
        signing.ends_at = expiries.soonest
        signing.renew_at = expiries.soonest - terms.refresh

    async def _serial(self, zone: Zone, content: Snapshot, now: float) -> int:
        """Of the next version: the content's own where secondaries follow that."""
        newest = await self.executor.run(self.journal.latest, zone.origin)
        if newest is None:
            return content.serial
        last = last_given(newest.serial, [zone.serial, *zone.known_serials()])
        if newer(content.serial, last):
            return content.serial
        return next_serial(zone.config.serial, last, now)


def _finish(expiries: Expiries) -> None:
    """In a worker thread."""
    while expiries.step():
        pass


def _steps(signer: Signer) -> bool:
    """In a worker thread: some steps; whether there may be more at once."""
    return all(signer.step() for _ in range(STEPS))


def is_signed(content: Snapshot) -> bool:
    """Whether it came with signatures of its own."""
    return bool(content.rrset(APEX, RRSIG, SOA))


def own_keys(keys: Iterable[SigningKey]) -> tuple[commands.OwnKey, ...]:
    """Keys that have signed a zone, in their roles; where there is no other, a KSK is a CSK."""
    found = list(keys)
    alone = all(key.flags & SEP for key in found)
    top = Role.CSK if alone else Role.KSK
    return tuple(commands.OwnKey(top if key.flags & SEP else Role.ZSK, key.public) for key in found)


def waits(keys: ZoneKeys) -> bool:
    """Whether keys wait for secondaries to have a version."""
    changes = [(past.at, past.everywhere) for past in keys.past_keysets]
    changes += [(past.at, past.everywhere) for past in keys.past_signers]
    changes.append((keys.wanted_at, keys.wanted_everywhere))
    return any(at is not None and everywhere is None for at, everywhere in changes)


def taken_tags(keys: ZoneKeys) -> list[int]:
    """Tags of other signers' keys that the zone publishes."""
    return [tag_of(foreign.public) for foreign in keys.foreign]


def policy_of(zone: Zone) -> DnssecPolicy:
    """The policy of its config; the default where the config has it signed no more."""
    return zone.config.policy or DnssecPolicy()


def denial_of(zone: Zone, policy: DnssecPolicy) -> Denial:
    """How its next version proves what is not there."""
    choice = policy.denial
    if choice is DenialChoice.AUTO:
        shared = zone.config.secondaries or zone.config.allow_transfer
        choice = DenialChoice.NSEC if shared else DenialChoice.COMPACT
    if choice is DenialChoice.NSEC3:
        return Denial("nsec3", policy.nsec3_iterations, policy.nsec3_salt, policy.nsec3_opt_out)
    return Denial("nsec" if choice is DenialChoice.NSEC else "none")


def fingerprint(terms: Terms) -> str:
    """What tells terms apart by which versions would differ; holds nothing secret."""
    told = hashlib.sha256()
    for records in (terms.apex, terms.presigned):
        for record in records:
            told.update(len(record).to_bytes(4, "big") + record)
        told.update(b"\0\0\0\0")
    told.update(",".join(key.ident for key in terms.ksks).encode() + b";")
    told.update(",".join(key.ident for key in terms.zsks).encode() + b";")
    told.update(repr((terms.denial, terms.zonemd, terms.unsigned)).encode())
    return told.hexdigest()[:32]
