"""unbound as a validating resolver in front of a server under test."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.peers.process import PeerError, Server


class Unbound(Server):
    """unbound's `unbound`, which asks nobody but those it is told of.

    stubs: (address, port) of the server to ask by zone; anchors: DS or DNSKEY records in
    presentation form; options: more lines for `server:`.
    """

    program = "unbound"

    def __init__(
        self,
        stubs: Mapping[str, tuple[str, int]],
        anchors: Sequence[str],
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        directory: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__((), address=address, port=port, directory=directory)
        self.stubs = stubs
        self.anchors = anchors
        self.options = options

    def configure(self) -> None:
        lines = [
            f'directory: "{self.directory}"',
            'chroot: ""',
            'username: ""',
            'pidfile: ""',
            f"interface: {self.address}@{self.port}",
            f"port: {self.port}",
            "do-ip6: no",
            "do-daemonize: no",
            "use-syslog: no",
            'logfile: ""',
            "verbosity: 1",
            "val-log-level: 2",
            "num-threads: 1",
            "outgoing-port-avoid: 0-32767",  # where other tests are about to start servers
            "do-not-query-localhost: no",
            'module-config: "validator iterator"',
            # What is bogus is asked for again and again otherwise.
            "val-max-restart: 0",
            "qname-minimisation: no",
            *(f'trust-anchor: "{anchor}"' for anchor in self.anchors),
            *self.options,
        ]
        text = "server:\n" + "".join(f"  {line}\n" for line in lines)
        text += "remote-control:\n  control-enable: no\n"
        for zone, (address, port) in self.stubs.items():
            text += f'stub-zone:\n  name: "{zone}"\n  stub-addr: {address}@{port}\n'
        (self.directory / "unbound.conf").write_text(text)

    def command(self) -> list[str]:
        return ["unbound", "-d", "-c", str(self.directory / "unbound.conf")]

    def reload(self, zone: str) -> None:
        raise PeerError("unbound has no zones of its own")

    def retransfer(self, zone: str) -> None:
        raise PeerError("unbound has no zones of its own")

    def refresh(self, zone: str) -> None:
        raise PeerError("unbound has no zones of its own")

    def wait_answering(self, timeout: float = 30.0) -> None:
        """Wait until it answers what it knows of itself."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.ask("localhost.", "A", timeout=0.2)
            except (OSError, dns.exception.DNSException):
                self._check_alive()
                if time.monotonic() > deadline:
                    raise PeerError(f"unbound gave no answer\n{self.logs()}") from None
            else:
                return

    def ask(self, name: str, rtype: str, timeout: float = 10.0) -> dns.message.Message:
        """Its answer, with AD where it has validated it and found it secure."""
        query = dns.message.make_query(name, rtype, use_edns=0, want_dnssec=True, payload=4096)
        return dns.query.udp(query, self.address, timeout, self.port)
