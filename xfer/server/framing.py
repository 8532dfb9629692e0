"""The octets of one TCP stream as messages (RFC 1035 §4.2.2) whose TSIG is verified.

This is the only part of a reception that knows the key, and it is cheap beside parsing: where
other processes parse, it stays with us.
"""

from __future__ import annotations

from xfer.errors import Failure, TransferError, TsigError, TsigKind
from xfer.transfer.envelope import HINTS, rcode_of
from xfer.transfer.wording import amount_text, octets_text, place_text
from xfer.wire.codes import rcode_text
from xfer.wire.tsig import ResponseVerifier
from xfer.wire.tsig_record import Unreadable


class Framing:
    """Cuts a stream into messages. verifier: None where nothing was signed.

    refused: the first message that failed its verification, and how; nothing comes after it.
    """

    def __init__(self, verifier: ResponseVerifier | None) -> None:
        self.refused: tuple[bytes, TransferError] | None = None
        self._verifier = verifier
        self._rest = b""
        self._messages = 0

    @property
    def held(self) -> int:
        """Octets of a message that has not come to its end."""
        return len(self._rest)

    @property
    def more(self) -> str:
        """What has come after the messages that `take` returned, in words; "" for nothing."""
        if self.refused is not None:
            return f"one more message of {len(self.refused[0])} octets"
        return f"{octets_text(self.held)} more" if self.held else ""

    def take(self, chunks: list[bytes], now: int) -> list[bytes]:
        """The messages that are whole with these chunks, without TSIG, up to one that is `refused`.

        chunks: what arrived, in order; emptied; now: Unix time for the signatures.
        """
        if self.refused is not None:
            return []
        chunks.insert(0, self._rest)
        buffer = b"".join(chunks)
        chunks.clear()
        size = len(buffer)
        verifier = self._verifier
        messages: list[bytes] = []
        start = 0
        while size - start >= 2:
            end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
            if end > size:
                break
            message = buffer[start + 2 : end]
            start = end
            if verifier is not None:
                try:
                    message = self._verified(verifier, message, now)
                except TransferError as error:
                    self.refused = (message, error)
                    break
            self._messages += 1
            messages.append(message)
        self._rest = buffer[start:]
        return messages

    def where(self, messages: int, records: int) -> str:
        """How far it came, for sentences: "after 17 octets of 4,096 of message 3, …".

        messages, records: what has been read of those that were returned.
        """
        so_far = amount_text(messages, records)
        if not self._rest:
            return f"after {so_far}" if messages else "before the first octet of an answer"
        if len(self._rest) == 1:
            return f"after 1 octet of the 2 that hold a message's length, after {so_far}"
        whole = self._rest[0] << 8 | self._rest[1]
        return f"after {len(self._rest) - 2} octets of {whole} of the next message, after {so_far}"

    def finish(self) -> None:
        """After the last message, which must have been signed. Raises TransferError (AUTH)."""
        if self._verifier is None:
            return
        try:
            self._verifier.finish()
        except TsigError as error:
            raise auth_error(error) from error

    def _verified(self, verifier: ResponseVerifier, message: bytes, now: int) -> bytes:
        """The message without its TSIG."""
        place = place_text(self._messages + 1)
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
