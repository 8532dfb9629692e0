"""A parent, the signers of a zone below it, and those who watch: unbound, and caches that mix.

All servers listen on port 53 of loopback addresses of their own, so that delegations lead to them.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs
import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.peers.beside import Beside
from tests.peers.process import PrimaryZone
from tests.peers.unbound import Unbound
from tests.peers.xferd import Xferd
from xfer.cli.client import Daemon, zone_path
from xfer.errors import ControlError

ZONE = "example.test."
PARENT = "test."
TTL = 1  # seconds, of everything
PATIENCE = 60.0  # seconds for what takes a few TTLs
# Of this process alone: both forms of the kernel are tested side by side.
NETWORK = f"127.{64 + (os.getpid() >> 8 & 63)}.{os.getpid() & 255}"
PARENT_ADDRESS, OURS, THEIRS = f"{NETWORK}.1", f"{NETWORK}.2", f"{NETWORK}.3"
NAMES = {OURS: "ours.test.", THEIRS: "theirs.test."}
"""The name servers' names, by address."""
POLICY = f"""
denial = "nsec"
dnskey_ttl = {TTL}
zsk_lifetime = 0
propagation = 0
publish_safety = 0
retire_safety = 0
parent_propagation = 0
parent_ds_ttl = {TTL}
signature_inception = 3600
"""


def zone_text(serial: int, servers: Iterable[str], extra: Iterable[str] = ()) -> str:
    """The zone's content, with the servers (addresses) in its NS RRset."""
    lines = [f"$ORIGIN {ZONE}", f"$TTL {TTL}", f"@ SOA ns h {serial} 3600 600 86400 {TTL}"]
    lines += [f"@ NS {NAMES[server]}" for server in servers]
    lines += ["www A 192.0.2.1", "*.w TXT x", "a.b TXT y", *extra]
    return "\n".join(lines) + "\n"


class Parent(Xferd):
    """The parent zone, signed by an xfer of its own; `servers` and `ds` are what it delegates."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            [PrimaryZone(PARENT, "", policy="parent")],
            address=PARENT_ADDRESS,
            port=53,
            directory=directory,
            extra='[dnssec_policy.parent]\ndenial = "nsec"\nkeys = "csk"\n',
        )
        self.number = 0
        self.servers: list[str] = []
        self.ds: list[str] = []

    def configure(self) -> None:
        self.zone_file(PARENT).write_text(self._text())
        super().configure()

    def _text(self) -> str:
        self.number += 1
        lines = [f"$ORIGIN {PARENT}", f"$TTL {TTL}", f"@ SOA ns h {self.number} 3600 600 86400 1"]
        lines += [f"@ NS ns.{PARENT}", f"ns A {PARENT_ADDRESS}"]
        lines += [f"{name} A {address}" for address, name in NAMES.items()]
        lines += [f"{ZONE} NS {NAMES[server]}" for server in self.servers]
        lines += [f"{ZONE} DS {ds}" for ds in self.ds]
        return "\n".join(lines) + "\n"

    def delegate(self, servers: Sequence[str], ds: Sequence[str]) -> None:
        """Another delegation; served on return."""
        self.servers, self.ds = list(servers), list(ds)
        self.edit_zone(PARENT, self._text())
        self.wait_serving(PARENT, self.number)

    def anchor(self) -> str:
        """Its key as a trust anchor."""
        found = Daemon(self.control).get(zone_path(PARENT, "/dnssec/dnskey"))
        return str(found["records"][0]["line"])


class Signer(Xferd):
    """An xfer that signs the zone from a file of its own; `other`: the other signer's address."""

    def __init__(
        self,
        address: str,
        directory: Path,
        *,
        other: str = "",
        policy: str = "",
        servers: Sequence[str] = (OURS,),
    ) -> None:
        self.number = 0
        zone = PrimaryZone(ZONE, zone_text(1, servers), policy="p")
        parent = f'parent = ["{PARENT_ADDRESS}:53"]\n'
        extra = f"[dnssec_policy.p]\n{POLICY}{parent}{policy}"
        super().__init__([zone], address=address, port=53, directory=directory, extra=extra)
        self.other = other
        self.mode = "live-signed"
        self.content = 1
        self.servers = list(servers)
        self.foreign: list[str] = []
        self.taken = float(
            "inf"
        )  # when the last order that waits for its time was taken, or before

    def _config(self) -> str:
        text = super()._config().replace('"live-signed"', f'"{self.mode}"')
        if self.other:
            text += f'other_signers = ["{self.other}:53"]\n'
        return text

    def edit(self, servers: Sequence[str] | None = None, foreign: Sequence[str] = ()) -> None:
        """Other NS, and DNSKEYs of other signers, in the content."""
        self.content += 1
        self.servers = list(self.servers if servers is None else servers)
        self.edit_zone(ZONE, zone_text(self.content, self.servers, foreign))

    # -- orders, through the control API

    def ask(self, path: str) -> Any:
        return Daemon(self.control).get(zone_path(ZONE, "/dnssec" + path))

    def order(self, path: str, **body: object) -> Any:
        """An order. Raises ControlError where it is refused."""
        return Daemon(self.control).post(zone_path(ZONE, "/dnssec" + path), body, True)

    def refused(self, path: str, **body: object) -> str:
        """The sentence with which an order is refused."""
        try:
            self.order(path, **body)
        except ControlError as error:
            return str(error)
        raise AssertionError(f"{path} {body} was not refused")

    def asked(self) -> None:
        """Have the parent asked now."""
        self.ask("/migration")

    def zsk(self) -> list[str]:
        return [str(record["line"]) for record in self.ask("/zsk")["records"]]

    def ds(self) -> list[str]:
        """Rdata of the DS that are to be at the parent."""
        return [str(record["text"]) for record in self.ask("/ds")["records"]]

    def at_stage(self, stage: str) -> None:
        """Wait until that is what comes next, and can be done."""
        until(lambda: self.stage() == (stage, None))

    def stage(self) -> tuple[str, float | None]:
        found = self.ask("/migration")
        return found["stage"], found["at"]

    def step(self, name: str, **body: object) -> None:
        """Take a step of a migration as soon as it may be taken; refused until then."""
        self.insist("/migration/next", step=name, **body)

    def insist(self, path: str, **body: object) -> None:
        """An order that is refused until its time."""

        def take() -> None:
            began = time.time()
            self.order(path, **body)
            self.taken = began

        retry(take)


STEPS = (
    "keys-there",
    "keys-here",
    "ds-added",
    "servers-added",
    "servers-moved",
    "ds-taken",
    "keys-taken",
)


def too_early(one: Signer, stage: str) -> None:
    """Every step after that stage is refused, with what comes first, and so is what goes around
    the steps; nothing changes by that. Where this test takes longer than caches, which have a TTL
    to forget, the next stage has come by itself, and is refused for another reason."""
    before = one.ask("/dnskey")["records"]
    for step in STEPS[STEPS.index(stage) + 1 :]:
        said = one.refused("/migration/next", step=step, servers=[NAMES[OURS]])
        if "too early" not in said and "one signer" not in said:
            assert time.time() >= one.taken + TTL, said
            assert STEPS.index(step) <= STEPS.index(one.stage()[0]), said
    one.refused("/delete")
    if stage in ("servers-moved", "ds-taken"):  # before, nobody is led to the other
        for key in one.ask("/dnskey")["records"]:
            if key["role"] == "foreign":
                one.refused("/foreign/remove", key=key["key"])
    if STEPS.index(stage) < STEPS.index("servers-moved"):
        one.refused("/migration/leave", servers=[NAMES[OURS]])
    assert one.ask("/dnskey")["records"] == before


def retry(what: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Try until it is not refused any more."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            what()
        except ControlError as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"refused for {timeout} s: {error}") from error
            time.sleep(0.05)
        else:
            return


def until(what: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Wait until that is true."""
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@attrs.define(eq=False)
class Held:
    """Something that a cache may hold: an RRset with its signatures, until then."""

    rrset: dns.rrset.RRset
    rrsigs: dns.rrset.RRset
    until: float


class Mixing:
    """Every cache there could be: whatever was answered is kept for its TTL, and each DS set is
    tried with each DNSKEY RRset with each answer."""

    KINDS = ((ZONE, "DNSKEY"), (f"www.{ZONE}", "A"), (ZONE, "SOA"), (ZONE, "NS"))

    def __init__(self) -> None:
        self.ds: dict[str, Held] = {}
        self.held: dict[str, dict[str, Held]] = {rtype: {} for _, rtype in self.KINDS}
        self.judged: dict[tuple[int, ...], str] = {}
        self.kept: list[Held] = []  # so that ids stay theirs
        self.tried = 0
        self.by: set[str] = set()  # servers that were asked
        self.bogus: list[str] = []
        self._looking = threading.Lock()

    def look(self, servers: Iterable[str]) -> None:
        """Ask the parent and the servers, and judge all mixtures."""
        with self._looking:
            self._look(servers)

    def _look(self, servers: Iterable[str]) -> None:
        self._ask(PARENT_ADDRESS, ZONE, "DS", self.ds)
        for server in servers:
            self.by.add(server)
            for name, rtype in self.KINDS:
                self._ask(server, name, rtype, self.held[rtype])
        now = time.time()
        for known in (self.ds, *self.held.values()):
            for text in [text for text, one in known.items() if one.until <= now]:
                del known[text]
        answers = [one for kind, known in self.held.items() if kind != "DNSKEY"
                   for one in known.values()]  # fmt: skip
        for ds, keys, answer in itertools.product(
            self.ds.values(), self.held["DNSKEY"].values(), answers
        ):
            why = self._judge(ds, keys, answer)
            self.tried += 1
            if why:
                self.bogus.append(why)

    def forget(self) -> None:
        """Nothing from before is in caches any more, nor on its way to them."""
        with self._looking:
            for known in (self.ds, *self.held.values()):
                known.clear()

    def _ask(self, server: str, name: str, rtype: str, known: dict[str, Held]) -> None:
        query = dns.message.make_query(name, rtype, want_dnssec=True, payload=4096)
        asked = time.time()
        answer = dns.query.udp(query, server, 5, 53)
        rrsets = [rrset for rrset in answer.answer if rrset.rdtype.name == rtype]
        rrsigs = [rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.RRSIG]
        if not rrsets:
            return
        if not rrsigs:
            rrsigs = [dns.rrset.RRset(rrsets[0].name, dns.rdataclass.IN, dns.rdatatype.RRSIG)]
        text = "\n".join(sorted(rrset.to_text() for rrset in (rrsets[0], rrsigs[0])))
        expires = asked + rrsets[0].ttl
        if text in known:
            known[text].until = max(expires, known[text].until)
        else:
            known[text] = Held(rrsets[0], rrsigs[0], expires)
            self.kept.append(known[text])

    def _judge(self, ds: Held, keys: Held, answer: Held) -> str:
        key = (id(ds), id(keys), id(answer))
        if key not in self.judged:
            self.judged[key] = _why_bogus(ds, keys, answer)
        return self.judged[key]


def _why_bogus(ds: Held, keys: Held, answer: Held) -> str:
    """Why a validator with these would say bogus; "" where it would not."""
    name = dns.name.from_text(ZONE)
    top = [
        key
        for key in keys.rrset
        for one in ds.rrset
        if dns.dnssec.make_ds(name, key, one.digest_type) == one
    ]
    try:
        if not top:
            return f"DS {sorted(one.key_tag for one in ds.rrset)} name none of {keys.rrset}"
        trusted = dns.rrset.from_rdata_list(name, TTL, top)
        dns.dnssec.validate(keys.rrset, keys.rrsigs, {name: trusted})
        dns.dnssec.validate(answer.rrset, answer.rrsigs, {name: keys.rrset})
    except dns.exception.DNSException as error:
        tags = sorted(dns.dnssec.key_id(key) for key in keys.rrset)
        return (
            f"{error} for {answer.rrset.name} {answer.rrset.rdtype.name}: "
            f"DS {sorted(one.key_tag for one in ds.rrset)}, DNSKEY {tags}, "
            f"signed by {sorted(one.key_tag for one in answer.rrsigs)}"
        )
    return ""


class Watch(Beside):
    """Asks all along: unbound, which follows the delegation, and caches that mix. A context
    manager; what was bogus is in `bogus`, and fails the test."""

    QUESTIONS = (("www", "A"), ("q.w", "TXT"), ("no", "A"), ("a.b", "A"), ("b", "TXT"))

    def __init__(
        self, unbound: Unbound, servers: Sequence[str], *others: Unbound, secure: bool = True
    ) -> None:
        super().__init__()
        self.validators = (unbound, *others)
        self.until = dict.fromkeys(servers, float("inf"))
        self.secure = secure  # whether answers have to be secure
        self.mixing = Mixing()
        self.asked = 0
        self.authentic = 0
        self.streak = 0  # secure answers in a row
        self.bogus: list[str] = []
        self._failed: BaseException | None = None

    def _run(self) -> None:
        try:
            for number in itertools.count():
                if self._stop.wait(0.05):
                    return
                name, rtype = self.QUESTIONS[number % len(self.QUESTIONS)]
                for validator in self.validators:
                    answer = validator.ask(f"{name}.{ZONE}", rtype)
                    self.asked += 1
                    secure = bool(answer.flags & dns.flags.AD)
                    self.authentic += secure
                    self.streak = self.streak + 1 if secure else 0
                    if answer.rcode() == dns.rcode.SERVFAIL or (self.secure and not secure):
                        self.bogus.append(f"unbound, {name} {rtype}: {answer}")
                now = time.time()
                self.mixing.look([one for one, until in list(self.until.items()) if until > now])
        except BaseException as error:
            self._failed = error

    def delegated(self, servers: Iterable[str]) -> None:
        """The delegation leads to these servers now; caches may lead to others for a TTL."""
        gone = time.time() + TTL
        self.until = {one: min(until, gone) for one, until in self.until.items()}
        self.until |= dict.fromkeys(servers, float("inf"))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            assert self._failed is None, self._failed
            assert not self.bogus, self.bogus[:3]
            assert not self.mixing.bogus, self.mixing.bogus[:3]


def unbound_below(parent: Parent, directory: Path, *, fresh: bool = False) -> Unbound:
    """unbound that knows the parent's key, and follows its delegations; fresh: it keeps nothing."""
    return Unbound(
        {PARENT: (PARENT_ADDRESS, 53)},
        [parent.anchor()],
        address=f"{NETWORK}.{8 if fresh else 9}",
        directory=directory,
        options=(
            *(["cache-max-ttl: 0"] if fresh else []),
            'local-zone: "test." nodefault',
            "infra-host-ttl: 1",
            "cache-min-ttl: 0",
            "val-bogus-ttl: 1",
        ),
    )
