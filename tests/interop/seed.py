"""Which random edits a test makes."""

from __future__ import annotations

import os
import random


def drawn() -> int:
    """The seed, which is printed: SEED in the environment says which; else CI takes the same one
    each time, as hypothesis does there, and everybody else a new one."""
    fixed = "1" if os.environ.get("CI") == "true" else random.randrange(1 << 32)
    seed = int(os.environ.get("SEED", fixed))
    print(f"SEED={seed}")
    return seed
