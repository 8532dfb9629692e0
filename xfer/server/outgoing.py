"""Running an authorised transfer: slot, stream, outcome. One event is logged for each."""

from __future__ import annotations

import struct
from collections.abc import Callable

import attrs
import structlog
import trio

from xfer.errors import TransferError
from xfer.server.dispatch import Transfer, error_reply
from xfer.server.quotas import Slots
from xfer.server.sender import ZoneSender
from xfer.server.tcp import Write
from xfer.transfer.outbound import ZoneOut
from xfer.wire.codes import SERVFAIL

log = structlog.get_logger()

PATIENCE = 10.0  # seconds to wait for a slot: less than any secondary waits for its first octet


@attrs.define(eq=False)
class Outgoing:
    """sender: streams zones; slots: quotas; on_done: told each transfer that was sent whole."""

    sender: ZoneSender
    slots: Slots
    on_done: Callable[[Transfer], None]

    async def run(self, transfer: Transfer, write: Write) -> None:
        """Send it. Raises what a broken connection raises, after logging."""
        clock = self.sender.clock
        request = transfer.request
        start = clock.monotonic()
        out = ZoneOut(
            transfer.snapshot,
            request.id,
            request.rd,
            (request.question.name, request.question.rtype),
            transfer.opt,
            transfer.signer,
        )
        error = ""
        try:
            if transfer.only_soa:
                await write(out.only(int(clock.wall())))
            else:
                async with self.slots.slot(transfer.client, PATIENCE) as got:
                    if got:
                        await self.sender.send(transfer.snapshot, out, write)
                    else:
                        error = f"no transfer slot within {PATIENCE:g} s"
                        reply = error_reply(transfer, SERVFAIL, int(clock.wall()))
                        if reply is not None:
                            await write(struct.pack("!H", len(reply)) + reply)
            if not error:
                self.on_done(transfer)
        except TransferError as failure:
            error = str(failure)
            raise trio.BrokenResourceError(error) from failure
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as failure:
            error = f"the client closed the connection ({failure})"
            raise
        except trio.Cancelled:
            error = "stopped"
            raise
        finally:
            event = log.warning if error else log.info
            event(
                "transfer failed" if error else "transfer",
                zone=transfer.zone.name,
                peer=transfer.client,
                direction="out",
                kind=request.kind.value if not transfer.only_soa else "soa",
                serial_from=request.ixfr_serial,
                serial_to=transfer.snapshot.serial,
                records=transfer.snapshot.count if not transfer.only_soa else 1,
                messages=out.messages,
                bytes=out.octets,
                seconds=round(clock.monotonic() - start, 6),
                **({"error": error} if error else {}),
            )
