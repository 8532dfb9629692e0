"""A portion of a zone to sign, and signing it: a function of its arguments, for any process.

The parts that prepare and finish are kernel code; the loop between them is not, so that other
threads get their turn between two signatures.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from xfer.answer.nsec3 import hash_name
from xfer.dnssec.hashed import Hashed, hashed_names
from xfer.dnssec.portion import prepare
from xfer.dnssec.recipe import Recipe, Sign
from xfer.dnssec.rrsig import Preparer, by_rrset
from xfer.wire.names import wire_of


class Task(enum.Enum):
    """What is to be done with a portion."""

    SIGN = "sign"
    HASH = "hash"


@attrs.frozen
class Portion:
    """A run of owner names of a zone, in order.

    number: counts the portions of a version; task: SIGN, or HASH where entries are to be made for
    NSEC3; records: of the content, whole owner names, sorted; cut: the delegation or DNAME owner
    above the first of them, b"" without; before: the last name before them that is not occluded;
    after: the next owner name of the NSEC chain behind them, b"" for the first; old: the published
    records in that range; entries: of the NSEC3 records in that range (`xfer.dnssec.ring`);
    following: the hash behind them.
    """

    number: int
    task: Task
    records: list[bytes]
    cut: bytes
    before: bytes
    after: bytes
    old: list[bytes]
    entries: list[bytes]
    following: bytes


@attrs.frozen
class Signed:
    """What became of a portion: records sorted, or entries; made: how many signatures were made."""

    number: int
    records: list[bytes]
    made: int


def signatures(preparer: Preparer, signs: Sequence[Sign]) -> list[bytes]:
    """The signatures of all that was prepared."""
    return [signs[key](data) for data, key in zip(preparer.data, preparer.keys, strict=True)]


def sign(recipe: Recipe, signs: Sequence[Sign], portion: Portion) -> Signed:
    """Do what is to be done. signs: `SigningKey.sign` of each key of `Terms.keys`, in order."""
    if portion.task is Task.HASH:
        return Signed(portion.number, _hash(recipe, portion), 0)
    preparer = recipe.preparer()
    old = by_rrset(portion.old)
    prepare(preparer, portion.records, portion.cut, portion.after, old)
    denial = recipe.denial
    if portion.entries:
        hashed = Hashed(preparer, denial.parameters, denial.opt_out)
        hashed.take(portion.entries, portion.following, old)
    made = signatures(preparer, signs)
    return Signed(portion.number, preparer.finish(made), len(made))


def _hash(recipe: Recipe, portion: Portion) -> list[bytes]:
    denial = recipe.denial
    names, bitmaps = hashed_names(
        recipe.preparer(), portion.records, portion.cut, portion.before, denial.opt_out
    )
    origin, salt, iterations = recipe.origin, denial.salt, denial.iterations
    return [
        hash_name(wire_of(name, origin), salt, iterations) + bitmap
        for name, bitmap in zip(names, bitmaps, strict=True)
    ]
