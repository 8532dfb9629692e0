"""Zones that come signed: taken over with their keys, or served as they come."""

from __future__ import annotations

import attrs

from xfer.clock import Clock
from xfer.config_dnssec import KeyLayout
from xfer.config_keys import Dnssec
from xfer.dnssec import commands
from xfer.dnssec.keystate import ZoneKeys, ZoneState
from xfer.errors import StepRefused, XferError
from xfer.journal import Journal
from xfer.server import signed
from xfer.server.ds_watch import DsWatch
from xfer.server.executor import Executor
from xfer.server.keystore import KeyStore
from xfer.server.publish import Candidate, Publisher
from xfer.server.signed import KIND, Signing
from xfer.server.signing_basis import Basis
from xfer.server.signing_terms import own_keys, policy_of, signers_of
from xfer.server.zones import Zone
from xfer.wire.serial import newer
from xfer.zone.snapshot import Snapshot


@attrs.define(eq=False)
class SignedElsewhere:
    """All is done in the zone's turn."""

    journal: Journal
    publisher: Publisher
    store: KeyStore
    executor: Executor
    clock: Clock
    basis: Basis
    watch: DsWatch

    async def take_over(self, zone: Zone, signing: Signing, content: Snapshot) -> None:
        """Begin to sign what was signed elsewhere. Raises StepRefused.

        There may be a DS of its keys at the parent; then no validator would take it under others.
        So it is taken over with its own keys, or where there is no DS; until then it is served as
        it comes.
        """
        policy, now = policy_of(zone), self.clock.wall()
        facts = await self.basis.facts(zone, signing, content)
        loaded = await self.executor.run(self.store.load, zone.origin)
        held = [pair.key for pair in loaded.keys.values() if pair.key.public in facts.foreign]
        try:
            elsewhere = policy.keys is KeyLayout.ZSK  # then it waits for the DNSKEY RRset
            if not held and facts.ds is None and not elsewhere:
                raise StepRefused(
                    f"sign {zone.name} here",
                    "it comes signed by other keys, and nobody has said that the parent has no DS "
                    "of them",
                    f"import its keys (`xfer dnssec import {zone.name} FILES`), or let the "
                    "policy's `parent` say that there is no DS, or have it come unsigned",
                )
            signers = signers_of(content)
            if held and signers.isdisjoint(key.ident for key in held):
                # Under a KSK alone its ZSK would leave at once, whose signatures are in caches.
                raise StepRefused(
                    f"sign {zone.name} here",
                    f"it comes signed by {' and '.join(sorted(signers))}, of which no private key "
                    "is here",
                    "import that one too",
                )
            signing.keys = commands.enable(zone.origin, now, facts, policy, served=own_keys(held))
        except StepRefused:
            await self.pass_on(zone, content)
            self.watch.look(zone, signing, ZoneKeys(zone.origin), policy, now)
            raise

    async def stays(self, zone: Zone, signing: Signing, content: Snapshot) -> bool:
        """Serve a zone as it comes whose config says so, where nothing was signed here, or where
        that was ended and it comes signed now; whether that is so."""
        if zone.config.signed_here:
            return False
        keys = signing.keys
        if keys is not None:
            if zone.config.dnssec is not Dnssec.PRE_SIGNED or keys.state is not ZoneState.DELETED:
                return False
            if zone.serial is not None and not newer(content.serial, zone.serial):
                raise XferError(
                    f"expected a serial of {zone.name} above {zone.serial}, which is what it was "
                    f"signed here as, got {content.serial}: raise it where it is signed now"
                )
        await self.pass_on(zone, content)
        await self.executor.run(self.journal.change_marks, {(zone.origin, signed.MARK): None})
        zone.signing = Signing()
        return True

    async def pass_on(self, zone: Zone, content: Snapshot) -> None:
        """Serve what came as it is."""
        if zone.snapshot is None or zone.snapshot.root != content.root:
            source = "as it came, signed by others"
            candidate = Candidate(content, (), source, KIND, confirmed=False)
            with self.journal.write_ahead(zone.snapshot) as ahead:
                await self.publisher.serve(zone, candidate, ahead)
