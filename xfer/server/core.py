"""The engine's parts, put together: zones, schedule, transfers in and out, reload.

Everything here runs in the event loop; what is slow goes through the executor. `Core` is made with
a nursery, in which checks, transfers and NOTIFYs run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog
import trio

from xfer.answer.cookies import SECRET_SIZE
from xfer.answer.options import Offer
from xfer.clock import Clock
from xfer.config import Config, ZoneConfig
from xfer.dnssec.signatures import SHARE, Signatures
from xfer.errors import ConfigError, XferError
from xfer.journal import GroupCommitter, Journal
from xfer.peers import Peer
from xfer.server.answers import Answers
from xfer.server.attempts import Attempts
from xfer.server.came_signed import CameSignedWatch
from xfer.server.changes import Changes
from xfer.server.dispatch import Dispatcher
from xfer.server.downstream import Downstream
from xfer.server.editing import Editor, Rules
from xfer.server.elsewhere import Elsewhere
from xfer.server.executor import Executor
from xfer.server.file_news import FileNews
from xfer.server.handled import Handled, Notified, Sent
from xfer.server.hints import Hint
from xfer.server.history import History
from xfer.server.image import ImageCache
from xfer.server.keystore import KeyStore
from xfer.server.loading import Loading
from xfer.server.outgoing import Outgoing
from xfer.server.parent import ParentWatch
from xfer.server.pipeline import Parsers
from xfer.server.publish import Publisher
from xfer.server.quotas import Slots
from xfer.server.refresh import Refresher
from xfer.server.reloading import Reloading
from xfer.server.removed import RemovedZones
from xfer.server.rollback import Rollbacks
from xfer.server.sender import ZoneSender
from xfer.server.settings import (
    offer_of,
    paces,
    policy_of,
    pull_limits,
    rates_of,
    restart_keys,
    retention,
)
from xfer.server.sign_work import SignWork
from xfer.server.signing import Signers
from xfer.server.signpool import SignPool
from xfer.server.soa_probe import SoaProber
from xfer.server.statistics import Statistics
from xfer.server.status import Outcome, ReloadOutcome
from xfer.server.workers import Settings, Workers
from xfer.server.zone_table import ZoneTable
from xfer.server.zonefiles import ZoneFiles
from xfer.server.zones import Zone

log = structlog.get_logger()


class Core:
    """The running engine below the control API."""

    def __init__(
        self,
        config: Config,
        journal: Journal,
        committer: GroupCommitter,
        nursery: trio.Nursery,
        *,
        clock: Clock,
        rng: random.Random,
        executor: Executor,
        load: Callable[[], Config],
        parsers: Parsers | None = None,
    ) -> None:
        limits = config.limits
        self.config = config
        self._started_with = config
        self.journal = journal
        self.clock = clock
        self.started_at = clock.wall()
        self.table = ZoneTable()
        self.executor = executor
        self._committer = committer
        self._nursery = nursery
        self._rng = rng
        self._load = load
        self.loaded = trio.Event()
        self.images = ImageCache(limits.image_memory)
        self.slots_in = Slots(limits.transfers_in, limits.transfers_in_per_peer, spare=True)
        self.slots_out = Slots(limits.transfers_out, limits.transfers_out_per_peer)
        self.downstream = Downstream(nursery, clock, rng, limits, committer)
        self.notifier = self.downstream.notifier
        self.changes = Changes(journal, executor, limits.changes_memory, limits.ixfr_share)
        self.publisher = Publisher(committer, executor, clock, self.notifier.notify, self.changes)
        self.files = ZoneFiles(journal, self.publisher, executor, clock)
        self.editor = Editor(
            journal, self.publisher, self.files, executor, clock, self._turn, self._edit_rules
        )
        self.refresher = Refresher(
            journal=journal,
            publisher=self.publisher,
            executor=executor,
            clock=clock,
            rng=rng,
            slots=self.slots_in,
            policy=policy_of(config),
            limits=pull_limits(limits),
            parsers=parsers,
        )
        self.attempts = Attempts(
            nursery,
            self.refresher,
            committer,
            clock,
            rng,
            paces(limits),
            limits.notify_retries,
            limits.retry_max,
        )
        self.refresher.pace = self.attempts.paced
        self.history = History(journal, executor)
        self.rollbacks = Rollbacks(
            self.history, self.attempts, self.publisher, journal, committer, clock
        )
        store = KeyStore(config.server.keys)
        self.removed = RemovedZones(
            self.table,
            journal,
            committer,
            executor,
            clock,
            store,
            lambda: self.config.limits.keep_removed,
        )
        self.schedule = self.attempts.schedule
        self.signatures = Signatures(
            limits.answer_memory // SHARE, limits.online_signatures, clock.monotonic, clock.wall
        )
        self.parents = ParentWatch(clock, rng, limits.ds_queries_out)
        self.elsewhere = Elsewhere(rng)
        pool = SignPool(nursery, limits.signing_processes)
        self.signers = Signers(
            journal,
            self.publisher,
            store,
            executor,
            clock,
            nursery,
            self._turn,
            SignWork(journal, executor, rng, lambda: self.refresher.policy, pool),
            self.signatures,
            self.parents,
            self.elsewhere,
        )
        self.publisher.signer = self.signers
        self.came_signed = CameSignedWatch(
            executor, clock, lambda: self.config.limits.signature_warning
        )
        self.publisher.on_served = self.came_signed.served
        self.signers.ask_secondaries = self.downstream.changed
        self.downstream.on_seen = self.signers.secondary_seen
        self.loading = Loading(
            nursery, journal, executor, clock, self.downstream, self._loaded, self.signers
        )
        self._reloading = Reloading(
            nursery,
            clock,
            self.table,
            self.attempts,
            self.downstream,
            self.signers,
            self.removed,
            self._zone,
            self._load_added,
            self.read_file,
        )
        self.dispatcher = Dispatcher(
            self.table, config.tsig, clock, limits.udp_payload, changes=self.changes
        )
        self._cookie_secret = rng.randbytes(SECRET_SIZE)
        self.dispatcher.offer = self._offer()
        self.dispatcher.limiter.resize(rates_of(config))
        self.answers = Answers(self.dispatcher, clock, self.take_work, limits.answer_memory)
        self.workers: Workers | None = None
        if config.server.workers:
            self.workers = Workers(
                self.table,
                self.answers,
                self.dispatcher.statistics,
                clock,
                self._for_workers,
                limits.worker_timeout,
                limits.udp_batch,
            )
            self.publisher.followers = self.workers
        sender = ZoneSender(self.images, clock, limits.idle_timeout, limits.total_timeout)
        self.outgoing = Outgoing(sender, self.slots_out, self._sent, self.changes)
        self.outgoing.on_asked = lambda asked: self.downstream.asked(asked.zone, asked.client)
        for zone in config.zones.values():
            self.table.zones[zone.origin] = self._zone(zone)

    def _zone(self, settings: ZoneConfig) -> Zone:
        """A zone that the config has, not loaded yet."""
        zone = Zone(settings, loading=True)
        if self.workers is not None:
            zone.changed = self.workers.changed
        return zone

    def _for_workers(self) -> Settings:
        secrets = [secret.reveal() for secret in self.config.server.cookie_secret]
        return Settings(
            self.dispatcher.payload,
            self.config.limits.answer_memory,
            tuple(secrets or [self._cookie_secret]),
            self.config.limits.online_signatures,
            alone=self.dispatcher.limiter.on,
        )

    def _offer(self) -> Offer:
        idle = self._started_with.limits.tcp_idle_timeout
        return offer_of(self.config, idle, self._cookie_secret)

    def probe_by(self, prober: SoaProber) -> None:
        """Primaries are asked for serials over shared sockets."""
        self.refresher.prober = prober
        self.refresher.ask = prober.ask

    # -- start

    async def load_all(self) -> None:
        """Read what the journal has of every zone, then plan their first checks."""
        await self.loading.all(self.table.zones.values())
        await self.removed.load()
        self.schedule.run_due()
        await trio.lowlevel.checkpoint()  # lets what is due take its place in `until_idle`
        self.loaded.set()

    async def _load_added(self, zone: Zone) -> None:
        """A zone that a reload brought; it may have left the config before."""
        try:
            await self.removed.returned(zone.origin)
        except XferError as error:
            log.error("mark not removed", zone=zone.name, error=str(error))
        await self.loading.added(zone)

    def _loaded(self, zone: Zone) -> None:
        self.signers.look_soon(zone)
        self.came_signed.served(zone)
        if zone.secondary:
            self.attempts.loaded(zone)
        else:
            self._reloading.loaded(zone)

    # -- attempts

    def _turn(self, zone: Zone) -> AbstractAsyncContextManager[None]:
        return self.attempts.turn(zone)

    def start_attempt(self, zone: Zone) -> None:
        """Check the zone's primaries in the background; once more after a check that runs."""
        self.attempts.start(zone)

    def spawn(self, zone: Zone, force: bool, only: Peer | None) -> None:
        """An attempt in the background, after the one that runs."""
        self.attempts.spawn(zone, force, only)

    async def attempt(self, zone: Zone, force: bool = False, only: Peer | None = None) -> Outcome:
        """One attempt, when none runs, and the plan for the next."""
        return await self.attempts.attempt(zone, force, only)

    async def read_file(self, zone: Zone) -> Outcome:
        """Publish a primary zone's file where its content is new."""
        async with self.attempts.turn(zone):
            if zone.removed or zone.secondary:
                return Outcome(False, True, "no primary zone any more", zone.name)
            rules = self._edit_rules()
            try:
                outcome = await self.files.publish(
                    zone, rules.policy, rules.max_records, rules.collector()
                )
            except Exception as error:
                outcome = self.attempts.crashed(zone, error)
        if zone.again:  # a reload made it a secondary zone meanwhile
            zone.again = False
            self.start_attempt(zone)
        return outcome

    def _edit_rules(self) -> Rules:
        limits = self.config.limits
        return Rules(
            self.refresher.policy,
            limits.max_zone_records,
            limits.edit_records,
            limits.comments,
            limits.comment_length,
        )

    # -- what listeners report

    def take_work(self, handled: Handled) -> None:
        """What a UDP request asks for besides its answer."""
        if isinstance(handled.work, Notified):
            self.notified(handled.work)
        elif isinstance(handled.work, Sent):
            self._sent(handled.work)

    def notified(self, notified: Notified) -> None:
        """An accepted NOTIFY: check now, unless it hints at what is served already."""
        zone = notified.zone
        log.info(
            "notify",
            zone=zone.name,
            peer=notified.source,
            direction="in",
            kind="notify",
            serial_from=zone.serial,
            serial_to=notified.serial,
        )
        self.attempts.notified(zone, Hint(notified.serial, notified.source))
        if zone.loading:
            self.loading.hurry(zone)

    def _sent(self, sent: Sent) -> None:
        """A client has got an answer to AXFR or IXFR."""
        self.downstream.fetched(sent.zone, sent.client, sent.kind, sent.serial_from, sent.serial_to)

    def queries(self) -> Statistics:
        """What was asked since the start."""
        self.answers.count()
        self.dispatcher.statistics.count_signed(self.signatures.drain())
        return self.dispatcher.statistics

    # -- reload and end

    @property
    def file_news(self) -> FileNews:
        """What came of the zone files that the last reload has read."""
        return self._reloading.news

    @property
    def active(self) -> int:
        """Transfers that run or wait, both directions."""
        incoming = sum(1 for zone in self.table.zones.values() if zone.transfer_from is not None)
        return self.slots_out.running + self.outgoing.small.running + incoming

    async def until_idle(self) -> None:
        """Wait until no transfer runs."""
        while self.slots_out.running:
            await self.slots_out.released()
        while self.outgoing.small.running:
            await self.outgoing.small.released()
        for zone in list(self.attempts.working):
            await zone.until_idle()

    async def reload(self) -> ReloadOutcome:
        """Read the config again and apply it; raises ConfigError and changes nothing.

        What comes of the zone files is told by `file_news` later. Transfers go on; those of removed
        zones end without being published.
        """
        config = await trio.to_thread.run_sync(self._load)
        if config.empty and self.config.zones:
            # Cut short while it was written, more likely than meant: all zones would go.
            raise ConfigError(str(config.file), "", "has no table", "write at least [server]")
        self.config = config
        limits = config.limits
        self.dispatcher.keys = config.tsig
        self.dispatcher.payload = limits.udp_payload
        self.dispatcher.offer = self._offer()
        self.dispatcher.limiter.resize(rates_of(config))
        self.images.shrink(limits.image_memory)
        self.changes.resize(limits.changes_memory, limits.ixfr_share)
        self.slots_in.resize(limits.transfers_in, limits.transfers_in_per_peer)
        for slots in (self.slots_out, self.outgoing.small):
            slots.resize(limits.transfers_out, limits.transfers_out_per_peer)
        self.refresher.policy = policy_of(config)
        self.refresher.limits = pull_limits(limits)
        self.attempts.resize(paces(limits), limits.notify_retries, limits.retry_max)
        self._committer.retain(retention(limits))
        sender = self.outgoing.sender
        sender.idle, sender.total = limits.idle_timeout, limits.total_timeout
        self.downstream.apply(limits)
        self.parents.resize(limits.ds_queries_out)
        added, removed, changed = self._reloading.apply(config)
        self.came_signed.reloaded()
        self.answers.apply(limits.answer_memory)
        self.signatures.resize(limits.answer_memory // SHARE, limits.online_signatures)
        if self.workers is not None:
            self.workers.timeout = limits.worker_timeout
            self.workers.apply()
        restart = restart_keys(self._started_with, config)
        log.info("reloaded", added=added, removed=removed, changed=changed, restart=restart)
        return ReloadOutcome(
            added, removed, changed, restart, tuple(str(warning) for warning in config.warnings)
        )
