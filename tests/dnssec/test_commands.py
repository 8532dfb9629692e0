"""What an operator may ask for, and what is refused, with the reason and what to do first."""

from __future__ import annotations

import ipaddress

import attrs
import pytest

from tests.dnssec.walk import ORIGIN, POLICY, START, Walk, facts
from xfer.config_dnssec import DAY, KeyLayout
from xfer.config_parse import Endpoint
from xfer.dnssec import commands, ds, keyjson, migration
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import Role, ZoneState
from xfer.dnssec.publication import publication
from xfer.errors import StepRefused

STRANGE_DS = bytes((0x12, 0x34, 13, 2)) + bytes(32)


def refusal(walk: Walk, what: str) -> StepRefused:
    """What one of the commands says, which has to refuse."""
    zone, policy, now, known = walk.zone, walk.policy, walk.now, walk.facts
    steps = {
        "enable": lambda: commands.enable(ORIGIN, now, known, policy, zone),
        "disable": lambda: commands.disable(zone),
        "cancel": lambda: commands.cancel_disable(zone),
        "delete": lambda: commands.delete(zone, policy, now, known),
        "roll zsk": lambda: commands.roll(zone, Role.ZSK, policy),
        "roll csk": lambda: commands.roll(zone, Role.CSK, policy),
        "roll algorithm": lambda: commands.roll_algorithm(zone, policy),
        "seen": lambda: commands.ds_seen(zone, policy, now, known),
        "gone": lambda: commands.ds_gone(zone, policy, now, known),
    }
    with pytest.raises(StepRefused) as raised:
        steps[what]()
    assert str(raised.value).startswith("cannot ")
    return raised.value


def test_from_active_to_deleted_only_through_disabled_and_one_ds_ttl() -> None:
    walk = Walk().active()
    assert refusal(walk, "delete").first == "`xfer dnssec disable` it"
    walk.zone = commands.disable(walk.zone)
    walk.look()
    assert walk.zone.state is ZoneState.PENDING_DISABLED
    _, last = walk.published[-1]
    assert last.cds == (bytes(5),)
    assert last.cdnskeys == (bytes((0, 0, 3, 0, 0)),)
    assert not last.unsigned
    (todo,) = walk.look().todo
    assert todo.startswith("take this DS from the parent: example.com. IN DS ")
    assert "take that from the parent first" in str(refusal(walk, "delete"))
    walk.give_ds()
    gone = walk.now
    assert walk.zone.state.value == "disabled"
    early = refusal(walk, "delete")
    assert early.at == gone + DAY + POLICY.parent_propagation + POLICY.retire_safety
    walk.until(early.at - 1)
    assert refusal(walk, "delete").at == early.at
    walk.until(early.at)
    walk.zone = commands.delete(walk.zone, POLICY, walk.now, walk.facts)
    walk.look()
    assert publication(walk.zone, POLICY).unsigned
    walk.rest()
    assert walk.zone.keys == ()


def test_a_zone_that_never_had_a_ds_is_deleted_at_once() -> None:
    walk = Walk()
    walk.look()
    walk.zone = commands.disable(walk.zone)
    walk.look()
    assert walk.zone.state is ZoneState.DISABLED
    assert walk.published[-1][1].cds == (bytes(5),)
    walk.zone = commands.delete(walk.zone, POLICY, walk.now, walk.facts)
    walk.look()
    assert walk.now == START
    assert walk.published[-1][1].unsigned


def test_where_nobody_looked_a_ds_that_was_asked_for_is_not_taken_to_be_missing() -> None:
    walk = Walk(at_parent=None)
    walk.rest()
    walk.zone = commands.disable(walk.zone)
    step = walk.look()
    assert walk.zone.state is ZoneState.PENDING_DISABLED
    assert any("`xfer dnssec ds-gone example.com.`" in line for line in step.todo)
    assert "ds-gone" in refusal(walk, "delete").first
    walk.zone = commands.ds_gone(walk.zone, POLICY, walk.now, walk.facts)
    walk.look()
    assert walk.zone.state.value == "disabled"


def test_disabling_is_cancelled_as_if_nothing_had_been() -> None:
    walk = Walk().active()
    walk.zone = commands.disable(walk.zone)
    walk.look()
    walk.zone = commands.cancel_disable(walk.zone)
    walk.look()
    assert walk.zone.state is ZoneState.ACTIVE
    assert walk.published[-1][1].cds == walk.published[-3][1].cds
    assert "active" in str(refusal(walk, "cancel"))


def test_the_ds_stays_where_a_disabling_is_cancelled_amid_a_rollover() -> None:
    walk = Walk().active()
    (old,) = walk.zone.wanted
    walk.zone = commands.roll(walk.zone, Role.KSK, POLICY)
    walk.look()
    walk.zone = commands.disable(walk.zone)
    walk.look()
    assert walk.zone.wanted == frozenset()
    walk.now += 60
    walk.zone = commands.cancel_disable(walk.zone)
    assert walk.look().todo == ()
    assert walk.zone.wanted == {old}
    assert len(walk.published[-1][1].cds) == 1
    walk.now += DAY
    put, take = walk.look().todo
    (new,) = walk.zone.wanted
    assert put.startswith("put this DS at the parent: example.com. IN DS ")
    assert take.startswith("then take this DS from the parent: example.com. IN DS ")
    assert new != old


def test_what_is_to_be_at_the_parent_is_named_where_nothing_is_to_be_put_there() -> None:
    walk = Walk()
    walk.look()
    walk.active()
    walk.zone = commands.disable(walk.zone)
    walk.look()
    walk.at_parent = None  # nobody is asked
    walk.now += 1
    walk.zone = commands.cancel_disable(walk.zone)
    (todo,) = walk.look().todo
    (ident,) = walk.zone.wanted
    assert todo.startswith(f"once all of the parent's servers have just the DS of {ident}, say `")
    assert todo.endswith("the parent is not asked (`parent` in the policy)")
    asked = (Endpoint(ipaddress.IPv4Address("192.0.2.53"), 53),)
    walk.policy = attrs.evolve(POLICY, parent=asked)
    (todo,) = walk.look().todo
    assert todo.endswith("have been asked, and have told nothing so far")


@pytest.mark.parametrize(
    ("state", "what", "says"),
    [
        ("active", "enable", "it is active already"),
        ("active", "roll csk", "the policy has ksk and zsk"),
        ("active", "roll algorithm", "all keys are of it"),
        ("active", "gone", "the parent's servers showed"),
        ("disabled", "enable", "disable --cancel"),
        ("disabled", "disable", "it is pending-disabled already"),
        ("disabled", "roll zsk", "the zone is pending-disabled"),
        ("rolling", "roll zsk", "is still being replaced"),
        ("new", "seen", "no DS of the zone is wanted yet"),
    ],
)
def test_what_is_refused_says_why(state: str, what: str, says: str) -> None:
    walk = Walk()
    walk.look()
    if state != "new":
        walk.active()
    if state == "disabled":
        walk.zone = commands.disable(walk.zone)
    if state == "rolling":
        walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
        assert "asked for already" in str(refusal(walk, "roll zsk"))
        walk.look()
    assert says.replace("it is", "the zone is") in str(refusal(walk, what)).replace(
        "it is", "the zone is"
    )


def test_a_ds_is_not_taken_as_seen_that_the_parent_does_not_show() -> None:
    walk = Walk()
    walk.rest()
    assert "showed none" in str(refusal(walk, "seen"))


def test_a_zone_whose_ds_is_of_another_key_is_not_enabled() -> None:
    with pytest.raises(StepRefused, match=r"tag 4660 .*`xfer dnssec migrate"):
        commands.enable(ORIGIN, START, facts(ds=frozenset({STRANGE_DS})), POLICY)
    joining = commands.enable(
        ORIGIN, START, facts(ds=frozenset({STRANGE_DS})), POLICY, joining=True
    )
    assert joining.joining


def test_a_zone_that_was_signed_elsewhere_goes_on_with_its_keys() -> None:
    made = Walk()
    ksk = commands.OwnKey(Role.KSK, made.public(Role.KSK))
    zsk = commands.OwnKey(Role.ZSK, made.public(Role.ZSK))
    with pytest.raises(StepRefused, match="none of the imported keys signs the zone"):
        commands.enable(ORIGIN, START, facts(), POLICY, served=(ksk,))
    zone = commands.enable(ORIGIN, START, facts(), POLICY, served=(ksk, zsk))
    walk = Walk(zone)
    walk.at_parent = frozenset({ds.cds_of(ORIGIN, zone.keys[0].public)})
    step = walk.look()
    assert step.generate == ()
    assert step.todo == ()
    assert walk.zone.state is ZoneState.ACTIVE
    _, first = walk.published[0]
    assert first.dnskeys == tuple(sorted((ksk.public, zsk.public)))


def test_imported_keys_come_in_by_a_rollover() -> None:
    walk = Walk().active()
    old = walk.ident(Role.ZSK)
    key = commands.OwnKey(Role.ZSK, walk.public(Role.ZSK))
    walk.zone = commands.add_imported(walk.zone, key, walk.now, POLICY)
    with pytest.raises(StepRefused, match="already"):
        commands.add_imported(walk.zone, key, walk.now, POLICY)
    with pytest.raises(StepRefused, match="got a csk of algorithm 13"):
        commands.add_imported(
            walk.zone, commands.OwnKey(Role.CSK, walk.public(Role.CSK)), walk.now, POLICY
        )
    revoked = commands.OwnKey(Role.ZSK, bytes((1, 0x80, 3, 13)) + bytes(64))
    with pytest.raises(StepRefused, match="not revoked"):
        commands.add_imported(walk.zone, revoked, walk.now, POLICY)
    walk.rest()
    assert walk.zone.key(old) is None
    assert walk.zone.signers == {ident_of(key.public)}


def test_keys_in_use_are_not_removed() -> None:
    walk = Walk().active()
    with pytest.raises(StepRefused, match="it is in use; roll it"):
        commands.remove_key(walk.zone, walk.ident(Role.ZSK))
    with pytest.raises(StepRefused, match="no such key"):
        commands.remove_key(walk.zone, "013+00000")
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    old = walk.ident(Role.ZSK)
    while old in walk.zone.keyset.keys:
        at = walk.look().next_at
        assert at is not None
        walk.now = at
        walk.look()
    with pytest.raises(StepRefused, match="caches may still need it"):
        commands.remove_key(walk.zone, old)


def test_another_signers_keys_are_kept_and_go_when_nobody_needs_them() -> None:
    walk = Walk().active()
    zsk, ours = walk.public(Role.ZSK), walk.zone.serving()[0]
    with pytest.raises(StepRefused, match="RFC 8901"):
        migration.add_foreign(walk.zone, walk.public(Role.ZSK, 8), walk.now, POLICY)
    with pytest.raises(StepRefused, match="it is our own"):
        migration.add_foreign(walk.zone, ours.public, walk.now, POLICY)
    walk.zone = migration.add_foreign(walk.zone, zsk, walk.now, POLICY)
    with pytest.raises(StepRefused, match="published already"):
        migration.add_foreign(walk.zone, zsk, walk.now, POLICY)
    walk.look()
    last = walk.published[-1][1]
    assert zsk in last.dnskeys
    assert last.cds == ()  # CDS would take the other signer's DS from the parent
    assert walk.at_parent is not None
    walk.at_parent |= {STRANGE_DS}
    walk.look()
    with pytest.raises(StepRefused, match="DS is at the parent"):
        migration.remove_foreign(walk.zone, zsk, POLICY, walk.now, walk.facts)
    with pytest.raises(StepRefused, match="another signer's DS too"):
        commands.disable(walk.zone)
    walk.at_parent -= {STRANGE_DS}
    gone = walk.now
    walk.look()
    with pytest.raises(StepRefused) as raised:
        migration.remove_foreign(walk.zone, zsk, POLICY, walk.now, walk.facts)
    assert raised.value.at == gone + 1.5 * DAY
    walk.until(gone + 1.5 * DAY)
    walk.zone = migration.remove_foreign(walk.zone, zsk, POLICY, walk.now, walk.facts)
    walk.look()
    assert zsk not in walk.published[-1][1].dnskeys


def test_a_zsk_waits_for_the_other_signers() -> None:
    walk = Walk().active()
    walk.zone = migration.add_foreign(walk.zone, walk.public(Role.ZSK), walk.now, POLICY)
    walk.zone = commands.roll(walk.zone, Role.ZSK, POLICY)
    old = walk.zone.signers
    walk.rest()
    new = walk.ident(Role.ZSK)
    assert walk.zone.signers == old
    assert any(f"have the other signers publish DNSKEY {new}" in t for t in walk.look().todo)
    with pytest.raises(StepRefused, match="no key of ours"):
        migration.share(walk.zone, "013+00000", walk.now)
    walk.zone = migration.share(walk.zone, new, walk.now)
    walk.rest()
    assert walk.zone.signers == {new}


def test_a_csk_has_no_zsk_to_roll() -> None:
    walk = Walk(policy=attrs.evolve(POLICY, keys=KeyLayout.CSK)).active()
    assert "the policy has csk" in str(refusal(walk, "roll zsk"))
    assert [key.role for key in walk.zone.keys] == [Role.CSK]


def test_a_ds_that_comes_and_goes_again_and_again_is_kept_once() -> None:
    walk = Walk().active()
    there = walk.at_parent
    assert there is not None
    for _ in range(120):
        walk.now += 600
        walk.at_parent = frozenset() if walk.at_parent else there
        walk.look()
    (past,) = walk.zone.past_ds
    assert past.at == walk.now - 600
    assert keyjson.decoded(keyjson.encoded(walk.zone)) == walk.zone


def test_other_signers_have_a_limited_number_of_keys() -> None:
    walk = Walk().active()
    keys = [bytes((1, 0, 3, 13)) + number.to_bytes(2) * 32 for number in range(300)]
    for key in keys[: migration.MOST_GIVEN]:
        walk.zone = migration.add_foreign(walk.zone, key, walk.now, POLICY)
    with pytest.raises(StepRefused, match="64 DNSKEYs of other signers"):
        migration.add_foreign(walk.zone, keys[-1], walk.now, POLICY)
    for at in (100, 160):
        there = attrs.evolve(walk.facts, foreign=frozenset(keys[at : at + 60]))
        if at == 100:
            walk.zone = migration.with_content(walk.zone, POLICY, walk.now, there).zone
    with pytest.raises(StepRefused, match="at most 128 DNSKEYs of other signers"):
        migration.with_content(walk.zone, POLICY, walk.now, there)
    assert keyjson.decoded(keyjson.encoded(walk.zone)) == walk.zone
