"""Whether what a zone's signers and its parent publish goes together, for a step of a migration.

Every function gives sentences: what is lacking, at which server; none where all is as it has to be
(RFC 8901 §2.1.2: each signer publishes the keys by which the others sign). Where nobody could be
asked, that is what is lacking: a step is never taken on what nobody has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xfer.dnssec.elsewhere import RrsetAnswer, Sides, SignerSaid
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keys import SEP
from xfer.dnssec.keystate import KeyState
from xfer.wire import names

NOBODY = "nobody is known to ask: write `other_signers` in the zone's config"
NO_PARENT = "nobody is known to ask: write `parent` in the zone's [dnssec_policy]"


def keys_there(sides: Sides, ours: Iterable[KeyState]) -> list[str]:
    """What the other signers lack of our keys that sign the zone."""
    wanted = list(ours)
    return [
        f"{said.server} has not got our DNSKEY {key.ident}"
        for said in sides.signers
        for key in wanted
        if key.public not in _rdata(said.dnskeys)
    ] + unanswered(sides)


def keys_gone_there(sides: Sides, ours: Iterable[KeyState]) -> list[str]:
    """Which of our keys the other signers publish still."""
    mine = list(ours)
    return [
        f"{said.server} publishes our DNSKEY {key.ident} still"
        for said in sides.signers
        for key in mine
        if key.public in _rdata(said.dnskeys)
    ] + unanswered(sides)


def keys_here(sides: Sides, published: Iterable[bytes], ours: Iterable[bytes]) -> list[str]:
    """What we lack of the keys by which the others sign the zone. published: the DNSKEYs that we
    serve, ours: those that are our own; rdata."""
    known = frozenset(published) | frozenset(ours)
    return [
        f"{said.server} signs by DNSKEY {ident_of(rdata)}, which we do not publish"
        for said in sides.signers
        for rdata in sorted(zone_signers(said) - known)
    ] + unanswered(sides)


def zone_signers(said: SignerSaid) -> frozenset[bytes]:
    """The DNSKEYs by which a server's answers may be signed: those without the SEP bit, or all
    where each has it (one key for both)."""
    keys = frozenset(one for one in _rdata(said.dnskeys) if len(one) > 4)
    plain = frozenset(one for one in keys if not one[1] & SEP)
    return plain or keys


def unanswered(sides: Sides) -> list[str]:
    """Who of the other signers has not told what it publishes."""
    if not sides.signers:
        return [NOBODY]
    return [said.error for said in sides.signers if said.error]


def servers(sides: Sides, here: RrsetAnswer, named: Sequence[bytes], *, there: bool) -> list[str]:
    """Where the name servers `named` are not yet (there), or still, in the zone's NS RRset: at the
    parent, at the other signers, or here. named: lower-case wire names."""
    found = [f"{said.server} of the parent: {said.error}" for said in sides.parent if said.error]
    found += unanswered(sides)
    if not sides.parent:
        found.append(NO_PARENT)
    places: list[tuple[str, RrsetAnswer | None]] = [
        *((f"the delegation at {said.server}", said.ns) for said in sides.parent),
        *((f"the zone at {said.server}", said.ns) for said in sides.signers),
        ("the zone here", here),
    ]
    for place, answer in places:
        if answer is None:
            continue
        has = {names.lower(one) for one in answer.rdata}
        for name in named:
            if (name in has) is not there:
                verb = "has not got" if there else "still has"
                found.append(f"{place} {verb} NS {names.to_text(name)}")
    return found


def delegation_ttl(sides: Sides, here: RrsetAnswer) -> int:
    """For how long caches may hold an NS RRset of the zone: the largest TTL, in seconds."""
    answers = [here, *(said.ns for said in sides.parent), *(said.ns for said in sides.signers)]
    return max(answer.ttl for answer in answers if answer is not None)


def _rdata(answer: RrsetAnswer | None) -> frozenset[bytes]:
    return answer.rdata if answer is not None else frozenset()
