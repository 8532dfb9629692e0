"""What a run has found, as text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.answers.allowed import RULES
from tests.answers.compare import Tally
from tests.answers.kinds import KINDS
from tests.answers.world import PEERS

NAMES = (*PEERS, "xfer")
PAIRS = list(itertools.combinations(NAMES, 2))


def lines(tally: Tally, show: int) -> Iterator[str]:
    """The tables, and the first `show` findings whole."""
    heads = "".join(f"{f'{a}/{b}':>14}" for a, b in PAIRS)
    yield f"{'kind of answer':34}{'queries':>9}{heads}"
    yield f"{'':34}{'':>9}{'differences (not explained) of each pair':>50}"
    for kind in sorted(tally.asked, key=lambda k: (KINDS.index(k) if k in KINDS else 99, k)):
        row = ""
        for a, b in PAIRS:
            count = tally.differences[kind, a, b]
            left = tally.unexplained[kind, a, b]
            row += f"{f'{count} ({left})' if count else '0':>14}"
        yield f"{kind:34}{tally.asked[kind]:9,}{row}"
    yield ""
    yield f"{'allowed difference':34}{'':9}{heads}"
    for rule in RULES:
        row = "".join(f"{tally.hits[rule.name, a, b]:14,}" for a, b in PAIRS)
        yield f"{rule.name:34}{'':9}{row}"
        yield f"    {rule.rfc}"
    yield ""
    signed = ", ".join(f"{kind} {count:,}" for kind, count in sorted(tally.checked.items()))
    yield f"judged by the validator: {sum(tally.checked.values()):,}: {signed}"
    yield f"findings: {len(tally.findings)}"
    for finding in tally.findings[:show]:
        yield ""
        yield str(finding)
