"""The xfer daemon as a process, with the interface of the other servers' fixtures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from tests.peers import ready
from tests.peers.process import PrimaryZone, Process, Remote, Server, TsigKey, Zone

ROOT = Path(__file__).resolve().parents[2]


class Xferd(Server):
    """`xfer serve` of this working tree; `pure` runs the kernel's sources, `extra` is more TOML,
    `server` more of its [server] table.

    Keys of zones that it signs are in `keys` in its directory. Give `config` to write the whole
    configuration yourself; `{listen}`, `{journal}` and `{control}` in it are replaced.
    """

    program = "xfer"
    keeps_case = True

    def __init__(
        self,
        zones: Sequence[Zone] = (),
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        directory: Path | None = None,
        pure: bool = False,
        extra: str = "",
        server: str = "",
        config: str | None = None,
    ) -> None:
        super().__init__(zones, address=address, port=port, directory=directory)
        self.pure = pure
        self.extra = extra
        self.server = server
        self.config = config
        self.config_file = self.directory / "xfer.toml"
        self.control = self.directory / "control.sock"

    def configure(self) -> None:
        text = self.config if self.config is not None else self._config()
        replacements = {
            "{listen}": f"{self.address}:{self.port}",
            "{journal}": f"sqlite://{self.directory}/journal.db",
            "{control}": str(self.control),
        }
        for mark, value in replacements.items():
            text = text.replace(mark, value)
        self.config_file.write_text(text)

    def _config(self) -> str:
        tables = [
            '[server]\nlisten = ["{listen}"]\njournal = "{journal}"\ncontrol = "{control}"\n'
            f'keys = "{self.directory}/keys"\n' + self.server,
            *(
                _table("tsig", name=k.name, algorithm=k.algorithm, secret=k.secret)
                for k in self.keys_in_use()
            ),
        ]
        peers: list[str] = []
        acls: list[str] = []
        zones = [self._zone(zone, peers, acls) for zone in self.zones]
        return "\n".join([*tables, self.extra, *peers, *acls, *zones])

    def _zone(self, zone: Zone, peers: list[str], acls: list[str]) -> str:
        """The zone's table; adds the peers and access lists that it names to the two lists."""

        def peer(other: Remote) -> str:
            name = f"peer-{len(peers)}"
            tsig = {"tsig": other.key.name} if other.key else {}
            peers.append(
                _table(
                    "peer",
                    name=name,
                    address=other.address,
                    port=other.port,
                    source=self.address,
                    **tsig,
                )
            )
            return name

        def acl(action: str, **items: str) -> str:
            name = f"acl-{len(acls)}"
            acls.append(_table("acl", name=name, action=action, **items))
            return name

        allowed = [acl("key-only", key=key.name) for key in zone.keys] or [
            acl("allow", ip_range="0.0.0.0/0")
        ]
        items: dict[str, object] = {
            "name": zone.name,
            "allow_transfer": allowed,
            "secondaries": [peer(other) for other in zone.notify],
        }
        if zone.policy:
            items |= {"dnssec": "live-signed", "dnssec_policy": zone.policy}
        if isinstance(zone, PrimaryZone):
            items |= {"role": "primary", "file": str(self.zone_file(zone.name))}
        else:
            items |= {"primaries": [peer(other) for other in zone.primaries]}
            if zone.allow_notify:
                items["allow_notify"] = [acl("allow", ip_range=a) for a in zone.allow_notify]
        return _table("zone", **items)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "xfer", "serve", "-c", str(self.config_file)]

    def _start(self, environment: dict[str, str], log: IO[bytes]) -> Process:
        if not ready.forks(environment):
            return super()._start(environment, log)
        return ready.start(self.command(), environment, self.directory, log, log)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return {"PYTHONPATH": path, **({"XFER_PURE": "1"} if self.pure else {})}

    def cli(self, *words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run `xfer` against this daemon; the caller looks at the exit code."""
        return run_xfer(*words, "--control", str(self.control), timeout=timeout)

    def reload(self, zone: str) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def retransfer(self, zone: str) -> None:
        self._must("force-axfr", zone, "--wait")

    def refresh(self, zone: str) -> None:
        self._must("refresh", zone)

    def _must(self, *words: str) -> None:
        done = self.cli(*words)
        if done.returncode != 0:
            raise AssertionError(
                f"xfer {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}"
            )


def run_xfer(
    *words: str, pure: bool = False, timeout: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """Run the `xfer` command of this working tree."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, **({"XFER_PURE": "1"} if pure else {})}
    command = [sys.executable, "-m", "xfer", *words]
    if ready.forks(environment):
        return ready.run(command, environment, timeout)
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
    )


def tsig_option(key: TsigKey) -> str:
    """The key as `xfer pull --tsig` wants it."""
    return f"{key.name}:{key.algorithm}:{key.secret}"


def _table(kind: str, **items: object) -> str:
    """A TOML table of an array; JSON strings, numbers and lists are TOML too."""
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in items.items())
    return f"[[{kind}]]\n{lines}"


def events(log: str) -> list[dict[str, Any]]:
    """The events in what xfer has logged; a line that a kill has torn is none."""
    lines = [line for line in log.split("\n") if line.startswith("{") and line.endswith("}")]
    return [json.loads(line) for line in lines]
