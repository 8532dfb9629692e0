"""What operators are told of keys: what they do, what comes next and when, who holds it up."""

from __future__ import annotations

import attrs

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import commands, lifecycle, outlook
from xfer.dnssec.ds import cds_of
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import KeyState, Role, ZoneKeys, ZoneState
from xfer.dnssec.lifecycle import NewKey
from xfer.dnssec.timing import DsSeen, Facts, Seen
from xfer.wire import names

ORIGIN = names.from_text("example.com.")
NOW = 1_800_000_000.0
HOUR = 3600
POLICY = DnssecPolicy()
WAIT = POLICY.propagation + POLICY.dnskey_ttl + POLICY.publish_safety
FACTS = Facts(zone_max_ttl=HOUR, negative_ttl=300, expire=7 * 86400)


@attrs.define(eq=False)
class Life:
    """A zone's keys, as the daemon leads them."""

    now: float = NOW
    facts: Facts = FACTS
    policy: DnssecPolicy = POLICY
    serial: int = 1
    made: int = 0
    zone: ZoneKeys = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.zone = commands.enable(ORIGIN, self.now, self.facts, self.policy)
        self.look()

    def look(self) -> None:
        """Do all that can be done now."""
        for _ in range(10):
            step = lifecycle.advance(self.zone, self.policy, self.now, self.facts)
            self.zone = step.zone
            for new in step.generate:
                self.zone = commands.add_made(
                    self.zone, new, self._public(new), self.now, self.policy
                )
            if step.publish and not step.generate:
                self.serial += 1
                self.zone = lifecycle.published(self.zone, self.policy, self.serial, self.now)
            elif not step.generate:
                return
        raise AssertionError("something is due again and again")

    def _public(self, new: NewKey) -> bytes:
        self.made += 1
        flags = 257 if new.role.signs_keys else 256
        return flags.to_bytes(2, "big") + bytes((3, new.algorithm)) + bytes([self.made]) * 64

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.look()

    def key(self, role: Role, number: int = 0) -> KeyState:
        return [key for key in self.zone.keys if key.role is role][number]

    def told(self, role: Role, number: int = 0) -> outlook.Outlook:
        return outlook.outlook(self.zone, self.key(role, number), self.policy)

    def ds_at_parent(self) -> None:
        """The parent has what is wanted."""
        rdata = frozenset(
            cds_of(ORIGIN, key.public) for key in self.zone.keys if key.ident in self.zone.wanted
        )
        self.facts = attrs.evolve(self.facts, ds=DsSeen(rdata, self.now, HOUR))
        self.look()


def test_a_new_zone_waits_for_unsigned_data_to_leave_caches_and_then_for_the_operator() -> None:
    life = Life()
    gone = NOW + POLICY.propagation + HOUR + POLICY.publish_safety
    assert life.told(Role.KSK) == outlook.Outlook(
        "signs the DNSKEY RRset", "its DS may be put at the parent", gone
    )
    assert outlook.wanted_from(life.zone, POLICY) == gone
    life.after(gone - NOW - 1)
    assert not life.zone.wanted
    life.after(1)
    assert life.told(Role.KSK).event == "its DS is to be put at the parent"
    assert life.told(Role.KSK).at is None
    life.ds_at_parent()
    assert life.zone.state is ZoneState.ACTIVE
    assert life.told(Role.KSK) == outlook.Outlook("signs the DNSKEY RRset")
    zsk = life.told(Role.ZSK)
    assert (zsk.does, zsk.event) == ("signs the zone", "its successor is published")
    assert zsk.at == NOW + POLICY.zsk_lifetime - WAIT


def test_a_zsk_rollover_is_told_step_by_step_and_each_comes_at_its_time() -> None:
    life = Life()
    life.after(WAIT + HOUR)
    life.ds_at_parent()
    life.zone = commands.roll(life.zone, Role.ZSK, POLICY)
    life.look()
    old, new = life.told(Role.ZSK), life.told(Role.ZSK, 1)
    assert (new.does, new.event) == (
        "is published, and signs nothing yet",
        "signs the zone once all caches know it",
    )
    assert new.at == old.at == life.now + WAIT
    assert old.event == "signs no more once all caches know its successor"
    life.after(WAIT - 1)
    assert life.told(Role.ZSK).does == "signs the zone"
    life.after(1)
    old = life.told(Role.ZSK)
    assert (old.does, old.event) == (
        "is published, and signs nothing any more",
        "taken out once no cache needs it",
    )
    assert life.told(Role.ZSK, 1).does == "signs the zone"
    assert old.at is not None
    life.after(old.at - life.now)
    old = life.told(Role.ZSK)
    assert (old.does, old.event) == (
        "is not published any more",
        "forgotten once it has left all caches",
    )
    assert old.at is not None
    life.after(old.at - life.now)
    assert [key.role for key in life.zone.keys] == [Role.KSK, Role.ZSK]


def test_a_ksk_rollover_waits_for_the_parent_twice() -> None:
    life = Life()
    life.after(WAIT + HOUR)
    life.ds_at_parent()
    life.zone = commands.roll(life.zone, Role.KSK, POLICY)
    life.look()
    new = life.told(Role.KSK, 1)
    assert (new.does, new.event) == ("signs the DNSKEY RRset", "its DS may be put at the parent")
    assert new.at == life.now + WAIT
    assert life.told(Role.KSK).event == "its DS may be replaced at the parent"
    life.after(WAIT)
    assert life.told(Role.KSK, 1).event == "its DS is to be put at the parent"
    assert life.told(Role.KSK).event == "its DS is to be taken from the parent"
    life.after(HOUR)
    life.ds_at_parent()
    old = life.told(Role.KSK)
    assert old.event == "taken out once no cache needs it"
    assert old.at == life.now + POLICY.parent_propagation + HOUR + POLICY.retire_safety


def test_a_secondary_that_lags_is_named_with_the_time_until_which_it_counts() -> None:
    life = Life(facts=attrs.evolve(FACTS, secondaries=(Seen("b", 2, NOW), Seen("a", 1, NOW))))
    held = outlook.held_up(life.zone, POLICY, life.now + 1, life.facts)
    assert held == (outlook.HeldUp("a", 2, NOW, NOW + FACTS.expire),)
    assert life.told(Role.KSK).at is None, "nobody knows when a secondary comes back"
    assert outlook.wanted_from(life.zone, POLICY) is None
    life.facts = attrs.evolve(life.facts, secondaries=(Seen("b", 2, NOW), Seen("a", 2, NOW + 60)))
    life.after(60)
    assert outlook.held_up(life.zone, POLICY, life.now, life.facts) == ()
    assert life.told(Role.KSK).at is not None


def test_a_disabled_zone_may_be_deleted_once_its_ds_has_left_caches() -> None:
    life = Life()
    life.after(WAIT + HOUR)
    life.ds_at_parent()
    life.zone = commands.disable(life.zone)
    life.look()
    assert outlook.deletable_at(life.zone, POLICY) is None
    assert outlook.wanted_from(life.zone, POLICY) is None
    life.after(HOUR)
    life.facts = attrs.evolve(life.facts, ds=DsSeen(frozenset(), life.now, None))
    life.look()
    assert life.zone.state is ZoneState.DISABLED
    at = outlook.deletable_at(life.zone, POLICY)
    assert at == life.now + POLICY.parent_propagation + HOUR + POLICY.retire_safety
    life.after(at - life.now)
    assert outlook.deletable_at(life.zone, POLICY) == 0.0, "at any time"
    life.zone = commands.delete(life.zone, POLICY, life.now, life.facts)
    life.look()
    assert outlook.deletable_at(life.zone, POLICY) is None


def test_an_algorithm_rollover_signs_before_it_publishes() -> None:
    life = Life()
    life.after(WAIT + HOUR)
    life.ds_at_parent()
    life.policy = attrs.evolve(POLICY, algorithm=15)
    life.look()
    new = next(k for k in life.zone.keys if k.algorithm == 15 and k.role is Role.ZSK)
    told = outlook.outlook(life.zone, new, life.policy)
    assert told.does == "signs the zone"
    assert told.event == "published once its signatures are in all caches"
    assert told.at is not None
    assert told.at > life.now
    life.after(told.at - life.now)
    told = outlook.outlook(life.zone, new, life.policy)
    assert told.event != "published once its signatures are in all caches"
    assert ident_of(new.public) in life.zone.keyset.keys
