"""A zone's keys taken through time by hand: what the daemon does, without a daemon."""

from __future__ import annotations

import random

import attrs

from xfer.config_dnssec import DAY, HOUR, DnssecPolicy
from xfer.dnssec import commands, ds, lifecycle
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import Role, ZoneKeys
from xfer.dnssec.publication import Publication, publication
from xfer.dnssec.timing import DsSeen, Facts, Seen
from xfer.wire import names

ORIGIN = names.from_text("example.com.")
START = 1_700_000_000.0
EXPIRE = 7 * DAY
POLICY = DnssecPolicy(
    dnskey_ttl=3600,
    propagation=300,
    publish_safety=600,
    retire_safety=900,
    parent_ds_ttl=DAY,
    parent_propagation=2 * HOUR,
    zsk_lifetime=0,
)


def facts(
    *secondaries: Seen, ttl: int = 7200, ds: frozenset[bytes] | None = None, at: float = START
) -> Facts:
    """Facts of a zone whose largest TTL is `ttl`; ds: at the parent, seen at `at`."""
    seen = None if ds is None else DsSeen(ds, at, DAY)
    return Facts(ttl, 600, EXPIRE, secondaries, seen)


@attrs.define(eq=False)
class Walk:
    """The zone, the time, and what was published when; one secondary, as fast as light unless
    `dead`."""

    zone: ZoneKeys = attrs.field(factory=lambda: commands.enable(ORIGIN, START, facts(), POLICY))
    policy: DnssecPolicy = POLICY
    now: float = START
    at_parent: frozenset[bytes] | None = frozenset()
    ttl: int = 7200
    serial: int = 100
    has: int = 100
    dead: bool = False
    seed: random.Random = attrs.field(factory=lambda: random.Random(1))
    published: list[tuple[float, Publication]] = attrs.field(factory=list)
    events: list[str] = attrs.field(factory=list)

    @property
    def facts(self) -> Facts:
        """What is known now."""
        seen = Seen("one", self.has, self.now, EXPIRE)
        return facts(seen, ttl=self.ttl, ds=self.at_parent, at=self.now)

    def look(self) -> lifecycle.Step:
        """Everything that can be done now."""
        while True:
            step = lifecycle.advance(self.zone, self.policy, self.now, self.facts)
            self.zone = step.zone
            self.events += [event.kind for event in step.events]
            for new in step.generate:
                public = self.public(new.role, new.algorithm)
                self.zone = commands.add_made(self.zone, new, public, self.now, self.policy)
            if step.generate:
                continue
            if not step.publish:
                return step
            self.serial += 1
            self.zone = lifecycle.published(self.zone, self.policy, self.serial, self.now)
            self.published.append((self.now, publication(self.zone, self.policy)))
            if not self.dead:
                self.has = self.serial

    def public(self, role: Role, algorithm: int = 13) -> bytes:
        """DNSKEY rdata of a new key, whose tag the zone has not got, as the daemon draws it."""
        flags = 256 if role is Role.ZSK else 257
        head = flags.to_bytes(2, "big") + bytes((3, algorithm))
        while True:
            made = head + self.seed.randbytes(64)
            if self.zone.key(ident_of(made)) is None:
                return made

    def until(self, at: float) -> lifecycle.Step:
        """Look whenever a step asks for it, until then."""
        step = self.look()
        while step.next_at is not None and step.next_at <= at:
            assert step.next_at > self.now
            self.now = step.next_at
            step = self.look()
        self.now = at
        return self.look()

    def rest(self) -> lifecycle.Step:
        """Until nothing is left to wait for but the world."""
        step = self.look()
        while step.next_at is not None:
            step = self.until(step.next_at)
        return step

    def give_ds(self) -> None:
        """The parent does what it is asked for."""
        self.at_parent = frozenset(
            ds.cds_of(ORIGIN, key.public) for key in self.zone.keys if key.ident in self.zone.wanted
        )
        self.look()

    def active(self) -> Walk:
        """With a DS at the parent, and nothing under way."""
        self.rest()
        self.give_ds()
        self.rest()
        return self

    def ident(self, role: Role) -> str:
        """The key of that role that is to stay."""
        return next(key.ident for key in self.zone.serving() if key.role is role)
