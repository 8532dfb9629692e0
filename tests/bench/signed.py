"""What signing costs: a zone from nothing, and ten changed records of it.

    changing ──AXFR──> server under test, signs ──> serves it signed        (xfer, BIND, Knot)
       └─NOTIFY, IXFR─>       signs ten RRsets ──> serves the last of them
    zone file ──> dnssec-signzone, ldns-signzone ──> signed zone file

Algorithm 13, a KSK and a ZSK, NSEC; each signed zone is transferred, or read, and must have as many
records as signing all of it makes. *From nothing* counts from the start of the program, so reading
or transferring the zone is in it. Knot signs in a thread for each core; BIND is let sign much at a
time, for by its defaults it signs 10 records and goes on to something else; signers of files do not
verify what they made, as servers do not.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import dns.exception
import dns.message
import dns.query

from tests.bench import changing, zone
from tests.bench.changing import Changing
from tests.bench.drain import DrainFailed
from tests.bench.load import Load
from tests.bench.proc import Meter
from tests.bench.signing import Signer
from tests.peers import Knot, Named, SecondaryZone, Server, TsigKey, Xferd
from tests.peers.process import Zone

CHANGED = 10
SPARE = 12  # records at an apex that one signer makes and another does not: CDS, TYPE65534, …
PATIENCE = 1800.0
_POLL = 0.0005
_CORES = os.cpu_count() or 1


@attrs.frozen
class Signing:
    """One zone signed: seconds, CPU seconds of all processes, peak bytes, signatures; alone:
    seconds of the signing part, where the server tells."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    signatures: int
    alone: float | None = None


@attrs.frozen
class Change:
    """Ten records changed: seconds until the last is served signed, CPU seconds."""

    seconds: float
    cpu_seconds: float


@attrs.frozen
class Found:
    """Of one contestant in one round. latencies: of SOA queries while all is signed anew."""

    whole: Signing
    changes: list[Change]
    latencies: list[float] = attrs.field(factory=list)


class Wrong(Exception):
    """A signer made something else than it should."""


@attrs.frozen
class Expected:
    """What signing makes of a zone with `zone.records(count)`: records in all, signatures."""

    records: int
    signatures: int

    @classmethod
    def of(cls, count: int) -> Expected:
        rrsets: dict[str, set[int]] = {}
        for owner, rtype, _, _ in zone.records(count):
            rrsets.setdefault(owner, set()).add(rtype)
        chain = signatures = 0
        for owner, types in rrsets.items():
            if ".customer-" in owner:
                continue  # glue
            chain += 1
            delegation = owner and zone.NS in types
            signatures += 1 if delegation else len(types) + 1
        return cls(count + 2 + chain + signatures + 1, signatures + 1)  # and the DNSKEY RRset

    def check(self, records: int) -> None:
        """Raises Wrong where a signed zone of so many records is not all signed."""
        if not self.records <= records <= self.records + SPARE:
            raise Wrong(f"expected {self.records:,} records of a signed zone, got {records:,}")


# -- servers


class SigningNamed(Named):
    """BIND that signs its zones inline."""

    def configure(self) -> None:
        super().configure()
        with (self.directory / "named.conf").open("a") as file:
            file.write(
                'dnssec-policy "bench" { keys { ksk lifetime unlimited algorithm 13; '
                "zsk lifetime unlimited algorithm 13; }; signatures-validity P14D; "
                "signatures-validity-dnskey P14D; signatures-refresh P5D; };\n"
            )

    def _zone(self, zone: Zone) -> str:
        more = (
            'dnssec-policy "bench"; inline-signing yes; sig-signing-nodes 10000; '
            "sig-signing-signatures 10000;"
        )
        return super()._zone(zone).removesuffix("};\n") + f"    {more}\n}};\n"


KNOT_POLICY = f"""policy:
  - id: bench
    algorithm: ecdsap256sha256
    ksk-lifetime: 0
    zsk-lifetime: 0
    signing-threads: {_CORES}
    cds-cdnskey-publish: none
"""
XFER_POLICY = '[dnssec_policy.bench]\ndenial = "nsec"\n'


ALONE = "xfer alone"
"""Signs in the daemon, as small zones are; only where `--servers` asks for it."""


def _xfer(zones: list[SecondaryZone], at: Path, more: str = "") -> Server:
    signed = [attrs.evolve(zone, policy="bench") for zone in zones]
    return Xferd(signed, directory=at, extra=XFER_POLICY + more)


def _xfer_alone(zones: list[SecondaryZone], at: Path) -> Server:
    return _xfer(zones, at, "[limits]\nsigning_processes = 0\n")


def _bind(zones: list[SecondaryZone], at: Path) -> Server:
    options = "serial-query-rate 1000; notify-rate 1000; ixfr-from-differences no;"
    return SigningNamed(zones, directory=at, options=options)


def _knot(zones: list[SecondaryZone], at: Path) -> Server:
    more = ["zonefile-sync: -1", "zonefile-load: none", "journal-content: all"]
    more += ["dnssec-signing: on", "dnssec-policy: bench"]
    more += ["journal-max-usage: 4G"]  # by default, 100 MiB, a signed zone of a million is refused
    return Knot(zones, directory=at, zone_options=more, sections=KNOT_POLICY)


SERVERS: dict[str, Callable[[list[SecondaryZone], Path], Server]] = {
    "xfer": _xfer,
    "BIND": _bind,
    "Knot": _knot,
    ALONE: _xfer_alone,
}


def count_records(server: Server, key: TsigKey) -> int:
    """How many records a transfer brings, the closing SOA not counted."""
    question = zone.QUESTION_NAME + struct.pack("!HH", 252, 1)
    request = Signer(key).sign(4711, 0, (1, 0, 0), question)
    timers = struct.pack("!4I", 86400, 7200, 3600000, 3600)
    answers = ends = 0
    data = bytearray()
    with socket.create_connection((server.address, server.port)) as sock:
        sock.settimeout(120)
        sock.sendall(request)
        while ends < 2:
            part = sock.recv(1 << 20)
            if not part:
                raise DrainFailed(f"closed after {answers} records")
            data += part
            at = 0
            while len(data) - at >= 2:
                size = 2 + (data[at] << 8 | data[at + 1])
                if len(data) - at < size:
                    break
                message = bytes(data[at : at + size])
                if message[5] & 15:
                    return 0  # not yet
                answers += changing._short(message, 8)
                ends += message.count(timers)
                at += size
            del data[:at]
    return answers - 1


def _all_signed(server: Server) -> bool:
    """Whether a server has signed all that it set out to; others than BIND serve nothing before."""
    if not isinstance(server, SigningNamed):
        return True
    # What it notes at the apex for each key: algorithm, tag, whether it goes, whether it is done.
    query = dns.message.make_query(zone.ZONE, "TYPE65534", use_edns=True)
    try:
        answer = dns.query.udp(query, server.address, 2.0, server.port).answer
    except dns.exception.Timeout:
        return False  # it is busy
    notes = [rdata.to_wire() for rrset in answer for rdata in rrset]
    done = [note for note in notes if len(note) == 5 and note[0] and note[4] == 1]
    return len(done) == len(notes) == 2


def _log_seconds(server: Server) -> float | None:
    """How long xfer says that the last signing took."""
    found = [line for line in server.logs().splitlines() if '"event": "signed"' in line]
    return float(json.loads(found[-1])["seconds"]) if found else None


def measure_server(name: str, primary: Changing, count: int, times: int) -> Found:
    """From nothing, then `times` changes, and for xfer all of it anew under SOA queries."""
    expected = Expected.of(count)
    directory = Path(tempfile.mkdtemp(prefix="xfer-bench-"))
    key = primary.key
    server = SERVERS[name]([SecondaryZone(zone.ZONE, [primary.remote], keys=[key])], directory)
    try:
        server.prepare()
        start = time.monotonic()
        server.launch()
        with Meter(server.pid) as meter:
            end = _wait_signed(server)
            meter.settle()
        alone = (
            _log_seconds(server) if isinstance(server, Xferd) else None
        )  # told after it is served
        expected.check(count_records(server, key))
        whole = Signing(
            end - start, meter.cpu_seconds, meter.peak_bytes, expected.signatures, alone
        )
        changes = list(_changes(server, primary, count, times))
        latencies = _anew(server) if isinstance(server, Xferd) else []
    except BaseException:
        print(f"--- {name} ---\n{server.logs()[-4000:]}", file=sys.stderr)
        raise
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return Found(whole, changes, latencies)


def _wait_signed(server: Server) -> float:
    deadline = time.monotonic() + PATIENCE
    while server.serial(zone.ZONE) is None or not _all_signed(server):
        if time.monotonic() > deadline:
            raise DrainFailed(f"nothing signed in {PATIENCE} s")
        time.sleep(0.005 if not isinstance(server, SigningNamed) else 0.2)
    return time.monotonic()


def _changes(server: Server, primary: Changing, count: int, times: int) -> Iterator[Change]:
    """Ten hosts get other addresses, `times` times after two that do not count."""
    primary.tell(server.remote())
    labels = [label for label, _ in changing.hosts(count)]
    random.Random(8).shuffle(labels)  # as the primary does
    for number in range(times + 2):
        time.sleep(random.uniform(0.05, 0.1))
        with Meter(server.pid, sampling=False) as meter:
            _, start = primary.edit(CHANGED)
            last = (number + 1) * CHANGED - 1
            seconds = _served_signed(server, labels[last % len(labels)], 0xCB000000 + last) - start
            meter.settle(0.1)
        if number >= 2:
            yield Change(seconds, meter.cpu_seconds)


def _served_signed(server: Server, label: bytes, address: int) -> float:
    """When a host was answered for with its new address and a signature."""
    opt = b"\0" + struct.pack("!HHIH", 41, 4096, 0x8000, 0)
    question = label + zone.QUESTION_NAME + struct.pack("!HH", zone.A, 1)
    query = struct.pack("!6H", 1, 0, 1, 0, 0, 1) + question + opt
    deadline = time.monotonic() + 120
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1.0)
        sock.connect((server.address, server.port))
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                sock.send(query)
                answer = sock.recv(4096)
                new = struct.pack("!HI", 4, address) in answer
                if new and changing._short(answer, 6) == 3:  # two addresses and an RRSIG
                    return time.monotonic()
            time.sleep(_POLL)
    raise DrainFailed("expected a changed host to be served signed, got none in 120 s")


def _anew(server: Xferd) -> list[float]:
    """Have all be signed anew, by another denial, while the SOA is asked for."""

    def signings() -> int:
        return server.logs().count('"event": "signed"')

    before = signings()
    text = server.config_file.read_text()
    with Load(server.address, server.port) as load:
        server.config_file.write_text(
            text.replace(XFER_POLICY, XFER_POLICY.replace('"nsec"', '"nsec3"'))
        )
        os.kill(server.pid, signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while signings() == before:
            if time.monotonic() > deadline:
                raise DrainFailed("nothing was signed anew")
            time.sleep(0.02)
        return load.finish()


# -- signers of files


TOOLS = {
    "dnssec-signzone": ("dnssec-signzone", "-P", "-S", "-O", "full"),
    "dnssec-signzone -n 1": ("dnssec-signzone", "-P", "-S", "-O", "full", "-n", "1"),
    "ldns-signzone": ("ldns-signzone",),
}
NAMES = (*(name for name in SERVERS if name != ALONE), *TOOLS)


def make_keys(directory: Path) -> list[str]:
    """A KSK and a ZSK; their files' names without ending."""
    made = []
    for more in (["-f", "KSK"], []):
        command = ["dnssec-keygen", "-K", str(directory), "-a", "13", *more, zone.ZONE]
        made.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [name.strip() for name in made]


def measure_tool(name: str, count: int, times: int) -> Found:
    """From a zone file; changes by signing the signed file again, where the tool can use it."""
    expected = Expected.of(count)
    with tempfile.TemporaryDirectory(prefix="xfer-bench-") as text:
        directory = Path(text)
        keys = make_keys(directory)
        source, target = directory / "zone", directory / "signed"
        zone.write_zone_file(source, zone.records(count))
        more = list(keys) if name.startswith("ldns") else []
        seconds, cpu, peak = _run(name, directory, source, target, more)
        with target.open() as file:
            signed = sum(line[:1] not in ";\n\t" for line in file)
        expected.check(signed)
        whole = Signing(seconds, cpu, peak, expected.signatures)
        changes = []
        if not name.startswith("ldns"):  # it makes every signature anew
            for number in range(times):
                _change_file(target, source, number)
                seconds, cpu, _ = _run(name, directory, source, target, [])
                changes.append(Change(seconds, cpu))
    return Found(whole, changes)


def _run(
    name: str, directory: Path, source: Path, target: Path, more: list[str]
) -> tuple[float, float, int]:
    """Sign a file: seconds, CPU seconds, peak bytes."""
    options = ["-o", zone.ZONE, "-f", str(target)]
    command = [*TOOLS[name], *options, str(source), *more]
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise Wrong(f"{' '.join(command)} ended with {process.returncode}: {said[-2000:]}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def _change_file(signed: Path, source: Path, number: int) -> None:
    """The signed zone with the serial and ten addresses changed."""
    left = CHANGED
    with signed.open() as lines, source.open("w") as out:
        for line in lines:
            if left and "\tIN A\t" in line and line.startswith("host-"):
                left -= 1
                line = (
                    line[: line.rindex("\t")] + f"\t203.0.113.{(number * CHANGED + left) % 250}\n"
                )
            elif "\tIN SOA\t" in line:
                line = line.replace(
                    str(zone.serial_of(number + 1)), str(zone.serial_of(number + 2))
                )
            out.write(line)


# -- the yardstick


def openssl_rate(seconds: int = 2) -> float:
    """Signatures a second and core, by `openssl speed`."""
    done = subprocess.run(
        ["openssl", "speed", "-seconds", str(seconds), "ecdsap256"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"nistp256\)\s+\S+\s+\S+\s+([\d.]+)", done.stdout)
    if found is None:
        raise Wrong(f"openssl speed said {done.stdout!r}")
    return float(found[1])


def own_rates(count: int = 20_000) -> tuple[float, float]:
    """Signatures a CPU second of one process of ours that signs portions, preparing included; and
    in the same process, portion by portion in turn, of `cryptography` with nothing around it."""
    code = f"from {__name__} import print_rates; print_rates({count})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ours, bare = map(float, done.stdout.split())
    return ours, bare


def print_rates(count: int) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    from xfer.dnssec.keys import make_key
    from xfer.dnssec.signing import Terms, WholeSigner, sign
    from xfer.wire import names
    from xfer.zone.check import Policy
    from xfer.zone.zonefile import read_zone_text

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "zone"
        zone.write_zone_file(path, zone.records(count))
        origin = names.from_text(zone.ZONE)
        content = read_zone_text(path.read_text(), "bench", origin, Policy())[0]
    terms = Terms(ksks=(make_key(13, True),), zsks=(make_key(13, False),))
    signer = WholeSigner(content, terms, 1, time.time(), random.Random(1))
    gc.disable()  # as in the process that signs
    bare_sign = ec.generate_private_key(ec.SECP256R1()).sign
    digest, how = bytes(32), ec.ECDSA(Prehashed(hashes.SHA256()))
    used = bare = 0.0
    while signer.step() or signer.waiting:
        for portion in signer.take():
            start = time.process_time()
            signed = sign(signer.recipe, signer.signs, portion)
            middle = time.process_time()
            for _ in range(signed.made):
                bare_sign(digest, how)
            used += middle - start
            bare += time.process_time() - middle
            signer.give(signed)
    print(signer.made / used, signer.made / bare)


def measure(name: str, primary: Callable[[], Changing], count: int, times: int) -> Found:
    """One contestant, once."""
    if name in TOOLS:
        return measure_tool(name, count, 1)  # it looks at all of the zone each time
    with primary() as running:
        return measure_server(name, running, count, times)
