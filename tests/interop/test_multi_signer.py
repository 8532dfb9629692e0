"""Two signers of one zone, together and from one to the other: two xfers; xfer and BIND.

Validation holds all along, whichever signer answers: for unbound, which follows the parent's
delegation, and for every mixture of what caches may hold (`signers.Mixing`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.binds import Bind
from tests.interop.signers import (
    NAMES,
    OURS,
    THEIRS,
    ZONE,
    Parent,
    Signer,
    Watch,
    too_early,
    unbound_below,
    until,
)
from tests.peers.updates import Updates

pytestmark = pytest.mark.lab


def test_a_zone_moves_from_one_xfer_to_another(tmp_path: Path) -> None:
    old = Signer(OURS, tmp_path / "old", other=THEIRS)
    new = Signer(THEIRS, tmp_path / "new", other=OURS)
    with Parent(tmp_path / "parent") as parent, old:
        parent.delegate([OURS], [])
        until(lambda: old.ask("/ds")["records"])
        parent.delegate([OURS], old.ds())
        until(lambda: old.stage() and old.ask("")["state"] == "active")
        with unbound_below(parent, tmp_path / "unbound") as unbound, new:
            with Watch(unbound, [OURS]) as watch:
                move(old, new, parent, watch)
            assert watch.asked == watch.authentic > 20
            assert watch.mixing.tried > 200


def test_xfer_and_bind_sign_a_zone_together_until_bind_leaves(tmp_path: Path) -> None:
    ours = Signer(OURS, tmp_path / "ours", other=THEIRS)
    bind = Bind(tmp_path / "bind", servers=[OURS])
    with Parent(tmp_path / "parent") as parent, ours, bind:
        parent.delegate([OURS], [])
        until(lambda: ours.ask("/ds")["records"])
        parent.delegate([OURS], ours.ds())
        until(lambda: ours.stage() and ours.ask("")["state"] == "active")
        with unbound_below(parent, tmp_path / "unbound") as unbound:
            with Watch(unbound, [OURS]) as watch, Updates(bind.remote(bind.key), ZONE) as updates:
                together(ours, bind, parent, watch, updates)
                roll_zsk(ours, bind, updates)
                alone_again(ours, parent, watch, updates)
            assert watch.asked == watch.authentic > 20
            assert {OURS, THEIRS} <= watch.mixing.by


def test_a_zone_moves_from_xfer_to_bind(tmp_path: Path) -> None:
    ours = Signer(OURS, tmp_path / "ours", other=THEIRS)
    bind = Bind(tmp_path / "bind", "csk", servers=[OURS])
    with Parent(tmp_path / "parent") as parent, ours, bind:
        parent.delegate([OURS], [])
        until(lambda: ours.ask("/ds")["records"])
        parent.delegate([OURS], ours.ds())
        until(lambda: ours.stage() and ours.ask("")["state"] == "active")
        with (
            unbound_below(parent, tmp_path / "unbound") as keeps,
            unbound_below(parent, tmp_path / "fresh", fresh=True) as fresh,
            Watch(keeps, [OURS], fresh) as watch,
            Updates(bind.remote(bind.key), ZONE) as updates,
        ):
            together(ours, bind, parent, watch, updates)
            away(ours, bind, parent, watch, updates)
        assert watch.asked == watch.authentic > 20
        assert {OURS, THEIRS} <= watch.mixing.by


def together(ours: Signer, bind: Bind, parent: Parent, watch: Watch, updates: Updates) -> None:
    """Both sign, and both are asked."""
    until(bind.ready)
    ours.order("/foreign/add", records="\n".join(bind.dnskeys()))
    assert "has not got our DNSKEY" in ours.refused("/migration/next")
    bind.publish(updates, ours.zsk())
    ours.step("keys-there")
    ours.at_stage("ds-added")
    parent.delegate([OURS], ours.ds() + bind.ds())
    ours.at_stage("servers-added")
    too_early(ours, "servers-added")
    said = ours.refused("/migration/next", servers=[NAMES[THEIRS]])
    assert "publishes CDS or CDNSKEY without ours" in said
    bind.for_parent(updates, ours)
    updates.send([f"add {ZONE} 1 NS {NAMES[THEIRS]}"])
    ours.edit([OURS, THEIRS])
    parent.delegate([OURS, THEIRS], ours.ds() + bind.ds())
    watch.delegated([OURS, THEIRS])
    ours.step("servers-added", servers=[NAMES[THEIRS]])
    assert ours.ask("")["multi_signer"]


def roll_zsk(ours: Signer, bind: Bind, updates: Updates) -> None:
    """A new ZSK of ours signs once BIND publishes it."""
    before = ours.zsk()
    ours.order("/roll", what="zsk")
    until(lambda: set(ours.zsk()) - set(before))
    assert "has not got our DNSKEY" in ours.refused("/migration/next", step="keys-there")
    bind.publish(updates, ours.zsk())
    ours.step("keys-there")
    until(lambda: not set(ours.zsk()) & set(before))


def alone_again(ours: Signer, parent: Parent, watch: Watch, updates: Updates) -> None:
    """BIND leaves."""
    ours.at_stage("servers-moved")
    ours.edit([OURS])
    parent.delegate([OURS], parent.ds)
    watch.delegated([OURS])
    assert "still has NS theirs.test." in ours.refused("/migration/next", servers=[NAMES[THEIRS]])
    updates.send([f"del {ZONE} NS {NAMES[THEIRS]}"])
    ours.step("servers-moved", servers=[NAMES[THEIRS]])
    too_early(ours, "ds-taken")
    ours.at_stage("ds-taken")
    parent.delegate([OURS], ours.ds())
    too_early(ours, "keys-taken")
    ours.step("keys-taken")
    assert len(ours.ask("/dnskey")["records"]) == 2
    assert not ours.ask("")["multi_signer"]


def away(ours: Signer, bind: Bind, parent: Parent, watch: Watch, updates: Updates) -> None:
    """We leave, and BIND stays."""
    ours.at_stage("servers-moved")
    assert "still has NS ours.test." in ours.refused("/migration/leave", servers=[NAMES[OURS]])
    too_early(ours, "servers-moved")
    updates.send([f"del {ZONE} NS {NAMES[OURS]}"])
    ours.edit([THEIRS])
    parent.delegate([THEIRS], parent.ds)
    watch.delegated([THEIRS])
    ours.insist("/migration/leave", servers=[NAMES[OURS]])
    too_early(ours, "ds-taken")
    ours.at_stage("ds-taken")
    ours.step("ds-taken")
    too_early(ours, "ds-taken")
    parent.delegate([THEIRS], bind.ds())
    too_early(ours, "keys-taken")
    ours.at_stage("keys-taken")
    assert "publishes our DNSKEY" in ours.refused("/migration/next")
    bind.withdraw(updates, ours.zsk())
    ours.step("keys-taken")
    assert ours.ask("")["state"] == "deleted"
    assert ours.stage()[0] == "done"


def move(old: Signer, new: Signer, parent: Parent, watch: Watch) -> None:
    """The whole way; every step is tried before its time, by both."""
    too_early(old, "keys-there")
    new.order("/migration/join")
    both = (old, new)
    for one in both:
        too_early(one, "keys-there")
    assert "has not got our DNSKEY" in new.refused("/migration/next")
    assert "the zone has one signer" in old.refused("/migration/leave", servers=[NAMES[OURS]])
    old.order("/foreign/add", records="\n".join(new.zsk()))
    assert "our own" in old.refused("/foreign/add", records="\n".join(old.zsk()))
    assert "which we do not publish" in str(new.ask("/migration")["lacking"])
    new.order("/foreign/add", records="\n".join(old.zsk()))
    for one in both:
        one.step("keys-there")
        too_early(one, "keys-here")
    for one in both:
        one.at_stage("ds-added")
        too_early(one, "ds-added")
    parent.delegate([OURS], old.ds() + new.ds())
    for one in both:
        one.at_stage("servers-added")
        assert "has not got NS theirs.test." in one.refused(
            "/migration/next", servers=[NAMES[THEIRS]]
        )
        too_early(one, "servers-added")
    for one in both:
        one.edit([OURS, THEIRS])
    parent.delegate([OURS, THEIRS], old.ds() + new.ds())
    watch.delegated([OURS, THEIRS])
    for one in both:
        one.step("servers-added", servers=[NAMES[THEIRS]])
        assert "still has NS ours.test." in one.refused("/migration/next", servers=[NAMES[OURS]])
        too_early(one, "servers-moved")
    for one in both:
        one.edit([THEIRS])
    parent.delegate([THEIRS], old.ds() + new.ds())
    watch.delegated([THEIRS])
    new.step("servers-moved", servers=[NAMES[OURS]])
    old.insist("/migration/leave", servers=[NAMES[OURS]])
    for one in both:
        too_early(one, "ds-taken")
    new.at_stage("ds-taken")
    too_early(new, "ds-taken")
    old.step("ds-taken")
    too_early(old, "ds-taken")
    parent.delegate([THEIRS], new.ds())
    too_early(old, "keys-taken")
    old.at_stage("keys-taken")
    assert "publishes our DNSKEY" in old.refused("/migration/next")
    new.step("keys-taken")
    old.step("keys-taken")
    assert old.ask("")["state"] == "deleted"
    assert new.ask("")["state"] == "active"
    assert new.stage()[0] == old.stage()[0] == "done"
    assert len(new.ask("/dnskey")["records"]) == 2
    assert "has one signer" in new.refused("/migration/next")
