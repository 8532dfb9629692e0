"""Edits of an unsigned zone, signed by xfer: each one arrives as a delta everywhere, and validates.

After each edit the zone of each secondary passes `dnssec-verify` and `ldns-verify-zone`, holds just
what the primary has, and unbound finds its positive and negative answers secure. The short form
makes a few edits of a zone of each kind of denial; `make signed-edits` 300 of each, the algorithms
spread over them (SIGNED_EDITS in the environment says how many, SIGNED_KINDS which, as in
"nsec-13 opt-out-8", SEED which edits).
"""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.interop.live import Kind, World, running
from tests.interop.seed import drawn
from tests.interop.signed_content import questions

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DENIALS, ALGORITHMS = ("nsec", "nsec3", "opt-out"), (8, 13, 15)
SHORT = 3
KILLS = int(os.environ.get("SIGNED_EDITS", 20)) // 10


def kinds() -> list[Kind]:
    """Which zones: the short form has each denial and each algorithm once."""
    named = os.environ.get("SIGNED_KINDS", "").split()
    if named:
        parts = [name.rsplit("-", 1) for name in named]
        return [Kind(denial, int(algorithm)) for denial, algorithm in parts]
    if "SIGNED_EDITS" in os.environ:
        return [Kind(denial, algorithm) for denial in DENIALS for algorithm in ALGORITHMS]
    return [Kind("nsec", 13), Kind("nsec3", 15), Kind("opt-out", 8)]


def edits() -> int:
    """How many of each zone: those of one denial share what SIGNED_EDITS says."""
    wanted = kinds()
    return int(os.environ.get("SIGNED_EDITS", SHORT)) // max(
        sum(one.denial == kind.denial for one in wanted) for kind in wanted
    )


def edit_all(world: World, count: int, draw: random.Random) -> None:
    """So many edits of each zone; all that is promised holds after each."""
    for number in range(count):
        for zone in world.zones:
            lines = world.send(zone)
            print(f"{zone.name} edit {zone.editor.count}: {'; '.join(lines)}")
        # NSD drops connections when it has a new version of any zone.
        for zone in world.zones:
            world.settle(zone)
        for zone in world.zones:
            world.judge(zone)
            asked = questions(zone.content, zone.kind.denial == "opt-out", draw)
            assert len(asked) >= 6
            world.ask(zone, asked)
        if number % 20 == 19:
            print(f"{number + 1} edits", flush=True)


def test_every_edit_is_signed_and_validates_on_every_secondary() -> None:
    seed, count = drawn(), edits()
    with running(kinds(), seed, ["BIND", "Knot", "NSD", "xfer"]) as world:
        started = time.monotonic()
        edit_all(world, count, random.Random(seed))
        total = count * len(world.zones)
        print(f"{total} edits, {(time.monotonic() - started) / total:.2f} s each")
        for zone in world.zones:
            world.judge_transfers(zone)


def test_a_signer_that_is_killed_goes_on_with_its_keys_and_its_chain() -> None:
    seed = drawn()
    draw = random.Random(seed)
    with running([Kind("nsec", 15), Kind("nsec3", 13)], seed, ["BIND"]) as world:
        anchors = [zone.anchor for zone in world.zones]
        for _ in range(KILLS):
            for zone in world.zones:
                world.send(zone)
            time.sleep(draw.random() / 10)  # somewhere between nothing and all of it done
            world.signer.kill()
            world.signer.launch()
            world.signer.wait_answering()
            edit_all(world, 1, draw)
            assert [zone.anchor for zone in world.zones] == anchors
        for zone in world.zones:
            world.judge_transfers(zone)
