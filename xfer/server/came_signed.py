"""When the signatures of zones end that come signed: told ahead of time (REQUIREMENTS A23, A35).

Nobody here can renew them, and once the first has ended validators call what it covers bogus. So
each version that comes with signatures is looked through for the one that ends first, block by
block and each block once (`xfer.dnssec.expiry`), in a thread, a moment after it is served: of
versions that follow each other quickly, the last. From `warn_at` on the log, `status`, `why` and
the metrics warn: some days before (limits.signature_warning), but no earlier than when a quarter of
the signatures' time is left, for who signs for a day renews them within it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.dnssec.expiry import NEVER, Expiries, due_in
from xfer.server.executor import Executor
from xfer.server.reasons import span
from xfer.server.reminders import Reminders
from xfer.server.signed import CameSigned
from xfer.server.signing_terms import keyset_news
from xfer.server.status import SignatureStatus
from xfer.server.zones import Zone
from xfer.wire import names
from xfer.wire.records import RRSIG, SOA, split
from xfer.zone.snapshot import APEX, Snapshot

log = structlog.get_logger()

DAY: Final = 86400.0
SOON: Final = 1.0  # seconds after a version is served, or the time for one look if that is longer
FEW_BLOCKS: Final = 8  # looked through again as a whole: an index for each small zone takes memory
RECORDS_AT_ONCE: Final = 100_000
ZONES_AT_ONCE: Final = 250
LATE: Final = 3600.0  # seconds by which the renewal of signatures of ours may be late
SHARE: Final = 4  # of the time for which a signature holds


@attrs.frozen
class Look:
    """What is to be looked through; index: of the version before, None without one."""

    snapshot: Snapshot
    index: Expiries | None


@attrs.define(eq=False)
class CameSignedWatch:
    """days: limits.signature_warning, asked each time: reloads change it."""

    executor: Executor
    clock: Clock
    days: Callable[[], float]
    reminders: Reminders = attrs.field(init=False)
    _days: float = attrs.field(init=False)
    _index: dict[Zone, Expiries | None] = attrs.field(factory=dict, init=False)
    _news: dict[Zone, None] = attrs.field(factory=dict, init=False)
    _wake: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.reminders = Reminders(self.clock, self._judge)
        self._days = self.days()

    def served(self, zone: Zone) -> None:
        """The zone serves another version than before. Never waits."""
        self._news[zone] = None
        self._wake.set()

    def reloaded(self) -> None:
        """Zones may have left the config, and the time to warn may be another."""
        for zone in [zone for zone in self._index if zone.removed]:
            self._forget(zone)
        if self.days() != self._days:
            self._days = self.days()
            self._news.update(dict.fromkeys(self._index))
            self._wake.set()

    def zones(self) -> list[Zone]:
        """Those that came with signatures."""
        return list(self._index)

    async def run(self) -> None:
        """Look through what is served, until cancelled."""
        while True:
            await self._wake.wait()
            await trio.sleep(SOON)
            self._wake = trio.Event()
            while self._news:
                started = self.clock.monotonic()
                try:
                    await self.look_at_some()
                except Exception as error:  # a mistake of ours with some must not end the others
                    log.error("internal error", error=str(error), exc_info=error)
                await trio.sleep(self.clock.monotonic() - started)

    async def look_at_some(self) -> None:
        """Look through some of what is new."""
        looks: dict[Zone, Look] = {}
        records = 0
        while self._news and len(looks) < ZONES_AT_ONCE and records < RECORDS_AT_ONCE:
            zone = next(iter(self._news))
            del self._news[zone]
            keys = zone.signing.keys if zone.signing is not None else None
            if keys is not None and keys.signed:
                zone.came_signed = None  # the signatures are ours, and known
                self._forget(zone)
            elif zone.snapshot is not None and not zone.removed:
                looks[zone] = Look(zone.snapshot, self._index.get(zone))
                records += zone.snapshot.count
        found = await self.executor.run(look_each, list(looks.values()))
        for (zone, look), (came, index) in zip(looks.items(), found, strict=True):
            if zone.snapshot is not look.snapshot:
                continue  # it has become news meanwhile
            if came is None:
                zone.came_signed = None
                self._forget(zone)
            else:
                self._index[zone] = index
                zone.came_signed = attrs.evolve(came, told=_told(zone))
                self._judge(zone)

    def _forget(self, zone: Zone) -> None:
        self._index.pop(zone, None)
        self.reminders.forget(zone)

    def _judge(self, zone: Zone) -> None:
        """Tell where the end has come near, is there, or is far again."""
        came = zone.came_signed
        if came is None or zone.removed:
            self._forget(zone)
            return
        now = self.clock.wall()
        warn_at = came.ends_at - min(self.days() * DAY, came.validity / SHARE)
        state = "ended" if came.ends_at <= now else "near" if warn_at <= now else ""
        zone.came_signed = attrs.evolve(came, warn_at=warn_at, told=state)
        if state != came.told:
            _tell(zone, came, state, now)
        if not state:
            self.reminders.at(zone, warn_at)
        elif state == "near":
            self.reminders.at(zone, came.ends_at)
        else:
            self.reminders.forget(zone)


def look_each(looks: Sequence[Look]) -> list[tuple[CameSigned | None, Expiries | None]]:
    """When the first signature of each ends, None without any; and what makes the next look quick.

    For worker threads.
    """
    return [_look(look.snapshot, look.index) for look in looks]


def _look(snapshot: Snapshot, index: Expiries | None) -> tuple[CameSigned | None, Expiries | None]:
    of_soa = snapshot.rrset(APEX, RRSIG, SOA)
    if not of_soa:
        return None, None
    expiries = Expiries(snapshot, index)
    while expiries.step():
        pass
    ends = expiries.soonest
    assert ends < NEVER, "the SOA has a signature"
    (block, *_) = expiries.blocks(ends)
    owner = names.to_text(names.wire_of(due_in(block, ends)[0], snapshot.origin))
    rdata = split(of_soa[0])[4]
    validity = int.from_bytes(rdata[8:12]) - int.from_bytes(rdata[12:16])
    keep = len(snapshot.blocks) > FEW_BLOCKS
    return CameSigned(ends, owner, max(0, validity)), expiries if keep else None


async def ends_of(zones: Sequence[Zone], now: float, most: int) -> SignatureStatus:
    """When signatures end of zones that come signed or are signed here; most: zones named one by
    one. Lets others run meanwhile, for there may be many."""
    near: dict[str, float] = {}
    ended: dict[str, float] = {}
    others: dict[str, float] = {}
    for number, zone in enumerate(zones):
        if number % ZONES_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        signing, came = zone.signing, zone.came_signed
        if zone.removed:
            continue
        if signing is not None and signing.ends_at is not None:
            at = signing.ends_at
            late = signing.renew_at is not None and signing.renew_at < now - LATE
            late = late or keyset_news(zone, now) == "near"
        elif came is not None:
            at, late = came.ends_at, came.warn_at <= now
        else:
            continue
        found = ended if at <= now else near if late else others
        if len(found) < most or found is not others:
            found[zone.name] = at
    shown = {**ended, **near, **others}
    return SignatureStatus(len(near), len(ended), dict(islice(shown.items(), most)))


def _told(zone: Zone) -> str:
    return zone.came_signed.told if zone.came_signed is not None else ""


def _tell(zone: Zone, came: CameSigned, state: str, now: float) -> None:
    about = {"zone": zone.name, "serial": zone.serial, "owner": came.owner}
    if state == "ended":
        log.error(
            "signatures ended",
            **about,
            note="validators call what they cover bogus: whoever signs the zone has to renew them",
        )
    elif state == "near":
        log.warning(
            "signatures end soon",
            **about,
            seconds=round(came.ends_at - now),
            note=f"the first ends in {span(came.ends_at - now)}, and whoever signs it has not "
            "renewed it",
        )
    else:
        log.info("signatures renewed", **about, seconds=round(came.ends_at - now))
