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
