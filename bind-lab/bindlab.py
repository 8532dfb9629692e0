"""BIND 9 in containers, for people (`bind-lab/lab`), for `make demo` and for the tests.

    engine()  → docker or podman, whichever runs a container here, or a reason why none does
    Lab       → a session: a directory, the servers started in it, and their end
    Bind      → one running server: edit, reload, dig, logs

Servers use host networking; each has its own loopback address and a port that was free. A server's
directory has the same path inside and outside its container, so the fall-back, the distribution's
`named` as a process, runs the same files. Nothing outlives a session: containers carry labels with
the session's process id, a lab stops its own at exit, and reaps what a killed session left behind.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import itertools
import os
import random
import secrets
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
LABEL = "xfer.bind-lab"
IMAGE = "localhost/xfer-bind-lab"
BASE = "debian:bookworm-slim"
START_SECONDS = 20.0
_ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class LabError(Exception):
    """The lab could not do what was asked; says what was run and what it said."""


class NoEngine(LabError):
    """No container engine works here, and the reason is the host."""


def run(argv: list[str], timeout: float = 60.0, check: bool = True, stdin: str = "") -> str:
    """Run a command; its stdout. LabError with its stderr where it fails and `check` is set."""
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise LabError(f"{shlex.join(argv)}: {err}") from err
    if check and done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise LabError(f"{shlex.join(argv)}: exit {done.returncode}: {' / '.join(last)}")
    return done.stdout


# --- engines and the image -------------------------------------------------------------------


@dataclass(frozen=True)
class Engine:
    """A container engine that has run a container here.

    argv: the engine with its global options; flags: what `run` needs on this host.
    """

    argv: tuple[str, ...]
    flags: tuple[str, ...]
    image: str

    def __str__(self) -> str:
        return shlex.join([*self.argv, "run", *self.flags])


def image_tag() -> str:
    """The image's name; a new Containerfile is a new tag, so the build is cached by content."""
    digest = hashlib.sha256((HERE / "Containerfile").read_bytes()).hexdigest()
    return f"{IMAGE}:{digest[:16]}"


@contextlib.contextmanager
def _exclusive(name: str) -> Iterator[None]:
    """Hold a machine-wide lock, so that parallel sessions build the image once."""
    path = Path(tempfile.gettempdir(), f"xfer-{name}-{os.getuid()}.lock")
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _debian_mirror() -> str:
    """The Debian mirror of this machine's own apt sources."""
    listed = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(LABEL)"])
    for line in listed.splitlines():
        uri, _, rest = line.partition(" ")
        if rest == "bookworm Debian":
            return uri
    for line in listed.splitlines():
        if line.endswith(" bookworm Debian"):
            return line.split()[0]
    raise LabError(
        "no apt source of Debian bookworm: expected one in /etc/apt (run apt-get update)"
    )


def _say(text: str) -> None:
    print(f"bind-lab: {text}", file=sys.stderr, flush=True)


def _base_image(argv: list[str]) -> str:
    """Pull the base image, or make it with debootstrap where no registry can be reached."""
    try:
        run([*argv, "pull", "-q", BASE], timeout=180)
        return BASE
    except LabError as err:
        unreachable = str(err)[-100:]
    name = f"{IMAGE}-base:bookworm"
    if run([*argv, "images", "-q", name], check=False).strip():
        return name
    _say(f"no registry ({unreachable}); making the base image with debootstrap")
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        raise LabError(
            "no image registry reachable, and debootstrap needs to be installed and root"
        )
    root = Path(tempfile.mkdtemp(prefix="xfer-bootstrap-"))
    try:
        mirror = _debian_mirror()
        run(["debootstrap", "--variant=minbase", "bookworm", str(root), mirror], timeout=600)
        archive = (
            f"tar -C {shlex.quote(str(root))} -c . | {shlex.join([*argv, 'import', '-', name])}"
        )
        run(["bash", "-o", "pipefail", "-c", archive], timeout=300)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return name


def _build(argv: list[str], tag: str) -> None:
    _say(f"building {tag} (once)")
    base = _base_image(argv)
    command = [*argv, "build", "--network", "host", "--build-arg", f"BASE={base}", "-t", tag]
    with tempfile.TemporaryDirectory() as empty:
        run([*command, "-f", str(HERE / "Containerfile"), empty], timeout=600)


def _probe(argv: list[str], tag: str) -> Engine:
    """The first way of running a container that works, or LabError."""
    plain: list[tuple[str, ...]] = [()]
    if argv[0] == "podman":
        plain = [("--runtime", "runc", *_ULIMITS), (), _ULIMITS]
        if shutil.which("runc") is None:
            plain = plain[1:]
    reasons = []
    for flags in plain:
        wanted, rest = (flags[:2], flags[2:]) if flags[:1] == ("--runtime",) else ((), flags)
        try:
            run([*argv, *wanted, "run", "--rm", *rest, "--network", "host", tag, "named", "-v"])
        except LabError as err:
            reasons.append(str(err))
        else:
            return Engine((*argv, *wanted), rest, tag)
    raise LabError("; ".join(reasons))


_engine: Engine | str | None = None


def engine() -> Engine:
    """docker or podman with the image built; the answer is kept. Raises NoEngine with reasons.

    XFER_LAB_ENGINE=docker|podman|process chooses; "process" means none.
    """
    global _engine
    if _engine is None:
        _engine = _find_engine()
    if isinstance(_engine, str):
        raise NoEngine(_engine)
    return _engine


def _find_engine() -> Engine | str:
    chosen = os.environ.get("XFER_LAB_ENGINE", "")
    if chosen == "process":
        return "XFER_LAB_ENGINE=process"
    reasons = []
    with _exclusive("bind-lab"):
        for name in [chosen] if chosen else ["docker", "podman"]:
            if shutil.which(name) is None:
                reasons.append(f"{name} is not installed")
                continue
            try:
                run([name, "info"], timeout=20)
                tag = image_tag()
                if not run([name, "images", "-q", tag]).strip():
                    _build([name], tag)
                return _probe([name], tag)
            except LabError as err:
                reasons.append(f"{name}: {err}")
    return "no container engine works here: " + "; ".join(reasons)


# --- keys, ports -----------------------------------------------------------------------------

_DIGEST_SIZES = {"md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}


@dataclass(frozen=True)
class TsigKey:
    """A TSIG key as BIND and dig write it: name without dot, algorithm, base64 secret."""

    name: str
    algorithm: str
    secret: str = field(repr=False)

    @classmethod
    def random(cls, name: str, algorithm: str = "hmac-sha256") -> TsigKey:
        """A fresh secret of the algorithm's digest size."""
        size = _DIGEST_SIZES[algorithm.split("-")[1]]
        return cls(name, algorithm, base64.b64encode(secrets.token_bytes(size)).decode())

    def bind_text(self) -> str:
        """The key statement of named.conf and of dig's key files."""
        return f'key "{self.name}" {{ algorithm {self.algorithm}; secret "{self.secret}"; }};\n'

    def triple(self) -> str:
        """NAME:ALG:SECRET, as `xfer pull --tsig` takes it."""
        return f"{self.name}.:{self.algorithm}:{self.secret}"


def usable_address(address: str) -> str:
    """`address` once the loopback interface carries it, or 127.0.0.1 where we may not add it.

    BIND listens only on addresses that an interface has. Adding one needs root; it stays until the
    machine stops, because parallel sessions share it.
    """
    if address == "127.0.0.1" or _carried(address):
        return address
    packed = socket.inet_aton(address)
    label = f"lo:{int.from_bytes(packed[2:], 'big')}".encode()
    request = struct.pack("16sHH4s8x", label, socket.AF_INET, 0, packed)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, 0x8916, request)  # SIOCSIFADDR
    except OSError as err:
        _say(f"cannot give the loopback interface {address} ({err}): using 127.0.0.1 instead")
        return "127.0.0.1"
    return address


def _carried(address: str) -> bool:
    """Whether an interface of this machine has the address."""
    lines = [line.split() for line in Path("/proc/net/fib_trie").read_text().splitlines()]
    pairs = itertools.pairwise(lines)
    return any(a[-1:] == [address] and b[:2] == ["/32", "host"] for a, b in pairs)


_FIRST_PORT, _OWN_PORTS, _PROCESSES = 20_000, 480, 25
_ports: Iterator[int] | None = None


def free_port(address: str) -> int:
    """A port between 20000 and 32000 that is free for UDP and TCP on a loopback address.

    No other process gets it while this one lives, nor this one soon again: until a server listens
    there, nothing else would show that it is taken.
    """
    global _ports
    _ports = _ports or _ports_of_process()
    for port in itertools.islice(_ports, _OWN_PORTS):
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((address, port))
        except OSError:
            continue
        return port
    raise LabError(f"no free port on {address}: expected one between 20000 and 32000")


def _ports_of_process() -> Iterator[int]:
    """Ports that are this process's from now on, in turn, without end."""
    for number in range(_PROCESSES):
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0{LABEL}.ports-{number}")  # a name that goes with the process
        except OSError:
            mark.close()
            continue
        mark.detach()  # never closed
        first, begin = _FIRST_PORT + number * _OWN_PORTS, random.randrange(_OWN_PORTS)
        return (first + at % _OWN_PORTS for at in itertools.count(begin))
    raise LabError(f"{_PROCESSES} other processes have all ports from {_FIRST_PORT} on")


def answers(address: str, port: int, timeout: float = 0.2) -> bool:
    """Whether something answers a DNS query (any way at all) over UDP."""
    ident = random.randrange(65536)
    query = struct.pack(">6HBHH", ident, 0, 1, 0, 0, 0, 0, 6, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.connect((address, port))
            client.send(query)
            return client.recv(4096)[:2] == query[:2]
        except OSError:
            return False


def canonical_lines(dig_output: str) -> list[str]:
    """dig's records as sorted "owner TTL IN type rdata" lines, white space normalised."""
    lines = (line.split(None, 4) for line in dig_output.splitlines())
    return sorted(" ".join(part) for part in lines if len(part) == 5 and part[2] == "IN")
