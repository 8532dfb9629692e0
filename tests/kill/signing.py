"""A zone is signed, edited and rolled from key to key while the daemon is killed over and over.

    zone file, an edit each PACE s ──> the daemon, killed and started again ──> a validator's eyes
    a parent that takes the DS over        keys, journal                        (`chain`)

TTLs and lifetimes are seconds, so that rollovers run all the time. After each death: every key that
the journal names is in the key directory, whole. All along: whatever caches hold, what is served
validates, and the serial never goes back. After each start the zone passes `dnssec-verify`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.kill.chain import Chain, Rdata
from tests.kill.harness import Broken
from tests.kill.parts import Daemon
from tests.kill.plan import Note, Plan, Point, read_notes
from tests.peers import PrimaryZone
from xfer.clock import SystemClock
from xfer.journal import Journal
from xfer.server import signed
from xfer.server.keystore import KeyStore
from xfer.wire import names

ZONE = "signed.test."
ORIGIN = names.from_text(ZONE)
RECORDS = 2_600  # three portions, so that processes sign
TTL = 1
DS_TTL = 1
PACE = 0.3  # seconds from one edit to the next
LOOK = 0.03  # seconds from one look of the validator's to the next
ROUND = 12.0  # seconds that a life may last in which the event need not come
PATIENCE = 60.0
LONGEST = 0.3  # seconds from an event to a death
OFTEN = {"portion": 6, "step": 6, "flip added": 8, "sign begin": 8, "sign end": 8}
"""Events that happen so often in a life; the others twice."""

POLICY = f"""[dnssec_policy.fast]
denial = "nsec"
dnskey_ttl = {TTL}
ksk_lifetime = 9
zsk_lifetime = 7
parent_ds_ttl = {DS_TTL}
parent_propagation = 0
propagation = 2
publish_safety = 0
retire_safety = 0
"""

POINTS: dict[str, tuple[Point, ...]] = {
    "making a key": (
        Point("key begin"),
        Point("file link"),
        Point("file linked"),
        Point("key end"),
    ),
    "signing all": (Point("portion"), Point("portion", until="sign end")),
    "signing a change": (Point("sign begin"), Point("sign end")),
    "moving keys": (Point("step"), Point("step", until="flip committed")),
    "noting keys": (Point("mark begin"), Point("mark set")),
    "committing": (
        Point("flip begin"),
        Point("flip added"),
        Point("flip inserted"),
        Point("flip committed"),
    ),
}


def zone_text(serial: int) -> str:
    """The unsigned zone; each serial gives another host an address of its own."""
    lines = [
        f"$ORIGIN {ZONE}\n$TTL {TTL}",
        f"@ SOA ns1 hostmaster {serial} 3600 600 86400 {TTL}",
        "@ NS ns1",
        "ns1 A 192.0.2.1",
    ]
    lines += [f"host{i} A 10.0.{i >> 8}.{i & 255}" for i in range(RECORDS)]
    lines.append(f"host{serial % RECORDS} A 172.16.{serial >> 8 & 255}.{serial & 255}")
    return "\n".join(lines) + "\n"


class SigningDaemon(Daemon):
    """Killed as the plan says, at what `signing_launcher` knows too."""

    def command(self) -> list[str]:
        return [
            "tests.kill.signing_launcher" if word == "tests.kill.launcher" else word
            for word in super().command()
        ]


class Validator(threading.Thread):
    """Asks all the time, and takes the DS over to the parent as the zone's CDS says."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self.chain = Chain()
        self.serial = 0
        self.lowered = ""
        self.answers = 0
        self.end = threading.Event()
        self._daemon = daemon
        self._told = True  # whether the daemon knows of the parent's last change

    def run(self) -> None:
        while not self.end.wait(LOOK):
            for rtype in ("DNSKEY", "SOA", "A"):
                self._look(f"ns1.{ZONE}" if rtype == "A" else ZONE, rtype)
            with contextlib.suppress(dns.exception.DNSException, OSError):
                self._take_ds()
            if not self._told:
                self._tell()

    def _look(self, name: str, rtype: str) -> None:
        asked = time.monotonic()
        answer = self._ask(name, rtype)
        if answer is None or not answer.answer:
            return
        rrset = answer.get_rrset(
            answer.answer, dns.name.from_text(name), dns.rdataclass.IN, _type(rtype)
        )
        rrsigs = answer.get_rrset(
            answer.answer, dns.name.from_text(name), dns.rdataclass.IN, _type("RRSIG"), _type(rtype)
        )
        if rrset is None or rrsigs is None:
            return
        self.answers += 1
        self.chain.took(rrset, rrsigs, asked)
        if rtype == "SOA":
            serial = rrset[0].serial
            if serial < self.serial:
                self.lowered = f"serial {serial} was served after {self.serial}"
            self.serial = max(self.serial, serial)

    def _ask(self, name: str, rtype: str) -> dns.message.Message | None:
        query = dns.message.make_query(name, rtype, want_dnssec=True, payload=4096)
        try:
            at = self._daemon.address, self._daemon.port
            return dns.query.udp(query, at[0], 0.3, at[1])
        except (dns.exception.DNSException, OSError):
            return None

    def _take_ds(self) -> None:
        """Have the parent publish what the CDS RRset says, where that is another set."""
        cds, keys = self._ask(ZONE, "CDS"), self._ask(ZONE, "DNSKEY")
        if cds is None or keys is None or not cds.answer or not keys.answer:
            return
        digests = {rdata.to_text() for rdata in cds.answer[0]}
        trusted = frozenset(
            key
            for key in keys.answer[0]
            if dns.dnssec.make_ds(ZONE, key, "SHA256").to_text() in digests
        )
        now = self.chain.parent[-1][1] if self.chain.parent else frozenset()
        if trusted and len(trusted) == len(digests) and trusted != now:
            self.chain.parent.append((time.monotonic(), trusted))
            self._told = False

    def _tell(self) -> None:
        """Say `ds-seen`, until the daemon takes it."""
        trusted = self.chain.parent[-1][1]
        body = {"keys": [_ident(key) for key in trusted]}
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._told = order(self._daemon.control, "ds-seen", body) == 200


def _type(name: str) -> dns.rdatatype.RdataType:
    return dns.rdatatype.from_text(name)


def _ident(key: Rdata) -> str:
    return f"{int(key.algorithm):03d}+{dns.dnssec.key_id(key):05d}"  # type: ignore[attr-defined,arg-type]


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=3.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def order(control: Path, what: str, body: object) -> int:
    """An order to the daemon about the zone's keys; the HTTP status. Raises OSError."""
    connection = _Unix(control)
    try:
        where = f"/xfer/v1/zones/{ZONE}/dnssec/{what}"
        headers = {"content-type": "application/json"}
        connection.request("POST", where, json.dumps(body), headers)
        return connection.getresponse().status
    finally:
        connection.close()


class SigningRounds:
    """One run. A context manager. deaths: by where; steps: of what was under way then."""

    def __init__(self, directory: Path, *, patient: bool = True) -> None:
        """patient: let events pass before the one to die at, so that keys have time to roll."""
        self.deaths: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()  # steps of keys in all lives
        self.plan: Plan | None = None
        self._patient = patient
        self._directory = directory
        self._notes = directory / "notes"
        self._edit = 1

    def __enter__(self) -> SigningRounds:
        zone = PrimaryZone(ZONE, zone_text(1), policy="fast")
        limits = "[limits]\nsigning_processes = 2\n"
        self.daemon = SigningDaemon(
            [zone], directory=self._directory / "xfer", extra=POLICY + limits
        )
        self.validator = Validator(self.daemon)
        self.daemon.prepare()
        self.validator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.validator.end.set()
        self.validator.join(5)
        self.daemon.kill()

    def round(self, point: Point) -> str:
        """A life to that point; where it died, "" where it lived on. Raises Broken."""
        delay = max(1e-6, random.random() * LONGEST) if point.until else 0.0
        skip = random.randrange(OFTEN.get(point.event, 2)) if self._patient else 0
        self._notes.unlink(missing_ok=True)
        self.plan = self.daemon.plan = Plan(str(self._notes), point.event, delay, skip=skip)
        self.daemon.launch()
        code = self._live(ROUND if self._patient else PATIENCE)
        notes = read_notes(self._notes.read_text()) if self._notes.exists() else []
        self.seen.update(kind for note in notes for kind in _kinds(note))
        self.daemon.kill()
        if code is None:
            return ""
        if code != -signal.SIGKILL:
            raise Broken(f"{self.plan}: ended with {code}\n{self.daemon.logs()[-3000:]}")
        where = place(notes)
        self.deaths[where] += 1
        self.steps.update(under_way(notes))
        self._keys_are_there()
        return where

    def _live(self, seconds: float) -> int | None:
        """Edit the zone until the daemon has died; how, None where it lives on."""
        deadline = time.monotonic() + seconds
        process = self.daemon._process
        assert process is not None
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(PACE)
            if self.validator.serial and self.daemon.serial(ZONE) is not None:
                self._edit += 1
                new = self.daemon.zone_file(ZONE).with_suffix(".new")
                new.write_text(zone_text(self._edit))
                new.rename(self.daemon.zone_file(ZONE))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)
        return None

    def _keys_are_there(self) -> None:
        """Every key that the journal names is on disk, and private and public parts fit."""
        path = self.daemon.directory / "journal.db"
        with Journal.open(f"sqlite://{path}", SystemClock(), writable=False) as journal:
            known = signed.restored(ORIGIN, journal.marks(ORIGIN))
        store = KeyStore(self.daemon.directory / "keys")
        for key in known.keys.keys if known is not None and known.keys is not None else ():
            stem = store.zone_directory(ORIGIN) / f"K{ZONE}+{key.ident}"
            if store.read_files(stem).key.public != key.public:
                raise Broken(f"{self.plan}: the journal names a key {key.ident} unlike {stem}")

    def look(self) -> None:
        """Start it as it is: it goes on, and serves a zone that is valid as a whole."""
        self.daemon.plan = None
        before = self.validator.answers
        self.daemon.launch()
        deadline = time.monotonic() + PATIENCE
        while self.validator.answers < before + 6:
            if time.monotonic() > deadline:
                raise Broken(f"{self.plan}: serves nothing signed\n{self.daemon.logs()[-3000:]}")
            time.sleep(0.02)
        said = self._verify()
        self.daemon.kill()
        problems = [*self.validator.chain.broken(TTL, DS_TTL)]
        if self.validator.lowered:
            problems.append(self.validator.lowered)
        if said or problems:
            seen = [*problems[:10], *self.validator.chain.timeline()[-20:]]
            raise Broken(f"{self.plan}: {said}\n" + "\n".join(seen) + self.daemon.logs()[-5000:])

    def _verify(self) -> str:
        """What `dnssec-verify` has against the zone that is served, "" for nothing."""
        file = self._directory / "served"
        at = ["@" + self.daemon.address, "-p", str(self.daemon.port), "+onesoa", "+nocmd"]
        with file.open("w") as out:
            subprocess.run(["dig", *at, ZONE, "AXFR", "+nostats"], check=True, stdout=out)
        command = ["dnssec-verify", "-q", "-x", "-o", ZONE, str(file)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        return f"dnssec-verify: {done.stdout}{done.stderr}" if done.returncode else ""


def _kinds(note: Note) -> list[str]:
    word, _, kinds = note.event.partition(" ")
    return kinds.split(",") if word == "step" else []


def under_way(notes: Sequence[Note]) -> list[str]:
    """The steps of keys that were decided and not yet committed."""
    found: list[str] = []
    for note in notes:
        found += _kinds(note)
        if note.event in ("flip committed", "mark set"):
            found = []
    return found


def place(notes: Sequence[Note]) -> str:
    """What the process was doing when it died: a row of POINTS, "removing a key" (its files are
    moved away), or "between"."""
    where = "between"
    for note in notes:
        event = note.event
        if event == "key begin":
            where = "making a key"
        elif event == "file link" and where != "making a key":
            where = "removing a key"
        elif event == "portion":
            where = "signing all"
        elif event == "sign begin":
            where = "signing a change"
        elif event == "mark begin":
            where = "noting keys"
        elif event.startswith("step "):
            where = "moving keys"
        elif event in ("sign end", "flip begin"):
            where = "committing"
        elif event in ("mark set", "flip committed"):
            where = "between"
    return where


def run(rounds: SigningRounds, times: int) -> list[str]:
    """Kill `times` times, the rows in turn; lines for people. Raises Broken."""
    rounds.look()
    rows = list(POINTS)
    for number in range(4 * times):
        if sum(rounds.deaths.values()) >= times:
            break
        row = rows[number % len(rows)]
        where = rounds.round(random.choice(POINTS[row]))
        print(f"{number + 1:4} {row}: {where or 'lived on'} [{rounds.plan}]", flush=True)
        rounds.look()
    else:
        raise Broken(f"it died {sum(rounds.deaths.values())} times in {4 * times} rounds")
    chain = rounds.validator.chain
    spans = {dns.rdatatype.to_text(_as(t)): len(found) for t, found in chain.history.items()}
    return [
        *(f"{row:18}{count:>5}  {'#' * count}" for row, count in rounds.deaths.most_common()),
        "killed in the middle of: " + _listed(rounds.steps),
        "steps of keys in all: " + _listed(rounds.seen),
        f"{rounds.validator.answers:,} answers validated, {_listed(Counter(spans))} of them unlike "
        f"the one before; {len(chain.parent)} sets of DS; serial {rounds.validator.serial}",
    ]


def _as(rtype: int) -> dns.rdatatype.RdataType:
    return dns.rdatatype.RdataType.make(rtype)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"
