"""Who takes part: the zone and its versions, the daemon that dies, the witness of its words."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import attrs
import dns.message
import dns.name
import dns.rdatatype
import dns.tsig

from tests.bench import zone
from tests.kill.plan import Plan
from tests.peers import Record, Remote, TsigKey, Xferd, free_port, query_soa

KEY = TsigKey.make("k1.")
PATIENCE = 30.0  # seconds for what should take one or two


@attrs.frozen
class Content:
    """The versions of the zone; each changes one host in a hundred and adds ten records."""

    size: int

    def items(self, version: int) -> list[zone.Item]:
        return list(zone.records(self.size + 10 * version, version))

    def records(self, version: int) -> list[Record]:
        """What an AXFR of the version must bring, sorted."""
        return sorted(
            Record(
                f"{owner}.{zone.ZONE}" if owner else zone.ZONE,
                zone.TTL,
                zone._TYPE_NAMES[rtype],
                zone._rdata_text(rtype, before, f"{name}.{zone.ZONE}"),
            )
            for owner, rtype, before, name in self.items(version)
        )


class Daemon(Xferd):
    """xfer, to be killed as `plan` says, or to run as it is."""

    plan: Plan | None = None
    environment_more: Mapping[str, str] = {}

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.environment_more}

    def command(self) -> list[str]:
        if self.plan is None:
            return super().command()
        config = str(self.config_file)
        return [sys.executable, "-m", "tests.kill.launcher", config, self.plan.to_text()]

    def wait_dead(self) -> int | None:
        """How it ended; None where it lives on."""
        assert self._process is not None
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return None


class Witness:
    """Sees what the daemon tells the world: NOTIFYs, never answered, and SOA answers."""

    def __init__(self) -> None:
        self.remote = Remote("127.0.0.1", free_port("127.0.0.1"), KEY)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.remote.address, self.remote.port))
        self._socket.setblocking(False)
        name = dns.name.from_text(KEY.name)
        self._keyring = {name: dns.tsig.Key(name, KEY.secret, KEY.algorithm)}

    def notified(self) -> set[int]:
        """The serials of the NOTIFYs that have come, each one verified."""
        serials: set[int] = set()
        while True:
            try:
                wire = self._socket.recv(65535)
            except BlockingIOError:
                return serials
            message = dns.message.from_wire(wire, keyring=self._keyring)
            serials.update(rrset[0].serial for rrset in message.answer)

    def watch(self, daemon: Daemon, seen: set[int], stop: threading.Event) -> None:
        """Collect the serials that it answers with."""
        while not stop.is_set():
            answer = query_soa(daemon.address, daemon.port, zone.ZONE, timeout=0.2)
            if answer is not None and answer.serial is not None:
                seen.add(answer.serial)
            time.sleep(0.001)

    def close(self) -> None:
        self._socket.close()


def alive(session: int) -> list[str]:
    """The processes of a session that are not yet dead, by their command lines."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (
                (process / "stat").read_text().rpartition(") ")[2].split()[:4]
            )
            if int(its_session) == session and state not in "ZX":
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{process.name} {line}")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
