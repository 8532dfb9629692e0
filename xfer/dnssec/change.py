"""The next published version, of the last one and of what changed in the content.

Where little changed, only that is looked at (`xfer.dnssec.local`). Where the terms changed in a way
that every name feels, or much changed, `WholeSigner` goes over all of the zone, and keeps the
signatures that fit.
"""

from __future__ import annotations

import random

from xfer.dnssec.content import Apex, Content, left_out
from xfer.dnssec.digest import DigestSigner
from xfer.dnssec.local import FEW, LocalSigner, Memory
from xfer.dnssec.recipe import Recipe, Sign, apex_extra, negative_ttl, recipe_of
from xfer.dnssec.terms import Terms
from xfer.dnssec.whole import WholeSigner
from xfer.dnssec.work import Portion, Signed
from xfer.wire.records import NSEC3PARAM, key_end
from xfer.zone.changeset import Changeset, Differ, chain
from xfer.zone.check import Policy
from xfer.zone.snapshot import APEX, Snapshot


class ChangeSigner:
    """Makes the published version that follows on `published`.

    content: what is to be published now; changes: what leads to it from the content of `published`,
    None where that is the same; old_terms: on which `published` was made, None where it was not
    made here, or nobody knows: then everything is looked at; terms, serial, now, rng, policy: as
    for `WholeSigner`, as is the use; renew: how many signatures at most, which hold for less than
    `Terms.refresh`, are renewed besides those of what changed; memory: of this zone, for speed.
    `changeset` leads from `published` to the new version.
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
        *,
        renew: int = 0,
        memory: Memory | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._published = published
        self._policy = policy or Policy()
        # A signature is known by the algorithm and tag of its key, so of two keys that share those
        # none is used again.
        clash = old_terms is not None and _clash(old_terms, terms)
        reused = None if clash else published
        self._given = (content, terms, serial, now, rng, reused, self._policy)
        self._zonemd = terms.zonemd
        self._digest: DigestSigner | None = None
        presigned = bool(terms.presigned)
        apex = Apex(content, apex_extra(terms), serial, terms.zonemd, presigned, terms.without)
        self.recipe: Recipe = recipe_of(content.origin, apex.soa, terms, now, rng)
        self.signs: list[Sign] = [key.sign for key in terms.keys]
        self._whole: WholeSigner | None = None
        self._differ: Differ | None = None
        self._local: LocalSigner | None = None
        touched = _touched(changes)
        if (
            old_terms is None
            or touched is None
            or clash
            or differ_everywhere(old_terms, terms)
            or negative_ttl(published.soa) != self.recipe.negative_ttl
            # Hashed owner names of its own stand in the way of looking for neighbours.
            or content.rrset(APEX, NSEC3PARAM)
        ):
            self._go_over_all()
        else:
            self._local = LocalSigner(
                published,
                Content(content, apex),
                self.recipe,
                self.signs,
                touched,
                renew,
                memory or Memory(),
                self._policy,
            )

    def _go_over_all(self) -> None:
        self._local = None
        self._whole = WholeSigner(*self._given)
        self.recipe = self._whole.recipe

    @property
    def made(self) -> int:
        """How many signatures were made."""
        parts = (self._local, self._whole, self._digest)
        return sum(part.made for part in parts if part is not None)

    @property
    def waiting(self) -> int:
        """How many portions were made and did not come back."""
        return self._whole.waiting if self._whole is not None else 0

    @property
    def whole(self) -> bool:
        """Whether all of the zone is gone over."""
        return self._whole is not None

    def take(self) -> list[Portion]:
        """The portions made since the last call."""
        return self._whole.take() if self._whole is not None else []

    def give(self, signed: Signed) -> None:
        """A portion comes back."""
        assert self._whole is not None
        self._whole.give(signed)

    def step(self) -> bool:
        """Do a bounded piece of the work; False when there is nothing to do but signing."""
        if self._local is not None:
            return self._step_local(self._local)
        assert self._whole is not None
        if self._differ is not None:
            return self._differ.step()
        if self._whole.step():
            return True
        if not self._whole.finished:
            return False
        self._differ = Differ(self._published, self._whole.snapshot())
        return True

    def _step_local(self, local: LocalSigner) -> bool:
        if self._digest is not None:
            return self._digest.step()
        if local.step():
            return True
        if local.too_much:
            self._go_over_all()
        elif self._zonemd:
            self._digest = DigestSigner(local.snapshot(), self.recipe, self.signs)
        else:
            return False
        return True

    def snapshot(self) -> Snapshot:
        """The new version; only when all is done."""
        done = self._digest or self._local or self._whole
        assert done is not None
        return done.snapshot()

    def changeset(self) -> Changeset:
        """What leads from the published version to the new one; only when all is done."""
        if self._local is None:
            assert self._differ is not None
            return self._differ.changeset()
        changes = self._local.changeset()
        return changes if self._digest is None else chain(changes, self._digest.changeset())


def _touched(changes: Changeset | None) -> set[bytes] | None:
    """The owner names that changed, the apex among them; None where they are many."""
    touched = {APEX}
    if changes is None:
        return touched
    if len(changes.removed) + len(changes.added) > 8 * FEW:
        return None
    for records in (changes.removed, changes.added):
        for record in records:
            end = key_end(record)
            if not left_out(record, end):
                touched.add(record[:end])
    return touched if len(touched) <= FEW else None


def differ_everywhere(old: Terms, new: Terms) -> bool:
    """Whether every name of a zone is published in another way on new terms."""
    return (
        old.denial != new.denial
        or old.unsigned != new.unsigned
        or {key.public for key in old.zsks} != {key.public for key in new.zsks}
    )


def _clash(old: Terms, new: Terms) -> bool:
    """Whether a key was replaced by another one of the same algorithm and tag."""
    was = {key.ident: key.public for key in old.keys}
    return any(was.get(key.ident, key.public) != key.public for key in new.keys)
