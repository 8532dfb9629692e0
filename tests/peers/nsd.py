"""NSD as a process. It folds the case of names, and runs as several processes.

For each new version it starts a process that answers, and only then ends the one before: until
that has gone, either may take the next query or connection.
"""

from __future__ import annotations

import time

from tests.peers.process import PeerError, SecondaryZone, Server, Zone
from tests.peers.sessions import processes

_AT_REST = 3  # processes: one for transfers, their parent, and one that answers


class Nsd(Server):
    """NSD in the foreground with one process that answers, controlled by a Unix socket."""

    program = "nsd"

    def configure(self) -> None:
        text = f"""
server:
    ip-address: {self.address}@{self.port}
    port: {self.port}
    server-count: 1
    username: ""
    database: ""
    zonesdir: "{self.directory}"
    pidfile: "{self.directory}/nsd.pid"
    xfrdfile: "{self.directory}/xfrd.state"
    xfrdir: "{self.directory}"
    zonelistfile: "{self.directory}/zone.list"
    verbosity: 2
    rrl-ratelimit: 0
    xfrd-reload-timeout: 0
remote-control:
    control-enable: yes
    control-interface: "{self.directory}/nsd.sock"
"""
        for key in self.keys_in_use():
            text += (
                f'key:\n    name: "{key.name}"\n    algorithm: {key.algorithm}\n'
                f'    secret: "{key.secret}"\n'
            )
        text += "".join(self._zone(zone) for zone in self.zones)
        (self.directory / "nsd.conf").write_text(text)

    def _zone(self, zone: Zone) -> str:
        lines = [
            "zone:",
            f'name: "{zone.name}"',
            f'zonefile: "{self.zone_file(zone.name)}"',
            f"outgoing-interface: {self.address}",
        ]
        lines += [
            f"provide-xfr: 0.0.0.0/0 {key}" for key in [k.name for k in zone.keys] or ["NOKEY"]
        ]
        for other in zone.notify:
            key = other.key.name if other.key else "NOKEY"
            lines.append(f"notify: {other.address}@{other.port} {key}")
        if isinstance(zone, SecondaryZone):
            for other in zone.primaries:
                key = other.key.name if other.key else "NOKEY"
                lines.append(f"request-xfr: {other.address}@{other.port} {key}")
                lines.append(f"allow-notify: {other.address} {key}")
            for address in zone.allow_notify:
                for key in ["NOKEY", *(known.name for known in self.keys_in_use())]:
                    lines.append(f"allow-notify: {address} {key}")
        return "\n    ".join(lines) + "\n"

    def command(self) -> list[str]:
        return ["nsd", "-d", "-c", str(self.directory / "nsd.conf")]

    def wait_serving(self, zone: str, serial: int, timeout: float = 60.0) -> None:
        """Wait until SOA queries are answered with `serial`, and nobody has an older one."""
        deadline = time.monotonic() + timeout
        super().wait_serving(zone, serial, timeout)
        # Who answered is there by now, so as many as at rest are those of its version.
        while len(found := processes(self.pid)) != _AT_REST:
            self._check_alive()
            if time.monotonic() > deadline:
                raise PeerError(
                    f"nsd: expected {_AT_REST} processes within {timeout} s, there are {found}\n"
                    f"{self.logs()[-4000:]}"
                )
            time.sleep(0.01)

    def control(self, *words: str) -> str:
        return self._run("nsd-control", "-c", str(self.directory / "nsd.conf"), *words)

    def reload(self, zone: str) -> None:
        self.control("reload", zone)

    def retransfer(self, zone: str) -> None:
        self.control("force_transfer", zone)

    def refresh(self, zone: str) -> None:
        self.control("transfer", zone)
