"""The ZONEMD record of a version that is being signed (RFC 8976 §3), with its signatures.

The version is made with a ZONEMD record without digest, so that NSEC or NSEC3 at the apex tell of
it. Neither that nor its RRSIG is part of the digest, which is put in when all else is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from xfer.dnssec.content import zonemd_of
from xfer.dnssec.recipe import Recipe, Sign
from xfer.dnssec.work import signatures
from xfer.wire.records import RRSIG, ZONEMD
from xfer.zone.block import Block
from xfer.zone.changeset import Changeset, Edits
from xfer.zone.snapshot import APEX, Snapshot
from xfer.zone.zonemd import SHA384, Digester


class DigestSigner:
    """Puts the digest into a version with a ZONEMD record of `zonemd_of` at its apex.

    Use: `step` until it says False; then `snapshot`, and `changeset` that leads there.
    """

    def __init__(self, snapshot: Snapshot, recipe: Recipe, signs: Sequence[Sign]) -> None:
        self._snapshot = snapshot
        self._recipe = recipe
        self._signs = signs
        self._digester = Digester(snapshot, [SHA384])
        self._edits = Edits()
        self._made: Snapshot | None = None
        self.made = 0

    def step(self) -> bool:
        """Do a bounded piece of the work; False when all is done."""
        if self._made is not None:
            return False
        if not self._digester.step():
            self._made = self._replace(self._digester.digests()[SHA384])
        return self._made is None

    def _replace(self, digest: bytes) -> Snapshot:
        snapshot = self._snapshot
        preparer = self._recipe.preparer()
        record = zonemd_of(snapshot.soa, digest)
        preparer.rrset(APEX, snapshot.origin, ZONEMD, [record], {})
        made = signatures(preparer, self._signs)
        self.made = len(made)
        blocks = list(snapshot.blocks)
        coming = preparer.finish(made)
        for covered in (ZONEMD, 0):
            kind = snapshot.rrset(APEX, RRSIG, covered) if covered else snapshot.rrset(APEX, ZONEMD)
            if not kind:
                continue
            # An RRset is all in one block, so what comes stands where the other one stood.
            at = snapshot.seek(kind[0])[0]
            rtype = RRSIG if covered else ZONEMD
            new = [each for each in coming if each[2] == rtype]
            gone = set(kind)
            records = [each for each in blocks[at].records() if each not in gone]
            records.extend(new)
            records.sort()
            blocks[at] = Block.make(records, blocks[at].spelling())
            self._edits.compare(kind, new, {}, {})
        after = Snapshot(snapshot.origin, blocks)
        after.zonemd = "verified (SHA-384)"
        return after

    def snapshot(self) -> Snapshot:
        """The version with its digest."""
        assert self._made is not None
        return self._made

    def changeset(self) -> Changeset:
        """What leads to it from the version without."""
        return self._edits.changeset(self._snapshot, self.snapshot())
