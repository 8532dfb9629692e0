"""A world in which somebody else has the KSK (RFC 8901 model 1), and no patience: they hand in
DNSKEY RRsets with whichever ZSKs, again and again, and change KSKs whenever xfer takes it.

What is refused changes nothing. The DS is theirs: they put in that of a new KSK when xfer says it
may be there, and hand in RRsets without the old one from then on.
"""

from __future__ import annotations

from tests.dnssec.holding import as_verified
from tests.rollovers.caches import ds_of
from tests.rollovers.world import (
    ORIGIN,
    Climate,
    MakeFacts,
    MakeTiming,
    World,
    as_they_are,
    honest,
)
from xfer.config_dnssec import DAY, HOUR, DnssecPolicy
from xfer.dnssec import holder
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keyset import Handed
from xfer.dnssec.keystate import ZoneKeys
from xfer.dnssec.outlook import outlook
from xfer.dnssec.timing import Facts

TTL = 2 * HOUR


class Held(World):
    """tops: their KSKs, the one that has the DS first; rolled: how often that was replaced."""

    def __init__(
        self,
        policy: DnssecPolicy,
        climate: Climate,
        seed: int,
        timing: MakeTiming = honest,
        believed: MakeFacts = as_they_are,
    ) -> None:
        super().__init__(policy, climate, seed, timing, believed)
        self.tops = [self._ksk()]
        self.after(HOUR, self._hand_in)
        self.after(60 * DAY, self._new_top)

    def _ksk(self) -> bytes:
        return bytes((1, 1, 3, 13)) + self.random.randbytes(32)

    def _new_top(self) -> None:
        self.after(self.random.uniform(20 * DAY, 80 * DAY), self._new_top)
        if len(self.tops) == 1:
            self.tops.append(self._ksk())

    def _hand_in(self) -> None:
        self.after(self.random.uniform(HOUR / 4, 2 * DAY), self._hand_in)
        zone = self.zone
        if zone is None or not zone.keys:
            return
        given = self._rrset(zone)

        def step(keys: ZoneKeys, facts: Facts) -> ZoneKeys:
            hurried = any(key.compromised for key in keys.keys)
            timing = self.timing(self.policy, hurried)
            before = keys.imported
            keys = holder.with_imported(
                keys, given, self.policy, self.now, facts, timing, force=True
            )
            self.counts["handed in"] += keys.imported is not before
            return keys

        self.command(step)
        self._change_ds()

    def _rrset(self, zone: ZoneKeys) -> Handed:
        """With all ZSKs, or those that are to stay, or the newest, or some; and all KSKs, or,
        where the DS is of the last, that one alone."""
        ours = [key for key in zone.keys if not key.elsewhere]
        choice = self.random.random()
        if choice < 0.3:
            chosen = ours
        elif choice < 0.6:
            chosen = [key for key in ours if key in zone.serving()]
        elif choice < 0.7:
            chosen = ours[-1:]
        else:
            chosen = [key for key in ours if self.random.random() < 0.7]
        tops = self.tops
        if self.at_parent == {ds_of(ORIGIN, tops[-1])} or self.random.random() < 0.05:
            tops = tops[-1:]
        zsks = [key.public for key in chosen]
        return as_verified(ORIGIN, zsks, tops, self.now, self.now + 400 * DAY, ttl=TTL)

    def _change_ds(self) -> None:
        """Where a new KSK's DS may be at the parent, it takes the place of the old one's; and once
        an RRset without the old one is served, that is forgotten."""
        zone = self.zone
        if zone is None or len(self.tops) == 1 or self.acting:
            return
        old, new = self.tops
        if zone.keyset.signers == {ident_of(new)} and zone.signed:
            self.counts["their ksk"] += 1
            self.tops = [new]
            return
        key = next((key for key in zone.keys if key.public == new), None)
        if key is None or key.ident not in zone.keyset.signers or zone.unpublished:
            return
        ahead = outlook(zone, key, self.policy)
        ready = ahead.event == "its DS may be put at the parent" and (ahead.at or 0.0) <= self.now
        if ready and ds_of(ORIGIN, old) in self.at_parent:
            self._change_parent(frozenset({ds_of(ORIGIN, new)}))
            if self.climate.by_hand:
                self.acting = True
                self.after(self.policy.parent_propagation, self._confirm)
            self.look()
