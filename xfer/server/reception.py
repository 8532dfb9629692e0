"""From verified messages to a checked snapshot: the part of a pull without I/O.

    octets ── framing.py ── messages ── Inbound (transfer/) ── updates ── building.py ── snapshot

`Reception` is driven from worker threads, one call at a time, and works message by message, so
that no call into the kernel is longer than a message.
"""

from __future__ import annotations

from collections.abc import Iterator

from xfer.errors import Failure, TransferError
from xfer.server.building import Building, Received
from xfer.transfer.envelope import AXFR_MAY_WORK, Inbound, State, rcode_of
from xfer.transfer.updates import Update
from xfer.zone.block import Block

FAILURES_OF_IXFR = (Failure.PROTOCOL, Failure.CONTENT, Failure.POLICY)
"""Classes of failure after which an AXFR may bring what an IXFR could not: more differences than
the limits allow may still be a zone that they do."""


def updates(machine: Inbound, messages: list[bytes], more: str = "") -> Iterator[Update]:
    """What messages mean, in order; more: what has come after them, in words, "" for nothing.

    Raises TransferError, also for what comes after the end.
    """
    for message in messages:
        if machine.state is State.CURRENT:
            return  # who knows no IXFR goes on with the zone that we have
        if machine.state is State.COMPLETE:
            raise _after_the_end(f"one more message of {len(message)} octets")
        yield from machine.feed(message)
    if machine.state is State.COMPLETE and more:
        raise _after_the_end(more)


class Reception:
    """One transfer on its way in. machine: says what the messages mean; building: what with."""

    def __init__(self, machine: Inbound, building: Building) -> None:
        self.machine = machine
        self.building = building

    def take(self, messages: list[bytes], more: str = "") -> list[Block]:
        """Process messages, as `updates` does.

        Returns the blocks that are finished and may be written ahead. Raises TransferError; what
        was begun is then dropped.
        """
        try:
            for update in updates(self.machine, messages, more):
                self.building.apply(update)
        except TransferError as error:
            raise self._abandoned(error) from error
        return self.building.take_ready()

    def refuse(self, message: bytes, error: TransferError) -> TransferError:
        """Give up because of a message that was not verified; returns the error to raise."""
        if error.failure is Failure.DENIED and rcode_of(message) in AXFR_MAY_WORK:
            error.try_axfr = self.machine.axfr_may_work
        return self._abandoned(error)

    def abandon(self, failure: Failure, expected: str, got: str, hint: str = "") -> TransferError:
        """Give up for a reason outside the protocol; returns the error to raise."""
        # Who does not know IXFR may close the connection, or say nothing.
        try_axfr = failure is Failure.TRANSPORT and self.machine.axfr_may_work
        error = TransferError(failure, expected, got, hint=hint, try_axfr=try_axfr)
        self.building.apply(self.machine.abandon(str(error)))
        return error

    def finish(self) -> Received:
        """As `Building.finish`, once all has come."""
        try:
            self.machine.finish()
            if self.machine.state is State.CURRENT:
                return self.building.nothing_new()
            return self.building.finish()
        except TransferError as error:
            raise self._abandoned(error) from error

    def _abandoned(self, error: TransferError) -> TransferError:
        if error.failure in FAILURES_OF_IXFR and self.machine.axfr_may_work:
            error.try_axfr = True
        self.building.apply(self.machine.abandon(str(error)))
        return error


def _after_the_end(got: str) -> TransferError:
    return TransferError(Failure.PROTOCOL, "nothing after the message with the closing SOA", got)
