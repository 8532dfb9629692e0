"""AXFR from the requesting side, without I/O (RFC 5936).

`xfer.transfer.envelope` has the order of messages and what is required of each. The machine emits
updates (`xfer.transfer.updates`); it takes one message at a time and keeps none of it.
"""

from __future__ import annotations

from xfer.transfer.envelope import AXFR, Inbound, State, StreamLimits
from xfer.transfer.updates import Begin, Kind, Update
from xfer.wire.parse import Batch


class AxfrIn(Inbound):
    """Reads one AXFR response; arguments as `Inbound`."""

    def __init__(self, origin: bytes, msg_id: int, limits: StreamLimits | None = None) -> None:
        super().__init__(origin, msg_id, AXFR, limits)
        self.kind = Kind.AXFR

    def _read(self, message: bytes, offset: int, batch: Batch, count: int) -> list[Update]:
        if self.state is not State.WAITING:
            return self._whole(batch, 0, count)
        begin = Begin(Kind.AXFR, self._open(batch), self._soa)
        return [begin, *self._whole(batch, 1, count)]
