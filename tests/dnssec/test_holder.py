"""Somebody else has the KSK: which DNSKEY RRsets are taken, and when; what is to be done next."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs
import pytest

from tests.dnssec.holding import as_verified
from tests.dnssec.walk import ORIGIN, POLICY, START, Walk, facts
from xfer.config_dnssec import DAY, KeyLayout
from xfer.dnssec import commands, ds, holder, keyjson, layout, migration
from xfer.dnssec.idents import foreign_dnskey, ident_of, tag_of
from xfer.dnssec.keystate import Goal, Role, ZoneState
from xfer.dnssec.layout import awaits_import
from xfer.dnssec.outlook import outlook
from xfer.dnssec.publication import publication
from xfer.errors import StepRefused

HELD = attrs.evolve(POLICY, keys=KeyLayout.ZSK)


def ksk(number: int, algorithm: int = 13) -> bytes:
    return bytes((1, 1, 3, algorithm)) + bytes((number,)) * 64


def zsk(number: int, algorithm: int = 13) -> bytes:
    return bytes((1, 0, 3, algorithm)) + bytes((number,)) * 64


TOP, NEXT = ksk(1), ksk(2)


@attrs.define(eq=False)
class Held(Walk):
    """A zone whose KSK is elsewhere."""

    @classmethod
    def begun(cls) -> Held:
        zone = commands.enable(ORIGIN, START, facts(), HELD)
        walk = cls(zone=zone, policy=HELD)
        walk.look()
        return walk

    @property
    def ours(self) -> list[bytes]:
        return [key.public for key in self.zone.keys if not key.elsewhere]

    @property
    def todo(self) -> str:
        return "\n".join(self.look().todo)

    def hand_in(
        self,
        zsks: Iterable[bytes] | None = None,
        tops: Iterable[bytes] = (TOP,),
        *,
        signing: Iterable[bytes] | None = None,
        days: float = 365.0,
        begins: float = 0.0,
        ttl: int = 3600,
        force: bool = False,
        before: frozenset[bytes] = frozenset(),
    ) -> None:
        given = as_verified(
            ORIGIN,
            self.ours if zsks is None else zsks,
            tops,
            self.now + begins,
            self.now + days * DAY,
            signing=signing,
            ttl=ttl,
        )
        self.zone = holder.with_imported(
            self.zone,
            given,
            self.policy,
            self.now,
            self.facts,
            before=before,
            force=force,
        )
        self.look()

    def put_ds(self, *tops: bytes) -> None:
        self.at_parent = frozenset(ds.cds_of(ORIGIN, top) for top in tops)
        self.look()


def active() -> Held:
    walk = Held.begun()
    walk.hand_in()
    walk.until(START + 2 * DAY)
    walk.put_ds(TOP)
    walk.until(START + 5 * DAY)
    assert walk.zone.state is ZoneState.ACTIVE
    assert walk.todo == ""
    return walk


def refusal(walk: Held, **given: object) -> StepRefused:
    before = walk.zone
    with pytest.raises(StepRefused) as caught:
        walk.hand_in(**given)  # type: ignore[arg-type]
    assert walk.zone is before
    return caught.value


def test_nothing_is_signed_before_the_first_rrset() -> None:
    walk = Held.begun()
    step = walk.until(START + 30 * DAY)
    assert [key.role for key in walk.zone.keys] == [Role.ZSK]
    assert walk.published == []
    assert awaits_import(walk.zone, HELD)
    (sentence,) = step.todo
    assert "`xfer dnssec zsk example.com.`" in sentence
    assert "`xfer dnssec import-dnskey example.com. FILE`" in sentence
    (key,) = walk.zone.keys
    assert outlook(walk.zone, key, HELD).event.endswith("in a DNSKEY RRset that is handed in")


def test_the_first_rrset_signs_the_zone_and_the_ds_waits_for_caches() -> None:
    walk = Held.begun()
    walk.hand_in()
    found = walk.published[-1][1]
    assert found.dnskeys == tuple(sorted([*walk.ours, TOP]))
    assert len(found.presigned) == 1 and len(found.records()) == 2
    assert walk.zone.wanted == frozenset()
    walk.until(START + DAY)
    assert walk.zone.wanted == {ident_of(TOP)}
    assert "have whoever has the KSK put this DS at the parent: example.com. IN DS" in walk.todo
    walk.put_ds(TOP)
    assert walk.zone.state is ZoneState.ACTIVE


def test_where_the_ds_is_there_already_the_first_rrset_has_to_fit_it() -> None:
    walk = Held.begun()
    walk.put_ds(TOP)
    assert not walk.zone.signed
    assert "whose DS is at the parent" in str(refusal(walk, tops=[NEXT]))
    walk.hand_in(tops=[TOP, NEXT], signing=[TOP])
    assert walk.zone.state is ZoneState.ACTIVE
    assert walk.zone.ds == {ident_of(TOP)}
    assert walk.todo == ""


def test_a_ds_set_of_another_provider_does_not_stop_the_zone_from_being_enabled() -> None:
    there = facts(ds=frozenset({ds.cds_of(ORIGIN, TOP)}))
    assert commands.enable(ORIGIN, START, there, HELD).state is ZoneState.PENDING
    with pytest.raises(StepRefused, match="is of no key here"):
        commands.enable(ORIGIN, START, there, POLICY)


def test_a_zsk_rolls_and_each_step_asks_for_its_rrset() -> None:
    walk = active()
    (old,) = walk.ours
    walk.zone = commands.roll(walk.zone, Role.ZSK, HELD)
    walk.look()
    _, new = walk.ours
    assert f"give DNSKEY {ident_of(new)}" in walk.todo
    walk.until(walk.now + 30 * DAY)
    assert walk.zone.signers == {ident_of(old)}
    assert f"expected our DNSKEY {ident_of(old)} in it" in str(refusal(walk, zsks=[new]))
    walk.hand_in([old, new])
    assert walk.zone.signers == {ident_of(old)}
    assert walk.todo == ""
    # Old RRsets: propagation, TTL and margin of publication.
    walk.until(walk.now + 300 + 3600 + 600 - 1)
    assert walk.zone.signers == {ident_of(old)}
    walk.until(walk.now + 1)
    assert walk.zone.signers == {ident_of(new)}
    early = refusal(walk, zsks=[new])
    assert "too early: caches may hold signatures by " + ident_of(old) in str(early)
    assert early.at == walk.now + 300 + 7200 + 900
    key = walk.zone.key(ident_of(old))
    assert key is not None
    assert outlook(walk.zone, key, HELD).event == "to be left out by whoever has the KSK"
    assert outlook(walk.zone, key, HELD).at == early.at
    walk.until(early.at - 1)
    assert walk.todo == ""
    walk.until(early.at)
    assert f"take DNSKEY {ident_of(old)} out" in walk.todo
    walk.hand_in([new])
    walk.until(walk.now + DAY)
    assert walk.ours == [new]
    assert walk.todo == ""
    assert "zsk command" in walk.events


def test_a_secondary_that_lags_holds_a_roll_up() -> None:
    walk = active()
    (old,) = walk.ours
    walk.zone = commands.roll(walk.zone, Role.ZSK, HELD)
    walk.look()
    walk.dead = True
    walk.hand_in()
    walk.until(walk.now + 6 * DAY)
    assert walk.zone.signers == {ident_of(old)}
    walk.has = walk.serial
    walk.until(walk.now + DAY)
    assert walk.zone.signers != {ident_of(old)}
    early = refusal(walk, zsks=walk.ours[1:])
    assert "not every secondary has what replaced that" in str(early)
    assert early.at is None


def test_a_lifetime_asks_for_the_next_rrset_so_early_that_somebody_can_sign_it() -> None:
    walk = active()
    walk.policy = attrs.evolve(HELD, zsk_lifetime=90 * DAY)
    (old,) = walk.zone.keys[:1]
    assert old.used is not None
    lead = 3600 + 300 + 600 + HELD.signature_refresh
    walk.until(old.used + 90 * DAY - lead - 1)
    assert len(walk.ours) == 1
    walk.until(old.used + 90 * DAY - lead)
    assert len(walk.ours) == 2


def test_their_ksk_rolls_and_the_ds_decides_when_the_old_one_may_go() -> None:
    walk = active()
    walk.hand_in(tops=[TOP, NEXT])
    key = walk.zone.key(ident_of(NEXT))
    assert key is not None and key.elsewhere
    ahead = outlook(walk.zone, key, HELD)
    assert ahead.event == "its DS may be put at the parent"
    assert ahead.at == walk.now + 300 + 3600 + 600
    assert "whose DS is at the parent" in str(refusal(walk, tops=[NEXT]))
    walk.until(ahead.at)
    walk.put_ds(NEXT)
    assert walk.zone.wanted == {ident_of(NEXT)}
    early = refusal(walk, tops=[NEXT])
    assert "caches may hold a DS" in str(early)
    assert early.at == walk.now + 7200 + DAY + 900
    walk.until(early.at)
    walk.hand_in(tops=[NEXT])
    walk.until(walk.now + DAY)
    assert walk.zone.key(ident_of(TOP)) is None
    assert walk.todo == ""


def test_a_ds_that_the_operator_has_seen_may_be_of_any_ksk_that_signs() -> None:
    walk = Held.begun()
    walk.at_parent = None
    walk.hand_in(tops=[TOP, NEXT])
    walk.until(START + 2 * DAY)
    assert walk.todo.count("put this DS at the parent") == 2
    assert "xfer dnssec ds-seen" in walk.todo
    idents = frozenset({ident_of(NEXT)})
    walk.zone = commands.ds_seen(walk.zone, HELD, walk.now, walk.facts, idents)
    walk.until(walk.now + DAY)
    assert walk.zone.state is ZoneState.ACTIVE
    assert walk.todo == ""
    assert "whose DS is at the parent" in str(refusal(walk, tops=[TOP]))


def test_a_ds_that_was_asked_for_counts_until_the_operator_says_which_is_there() -> None:
    walk = Held.begun()
    walk.at_parent = None
    walk.hand_in(tops=[TOP, NEXT])
    walk.until(START + 2 * DAY)
    assert walk.zone.wanted == {ident_of(TOP), ident_of(NEXT)}
    for tops in ([NEXT], [TOP], [ksk(5)]):
        assert "may have been given another DS" in str(refusal(walk, tops=tops))
        assert "ds-seen example.com. --key KEY" in str(refusal(walk, tops=tops))
    idents = frozenset({ident_of(NEXT)})
    walk.zone = commands.ds_seen(walk.zone, HELD, walk.now, walk.facts, idents)
    early = refusal(walk, tops=[TOP])
    assert "whose DS is at the parent" in str(early)
    walk.until(walk.now + 3 * DAY)
    walk.hand_in(tops=[NEXT])


def test_an_older_one_is_taken_by_force_only() -> None:
    walk = active()
    walk.hand_in(days=100, force=True)
    assert "expected a newer one" in str(refusal(walk, days=99))
    assert "expected a newer one" in str(refusal(walk, begins=-2 * DAY, days=200))
    kept = walk.zone.imported
    walk.hand_in(days=99, force=True)
    assert walk.zone.imported != kept


def test_the_same_one_again_changes_nothing() -> None:
    walk = active()
    walk.hand_in(days=400)
    count = len(walk.published)
    walk.hand_in(days=400)
    assert len(walk.published) == count


def test_signatures_alone_come_anew_without_a_wait() -> None:
    walk = active()
    walk.until(walk.now + DAY)
    walk.hand_in(days=400)
    assert walk.zone.past_keysets == ()
    assert walk.published[-1][0] == walk.now


def test_what_ends_soon_is_refused_and_told() -> None:
    walk = active()
    assert "hold for signature_refresh" in str(refusal(Held.begun(), days=4))
    walk.hand_in(days=10, force=True)
    ends = walk.now + 10 * DAY
    walk.until(ends - HELD.signature_refresh - 1)
    assert walk.todo == ""
    walk.until(ends - HELD.signature_refresh)
    assert "have whoever has the KSK sign the DNSKEY RRset anew" in walk.todo
    assert "; its signatures end 20" in walk.todo
    walk.until(ends)
    assert "; its signatures ended 20" in walk.todo
    walk.hand_in(days=4.9)  # better than none
    assert "; its signatures end 20" in walk.todo


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([zsk(7, 8)], "got one of 8: validators want answers signed by each"),
        ([ksk(7, 15)], "got one of 15: validators want"),
    ],
)
def test_every_algorithm_in_it_has_to_be_ours(more: list[bytes], says: str) -> None:
    walk = Held.begun()
    assert says in str(refusal(walk, zsks=[*walk.ours, *more]))


def test_a_signature_by_a_ksk_is_needed() -> None:
    walk = Held.begun()
    assert "by a KSK" in str(refusal(walk, tops=[], signing=walk.ours))


def test_two_keys_of_one_tag_are_refused() -> None:
    walk = Held.begun()
    (ours,) = walk.ours
    twin = bytearray(ours)
    twin[1] += 1  # SEP; another octet that counts as much makes up for it
    twin[next(at for at in range(5, len(twin), 2) if twin[at])] -= 1
    assert ident_of(bytes(twin)) == ident_of(ours)
    assert f"got two with {ident_of(ours)}" in str(refusal(walk, tops=[TOP, bytes(twin)]))
    twin[1] -= 1  # another provider's ZSK, whose signatures would pass for ours
    twin[next(at for at in range(7, len(twin), 2) if twin[at] < 255)] += 1
    assert twin != ours and ident_of(bytes(twin)) == ident_of(ours)
    assert f"got two with {ident_of(ours)}" in str(refusal(walk, zsks=[ours, bytes(twin)]))


def test_where_the_ds_changed_too_early_the_rrset_that_fits_it_is_taken() -> None:
    walk = active()
    walk.put_ds(NEXT)  # validators fail from now on
    walk.until(walk.now + 3600)
    alone = refusal(walk, tops=[NEXT])
    assert "caches may hold a DS" in str(alone)
    walk.hand_in(tops=[TOP, NEXT])
    assert walk.zone.keyset.signers == {ident_of(TOP), ident_of(NEXT)}
    walk.until(walk.now + 3 * DAY)
    assert walk.zone.state is ZoneState.ACTIVE
    walk.hand_in(tops=[NEXT])
    assert walk.zone.wanted == {ident_of(NEXT)}


def test_where_their_ksk_is_lost_the_rrset_of_the_next_one_is_taken() -> None:
    walk = active()
    walk.put_ds(NEXT)
    early = refusal(walk, tops=[NEXT])
    assert early.at is not None
    walk.until(early.at)
    walk.hand_in(tops=[NEXT])
    walk.until(walk.now + 3 * DAY)
    assert walk.zone.state is ZoneState.ACTIVE
    assert walk.zone.wanted == {ident_of(NEXT)}
    assert [ident_of(key.public) for key in walk.zone.keys if key.elsewhere] == [ident_of(NEXT)]


def test_a_zone_has_so_many_keys_and_no_more() -> None:
    walk = active()
    for start in (3, 20):
        walk.hand_in(tops=[TOP, *map(ksk, range(start, start + 17))], signing=[TOP])
    more = [TOP, *map(ksk, range(40, 57))]
    assert "at most 40 keys" in str(refusal(walk, tops=more, signing=[TOP]))


def test_other_providers_keys_stay_in_it_and_a_new_zsk_waits_for_them() -> None:
    walk = active()
    (old,) = walk.ours
    theirs = zsk(9)
    walk.hand_in([old, theirs])
    assert walk.zone.keyset.foreign == {foreign_dnskey(theirs)}
    assert walk.zone.multi_signer
    walk.zone = commands.roll(walk.zone, Role.ZSK, HELD)
    walk.look()
    new = walk.ours[-1]
    assert "xfer dnssec shared" not in walk.todo
    walk.hand_in([old, new, theirs])
    walk.until(walk.now + 30 * DAY)
    assert walk.zone.signers == {ident_of(old)}
    assert "xfer dnssec shared" in walk.todo
    walk.zone = migration.share(walk.zone, ident_of(new), walk.now)
    walk.until(walk.now + DAY)
    assert walk.zone.signers == {ident_of(new)}
    walk.hand_in([new])
    assert not walk.zone.multi_signer


def test_the_algorithm_rolls_with_their_ksk() -> None:
    walk = active()
    (old,) = walk.ours
    walk.policy = attrs.evolve(HELD, algorithm=15)
    walk.look()
    new = walk.ours[-1]
    other = ksk(3, 15)
    assert walk.zone.signers == {ident_of(old), ident_of(new)}
    early = refusal(walk, zsks=[old, new], tops=[TOP, other])
    assert "too early" in str(early) and early.at is not None
    walk.until(early.at)
    walk.hand_in([old, new], tops=[TOP, other])
    walk.until(walk.now + 2 * DAY)
    walk.put_ds(other)
    walk.until(walk.now + 3 * DAY)
    walk.hand_in([new], tops=[other])
    walk.until(walk.now + 3 * DAY)
    assert walk.ours == [new]
    assert walk.zone.signers == {ident_of(new)}
    assert {key.ident for key in walk.zone.keys} == {ident_of(new), ident_of(other)}
    assert walk.zone.state is ZoneState.ACTIVE


def test_it_is_disabled_deleted_and_enabled_again() -> None:
    walk = active()
    walk.zone = commands.disable(walk.zone)
    assert "have whoever has the KSK take this DS from the parent" in walk.todo
    walk.hand_in(days=500)  # it is signed until the DS is gone
    walk.put_ds()
    walk.until(walk.now + 3 * DAY)
    assert walk.zone.state is ZoneState.DISABLED
    walk.zone = commands.delete(walk.zone, walk.policy, walk.now, walk.facts)
    walk.until(walk.now + 3 * DAY)
    assert walk.published[-1][1].unsigned
    assert walk.zone.imported is None and walk.zone.keys == ()
    with pytest.raises(StepRefused, match="the zone is deleted"):
        walk.hand_in([zsk(1)])
    walk.zone = commands.enable(ORIGIN, walk.now, walk.facts, walk.policy, walk.zone)
    walk.look()
    walk.hand_in()
    assert publication(walk.zone, walk.policy).key_signers == {ident_of(TOP)}


def test_a_zone_that_has_its_ksk_here_takes_none() -> None:
    walk = Held(policy=POLICY)
    walk.active()
    assert "its KSK is here" in str(refusal(walk))
    walk.policy = HELD  # who has the KSK is not changed under a DS
    assert "its KSK is here" in str(refusal(walk))
    walk.until(walk.now + DAY)
    assert {key.role for key in walk.zone.keys} == {Role.KSK, Role.ZSK}
    assert all(key.goal is Goal.SERVE for key in walk.zone.keys)
    assert 'it goes on with "ksk-zsk"' in layout.mismatch(walk.zone, HELD)
    assert layout.mismatch(walk.zone, POLICY) == ""


def test_a_zone_whose_ksk_is_elsewhere_makes_none_under_a_ds() -> None:
    walk = active()
    walk.policy = POLICY
    walk.until(walk.now + 90 * DAY)
    assert [key.role for key in walk.zone.keys if not key.elsewhere] == [Role.ZSK]
    assert 'it goes on with "zsk"' in layout.mismatch(walk.zone, POLICY)


def test_their_key_is_not_rolled_here() -> None:
    walk = active()
    with pytest.raises(StepRefused, match="the policy has zsk"):
        commands.roll(walk.zone, Role.KSK, HELD)
    with pytest.raises(StepRefused, match="somebody else has it"):
        commands.roll_compromised(walk.zone, ident_of(TOP), HELD, walk.now, walk.facts)


def test_steps_between_signers_with_a_ksk_each_are_refused() -> None:
    walk = active()
    with pytest.raises(StepRefused, match=r"import-dnskey example.com. FILE"):
        migration.join(walk.zone, HELD, walk.now, walk.facts)
    with pytest.raises(StepRefused, match="somebody else has the KSK"):
        migration.add_foreign(walk.zone, zsk(5), walk.now, HELD)
    with pytest.raises(StepRefused, match="somebody else has the KSK"):
        commands.enable(ORIGIN, START, facts(), HELD, joining=True)
    says = migration.stage(walk.zone, HELD, walk.now, walk.facts).says
    assert says == "whoever has the KSK puts the keys of all signers into the DNSKEY RRset"


def after_others(walk: Held, *more: bytes) -> frozenset[bytes]:
    """Others sign the zone, with these ZSKs, and serve our key since now."""
    served = frozenset({*walk.ours, TOP, *more})
    walk.zone = holder.with_served(walk.zone, served, walk.now)
    return served


def test_after_another_signer_both_sets_have_to_hold_the_others_keys() -> None:
    walk = Held.begun()
    theirs = zsk(9)
    served = after_others(walk, theirs)
    walk.now += 2 * DAY
    (ours,) = walk.ours
    lacks = "has not got our DNSKEY " + re.escape(ident_of(ours))
    with pytest.raises(StepRefused, match=lacks):
        walk.hand_in([ours, theirs], before=frozenset({theirs, TOP}))
    with pytest.raises(StepRefused, match=f"got none of tag {tag_of(theirs)}"):
        walk.hand_in([ours], before=served)
    walk.hand_in([ours, theirs], before=served)
    assert walk.zone.signers == {ident_of(ours)}


def test_after_another_signer_caches_first_forget_dnskeys_without_ours() -> None:
    walk = Held.begun()
    theirs = zsk(9)
    served = after_others(walk, theirs)
    walk.now += 1800
    with pytest.raises(StepRefused, match="caches may hold DNSKEYs of others without our") as early:
        walk.hand_in([*walk.ours, theirs], before=served)
    assert early.value.at is not None
    walk.zone = holder.with_served(walk.zone, served - {*walk.ours}, walk.now)
    with pytest.raises(StepRefused, match="has not got our DNSKEY"):
        walk.hand_in([*walk.ours, theirs], before=served)
    after_others(walk, theirs)
    with pytest.raises(StepRefused) as again:
        walk.hand_in([*walk.ours, theirs], before=served)
    assert again.value.at == early.value.at + 1800
    walk.now = again.value.at
    walk.hand_in([*walk.ours, theirs], before=served)


@pytest.mark.parametrize("parent", [True, False])
def test_after_another_signer_its_keys_stay_until_caches_forget_its_signatures(
    parent: bool,
) -> None:
    walk = Held.begun()
    theirs = zsk(9)
    served = after_others(walk, theirs)
    walk.now += 2 * DAY
    if parent:
        walk.put_ds(TOP)
    else:  # nobody has said which DS there is
        walk.at_parent, walk.zone = None, attrs.evolve(walk.zone, ds_at=0.0)
    walk.hand_in([*walk.ours, theirs], before=served)
    begun = walk.now
    with pytest.raises(StepRefused, match="caches may hold signatures by 013") as early:
        walk.hand_in(walk.ours)
    assert early.value.at is not None and early.value.at >= begun + facts().zone_max_ttl
    assert keyjson.decoded(keyjson.encoded(walk.zone)) == walk.zone
    walk.until(early.value.at)
    walk.hand_in(walk.ours)
    assert not walk.zone.keyset.foreign


def test_the_state_comes_back_from_json() -> None:
    walk = active()
    walk.hand_in(tops=[TOP, NEXT])
    assert keyjson.decoded(keyjson.encoded(walk.zone)) == walk.zone
