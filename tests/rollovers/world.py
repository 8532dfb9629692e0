"""The world around a zone's keys: secondaries that lag, die and come back, a slow parent, and the
daemon's side of `lifecycle.advance`. All time is simulated, all chance is a seed.
"""

from __future__ import annotations

import heapq
import json
import random
from collections import Counter
from collections.abc import Callable

import attrs

from tests.rollovers.caches import (
    Cached,
    Dnskeys,
    DsSet,
    Signed,
    Validator,
    Verdict,
    ds_of,
    judged,
)
from xfer.config_dnssec import DAY, HOUR, DnssecPolicy
from xfer.dnssec import commands, ds, keyjson, lifecycle, observing, todo
from xfer.dnssec.keystate import Role, ZoneKeys, ZoneState
from xfer.dnssec.lifecycle import SIGNED
from xfer.dnssec.publication import Publication, publication
from xfer.dnssec.timing import DsSeen, Facts, Seen, Timing
from xfer.errors import StepRefused
from xfer.wire import names

ORIGIN = names.from_text("example.com.")
START = 1_600_000_000.0
YEAR = 365 * DAY

MakeTiming = Callable[[DnssecPolicy, bool], Timing]


def honest(policy: DnssecPolicy, hurried: bool) -> Timing:
    """The waits as they are."""
    return Timing(policy, hurried=hurried)


MakeFacts = Callable[["World", Facts], Facts]


def as_they_are(world: World, facts: Facts) -> Facts:
    """What the daemon takes for facts are facts."""
    return facts


@attrs.frozen
class Version:
    """A version of the zone as servers have it."""

    serial: int
    dnskeys: Dnskeys
    dnskey_ttl: int
    signed: Signed
    max_ttl: int
    cds: tuple[bytes, ...]


@attrs.define(eq=False)
class Secondary:
    """A server of the zone. watched: the daemon sees which serial it has. lags: (least, most)
    seconds until it has a version. away_since: cut off from the daemon, and serving on. behind:
    since when there is a version it has not, or it cannot know; SOA EXPIRE counts from then.
    current: how often it has been up to date."""

    name: str
    watched: bool
    lags: tuple[float, float]
    has: Version | None = None
    away_since: float | None = None
    behind: float | None = None
    current: int = 0
    expired: bool = False


@attrs.frozen
class Climate:
    """What the world is like.

    slow: by how much caches' clocks are slow; human: (least, most) seconds until somebody does what
    is asked; automatic: the parent takes the DS from CDS instead; by_hand: the parent is not looked
    at, the operator says what is there; outages: mean time between a secondary's outages, 0: none;
    outage: their (least, most) length; signing: seconds from a decision to the version; lag: the
    most that a watched secondary lags now and then; down: mean time between absences of the daemon;
    crashes: share of versions with which it dies, before or after the commit.
    """

    slow: float = 0.0
    human: tuple[float, float] = (0.0, 6 * DAY)
    automatic: bool = False
    by_hand: bool = False
    outages: float = 0.0
    outage: tuple[float, float] = (HOUR, 12 * DAY)
    expire: int = 7 * DAY
    signing: float = 45.0
    lag: float = 6 * HOUR
    down: float = 0.0
    crashes: float = 0.05
    ttls: tuple[int, ...] = (HOUR, DAY)
    negative_ttl: int = 1800
    ds_ttl: int = DAY


class World:
    """One zone for as long as `run` is told. Everything that happens is an event in a heap."""

    def __init__(
        self,
        policy: DnssecPolicy,
        climate: Climate,
        seed: int,
        timing: MakeTiming = honest,
        believed: MakeFacts = as_they_are,
    ) -> None:
        self.policy = policy
        self.climate = climate
        self.timing = timing
        self.believed = believed
        self.random = random.Random(seed)
        self.now = START
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.number = 0
        self.epoch = 0
        self.since: dict[int, float] = {}
        self.serial = 1
        self.zone: ZoneKeys | None = None
        self.max_ttl = max(climate.ttls)
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.looks = 0
        self.busy = False
        self.down_until = 0.0
        self.waking: float | None = None
        self.todo: tuple[str, ...] = ()
        self.acting = False
        self.dnskeys: Cached[Dnskeys] = Cached(climate.slow)
        self.signed: Cached[Signed] = Cached(climate.slow)
        self.ds: Cached[DsSet] = Cached(climate.slow)
        self.at_parent: DsSet = frozenset()
        most = float(policy.propagation)
        self.servers = [
            Secondary("near", True, (0.2, 3.0)),
            Secondary("slow", True, (5.0, climate.lag)),
            # What we do not see has a version as late as the policy assumes.
            Secondary("unseen", False, (most, most)),
        ]
        none = Dnskeys(frozenset(), frozenset())
        first = Version(1, none, climate.negative_ttl, Signed(frozenset()), self.max_ttl, ())
        self.published = first
        for server in self.servers:
            self._have(server, first)
        for parent in ("parent-1", "parent-2"):
            self.ds.serve(parent, frozenset(), climate.ds_ttl, self.now)
        if climate.outages:
            for server in self.servers[:2]:
                self._later_outage(server)
        if climate.down:
            self._later_down()
        self.after(7 * DAY, self._content)

    # Events.

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Let something happen that long from now."""
        self.number += 1
        heapq.heappush(self.events, (self.now + seconds, self.number, what))

    def pass_years(self, years: float) -> Verdict:
        """Let time pass, and judge every moment since the beginning."""
        end = self.now + years * YEAR
        while self.events and self.events[0][0] <= end:
            self.now, _, what = heapq.heappop(self.events)
            what()
        self.now = end
        return judged(Validator(ORIGIN), self.ds, self.dnskeys, self.signed)

    def _between(self, least: float, most: float) -> float:
        # Mostly short, now and then as short or as long as it gets.
        extreme = self.random.random()
        if extreme < 0.4:
            return most if extreme < 0.2 else least
        return least + (most - least) * self.random.random() ** 3

    # The daemon.

    def command(self, step: Callable[[ZoneKeys, Facts], ZoneKeys]) -> bool:
        """What an operator asks for; whether it was done."""
        if self.down_until > self.now or self.busy or self.zone is None:
            self.after(HOUR, lambda: self._again(step))
            return False
        before = self.zone.state in SIGNED
        try:
            self.zone = step(self.zone, self.facts())
            self.epoch += before != (self.zone.state in SIGNED)
        except StepRefused as refusal:
            self.refused[refusal.step] += 1
            return False
        self.look()
        return True

    def _again(self, step: Callable[[ZoneKeys, Facts], ZoneKeys]) -> None:
        self.command(step)

    def enable(self) -> None:
        """DNSSEC is enabled, or again."""
        if self.zone is not None and self.zone.state is not ZoneState.DELETED:
            return  # somebody was faster
        if self.busy or self.down_until > self.now:
            self.after(HOUR, self.enable)
            return
        self.epoch += 1
        self.zone = commands.enable(ORIGIN, self.now, self.facts(), self.policy, self.zone)
        self.look()

    def facts(self) -> Facts:
        """What the daemon knows."""
        seen = tuple(
            Seen(s.name, s.has.serial if s.has else None, self.now, self.climate.expire)
            for s in self.servers
            if s.watched and s.away_since is None
        ) + tuple(
            Seen(s.name, s.has.serial if s.has else None, s.away_since, self.climate.expire)
            for s in self.servers
            if s.watched and s.away_since is not None
        )
        there = DsSeen(self.at_parent, self.now, self.climate.ds_ttl)
        facts = Facts(
            self.max_ttl,
            self.climate.negative_ttl,
            self.climate.expire,
            seen,
            None if self.climate.by_hand else there,
        )
        return self.believed(self, facts)

    def look(self) -> None:
        """What the daemon does whenever something has happened."""
        if self.zone is None or self.busy or self.down_until > self.now:
            return
        self.looks += 1
        step = self._advance(self.zone)
        while step.generate:
            zone = step.zone
            for new in step.generate:
                zone = self._make(zone, new)
            self.counts.update(event.kind for event in step.events)
            step = self._advance(zone)
        self.counts.update(event.kind for event in step.events)
        self.todo = self._list(step)
        if step.publish:
            self.busy = True
            wait = self.climate.signing * self.random.random()
            ends = self._crashed if self.random.random() < self.climate.crashes else self._signed
            self.after(wait, lambda: ends(step.zone))
            return
        self._keep(step.zone)
        self._act_on_todo()
        if step.next_at is not None and step.next_at != self.waking:
            assert step.next_at > self.now
            self.waking = step.next_at
            self.after(step.next_at - self.now, self.look)

    def _list(self, step: lifecycle.Step) -> tuple[str, ...]:
        """What the operator is told, by what is at the parent, whatever the daemon believes."""
        zone = step.zone
        true = attrs.evolve(zone, ds=ds.whose(zone, self.at_parent))
        listed = todo.sentences(true, self.policy, self.now, self.facts())
        honest = self.believed is as_they_are and not self.climate.by_hand
        assert not honest or listed == step.todo
        return listed

    def _advance(self, zone: ZoneKeys) -> lifecycle.Step:
        hurried = any(key.compromised for key in zone.keys)
        timing = self.timing(self.policy, hurried)
        return lifecycle.advance(zone, self.policy, self.now, self.facts(), timing)

    def _make(self, zone: ZoneKeys, new: lifecycle.NewKey) -> ZoneKeys:
        while True:
            flags = 256 if new.role is Role.ZSK else 257
            public = flags.to_bytes(2, "big") + bytes((3, new.algorithm))
            public += self.random.randbytes(32)
            try:
                return commands.add_made(zone, new, public, self.now, self.policy)
            except StepRefused:
                self.refused["a tag twice"] += 1

    def _keep(self, zone: ZoneKeys) -> None:
        """What is kept is what a restart finds."""
        if self.looks % 7 == 0:
            zone = self._read_again(zone)
        self.zone = zone

    def _signed(self, zone: ZoneKeys) -> None:
        self.busy = False
        self.serial += 1
        self._keep(lifecycle.published(zone, self.policy, self.serial, self.now))
        self._publish(publication(zone, self.policy), zone)
        self.look()

    def _crashed(self, zone: ZoneKeys) -> None:
        """The daemon dies before the version is committed, or after that and before anybody has
        it; then it is off for a while."""
        self.busy = False
        away = self._between(1.0, 3 * HOUR)
        self.down_until = self.now + away
        committed = self.random.random() < 0.5
        self.counts["crash after commit" if committed else "crash before commit"] += 1
        if committed:
            self.serial += 1
            self.zone = lifecycle.published(zone, self.policy, self.serial, self.now)

        def rise() -> None:
            self.down_until = 0.0
            assert self.zone is not None
            self.zone = observing.resumed(self._read_again(self.zone), self.now)
            if committed:
                self._publish(publication(self.zone, self.policy), self.zone)
            self.look()

        self.after(away, rise)

    def _read_again(self, zone: ZoneKeys) -> ZoneKeys:
        return keyjson.decoded(json.loads(json.dumps(keyjson.encoded(zone))))

    def _publish(self, what: Publication, zone: ZoneKeys) -> None:
        public = {key.ident: key.public for key in zone.keys}
        dnskeys = Dnskeys(
            frozenset(what.dnskeys), frozenset(public[ident] for ident in what.key_signers)
        )
        ttl = what.ttl if what.dnskeys else self.climate.negative_ttl
        signed = Signed(frozenset(public[ident] for ident in what.zone_signers))
        self._spread(Version(self.serial, dnskeys, ttl, signed, self.max_ttl, what.cds))

    def _content(self) -> None:
        """The zone changes, and with it, now and then, its largest TTL."""
        self.after(self.random.uniform(3 * DAY, 20 * DAY), self._content)
        if self.busy or self.down_until > self.now:
            return
        self.max_ttl = self.random.choice(self.climate.ttls)
        self.serial += 1
        if self.zone is not None:
            self._keep(lifecycle.published(self.zone, self.policy, self.serial, self.now))
        self._spread(attrs.evolve(self.published, serial=self.serial, max_ttl=self.max_ttl))
        self.look()

    def _later_down(self) -> None:
        def fall() -> None:
            self.counts["daemon down"] += 1
            self.down_until = self.now + self.random.uniform(DAY, 40 * DAY)
            self.after(self.down_until - self.now, rise)

        def rise() -> None:
            self.down_until = 0.0
            if self.zone is not None:
                self.zone = observing.resumed(self._read_again(self.zone), self.now)
            self._later_down()
            self.look()

        self.after(self.random.expovariate(1 / self.climate.down), fall)

    # Secondaries.

    def _spread(self, version: Version) -> None:
        self.published = version
        self.since[version.serial] = self.now
        for server in self.servers:
            if server.behind is None:
                server.behind = self.now
            if server.away_since is None:
                self._fetch(server)

    def _fetch(self, server: Secondary) -> None:
        wanted = self.published
        delay = self._between(*server.lags)

        def arrive() -> None:
            if server.away_since is not None:
                return
            if server.has is None or server.has.serial < wanted.serial:
                self._have(server, wanted)
                server.current += 1
                server.behind = self.since.get(wanted.serial + 1)
                if server.watched:
                    self.look()

        self.after(delay, arrive)

    def _have(self, server: Secondary, version: Version) -> None:
        server.has = version
        self.dnskeys.serve(server.name, version.dnskeys, version.dnskey_ttl, self.now)
        ttl = max(version.max_ttl, self.climate.negative_ttl)
        self.signed.serve(server.name, version.signed, ttl, self.now)

    def _later_outage(self, server: Secondary) -> None:
        def fall() -> None:
            self.counts["outage"] += 1
            server.away_since = self.now
            if server.behind is None:
                server.behind = self.now
            current = server.current
            length = self._between(*self.climate.outage)

            def expire() -> None:
                if server.current == current:
                    self.counts["expired"] += 1
                    server.expired = True
                    self.dnskeys.serve(server.name, None, 0, self.now)
                    self.signed.serve(server.name, None, 0, self.now)

            def rise() -> None:
                server.away_since = None
                if server.has is self.published:
                    server.behind = None
                    server.current += 1
                    self._later_outage(server)
                    return
                if server.expired:
                    server.has, server.expired = None, False
                self._fetch(server)
                self._later_outage(server)

            self.after(server.behind + self.climate.expire - self.now, expire)
            self.after(length, rise)

        self.after(self.random.expovariate(1 / self.climate.outages), fall)

    # The parent.

    def _act_on_todo(self) -> None:
        """Somebody reads the list now, and acts on it later, however old it is by then."""
        if self.acting or self.zone is None:
            return
        if self.climate.automatic:
            self.acting = True
            self.after(self._between(1.0, DAY), self._take_cds)
            return
        adds = [line for line in self.todo if "put this DS at the parent: " in line]
        takes = [line for line in self.todo if "take this DS from the parent: " in line]
        if not adds and not takes:
            return
        self.acting = True
        epoch = self.epoch
        adding = {_ds_in(line) for line in adds}
        taking = {_ds_in(line) for line in takes}

        def act() -> None:
            # A list is thrown away by whoever disables the zone, or enables it again.
            if epoch == self.epoch:
                self._change_parent((self.at_parent | adding) - taking)
            if self.climate.by_hand:
                self.after(self.policy.parent_propagation, self._confirm)
            else:
                self.acting = False
                self.look()

        self.after(self._between(*self.climate.human), act)

    def _confirm(self) -> None:
        """The operator says what is there."""
        if self.busy or self.down_until > self.now or self.zone is None:
            self.after(HOUR, self._confirm)
            return
        idents = frozenset(
            key.ident for key in self.zone.keys if ds_of(ORIGIN, key.public) in self.at_parent
        )
        self.acting = False
        try:
            if idents:
                self.zone = commands.ds_seen(self.zone, self.policy, self.now, self.facts(), idents)
            else:
                self.zone = commands.ds_gone(self.zone, self.policy, self.now, self.facts())
        except StepRefused as refusal:
            self.refused[str(refusal)] += 1
        self.look()

    def _take_cds(self) -> None:
        """RFC 7344 §4.1, of whichever server answers: current, lagging or cut off."""
        serving = [s.has for s in self.servers if s.has is not None and not s.expired]
        found = self.random.choice(serving) if serving else None
        self.acting = False
        before = self.at_parent
        if found is not None and found.cds:
            if found.cds[0][2] == 0:
                self._change_parent(frozenset())
            else:
                self._change_parent(frozenset(found.cds))
        self._act_on_todo()
        if self.at_parent != before:
            self.look()

    def _change_parent(self, there: DsSet) -> None:
        """One of the parent's servers has it at once, and is the one that is looked at; the other
        as late as the policy assumes."""
        if there == self.at_parent:
            return
        self.counts["DS changes"] += 1
        self.at_parent = there
        self.ds.serve("parent-1", there, self.climate.ds_ttl, self.now)

        def arrive() -> None:
            self.ds.serve("parent-2", there, self.climate.ds_ttl, self.now)

        self.after(self.policy.parent_propagation, arrive)


def _ds_in(line: str) -> bytes:
    """DS rdata from a to-do sentence, read as an operator would copy it."""
    tag, algorithm, digest_type, digest = line.split(" IN DS ")[1].split()[:4]
    head = int(tag).to_bytes(2, "big") + bytes((int(algorithm), int(digest_type)))
    return head + bytes.fromhex(digest)
