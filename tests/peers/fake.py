"""A primary that misbehaves on purpose: dnspython messages on plain sockets, small zones.

It keeps its versions, answers SOA and AXFR well, and IXFR as its `behaviour` says; every answer is
one message, signed as the request was. `asked` lists what came, in order.
"""

from __future__ import annotations

import enum
import itertools
import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig

from tests.peers.ports import free_port
from tests.peers.process import Remote, TsigKey

Line = str
"""A record in presentation form, owner absolute: "www.x.test. 300 A 192.0.2.1"."""


class Behaviour(enum.Enum):
    """What becomes of a request for IXFR."""

    GOOD = "the deltas"
    WHOLE = "the whole zone, as one whose history is gone"
    ABSENT = "a delta that deletes a record that is not there"
    PRESENT = "a delta that adds a record that is there"
    SERVFAIL = "SERVFAIL"
    NOTIMP = "NOTIMP"
    REFUSED = "REFUSED"
    FORMERR = "FORMERR"
    STALL = "nothing, the connection stays open"
    HANG_UP = "half a message, then the connection ends"
    SHORT = "a delta without its end, then the connection ends"
    LONE_SOA = "the SOA alone, newer than the one asked from"
    GARBAGE = "octets that are no message"


_RCODES = {
    Behaviour.SERVFAIL: dns.rcode.SERVFAIL,
    Behaviour.NOTIMP: dns.rcode.NOTIMP,
    Behaviour.REFUSED: dns.rcode.REFUSED,
    Behaviour.FORMERR: dns.rcode.FORMERR,
}


class FakePrimary:
    """Serves `zone` on UDP and TCP from threads of this process. A context manager."""

    def __init__(self, zone: str, key: TsigKey, *, address: str = "127.0.0.1") -> None:
        self.remote = Remote(address, free_port(address), key)
        self.behaviour = Behaviour.GOOD
        self.asked: list[str] = []
        self._zone = zone
        name = dns.name.from_text(key.name)
        self._keyring = {name: dns.tsig.Key(name, key.secret, key.algorithm)}
        self._versions: dict[int, frozenset[Line]] = {}
        self._end = threading.Event()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, self.remote.port))
        self._tcp = socket.create_server((address, self.remote.port))
        self._threads: list[threading.Thread] = []

    def publish(self, serial: int, lines: Iterable[Line]) -> None:
        """Serve this content, the SOA left out, under a serial from now on."""
        self._versions[serial] = frozenset(lines)

    @property
    def serial(self) -> int:
        """What it serves: the version published last."""
        return list(self._versions)[-1]

    def soa(self, serial: int) -> Line:
        zone = self._zone
        return f"{zone} 300 SOA ns1.{zone} hostmaster.{zone} {serial} 3600 1 86400 60"

    def records(self) -> list[Line]:
        """What it serves now, the SOA first."""
        serial = self.serial  # once: another may be published meanwhile
        return [self.soa(serial), *sorted(self._versions[serial])]

    def _whole(self) -> list[Line]:
        """An AXFR."""
        records = self.records()
        return [*records, records[0]]

    def notify(self, to: Remote, timeout: float = 5.0) -> str:
        """Tell a secondary of the newest serial; its answer's rcode, "none" without one."""
        message = dns.message.make_query(self._zone, "SOA")
        message.set_opcode(dns.opcode.NOTIFY)
        message.flags = message.flags & ~dns.flags.RD | dns.flags.AA
        message.answer.append(_rrset(self.soa(self.serial)))
        message.use_tsig(self._keyring)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((self.remote.address, 0))
            sock.settimeout(timeout)
            sock.connect((to.address, to.port))
            sock.send(message.to_wire())
            try:
                wire = sock.recv(65535)
            except OSError:
                return "none"
        answer = dns.message.from_wire(wire, keyring=self._keyring, request_mac=message.mac)
        return dns.rcode.to_text(answer.rcode())

    # -- serving

    def _serve_udp(self) -> None:
        while not self._end.is_set():
            try:
                wire, sender = self._udp.recvfrom(65535)
            except OSError:
                return
            if not wire:
                continue  # the socket was shut down
            query = dns.message.from_wire(wire, keyring=self._keyring)
            self.asked.append(_text(query, "UDP"))
            if query.question[0].rdtype == dns.rdatatype.IXFR:
                answer = self._answer(query, [self.soa(self.serial)])
            else:
                answer = self._answer(query, self._plain(query))
            try:
                self._udp.sendto(answer, sender)
            except OSError:
                return  # it was closed meanwhile

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve_tcp, args=[connection], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve_tcp(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(0.1)
            while wire := self._frame(connection):
                query = dns.message.from_wire(wire, keyring=self._keyring)
                self.asked.append(_text(query, "TCP"))
                if query.question[0].rdtype != dns.rdatatype.IXFR:
                    _send(connection, self._answer(query, self._plain(query)))
                elif not self._ixfr(connection, query):
                    return

    def _frame(self, connection: socket.socket) -> bytes:
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack_from("!H", data)[0]:
            try:
                part = connection.recv(65536)
            except TimeoutError:
                if self._end.is_set():
                    return b""
                continue
            except OSError:
                return b""
            if not part:
                return b""
            data += part
        return data[2:]

    def _plain(self, query: dns.message.Message) -> list[Line]:
        if query.question[0].rdtype == dns.rdatatype.AXFR:
            return self._whole()
        return [self.soa(self.serial)]

    def _ixfr(self, connection: socket.socket, query: dns.message.Message) -> bool:
        """Answer as `behaviour` says; whether the connection goes on."""
        behaviour = self.behaviour
        since = query.authority[0][0].serial
        if behaviour in _RCODES:
            _send(connection, self._answer(query, [], _RCODES[behaviour]))
            return True
        match behaviour:
            case Behaviour.STALL:
                self._end.wait(60)
                return False
            case Behaviour.GARBAGE:
                _send(connection, b"\xff" * 40)
                return False
            case Behaviour.WHOLE:
                lines = self._whole()
            case Behaviour.LONE_SOA:
                lines = [self.soa(self.serial)]
            case _:
                lines = self._deltas(since)
        try:
            wire = self._answer(query, lines)
        except dns.exception.TooBig:  # more than one message of deltas: the zone is smaller
            wire = self._answer(query, self._whole())
        if behaviour is Behaviour.HANG_UP:
            connection.sendall((struct.pack("!H", len(wire)) + wire)[: len(wire) // 2])
            return False
        _send(connection, wire)
        return behaviour is not Behaviour.SHORT

    def _deltas(self, since: int) -> list[Line]:
        """RFC 1995 §4, one delta a version; spoilt where the behaviour says so."""
        serials = list(self._versions)
        newest = self.soa(serials[-1])
        if since not in serials:
            return self._whole()
        if since == serials[-1]:
            return [newest]
        lines = [newest]
        steps = serials[serials.index(since) :]
        for old, new in itertools.pairwise(steps):
            before, after = self._versions[old], self._versions[new]
            lines += [self.soa(old), *sorted(before - after)]
            if self.behaviour is Behaviour.ABSENT:
                lines.append(f"never-there.{self._zone} 300 A 192.0.2.99")
            lines += [self.soa(new), *sorted(after - before)]
            if self.behaviour is Behaviour.PRESENT:
                lines.append(sorted(before & after)[0])
        return lines if self.behaviour is Behaviour.SHORT else [*lines, newest]

    def _answer(
        self,
        query: dns.message.Message,
        lines: Sequence[Line],
        rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    ) -> bytes:
        answer = dns.message.make_response(query)
        answer.set_rcode(rcode)
        answer.flags |= dns.flags.AA
        answer.answer = [_rrset(line) for line in lines]
        return answer.to_wire(max_size=65535)

    def __enter__(self) -> Self:
        for target in (self._serve_udp, self._accept):
            thread = threading.Thread(target=target, daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        for sock in (self._udp, self._tcp):
            # close() alone leaves a thread in accept() or recv() where it is.
            _shut(sock)
        for thread in self._threads:
            thread.join(5)
        if kind is not None:
            print(f"the fake primary was asked: {self.asked}")


def _shut(sock: socket.socket) -> None:
    """Close a socket so that whoever waits on it wakes up."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # UDP sockets say that they are not connected, and wake their reader all the same
    sock.close()


def _send(connection: socket.socket, wire: bytes) -> None:
    try:
        connection.sendall(struct.pack("!H", len(wire)) + wire)
    except OSError:
        pass  # the secondary hung up, which is its right


def _text(query: dns.message.Message, transport: str) -> str:
    """ "UDP SOA", "TCP IXFR 7"."""
    rtype = dns.rdatatype.to_text(query.question[0].rdtype)
    serial = f" {query.authority[0][0].serial}" if rtype == "IXFR" else ""
    return f"{transport} {rtype}{serial}"


def _rrset(line: Line) -> dns.rrset.RRset:
    owner, ttl, rtype, rdata = line.split(" ", 3)
    return dns.rrset.from_text(owner, int(ttl), "IN", rtype, rdata)
