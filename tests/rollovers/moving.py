"""Two signers of one zone: together, and from one to the other, by an operator without patience.

Each side is an xfer of its own. The operator tries every step of a migration at every moment at
which anything could have become possible, and just before; what is refused is not done. Caches hold
what they can, from whichever servers the delegation (or an old NS RRset) leads them to.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from unittest import mock

import attrs

from tests.rollovers.caches import Cached, Dnskeys, DsSet, Signed, Validator, Verdict, ds_of, judged
from tests.rollovers.world import ORIGIN, START, MakeTiming, honest
from xfer.config_dnssec import DAY, HOUR, MINUTE, DnssecPolicy
from xfer.dnssec import commands, lifecycle, migration
from xfer.dnssec.keystate import Role, ZoneKeys, ZoneState
from xfer.dnssec.publication import Publication, publication
from xfer.dnssec.stages import Stage
from xfer.dnssec.timing import DsSeen, Facts, Timing
from xfer.errors import StepRefused

POLICY = DnssecPolicy(
    zsk_lifetime=0, propagation=10 * MINUTE, parent_propagation=2 * HOUR, parent_ds_ttl=DAY
)
NS_TTL = DAY
ZONE_TTL = 6 * HOUR
DS_TTL = DAY
SLOW = 9 * HOUR
"""How long a signer takes to publish the other's key."""


class Side:
    """One of the two signers."""

    def __init__(self, name: str, policy: DnssecPolicy, pair: Pair) -> None:
        self.name = name
        self.policy = policy
        self.pair = pair
        self.zone: ZoneKeys | None = None
        self.shown: Publication | None = None
        self.serial = 1
        self.asked = False  # whether anybody asks its servers

    def facts(self) -> Facts:
        """What it knows: all of the parent, and that it has no secondaries."""
        return Facts(
            ZONE_TTL, 1800, 7 * DAY, (), DsSeen(self.pair.at_parent, self.pair.now, DS_TTL)
        )

    def enable(self, *, joining: bool) -> None:
        """DNSSEC is enabled."""
        self.zone = commands.enable(
            ORIGIN, self.pair.now, self.facts(), self.policy, joining=joining
        )
        self.look()

    def look(self) -> float | None:
        """The daemon's part; when it wants to look again."""
        while True:
            assert self.zone is not None
            step = self._advance()
            self.zone = step.zone
            self.pair.counts.update(f"{self.name} {event.kind}" for event in step.events)
            for new in step.generate:
                self._make(new)
            if step.publish and not step.generate:
                self.serial += 1
                self.zone = lifecycle.published(self.zone, self.policy, self.serial, self.pair.now)
                self.shown = publication(self.zone, self.policy)
                self.serve()
            elif not step.generate:
                return step.next_at

    def _advance(self) -> lifecycle.Step:
        assert self.zone is not None
        timing = self.pair.timing(self.policy, False)
        return lifecycle.advance(self.zone, self.policy, self.pair.now, self.facts(), timing)

    def _make(self, new: lifecycle.NewKey) -> None:
        assert self.zone is not None
        flags = 256 if new.role is Role.ZSK else 257
        public = flags.to_bytes(2, "big") + bytes((3, new.algorithm))
        public += self.pair.random.randbytes(32)
        self.zone = commands.add_made(self.zone, new, public, self.pair.now, self.policy)

    def serve(self) -> None:
        """Caches see what is published where somebody asks. The last of its servers is late."""
        pair = self.pair
        if self.shown is None or self.zone is None:
            return
        public = {key.ident: key.public for key in self.zone.keys}
        dnskeys = Dnskeys(
            frozenset(self.shown.dnskeys),
            frozenset(public[ident] for ident in self.shown.key_signers),
        )
        signed = Signed(frozenset(public[ident] for ident in self.shown.zone_signers))
        ttl = self.shown.ttl if self.shown.dnskeys else 1800

        def serve(server: str) -> None:
            if self.asked:
                pair.dnskeys.serve(server, dnskeys, ttl, pair.now)
                pair.signed.serve(server, signed, ZONE_TTL, pair.now)

        serve(f"{self.name}-1")
        pair.later(self.policy.propagation, lambda: serve(f"{self.name}-2"))

    def stop(self) -> None:
        """Nobody asks its servers any more."""
        self.asked = False
        for server in (f"{self.name}-1", f"{self.name}-2"):
            self.pair.dnskeys.serve(server, None, 0, self.pair.now)
            self.pair.signed.serve(server, None, 0, self.pair.now)

    def zsks(self) -> dict[str, bytes]:
        """Its keys that sign the zone and are published, by ident."""
        if self.zone is None or self.shown is None:
            return {}
        return {
            key.ident: key.public
            for key in self.zone.keys
            if key.role.signs_zone and key.public in self.shown.dnskeys
        }


class Pair:
    """Both sides, the parent, and the operator."""

    def __init__(
        self,
        seed: int = 1,
        timing: MakeTiming = honest,
        stay: float = 0.0,
        old_dnskey_ttl: int = POLICY.dnskey_ttl,
    ) -> None:
        self.timing = timing
        self.random = random.Random(seed)
        self.now = START
        self.stay = stay
        self.counts: Counter[str] = Counter()
        self.early: Counter[str] = Counter()
        self.at_parent: DsSet = frozenset()
        self.ds: Cached[DsSet] = Cached(0.0)
        self.dnskeys: Cached[Dnskeys] = Cached(0.0)
        self.signed: Cached[Signed] = Cached(0.0)
        self.due: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.wake: set[float] = set()
        self.asked: dict[tuple[str, bytes], float] = {}
        rolling = attrs.evolve(POLICY, zsk_lifetime=20 * DAY if stay else 0)
        self.old = Side("old", attrs.evolve(rolling, dnskey_ttl=old_dnskey_ttl), self)
        self.new = Side("new", rolling, self)
        self.moved = 0.0
        self.added = 0.0

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Let something happen that long from now."""
        self.due.append((self.now + seconds, next(self.numbers), what))

    def change_parent(self, there: DsSet) -> None:
        """The DS set: one of the parent's servers at once, another as late as assumed."""
        if there == self.at_parent:
            return
        self.at_parent = there
        self.ds.serve("parent-1", there, DS_TTL, self.now)
        self.later(
            POLICY.parent_propagation, lambda: self.ds.serve("parent-2", there, DS_TTL, self.now)
        )

    def attempt(self, what: str, step: Callable[[], None]) -> bool:
        """Try a step; one that is too early is tried again when it says, and just before that."""
        try:
            step()
        except StepRefused as refusal:
            self.early[what] += 1
            if refusal.at is not None and refusal.at > self.now:
                self.wake |= {refusal.at - 1, refusal.at}
            return False
        self.counts[what] += 1
        return True

    def run(self, days: float) -> Verdict:
        """Let time pass, and judge all of it."""
        with (
            mock.patch.object(commands, "timing_of", self._timing_of),
            mock.patch.object(migration, "timing_of", self._timing_of),
        ):
            return self._run(self.now + days * DAY)

    def _timing_of(self, zone: ZoneKeys, policy: DnssecPolicy) -> Timing:
        return self.timing(policy, any(key.compromised for key in zone.keys))

    def _run(self, end: float) -> Verdict:
        while self.now < end:
            looks = [side.look() for side in (self.old, self.new) if side.zone is not None]
            self.operate()
            looks += [side.look() for side in (self.old, self.new) if side.zone is not None]
            times = [at for at in looks if at is not None]
            times += [at for at, _, _ in self.due] + [at for at in self.wake if at > self.now]
            together = self.added and not self.moved
            self.now = min([*times, self.now + (4 * HOUR if together else HOUR), end])
            self.wake = {at for at in self.wake if at > self.now}
            ready = sorted(item[:2] for item in self.due if item[0] <= self.now)
            for at, number in ready:
                item = next(one for one in self.due if one[:2] == (at, number))
                self.due.remove(item)
                item[2]()
        return judged(Validator(ORIGIN), self.ds, self.dnskeys, self.signed)

    # The operator.

    def operate(self) -> None:
        """Everything that could be tried now."""
        if self.old.zone is None:
            self.old.asked = True
            self.old.enable(joining=False)
            return
        if self.new.zone is None:
            self._put_ds(self.old)
            if self.old.zone.state is ZoneState.ACTIVE and self.now > START + 5 * DAY:
                self.new.enable(joining=True)
            return
        self._exchange(self.old, self.new)
        self._exchange(self.new, self.old)
        self._put_ds(self.old)
        self._put_ds(self.new)
        self._servers()
        self._away()

    def _put_ds(self, side: Side) -> None:
        zone = side.zone
        assert zone is not None
        if zone.wanted_at is None:
            return
        wanted = {key.ident for key in zone.keys if key.ident in zone.wanted}
        mine = {key.ident: ds_of(ORIGIN, key.public) for key in zone.keys}
        there = set(self.at_parent) | {mine[ident] for ident in wanted}
        there -= {rdata for ident, rdata in mine.items() if ident not in wanted}
        self.change_parent(frozenset(there))

    def _exchange(self, giver: Side, taker: Side) -> None:
        """The giver's ZSKs are given to the taker, and old ones taken back."""
        assert giver.zone is not None
        assert taker.zone is not None
        if giver.zone.leaving or taker.zone.leaving:
            return
        keys = giver.zsks()
        given = {key.public for key in taker.zone.foreign}
        for ident, public in keys.items():
            asked = self.asked.setdefault((taker.name, public), self.now)
            if public not in given and self.now >= asked + SLOW:
                taker.zone = migration.add_foreign(taker.zone, public, self.now, taker.policy)
                taker.look()
            if taker.shown is not None and public in taker.shown.dnskeys:
                known = giver.zone.key(ident)
                if known is not None and known.shared is None:
                    # Confirmed once all of the taker's servers have it.
                    self.later(taker.policy.propagation, self._confirm(giver, ident))
        for public in given - set(keys.values()):
            self.attempt("replaced key", lambda public=public: self._take_back(taker, public))  # type: ignore[misc]

    def _confirm(self, giver: Side, ident: str) -> Callable[[], None]:
        def confirm() -> None:
            assert giver.zone is not None
            if giver.zone.key(ident) is not None:
                giver.zone = migration.share(giver.zone, ident, self.now)
                taker = self.new if giver is self.old else self.old
                giver.zone = migration.heard(giver.zone, taker.policy.dnskey_ttl, ())
                taker = self.new if giver is self.old else self.old
                giver.zone = migration.heard(giver.zone, taker.policy.dnskey_ttl, ())

        return confirm

    def _take_back(self, taker: Side, public: bytes) -> None:
        assert taker.zone is not None
        taker.zone = migration.remove_foreign(
            taker.zone, public, taker.policy, self.now, taker.facts()
        )

    def _servers(self) -> None:
        old, new = self.old, self.new
        assert old.zone is not None
        assert new.zone is not None
        if not self.added:

            def add() -> None:
                assert old.zone is not None
                assert new.zone is not None
                theirs = migration.servers_added(
                    old.zone, old.policy, self.now, old.facts(), NS_TTL
                )
                ours = migration.servers_added(new.zone, new.policy, self.now, new.facts(), NS_TTL)
                old.zone, new.zone = theirs, ours

            if self.attempt("servers added", add):
                self.added = self.now
                new.asked = True
                new.serve()
        elif not self.moved and self.now >= self.added + self.stay * DAY:

            def move() -> None:
                assert old.zone is not None
                assert new.zone is not None
                theirs = migration.servers_moved(
                    old.zone, old.policy, self.now, old.facts(), NS_TTL, leaving=True
                )
                new.zone = migration.servers_moved(
                    new.zone, new.policy, self.now, new.facts(), NS_TTL, leaving=False
                )
                old.zone = theirs

            if self.attempt("servers moved", move):
                self.moved = self.now
                self.later(POLICY.parent_propagation + NS_TTL, old.stop)

    def _away(self) -> None:
        old, new = self.old, self.new
        if not self.moved:
            return
        assert old.zone is not None
        assert new.zone is not None

        def leave() -> None:
            assert old.zone is not None
            old.zone = migration.leave(old.zone, old.policy, self.now, old.facts())

        def delete() -> None:
            assert old.zone is not None
            old.zone = commands.delete(old.zone, old.policy, self.now, old.facts())

        if old.zone.state is ZoneState.ACTIVE:
            self.attempt("leave", leave)
        elif old.zone.state is not ZoneState.DELETED:
            self.attempt("delete", delete)
        for key in new.zone.foreign:
            public = key.public
            self.attempt("old key out", lambda public=public: self._take_back(new, public))  # type: ignore[misc]

    def finished(self) -> bool:
        """Whether the zone has moved."""
        if self.new.zone is None or self.old.zone is None:
            return False
        found = migration.stage(self.new.zone, self.new.policy, self.now, self.new.facts())
        return found.stage is Stage.DONE and self.old.zone.state is ZoneState.DELETED
