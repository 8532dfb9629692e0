"""The keys of a zone that is signed here go on by a step: what has to be made is made or found on
disk, and what nothing names any more is put aside."""

from __future__ import annotations

from functools import partial
from typing import Final

import attrs
import structlog

from xfer.config_dnssec import DnssecPolicy
from xfer.dnssec import commands, lifecycle, migration
from xfer.dnssec.keyfiles import KeyPair
from xfer.dnssec.keystate import ZoneKeys
from xfer.errors import XferError
from xfer.server.executor import Executor
from xfer.server.found_keys import served_before, unused
from xfer.server.keystore import KeyStore
from xfer.server.signed import Signing
from xfer.server.signing_basis import Basis
from xfer.server.signing_terms import taken_tags
from xfer.server.zones import Zone
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()

ROUNDS: Final = 4  # keys made in a row; each look needs one round, a rollover of all of them two


@attrs.frozen
class KeySteps:
    """store: of private keys; basis: what the next step is judged by."""

    store: KeyStore
    executor: Executor
    basis: Basis

    async def next(
        self, zone: Zone, signing: Signing, content: Snapshot, policy: DnssecPolicy, now: float
    ) -> lifecycle.Step:
        """The next step of the zone's keys, with those made that it asks for."""
        facts = await self.basis.facts(zone, signing, content)
        keys = signing.keys
        if keys is None:
            lying = await self._lying(zone)
            served = served_before(zone.origin, lying, facts.ds)
            keys = commands.enable(zone.origin, now, facts, policy, served=served)
        arrived = migration.with_content(keys, policy, now, facts)
        keys, signing.kept, signing.kept_until = arrived.zone, arrived.kept, arrived.at
        for _ in range(ROUNDS):
            step = lifecycle.advance(keys, policy, now, facts)
            if not step.generate:
                return step
            keys = step.zone
            for new in step.generate:
                found = unused(await self._lying(zone), new, keys)
                pair = found or await self._make(zone, new, keys, policy, now)
                event = "key made" if found is None else "key found"
                log.info(event, zone=zone.name, key=pair.key.ident, kind=new.role.value)
                keys = commands.add_made(keys, new, pair.key.public, now, policy)
                signing.keys = keys  # they are made, whatever comes of this look
        raise XferError(f"expected keys to be complete after {ROUNDS} rounds, got still more")

    async def put_away(self, zone: Zone, before: ZoneKeys | None, keys: ZoneKeys) -> None:
        """Put aside the files of keys that nothing that is stored names any more."""
        needed = {key.ident for key in keys.keys}
        for key in before.keys if before is not None else ():
            if key.ident not in needed:
                await self.executor.run(self.store.remove, zone.origin, key.ident, needed)

    async def _lying(self, zone: Zone) -> list[KeyPair]:
        """The keys in the zone's key directory."""
        return list((await self.executor.run(self.store.load, zone.origin)).keys.values())

    async def _make(
        self, zone: Zone, new: lifecycle.NewKey, keys: ZoneKeys, policy: DnssecPolicy, now: float
    ) -> KeyPair:
        make = partial(self.store.generate, bits=policy.rsa_bits, taken=taken_tags(keys))
        return await self.executor.run(make, zone.origin, new.algorithm, new.role.signs_keys, now)
