"""A secondary on loopback that answers as told, and what is needed to tell it of versions."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing

from tests.peers import free_port
from tests.server.fakes import TrioClock, peer, snapshot, zone_config
from xfer.config_limits import Limits
from xfer.journal import PeerState
from xfer.peers import Peer
from xfer.server.downstream import Downstream
from xfer.server.status import SecondaryStatus
from xfer.server.zones import Zone
from xfer.wire.request import Kind, make_error, parse_request, serial_soa
from xfer.wire.tsig import Key, verify_request

SILENT = -1
"""In place of an rcode: no answer."""


@attrs.define(eq=False, slots=False)
class FakeSecondary:
    """Listens on UDP and TCP of one port.

    notify, tcp: rcode for each NOTIFY that comes, the last one for all others; soa: the serial it
    has, an rcode below 0; key: it signs with, and verifies by.
    """

    notify: list[int] = attrs.Factory(lambda: [0])
    tcp: list[int] = attrs.Factory(lambda: [0])
    soa: int | None = None
    key: Key | None = None
    told: list[tuple[float, str, int]] = attrs.Factory(list)  # time, transport, serial
    asked: list[float] = attrs.Factory(list)
    delay: float = 0.0
    garble: Callable[[bytes], bytes] = lambda answer: answer
    follows: bool = False  # it has at once what it is told of
    port: int = 0

    @property
    def serials(self) -> list[int]:
        return [serial for _, _, serial in self.told]

    @property
    def times(self) -> list[float]:
        return [round(at, 3) for at, _, _ in self.told]

    def answer(self, message: bytes, transport: str) -> bytes | None:
        signer = None
        if self.key is not None:
            verified = verify_request(message, {self.key.name: self.key}, int(TrioClock().wall()))
            signer, message = verified.signer(), verified.message
        request = parse_request(message)
        if request.kind is Kind.NOTIFY:
            serial = request.notify_serial
            assert serial is not None
            self.told.append((trio.current_time(), transport, serial))
            rcodes = self.notify if transport == "udp" else self.tcp
            rcode = rcodes.pop(0) if len(rcodes) > 1 else rcodes[0]
            if rcode == 0 and self.follows:
                self.soa = serial
            made = None if rcode == SILENT else make_error(message, rcode, aa=True)
        else:
            self.asked.append(trio.current_time())
            made = self._soa(message)
        if made is None:
            return None
        return self.garble(signer.sign(made, int(TrioClock().wall())) if signer else made)

    def _soa(self, message: bytes) -> bytes | None:
        if self.soa is None:
            return None
        if self.soa < 0:
            return make_error(message, -self.soa)
        header = message[:2] + b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00"
        request = parse_request(message)
        question = message[12 : 12 + len(request.question.name) + 4]
        rdata = serial_soa(self.soa)
        record = b"\xc0\x0c\x00\x06\x00\x01" + struct.pack("!IH", 300, len(rdata)) + rdata
        return header + question + record

    async def serve_udp(self, sock: trio.socket.SocketType) -> None:
        with sock:
            while True:
                message, source = await sock.recvfrom(65535)
                answer = self.answer(message, "udp")
                if answer is not None:
                    if self.delay:
                        await trio.sleep(self.delay)
                    await sock.sendto(answer, source)

    async def serve_tcp(self, stream: trio.SocketStream) -> None:
        async with stream:
            message = await stream.receive_some(65537)
            answer = self.answer(message[2:], "tcp")
            if answer is not None:
                await stream.send_all(struct.pack("!H", len(answer)) + answer)
                return
            await trio.sleep_forever()


class Saves:
    """Keeps what would go to the journal."""

    def __init__(self) -> None:
        self.states: dict[tuple[bytes, str], PeerState] = {}

    def save_peer(self, state: PeerState) -> None:
        self.states[state.origin, state.peer] = state

    def of(self, zone: Zone) -> list[PeerState]:
        return [state for (origin, _), state in self.states.items() if origin == zone.origin]


@attrs.define(eq=False)
class World:
    """A zone, its fake secondaries by name, and what tells them."""

    zone: Zone
    downstream: Downstream
    secondaries: dict[str, FakeSecondary]
    saves: Saves
    nursery: trio.Nursery

    def publish(self, serial: int) -> None:
        self.zone.snapshot = snapshot(serial)
        self.downstream.notifier.notify(self.zone)

    def status(self, name: str = "sec") -> SecondaryStatus:
        return self.zone.secondaries[name]

    def restarted(self, limits: Limits) -> Downstream:
        """Another one in its place, as after a restart, that knows what was saved."""
        self.downstream.removed(self.zone)
        self.zone.secondaries.clear()
        self.downstream = Downstream(
            self.nursery, TrioClock(), random.Random(1), limits, self.saves
        )
        return self.downstream


@asynccontextmanager
async def world(
    *secondaries: FakeSecondary,
    keys: Sequence[Key] = (),
    limits: Limits | None = None,
    listening: bool = True,
) -> AsyncIterator[World]:
    """Fake secondaries "sec", "sec1", … of a zone that serves serial 1."""
    async with trio.open_nursery() as nursery:
        peers: list[Peer] = []
        named: dict[str, FakeSecondary] = {}
        for number, fake in enumerate(secondaries or (FakeSecondary(),)):
            name = f"sec{number or ''}"
            udp, listener = await _bound()
            fake.port = udp.getsockname()[1]
            if listening:
                nursery.start_soon(fake.serve_udp, udp)
                nursery.start_soon(trio.serve_listeners, fake.serve_tcp, [listener])
            else:
                udp.close()
                listener.socket.close()
            peers.append(peer(name, "127.0.0.1", port=fake.port, keys=tuple(keys)))
            named[name] = fake
        zone = Zone(zone_config(secondaries=peers), snapshot=snapshot(1))
        saves = Saves()
        downstream = Downstream(nursery, TrioClock(), random.Random(1), limits or Limits(), saves)
        yield World(zone, downstream, named, saves, nursery)
        nursery.cancel_scope.cancel()


async def _bound() -> tuple[trio.socket.SocketType, trio.SocketListener]:
    # One that the system gave for TCP alone might be in use over UDP.
    where = "127.0.0.1", free_port("127.0.0.1")
    tcp = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    await tcp.bind(where)
    tcp.listen()
    udp = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await udp.bind(where)
    return udp, trio.SocketListener(tcp)
