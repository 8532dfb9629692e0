"""What signing goes by: facts of the world, terms and serial of the next version, private keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from xfer.config_dnssec import DnssecPolicy, KeyLayout
from xfer.dnssec.ds import cds_of
from xfer.dnssec.keys import PROTOCOL, SigningKey
from xfer.dnssec.keyset import LONGEST
from xfer.dnssec.keystate import ZoneKeys
from xfer.dnssec.layout import layout_of
from xfer.dnssec.publication import publication
from xfer.dnssec.recipe import negative_ttl
from xfer.dnssec.signing import Terms
from xfer.dnssec.timing import Facts
from xfer.errors import XferError
from xfer.journal import Journal
from xfer.server.executor import Executor
from xfer.server.keystore import KeyStore
from xfer.server.serials import last_given, next_serial
from xfer.server.signed import Signing
from xfer.server.signing_terms import denial_of, policy_of, seen_at_secondaries
from xfer.server.zones import Zone
from xfer.wire.records import CDNSKEY, DNSKEY, soa_fields, split
from xfer.wire.serial import newer
from xfer.zone.snapshot import APEX, Snapshot

_NONE: Final = frozenset[bytes]()
MOST_FOREIGN: Final = 64  # DNSKEYs in the content; a validator tries only a few


@attrs.define(eq=False)
class Basis:
    """Reads; changes nothing but what `Signing` remembers of the private keys."""

    journal: Journal
    store: KeyStore
    executor: Executor

    async def facts(self, zone: Zone, signing: Signing, content: Snapshot) -> Facts:
        """What is known of content, secondaries and parent. Raises XferError for too many keys."""
        expire = soa_fields(content.soa)[5]
        dnskeys = content.rrset(APEX, DNSKEY)
        if len(dnskeys) > MOST_FOREIGN:
            raise XferError(
                f"expected at most {MOST_FOREIGN} DNSKEYs in the content of {zone.name}, got "
                f"{len(dnskeys)}"
            )
        # Where somebody else signs the DNSKEY RRset, what the content has of it is left out.
        known = signing.keys or ZoneKeys(zone.origin)
        elsewhere = layout_of(known, policy_of(zone)) is KeyLayout.ZSK
        foreign = set() if elsewhere else {split(record)[4] for record in dnskeys}
        return Facts(
            zone_max_ttl=await self.executor.run(signing.ttls.of, content),
            negative_ttl=negative_ttl(content.soa),
            expire=expire,
            secondaries=seen_at_secondaries(zone, expire),
            ds=signing.ds,
            foreign=frozenset(rdata for rdata in foreign if _is_key(rdata))
            - await self.removed(zone, signing, content),
        )

    async def removed(self, zone: Zone, signing: Signing, content: Snapshot) -> frozenset[bytes]:
        """DNSKEY rdata in the content of keys that were ours, and are no more.

        They came back by an old export, or never left where the content is from. Whom the operator
        has named as another signer's, or what comes while a zone moves between signers, is none of
        them: another signer may have been given the key.
        """
        keys = signing.keys
        if keys is None or keys.joining or keys.leaving:
            return _NONE
        there = {
            split(record)[4] for rtype in (DNSKEY, CDNSKEY) for record in content.rrset(APEX, rtype)
        }
        there -= {key.public for key in keys.keys}
        there -= {key.public for key in keys.foreign if not key.content}
        if not there:
            return _NONE
        return await self.executor.run(self.store.ever, zone.origin) & there

    async def terms(
        self, zone: Zone, signing: Signing, keys: ZoneKeys, policy: DnssecPolicy
    ) -> Terms:
        """What the next version has to look like. Raises XferError where a key cannot be had."""
        wanted = publication(keys, policy)
        if wanted.unsigned:
            return Terms(unsigned=True)
        here = {key.ident for key in keys.keys if not key.elsewhere}
        key_signers = wanted.key_signers & here
        held = await self._keys(zone, signing, key_signers | wanted.zone_signers)
        content = zone.content
        removed = _NONE if content is None else await self.removed(zone, signing, content)
        return Terms(
            apex=wanted.records(),
            ksks=tuple(held[ident] for ident in sorted(key_signers)),
            zsks=tuple(held[ident] for ident in sorted(wanted.zone_signers)),
            presigned=wanted.presigned,
            without=removed | {cds_of(zone.origin, public) for public in removed},
            denial=denial_of(zone, policy),
            validity=policy.signature_validity,
            refresh=policy.signature_refresh,
            jitter=policy.signature_jitter,
            inception_offset=policy.signature_inception,
            zonemd=policy.zonemd,
        )

    async def _keys(
        self, zone: Zone, signing: Signing, idents: frozenset[str]
    ) -> Mapping[str, SigningKey]:
        """The keys with these idents; read from disk where one was not needed until now."""
        if not idents <= signing.held.keys():
            loaded = await self.executor.run(self.store.load, zone.origin)
            signing.held = {ident: pair.key for ident, pair in loaded.keys.items()}
            missing = sorted(idents - signing.held.keys())
            if missing:
                place = self.store.zone_directory(zone.origin)
                why = "; ".join(map(str, loaded.problems)) or "no such files"
                raise XferError(
                    f"expected the key {missing[0]} of {zone.name} in {place}, got {why}: what is "
                    "served stays as it is while its signatures hold; bring the files back from a "
                    "backup"
                )
        return signing.held

    async def serial(self, zone: Zone, content: Snapshot, now: float) -> int:
        """Of the next version: the content's own where secondaries follow that."""
        newest = await self.executor.run(self.journal.latest, zone.origin)
        if newest is None:
            return content.serial
        last = last_given(newest.serial, [zone.serial, *zone.known_serials()])
        if newer(content.serial, last):
            return content.serial
        return next_serial(zone.config.serial, last, now)


def _is_key(rdata: bytes) -> bool:
    """Whether that DNSKEY can be one by which somebody signs (RFC 4034 §2.1.2)."""
    return rdata[2] == PROTOCOL and len(rdata) <= LONGEST
