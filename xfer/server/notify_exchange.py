"""One NOTIFY and its answer: a few times over UDP, waiting longer each time, then over TCP.

RFC 1996 §3: UDP unless that fails. The answer to any of the datagrams counts, so that a secondary
which is slower than our time-out is heard. ICMP saying that nobody listens, an answer that does not
verify and one that cannot be read do not end the wait: anybody can send them. They are remembered
for the sentence that the operator gets where nothing better comes (RFC 8945 §5.3).
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable

import attrs
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError, TsigError, WireError
from xfer.server.framing import unverified
from xfer.server.soa import broken_text
from xfer.server.target import Dial, Target, connect, dial_tcp, system_text, transport_error
from xfer.wire.codes import OPCODE_NOTIFY, rcode_text
from xfer.wire.message import Question, check_response, make_notify, parse_response
from xfer.wire.records import SOA, split
from xfer.wire.tsig import ResponseVerifier, sign_request
from xfer.zone.snapshot import Snapshot


@attrs.frozen
class NotifyTries:
    """timeout: seconds to wait for the first datagram's answer, twice as long for each next one;
    attempts: datagrams to send; tcp: seconds for connecting, and again for the answer over TCP."""

    timeout: float = 1.0
    attempts: int = 3
    tcp: float = 10.0

    def waits(self) -> list[float]:
        """Seconds to wait after each datagram."""
        return [self.timeout * 2**number for number in range(self.attempts)]


@attrs.frozen
class NotifyAnswer:
    """serial: of the NOTIFY that was answered; rcode: in words, "NOERROR" for delivered."""

    serial: int
    rcode: str


class Exchange:
    """One NOTIFY to one secondary.

    current: the version to tell of, asked anew for each datagram, so that the newest is told.
    """

    def __init__(
        self,
        target: Target,
        current: Callable[[], Snapshot],
        *,
        clock: Clock,
        rng: random.Random,
        tries: NotifyTries,
        dial: Dial = dial_tcp,
    ) -> None:
        self.serial = 0  # the last one sent
        self._target = target
        self._current = current
        self._clock = clock
        self._rng = rng
        self._tries = tries
        self._dial = dial
        self._socket: socket.socket | None = None
        self._sent: dict[int, tuple[int, bytes]] = {}  # message ID → serial, MAC
        self._unreached = ""  # what the system said
        self._wrong: TransferError | None = None  # an answer that does not count

    def begin(self) -> None:
        """Send the first datagram, at once. Never raises; `run` tells what was wrong."""
        target = self._target
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        try:
            sock = self._socket = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            if target.source is not None:
                sock.bind((target.source, 0))
            sock.connect((target.address, target.port))
            self._send(sock)
        except OSError as error:
            self._unreached = system_text(error)

    async def run(self) -> NotifyAnswer:
        """The answer. Raises TransferError: TRANSPORT without one, AUTH, PROTOCOL or DENIED for one
        that does not count."""
        if self._socket is not None:
            with self._socket as sock:
                for number, wait in enumerate(self._tries.waits()):
                    if number:
                        self._send(sock)
                    answer = await self._receive(sock, wait)
                    if answer is not None:
                        return answer
                    if self._wrong is not None:
                        raise self._wrong
        try:
            return await self._ask_tcp()
        except TransferError as error:
            if error.failure is Failure.TRANSPORT:
                raise self._no_answer(error) from error
            raise

    def close(self) -> None:
        """Give up what `begin` opened."""
        if self._socket is not None:
            self._socket.close()

    def _no_answer(self, over_tcp: TransferError) -> TransferError:
        waits = self._tries.waits()
        over_udp = self._unreached or f"none within {sum(waits):g} s"
        return transport_error(
            self._target,
            f"an answer to one of {len(waits)} NOTIFYs over UDP, or over TCP",
            f"{over_udp} over UDP, {over_tcp.got} over TCP",
        )

    def _message(self) -> bytes:
        snapshot = self._current()
        self.serial = snapshot.serial
        _, rdata = snapshot.spelled(snapshot.soa)
        msg_id = self._rng.getrandbits(16)
        message = make_notify(msg_id, snapshot.origin, rdata, split(snapshot.soa)[3])
        mac = b""
        if self._target.key is not None:
            message, mac = sign_request(message, self._target.key, int(self._clock.wall()))
        self._sent[msg_id] = self.serial, mac
        return message

    def _send(self, sock: socket.socket) -> None:
        message = self._message()
        for _ in range(2):
            # The first call may bring the ICMP error of an earlier datagram, and send nothing.
            try:
                sock.send(message)
                return
            except OSError as error:
                self._unreached = system_text(error)

    async def _receive(self, sock: socket.socket, wait: float) -> NotifyAnswer | None:
        with trio.move_on_after(wait):
            while True:
                await trio.lowlevel.wait_readable(sock)
                try:
                    message = sock.recv(65535)
                except BlockingIOError:
                    continue
                except OSError as error:
                    self._unreached = system_text(error)
                    continue
                answer = self._read(message)
                if answer is not None:
                    return answer
        return None

    def _read(self, message: bytes) -> NotifyAnswer | None:
        """The answer in these octets; None where it is no answer to us, or does not count."""
        if len(message) < 12 or message[2] < 0x80:
            return None
        msg_id = message[0] << 8 | message[1]
        if msg_id not in self._sent:
            return None
        serial, mac = self._sent[msg_id]
        target = self._target
        try:
            body = message
            if target.key is not None:
                verifier = ResponseVerifier(target.key, mac, 0)
                body = verifier.feed(message, int(self._clock.wall()))
                verifier.finish()
            response = parse_response(body)
            question = Question(self._current().origin, SOA)
            check_response(response, msg_id, OPCODE_NOTIFY, question, first=False)
        except TsigError as error:
            self._wrong = unverified(message, error)
            self._wrong.peer = target.text()
            return None
        except WireError as error:
            self._wrong = TransferError(
                Failure.PROTOCOL, error.expected, error.got, peer=target.text()
            )
            return None
        return NotifyAnswer(serial, rcode_text(response.rcode))

    async def _ask_tcp(self) -> NotifyAnswer:
        target, limit = self._target, self._tries.tcp
        connection = await connect(target, self._dial, limit)
        buffer = b""
        async with connection.stream as stream:
            with trio.move_on_after(limit):
                message = self._message()
                try:
                    await stream.send_all(struct.pack("!H", len(message)) + message)
                    while len(buffer) < 2 or len(buffer) < 2 + (buffer[0] << 8 | buffer[1]):
                        data = await stream.receive_some(65537)
                        if not data:
                            raise transport_error(
                                target, "an answer over TCP", f"closed after {len(buffer)} octets"
                            )
                        buffer += data
                except (OSError, trio.BrokenResourceError) as error:
                    raise transport_error(
                        target, "an answer over TCP", broken_text(error)
                    ) from error
                answer = self._read(buffer[2 : 2 + (buffer[0] << 8 | buffer[1])])
                if answer is not None:
                    return answer
                raise self._wrong or TransferError(
                    Failure.PROTOCOL,
                    "an answer with our ID over TCP",
                    "another message",
                    peer=target.text(),
                )
        raise transport_error(
            target, f"an answer over TCP within {limit:g} s", f"{len(buffer)} octets"
        )
