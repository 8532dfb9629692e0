"""The next published version where little changed: its changes are signed, and their neighbours.

                      ┌────────────── NSEC: NEIGHBOURS ──────────────┐
    RENEW ─> CUTS ─> BELOW ────────── none ────────────────────────> SIGN ─> APPLY ─> DONE
                      └─ NSEC3: INDEX ─> STANDING ─> RING ───────────┘

RENEW finds signatures that end soon; CUTS delegations and DNAMEs that came or went, and BELOW the
names below those; NEIGHBOURS the names whose NSEC record names another one now. For NSEC3, INDEX
finds what hashes there are, STANDING which names come into the chain, leave it or have other types,
RING the hashes before those that come and go. SIGN makes records, APPLY the version.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Final

from xfer.answer.nsec3 import Chain, Index, digest_of, owner_of
from xfer.dnssec.content import OCCLUDED, Content, spelling_of, status_of
from xfer.dnssec.expiry import Expiries, due_in
from xfer.dnssec.hashed import Hashed, bitmap_in, existed, parent, standing
from xfer.dnssec.recipe import Recipe, Sign
from xfer.dnssec.ring import Changed, collision
from xfer.dnssec.rrsig import by_rrset
from xfer.dnssec.work import signatures
from xfer.wire.names import wire_of
from xfer.wire.parse import Batch
from xfer.wire.records import DNAME, NS, NSEC, NSEC3, Spelling
from xfer.zone.apply import Applier
from xfer.zone.block import Block
from xfer.zone.changeset import Changeset, Edits
from xfer.zone.check import Policy
from xfer.zone.deltas import Deltas
from xfer.zone.snapshot import APEX, Snapshot

FEW: Final = 5_000  # owner names to look at; where there are more, the whole zone is gone over
_STEP: Final = 64  # owner names looked at in a step


Look = Callable[[bytes], None]


class Phase(enum.Enum):
    """What is being done; see the diagram above."""

    RENEW = 0
    CUTS = 1
    BELOW = 2
    NEIGHBOURS = 3
    INDEX = 4
    STANDING = 5
    RING = 6
    SIGN = 7
    APPLY = 8
    DONE = 9


class Memory:
    """What is known of a zone's published versions, to be handed from one signer to the next."""

    def __init__(self) -> None:
        self.index: Index | None = None
        self.expiries: Expiries | None = None


class LocalSigner:
    """Makes the next published version of owner names that changed.

    published: the version before, made on the same terms but for what is at the apex; content: what
    is to be published; touched: owner names of which it has other records now, the apex among them;
    renew: how many signatures that end soon are renewed besides; memory, policy: see
    `ChangeSigner`. `step` until it says False; `too_much` then says that the whole zone has to be
    gone over, else `snapshot` and `changeset` are there.
    """

    def __init__(
        self,
        published: Snapshot,
        content: Content,
        recipe: Recipe,
        signs: Sequence[Sign],
        touched: set[bytes],
        renew: int,
        memory: Memory,
        policy: Policy,
    ) -> None:
        self._published = published
        self._content = content
        self._recipe = recipe
        self._signs = signs
        self._touched = touched
        self._left = min(renew, FEW)  # signatures to renew
        self._memory = memory
        self._policy = policy
        self._preparer = recipe.preparer()
        denial = recipe.denial
        self._chain = Chain(denial.parameters) if denial.kind == "nsec3" else None
        self._hashed: Hashed | None = None
        if self._chain is not None:
            self._hashed = Hashed(self._preparer, denial.parameters, denial.opt_out)
        self._index: Index | None = None
        self._expiries: Expiries | None = None
        self._due: list[Block] | None = None
        self._phase = Phase.RENEW if renew > 0 else Phase.CUTS
        self._names: list[bytes] = sorted(touched)  # to be looked at in this phase …
        self._at = 0  # … of which these were
        self._below: list[bytes] = []  # cuts that came or went
        self._also: set[bytes] = set()
        self._named: dict[bytes, bytes] = {}  # hash → name, of those that have a record
        self._bitmaps: dict[bytes, bytes] = {}  # … and what stands in it
        self._added: list[bytes] = []
        self._removed: set[bytes] = set()
        self._records: dict[bytes, bytes] = {}  # hashed owner → NSEC3 record, b"" where it goes
        self._edits = Edits()
        self._applier: Applier | None = None
        self.made = 0
        self.too_much = False

    def step(self) -> bool:
        """Do a bounded piece of the work; False when there is no more."""
        match self._phase:
            case Phase.RENEW:
                self._renew()
            case Phase.CUTS:
                self._each(self._look_for_cut, Phase.BELOW)
            case Phase.BELOW:
                self._reclassify()
            case Phase.NEIGHBOURS:
                self._each(self._look_before, Phase.SIGN)
            case Phase.INDEX:
                self._find_hashes()
            case Phase.STANDING:
                self._each(self._look_up, Phase.RING)
            case Phase.RING:
                self._make_chain()
            case Phase.SIGN:
                self._sign()
            case Phase.APPLY:
                assert self._applier is not None
                if not self._applier.step():
                    self._phase = Phase.DONE
            case Phase.DONE:
                return False
        return self._phase is not Phase.DONE

    def _renew(self) -> None:
        if self._expiries is None:
            self._expiries = Expiries(
                self._published, self._memory.expiries, self._recipe.presigned
            )
        if self._due is None:
            if not self._expiries.step():
                self._memory.expiries = self._expiries
                self._due = self._expiries.blocks(self._recipe.keep)
                self._due.reverse()
        elif self._due and self._left > 0:
            names = due_in(self._due.pop(), self._recipe.keep)[: self._left]
            self._left -= len(names)
            self._also.update(names)
        else:
            self._phase = Phase.CUTS

    def _each(self, look: Look, then: Phase) -> None:
        """Look at the next names; when all are done, on to another phase."""
        stop = min(self._at + _STEP, len(self._names))
        for name in self._names[self._at : stop]:
            look(name)
        self._at = stop
        if stop == len(self._names):
            self._go_to(then)

    def _go_to(self, phase: Phase) -> None:
        self._phase = phase
        self._at = 0
        if phase is Phase.STANDING:
            names = set(self._touched)
            for name in self._touched:
                while name != APEX:
                    name = parent(name)
                    names.add(name)
            self._names = sorted(names)
        elif phase is Phase.SIGN:
            self._names = sorted(self._touched | self._also | set(self._records))
        else:
            self._names = sorted(self._touched)

    def _look_for_cut(self, key: bytes) -> None:
        published = self._published
        was = bool(published.rrset(key, DNAME) or (key != APEX and published.rrset(key, NS)))
        if was != self._content.is_cut(key):
            self._below.append(key)

    def _reclassify(self) -> None:
        """Look at all names below a cut that came or went; then on with the chain."""
        if self._below:
            cut = self._below.pop()
            names = self._content.names_below(cut, cut, FEW)
            self._touched.update(names)
            if len(names) == FEW or len(self._touched) > FEW:
                self._give_up()
        elif self._chain is not None:
            self._go_to(Phase.INDEX)
        elif self._recipe.denial.kind == "nsec":
            if self._published.rrset(APEX, NSEC):
                self._go_to(Phase.NEIGHBOURS)
            else:
                self._give_up()
        else:
            self._go_to(Phase.SIGN)

    def _give_up(self) -> None:
        self.too_much = True
        self._phase = Phase.DONE

    def _look_before(self, key: bytes) -> None:
        if key != APEX:
            self._also.add(self._content.before(key))

    def _find_hashes(self) -> None:
        chain = self._chain
        assert chain is not None
        if self._index is None:
            self._index = Index(self._published, [chain], self._memory.index)
        if self._index.step():
            return
        self._memory.index = self._index
        apex = chain.hash(self._content.origin)
        if chain.count and chain.floor(apex) == apex:
            self._go_to(Phase.STANDING)
        else:
            self._give_up()

    def _look_up(self, name: bytes) -> None:
        """See what becomes of a name's NSEC3 record."""
        chain = self._chain
        assert chain is not None
        origin = self._content.origin
        digest = chain.hash(wire_of(name, origin))
        present = chain.floor(digest) == digest
        bitmap = standing(self._content, self._preparer, name, self._recipe.denial.opt_out)
        if bitmap is None:
            if present and digest not in self._bitmaps:
                self._removed.add(digest)
            return
        if self._named.setdefault(digest, name) != name or (
            present and not existed(self._published, name)
        ):
            raise collision(origin)
        self._removed.discard(digest)
        self._bitmaps[digest] = bitmap
        if not present:
            self._added.append(digest)

    def _make_chain(self) -> None:
        """Make the NSEC3 records that differ."""
        chain, hashed = self._chain, self._hashed
        assert chain is not None and hashed is not None
        changed = Changed(chain, self._added, self._removed)
        digests = set(self._bitmaps)
        for digest in (*self._added, *self._removed):
            digests.add(changed.before(digest))
        for digest in digests:
            owner = owner_of(digest)
            bitmap = self._bitmaps.get(digest)
            if bitmap is None:
                old = [r for r in self._published.rrset(owner, NSEC3) if hashed.own(r)]
                if len(old) != 1:
                    self._give_up()
                    return
                bitmap = bitmap_in(old[0])
            self._records[owner] = hashed.record(digest, changed.after(digest), bitmap)
        for digest in self._removed:
            self._records[owner_of(digest)] = b""
        self._go_to(Phase.SIGN)

    def _sign(self) -> None:
        """Make the records of the next owner names; when all are done, apply them."""
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
            have = by_rrset(records)
            group = content.owner(key)
            if group:
                spelling.update(content.spelling(key))
                cut = content.cut_above(key)
                status = OCCLUDED if cut else status_of(key, group)[0]
                after = b"" if cut else content.after(key)
                preparer.owner(key, group, status, after, have)
            if self._hashed is not None:
                record = self._record_at(key, records)
                if record:
                    self._hashed.sign(record, have)
        self._at = stop
        made = signatures(preparer, self._signs)
        self.made += len(made)
        self._edits.compare(old, preparer.finish(made), was, spelling)
        if stop == len(self._names):
            self._applier = self._apply()
            self._phase = Phase.APPLY

    def _record_at(self, key: bytes, records: list[bytes]) -> bytes:
        """The NSEC3 record that stands at an owner name now, b"" without."""
        found = self._records.get(key)
        if found is not None or not digest_of(key):
            return found or b""
        start = key + bytes((0, NSEC3))
        assert self._hashed is not None
        for record in records:
            if record.startswith(start) and self._hashed.own(record):
                return record
        return b""

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
        """The new version."""
        assert self._applier is not None
        return self._applier.snapshot()

    def changeset(self) -> Changeset:
        """What leads to it from the published version."""
        assert self._applier is not None
        return self._applier.changeset()
