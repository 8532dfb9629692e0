"""A nameserver process on loopback: what BIND, Knot, NSD and xfer have in common as fixtures.

`Server` makes a directory, lets its subclass write the configuration there, starts the process
with its output in one log file, waits until it answers, and stops it by process id. The values
`TsigKey`, `Remote`, `PrimaryZone` and `SecondaryZone` say what it serves; each subclass renders
them in its own configuration language.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self

import attrs

from tests.peers import zones
from tests.peers.ports import free_port
from tests.peers.ready import Started

DIGEST_SIZES = {
    "hmac-md5": 16,
    "hmac-sha1": 20,
    "hmac-sha224": 28,
    "hmac-sha256": 32,
    "hmac-sha384": 48,
    "hmac-sha512": 64,
}


class PeerError(Exception):
    """A fixture's server did not start, or did not get where the test waits for it to be."""


@attrs.frozen
class TsigKey:
    """A TSIG key: `name` absolute ("k1."), `algorithm` as in "hmac-sha256", `secret` base64."""

    name: str
    algorithm: str
    secret: str

    @classmethod
    def make(cls, name: str, algorithm: str = "hmac-sha256") -> Self:
        """A key of the algorithm's digest size; the same name gives the same secret."""
        size = DIGEST_SIZES["-".join(algorithm.split("-")[:2])]
        secret = hashlib.shake_256(name.encode()).digest(size)
        return cls(name, algorithm, base64.b64encode(secret).decode())


@attrs.frozen
class Remote:
    """Another server as seen from this one: where it listens and the key to sign with."""

    address: str
    port: int
    key: TsigKey | None = None


@attrs.frozen
class PrimaryZone:
    """A zone served from a zone file: `text`, or the `path` of a file that is used in place.

    Who signs with one of `keys` may transfer; without keys everybody may. `notify` are told of
    new versions. Who signs with one of `updaters` may send dynamic updates (BIND and Knot).
    policy: xfer signs the zone itself, by that [dnssec_policy.NAME] in its `extra`.
    """

    name: str
    text: str = ""
    path: Path | None = None
    keys: Sequence[TsigKey] = ()
    notify: Sequence[Remote] = ()
    updaters: Sequence[TsigKey] = ()
    policy: str = ""


@attrs.frozen
class SecondaryZone:
    """A zone pulled from `primaries`, passed on like a `PrimaryZone`.

    NOTIFY is accepted from the primaries and from `allow_notify` (addresses; unsigned, or signed
    with any of `keys` or the primaries' keys). policy: as for a `PrimaryZone`.
    """

    name: str
    primaries: Sequence[Remote]
    keys: Sequence[TsigKey] = ()
    notify: Sequence[Remote] = ()
    allow_notify: Sequence[str] = ()
    policy: str = ""


Zone = PrimaryZone | SecondaryZone
Process = subprocess.Popen[bytes] | Started


class Server(ABC):
    """One nameserver process. Subclasses give `program`, `configure`, `command` and `reload`."""

    program: str
    """The executable's name, as installed by its Debian package."""

    keeps_case = False
    """Whether names travel through this server with the case they arrived in."""

    def __init__(
        self,
        zones: Sequence[Zone] = (),
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        directory: Path | None = None,
    ) -> None:
        self.zones = list(zones)
        self.address = address
        self.port = free_port(address) if port is None else port
        self._owns_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"xfer-{self.program}-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_file = self.directory / "log"
        self._process: Process | None = None

    # -- what each server does its own way

    @abstractmethod
    def configure(self) -> None:
        """Write the configuration (not the zone files) into `directory`."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command that runs the server in the foreground, logging to stderr."""

    @abstractmethod
    def reload(self, zone: str) -> None:
        """Make a primary read the zone's file again."""

    @abstractmethod
    def retransfer(self, zone: str) -> None:
        """Make a secondary transfer the whole zone, whatever serial it has."""

    @abstractmethod
    def refresh(self, zone: str) -> None:
        """Make a secondary check its primaries' serial now."""

    # -- life

    def start(self) -> Self:
        """Write configuration and zone files, start the process and wait until it answers."""
        self.prepare()
        self.launch()
        self.wait_answering()
        return self

    def prepare(self) -> None:
        """Write configuration and zone files."""
        for zone in self.zones:
            if isinstance(zone, PrimaryZone) and zone.path is None:
                self.zone_file(zone.name).write_text(zone.text)
        self.configure()

    def launch(self) -> None:
        """Start the process alone, with the configuration as it stands (also after `kill`)."""
        program = self.command()[0]
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        if shutil.which(program, path=path) is None:
            raise PeerError(f"{program} is not installed (.ci/run installs it)")
        with self.log_file.open("ab+") as log:
            end_line(log)
            self._process = self._start({**os.environ, **self.environment(), "PATH": path}, log)

    def _start(self, environment: dict[str, str], log: IO[bytes]) -> Process:
        return subprocess.Popen(
            self.command(),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # by which the benchmark finds all of its processes
        )

    def environment(self) -> dict[str, str]:
        """Environment variables to add for the process."""
        return {}

    @property
    def pid(self) -> int:
        if self._process is None:
            raise PeerError(f"{self.program} is not running")
        return self._process.pid

    def wait_answering(self, timeout: float = 30.0) -> None:
        """Wait until any DNS answer comes, whatever its rcode."""
        deadline = time.monotonic() + timeout
        while zones.query_soa(self.address, self.port, ".", timeout=0.2) is None:
            self._check_alive()
            if time.monotonic() > deadline:
                raise PeerError(f"{self.program} gave no answer in {timeout} s\n{self.logs()}")

    def _check_alive(self) -> None:
        code = self._process.poll() if self._process is not None else None
        if code is not None:
            raise PeerError(f"{self.program} ended with code {code}\n{self.logs()}")

    def stop(self) -> None:
        """Ask the process to end, and wait for it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End the process as a power failure would (SIGKILL); `launch` starts it again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def logs(self) -> str:
        """Everything the process printed."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if kind is not None:
            name = f"{self.program} {self.address}:{self.port}"
            print(f"--- log of {name} ---\n{self.logs()[-8000:]}--- end ---", file=sys.stderr)
        if self._owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- what tests ask

    def remote(self, key: TsigKey | None = None) -> Remote:
        """This server, as another one's configuration names it."""
        return Remote(self.address, self.port, key)

    def zone_file(self, zone: str) -> Path:
        """Where the zone's file is; a primary reads it, a secondary may write it."""
        for known in self.zones:
            if known.name == zone and isinstance(known, PrimaryZone) and known.path is not None:
                return known.path
        return self.directory / f"{zone.rstrip('.').replace('/', '_') or 'root'}.zone"

    def edit_zone(self, zone: str, text: str) -> None:
        """Replace a primary's zone file and make the server read it."""
        self.zone_file(zone).write_text(text)
        self.reload(zone)

    def serial(self, zone: str) -> int | None:
        """The serial it answers with, or None where it has no such zone (yet)."""
        answer = zones.query_soa(self.address, self.port, zone, timeout=2.0)
        return None if answer is None else answer.serial

    def wait_loaded(self, zone: str, timeout: float = 60.0) -> int:
        """Wait until it serves the zone; the serial."""
        deadline = time.monotonic() + timeout
        while (serial := self.serial(zone)) is None:
            self._check_alive()
            if time.monotonic() > deadline:
                raise PeerError(f"{self.program}: no {zone} in {timeout} s\n{self.logs()[-4000:]}")
            time.sleep(0.01)
        return serial

    def wait_serving(self, zone: str, serial: int, timeout: float = 60.0) -> None:
        """Wait until SOA queries are answered with `serial`."""
        seen: int | None = None
        deadline = time.monotonic() + timeout
        while (seen := self.serial(zone)) != serial:
            self._check_alive()
            if time.monotonic() > deadline:
                raise PeerError(
                    f"{self.program}: {zone} expected serial {serial} within {timeout} s, "
                    f"has {seen}\n{self.logs()[-4000:]}"
                )
            time.sleep(0.01)

    def axfr(
        self, zone: str, key: TsigKey | None = None, *, exact_case: bool = True
    ) -> list[zones.Record]:
        """The zone's records, sorted, as a signed AXFR brings them."""
        return zones.axfr(self.address, self.port, zone, key, exact_case=exact_case)

    def _run(self, *command: str) -> str:
        """Run one of the server's control commands; returns its output."""
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )
        if done.returncode != 0:
            raise PeerError(
                f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}"
            )
        return done.stdout

    def keys_in_use(self) -> list[TsigKey]:
        """Every key that any zone's configuration names, once."""
        keys: dict[str, TsigKey] = {}
        for zone in self.zones:
            remotes = list(zone.notify)
            updaters: Sequence[TsigKey] = ()
            if isinstance(zone, SecondaryZone):
                remotes += zone.primaries
            else:
                updaters = zone.updaters
            for key in [*zone.keys, *updaters, *(r.key for r in remotes if r.key is not None)]:
                if keys.setdefault(key.name, key) != key:
                    raise PeerError(f"two different keys are called {key.name}")
        return list(keys.values())


def end_line(log: BinaryIO) -> None:
    """End the line that a kill has torn, so that the next process begins with one of its own."""
    log.seek(0, os.SEEK_END)
    if log.tell():
        log.seek(-1, os.SEEK_END)
        if log.read(1) != b"\n":
            log.write(b"\n")
            log.flush()
