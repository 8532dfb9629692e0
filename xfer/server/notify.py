"""NOTIFY to the secondaries of a zone: one to each for each new version (RFC 1996 §3).

UDP, signed with the peer's key, from our configured address, sent again while no answer comes. A
newer version takes the place of a NOTIFY that is still being sent. Delivered means NOERROR.
"""

from __future__ import annotations

import random
import struct

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.errors import TransferError, TsigError, WireError
from xfer.peers import Peer
from xfer.server.reception import auth_error
from xfer.server.target import Target, system_text, transport_error
from xfer.server.zones import Zone
from xfer.wire.codes import OPCODE_NOTIFY, rcode_text
from xfer.wire.message import Question, check_response, make_notify, parse_response
from xfer.wire.records import SOA, split
from xfer.wire.tsig import ResponseVerifier, sign_request
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()


async def send_notify(
    target: Target,
    snapshot: Snapshot,
    *,
    clock: Clock,
    rng: random.Random,
    timeout: float,
    attempts: int,
) -> str:
    """Send until an answer comes; returns its rcode, "NOERROR" for delivered.

    timeout: seconds per attempt. Raises TransferError: TRANSPORT without an answer, AUTH for one
    that does not verify.
    """
    question = Question(snapshot.origin, SOA)
    _, rdata = snapshot.spelled(snapshot.soa)
    ttl = split(snapshot.soa)[3]
    family = trio.socket.AF_INET6 if ":" in target.address else trio.socket.AF_INET
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
        try:
            if target.source is not None:
                await sock.bind((target.source, 0))
            await sock.connect((target.address, target.port))
            for _ in range(attempts):
                msg_id = rng.getrandbits(16)
                message = make_notify(msg_id, snapshot.origin, rdata, ttl)
                mac = b""
                if target.key is not None:
                    message, mac = sign_request(message, target.key, int(clock.wall()))
                await sock.send(message)
                with trio.move_on_after(timeout):
                    while True:
                        answer = await sock.recv(65535)
                        if answer[:2] == struct.pack("!H", msg_id):
                            return _rcode(answer, msg_id, question, target, mac, clock)
        except OSError as error:
            raise transport_error(
                target, "an answer to NOTIFY over UDP", system_text(error)
            ) from error
    raise transport_error(
        target, f"an answer to one of {attempts} NOTIFYs", f"none within {attempts * timeout:g} s"
    )


def _rcode(
    answer: bytes, msg_id: int, question: Question, target: Target, mac: bytes, clock: Clock
) -> str:
    if target.key is not None:
        verifier = ResponseVerifier(target.key, mac, 0)
        try:
            answer = verifier.feed(answer, int(clock.wall()))
            verifier.finish()
        except TsigError as error:
            failure = auth_error(error)
            failure.peer = target.text()
            raise failure from error
    try:
        response = parse_response(answer)
        check_response(response, msg_id, OPCODE_NOTIFY, question, first=False)
    except WireError as error:
        raise transport_error(target, error.expected, error.got) from error
    return rcode_text(response.rcode)


@attrs.define(eq=False)
class Notifier:
    """Sends NOTIFYs in the background; at most one at a time for a zone and peer."""

    nursery: trio.Nursery
    clock: Clock
    rng: random.Random
    timeout: float
    attempts: int
    _running: dict[tuple[bytes, str], trio.CancelScope] = attrs.Factory(dict)

    def notify(self, zone: Zone) -> None:
        """Queue NOTIFY for the served version to every secondary."""
        for peer in zone.config.secondaries:
            before = self._running.get((zone.origin, peer.name))
            if before is not None:
                before.cancel()
            self.nursery.start_soon(self.notify_one, zone, peer)

    async def notify_one(self, zone: Zone, peer: Peer) -> str:
        """Send to one secondary and record the result; returns it as a word or sentence."""
        snapshot = zone.snapshot
        if snapshot is None:
            return "no version"
        key = (zone.origin, peer.name)
        result = "replaced by a newer version"
        with trio.CancelScope() as scope:
            self._running[key] = scope
            try:
                result = await send_notify(
                    Target.of(peer),
                    snapshot,
                    clock=self.clock,
                    rng=self.rng,
                    timeout=self.timeout,
                    attempts=self.attempts,
                )
            except TransferError as error:
                result = str(error)
            finally:
                if self._running.get(key) is scope:
                    del self._running[key]
        if scope.cancelled_caught:
            return result
        zone.secondaries[peer.name] = attrs.evolve(
            zone.secondary_status(peer),
            notified_serial=snapshot.serial,
            notified_at=self.clock.wall(),
            notify_result=result,
        )
        delivered = result == "NOERROR"
        (log.info if delivered else log.warning)(
            "notify",
            zone=zone.name,
            peer=str(peer),
            direction="out",
            kind="notify",
            serial_to=snapshot.serial,
            result=result,
        )
        return result
