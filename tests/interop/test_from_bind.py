"""A zone that BIND signs (`dnssec-policy`, one key for all, as is its default) moves to xfer.

Validation holds all along, whichever signer answers: for an unbound that keeps what it has, for one
that keeps nothing, and for every mixture of what caches may hold (`signers.Mixing`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.binds import Bind
from tests.interop.signers import (
    NAMES,
    OURS,
    THEIRS,
    Parent,
    Signer,
    Watch,
    too_early,
    unbound_below,
    until,
)
from tests.peers.updates import Updates

pytestmark = pytest.mark.lab


def test_a_zone_moves_from_bind_to_xfer(tmp_path: Path) -> None:
    bind = Bind(tmp_path / "bind", "csk")
    ours = Signer(OURS, tmp_path / "ours", other=THEIRS, servers=[THEIRS])
    with Parent(tmp_path / "parent") as parent, bind:
        until(bind.ready)
        parent.delegate([THEIRS], bind.ds())
        with (
            unbound_below(parent, tmp_path / "unbound") as keeps,
            unbound_below(parent, tmp_path / "fresh", fresh=True) as fresh,
            ours,
            Watch(keeps, [THEIRS], fresh) as watch,
            Updates(bind.remote(bind.key), bind.zone) as updates,
        ):
            moved(bind, ours, parent, watch, updates)
        assert watch.asked == watch.authentic > 20
        assert {OURS, THEIRS} <= watch.mixing.by


def test_a_move_without_each_others_keys_is_seen_to_break(tmp_path: Path) -> None:
    bind = Bind(tmp_path / "bind", "csk")
    ours = Signer(OURS, tmp_path / "ours", other=THEIRS, servers=[THEIRS])
    with Parent(tmp_path / "parent") as parent, bind:
        until(bind.ready)
        parent.delegate([THEIRS], bind.ds())
        with unbound_below(parent, tmp_path / "unbound") as unbound, ours:
            ours.order("/migration/join")
            until(ours.ds)
            with pytest.raises(AssertionError, match="unbound"), Watch(unbound, [THEIRS]) as watch:
                parent.delegate([OURS, THEIRS], bind.ds() + ours.ds())
                watch.delegated([OURS, THEIRS])
                until(lambda: watch.bogus and watch.mixing.bogus)


def test_what_is_amiss_at_bind_is_told_and_stops_the_move(tmp_path: Path) -> None:
    bind = Bind(tmp_path / "bind", dnskey_ttl=3)
    ours = Signer(OURS, tmp_path / "ours", other=THEIRS, servers=[THEIRS], policy="cds = false\n")
    with Parent(tmp_path / "parent") as parent, bind, ours:
        until(bind.ready)
        parent.delegate([THEIRS], bind.ds())
        with Updates(bind.remote(bind.key), bind.zone) as updates:
            updates.send([f"add more.{bind.zone} 1 A 192.0.2.1"])
            amiss(bind, ours, parent, updates)
        bind.stop()
        without_bind(ours, parent)


def amiss(bind: Bind, ours: Signer, parent: Parent, updates: Updates) -> None:
    """Until both are asked; what they lack is told."""
    ours.order("/migration/join")
    until(lambda: ours.ask("/zsk")["records"])
    lacking = str(ours.ask("/migration")["lacking"])
    assert "which secondaries that come from there take for older" in lacking
    ours.edit([OURS])
    until(lambda: ours.ask("/migration")["lacking"])
    lacking = str(ours.ask("/migration")["lacking"])
    assert f"the zone at {THEIRS}#53 has NS theirs.test., which the zone here has not" in lacking
    ours.edit([THEIRS])
    ours.order("/foreign/add", records="\n".join(bind.dnskeys()))
    bind.publish(updates, ours.zsk(), 3)
    ours.step("keys-there")
    found = ours.ask("/migration")
    assert found["stage"] == "keys-there"
    assert found["at"] > ours.taken + 2  # by the TTL there, which is more than ours
    bind.withdraw(updates, ours.zsk())
    until(lambda: "has not got our DNSKEY" in str(ours.ask("/migration")["lacking"]))
    assert ours.stage() == ("keys-there", None)
    bind.publish(updates, ours.zsk(), 3)
    ours.step("keys-there")
    assert ours.ask("/migration")["at"] > ours.taken + 2  # anew
    ours.at_stage("ds-added")
    parent.delegate([THEIRS], ours.ds())  # a mistake, in time
    until(lambda: "put the other signer's DS" in ours.ask("/migration")["says"])
    parent.delegate([THEIRS], bind.ds() + ours.ds())
    ours.at_stage("servers-added")
    updates.send([f"add {bind.zone} 1 NS {NAMES[OURS]}"])
    ours.edit([OURS, THEIRS])
    parent.delegate([OURS, THEIRS], bind.ds() + ours.ds())
    ours.step("servers-added", servers=[NAMES[OURS]])
    bind.withdraw(updates, ours.zsk())
    until(lambda: ours.stage() == ("keys-there", None))
    assert "has not got our DNSKEY" in str(ours.ask("")["todo"])
    assert "has not got our DNSKEY" in ours.refused("/migration/next")


def without_bind(ours: Signer, parent: Parent) -> None:
    """BIND is switched off, and the zone moves away from it."""
    moved = {"step": "servers-moved", "servers": [NAMES[THEIRS]]}
    assert "still has NS theirs.test." in ours.refused("/migration/next", **moved)
    ours.edit([OURS])
    parent.delegate([OURS], parent.ds)
    ours.insist("/migration/next", **moved)
    ours.at_stage("ds-taken")
    parent.delegate([OURS], ours.ds())
    ours.step("keys-taken")
    assert ours.stage()[0] == "done"
    assert not ours.ask("")["todo"]


def test_a_signer_with_another_algorithm_is_not_joined(tmp_path: Path) -> None:
    bind = Bind(tmp_path / "bind", algorithm=15)
    ours = Signer(OURS, tmp_path / "ours", other=THEIRS, servers=[THEIRS])
    with Parent(tmp_path / "parent") as parent, bind, ours:
        until(bind.ready)
        parent.delegate([THEIRS], bind.ds())
        said = ours.refused("/migration/join")
        assert "ED25519 (15), and we with ECDSAP256SHA256 (13)" in said
        assert "`algorithm` in the zone's [dnssec_policy]" in said


def moved(bind: Bind, ours: Signer, parent: Parent, watch: Watch, updates: Updates) -> None:
    """The whole way; every step is tried before its time."""
    ours.order("/migration/join")
    until(lambda: ours.ask("/zsk")["records"])
    too_early(ours, "keys-there")
    assert "has not got our DNSKEY" in ours.refused("/migration/next")
    assert "which we do not publish" in str(ours.ask("/migration")["lacking"])
    ours.order("/foreign/add", records="\n".join(bind.dnskeys()))
    bind.publish(updates, ours.zsk())
    ours.step("keys-there")
    too_early(ours, "keys-there")
    ours.at_stage("ds-added")
    too_early(ours, "ds-added")
    parent.delegate([THEIRS], bind.ds() + ours.ds())
    ours.at_stage("servers-added")
    too_early(ours, "servers-added")
    said = ours.refused("/migration/next", servers=[NAMES[OURS]])
    assert "publishes CDS or CDNSKEY without ours" in said, said
    bind.for_parent(updates, ours)
    until(lambda: "CDS" not in str(ours.ask("/migration")["lacking"]))
    assert "has not got NS ours.test." in ours.refused("/migration/next", servers=[NAMES[OURS]])
    updates.send([f"add {bind.zone} 1 NS {NAMES[OURS]}"])
    ours.edit([OURS, THEIRS])
    parent.delegate([OURS, THEIRS], bind.ds() + ours.ds())
    watch.delegated([OURS, THEIRS])
    ours.step("servers-added", servers=[NAMES[OURS]])
    too_early(ours, "servers-moved")
    updates.send([f"del {bind.zone} NS {NAMES[THEIRS]}"])
    ours.edit([OURS])
    assert "still has NS theirs.test." in ours.refused("/migration/next", servers=[NAMES[THEIRS]])
    parent.delegate([OURS], bind.ds() + ours.ds())
    watch.delegated([OURS])
    ours.step("servers-moved", servers=[NAMES[THEIRS]])
    too_early(ours, "ds-taken")
    ours.at_stage("ds-taken")
    assert "it is not seen yet" in ours.refused("/migration/next")
    parent.delegate([OURS], ours.ds())
    too_early(ours, "keys-taken")
    ours.step("keys-taken")
    assert len(ours.ask("/dnskey")["records"]) == 2
    assert ours.stage()[0] == "done"
    assert not ours.ask("")["multi_signer"]
