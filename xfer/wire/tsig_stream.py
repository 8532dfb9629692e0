"""Signed responses, one message or a whole transfer (RFC 8945 §5.3, §5.3.1).

    first message     request MAC · message · TSIG variables
    each signed later prior MAC · messages since that one, unsigned ones too · time and fudge

A request's MAC and the prior MAC go in as they were sent (shortened, where they were), with two
octets of length before them.
"""

from __future__ import annotations

import hmac
import struct

from librt.strings import BytesWriter

from xfer.errors import TsigError, TsigKind, WireError
from xfer.wire import names
from xfer.wire.codes import rcode_text, tsig_error_text
from xfer.wire.tsig_keys import BADKEY, BADSIG, BADTIME, BADTRUNC, FUDGE, Key
from xfer.wire.tsig_record import Tsig, at_end, build, find, malformed, prefixed, strip, time_bytes


class ResponseVerifier:
    """Checks the responses to one signed request.

    key: the request's; request_mac: as `sign_request` gave it; limit_unsigned: how many messages
    in a row may come without TSIG between signed ones (RFC 8945 §5.3.1 wants 99; 0: none).

    What `feed` returns for an unsigned message is unverified until the next signed one was fed, so
    nothing may be published before `finish` has returned.  Once it has raised, it raises that
    error for good.
    """

    def __init__(self, key: Key, request_mac: bytes, limit_unsigned: int = 99) -> None:
        self.key = key
        self.limit_unsigned = limit_unsigned
        self.messages = 0
        self.signed = 0
        self._unsigned = 0
        self._length = key.tsig_size()
        self._mac = key.start()
        self._mac.update(prefixed(request_mac))
        self._failed: TsigError | None = None

    def feed(self, msg: bytes, now: int) -> bytes:
        """The message without its TSIG, ARCOUNT mended, original ID restored.

        now: Unix seconds.  The caller parses what is returned to its last octet and refuses a TSIG
        in it (see tsig_record).  Raises TsigError.
        """
        if self._failed is not None:
            raise self._failed
        try:
            return self._feed(msg, now)
        except TsigError as exc:
            self._failed = exc
            raise

    def finish(self) -> None:
        """Call after the last message: it must have been signed.  Raises TsigError."""
        if self._failed is not None:
            raise self._failed
        if self.messages == 0:
            raise TsigError(TsigKind.MISSING, f"a response signed by {self.key.text()}", "none")
        if self._unsigned:
            raise TsigError(
                TsigKind.UNSIGNED_TAIL,
                f"a last message signed by {self.key.text()}",
                f"{self._unsigned} unsigned at the end",
            )

    def _feed(self, msg: bytes, now: int) -> bytes:
        tsig = at_end(msg, self.key, self._length)
        if tsig is None:
            tsig = find(msg)
        if tsig is None:
            return self._feed_unsigned(msg)
        if tsig.error != 0 and not tsig.mac:
            raise self._peer_error(tsig, "unsigned", now)
        check_identity(tsig, self.key)
        stripped = strip(msg, tsig)
        mac = self._mac
        mac.update(stripped)
        first = self.signed == 0
        if first:
            mac.update(variables(self.key, tsig))
        else:
            mac.update(time_bytes(tsig.time) + struct.pack(">H", tsig.fudge))
        check_mac(tsig, self.key, mac.digest())
        check_length(tsig, self.key)
        if tsig.error != 0:
            raise self._peer_error(tsig, "signed", now)
        check_time(tsig, now)
        self._length = len(msg) - tsig.start
        self._mac = self.key.start()
        self._mac.update(prefixed(tsig.mac))
        self.messages += 1
        self.signed += 1
        self._unsigned = 0
        return stripped

    def _feed_unsigned(self, msg: bytes) -> bytes:
        if self.signed == 0:
            raise TsigError(
                TsigKind.MISSING,
                f"a response signed by {self.key.text()}",
                f"an unsigned one with {rcode_text(msg[3] & 15)}",
            )
        if self._unsigned >= self.limit_unsigned:
            raise TsigError(
                TsigKind.TOO_MANY_UNSIGNED,
                f"at most {self.limit_unsigned} unsigned messages between signed ones",
                f"{self._unsigned + 1}",
            )
        self._mac.update(msg)
        self.messages += 1
        self._unsigned += 1
        return msg

    def _peer_error(self, tsig: Tsig, how: str, now: int) -> TsigError:
        name = tsig_error_text(tsig.error)
        expected = f"an answer signed by {self.key.text()}"
        head = f"{name} ({how})"
        if tsig.error == BADKEY:
            algorithm = self.key.algorithm
            hint = ""
            if algorithm.mac_size < algorithm.digest_size:
                # BIND has these algorithms, and shortens MACs, but under the full one's name.
                hint = f"; BIND's {algorithm.text} wants hmac-{algorithm.digest} from us"
            return TsigError(
                TsigKind.PEER_BADKEY,
                expected,
                f"{head}: peer does not know {self.key.text()}: "
                f"it may have another name or another algorithm for it{hint}",
            )
        if tsig.error == BADSIG:
            # NSD says BADSIG for another algorithm as well.
            return TsigError(
                TsigKind.PEER_BADSIG,
                expected,
                f"{head}: peer knows the name {names.to_text(self.key.name)}, "
                "but may have another secret or another algorithm for it",
            )
        if tsig.error == BADTIME:
            theirs = 0
            if len(tsig.other) == 6:
                theirs = int.from_bytes(tsig.other, "big")
            return TsigError(
                TsigKind.PEER_BADTIME,
                expected,
                f"{head}: peer finds our clock wrong: {clocks(now, theirs)}",
                our_time=now,
                their_time=theirs,
            )
        if tsig.error == BADTRUNC:
            return TsigError(
                TsigKind.PEER_BADTRUNC,
                expected,
                f"{head}: peer wants a longer MAC than the {self.key.algorithm.mac_size} octets "
                f"of {self.key.algorithm.text}",
            )
        return malformed("TSIG error 0, BADSIG, BADKEY, BADTIME or BADTRUNC", head)


class ResponseSigner:
    """Signs the responses to one verified request, each message of them.

    key, request_mac: of the request; original_id: its original ID where a forwarder changed the ID
    of the message (RFC 8945 §4.2), else -1; fudge: seconds.
    """

    def __init__(
        self, key: Key, request_mac: bytes, original_id: int = -1, fudge: int = FUDGE
    ) -> None:
        self.key = key
        self.original_id = original_id
        self.fudge = fudge
        self.signed = 0
        self._prior = prefixed(request_mac)
        self._now = -1
        self._id = -1
        self._id_octets = b""
        self._timers = b""
        self._mac_size = b""
        self._before = b""  # the TSIG record, up to its MAC
        self._after = b""

    def sign(self, msg: bytes, now: int, msg_id: int = -1) -> bytes:
        """The message with its TSIG appended.

        now: Unix seconds; msg_id: the ID to write into it on the way, for ready-made messages; -1
        leaves its own.  Raises WireError where the result would exceed 65535 octets.
        """
        parts: list[bytes | memoryview] = []
        self.frame(msg, now, msg_id, parts)
        return b"".join(parts)[2:]

    def frame(self, msg: bytes, now: int, msg_id: int, out: list[bytes | memoryview]) -> None:
        """As `sign`, in pieces that are added to `out`: with the two octets of length before it
        that TCP wants, and the message itself not copied."""
        size = len(msg)
        key = self.key
        if size < 12 or size + key.tsig_size() > 65535:
            raise WireError(
                f"a message of 12 to {65535 - key.tsig_size()} octets to sign", f"{size} octets"
            )
        if msg_id < 0:
            msg_id = (msg[0] << 8) | msg[1]
        original_id = self.original_id if self.original_id >= 0 else msg_id
        if now != self._now or original_id != self._id:
            self._prepare(now, original_id)
        mac = key.start()
        mac.update(self._prior + self._id_octets)
        body = memoryview(msg)
        mac.update(body[2:])
        if self.signed == 0:
            mac.update(key.variables + self._timers + b"\x00\x00\x00\x00")
        else:
            mac.update(self._timers)
        digest = mac.digest()[: key.algorithm.mac_size]
        self._prior = self._mac_size + digest
        self.signed += 1
        tail = self._before + digest + self._after
        count = ((msg[10] << 8) | msg[11]) + 1
        size += len(tail)
        head = BytesWriter()
        head.append(size >> 8)
        head.append(size & 255)
        head.append(msg_id >> 8)
        head.append(msg_id & 255)
        head.write(msg[2:10])
        head.append(count >> 8)
        head.append(count & 255)
        out.append(head.getvalue())
        out.append(body[12:])
        out.append(tail)

    def _prepare(self, now: int, original_id: int) -> None:
        """What stays the same from message to message, while the clock shows the same second."""
        self._now = now
        self._id = original_id
        self._id_octets = struct.pack(">H", original_id)
        self._timers = struct.pack(">HIH", (now >> 32) & 0xFFFF, now & 0xFFFFFFFF, self.fudge)
        size = self.key.algorithm.mac_size
        record = build(self.key, now, self.fudge, b"\0" * size, original_id, 0, b"")
        after = len(record) - 6  # original ID, error, length of other data
        self._before = record[: after - size]
        self._after = record[after:]
        self._mac_size = struct.pack(">H", size)


def variables(key: Key, tsig: Tsig) -> bytes:
    """The TSIG variables as a digest takes them (RFC 8945 §4.3.3)."""
    return b"".join(
        (
            key.variables,
            time_bytes(tsig.time),
            struct.pack(">HHH", tsig.fudge, tsig.error, len(tsig.other)),
            tsig.other,
        )
    )


def check_identity(tsig: Tsig, key: Key) -> None:
    """The TSIG's name and algorithm must be the key's.  Raises TsigError."""
    if tsig.owner != key.name:
        raise TsigError(
            TsigKind.WRONG_KEY, f"a TSIG by {key.text()}", f"one by {names.to_text(tsig.owner)}"
        )
    if tsig.algorithm != key.algorithm.wire:
        raise TsigError(
            TsigKind.WRONG_ALGORITHM,
            f"a TSIG by {key.text()}",
            f"one with {names.to_text(tsig.algorithm)}",
        )


def check_mac(tsig: Tsig, key: Key, digest: bytes) -> None:
    """Size (RFC 8945 §5.2.2.1) and value of the MAC, in constant time.  Raises TsigError."""
    algorithm = key.algorithm
    size = len(tsig.mac)
    if size > algorithm.mac_size or size < algorithm.min_mac:
        span = f"{algorithm.min_mac} to {algorithm.mac_size}"
        if algorithm.min_mac == algorithm.mac_size:
            span = str(algorithm.mac_size)
        raise TsigError(
            TsigKind.BAD_TRUNCATION, f"a MAC of {span} octets for {algorithm.text}", f"{size}"
        )
    if not hmac.compare_digest(digest[:size], tsig.mac):
        raise TsigError(
            TsigKind.BAD_MAC,
            f"a MAC by {key.text()} over this message",
            "another one: the secrets differ, or the message was changed",
        )


def check_length(tsig: Tsig, key: Key) -> None:
    """Our own policy on shortened MACs (RFC 8945 §5.2.4).  Raises TsigError."""
    if len(tsig.mac) < key.min_mac:
        raise TsigError(
            TsigKind.BAD_TRUNCATION,
            f"a MAC of at least {key.min_mac} octets by {key.text()}",
            f"{len(tsig.mac)}",
        )


def check_time(tsig: Tsig, now: int) -> None:
    """Our clock and the signer's may differ by its fudge (RFC 8945 §5.2.3).  Raises TsigError."""
    if abs(now - tsig.time) > tsig.fudge:
        raise TsigError(
            TsigKind.BAD_TIME,
            f"a signature within {tsig.fudge} s of our clock",
            clocks(now, tsig.time),
            our_time=now,
            their_time=tsig.time,
        )


def clocks(ours: int, theirs: int) -> str:
    """Both clocks in words; theirs is 0 where unknown."""
    if theirs == 0:
        return f"ours {ours}, theirs unknown"
    ahead = theirs - ours
    word = "ahead" if ahead >= 0 else "behind"
    return f"ours {ours}, theirs {theirs}, {abs(ahead)} s {word}"
