"""Two signers of one zone, together and from one to the other: two xfers; xfer and BIND.

Validation holds all along, whichever signer answers: for unbound, which follows the parent's
delegation, and for every mixture of what caches may hold (`signers.Mixing`).
"""

from __future__ import annotations

from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from tests.interop.signers import (
    NAMES,
    OURS,
    THEIRS,
    ZONE,
    Parent,
    Signer,
    Watch,
    retry,
    unbound_below,
    until,
    zone_text,
)
from tests.peers.named import Named
from tests.peers.process import PrimaryZone, TsigKey
from tests.peers.updates import Updates

pytestmark = pytest.mark.lab
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


def test_xfer_and_bind_sign_a_zone_together_until_bind_leaves(tmp_path: Path) -> None:
    ours = Signer(OURS, tmp_path / "ours", other=THEIRS)
    key = TsigKey.make("k.")
    content = zone_text(1, [OURS])
    bind = Named(
        [PrimaryZone(ZONE, content, updaters=[key])],
        address=THEIRS,
        port=53,
        directory=tmp_path / "bind",
        extra=BIND_POLICY,
        zone_options=('dnssec-policy "together"', "inline-signing no"),
    )
    with Parent(tmp_path / "parent") as parent, ours, bind:
        parent.delegate([OURS], [])
        until(lambda: ours.ask("/ds")["records"])
        parent.delegate([OURS], ours.ds())
        until(lambda: ours.stage() and ours.ask("")["state"] == "active")
        with unbound_below(parent, tmp_path / "unbound") as unbound:
            with Watch(unbound, [OURS]) as watch, Updates(bind.remote(key), ZONE) as updates:
                together(ours, bind, parent, watch, updates)
                roll_zsk(ours, updates)
                alone_again(ours, parent, watch, updates)
            assert watch.asked == watch.authentic > 20
            assert {OURS, THEIRS} <= watch.mixing.by


BIND_POLICY = """
dnssec-policy "together" {
    keys { ksk lifetime unlimited algorithm 13; zsk lifetime unlimited algorithm 13; };
    dnskey-ttl 1; max-zone-ttl 1; parent-ds-ttl 1;
    publish-safety 0; retire-safety 0; zone-propagation-delay 0; parent-propagation-delay 0;
};
"""


def bind_keys(bind: Named, flags: int) -> list[str]:
    """BIND's DNSKEYs with these flags, out of its key files."""
    found = []
    for path in sorted(bind.directory.glob("K*.key")):
        lines = path.read_text().splitlines()
        found += [line for line in lines if f"DNSKEY {flags} " in line]
    return found


def bind_ds(bind: Named) -> list[str]:
    name = dns.name.from_text(ZONE)
    rdata = bind_keys(bind, 257)[0].split("DNSKEY ")[1]
    key = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DNSKEY, rdata)
    return [dns.dnssec.make_ds(name, key, "SHA256").to_text()]


def give_zsks(ours: Signer, updates: Updates) -> None:
    """Have BIND publish our ZSKs."""
    rdata = [line.split("DNSKEY ")[1] for line in ours.zsk()]
    updates.send(f"add {ZONE} 1 DNSKEY {one}" for one in rdata)


def together(ours: Signer, bind: Named, parent: Parent, watch: Watch, updates: Updates) -> None:
    """Both sign, and both are asked."""
    until(lambda: bind_keys(bind, 256) and bind_keys(bind, 257))
    ours.order("/foreign/add", records="\n".join(bind_keys(bind, 256)))
    assert "has not got our DNSKEY" in ours.refused("/migration/next")
    give_zsks(ours, updates)
    ours.step("keys-there")
    ours.at_stage("ds-added")
    parent.delegate([OURS], ours.ds() + bind_ds(bind))
    ours.at_stage("servers-added")
    too_early(ours, "servers-added")
    updates.send([f"add {ZONE} 1 NS {NAMES[THEIRS]}"])
    ours.edit([OURS, THEIRS])
    parent.delegate([OURS, THEIRS], ours.ds() + bind_ds(bind))
    watch.delegated([OURS, THEIRS])
    ours.step("servers-added", servers=[NAMES[THEIRS]])
    assert ours.ask("")["multi_signer"]


def roll_zsk(ours: Signer, updates: Updates) -> None:
    """A new ZSK of ours signs once BIND publishes it."""
    before = ours.zsk()
    ours.order("/roll", what="zsk")
    until(lambda: set(ours.zsk()) - set(before))
    assert "has not got our DNSKEY" in ours.refused("/migration/next", step="keys-there")
    give_zsks(ours, updates)
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
    retry(lambda: old.order("/migration/leave", servers=[NAMES[OURS]]))
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
