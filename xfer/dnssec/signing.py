"""Live signing: what makes published versions of a zone's content.

`Terms` say what a published version looks like. `WholeSigner` makes one from nothing (or goes over
all of the last one), `ChangeSigner` makes the next one of the last one and of what changed. Both
have the same use, which `finish` shows.
"""

from __future__ import annotations

from typing import Protocol

from xfer.dnssec.change import ChangeSigner
from xfer.dnssec.local import Memory
from xfer.dnssec.recipe import Recipe, Sign
from xfer.dnssec.terms import Denial, Terms
from xfer.dnssec.whole import WholeSigner
from xfer.dnssec.work import Portion, Signed, sign
from xfer.zone.snapshot import Snapshot

__all__ = [
    "ChangeSigner",
    "Denial",
    "Memory",
    "Portion",
    "Signed",
    "Signer",
    "Terms",
    "WholeSigner",
    "finish",
    "sign",
]


class Signer(Protocol):
    """What makes a version; see `WholeSigner` for its use."""

    @property
    def recipe(self) -> Recipe: ...
    @property
    def signs(self) -> list[Sign]: ...
    @property
    def made(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    def step(self) -> bool: ...
    def take(self) -> list[Portion]: ...
    def give(self, signed: Signed) -> None: ...
    def snapshot(self) -> Snapshot: ...


def finish(signer: Signer) -> Snapshot:
    """The signed version, made here and now, in one go."""
    while signer.step() or signer.waiting:
        for portion in signer.take():
            signer.give(sign(signer.recipe, signer.signs, portion))
    return signer.snapshot()
