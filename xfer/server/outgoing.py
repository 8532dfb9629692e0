"""Running an authorised transfer: slot, stream, outcome. One event is logged for each.

                     ┌─ up to date ─► the SOA, no slot
IXFR ── in memory,  ─┤
        small        └─ a slot of the small ones: it never waits behind large transfers
IXFR, else ── slot ── differences, from memory or the journal; where there are none, the zone
AXFR ──────── slot ── the zone
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import structlog
import trio

from xfer.errors import TransferError
from xfer.server.dispatch import error_reply
from xfer.server.handled import Sent, Transfer
from xfer.server.quotas import Slots
from xfer.server.sender import ZoneSender
from xfer.server.tcp import Write
from xfer.transfer.outbound import ChangesOut, ZoneOut
from xfer.wire.codes import SERVFAIL
from xfer.wire.tsig import ResponseSigner

if TYPE_CHECKING:
    from xfer.server.changes import Changes
    from xfer.zone.changeset import Changeset

log = structlog.get_logger()

PATIENCE = 10.0  # seconds to wait for a slot: less than any secondary waits for its first octet


SMALL = 64_000  # octets of differences that count as small


@attrs.define(eq=False)
class Outgoing:
    """sender: streams zones; slots: quotas; on_done: told each transfer that was sent whole;
    changes: the differences to send, None for whole zones only; small: quotas of small ones;
    on_asked: told each transfer before it starts."""

    sender: ZoneSender
    slots: Slots
    on_done: Callable[[Sent], None]
    changes: Changes | None = None
    small: Slots = attrs.Factory(lambda self: Slots(self.slots.total, self.slots.each), True)
    on_asked: Callable[[Transfer], None] | None = None

    async def run(self, transfer: Transfer, write: Write) -> None:
        """Send it. Raises what a broken connection raises, after logging."""
        if self.on_asked is not None:
            self.on_asked(transfer)
        running = _Running(self, transfer, write)
        start = self.sender.clock.monotonic()
        error = ""
        try:
            error = await running.send()
            if not error:
                self.on_done(transfer.sent(running.kind))
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
                kind=running.kind,
                serial_from=transfer.request.ixfr_serial,
                serial_to=transfer.snapshot.serial,
                records=running.records,
                messages=running.out.messages,
                bytes=running.out.octets,
                seconds=round(self.sender.clock.monotonic() - start, 6),
                **({"error": error} if error else {}),
            )

    def ready(self, transfer: Transfer) -> Changeset | None:
        """The differences to send where they are small and in memory."""
        version, serial = transfer.version, transfer.request.ixfr_serial
        if self.changes is None or version is None or serial is None:
            return None
        found = self.changes.ready(version, transfer.snapshot, serial)
        return found if found is not None and found.octets <= SMALL else None

    async def find(self, transfer: Transfer) -> Changeset | None:
        """The differences to send, None for the whole zone."""
        version, serial = transfer.version, transfer.request.ixfr_serial
        if self.changes is None or version is None or serial is None:
            return None
        return await self.changes.find(version, transfer.snapshot, serial)


class _Running:
    """One transfer. kind: "axfr", "ixfr" or "soa", of what is sent; records: how many."""

    def __init__(self, outgoing: Outgoing, transfer: Transfer, write: Write) -> None:
        self._outgoing = outgoing
        self._transfer = transfer
        self._write = write
        self.out: ZoneOut | ChangesOut = self._zone_out()
        self.kind = "soa" if transfer.only_soa else "axfr"
        self.records = 1 if transfer.only_soa else transfer.snapshot.count

    async def send(self) -> str:
        """Send it within a slot; what went wrong, "" for nothing."""
        outgoing, transfer = self._outgoing, self._transfer
        if transfer.only_soa:
            only = self._zone_out()
            self.out = only
            await self._write(only.only(self._now()))
            return ""
        ready = outgoing.ready(transfer)
        slots = outgoing.slots if ready is None else outgoing.small
        async with slots.slot(transfer.client, PATIENCE) as got:
            if got:
                await self._stream(ready if ready is not None else await outgoing.find(transfer))
                return ""
        reply = error_reply(transfer, SERVFAIL, self._now())
        if reply is not None:
            await self._write(struct.pack("!H", len(reply)) + reply)
        return f"no transfer slot within {PATIENCE:g} s"

    async def _stream(self, changes: Changeset | None) -> None:
        sender, transfer = self._outgoing.sender, self._transfer
        if changes is None:
            whole = self._zone_out()
            self.out = whole
            await sender.send(transfer.snapshot, whole, self._write)
            return
        some = ChangesOut(changes, *self._answer())
        self.out, self.kind = some, "ixfr"
        self.records = len(changes.removed) + len(changes.added)
        await sender.send_changes(some, self._write)

    def _zone_out(self) -> ZoneOut:
        return ZoneOut(self._transfer.snapshot, *self._answer())

    def _answer(self) -> tuple[int, bool, tuple[bytes, int], bytes, ResponseSigner | None]:
        """What an answer repeats of its request."""
        request = self._transfer.request
        question = request.question.name, request.question.rtype
        return request.id, request.rd, question, self._transfer.opt, self._transfer.signer

    def _now(self) -> int:
        return int(self._outgoing.sender.clock.wall())
