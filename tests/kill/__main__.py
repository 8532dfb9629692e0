"""`python -m tests.kill`: kill the daemon in every phase, print where it died and what served."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.kill import edits, losing, signing
from tests.kill.deaths import histogram, hits
from tests.kill.harness import PRIMARIES, Broken, Rounds
from tests.kill.plan import PHASES, POINTS

FORCED = 0.3  # share of the rounds in which `force-axfr --wait` asks, not the check at the start


def run(rounds: Rounds, times: int, each: int) -> list[str]:
    """Kill `times` times in all, `each` times in each row of POINTS, or more. Raises Broken."""
    for number in range(4 * times):
        counted = hits(rounds.deaths)
        enough = sum(counted[phase] for phase in PHASES) >= times
        if enough and all(counted[row] >= each for row in POINTS):
            break
        rare = [row for row in POINTS if counted[row] < each] or list(POINTS)
        started = time.monotonic()
        row = random.choice(rare)
        death = rounds.round(random.choice(POINTS[row]), forced=random.random() < FORCED)
        result = "lived on" if death is None else f"died {death.where}, {_served(death.new)} serves"
        spent = time.monotonic() - started
        print(f"{number + 1:4} {row}: {result} [{rounds.plan}] {spent:.1f} s", file=sys.stderr)
    else:
        raise Broken(f"not every phase was hit in {4 * times} rounds")
    rounds.finish()
    return histogram(rounds.deaths)


def _served(new: bool) -> str:
    return "the new version" if new else "the old version"


def _edits(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="xfer-kill-") as directory:
        try:
            if arguments.signing:
                with signing.SigningRounds(Path(directory)) as signed:
                    lines = signing.run(signed, arguments.times)
            elif arguments.lost_writes:
                lines = losing.run(Path(directory), arguments.times)
            else:
                with edits.EditRounds(Path(directory)) as rounds:
                    lines = edits.run(rounds, arguments.times)
        except Broken as broken:
            print(f"BROKEN: {broken}", file=sys.stderr)
            return 1
    print("\n".join(lines))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="kills at least")
    parser.add_argument("--each", type=int, default=5, help="kills in each phase at least")
    parser.add_argument("--records", type=int, default=20_000, help="of the zone")
    parser.add_argument("--primary", choices=list(PRIMARIES), default="knot")
    parser.add_argument(
        "--edits", action="store_true", help="kill while edits flow through to BIND and Knot"
    )
    parser.add_argument(
        "--signing", action="store_true", help="kill while a zone is signed and its keys roll"
    )
    parser.add_argument(
        "--lost-writes",
        action="store_true",
        help="no kill: record what the journal writes and syncs while edits flow, then crash at "
        "--times moments with everything lost that was not synced, or parts of it",
    )
    parser.add_argument("--seed", type=int, help="draws the same phases and delays again")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    random.seed(seed)
    if arguments.edits or arguments.lost_writes or arguments.signing:
        print(f"seed {seed}")
        return _edits(arguments)
    print(f"seed {seed}, {arguments.primary} with {arguments.records:,} records")
    with tempfile.TemporaryDirectory(prefix="xfer-kill-") as directory:
        try:
            with Rounds(
                Path(directory), size=arguments.records, primary=arguments.primary
            ) as rounds:
                lines = run(rounds, arguments.times, arguments.each)
        except Broken as broken:
            print(f"BROKEN: {broken}", file=sys.stderr)
            return 1
    print("\n".join(lines))
    print(f"{len(rounds.deaths)} kills; a complete version served after each, nothing was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
