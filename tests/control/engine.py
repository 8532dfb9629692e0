"""A small engine behind a real control server: the edge that the API and the command line share."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

from xfer.control.engine import (
    FailureReport,
    NoContent,
    NoSuchPeer,
    NoSuchVersion,
    NoSuchZone,
    Outcome,
    Phase,
    Planned,
    PrimaryStatus,
    Progress,
    Reason,
    Refused,
    RefusedSource,
    ReloadOutcome,
    SecondaryStatus,
    ServerStatus,
    VersionStatus,
    Weight,
    ZoneState,
    ZoneStatus,
)
from xfer.control.serve import serve_control
from xfer.errors import ConfigError, Failure

FAILED = FailureReport(
    Failure.AUTH.value, "auth: TSIG bad-mac: expected our secret, got another", 1000.0, "compare it"
)
EXAMPLE = ZoneStatus(
    name="example.com.",
    role="secondary",
    state=ZoneState.CURRENT,
    serial=7,
    records=3,
    version=1,
    versions=1,
    source="axfr from 192.0.2.1#53",
    published_at=1000.0,
    expires_at=605800.0,
    next_action="check the primaries",
    next_at=4600.0,
    primaries=(
        PrimaryStatus("one", "192.0.2.1#53", 7, 1000.0, 1000.0),
        PrimaryStatus("two", "192.0.2.2#53", None, None, None, FAILED),
    ),
    secondaries=(SecondaryStatus("public", "192.0.2.9#53", 7, 1001.0, "NOERROR"),),
)
EMPTY = ZoneStatus(name="empty.example.", role="secondary", state=ZoneState.FAILING, error=FAILED)
BUSY = ZoneStatus(
    name="busy.example.",
    role="secondary",
    state=ZoneState.TRANSFERRING,
    transfer=Progress("one", "axfr", Phase.RECEIVING, 1000.0, 9, 12, 34567, 890123),
)


@attrs.define(eq=False)
class SmallEngine:
    """Three zones, and a note of every order it was given."""

    zones: dict[str, ZoneStatus] = attrs.Factory(
        lambda: {zone.name: zone for zone in (BUSY, EMPTY, EXAMPLE)}
    )
    orders: list[tuple[object, ...]] = attrs.Factory(list)
    pieces: int = 3  # of the zone file
    broken_after: int | None = None  # pieces of the zone file, then it fails
    config_error: ConfigError | None = None
    fails: bool = False
    refused: tuple[RefusedSource, ...] = ()

    def find(self, zone: str) -> ZoneStatus:
        if zone not in self.zones:
            raise NoSuchZone(f"zone {zone} is not configured here")
        return self.zones[zone]

    def busy(self) -> bool:
        return False

    async def server_status(self) -> ServerStatus:
        return ServerStatus(
            "0.1.0", 42, 900.0, "compiled", "xfer.toml", "j.db", zones=3, refused=self.refused
        )

    async def upcoming(self, limit: int) -> list[Planned]:
        return [
            Planned(1000.0 + n, name, "check the primaries") for n, name in enumerate(self.zones)
        ][:limit]

    async def status(self, after: str = "", limit: int = 1000) -> list[ZoneStatus]:
        return [self.zones[name] for name in sorted(self.zones) if name > after][:limit]

    async def zone_status(self, zone: str) -> ZoneStatus:
        return self.find(zone)

    async def force_axfr(self, zone: str, peer: str | None, wait: bool) -> Outcome:
        self.orders.append(("force-axfr", zone, peer, wait))
        status = self.find(zone)
        if peer not in (None, "one", "two"):
            raise NoSuchPeer(f"{peer} is no primary of {zone}")
        if status is BUSY:
            raise Refused(f"{zone} is being transferred already")
        if self.fails:
            return Outcome(False, True, FAILED.sentence, zone, failure=FAILED)
        if not wait:
            return Outcome(True, False, "transfer started", zone)
        return Outcome(
            True, True, "serial 7 → 8", zone, "one", "axfr", 7, 8, 25000, 100, 900_000, 0.25
        )

    async def refresh(self, zone: str, wait: bool) -> Outcome:
        self.orders.append(("refresh", zone, wait))
        return Outcome(True, wait, "up to date at serial 7", self.find(zone).name)

    async def notify(self, zone: str) -> Outcome:
        self.orders.append(("notify", zone))
        return Outcome(True, True, "NOTIFY sent to 1 secondary", self.find(zone).name)

    async def zone_file(self, zone: str, named: str = "") -> AsyncIterator[bytes]:
        if self.find(zone).serial is None:
            raise NoContent(f"zone {zone} has no version yet")
        if named:
            if named not in ("7", "v1", "@1000.0"):
                raise NoSuchVersion(f"expected a kept version, got {named!r}")
            yield f"; the version {named}\n".encode()
        for number in range(self.pieces):
            if number == self.broken_after:
                raise RuntimeError("the disk went away")
            await trio.lowlevel.checkpoint()
            yield f"r{number}.example.com. 3600 IN A 192.0.2.{number % 250}\n".encode()

    async def versions(self, zone: str, limit: int) -> list[VersionStatus]:
        self.orders.append(("versions", self.find(zone).name, limit))
        source = "ixfr from 192.0.2.1#53"
        first = VersionStatus(1, 6, 900.0, "axfr from 192.0.2.1#53", "axfr", 3)
        return [VersionStatus(2, 7, 1000.0, source, "ixfr", 3, 1, 1, True), first][:limit]

    async def diff(self, zone: str, old: str, new: str) -> AsyncIterator[bytes]:
        self.orders.append(("diff", self.find(zone).name, old, new))
        yield b"--- example.com. serial 6, version v1\n+++ example.com. serial 7, version v2\n"
        await trio.lowlevel.checkpoint()
        yield b"-example.com.\t300\tIN\tA\t192.0.2.1\n+example.com.\t300\tIN\tA\t192.0.2.2\n"

    async def why(self, zone: str) -> list[Reason]:
        text = f"{self.find(zone).name} is current: it serves serial 7."
        return [Reason(Weight.STATE, text), Reason(Weight.BROKEN, "Primary two failed.")]

    async def rollback(self, zone: str, named: str) -> Outcome:
        self.orders.append(("rollback", self.find(zone).name, named))
        if named == "7":
            raise Refused(f"{zone} serves the content of serial 7 already")
        return Outcome(True, True, "the content of serial 6 is served as serial 8", zone)

    async def release(self, zone: str, follow: bool = False) -> Outcome:
        self.orders.append(("release", self.find(zone).name, follow))
        return Outcome(True, True, "released: serial 8 is current", zone)

    async def reload(self) -> ReloadOutcome:
        if self.config_error is not None:
            raise self.config_error
        return ReloadOutcome(added=1, restart=("server.listen",), warnings=("k1: short",))


@contextmanager
def served(engine: SmallEngine, path: Path) -> Iterator[Path]:
    """The real control server in a thread, so that blocking clients can be tested."""
    ready = threading.Event()
    token: list[trio.lowlevel.TrioToken] = []
    scope = trio.CancelScope()
    problems: list[BaseException] = []

    async def main() -> None:
        token.append(trio.lowlevel.current_trio_token())
        with scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(serve_control, engine, path)
                ready.set()

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:
            problems.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        if problems:
            raise problems[0]
        yield path
    finally:
        if not problems:
            token[0].run_sync_soon(scope.cancel)
        thread.join()
        if problems:
            raise problems[0]
