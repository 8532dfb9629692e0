"""NSD as a process. It folds the case of names, and runs as several processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import SecondaryZone, Server, Zone


class Nsd(Server):
    """NSD in the foreground with `server_count` serving processes, controlled by a Unix socket."""

    program = "nsd"

    def __init__(
        self,
        zones: Sequence[Zone] = (),
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        directory: Path | None = None,
        server_count: int = 1,
    ) -> None:
        super().__init__(zones, address=address, port=port, directory=directory)
        self.server_count = server_count

    def configure(self) -> None:
        text = f"""
server:
    ip-address: {self.address}@{self.port}
    port: {self.port}
    server-count: {self.server_count}
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

    def control(self, *words: str) -> str:
        return self._run("nsd-control", "-c", str(self.directory / "nsd.conf"), *words)

    def reload(self, zone: str) -> None:
        self.control("reload", zone)

    def retransfer(self, zone: str) -> None:
        self.control("force_transfer", zone)

    def refresh(self, zone: str) -> None:
        self.control("transfer", zone)
