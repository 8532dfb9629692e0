"""A portion of a zone to sign, and signing it: a function of its arguments, for any process.

The parts that prepare and finish are kernel code; the loop between them is not, so that other
threads get their turn between two signatures.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from xfer.dnssec.portion import prepare
from xfer.dnssec.recipe import Recipe, Sign
from xfer.dnssec.rrsig import Preparer


@attrs.frozen
class Portion:
    """A run of owner names of a zone, in order, to be signed.

    number: counts the portions of a version; records: of the content, whole owner names, sorted;
    cut: the delegation or DNAME owner above the first of them, b"" without; after: the next owner
    name of the NSEC chain behind them, b"" for the first; old: the published records in that range.
    """

    number: int
    records: list[bytes]
    cut: bytes
    after: bytes
    old: list[bytes]


@attrs.frozen
class Signed:
    """What became of a portion: records sorted; made: how many signatures were made."""

    number: int
    records: list[bytes]
    made: int


def signatures(preparer: Preparer, signs: Sequence[Sign]) -> list[bytes]:
    """The signatures of all that was prepared."""
    return [signs[key](data) for data, key in zip(preparer.data, preparer.keys, strict=True)]


def sign(recipe: Recipe, signs: Sequence[Sign], portion: Portion) -> Signed:
    """Sign a portion. signs: `SigningKey.sign` of each key of `Terms.keys`, in that order."""
    preparer = recipe.preparer()
    prepare(preparer, portion.records, portion.cut, portion.after, portion.old)
    made = signatures(preparer, signs)
    return Signed(portion.number, preparer.finish(made), len(made))
