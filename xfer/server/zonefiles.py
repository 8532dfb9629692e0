"""Primary zones from files: published at the start and at a reload, where their content is new."""

from __future__ import annotations

import structlog

from xfer.clock import Clock
from xfer.errors import Failure, TransferError, XferError
from xfer.server.executor import Executor
from xfer.server.publish import Candidate, Publisher
from xfer.server.refresh import Writes
from xfer.server.status import FailureReport, Outcome
from xfer.server.zones import Zone
from xfer.transfer.outbound import newer
from xfer.zone.check import Finding, Policy
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()


async def publish_file(
    zone: Zone,
    policy: Policy,
    journal: Writes,
    publisher: Publisher,
    executor: Executor,
    clock: Clock,
) -> Outcome:
    """Read the zone's file, and publish it where it differs from what is served.

    Secondaries follow only a rising serial, so a file with new content under an old one is refused.
    What fails is recorded in `zone.error`, and the old version goes on serving.
    """
    start = clock.monotonic()
    path = zone.config.file
    served = zone.snapshot
    if path is None:
        return Outcome(True, True, "the zone has no file", zone.name)
    try:
        snapshot, findings = await executor.run(_read, str(path), zone.origin, policy, served)
        if served is not None and served.root == snapshot.root:
            zone.error = None
            return Outcome(
                True, True, f"{path} has what is served (serial {served.serial})", zone.name
            )
        if served is not None and not newer(snapshot.serial, served.serial):
            raise TransferError(
                Failure.CONTENT,
                f"a serial above {served.serial} with new content",
                f"{snapshot.serial} in {path}",
                hint="raise the serial in the file and reload",
            )
        candidate = Candidate(snapshot, tuple(findings), f"file {path}", "file")
        with journal.write_ahead(zone.snapshot) as ahead:
            await publisher.publish(zone, candidate, ahead)
    except XferError as error:
        failure = error.failure if isinstance(error, TransferError) else Failure.CONTENT
        zone.error = FailureReport(failure.value, str(error), clock.wall())
        log.error("zone file refused", zone=zone.name, file=str(path), error=str(error))
        return Outcome(False, True, str(error), zone.name, failure=zone.error)
    zone.error = None
    log.info(
        "zone file",
        zone=zone.name,
        file=str(path),
        kind="file",
        serial_from=served.serial if served is not None else None,
        serial_to=snapshot.serial,
        records=snapshot.count,
        seconds=round(clock.monotonic() - start, 6),
    )
    return Outcome(
        True, True, f"serial {snapshot.serial} from {path} is served", zone.name, kind="file"
    )


def _read(
    path: str, origin: bytes, policy: Policy, served: Snapshot | None
) -> tuple[Snapshot, list[Finding]]:
    # dnspython is slow to import, and most daemons have no zone files.
    from xfer.zone.zonefile import read_zone_file

    return read_zone_file(path, origin, policy, served)
