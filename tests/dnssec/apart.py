"""Keys of which no two in a test run have the same tag.

Of two keys made at random, one pair in 65,536 has. The engine's own are made anew then, but what a
test makes for another signer knows nothing of those. Where tags are to be the same, tests say so
(`tests/dnssec/test_holder.py`).
"""

from __future__ import annotations

from xfer.dnssec import keys
from xfer.dnssec.idents import tags_of
from xfer.dnssec.keys import SigningKey

_tags: set[int] = set()


def make_key(algorithm: int, sep: bool, *, bits: int = 2048) -> SigningKey:
    """As `xfer.dnssec.keys.make_key`, whose place it takes in the key stores of tests too."""
    while True:
        made = keys.make_key(algorithm, sep, bits=bits)
        tags = set(tags_of(made.public))
        if _tags.isdisjoint(tags):
            _tags.update(tags)
            return made
