"""Two signers of one zone, together and from one to the other (REQUIREMENTS A27, A28)."""

from __future__ import annotations

import attrs
import pytest

from tests.rollovers.caches import ds_of
from tests.rollovers.moving import DS_TTL, Pair
from tests.rollovers.mutants import PAIR_MUTANTS
from tests.rollovers.world import ORIGIN, START, MakeTiming
from xfer.config_dnssec import DAY
from xfer.dnssec import migration, stages
from xfer.dnssec.stages import Stage
from xfer.dnssec.timing import DsSeen

STEPS = ("servers added", "servers moved", "leave", "old key out", "delete")


@pytest.mark.parametrize("stay", [0, 60], ids=["at once", "after 60 days together"])
def test_a_zone_moves_from_one_signer_to_the_other_and_stays_secure(stay: int) -> None:
    pair = Pair(stay=stay)
    verdict = pair.run(30 + stay)
    assert verdict.bogus == []
    assert pair.finished()
    assert [pair.counts[step] for step in STEPS] == [1] * len(STEPS)
    # Each of them was refused before, whenever it could have been thought of.
    early = [pair.early[step] for step in STEPS if step != "servers moved"]
    assert min(early) > 10, pair.early
    if stay:
        assert min(pair.counts["old zsk lifetime"], pair.counts["new zsk lifetime"]) >= 2


def test_old_keys_go_one_and_a_half_ds_ttl_after_the_old_ds() -> None:
    pair = Pair()
    left = gone = 0.0
    while not gone and pair.now < START + 30 * DAY:
        pair.run(1 / 48)
        if pair.moved and not left and len(pair.at_parent) == 1:
            left = pair.now
        if pair.counts["old key out"]:
            gone = pair.now
    assert left
    assert 0 <= gone - left - 1.5 * DS_TTL <= 3600


def test_an_old_ds_that_leaves_too_early_is_called_back() -> None:
    pair = Pair()
    while not pair.moved:
        pair.run(1 / 24)
    assert pair.new.zone is not None
    facts = attrs.evolve(pair.new.facts(), ds=DsSeen(pair.at_parent, pair.now, DS_TTL))
    found = migration.stage(pair.new.zone, pair.new.policy, pair.now, facts)
    assert found.stage is Stage.DS_TAKEN
    assert found.at is not None
    ours = {ds_of(ORIGIN, key.public) for key in pair.new.zone.keys}
    early = attrs.evolve(facts, ds=DsSeen(pair.at_parent & ours, pair.now + 1, DS_TTL))
    found = migration.stage(pair.new.zone, pair.new.policy, pair.now + 1, early)
    assert found.stage is Stage.DS_TAKEN
    assert found.at is None
    assert "put it back" in found.says


@pytest.mark.parametrize("stay", [0, 30], ids=["at once", "after 30 days together"])
def test_the_other_signers_longer_dnskey_ttl_is_waited_for(
    stay: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Pair(stay=stay, old_dnskey_ttl=DAY).run(30 + stay).bogus == []
    # Not reckoned with, it is missed: by answers of new keys, or when the old DS goes.
    monkeypatch.setattr(migration, "heard", lambda zone, ttl, dropped: zone)
    monkeypatch.setattr(stages, "longest", lambda zone: zone.zone_ttl)
    assert Pair(stay=stay, old_dnskey_ttl=DAY).run(30 + stay).bogus


@pytest.mark.parametrize(("name", "timing", "stay"), PAIR_MUTANTS, ids=[m[0] for m in PAIR_MUTANTS])
def test_a_wait_that_is_left_out_between_signers_is_seen(
    name: str, timing: MakeTiming, stay: float
) -> None:
    assert Pair(timing=timing, stay=stay / 4).run(30 + stay / 4).bogus
