"""BIND servers of the lab and the session that owns them; engines and images are in bindlab.py."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from bindlab import (
    HERE,
    LABEL,
    START_SECONDS,
    Engine,
    LabError,
    NoEngine,
    TsigKey,
    answers,
    canonical_lines,
    engine,
    free_port,
    run,
    usable_address,
)

PREFIX = "xfer-lab-"


@dataclass(frozen=True)
class Spec:
    """What a server shall be.

    role: "primary" (then `text` is its zone file) or "secondary" (then `upstream` is where it asks,
    signed with `key`); address, port: where it listens (port 0: a free one); key: signs its
    transfers; allow_from: addresses that may transfer, () for any; notify: addresses and ports that
    get its NOTIFY; options: more lines for named.conf's options block; more: further zones, origin
    to zone file ("" on a secondary).
    """

    role: str
    origin: str
    address: str
    port: int = 0
    key: TsigKey | None = None
    text: str = ""
    upstream: tuple[str, int] = ("", 0)
    notify: tuple[tuple[str, int], ...] = ()
    allow_from: tuple[str, ...] = ()
    one_answer: bool = False
    options: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


def _transfer_acl(spec: Spec) -> str:
    """The key is required, and the address too where addresses are given."""
    key = f'key "{spec.key.name}";' if spec.key else ""
    if not spec.allow_from:
        return key or "any;"
    allowed = " ".join(f"{address};" for address in spec.allow_from)
    return f"!{{ !{{ {allowed} }}; any; }}; {key}" if key else allowed


def named_conf(spec: Spec, directory: Path, port: int, rndc_port: int, rndc_secret: str) -> str:
    """named.conf from the templates beside this file."""
    signed = f' key "{spec.key.name}"' if spec.key else ""
    values = {
        "directory": str(directory),
        "address": spec.address,
        "port": str(port),
        "rndc_port": str(rndc_port),
        "rndc_secret": rndc_secret,
        "key": spec.key.bind_text() if spec.key else "",
        "transfer_acl": _transfer_acl(spec),
        "transfer_format": "one-answer" if spec.one_answer else "many-answers",
        "also_notify": " ".join(f"{a} port {p}{signed};" for a, p in spec.notify),
        "primary": f"{spec.upstream[0]} port {spec.upstream[1]}{signed}",
        "primary_address": spec.upstream[0],
        "options": spec.options,
    }
    common, zone = (HERE / f"{name}.conf.in" for name in ("common", spec.role))
    parts = [Template(common.read_text()).substitute(values)]
    for origin in (spec.origin, *spec.more):
        values |= {"origin": origin, "file": str(directory / zone_file(spec, origin))}
        parts.append(Template(zone.read_text()).substitute(values))
    return "\n".join(parts)


def zone_file(spec: Spec, origin: str) -> str:
    """The name of a zone's file in the server's directory."""
    return "zone.db" if origin == spec.origin else f"zone-{origin.strip('.') or 'root'}.db"


def soa_serial(address: str, port: int, origin: str, timeout: float = 1.0) -> int | None:
    """The serial a server answers for a zone over UDP; None where it answers no SOA."""
    labels = [label.encode() for label in origin.rstrip(".").split(".") if label]
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    query = struct.pack(">6H", random.randrange(65536), 0, 1, 0, 0, 0) + name
    query += struct.pack(">2H", 6, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.connect((address, port))
            client.send(query)
            reply = client.recv(4096)
        except OSError:
            return None
    if reply[:2] != query[:2] or reply[3] & 15 or not int.from_bytes(reply[6:8], "big"):
        return None
    at = len(query)
    while reply[at] and reply[at] < 192:
        at += 1 + reply[at]
    at += 2 if reply[at] else 1
    rtype, _, _, length = struct.unpack_from(">HHIH", reply, at)
    end = at + 10 + length
    return int.from_bytes(reply[end - 20 : end - 16], "big") if rtype == 6 else None


@dataclass(eq=False)
class Bind:
    """One running BIND. `process` is set where no container runs it."""

    spec: Spec
    directory: Path
    container: str
    engine: Engine | None
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return self.spec.address

    @property
    def key(self) -> TsigKey | None:
        return self.spec.key

    @property
    def origin(self) -> str:
        return self.spec.origin

    def start(self) -> None:
        """Start it and wait until it answers; another port where somebody was faster."""
        for _ in range(5):
            self._launch()
            if self._wait_ready():
                return
            if "address in use" not in self.logs() or self.spec.port:
                break
            self.stop()
            self.port = 0
        said = self.logs()[-1500:]
        self.stop()
        raise LabError(f"BIND {self.spec.role} did not answer in {START_SECONDS:.0f} s: {said}")

    def configure(self) -> None:
        """Write named.conf, rndc.conf and the key file into the directory."""
        self.port = self.port or self.spec.port or free_port(self.address)
        rndc_port = free_port(self.address)
        secret = TsigKey.random("rndc-key").secret
        conf = named_conf(self.spec, self.directory, self.port, rndc_port, secret)
        (self.directory / "named.conf").write_text(conf)
        (self.directory / "rndc.conf").write_text(
            f'key "rndc-key" {{ algorithm hmac-sha256; secret "{secret}"; }};\n'
            f'options {{ default-key "rndc-key"; default-server {self.address}; '
            f"default-port {rndc_port}; }};\n"
        )
        if self.key:
            self.write_key(self.key)

    def _launch(self) -> None:
        self.configure()
        named = ["named", "-g", "-n", "1", "-c", str(self.directory / "named.conf")]
        if self.engine is None:
            with (self.directory / "named.log").open("ab") as log:
                self.process = subprocess.Popen(
                    named, stdout=log, stderr=log, start_new_session=True
                )
            (self.directory / "named.pid").write_text(str(self.process.pid))
            return
        who = ["--user", f"{os.getuid()}:{os.getgid()}"] if os.getuid() else []
        mount = ["--volume", f"{self.directory}:{self.directory}"]
        start = ["run", "--detach", "--name", self.container, "--label", LABEL]
        flags = [*self.engine.flags, *(who if self.engine.argv[0] == "docker" else [])]
        where = ["--network", "host", *mount, self.engine.image]
        run([*self.engine.argv, *start, *flags, *where, *named])

    def _wait_ready(self) -> bool:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if answers(self.address, self.port):
                return "address in use" not in self.logs()
            if self.process is not None and self.process.poll() is not None:
                return False
            time.sleep(0.02)
        return False

    def stop(self) -> None:
        """End it at once; the directory, and with it the zone, stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        elif self.engine is not None:
            now = ["--time", "0"] if self.engine.argv[0] == "podman" else []
            run([*self.engine.argv, "rm", "--force", *now, self.container], check=False)

    def command(self, *argv: str, timeout: float = 60.0) -> str:
        """stdout of a command run beside the server: in its container, or on the host."""
        inside = [*self.engine.argv, "exec", self.container] if self.engine else []
        return run([*inside, *argv], timeout=timeout)

    def edit(self, text: str) -> None:
        """Replace the primary's zone file and have BIND load it."""
        fresh = self.directory / "zone.new"
        fresh.write_text(text)
        fresh.replace(self.directory / "zone.db")
        self.reload()

    def reload(self) -> None:
        """`rndc reload ZONE`: a primary reads its file again."""
        self.rndc("reload", self.origin)

    def rndc(self, *args: str) -> str:
        """Any rndc command."""
        return self.command("rndc", "-c", str(self.directory / "rndc.conf"), *args)

    def write_key(self, key: TsigKey) -> Path:
        """A key file for `dig -k`, so that secrets are not on command lines."""
        path = self.directory / f"{key.name}.key"
        path.write_text(key.bind_text())
        return path

    def dig(self, *args: str, at: tuple[str, int] | None = None, key: TsigKey | None = None) -> str:
        """dig's output, asking this server or another one (`at`), signed where `key` is given."""
        address, port = at or (self.address, self.port)
        signed = ["-k", str(self.write_key(key))] if key else []
        return self.command("dig", f"@{address}", "-p", str(port), *signed, *args)

    def axfr(
        self,
        at: tuple[str, int] | None = None,
        key: TsigKey | None = None,
        origin: str = "",
        source: str = "",
    ) -> list[str]:
        """The zone by `dig axfr` as sorted presentation lines, one SOA. LabError where it fails."""
        shape = ("+nocmd", "+nocomments", "+nostats", "+noquestion", "+onesoa", "+nosplit")
        origin = origin or self.origin
        bound = ["-b", source] if source else []
        output = self.dig(*bound, origin, "AXFR", *shape, at=at, key=key or self.key)
        lines = canonical_lines(output)
        if not lines or "Transfer failed" in output or "communications error" in output:
            raise LabError(f"dig axfr {origin} @{at or (self.address, self.port)}: {output}")
        return lines

    def serial(self, origin: str = "") -> int | None:
        """The SOA serial it serves now."""
        return soa_serial(self.address, self.port, origin or self.origin)

    def wait_serial(self, serial: int, timeout: float = 15.0, origin: str = "") -> None:
        """Until it serves that serial. LabError with both serials and its log after `timeout`."""
        end = time.monotonic() + timeout
        while (now := self.serial(origin)) != serial:
            if time.monotonic() > end:
                raise LabError(
                    f"{self.spec.role} serves serial {now}, expected {serial}; it says: "
                    f"{self.logs()[-1500:]}"
                )
            time.sleep(0.02)

    def logs(self) -> str:
        """Everything it has logged."""
        if self.engine is None:
            return (self.directory / "named.log").read_text(errors="replace")
        done = subprocess.run(
            [*self.engine.argv, "logs", self.container],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.stdout.decode(errors="replace")


class Lab:
    """A session: servers in one temporary directory, gone when it is closed or the process ends.

    note: how servers run ("containers: podman … run …" or why not). Raises NoEngine where no
    engine works and `strict` is set, or where there is no `named` either.
    """

    def __init__(self, *, strict: bool = False) -> None:
        reap()
        self.engine: Engine | None = None
        try:
            self.engine = engine()
            self.note = f"BIND in containers: {self.engine}"
        except NoEngine as err:
            if strict or shutil.which("named") is None:
                raise
            self.note = f"NO CONTAINERS, the distribution's named as a process instead: {err}"
        self.directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        (self.directory / "owner.pid").write_text(str(os.getpid()))
        self.servers: list[Bind] = []
        atexit.register(self.close)

    def start(self, spec: Spec) -> Bind:
        """Start a server and wait until it answers."""
        spec = replace(spec, address=usable_address(spec.address))
        name = f"{spec.role}-{secrets.token_hex(3)}"
        directory = self.directory / name
        directory.mkdir()
        for origin, text in {spec.origin: spec.text, **spec.more}.items():
            if text:
                (directory / zone_file(spec, origin)).write_text(text)
        server = Bind(spec, directory, f"xfer-bind-{os.getpid()}-{name}", self.engine)
        self.servers.append(server)
        server.start()
        return server

    def stop(self, server: Bind) -> None:
        """Stop one server for good."""
        server.stop()
        self.servers.remove(server)
        shutil.rmtree(server.directory, ignore_errors=True)

    def close(self) -> None:
        """Stop everything and remove the directory. Harmless twice."""
        while self.servers:
            with contextlib.suppress(LabError):
                self.servers.pop().stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def reap() -> int:
    """End what killed sessions left: their containers, processes and directories. The count."""
    reaped = 0
    for owner in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/owner.pid"):
        with contextlib.suppress(OSError, ValueError):
            if _alive(int(owner.read_text())):
                continue
            for pidfile in owner.parent.glob("*/named.pid"):
                pid = int(pidfile.read_text())
                if str(owner.parent).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(owner.parent, ignore_errors=True)
            reaped += 1
    for name in ("docker", "podman"):
        if shutil.which(name) is None:
            continue
        for container in containers(name):
            owner_pid = container.split("-")[2]
            if owner_pid.isdigit() and not _alive(int(owner_pid)):
                run([name, "rm", "--force", container], check=False)
                reaped += 1
    return reaped


def containers(name: str) -> list[str]:
    """Names of the lab's containers that an engine knows; [] where it does not work."""
    try:
        listed = run([name, "ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}"])
    except LabError:
        return []
    return [line for line in listed.split() if line.startswith("xfer-bind-")]
