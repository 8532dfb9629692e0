"""What is known of a zone that is signed here: its keys, what was signed, what comes next.

Only the event loop touches it (`xfer.server.zones`); `xfer.server.signing` does the work. What a
restart has to know is a mark, which is committed with the version that it is true of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from xfer.dnssec.expiry import Expiries
from xfer.dnssec.keyjson import decoded, encoded
from xfer.dnssec.keys import SigningKey
from xfer.dnssec.signing import Memory
from xfer.dnssec.ttls import LargestTtl
from xfer.errors import JournalDamaged, XferError
from xfer.journal import Mark
from xfer.zone.snapshot import Snapshot

if TYPE_CHECKING:
    from xfer.dnssec.keystate import ZoneKeys
    from xfer.dnssec.parent import ParentSaid
    from xfer.dnssec.terms import Terms
    from xfer.dnssec.timing import DsSeen

MARK = "dnssec"
KIND = "signed"  # of the versions that are made here


@attrs.define(eq=False)
class Signing:
    """Of one zone.

    keys: their states, None before the first look; damaged: why what the journal has of them cannot
    be read: then nothing is signed, for other keys would break the zone; made_of: root of the
    content that the served version was made of, b"" where nothing was served yet; print: of the
    terms that it was made on (`signing_terms.fingerprint`), terms: these themselves, None until
    they are needed; error: why what came is not served, or keys do not move, "" where all is well;
    failed_at: since when; renew_at: when its next signature has to be renewed, None where that was
    not looked up; ends_at: when its first signature ends; todo: what the operator has to do, a
    sentence each; kept, kept_until: why keys of other signers are published that have left the
    content, and until when; shares_asked_at: when other signers were asked for our keys; others:
    what is amiss with them, a sentence each; ds: at the parent as last seen; said: what came of the
    last look there, asked_at: when, asking: one runs; base: the content that the served version was
    made of, None where only the journal has it; ttls, expiries, memory: what is known of its
    blocks; keyset_told: what the log has said of signatures that somebody else makes
    (`signing_terms.keyset_news`); held: private keys by ident; seen: serials of its secondaries
    when its keys last waited for them; ahead: by how much the wall clock was ahead of the monotonic
    one when the times in `keys` were right, None before the first look.
    """

    keys: ZoneKeys | None = None
    damaged: str = ""
    made_of: bytes = b""
    print: str = ""
    terms: Terms | None = None
    error: str = ""
    failed_at: float | None = None
    renew_at: float | None = None
    ends_at: float | None = None
    todo: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    kept_until: float | None = None
    shares_asked_at: float | None = None
    others: tuple[str, ...] = ()
    ds: DsSeen | None = None
    said: ParentSaid | None = None
    asked_at: float | None = None
    asking: bool = False
    base: Snapshot | None = None
    ttls: LargestTtl = attrs.Factory(LargestTtl)
    expiries: Expiries | None = None
    memory: Memory = attrs.Factory(Memory)
    keyset_told: str = ""
    held: Mapping[str, SigningKey] = attrs.field(factory=dict, repr=False)
    seen: tuple[int | None, ...] = ()
    ahead: float | None = None

    @property
    def fresh(self) -> bool:
        """Whether nothing that was signed here was ever served."""
        return not self.made_of


@attrs.frozen
class CameSigned:
    """Signatures of a zone that comes with them (`xfer.server.came_signed`).

    ends_at: when the first one ends (Unix seconds), owner: whose that is; validity: for how many
    seconds that of the SOA record holds; warn_at: from when on its end is near; told: what the log
    has said, "near", "ended" or "" for neither.
    """

    ends_at: int
    owner: str
    validity: int
    warn_at: float = 0.0
    told: str = ""


def mark_of(origin: bytes, keys: ZoneKeys, made_of: bytes, print_: str) -> Mark:
    """What the journal remembers of it."""
    data: dict[str, Any] = {"keys": encoded(keys), "made_of": made_of.hex(), "terms": print_}
    return Mark(origin, MARK, data)


def restored(origin: bytes, marks: Sequence[Mark]) -> Signing | None:
    """What the marks of a zone say of its signing, None where they say nothing.

    Raises JournalDamaged for a mark that is no such thing.
    """
    for mark in marks:
        if mark.name != MARK:
            continue
        try:
            made_of, print_ = mark.data["made_of"], mark.data["terms"]
            if not isinstance(made_of, str) or not isinstance(print_, str):
                raise ValueError("no text")
            keys = decoded(mark.data["keys"])
            return Signing(keys, made_of=bytes.fromhex(made_of), print=print_)
        except (KeyError, ValueError, XferError) as error:
            raise JournalDamaged(
                f"expected the state of the keys in the mark {MARK!r}, got {error}"
            ) from error
    return None
