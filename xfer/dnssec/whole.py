"""Signing all of a zone, portion by portion; with a published version, its signatures are used.

content ──portions──> sign (threads, processes) ──in order──> Builder ──> the signed version
"""

from __future__ import annotations

import random

from xfer.dnssec.content import Apex, Content
from xfer.dnssec.digest import DigestSigner
from xfer.dnssec.portion import Portions
from xfer.dnssec.recipe import Recipe, apex_extra, recipe_of
from xfer.dnssec.ring import Ring
from xfer.dnssec.terms import Terms
from xfer.dnssec.work import Portion, Signed, Task
from xfer.errors import ZoneError
from xfer.wire.parse import Batch
from xfer.wire.records import Spelling
from xfer.zone.build import Builder
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot


class WholeSigner:
    """Makes a published version of the content.

    content: a version, signed or not; terms: what is to become of it; serial: of the published
    version; now: Unix seconds; rng: for the jitter; published: the version before, whose RRSIGs
    are kept where they fit, and whose blocks are shared; policy: checks of what is made.

    Use: `step` until it says False; sign what `take` gives (`xfer.dnssec.work.sign`, with `recipe`
    and `signs`) anywhere, and `give` it back, in any order; while `waiting`, `step` may have more
    to do after that. Then `snapshot`. `made` counts signatures.
    Raises ZoneError for terms that do not go together, ZoneRejected where the checks refuse.
    """

    def __init__(
        self,
        content: Snapshot,
        terms: Terms,
        serial: int,
        now: float,
        rng: random.Random,
        published: Snapshot | None = None,
        policy: Policy | None = None,
    ) -> None:
        presigned = bool(terms.presigned)
        apex = Apex(content, apex_extra(terms), serial, terms.zonemd, presigned, terms.without)
        self.recipe: Recipe = recipe_of(content.origin, apex.soa, terms, now, rng)
        self.signs = [key.sign for key in terms.keys]
        self.made = 0
        self._content = Content(content, apex)
        self._published = published
        # With NSEC3 the content is gone over twice: names are hashed first.
        self._ring: Ring | None = None
        if self.recipe.denial.kind == "nsec3":
            self._ring = Ring(content.origin)
            self._task = Task.HASH
            self._portions = Portions(self._content, None, None)
        else:
            self._task = Task.SIGN
            self._portions = Portions(self._content, published, None)
        self._cutting = True
        self._number = 0
        self._ready: list[Portion] = []
        self._signed: dict[int, Signed] = {}
        self._spelling: dict[int, Spelling] = {}  # by number of the portion
        self._passed_on = 0
        self._policy = policy or Policy()
        self._builder = Builder(content.origin, self._policy, published)
        self._zonemd = terms.zonemd
        self._digest: DigestSigner | None = None
        self._snapshot: Snapshot | None = None

    @property
    def waiting(self) -> int:
        """How many portions were made and did not come back."""
        return self._number - self._passed_on - len(self._signed)

    @property
    def finished(self) -> bool:
        """Whether `snapshot` may be asked for."""
        return self._snapshot is not None

    def step(self) -> bool:
        """Do a bounded piece of the work; False when there is nothing to do but signing."""
        signed = self._signed.pop(self._passed_on, None)
        if signed is not None:
            if self._task is Task.HASH:
                assert self._ring is not None
                self._passed_on += 1
                self._ring.add(signed.records)
                return True
            batch = Batch()
            batch.records = signed.records
            batch.spelling = self._spelling.pop(self._passed_on, {})
            self._passed_on += 1
            batch.octets = sum(map(len, signed.records))
            self._builder.add(batch)
            return True
        if self._cutting:
            self._cut()
            return True
        if self._passed_on < self._number or self._snapshot is not None:
            return False
        if self._task is Task.HASH:
            self._task = Task.SIGN
            self._portions = Portions(self._content, self._published, self._ring)
            self._cutting = True
            return True
        if self._digest is not None:
            if self._digest.step():
                return True
            self._snapshot = self._digest.snapshot()
            self.made += self._digest.made
        elif self._builder.step():
            return True
        elif self._zonemd:
            self._digest = DigestSigner(self._builder.snapshot(), self.recipe, self.signs)
            return True
        else:
            self._snapshot = self._builder.snapshot()
        return False

    def _cut(self) -> None:
        """Make the next portion."""
        part = self._portions
        self._cutting = part.step()
        if not part.ready:
            return
        self._ready.append(
            Portion(
                self._number,
                self._task,
                part.records,
                part.cut,
                part.before,
                part.after,
                part.old,
                part.entries,
                part.following,
            )
        )
        if part.spelling and self._task is Task.SIGN:
            self._spelling[self._number] = part.spelling
        self._number += 1

    def take(self) -> list[Portion]:
        """The portions made since the last call."""
        ready = self._ready
        self._ready = []
        return ready

    def give(self, signed: Signed) -> None:
        """A portion comes back."""
        self._signed[signed.number] = signed
        self.made += signed.made

    def snapshot(self) -> Snapshot:
        """The signed version; only after all came back and `step` said False."""
        if self._snapshot is None:
            raise ZoneError("expected a version that is signed, got one that is being signed")
        return self._snapshot
