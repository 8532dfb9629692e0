"""What became of a request: values from the dispatcher for who answers and does the rest."""

from __future__ import annotations

import attrs

from xfer.journal import Version
from xfer.server.zones import Zone
from xfer.wire.request import Request
from xfer.wire.tsig import ResponseSigner
from xfer.zone.snapshot import Snapshot


@attrs.frozen
class Sent:
    """What a client has got. client: name of the peer, or its address; kind: "axfr", "ixfr", or
    "soa" for the SOA alone; serial_from: what an IXFR's client said it has."""

    zone: Zone
    client: str
    kind: str
    serial_from: int | None
    serial_to: int


@attrs.frozen
class Transfer:
    """An authorised transfer to make.

    snapshot, version: what is served; request: as parsed; only_soa: the client is up to date.
    """

    zone: Zone
    snapshot: Snapshot
    version: Version | None
    request: Request
    message: bytes
    signer: ResponseSigner | None
    opt: bytes
    only_soa: bool
    client: str

    def sent(self, kind: str) -> Sent:
        """It was sent whole, as `kind`."""
        serial = self.request.ixfr_serial
        return Sent(self.zone, self.client, kind, serial, self.snapshot.serial)


@attrs.frozen
class Notified:
    """An accepted NOTIFY: the zone's primaries are worth asking. serial: the hint, or None."""

    zone: Zone
    serial: int | None
    source: str


@attrs.frozen
class Handled:
    """What to send now, if anything, and what else to do."""

    reply: bytes | None = None
    work: Transfer | Notified | Sent | None = None
