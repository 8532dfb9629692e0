"""Keys that lie in the key directory while nothing is known of a zone's signing.

Either a process was killed between making them and serving them, or the journal was lost, and with
it the state of keys that the zone is signed with. In both cases they are the ones to begin with:
others would leave the first to lie about, and make the second bogus where there is a DS.
"""

from __future__ import annotations

from collections.abc import Iterable

from xfer.dnssec.commands import OwnKey
from xfer.dnssec.ds import ds_from
from xfer.dnssec.keyfiles import KeyPair
from xfer.dnssec.keys import SEP
from xfer.dnssec.keystate import Why, ZoneKeys
from xfer.dnssec.lifecycle import NewKey
from xfer.dnssec.timing import DsSeen
from xfer.server.signing_terms import own_keys


def named_by(seen: DsSeen | None, owner: bytes, pair: KeyPair) -> bool:
    """Whether the parent has a DS of that key."""
    rdata = seen.rdata if seen is not None else frozenset()
    public = pair.key.public
    return any(len(one) > 4 and ds_from(one).matches(owner, public) for one in rdata)


def served_before(
    owner: bytes, pairs: Iterable[KeyPair], seen: DsSeen | None
) -> tuple[OwnKey, ...]:
    """The keys that a zone goes on with, where the parent has a DS of one of them; else none."""
    found = list(pairs)
    if not any(named_by(seen, owner, pair) for pair in found):
        return ()
    return own_keys(pair.key for pair in found)


def unused(pairs: Iterable[KeyPair], new: NewKey, keys: ZoneKeys) -> KeyPair | None:
    """The newest key that can be what is to be made; None but for a zone's first ones."""
    if new.why is not Why.FIRST:
        return None
    known = {key.ident for key in keys.keys}
    fits = [
        pair
        for pair in pairs
        if pair.key.ident not in known
        and pair.key.algorithm == new.algorithm
        and bool(pair.key.flags & SEP) is new.role.signs_keys
    ]
    return max(fits, key=lambda pair: pair.times.get("Created", 0), default=None)
