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
from xfer.transfer.inbound import HINTS, State, amount_text, octets_text, place_text, rcode_of
from xfer.transfer.updates import Abandon, Add, Begin, Delete, Finish, Update
from xfer.wire.codes import rcode_text
from xfer.wire.edns import Edns
from xfer.wire.tsig import ResponseVerifier
from xfer.wire.tsig_record import Unreadable
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
    edns: Edns | None

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
                raise _after_the_end(octets_text(size - start) + " more")
            if self._builder is not None:
                ready = self._builder.take_ready()
        except (TransferError, ZoneError) as error:
            raise self._abandoned(error) from error
        self._rest = buffer[start:]
        return ready

    def where(self) -> str:
        """How far it came, for sentences: "after 17 octets of 4,096 of message 3, …"."""
        machine = self.machine
        so_far = amount_text(machine.messages, machine.records)
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
        if self.complete:
            raise _after_the_end(f"one more message of {len(message)} octets")
        if self._verifier is not None:
            message = self._verified(self._verifier, message, now)
        for update in self.machine.feed(message):
            self._apply(update)

    def _verified(self, verifier: ResponseVerifier, message: bytes, now: int) -> bytes:
        """The message without its TSIG."""
        place = place_text(self.machine.messages + 1)
        try:
            stripped = verifier.feed(message, now)
        except TsigError as error:
            raise unverified(message, error, place) from error
        if stripped[:2] != message[:2]:
            # The TSIG covers the original ID; we are the one who asked, so it is the ID as well.
            raise TransferError(
                Failure.PROTOCOL,
                f"message ID {stripped[0] << 8 | stripped[1]}, as the TSIG says",
                f"ID {message[0] << 8 | message[1]}, in {place}",
            )
        return stripped

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


def _after_the_end(got: str) -> TransferError:
    return TransferError(Failure.PROTOCOL, "nothing after the message with the closing SOA", got)


def auth_error(error: TsigError, place: str = "") -> TransferError:
    """A TSIG failure as a transfer failure; the sentence keeps its kind.

    place: the message it was found in, "" for none in particular.
    """
    return TransferError(
        Failure.AUTH,
        error.expected,
        f"{error.got} (TSIG {error.kind.value})" + (f", in {place}" if place else ""),
        hint=_AUTH_HINTS.get(error.kind, ""),
    )


def unverified(message: bytes, error: TsigError, place: str = "") -> TransferError:
    """What it means that a message has failed its TSIG check, `place` as in `auth_error`.

    A message that cannot be read is no matter of keys, and an unsigned error answer to a signed
    request says more than its missing signature.
    """
    if isinstance(error, Unreadable):
        got = error.got + (f", in {place}" if place else "")
        return TransferError(Failure.PROTOCOL, error.expected, got)
    if error.kind in (TsigKind.MISSING, TsigKind.TOO_MANY_UNSIGNED):
        rcode = rcode_of(message)
        if rcode:
            return TransferError(
                Failure.DENIED,
                "rcode NOERROR in a signed answer",
                f"rcode {rcode_text(rcode)} in an unsigned one",
                hint=HINTS.get(rcode, ""),
            )
    return auth_error(error, place)


_AUTH_HINTS = {
    TsigKind.MISSING: "the peer may not know that this zone's transfers are signed",
    TsigKind.BAD_MAC: "the secrets differ, or the message was changed on its way",
}
