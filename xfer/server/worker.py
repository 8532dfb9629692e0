"""A worker process: it answers plain queries from a copy of the zones (DESIGN §3).

    UDP socket ──▶ plain query of a zone that it has ──▶ answer
          └──────▶ all else ──▶ the daemon, which answers it from its own copy of the socket

The daemon sends, in this order, settings, the origins of all zones, blocks, and of which of them a
version is made; each command is confirmed once it is done, and a version is served once that is
confirmed. Between two batches of queries one command is done, or one step of it, so that an update
holds up nobody. The process ends when the daemon does, because its socket then ends. It imports
neither trio nor anything else of the daemon's; through the socket go plain values (`values.py`).

    command                                      answer
    settings  payload, memory, secrets,          done
              signatures a second
    origins   of all zones of the server         done
    blocks    (octets, digest) …                 done
    serve     origin, digests, until, open,      done, when it is served
              who signs its proofs, or None
    until     origin, until, open                done
    drop      origin                             done
    go        answer from now on                 done
    count                                        counted, what `Statistics.drain` gives
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from xfer.answer.cookies import Cookies
from xfer.answer.denial import Denial
from xfer.answer.fast import Fast, Service
from xfer.answer.kept import Lease
from xfer.answer.online import OnlineDenial
from xfer.answer.respond import Responder
from xfer.dnssec.signatures import SHARE, Signatures
from xfer.server.datagrams import LONGEST, Ancillary, Datagrams, Peer
from xfer.server.statistics import SAMPLED, Statistics
from xfer.server.values import Frames, frame
from xfer.wire.records import DS
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

if TYPE_CHECKING:
    from xfer.dnssec.online import OnlineSigner

COMMAND = f"from {__name__} import main; main()"
"""For `python -c`; the arguments are the socket to the daemon and the UDP sockets."""

SWITCH_INTERVAL = 1.0  # there is one thread
# Where there are fewer processors than processes, answers come before transfers, if we may say so.
NICE = -10
READ = 1 << 18
BACKLOG = 1 << 20  # octets for the daemon that wait at most; what is passed on beyond is dropped
AHEAD = 64  # commands that wait at most before more are read
BATCH = 64
CLIENTS = 4096


class Zones:
    """The zones of the process, and the commands that change them.

    served: what answers by origin, None for the daemon.
    """

    def __init__(self) -> None:
        self.served: dict[bytes, Service | None] = {}
        self._blocks: dict[bytes, Block] = {}  # that came for a version that is not made yet
        self._denials: dict[bytes, Denial] = {}
        self._signatures: Signatures | None = None  # made when a zone needs it
        self._signers: dict[bytes, tuple[tuple[Any, ...], OnlineSigner]] = {}
        self._memory = 0
        self._rate = 0

    def limit(self, memory: int, rate: int) -> None:
        """Octets for answers that are kept, and signatures a second."""
        self._memory, self._rate = memory // SHARE, rate
        if self._signatures is not None:
            self._signatures.resize(self._memory, rate)

    def find(self, name: bytes, rtype: int) -> Service | None:
        """What answers a question, None for the daemon; as `ZoneTable.holding`."""
        found = self._closest(name)
        if found is not None and rtype == DS and len(found) == len(name) and name[0]:
            found = self._closest(name[name[0] + 1 :]) or found
        return self.served[found] if found is not None else None

    def _closest(self, name: bytes) -> bytes | None:
        served = self.served
        while name not in served:
            if name[0] == 0:
                return None
            name = name[name[0] + 1 :]
        return name

    def origins(self, origins: list[bytes]) -> None:
        """These are all zones of the server."""
        for origin in self.served.keys() - set(origins):
            self.drop(origin)
            del self.served[origin]
        for origin in origins:
            self.served.setdefault(origin, None)

    def blocks(self, *blocks: tuple[bytes, bytes]) -> None:
        """Blocks of the version that is made next."""
        for data, digest in blocks:
            self._blocks[digest] = Block(data, digest)

    def serve(
        self,
        origin: bytes,
        digests: list[bytes],
        until: float | None,
        open: bool,
        online: tuple[Any, ...] | None = None,
    ) -> Iterator[None]:
        """Serve that version, after steps in which the one before still is.

        online: `OnlineSigner.packed` of who signs its proofs as they are asked for.
        """
        before = self.served.get(origin)
        blocks = self._blocks
        if before is not None:
            blocks = {block.digest: block for block in before.responder.snapshot.blocks} | blocks
        self._blocks = {}
        snapshot = Snapshot(origin, [blocks[digest] for digest in digests])
        if online is not None:
            denial = self._online(snapshot, online)
        else:
            self._signers.pop(origin, None)
            denial = Denial(snapshot, self._denials.get(origin))
        while denial.step():
            yield
        self._denials[origin] = denial
        lease = Lease(math.inf if until is None else until)
        self.served[origin] = Service(Responder(snapshot, denial), lease, open)
        if before is not None:
            before.lease.end()

    def _online(self, snapshot: Snapshot, packed: tuple[Any, ...]) -> Denial:
        """Proofs that are signed as they are asked for; cryptography is loaded with the first, and
        keys are checked only where they are others, which takes long."""
        from xfer.dnssec.online import OnlineSigner

        if self._signatures is None:
            self._signatures = Signatures(self._memory, self._rate, time.monotonic, time.time)
        had = self._signers.get(snapshot.origin)
        if had is None or had[0] != packed:
            signer = OnlineSigner.unpacked(snapshot.origin, packed, self._signatures)
            had = self._signers[snapshot.origin] = packed, signer
        return OnlineDenial(snapshot, had[1].sign, had[1].compact)

    def signed(self) -> dict[str, int]:
        """What was signed since the last time, as `Statistics.count_signed` wants it."""
        return self._signatures.drain() if self._signatures is not None else {}

    def until(self, origin: bytes, until: float | None, open: bool) -> None:
        """It is served as long as that; open: whether anybody may ask."""
        service = self.served.get(origin)
        if service is None:
            return
        end = math.inf if until is None else until
        if service.open == open:
            service.lease.until = end
        else:
            service.lease.end()
            self.served[origin] = Service(service.responder, Lease(end), open)

    def drop(self, origin: bytes) -> None:
        """The daemon answers for it, if anybody does."""
        service = self.served.get(origin)
        if service is not None:
            service.lease.end()
            self.served[origin] = None
        self._denials.pop(origin, None)
        self._signers.pop(origin, None)


class Worker:
    """send: takes octets for the daemon; sockets: not read before `go`."""

    def __init__(self, sockets: list[Datagrams]) -> None:
        self.sockets = sockets
        self.zones = Zones()
        self.statistics = Statistics()
        self.fast = Fast(self.zones.find, self._cookie, 512, 0)
        self.going = False
        self.out = bytearray()
        self._work: deque[Iterator[None]] = deque()
        self._cookies: Cookies | None = None
        self._clients: dict[str, bytes] = {}
        self._untimed = 0

    # -- commands

    @property
    def busy(self) -> int:
        """Commands that are left to do."""
        return len(self._work)

    def take(self, command: str, *arguments: Any) -> None:
        """A command, to be done in its turn."""
        self._work.append(self._do(command, *arguments))

    def step(self) -> None:
        """A bounded piece of what is to do."""
        if next(self._work[0], self) is self:
            self._work.popleft()

    def _do(self, command: str, *arguments: Any) -> Iterator[None]:
        if command == "count":
            kinds, zones = self.fast.drain()
            self.statistics.absorb((kinds, zones, *self.statistics.drain()[2:]))
            self.statistics.count_signed(self.zones.signed())
            self.out += frame("counted", self.statistics.drain())
            return
        if command == "serve":
            yield from self.zones.serve(*arguments)
            gc.collect(1)
            gc.freeze()  # what was made stays
        elif command == "go":
            self.going = True
        elif command == "settings":
            self._settings(*arguments)
        else:
            change: Callable[..., None] = getattr(self.zones, command)
            change(*arguments)
            if command == "origins":
                self.fast.forget()
        self.out += frame("done")

    def _settings(
        self, payload: int, memory: int, secrets: list[bytes], signatures: int = 0
    ) -> None:
        self.zones.limit(memory, signatures)
        self._cookies = Cookies(secrets) if secrets else None
        self.fast.set(payload, memory)
        self.fast.cookies = self._cookies is not None

    # -- queries

    def batch(self, index: int) -> None:
        """Answer what has come to a socket, or pass it on."""
        sock = self.sockets[index]
        receive, send, again = sock.receive, sock.send, self.fast.again
        began = now = time.monotonic()
        number = 0
        while number < BATCH and now <= began + LONGEST:
            received = receive()
            if received is None:
                break
            data, peer, ancillary = received
            reply = again(data, now)
            if reply is None:
                reply = self.fast.answer(data, self._client(peer[0]), now)
            if reply is not None:
                send(reply, peer, ancillary)
            else:
                self._pass_on(index, data, peer, ancillary)
            number += 1
            if number & 7 == 0:
                now = time.monotonic()
        self._untimed += number
        while self._untimed >= SAMPLED:
            self._untimed -= SAMPLED
            self.statistics.took((time.monotonic() - began) / number)

    def _pass_on(self, index: int, data: bytes, peer: Peer, ancillary: Ancillary) -> None:
        if len(self.out) < BACKLOG:
            self.out += frame("asked", index, data, peer, ancillary)

    def _client(self, host: str) -> bytes:
        client = self._clients.get(host)
        if client is None:
            if len(self._clients) >= CLIENTS:
                self._clients.clear()
            client = self._clients[host] = ip_address(host.partition("%")[0]).packed
        return client

    def _cookie(self, option: bytes, client: bytes) -> bytes | None:
        if self._cookies is None:
            return None
        checked = self._cookies.check(option, client, int(time.time()))
        return checked.answer if checked is not None else None


def serve(control: socket.socket, worker: Worker) -> None:
    """Do commands and answer queries until the daemon's end of the socket closes."""
    control.setblocking(False)
    frames = Frames()
    poll = select.epoll()
    poll.register(control, select.EPOLLIN)
    indices: dict[int, int] = {}
    writing = False
    while True:
        for number, events in poll.poll(0 if worker.busy else -1):
            index = indices.get(number)
            if index is not None:
                worker.batch(index)
            elif events & ~select.EPOLLOUT and worker.busy < AHEAD:
                try:
                    octets = control.recv(READ)
                except BlockingIOError:
                    continue
                if not octets:
                    return
                for values in frames.feed(octets):
                    worker.take(*values)
        if worker.busy:
            worker.step()
        if worker.going and not indices:
            for index, sock in enumerate(worker.sockets):
                poll.register(sock.socket, select.EPOLLIN)
                indices[sock.socket.fileno()] = index
        if worker.out:
            try:
                del worker.out[: control.send(worker.out)]
            except BlockingIOError:
                pass
        if bool(worker.out) != writing:
            writing = bool(worker.out)
            poll.modify(control, select.EPOLLIN | (select.EPOLLOUT if writing else 0))


def main() -> None:
    """The process. Signals are for the daemon, whose end is ours too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_INTERVAL)
    with contextlib.suppress(OSError):
        os.nice(NICE)
    gc.freeze()
    control, *sockets = (socket.socket(fileno=int(argument)) for argument in sys.argv[1:])
    try:
        serve(control, Worker([Datagrams(sock) for sock in sockets]))
    except (BrokenPipeError, ConnectionResetError):
        pass
    os._exit(0)  # nothing to put away; freeing a large zone takes time
