"""Knot DNS as a process. It folds the case of names, and stores zones in journal and zone file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import PrimaryZone, Remote, SecondaryZone, Server, Zone


class Knot(Server):
    """Knot's `knotd`, with its default journal and zone file settings.

    zone_options: more items for every zone ("zonefile-sync: -1"); sections: more sections.
    """

    program = "knotd"

    def __init__(
        self,
        zones: Sequence[Zone] = (),
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        directory: Path | None = None,
        zone_options: Sequence[str] = (),
        sections: str = "",
    ) -> None:
        super().__init__(zones, address=address, port=port, directory=directory)
        self.sections = sections
        self.zone_options = list(zone_options)

    def configure(self) -> None:
        parts = [
            # A test that parses a transfer as it comes may leave Knot waiting for seconds.
            f"server:\n  rundir: {self.directory}\n  listen: {self.address}@{self.port}\n"
            "  tcp-io-timeout: 60000\n",
            f"database:\n  storage: {self.directory}/db\n",
            f"control:\n  listen: {self.directory}/knot.sock\n",
            "log:\n  - target: stderr\n    any: info\n",
            self.sections,
        ]
        if keys := self.keys_in_use():
            parts.append("key:\n")
            parts += [
                f"  - id: {key.name}\n    algorithm: {key.algorithm}\n    secret: {key.secret}\n"
                for key in keys
            ]
        remotes: list[str] = []
        rules: list[str] = []
        zones = [self._zone(zone, remotes, rules) for zone in self.zones]
        if remotes:
            parts += ["remote:\n", *remotes]
        if rules:
            parts += ["acl:\n", *rules]
        if zones:
            parts += ["zone:\n", *zones]
        (self.directory / "db").mkdir(exist_ok=True)
        (self.directory / "knot.conf").write_text("".join(parts))

    def _zone(self, zone: Zone, remotes: list[str], rules: list[str]) -> str:
        """The zone's section; adds the remotes and rules that it names to the two lists."""

        def remote(other: Remote) -> str:
            name = f"r{len(remotes)}"
            key = f"    key: {other.key.name}\n" if other.key else ""
            remotes.append(
                f"  - id: {name}\n    address: {other.address}@{other.port}\n"
                f"    via: {self.address}\n{key}"
            )
            return name

        def rule(action: str, **items: str) -> str:
            name = f"a{len(rules)}"
            extra = "".join(f"    {item}: {value}\n" for item, value in items.items())
            rules.append(f"  - id: {name}\n    action: {action}\n{extra}")
            return name

        acl = [rule("transfer", key=key.name) for key in zone.keys] or [rule("transfer")]
        if isinstance(zone, PrimaryZone):
            acl += [rule("update", key=key.name) for key in zone.updaters]
        lines = [
            f"domain: {zone.name}",
            f"file: {self.zone_file(zone.name)}",
            f"storage: {self.directory}",
            "semantic-checks: off",
            *self.zone_options,
        ]
        if zone.notify:
            lines.append(f"notify: [{', '.join(remote(other) for other in zone.notify)}]")
        if isinstance(zone, SecondaryZone):
            lines.append(f"master: [{', '.join(remote(other) for other in zone.primaries)}]")
            acl += [
                rule(
                    "notify",
                    address=other.address,
                    **({"key": other.key.name} if other.key else {}),
                )
                for other in zone.primaries
            ]
            acl += [rule("notify", address=address) for address in zone.allow_notify]
            acl += [
                rule("notify", address=address, key=key.name)
                for address in zone.allow_notify
                for key in self.keys_in_use()
            ]
        lines.append(f"acl: [{', '.join(acl)}]")
        return "  - " + "\n    ".join(lines) + "\n"

    def command(self) -> list[str]:
        return ["knotd", "-c", str(self.directory / "knot.conf")]

    def knotc(self, *words: str) -> str:
        return self._run("knotc", "-s", str(self.directory / "knot.sock"), *words)

    def reload(self, zone: str) -> None:
        self.knotc("zone-reload", zone)

    def retransfer(self, zone: str) -> None:
        self.knotc("zone-retransfer", zone)

    def refresh(self, zone: str) -> None:
        self.knotc("zone-refresh", zone)
