"""Orders of an operator to a zone's signing.

Every order is tried first on a copy of what is known (`dry_run`), which also says what is at
stake; then it is done in the zone's turn (`Signers.change`). Private parts of keys go from file to
file, and never into an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import structlog

from xfer.clock import Clock
from xfer.config_dnssec import DnssecPolicy, KeyLayout
from xfer.dnssec import commands, holder, keyset, lifecycle, migration
from xfer.dnssec.commands import OwnKey
from xfer.dnssec.idents import tag_in, tag_of
from xfer.dnssec.keyfiles import KeyPair
from xfer.dnssec.keystate import KeyState, Role, ZoneKeys
from xfer.dnssec.timing import Facts, moment
from xfer.errors import StepRefused
from xfer.server.dnssec_records import keys_of
from xfer.server.dnssec_status import (
    DnssecOrder,
    DnssecStatus,
    Ordered,
)
from xfer.server.dnssec_told import told
from xfer.server.executor import Executor
from xfer.server.keyset_watch import served_elsewhere
from xfer.server.keystore import BEGUN, KeyStore
from xfer.server.signing import Change, Signers
from xfer.server.signing_terms import policy_of
from xfer.server.status import NoSuchKey, Refused
from xfer.server.zones import Zone

log = structlog.get_logger()


@attrs.define(eq=False)
class DnssecOrders:
    """What operators may ask of zones that are signed here."""

    signers: Signers
    store: KeyStore
    executor: Executor
    clock: Clock

    def status(self, zone: Zone) -> DnssecStatus:
        """Everything known of its signing; of any zone."""
        found = self.told(zone)
        if found is None:
            return DnssecStatus(zone.config.dnssec.value, published_serial=zone.serial)
        return found

    def told(self, zone: Zone, whole: bool = True) -> DnssecStatus | None:
        """The same, None for a zone that has nothing to do with DNSSEC; whole: with its keys."""
        return told(zone, self.clock.wall(), self.signers.reminders.due(zone), whole)

    # -- orders

    async def ask_parent(self, zone: Zone) -> DnssecStatus:
        """Ask the parent for the DS now, and do what follows. Raises Refused where nobody is to be
        asked."""
        keys_of(zone)
        if not policy_of(zone).parent:
            raise Refused(
                f"nobody is to be asked for the DS of {zone.name}: `parent` in its [dnssec_policy] "
                f"names whom to ask; or say `xfer dnssec ds-seen {zone.name}`"
            )
        await self.signers.ask_parent(zone)
        return self.status(zone)

    async def enable(self, zone: Zone, order: Ordered, joining: bool = False) -> DnssecOrder:
        """Sign a zone again whose signing was ended. joining: another signer serves it now."""

        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            return commands.enable(zone.origin, now, facts, policy, keys, joining=joining)

        return await self._do(zone, order, "enable DNSSEC", change)

    async def disable(self, zone: Zone, order: Ordered, cancel: bool = False) -> DnssecOrder:
        """Begin to end its signing; or cancel that."""
        keys = keys_of(zone)
        if cancel:
            return await self._do(
                zone, order, "cancel the disabling", lambda k, *_: commands.cancel_disable(k)
            )
        stake = []
        if keys.ds:
            stake.append(
                f"{zone.name} stays signed until its DS has left the parent and caches; taking "
                "signatures out before would make it bogus for every validator"
            )
        return await self._do(
            zone, order, "disable DNSSEC", lambda k, *_: commands.disable(k), stake
        )

    async def delete(self, zone: Zone, order: Ordered) -> DnssecOrder:
        """Serve it without DNSSEC from now on."""
        stake = [
            f"the next version of {zone.name} has no DNSKEY, no signatures and no proofs; its keys "
            "are used no more"
        ]
        return await self._do(zone, order, "take DNSSEC out of the zone", commands.delete, stake)

    async def roll(
        self, zone: Zone, order: Ordered, what: str, compromised: bool = False, key: str = ""
    ) -> DnssecOrder:
        """Begin a rollover. what: "ksk", "zsk", "csk" or "algorithm"; compromised: without margins,
        of `key` or the only one with that role."""
        if what == "algorithm":
            did = f"roll to algorithm {policy_of(zone).algorithm}"
            return await self._do(
                zone, order, did, lambda k, policy, *_: commands.roll_algorithm(k, policy)
            )
        role = Role(what)
        if not compromised:
            stake = ["a new DS has to be put at the parent, and the old one taken out, each when "
                     "`xfer dnssec status` says so"] if role.signs_keys else []  # fmt: skip
            return await self._do(
                zone,
                order,
                f"roll the {role.value}",
                lambda k, policy, *_: commands.roll(k, role, policy),
                stake,
            )
        ident = self._one(zone, role, key)
        stake = []

        def emergency(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            found = commands.roll_compromised(keys, ident, policy, now, facts)
            stake[:] = found.stake
            return found.zone

        return await self._do(zone, order, f"replace compromised key {ident}", emergency, stake)

    async def ds_seen(self, zone: Zone, order: Ordered, idents: Sequence[str] = ()) -> DnssecOrder:
        """Take the operator's word that the parent's servers have just the DS of these keys; none:
        of those that are wanted."""
        named = frozenset(self.key(zone, one).ident for one in idents) or None

        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            return commands.ds_seen(keys, policy, now, facts, named)

        return await self._do(zone, order, "take the DS as seen", change)

    async def ds_gone(self, zone: Zone, order: Ordered) -> DnssecOrder:
        """Take the operator's word that no server of the parent has a DS of ours."""
        return await self._do(zone, order, "take the DS as gone", commands.ds_gone)

    async def shared(self, zone: Zone, order: Ordered, ident: str) -> DnssecOrder:
        """Take the operator's word that all other signers of the zone publish a key of ours."""
        found = self.key(zone, ident).ident
        did = f"take {found} as published by the others"

        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            if not keys.multi_signer:
                raise StepRefused(
                    did,
                    "no other signer of the zone is known",
                    f"`xfer dnssec foreign add {zone.name}` tells of one",
                )
            return migration.share(keys, found, now)

        return await self._do(zone, order, did, change)

    async def remove_key(self, zone: Zone, order: Ordered, ident: str) -> DnssecOrder:
        """Forget a key that nobody can need, and put its files aside."""
        found = self.key(zone, ident).ident
        done = await self._do(
            zone, order, f"remove key {found}", lambda k, *_: commands.remove_key(k, found)
        )
        if not order.dry_run:
            needed = {key.ident for key in keys_of(zone).keys}
            if found not in needed:
                await self.executor.run(self.store.remove, zone.origin, found, needed)
        return done

    async def export(
        self, zone: Zone, order: Ordered, directory: Path, idents: Sequence[str] = ()
    ) -> DnssecOrder:
        """Copy keys, all where none are named, as BIND's files into a directory of this machine."""
        keys = keys_of(zone)
        named = [self.key(zone, one) for one in idents]
        for key in named:
            if key.elsewhere:
                raise Refused(f"key {key.ident} of {zone.name} is not here: somebody else has it")
        chosen = [key.ident for key in named or keys.keys if not key.elsewhere]
        if not chosen:
            raise Refused(f"{zone.name} has no keys here to export; it is {keys.state.value}")
        stake = [
            f"whoever reads {directory} can sign in the name of {zone.name}: the files have mode "
            "0600 and belong to the daemon's user"
        ]
        files: list[str] = []
        if not order.dry_run:
            files = await self.executor.run(
                self._export, zone.origin, chosen, directory, self.clock.wall()
            )
            self._log(zone, order, f"export {', '.join(chosen)} to {directory}")
        did = f"export {', '.join(chosen)}"
        return DnssecOrder(
            zone.name, did, order.dry_run, self.status(zone), tuple(stake), (), tuple(files)
        )

    def _export(
        self, origin: bytes, idents: Iterable[str], directory: Path, now: float
    ) -> list[str]:
        """In a worker thread; the files that are there then."""
        files = []
        for stem in self.store.export_all(origin, list(idents), directory, now):
            files += [f"{stem}.key", f"{stem}.private"]
        return files

    async def import_keys(self, zone: Zone, order: Ordered, paths: Sequence[Path]) -> DnssecOrder:
        """Take keys over from BIND's files on this machine: each takes the place of ours with its
        role by a rollover.

        Before the zone's signing has begun they are only kept: a zone that comes signed by them
        goes on with them. Raises KeyRefused for files that hold no key of the zone.
        """
        pairs = await self.executor.run(self._read, zone.origin, paths)
        did = "import " + ", ".join(pair.key.ident for pair in pairs)
        kept = await self._keep(zone, order, did, pairs)
        if kept is not None:
            return kept

        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            for pair in pairs:
                keys = commands.add_imported(keys, _own(pair, policy), now, policy)
            return keys

        await self.signers.try_change(zone, change)
        if not order.dry_run:
            await self.executor.run(self._take_in, zone.origin, pairs)
        return await self._do(zone, order, did, change, _not_followed(pairs, self.clock.wall()))

    async def _keep(
        self, zone: Zone, order: Ordered, did: str, pairs: Sequence[KeyPair]
    ) -> DnssecOrder | None:
        """Keep keys of a zone whose signing has not begun, and look whether it can now; None where
        it has begun."""
        if _begun(zone):
            return None
        if not order.dry_run:
            async with self.signers.turn(zone):  # a look amid it would go on with some of them
                if _begun(zone):
                    return None
                await self.executor.run(self._take_in, zone.origin, pairs)
            self._log(zone, order, did)
            await self.signers.look(zone)
        says = (
            f"the keys are kept; once {zone.name} is signed here, and if it came signed by them, "
            "it goes on with them",
        )
        return DnssecOrder(zone.name, did, order.dry_run, self.status(zone), (), says)

    async def import_dnskey(
        self, zone: Zone, order: Ordered, text: str, force: bool = False
    ) -> DnssecOrder:
        """Publish a DNSKEY RRset that somebody else has signed, lines of a zone file. force: even
        an older one than is served. Raises KeyRefused where its signatures do not hold."""
        keys_of(zone)
        given = await self.executor.run(keyset.read, zone.origin, text)
        handed = await self.executor.run(keyset.verified, zone.origin, given, self.clock.wall())

        def change(keys: ZoneKeys, policy: DnssecPolicy, now: float, facts: Facts) -> ZoneKeys:
            before = served_elsewhere(zone, keys)
            return holder.with_imported(
                keys, handed, policy, now, facts, before=before, force=force
            )

        tags = ", ".join(str(tag_of(one)) for one in handed.dnskeys)
        return await self._do(zone, order, f"publish the DNSKEY RRset of tags {tags}", change)

    def _take_in(self, origin: bytes, pairs: Iterable[KeyPair]) -> None:
        """In a worker thread."""
        for pair in pairs:
            self.store.take_in(origin, pair)

    def _read(self, origin: bytes, paths: Sequence[Path]) -> list[KeyPair]:
        """In a worker thread: the keys of the files, none of which is of another zone."""
        found: dict[str, KeyPair] = {}
        for path in paths:
            pair = self.store.read_for(origin, path)
            found[pair.key.ident] = pair  # both files of a pair may be named
        return list(found.values())

    # -- inside

    async def _do(
        self,
        zone: Zone,
        order: Ordered,
        did: str,
        change: Change,
        stake: Sequence[str] = (),
    ) -> DnssecOrder:
        """stake: may be filled while the change is tried."""
        step = await self.signers.try_change(zone, change)
        says = _says(self._before(zone), step)
        if not order.dry_run:
            await self.signers.change(zone, change)
            self._log(zone, order, did)
        return DnssecOrder(zone.name, did, order.dry_run, self.status(zone), tuple(stake), says)

    def _before(self, zone: Zone) -> ZoneKeys | None:
        return zone.signing.keys if zone.signing is not None else None

    def _log(self, zone: Zone, order: Ordered, did: str) -> None:
        log.info("dnssec order", zone=zone.name, order=did, by=order.by)

    def key(self, zone: Zone, named: str) -> KeyState:
        """The key of an ident, "013+12345", or of a tag alone. Raises NoSuchKey."""
        keys = keys_of(zone).keys
        found = [key for key in keys if key.ident == named]
        if not found and named.isascii() and named.isdigit() and len(named) <= 5:
            found = [key for key in keys if tag_in(key.ident) == int(named)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{key.ident} ({key.role.value})" for key in keys) or "none"
        what = "has no" if not found else "has more than one"
        raise NoSuchKey(f"{zone.name} {what} key {named[:40]!r}; it has {known}")

    def _one(self, zone: Zone, role: Role, named: str) -> str:
        if named:
            key = self.key(zone, named)
            if key.role is not role:
                raise StepRefused(
                    f"replace compromised key {key.ident}",
                    f"it is a {key.role.value}, got {role.value}",
                    f"say `xfer dnssec roll {zone.name} {key.role.value} --compromised`",
                )
            return key.ident
        found = [key for key in keys_of(zone).keys if key.role is role and not key.compromised]
        if len(found) == 1:
            return found[0].ident
        known = ", ".join(key.ident for key in found) or "none"
        raise NoSuchKey(
            f"expected one {role.value} of {zone.name}, got {known}: name the compromised one "
            "with --key"
        )


def _begun(zone: Zone) -> bool:
    """Whether the zone's signing has, as far as can be told."""
    signing = zone.signing
    return signing is not None and (signing.keys is not None or bool(signing.damaged))


def _own(pair: KeyPair, policy: DnssecPolicy) -> OwnKey:
    """A key that comes from elsewhere, with the role that its SEP bit and the policy give it."""
    role = Role.ZSK
    if pair.key.sep:
        role = Role.CSK if policy.keys is KeyLayout.CSK else Role.KSK
    return OwnKey(role, pair.key.public)


def _not_followed(pairs: Sequence[KeyPair], now: float) -> list[str]:
    """Times in the files of keys by which another signer would not use them now."""
    found = []
    for pair in pairs:
        times = [
            f"{name} {moment(at)}"
            for name, at in pair.times.items()
            if name not in BEGUN or at > now
        ]
        if times:
            found.append(
                f"{', '.join(times)} in the files of {pair.key.ident} is not followed: it takes "
                "the place of ours as soon as caches allow, and rolls as the policy says"
            )
    return found


def _says(before: ZoneKeys | None, step: lifecycle.Step) -> tuple[str, ...]:
    """What follows at once."""
    found = []
    if before is None or before.state is not step.zone.state:
        found.append(f"the zone is {step.zone.state.value}")
    for new in step.generate:
        found.append(f"a {new.role.value} of algorithm {new.algorithm} is made")
    found += [event.says for event in step.events]
    return tuple(dict.fromkeys(found))
