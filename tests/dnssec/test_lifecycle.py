"""A zone's keys through time, to the second; all else is in tests/rollovers."""

from __future__ import annotations

import itertools
import json

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dnssec.walk import EXPIRE, POLICY, START, Walk
from xfer.config_dnssec import DAY, KeyLayout, KskRollover
from xfer.dnssec import commands, keyjson, lifecycle, observing
from xfer.dnssec.keystate import Presence, Role, ZoneState, presences
from xfer.dnssec.timing import Seen, has
from xfer.errors import StepRefused

ROLL = POLICY.propagation + POLICY.dnskey_ttl + POLICY.publish_safety


def test_a_new_zone_is_signed_at_once_and_asks_for_its_ds_when_nothing_unsigned_is_cached() -> None:
    walk = Walk()
    step = walk.look()
    (_, first), *_ = walk.published
    assert len(walk.published) == 1
    assert len(first.dnskeys) == 2
    assert first.key_signers == {walk.ident(Role.KSK)}
    assert first.zone_signers == {walk.ident(Role.ZSK)}
    assert first.cds == first.cdnskeys == ()
    assert walk.zone.state is ZoneState.PENDING
    assert step.todo == ()
    walk.rest()
    # The zone's largest TTL is what is longest in caches.
    at, second = walk.published[-1]
    assert at == START + POLICY.propagation + 7200 + POLICY.publish_safety
    assert len(second.cds) == len(second.cdnskeys) == 1
    assert second.cdnskeys[0] in second.dnskeys
    (todo,) = walk.look().todo
    tag, *_ = todo.partition(" IN DS ")[2].split()
    assert todo.startswith("put this DS at the parent: example.com. IN DS ")
    assert walk.ident(Role.KSK).endswith(tag.zfill(5))


def test_a_zsk_rolls_by_pre_publication_at_the_times_of_rfc_7583() -> None:
    walk = Walk().active()
    old = walk.ident(Role.ZSK)
    began = walk.now = walk.now + DAY
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    walk.published.clear()
    walk.rest()
    new = walk.ident(Role.ZSK)
    times = [at - began for at, _ in walk.published]
    signed = ROLL
    out = signed + POLICY.propagation + 7200 + POLICY.retire_safety
    assert times == [0, signed, out]
    assert [publication.zone_signers for _, publication in walk.published] == [{old}, {new}, {new}]
    assert [len(publication.dnskeys) for _, publication in walk.published] == [3, 3, 2]
    assert walk.events[-1] == "zsk command"


def test_a_ksk_rolls_by_double_ksk() -> None:
    walk = Walk().active()
    old = walk.ident(Role.KSK)
    began = walk.now
    walk.zone = commands.roll(walk.zone, Role.KSK, POLICY)
    walk.published.clear()
    step = walk.rest()
    new = walk.ident(Role.KSK)
    assert [at - began for at, _ in walk.published] == [0, ROLL]
    assert [publication.key_signers for _, publication in walk.published] == [{old, new}] * 2
    put, take = step.todo
    assert put.startswith("put this DS at the parent: ")
    assert take.startswith("then take this DS from the parent: ")
    walk.now += 30 * DAY
    assert len(walk.look().todo) == 2  # it waits for the parent, however long
    walk.give_ds()
    seen = walk.now
    walk.rest()
    at, last = walk.published[-1]
    assert at - seen == POLICY.parent_propagation + DAY + POLICY.retire_safety
    assert last.key_signers == {new}
    assert "ksk command" in walk.events


def test_a_ksk_rolls_by_double_ds() -> None:
    policy = attrs.evolve(POLICY, ksk_rollover=KskRollover.DOUBLE_DS)
    walk = Walk(policy=policy).active()
    old = walk.ident(Role.KSK)
    walk.zone = commands.roll(walk.zone, Role.KSK, policy)
    walk.rest()
    new = walk.ident(Role.KSK)
    assert walk.zone.wanted == {old, new}
    assert walk.zone.keyset.signers == {old}
    walk.give_ds()
    walk.rest()
    assert walk.zone.keyset.signers == {new}
    assert walk.zone.wanted == {new}
    walk.give_ds()
    walk.rest()
    assert walk.zone.key(old) is None


def test_an_algorithm_rolls_signatures_first_and_last() -> None:
    walk = Walk().active()
    walk.published.clear()
    walk.policy = attrs.evolve(POLICY, algorithm=15)
    walk.rest()
    walk.give_ds()
    walk.rest()
    signing = [
        (len(p.dnskeys), len(p.key_signers), len(p.zone_signers), p.cds[0][2])
        for _, p in walk.published
    ]
    assert signing == [
        (2, 1, 2, 13),  # both algorithms sign the zone
        (4, 2, 2, 13),  # then the DNSKEYs come in
        (4, 2, 2, 15),  # then the DS changes
        (2, 1, 2, 15),  # then the DNSKEYs go out
        (2, 1, 1, 15),  # and at last the signatures
    ]
    assert {key.algorithm for key in walk.zone.keys} == {15}


def test_a_csk_takes_the_place_of_both_keys() -> None:
    walk = Walk().active()
    walk.policy = attrs.evolve(POLICY, keys=KeyLayout.CSK)
    walk.rest()
    walk.give_ds()
    walk.rest()
    assert [key.role for key in walk.zone.keys] == [Role.CSK]
    assert walk.events.count("csk layout") == 2


def test_lifetimes_begin_when_a_key_signs_and_the_next_key_comes_in_before_they_end() -> None:
    policy = attrs.evolve(POLICY, zsk_lifetime=30 * DAY, ksk_lifetime=0)
    walk = Walk().active()
    walk.policy = policy
    walk.until(START + 365 * DAY)
    assert walk.events.count("zsk lifetime") == 12
    assert walk.events.count("ksk lifetime") == 0
    changes = [
        at
        for (_, before), (at, after) in itertools.pairwise(walk.published)
        if before.zone_signers != after.zone_signers
    ]
    assert [later - at for at, later in itertools.pairwise(changes)] == [30 * DAY] * 11


def test_presences_follow_a_key_through_its_life() -> None:
    walk = Walk().active()
    old = walk.ident(Role.ZSK)
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    walk.look()
    new = walk.ident(Role.ZSK)
    assert presences(walk.zone, new).dnskey is Presence.RUMOURED
    assert presences(walk.zone, new).zone_signatures is Presence.HIDDEN
    walk.until(walk.now + ROLL)
    assert presences(walk.zone, new).dnskey is Presence.OMNIPRESENT
    assert presences(walk.zone, new).zone_signatures is Presence.RUMOURED
    assert presences(walk.zone, old).zone_signatures is Presence.UNRETENTIVE
    assert presences(walk.zone, old).dnskey is Presence.OMNIPRESENT
    walk.until(walk.now + 7200 + POLICY.propagation + POLICY.retire_safety)
    assert presences(walk.zone, old).zone_signatures is Presence.HIDDEN
    assert presences(walk.zone, old).dnskey is Presence.UNRETENTIVE


def test_a_secondary_that_lags_is_waited_for_and_a_dead_one_until_it_has_expired() -> None:
    walk = Walk().active()
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    walk.dead = True
    step = walk.look()
    began = walk.now
    assert step.next_at == began + EXPIRE
    walk.now = began + 3 * DAY
    assert walk.look().next_at == began + EXPIRE
    lagging = attrs.evolve(walk)
    lagging.dead, lagging.has, lagging.published = False, lagging.serial, []
    step = lagging.look()
    # Counted from when the last one had it.
    assert step.next_at == lagging.now + POLICY.dnskey_ttl + POLICY.publish_safety
    walk.published.clear()
    walk.until(began + 30 * DAY)
    assert walk.published[0][0] == began + EXPIRE + POLICY.dnskey_ttl + POLICY.publish_safety


def test_serials_are_compared_around_the_end() -> None:
    assert has(Seen("a", 5), 0xFFFFFFF0)
    assert not has(Seen("a", 0xFFFFFFF0), 5)
    assert not has(Seen("a", None), 5)


def test_nothing_moves_before_the_time_that_a_step_names() -> None:
    walk = Walk().active()
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    step = walk.look()
    while step.next_at is not None:
        early = lifecycle.advance(walk.zone, POLICY, step.next_at - 0.5, walk.facts)
        assert not early.publish
        assert early.zone == walk.zone
        step = walk.until(step.next_at)


def test_a_month_off_uses_no_key_early() -> None:
    walk = Walk().active()
    walk.policy = attrs.evolve(POLICY, zsk_lifetime=30 * DAY)
    walk.now += 60 * DAY  # the key that should have come in long ago is not even made
    walk.published.clear()
    walk.look()
    old = walk.published[-1][1].zone_signers
    back = walk.now
    walk.until(back + ROLL - 1)
    assert walk.published[-1][1].zone_signers == old
    walk.until(back + ROLL)
    assert walk.published[-1][1].zone_signers != old


def test_a_clock_that_goes_back_begins_waits_anew_and_shortens_none() -> None:
    walk = Walk().active()
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    walk.look()
    walk.published.clear()
    walk.now -= 40 * DAY
    walk.look()
    back = walk.now
    walk.until(back + ROLL - 1)
    assert walk.published == []
    walk.until(back + ROLL)
    assert len(walk.published) == 1


@pytest.mark.parametrize("by", [400 * DAY, -400 * DAY])
def test_a_clock_that_is_set_neither_cuts_waits_short_nor_draws_them_out(by: float) -> None:
    walk = Walk().active()
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    walk.look()
    walk.published.clear()
    walk.now += by
    walk.zone = observing.clock_set(walk.zone, by)
    set_at = walk.now
    walk.until(set_at + ROLL - 1)
    assert walk.published == []
    walk.until(set_at + ROLL)
    assert len(walk.published) == 1


def test_what_was_not_published_has_not_happened() -> None:
    walk = Walk().active()
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    kept = walk.zone
    step = lifecycle.advance(kept, POLICY, walk.now, walk.facts)
    for new in step.generate:
        public = walk.public(new.role)
        kept = commands.add_made(step.zone, new, public, walk.now, POLICY)
    step = lifecycle.advance(kept, POLICY, walk.now, walk.facts)
    assert step.publish
    # Signing goes on for a month: no wait has begun.
    later = lifecycle.advance(step.zone, POLICY, walk.now + 30 * DAY, walk.facts)
    assert later.publish
    assert later.zone.signers == step.zone.signers
    # A crash, and the kept state again: the same step.
    again = lifecycle.advance(kept, POLICY, walk.now + 30 * DAY, walk.facts)
    assert again.zone.keyset == step.zone.keyset


def test_the_ttl_that_counts_is_the_largest_that_was_served() -> None:
    walk = Walk().active()
    walk.ttl = 5 * DAY
    walk.look()
    walk.ttl = 60
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    began = walk.now
    walk.published.clear()
    walk.rest()
    assert walk.published[-1][0] - began - ROLL > 5 * DAY


def test_a_ds_that_leaves_by_itself_is_asked_for_again() -> None:
    walk = Walk().active()
    walk.at_parent = frozenset()
    (todo,) = walk.look().todo
    assert walk.zone.state is ZoneState.PENDING
    assert todo.startswith("put this DS at the parent")


def test_a_ds_of_nobody_is_told() -> None:
    walk = Walk().active()
    assert walk.at_parent is not None
    walk.at_parent |= {bytes((0x12, 0x34, 13, 2)) + bytes(32)}
    assert any("tag 4660 that is of no key here" in line for line in walk.look().todo)


def test_a_parent_that_is_not_looked_at_is_confirmed_by_hand() -> None:
    walk = Walk(at_parent=None)
    step = walk.rest()
    assert [line[:25] for line in step.todo] == [
        "put this DS at the parent",
        "once all of the parent's ",
    ]
    walk.zone = commands.ds_seen(walk.zone, POLICY, walk.now, walk.facts)
    assert walk.look().todo == ()
    assert walk.zone.state is ZoneState.ACTIVE


def test_a_slow_parent_may_still_put_in_what_was_asked_for_before() -> None:
    walk = Walk().active()
    walk.zone = commands.roll(walk.zone, Role.KSK, POLICY)
    walk.rest()
    asked = walk.ident(Role.KSK)
    stake = commands.roll_compromised(walk.zone, asked, POLICY, walk.now, walk.facts)
    walk.zone = stake.zone
    walk.rest()
    assert walk.ident(Role.KSK) != asked
    # It is wanted no more, and stays in the DNSKEY RRset for whoever acts on the old list.
    assert asked not in walk.zone.wanted
    assert asked in walk.zone.keyset.signers
    walk.give_ds()
    # The parent may have had it between two looks, so caches may have its DS.
    walk.until(walk.now + DAY)
    assert asked in walk.zone.keyset.signers
    walk.rest()
    assert walk.zone.key(asked) is None


def test_a_compromised_key_is_replaced_without_margins_and_the_stake_is_told() -> None:
    walk = Walk().active()
    old = walk.ident(Role.ZSK)
    began = walk.now
    told = commands.roll_compromised(walk.zone, old, POLICY, walk.now, walk.facts)
    assert any("can forge answers" in line for line in told.stake)
    walk.zone = told.zone
    walk.published.clear()
    walk.rest()
    times = [at - began for at, _ in walk.published]
    signed = POLICY.propagation + POLICY.dnskey_ttl
    assert times == [0, signed, signed + POLICY.propagation + 7200]
    assert walk.zone.key(old) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 3 * DAY)), max_size=40))
def test_whatever_is_asked_for_nothing_breaks_and_what_is_kept_can_be_read(
    steps: list[tuple[int, float]],
) -> None:
    walk = Walk()
    policies = (
        POLICY,
        attrs.evolve(POLICY, algorithm=15),
        attrs.evolve(POLICY, keys=KeyLayout.CSK),
    )
    for what, wait in steps:
        before = walk.zone
        try:
            if what == 0:
                walk.zone = commands.disable(walk.zone)
            elif what == 1:
                walk.zone = commands.cancel_disable(walk.zone)
            elif what == 2:
                walk.zone = commands.delete(walk.zone, walk.policy, walk.now, walk.facts)
            elif what == 3:
                walk.give_ds()
            elif what == 4:
                walk.zone = commands.roll(walk.zone, Role.ZSK, walk.policy)
            elif what == 5:
                walk.zone = commands.roll(walk.zone, Role.KSK, walk.policy)
            elif what == 6 and walk.zone.keys:
                key = walk.zone.keys[0].ident
                walk.zone = commands.roll_compromised(
                    walk.zone, key, walk.policy, walk.now, walk.facts
                ).zone
            elif what == 7:
                walk.policy = policies[int(wait) % 3]
            elif what == 8:
                walk.dead = not walk.dead
                walk.has = walk.has if walk.dead else walk.serial
            else:
                walk.zone = commands.enable(
                    walk.zone.origin, walk.now, walk.facts, walk.policy, walk.zone
                )
        except StepRefused as refusal:
            assert str(refusal).startswith("cannot ")
            assert walk.zone is before
        step = walk.until(walk.now + wait)
        assert step.next_at is None or step.next_at > walk.now
        assert keyjson.decoded(json.loads(json.dumps(keyjson.encoded(walk.zone)))) == walk.zone
