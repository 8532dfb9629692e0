"""The next published version, of the last one and of what changed in the content.

Only owner names that changed, those below a delegation or DNAME that came or went, and the names
before them in the chain are looked at, and signed where no old signature fits. Where the terms
changed in a way that every name feels, or much changed, `WholeSigner` goes over all of the zone.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from xfer.dnssec.content import OCCLUDED, Apex, Content, left_out, spelling_of, status_of
from xfer.dnssec.recipe import Recipe, Sign, apex_extra, negative_ttl, recipe_of
from xfer.dnssec.rrsig import by_rrset
from xfer.dnssec.terms import Terms
from xfer.dnssec.whole import WholeSigner
from xfer.dnssec.work import Portion, Signed, signatures
from xfer.wire.parse import Batch
from xfer.wire.records import DNAME, NS, Spelling, key_end
from xfer.zone.apply import Applier
from xfer.zone.changeset import Changeset, Differ, Edits
from xfer.zone.check import Policy
from xfer.zone.deltas import Deltas
from xfer.zone.snapshot import APEX, Snapshot

FEW = 5_000  # owner names to look at; where there are more, the whole zone is gone over
_STEP = 64  # owner names looked at in a step


class ChangeSigner:
    """Makes the published version that follows on `published`.

    content: what is to be published now; changes: what leads to it from the content of `published`,
    None where that is the same; old_terms: on which `published` was made, None where it was not
    made here, or nobody knows: then everything is looked at; terms, serial, now, rng, policy: as
    for `WholeSigner`, as is the use. `changeset` leads from `published` to the new version.
    """

    def __init__(
        self,
        published: Snapshot,
        content: Snapshot,
        changes: Changeset | None,
        old_terms: Terms | None,
        terms: Terms,
        serial: int,
        now: float,
        rng: random.Random,
        policy: Policy | None = None,
    ) -> None:
        self._published = published
        self._policy = policy or Policy()
        apex = Apex(content, apex_extra(terms), serial)
        self._content = Content(content, apex)
        self._whole: WholeSigner | None = None
        self._start_whole: Callable[[], WholeSigner] = lambda: WholeSigner(
            content, terms, serial, now, rng, published, self._policy
        )
        self._differ: Differ | None = None
        self._touched: set[bytes] = {APEX}
        self._below: list[bytes] = []  # cuts that came or went, below which to look
        self._names: list[bytes] = []
        self._at = 0
        self._sorted = False
        self._edits = Edits()
        self._applier: Applier | None = None
        self._done = False
        self._made = 0
        self._serial = serial
        self._recipe: Recipe = recipe_of(content.origin, apex.soa, terms, now, rng)
        self._preparer = self._recipe.preparer()
        self._signs = [key.sign for key in terms.keys]
        if (
            old_terms is None
            or differ_everywhere(old_terms, terms)
            or negative_ttl(published.soa) != self._recipe.negative_ttl
        ):
            self._go_whole()
        elif changes is not None:
            self._take(changes)

    @property
    def recipe(self) -> Recipe:
        """As for `WholeSigner`."""
        return self._whole.recipe if self._whole is not None else self._recipe

    @property
    def signs(self) -> list[Sign]:
        """As for `WholeSigner`."""
        return self._signs

    @property
    def made(self) -> int:
        """How many signatures were made."""
        return self._made + (self._whole.made if self._whole is not None else 0)

    @property
    def waiting(self) -> int:
        """How many portions were made and did not come back."""
        return self._whole.waiting if self._whole is not None else 0

    def take(self) -> list[Portion]:
        """The portions made since the last call."""
        return self._whole.take() if self._whole is not None else []

    def give(self, signed: Signed) -> None:
        """A portion comes back."""
        assert self._whole is not None
        self._whole.give(signed)

    def _go_whole(self) -> None:
        self._whole = self._start_whole()

    def _take(self, changes: Changeset) -> None:
        """Note the owner names that changed."""
        for records in (changes.removed, changes.added):
            for record in records:
                end = key_end(record)
                if not left_out(record, end):
                    self._touched.add(record[:end])
                    if len(self._touched) > FEW:
                        self._go_whole()
                        return
        for key in sorted(self._touched):
            if key == APEX:
                was = bool(self._published.rrset(key, DNAME))
            else:
                was = bool(self._published.rrset(key, NS) or self._published.rrset(key, DNAME))
            if was != self._content.is_cut(key):
                self._below.append(key)

    def step(self) -> bool:
        """Do a bounded piece of the work; False when there is nothing to do but signing."""
        if self._whole is not None:
            return self._step_whole(self._whole)
        if self._done:
            return False
        if self._below:
            self._reclassify()
        elif not self._sorted:
            self._add_neighbours()
        elif self._at < len(self._names):
            self._sign_some()
        elif self._applier is None:
            self._applier = self._apply()
        elif not self._applier.step():
            self._done = True
            return False
        return True

    def _step_whole(self, whole: WholeSigner) -> bool:
        if self._differ is not None:
            return self._differ.step()
        if whole.step():
            return True
        if whole.waiting or not whole.finished:
            return False
        self._differ = Differ(self._published, whole.snapshot())
        return True

    def _reclassify(self) -> None:
        """Look at all names below a cut that came or went."""
        cut = self._below.pop()
        start = cut
        while True:
            names = self._content.names_below(cut, start, FEW)
            self._touched.update(names)
            if len(self._touched) > FEW:
                self._go_whole()
                return
            if len(names) < FEW:
                return
            start = names[-1]

    def _add_neighbours(self) -> None:
        """Put the names in order, with those before them in the chain."""
        if self._recipe.denial.kind == "nsec":
            for key in list(self._touched):
                if key != APEX:
                    self._touched.add(self._content.before(key))
        self._names = sorted(self._touched)
        self._sorted = True

    def _sign_some(self) -> None:
        """Look at the next owner names: what is published of them, and what is to be."""
        preparer = self._preparer
        content = self._content
        old: list[bytes] = []
        was: Spelling = {}
        spelling: Spelling = {}
        stop = min(self._at + _STEP, len(self._names))
        for key in self._names[self._at : stop]:
            records = self._published.owner(key)
            old.extend(records)
            was.update(spelling_of(self._published, key, records))
            group = content.owner(key)
            if not group:
                continue
            spelling.update(content.spelling(key))
            cut = content.cut_above(key)
            status = OCCLUDED if cut else status_of(key, group)[0]
            after = b"" if cut else content.after(key)
            preparer.owner(key, group, status, after, by_rrset(records))
        self._at = stop
        made = signatures(preparer, self._signs)
        self._made += len(made)
        self._edits.compare(old, preparer.finish(made), was, spelling)

    def _apply(self) -> Applier:
        published = self._published
        edits = self._edits
        deltas = Deltas(published.origin, published.serial)
        going = Batch()
        going.records = edits.removed
        deltas.delete(going)
        coming = Batch()
        coming.records = edits.added
        coming.spelling = edits.spelling_added
        deltas.add(coming)
        return Applier(published, deltas, self._policy)

    def snapshot(self) -> Snapshot:
        """The new version; only when all is done."""
        if self._whole is not None:
            return self._whole.snapshot()
        assert self._applier is not None
        return self._applier.snapshot()

    def changeset(self) -> Changeset:
        """What leads from the published version to the new one; only when all is done."""
        if self._whole is not None:
            assert self._differ is not None
            return self._differ.changeset()
        assert self._applier is not None
        return self._applier.changeset()


def differ_everywhere(old: Terms, new: Terms) -> bool:
    """Whether every name of a zone is published in another way on new terms."""
    return (
        old.denial != new.denial
        or old.unsigned != new.unsigned
        or {key.public for key in old.zsks} != {key.public for key in new.zsks}
    )
