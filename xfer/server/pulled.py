"""What a pull is given and what it gives: limits, progress, result."""

from __future__ import annotations

import attrs

from xfer.transfer.envelope import StreamLimits
from xfer.transfer.updates import Add, Delete
from xfer.zone.changeset import Changeset
from xfer.zone.check import Finding
from xfer.zone.snapshot import Snapshot


@attrs.frozen
class PullLimits:
    """Time-outs in seconds, min_rate in octets per second after the first `idle` seconds; stream:
    how much may come."""

    connect: float = 10.0
    idle: float = 30.0
    total: float = 7200.0
    min_rate: int = 0
    stream: StreamLimits = attrs.Factory(StreamLimits)


@attrs.frozen
class PullProgress:
    """How far a transfer is. serial: None until the opening SOA; octets: as received."""

    serial: int | None
    messages: int
    records: int
    octets: int
    seconds: float


@attrs.frozen
class PullResult:
    """A complete transfer, not yet published.

    kind: "axfr" for a whole zone, "ixfr" for changes, "soa" where the peer has nothing newer;
    content: the version that results, for "soa" the one we had, None where there was none to start
    from; serial: of the peer's SOA; changes: of an IXFR, against the version we had; differences:
    of one without such a version, as they came; source: the address we asked from; expire: the
    EXPIRE option in seconds, None without one; seconds: from the connection to the last check.
    """

    content: Snapshot | None
    findings: tuple[Finding, ...]
    expire: int | None
    source: str
    messages: int
    records: int
    octets: int
    seconds: float
    kind: str
    serial: int
    changes: Changeset | None = None
    differences: tuple[Add | Delete, ...] = ()

    @property
    def snapshot(self) -> Snapshot:
        """The content, which is there whenever a whole zone came, or `previous` was given."""
        assert self.content is not None
        return self.content
