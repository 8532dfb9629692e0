"""Whether what a zone's signers and its parent publish goes together, for a step of a migration.

Every function gives sentences: what is lacking, at which server; none where all is as it has to be
(RFC 8901 §2.1.2: each signer publishes the keys by which the others sign). Where nobody could be
asked, that is what is lacking: a step is never taken on what nobody has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xfer.dnssec.algorithms import algorithm_text
from xfer.dnssec.ds import DELETE_CDNSKEY, DELETE_CDS, ds_from
from xfer.dnssec.elsewhere import RrsetAnswer, Sides, SignerSaid
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keys import SEP
from xfer.dnssec.keystate import KeyState
from xfer.errors import KeyRefused
from xfer.wire import names

NOBODY = "nobody is known to ask: write `other_signers` in the zone's config"
MOST_TTL = 30 * 86400
"""A longer TTL of others counts as this one: it would stop a migration for years, and caches drop
records after a week or less (RFC 8767 §4)."""
NO_PARENT = "nobody is known to ask: write `parent` in the zone's [dnssec_policy]"


def keys_there(sides: Sides, ours: Iterable[KeyState]) -> list[str]:
    """What the other signers lack of our keys that sign the zone."""
    wanted = list(ours)
    return [
        f"{said.server} has not got our DNSKEY {key.ident}"
        for said in sides.signers
        for key in wanted
        if not said.error and key.public not in _rdata(said.dnskeys)
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
    """The DNSKEYs by which a server's answers are signed, or may be in caches or soon: those that
    have signed its SOA or NS, and those without the SEP bit; all where neither says anything."""
    keys = frozenset(one for one in _rdata(said.dnskeys) if len(one) > 4)
    signing = {one.ident for answer in (said.soa, said.ns) if answer for one in answer.signatures}
    found = frozenset(one for one in keys if ident_of(one) in signing or not one[1] & SEP)
    return found or keys


def algorithms(sides: Sides, ours: Iterable[bytes], wanted: Iterable[int]) -> list[str]:
    """Where another signer has keys of other algorithms than we, who sign with `wanted` (RFC 8901
    §4). ours: rdata of our own keys, which it may publish."""
    mine, here = frozenset(ours), frozenset(wanted)
    found = []
    for said in sides.signers:
        there = {one[3] for one in _rdata(said.dnskeys) - mine if len(one) > 4}
        if there and there != here:
            found.append(
                f"{said.server} signs with {_listed(there)}, and we with {_listed(here)}: all "
                "signers of a zone have to use the same algorithms (RFC 8901 §4)"
            )
    return found


def _listed(numbers: Iterable[int]) -> str:
    return " and ".join(f"{algorithm_text(one)} ({one})" for one in sorted(numbers))


def signed(sides: Sides, now: float) -> list[str]:
    """Which of the other signers do not serve the zone as validators want it: DNSKEY RRset and SOA
    signed, by keys that are in that RRset, and now."""
    found = []
    for said in sides.signers:
        known = {ident_of(one) for one in _rdata(said.dnskeys) if len(one) > 4}
        for what, answer in (("DNSKEY RRset", said.dnskeys), ("SOA", said.soa)):
            if answer is None:
                continue
            by = answer.signed_by(now)
            if not answer.signatures:
                found.append(f"{said.server} serves its {what} without a signature")
            elif not by:
                found.append(f"{said.server} serves its {what} with no signature that is valid now")
            elif not by & known:
                found.append(
                    f"{said.server} signs its {what} by DNSKEY {' and '.join(sorted(by))}, which "
                    "it does not publish"
                )
    return found


def chained(sides: Sides, origin: bytes, ds: Iterable[bytes], now: float) -> list[str]:
    """Which of the other signers have no key that signs their DNSKEY RRset, and whose DS is at the
    parent. ds: rdata of the DS there."""
    there = []
    for one in ds:
        try:
            there.append(ds_from(one))
        except KeyRefused:
            continue
    found = []
    for said in sides.signers:
        if said.dnskeys is None:
            continue
        keys = [one for one in said.dnskeys.rdata if len(one) > 4]
        tops = {ident_of(key) for key in keys if any(one.matches(origin, key) for one in there)}
        if not tops & said.dnskeys.signed_by(now):
            found.append(
                f"{said.server} signs its DNSKEY RRset by no key whose DS is at the parent"
            )
    return found


def for_parent(sides: Sides, origin: bytes, wanted: Iterable[bytes]) -> list[str]:
    """What the other signers publish as CDS or CDNSKEY that would take our DS from a parent that
    goes by it (RFC 8901 §8, RFC 7344 §4.1). wanted: rdata of our keys whose DS has to stay."""
    ours = list(wanted)
    found = []
    for said in sides.signers:
        cds, cdnskeys = _rdata(said.cds), _rdata(said.cdnskeys)
        if DELETE_CDS in cds or DELETE_CDNSKEY in cdnskeys:
            found.append(
                f"{said.server} publishes CDS in the delete form, by which a parent takes every DS "
                "away: have it publish none"
            )
            continue
        lacking = [
            f"the CDS of {ident_of(key)}"
            for key in ours
            if cds and not any(_is_of(one, origin, key) for one in cds)
        ] + [f"the CDNSKEY of {ident_of(key)}" for key in ours if cdnskeys and key not in cdnskeys]
        if lacking:
            found.append(
                f"{said.server} publishes CDS or CDNSKEY without ours, by which a parent would "
                f"take our DS away: have it publish {' and '.join(lacking)} too, or none at all; "
                "where the parent does not go by them, write `cds = false` in the policy"
            )
    return found


def _is_of(cds: bytes, origin: bytes, key: bytes) -> bool:
    try:
        return ds_from(cds).matches(origin, key)
    except KeyRefused:
        return False


def name_servers(sides: Sides, here: RrsetAnswer) -> list[str]:
    """Where the NS RRset is another one than ours."""
    ours = {names.lower(one) for one in here.rdata}
    found = []
    for place, answer in _places(sides):
        if answer is None:
            continue
        theirs = {names.lower(one) for one in answer.rdata}
        more = [f"has NS {_names(theirs - ours)}, which the zone here has not got"]
        less = [f"has not got NS {_names(ours - theirs)}, which the zone here has"]
        said = (more if theirs - ours else []) + (less if ours - theirs else [])
        found += [f"{place} {what}" for what in said]
    return found


def _names(these: Iterable[bytes]) -> str:
    return " ".join(names.to_text(one) for one in sorted(these))


def _places(sides: Sides) -> list[tuple[str, RrsetAnswer | None]]:
    return [
        *((f"the delegation at {said.server}", said.ns) for said in sides.parent),
        *((f"the zone at {said.server}", said.ns) for said in sides.signers),
    ]


def serials(sides: Sides, here: int | None) -> list[str]:
    """Where another signer's SOA serial is after ours: secondaries that change over would take our
    version for an older one (RFC 1982)."""
    return [
        f"{said.server} has serial {said.serial}, and we {here}, which secondaries that come from "
        "there take for older: serve a higher one before they do"
        for said in sides.signers
        if said.serial is not None
        and here is not None
        and 0 < (said.serial - here) & 0xFFFFFFFF < 1 << 31
    ]


def publishing(sides: Sides, key: bytes) -> list[str]:
    """Which of the other signers have that DNSKEY, and so may sign by it."""
    return [
        f"{said.server} publishes DNSKEY {ident_of(key)} still"
        for said in sides.signers
        if key in _rdata(said.dnskeys)
    ]


def unanswered(sides: Sides) -> list[str]:
    """Who of the other signers has not told what it publishes."""
    if not sides.signers:
        return [NOBODY]
    return [said.error for said in sides.signers if said.error]


def servers(
    sides: Sides,
    here: RrsetAnswer,
    named: Sequence[bytes],
    *,
    there: bool,
    silent: bool = False,
) -> list[str]:
    """Where the name servers `named` are not yet (there), or still, in the zone's NS RRset: at the
    parent, at the other signers, or here. named: lower-case wire names; silent: the other signers
    need not answer."""
    found = [f"{said.server} of the parent: {said.error}" for said in sides.parent if said.error]
    if not silent or not sides.signers:
        found += unanswered(sides)
    if not sides.parent:
        found.append(NO_PARENT)
    for place, answer in [*_places(sides), ("the zone here", here)]:
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
    return _waited_for(answer.ttl for answer in answers if answer is not None)


def dnskey_ttl(sides: Sides) -> int:
    """For how long caches may hold a DNSKEY RRset of another signer: the largest TTL, in seconds;
    0 where none has told it."""
    return _waited_for(said.dnskeys.ttl for said in sides.signers if said.dnskeys is not None)


def _waited_for(ttls: Iterable[int]) -> int:
    return min(max(ttls, default=0), MOST_TTL)


def dropped(sides: Sides, ours: Iterable[KeyState]) -> tuple[str, ...]:
    """Idents of our keys that a signer who has answered does not publish."""
    return tuple(
        key.ident
        for key in ours
        if any(
            said.dnskeys is not None and key.public not in said.dnskeys.rdata
            for said in sides.signers
        )
    )


def _rdata(answer: RrsetAnswer | None) -> frozenset[bytes]:
    return answer.rdata if answer is not None else frozenset()
