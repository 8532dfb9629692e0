"""From the octets of one TCP stream to a checked snapshot: the part of a pull without I/O.

`Reception` is driven from worker threads, one call at a time: it frames messages (RFC 1035 §4.2.2),
verifies their TSIG, feeds the inbound machine and applies its updates to a zone builder, a message
at a time, so that no call into the kernel is longer than a message and nothing is kept but packed
blocks and less than one message of input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from xfer.errors import Failure, TransferError, TsigError, TsigKind, ZoneError, ZoneRejected
from xfer.transfer.inbound import HINTS, State
from xfer.transfer.updates import Abandon, Add, Begin, Delete, Finish, Update
from xfer.wire.codes import rcode_text
from xfer.wire.tsig import ResponseVerifier
from xfer.zone.block import Block
from xfer.zone.build import Builder
from xfer.zone.check import Finding
from xfer.zone.snapshot import Snapshot


class Machine(Protocol):
    """An inbound transfer machine, AXFR or IXFR."""

    state: State
    messages: int
    records: int
    octets: int
    serial: int | None

    def feed(self, message: bytes) -> list[Update]: ...

    def finish(self) -> None: ...

    def abandon(self, reason: str) -> Abandon: ...


@attrs.frozen
class Received:
    """A complete transfer: every MAC verified, every check passed, nothing published yet."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]


class Reception:
    """One transfer on its way in.

    machine: says what the messages mean; verifier: None where nothing was signed;
    new_builder: makes the zone builder when the transfer begins.
    """

    def __init__(
        self,
        machine: Machine,
        verifier: ResponseVerifier | None,
        new_builder: Callable[[], Builder],
    ) -> None:
        self.machine = machine
        self._verifier = verifier
        self._new_builder = new_builder
        self._builder: Builder | None = None
        self._rest = b""

    @property
    def complete(self) -> bool:
        """Whether the closing SOA has come."""
        return self.machine.state is State.COMPLETE

    def take(self, chunks: list[bytes], now: int) -> list[Block]:
        """Process what arrived, in order; `now` is Unix time for the signatures.

        Returns the blocks that are finished and may be written ahead. Raises TransferError; what
        was begun is then dropped.
        """
        chunks.insert(0, self._rest)
        buffer = b"".join(chunks)
        chunks.clear()
        size = len(buffer)
        ready: list[Block] = []
        start = 0
        try:
            while size - start >= 2:
                end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
                if end > size:
                    break
                self._message(buffer[start + 2 : end], now)
                start = end
            if self.complete and start < size:
                raise TransferError(
                    Failure.PROTOCOL,
                    "nothing after the message with the closing SOA",
                    f"{size - start} octets more",
                )
            if self._builder is not None:
                ready = self._builder.take_ready()
        except (TransferError, ZoneError) as error:
            raise self._abandoned(error) from error
        self._rest = buffer[start:]
        return ready

    def end(self) -> None:
        """The peer closed the connection. Raises TransferError unless the transfer is complete."""
        if self.complete:
            return
        raise self.abandon(
            Failure.TRANSPORT, "the transfer to go on to its closing SOA", f"closed {self.where()}"
        )

    def where(self) -> str:
        """How far it came, for sentences: "after 17 octets of 4,096 of message 3, …"."""
        machine = self.machine
        so_far = f"{machine.messages} messages with {machine.records} records"
        if not self._rest:
            return f"after {so_far}" if machine.messages else "before the first octet of an answer"
        if len(self._rest) == 1:
            return f"after 1 octet of the 2 that hold a message's length, after {so_far}"
        whole = self._rest[0] << 8 | self._rest[1]
        return f"after {len(self._rest) - 2} octets of {whole} of the next message, after {so_far}"

    def abandon(self, failure: Failure, expected: str, got: str, hint: str = "") -> TransferError:
        """Give up for a reason outside the protocol; returns the error to raise."""
        error = TransferError(failure, expected, got, hint=hint)
        self._apply(self.machine.abandon(str(error)))
        return error

    def finish(self) -> Received:
        """Check signatures' end and the zone as a whole.

        One long loop of short steps, for a worker thread. Raises TransferError (AUTH, CONTENT).
        """
        try:
            self.machine.finish()
            if self._verifier is not None:
                try:
                    self._verifier.finish()
                except TsigError as error:
                    raise auth_error(error) from error
            builder = self._builder
            assert builder is not None
            while builder.step():
                pass
            return Received(builder.snapshot(), tuple(builder.findings()))
        except (TransferError, ZoneError) as error:
            raise self._abandoned(error) from error

    def take_ready(self) -> list[Block]:
        """Blocks finished since the last look."""
        return self._builder.take_ready() if self._builder is not None else []

    def _message(self, message: bytes, now: int) -> None:
        if self._verifier is not None:
            try:
                message = self._verifier.feed(message, now)
            except TsigError as error:
                raise denied(message) or auth_error(error) from error
        for update in self.machine.feed(message):
            self._apply(update)

    def _apply(self, update: Update) -> None:
        match update:
            case Begin():
                self._builder = self._new_builder()
            case Add(batch):
                assert self._builder is not None
                self._builder.add(batch)
            case Delete():
                raise TransferError(
                    Failure.PROTOCOL, "a transfer of the whole zone", "records to delete"
                )
            case Finish():
                pass
            case Abandon():
                self._builder = None

    def _abandoned(self, error: TransferError | ZoneError) -> TransferError:
        if isinstance(error, ZoneRejected):
            error = TransferError(Failure.CONTENT, error.expected, f"{error.got} ({error.rule})")
        elif isinstance(error, ZoneError):
            error = TransferError(Failure.CONTENT, "a zone that can be served", str(error))
        self._apply(self.machine.abandon(str(error)))
        return error


def auth_error(error: TsigError) -> TransferError:
    """A TSIG failure as a transfer failure; the sentence keeps its kind."""
    return TransferError(
        Failure.AUTH,
        error.expected,
        f"{error.got} (TSIG {error.kind.value})",
        hint=_AUTH_HINTS.get(error.kind, ""),
    )


_AUTH_HINTS = {
    TsigKind.MISSING: "the peer may not know that this zone's transfers are signed",
    TsigKind.BAD_MAC: "the secrets differ, or the message was changed on its way",
}


def denied(message: bytes) -> TransferError | None:
    """An unsigned error answer to a signed request says more than the missing signature."""
    if len(message) < 12 or not message[3] & 0x0F or message[10] or message[11]:
        return None
    rcode = message[3] & 0x0F
    return TransferError(
        Failure.DENIED,
        "rcode NOERROR in a signed answer",
        f"rcode {rcode_text(rcode)} in an unsigned one",
        hint=HINTS.get(rcode, ""),
    )
