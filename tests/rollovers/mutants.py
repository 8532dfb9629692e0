"""Waits left out one at a time, and rules: each has to show up as bogus answers.

A mutant is a subclass of the timings, a daemon that takes something for a fact that is none, or one
of the rules replaced while it runs. `caught` runs the honest scenario's world with it, for as long
as it takes, and says in which year validators failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from unittest import mock

import attrs

from tests.rollovers.caches import ds_of
from tests.rollovers.scenarios import BY_NAME
from tests.rollovers.world import MakeFacts, MakeTiming, World, as_they_are, honest
from xfer.dnssec import holder, rules
from xfer.dnssec.keystate import NOTHING, Keyset, PastDs, PastKeyset, PastSigners, ZoneKeys
from xfer.dnssec.rules import Served
from xfer.dnssec.timing import DsSeen, Facts, Seen, Timing


class NoDnskeyTtl(Timing):
    """A new DNSKEY is taken as known everywhere as soon as all servers have it."""

    def keyset_gone(self, past: PastKeyset) -> float:
        return super().keyset_gone(attrs.evolve(past, what=attrs.evolve(past.what, ttl=0)))


class NoPublishMargin(Timing):
    """No allowance for caches whose clocks are slow, before a key is used."""

    def keyset_gone(self, past: PastKeyset) -> float:
        return super().keyset_gone(past) - self.publish_safety


class NoZoneTtl(Timing):
    """A DNSKEY goes out as soon as nothing is signed with it any more."""

    def signatures_gone(self, past: PastSigners) -> float:
        return super().signatures_gone(attrs.evolve(past, ttl=0))


class LeastZoneTtl(Timing):
    """The zone's TTL is taken to be what it mostly is, not the largest that was served."""

    def signatures_gone(self, past: PastSigners) -> float:
        return super().signatures_gone(attrs.evolve(past, ttl=min(past.ttl, 3600)))


class NoRetireMargin(Timing):
    """No allowance for caches whose clocks are slow, before a key goes out."""

    def signatures_gone(self, past: PastSigners) -> float:
        return super().signatures_gone(past) - self.retire_safety

    def ds_gone(self, past: PastDs) -> float:
        return super().ds_gone(past) - self.retire_safety


class NoUnsignedWait(Timing):
    """The DS goes in while caches hold the zone as it was before it was signed."""

    def unsigned_gone(self, at: float, everywhere: float, ttl: int) -> float:
        return self.spread(at, everywhere)


class NoUnsignedMargin(Timing):
    """As that, but for the margin alone."""

    def unsigned_gone(self, at: float, everywhere: float, ttl: int) -> float:
        return super().unsigned_gone(at, everywhere, ttl) - self.publish_safety


class NoDsTtl(Timing):
    """A DS is taken to be gone from caches as soon as it is gone from the parent's servers."""

    def ds_gone(self, past: PastDs) -> float:
        return super().ds_gone(attrs.evolve(past, ttl=0))


class NoParentPropagation(Timing):
    """One of the parent's servers stands for all."""

    def ds_gone(self, past: PastDs) -> float:
        return super().ds_gone(past) - self.policy.parent_propagation


class NotMeasured(Timing):
    """Secondaries are taken to be as fast as the policy assumes."""

    def everywhere(self, serial: int, at: float, now: float, facts: Facts) -> tuple[bool, float]:
        return True, at


class NotAssumed(Timing):
    """Only the secondaries that are seen count."""

    def spread(self, at: float, everywhere: float) -> float:
        return everywhere


class DeadIsDone(Timing):
    """A secondary that does not answer is not waited for."""

    def expiry(self, seen: Seen, facts: Facts) -> float:
        return 0.0


class HalfExpire(Timing):
    """A secondary that does not answer is waited for, and not long enough."""

    def expiry(self, seen: Seen, facts: Facts) -> float:
        return super().expiry(seen, facts) / 2


def _ds_believed(world: World, facts: Facts) -> Facts:
    """The parent is taken to have done what it was asked."""
    zone = world.zone
    if zone is None or zone.wanted_at is None:
        return facts
    wanted = [key for key in zone.keys if key.ident in zone.wanted]
    rdata = frozenset(ds_of(zone.origin, key.public) for key in wanted)
    return attrs.evolve(facts, ds=DsSeen(rdata, world.now, world.climate.ds_ttl))


def _one_path_is_enough(
    ds: frozenset[str], keyset: Keyset, signers: frozenset[str], elsewhere: bool
) -> str:
    """RFC 6840 §5.11's lenient validator, to which no algorithm has to be complete."""
    chain = ds & keyset.keys & keyset.signers
    return "" if not ds or (chain and signers & keyset.keys) else "broken"


def _nothing_was_asked(zone: ZoneKeys) -> Served:
    return _served_of(attrs.evolve(zone, asked=()))


def _cache_is_now(zone: ZoneKeys) -> Served:
    served = _served_of(zone)
    return attrs.evolve(served, ds=frozenset({zone.ds, zone.wanted} - {NOTHING}))


_served_of = Served.of


def _nothing_against_it(*_: object) -> None:
    """A DNSKEY RRset is taken whatever caches hold."""


class NotShared(Timing):
    """A ZSK signs as soon as the other signer has it, not the caches of those who ask that one."""

    def shared_gone(self, since: float, ttl: int = 0) -> float:
        return since


class NoOldSignerWait(Timing):
    """The old signer's DNSKEYs go out as soon as its DS has left the parent."""

    def ds_gone(self, past: PastDs) -> float:
        return past.at

    def old_signer_gone(self, past: PastDs) -> float:
        return past.at


class NoDelegationWait(Timing):
    """The old signer's DS is taken as soon as its servers have left the delegation."""

    def delegation_gone(self, at: float, ttl: int, zone_ttl: int) -> float:
        return at


@attrs.frozen
class Mutant:
    """What is left out, and the scenarios in which that has to be seen."""

    name: str
    scenarios: tuple[str, ...]
    timing: MakeTiming = honest
    facts: MakeFacts = as_they_are
    rule: tuple[object, str, Callable[..., object]] | None = None

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """With the rule replaced, where it is one."""
        if self.rule is None:
            yield
            return
        with mock.patch.object(self.rule[0], self.rule[1], self.rule[2]):
            yield


def _skips(timing: type[Timing]) -> MakeTiming:
    return lambda policy, hurried: timing(policy, hurried=hurried)


ZSK = "zsk"
KSK = "ksk double-ksk"
CDS = "ksk double-ksk, CDS"
DOUBLE_DS = "ksk double-ds"
CSK = "csk"
ALGORITHM = "algorithm, ksk-zsk"
ALGORITHM_CSK = "algorithm, csk"
LAYOUT = "layout"
EMERGENCY = "emergency"
SLOW_HUMAN = "emergency, slow human"
ON_OFF = "enabled and disabled"
ELSEWHERE = "zsk, KSK elsewhere"

MUTANTS = (
    Mutant(
        "DNSKEY TTL",
        (ZSK, KSK, DOUBLE_DS, CSK, ALGORITHM, ALGORITHM_CSK, LAYOUT, EMERGENCY, ELSEWHERE),
        _skips(NoDnskeyTtl),
    ),
    Mutant("publish margin", (ZSK, KSK, DOUBLE_DS, CSK, ALGORITHM), _skips(NoPublishMargin)),
    Mutant("zone TTL", (ZSK, CSK, ALGORITHM, LAYOUT, EMERGENCY, ELSEWHERE), _skips(NoZoneTtl)),
    Mutant("largest zone TTL", (ZSK, CSK, ALGORITHM), _skips(LeastZoneTtl)),
    Mutant("retire margin", (ZSK, KSK, DOUBLE_DS, CSK, ALGORITHM, ON_OFF), _skips(NoRetireMargin)),
    Mutant("unsigned data", (ON_OFF,), _skips(NoUnsignedWait)),
    Mutant("unsigned data, margin", (ON_OFF,), _skips(NoUnsignedMargin)),
    Mutant(
        "DS TTL",
        (KSK, DOUBLE_DS, CSK, ALGORITHM, LAYOUT, EMERGENCY, ON_OFF, ELSEWHERE),
        _skips(NoDsTtl),
    ),
    Mutant("RRset in time", (ELSEWHERE,), rule=(holder, "_in_time", _nothing_against_it)),
    Mutant(
        "parent's propagation",
        (KSK, DOUBLE_DS, CSK, ALGORITHM, ON_OFF),
        _skips(NoParentPropagation),
    ),
    Mutant(
        "measured propagation", (ZSK, KSK, CSK, ALGORITHM, EMERGENCY, ON_OFF), _skips(NotMeasured)
    ),
    Mutant("assumed propagation", (ZSK, KSK, CSK), _skips(NotAssumed)),
    Mutant("SOA EXPIRE", (ZSK, KSK, CSK, ALGORITHM, ON_OFF), _skips(DeadIsDone)),
    Mutant("half of SOA EXPIRE", (ZSK, CSK), _skips(HalfExpire)),
    Mutant("DS seen", (KSK, DOUBLE_DS, CSK, ALGORITHM, ON_OFF), facts=_ds_believed),
    Mutant(
        "algorithm complete",
        (ALGORITHM, ALGORITHM_CSK),
        rule=(rules, "holds", _one_path_is_enough),
    ),
    Mutant("DS asked for before", (SLOW_HUMAN,), rule=(Served, "of", _nothing_was_asked)),
    Mutant("old DS in caches", (KSK, CSK), rule=(Served, "of", _cache_is_now)),
)


PAIR_MUTANTS: tuple[tuple[str, MakeTiming, float], ...] = (
    ("ZSK shared", _skips(NotShared), 200),
    ("1.5 × DS TTL", _skips(NoOldSignerWait), 0),
    ("delegation", _skips(NoDelegationWait), 0),
    ("zone TTL", _skips(NoZoneTtl), 200),
    ("DS TTL", _skips(NoDsTtl), 0),
)
"""Waits left out while two signers are at work: name, timings, days with two signers."""


def caught(mutant: Mutant, scenario: str, seed: int, years: float) -> tuple[float, int]:
    """(the year in which it was first seen, bogus moments until then); (0, 0) where it was not."""
    with mutant.at_work():
        told = BY_NAME[scenario]
        world = told.world(seed, mutant.timing, mutant.facts)
        passed = 0.0
        step = 0.5
        while passed < years:
            verdict = world.pass_years(step)
            passed += step
            if verdict.bogus:
                return passed, len(verdict.bogus)
            step = passed
    return 0.0, 0
