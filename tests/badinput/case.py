"""A line of the table of bad input: what is wrong, where, and what has to be said about it.

`expected` and `got` are parts of the two halves of the sentence; in both, {place} becomes "the
first message" or "message 3", and {n} the number of answer records in that message; " … " stands
for anything. A case without
`tsig` is tried both signed and unsigned; signed, the fault is in the message before it is signed,
so a TSIG error would be the wrong thing to report.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tests.badinput.primary import (
    ORIGIN,
    Draft,
    Edit,
    Fault,
    name,
)
from xfer.errors import Failure
from xfer.zone.check import Policy

POSITIONS = {"first": 0, "middle": 2, "last": 4}
PLACES = {"first": "the first message", "middle": "message 3", "last": "message 5"}
ANSWERS = {"first": 3, "middle": 3, "last": 4}
ALL = ("first", "middle", "last")
LATER = ("middle", "last")
BOTH = (False, True)
OFF, ON = (False,), (True,)

HOST = name("bad")
ADDRESS = b"\x0a\x00\x00\xff"
LONG_LABEL = b"\x3f" + b"a" * 63
NAME_255 = 3 * LONG_LABEL + b"\x31" + b"b" * 49 + ORIGIN  # 192 + 50 + 13
NAME_256 = 3 * LONG_LABEL + b"\x32" + b"b" * 50 + ORIGIN
assert len(NAME_255) == 255


@attrs.frozen
class Case:
    """One line of the table.

    unsigned_messages: what the secondary allows in a row; placed: the sentence has to end with the
    message in which the fault stands.
    """

    title: str
    fault: Fault
    failure: Failure
    expected: str
    got: str
    where: tuple[str, ...] = ALL
    tsig: tuple[bool, ...] = BOTH
    policy: Policy = attrs.Factory(Policy)
    unsigned_messages: int = 99
    placed: bool = False


def edit(change: Edit) -> Fault:
    return Fault(edit=change)


def put(record: bytes) -> Fault:
    return Fault(edit=lambda draft: draft.put(record))


def put_at(make: Callable[[int], bytes]) -> Fault:
    return Fault(edit=lambda draft: draft.put_at(make))


def changed(**values: object) -> Fault:
    def change(draft: Draft) -> None:
        for key, value in values.items():
            setattr(draft, key, value)

    return Fault(edit=change)


def miscounted(section: int, by: int) -> Fault:
    def change(draft: Draft) -> None:
        draft.counts[section] = len(draft.sections()[section]) + by

    return Fault(edit=change)


def asking(question: bytes) -> Fault:
    return changed(questions=[question])


def with_flags(flags: int) -> Fault:
    return changed(flags=flags)


def protocol(title: str, fault: Fault, expected: str, got: str, **more: object) -> Case:
    return attrs.evolve(
        Case(title, fault, Failure.PROTOCOL, expected, got, placed=True),
        **more,  # type: ignore[arg-type]
    )
