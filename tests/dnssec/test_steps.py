"""Signing works in bounded steps (DESIGN §2), wherever the hashes of names lie."""

from __future__ import annotations

import time

import pytest

from tests.dnssec.signed import NOW, build, rng, terms
from tests.strategies import ORIGIN, apex, host, wire
from xfer import kernel
from xfer.dnssec.local import Memory
from xfer.dnssec.recipe import Sign
from xfer.dnssec.signing import ChangeSigner, Denial, Signer, WholeSigner, sign
from xfer.wire import names
from xfer.wire.records import A, make
from xfer.zone.changeset import diff
from xfer.zone.snapshot import Snapshot

pytestmark = pytest.mark.usefixtures("no_collector")

# 5 ms is the aim for compiled code on an idle machine.
MARGIN = 0.1 if kernel.form() == "compiled" else 0.5
HOSTS = 15_000


def run(signer: Signer) -> tuple[Snapshot, float, int]:
    """The signed version, processor seconds of its longest step, records in its largest portion."""
    longest, most = 0.0, 0
    fake: list[Sign] = [lambda data: b"x" * 64 for _ in signer.signs]
    while True:
        began = time.thread_time()
        going = signer.step()
        longest = max(longest, time.thread_time() - began)
        if not going and not signer.waiting:
            return signer.snapshot(), longest, most
        for portion in signer.take():
            most = max(most, len(portion.records), len(portion.entries))
            signer.give(sign(signer.recipe, fake, portion))


@pytest.mark.parametrize("kind", ["nsec", "nsec3"])
def test_steps_and_portions_are_bounded(kind: str) -> None:
    on = terms(Denial(kind))
    content = build(apex() + [host(number) for number in range(HOSTS)])
    signed, longest, most = run(WholeSigner(content, on, 2, NOW, rng()))
    assert signed.count > 4 * HOSTS
    assert longest < MARGIN
    assert most <= 1_100
    # From NSEC3, whose names lie all in a few places of the content, to NSEC and back.
    other = terms(Denial("nsec" if kind == "nsec3" else "nsec3"))
    swapped, longest, most = run(
        ChangeSigner(signed, content, None, on, other, 3, NOW, rng(), memory=Memory())
    )
    assert swapped.count > 4 * HOSTS
    assert longest < MARGIN
    assert most <= 1_100
    key = names.key_of(wire([b"new"], ORIGIN), ORIGIN)
    more = build(sorted([*content.records(), make(key, A, 60, b"\1\2\3\4")]))
    signer = ChangeSigner(swapped, more, diff(content, more), other, other, 4, NOW, rng())
    _, longest, _ = run(signer)
    assert not signer.whole
    assert longest < MARGIN
