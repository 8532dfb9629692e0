"""Two signers of one zone, together and from one to the other: two xfers; xfer and BIND.

Validation holds all along, whichever signer answers: for unbound, which follows the parent's
delegation, and for every mixture of what caches may hold (`signers.Mixing`).
"""

from __future__ import annotations

from pathlib import Path

from tests.interop.signers import (
    NAMES,
    OURS,
    THEIRS,
    Parent,
    Signer,
    Watch,
    retry,
    unbound_below,
    until,
)

STEPS = (
    "keys-there",
    "keys-here",
    "ds-added",
    "servers-added",
    "servers-moved",
    "ds-taken",
    "keys-taken",
)


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
        until(lambda one=one: one.stage() == ("ds-added", None))
        too_early(one, "ds-added")
    parent.delegate([OURS], old.ds() + new.ds())
    for one in both:
        until(lambda one=one: one.stage() == ("servers-added", None))
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
    retry(lambda: old.order("/migration/leave", servers=[NAMES[OURS]]))
    for one in both:
        too_early(one, "ds-taken")
    until(lambda: new.stage() == ("ds-taken", None))
    too_early(new, "ds-taken")
    old.step("ds-taken")
    too_early(old, "ds-taken")
    parent.delegate([THEIRS], new.ds())
    too_early(old, "keys-taken")
    until(lambda: old.stage() == ("keys-taken", None))
    assert "publishes our DNSKEY" in old.refused("/migration/next")
    new.step("keys-taken")
    old.step("keys-taken")
    assert old.ask("")["state"] == "deleted"
    assert new.ask("")["state"] == "active"
    assert new.stage()[0] == old.stage()[0] == "done"
    assert len(new.ask("/dnskey")["records"]) == 2
    assert "has one signer" in new.refused("/migration/next")


def too_early(one: Signer, stage: str) -> None:
    """Every step after that stage is refused, with what comes first, and so is what goes around
    the steps; nothing changes by that."""
    before = one.ask("/dnskey")["records"]
    for step in STEPS[STEPS.index(stage) + 1 :]:
        said = one.refused("/migration/next", step=step, servers=[NAMES[OURS]])
        assert "too early" in said or "one signer" in said, said
    one.refused("/delete")
    if stage in ("servers-moved", "ds-taken"):  # before, nobody is led to the other
        for key in one.ask("/dnskey")["records"]:
            if key["role"] == "foreign":
                one.refused("/foreign/remove", key=key["key"])
    if STEPS.index(stage) < STEPS.index("servers-moved"):
        one.refused("/migration/leave", servers=[NAMES[OURS]])
    assert one.ask("/dnskey")["records"] == before
