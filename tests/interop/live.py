"""Servers around an xfer that signs: an unsigned primary before it, ordinary secondaries behind it.

BIND (nsupdate) → xfer, live-signed → BIND, Knot, NSD, and an xfer that passes on what came
                      └──────────────── each one asked by an unbound ─────────────────┘
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from tests.interop import counting
from tests.interop.chain import key_of
from tests.interop.counting import Counts
from tests.interop.signed_content import MARK, Content, Question
from tests.interop.signed_edits import SERIAL, Editor, zone_text
from tests.peers import (
    Knot,
    Named,
    Nsd,
    PrimaryZone,
    Record,
    Remote,
    SecondaryZone,
    Server,
    Xferd,
    free_port,
    records_text,
)
from tests.peers.unbound import Unbound
from tests.peers.updates import Updates

IN, OUT = key_of(0), key_of(1)
PRIMARY, SIGNER = "127.0.0.21", "127.0.0.22"
BELOW = {"BIND": "127.0.0.23", "Knot": "127.0.0.24", "NSD": "127.0.0.25", "xfer": "127.0.0.26"}
OF_DNSSEC = {"RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "ZONEMD"}
PATIENCE = 60.0  # seconds for an edit to reach all servers


@attrs.frozen
class Kind:
    """How a zone is signed: its denial, "nsec", "nsec3" or "opt-out", and its algorithm."""

    denial: str
    algorithm: int

    @property
    def zone(self) -> str:
        return f"{self.name}.test."

    @property
    def name(self) -> str:
        return f"{self.denial}-{self.algorithm}"

    @property
    def csk(self) -> bool:
        """Whether one key signs keys and all else."""
        return self.algorithm == 15

    @property
    def policy(self) -> str:
        """The policy that is called as the zone is."""
        lines = [f"algorithm = {self.algorithm}"]
        if self.denial == "nsec":
            lines += ['denial = "nsec"']
        else:
            lines += ['denial = "nsec3"', 'nsec3_salt = "c0ffee"', "nsec3_iterations = 3"]
        if self.denial == "opt-out":
            lines += ["nsec3_opt_out = true"]
        if self.csk:
            lines += ['keys = "csk"']
        return "\n".join([f"[dnssec_policy.{self.name}]", *lines, ""])


@attrs.define(eq=False)
class Zone:
    """A zone on its way. content: what the primary has, as of the last look; asked: the second in
    which resolvers were asked last; settled: how many of its versions all servers had at once."""

    kind: Kind
    editor: Editor
    content: Content
    anchor: str = ""
    asked: int = 0
    settled: int = 0

    @property
    def name(self) -> str:
        return self.kind.zone


@attrs.define(eq=False)
class World:
    """The servers, running. below: the secondaries of `signer` by name; resolvers: of those and of
    the signer."""

    zones: list[Zone]
    primary: Named
    signer: Xferd
    below: dict[str, Server]
    resolvers: dict[str, Unbound]

    @property
    def servers(self) -> dict[str, Server]:
        """Those that serve the signed zones."""
        return {"signer": self.signer, **self.below}

    # -- edits

    def send(self, zone: Zone) -> list[str]:
        """Edit the zone at its primary; the lines of the update."""
        lines = zone.editor.edit(zone.content)
        with Updates(self.primary.remote(IN), zone.name) as updates:
            updates.send(lines)
        return lines

    def settle(self, zone: Zone) -> None:
        """Wait until each server has the last edit, signed."""
        deadline = time.monotonic() + PATIENCE
        self._until(deadline, zone, "the signer", partial(self._marked, zone))
        for name, server in self.below.items():
            self._until(deadline, zone, name, partial(self._has_latest, zone, server))
        zone.settled += 1

    def _until(self, deadline: float, zone: Zone, what: str, done: Callable[[], bool]) -> None:
        while not done():
            if time.monotonic() > deadline:
                logs = "".join(
                    f"--- {name}\n{server.logs()[-3000:]}" for name, server in self.servers.items()
                )
                raise AssertionError(
                    f"{zone.name}: {what} has not got edit {zone.editor.count}\n{logs}"
                )
            time.sleep(0.01)

    def _marked(self, zone: Zone) -> bool:
        query = dns.message.make_query(f"{MARK}.{zone.name}", "TXT")
        try:
            answer = dns.query.udp(query, self.signer.address, 2, self.signer.port)
        except (OSError, dns.exception.Timeout):
            return False
        wanted = f'"edit {zone.editor.count}"'
        return any(rdata.to_text() == wanted for rrset in answer.answer for rdata in rrset)

    def _has_latest(self, zone: Zone, server: Server) -> bool:
        serial = self.signer.serial(zone.name)
        if serial is None or server.serial(zone.name) != serial:
            return False
        if isinstance(server, Nsd):  # an older process of it may still answer
            server.wait_serving(zone.name, serial, PATIENCE)
        return True

    # -- what all have to agree on

    def judge(self, zone: Zone) -> None:
        """The zone is whole on each server: everywhere the same, with the content of the primary,
        and valid."""
        unsigned = fold(self.primary.axfr(zone.name, IN))
        zone.content = Content(zone.name, unsigned)
        signed = self.signer.axfr(zone.name, OUT)
        zone.anchor = anchor_of(zone.name, signed)
        expected = fold(signed)
        left = [record for record in expected if record.rtype not in {*OF_DNSSEC, "SOA"}]
        assert left == [record for record in unsigned if record.rtype != "SOA"], zone.name
        texts = {records_text(signed): "the signer"}
        for name, server in self.below.items():
            found = server.axfr(zone.name, OUT)
            texts.setdefault(records_text(found), name)
            assert fold(found) == expected, f"{zone.name} of {name}"
        for text, name in texts.items():
            problem = verify(zone, text, self.signer)
            assert not problem, f"{zone.name} as of {name}: {problem}"

    def ask(self, zone: Zone, asked: Sequence[Question]) -> None:
        """Each server's answers validate, and are what the content says."""
        # A resolver that caches nothing still has a record to the end of the second.
        while int(time.time()) <= zone.asked:
            time.sleep(0.02)
        for name, resolver in self.resolvers.items():
            for question in asked:
                if name == "BIND" and question.kind == "ENT" and question.name.startswith("*."):
                    # Where a wildcard has become an ENT by IXFR, BIND 9.18 answers as if it were
                    # no name, whoever has signed the zone; it was found equal and valid before.
                    continue
                problem = wrong(resolver.ask(question.name, question.rtype), question)
                assert not problem, (
                    f"{zone.name} by {name}: {question}: {problem}\n{resolver.logs()[-2000:]}"
                )
        zone.asked = int(time.time())

    def counts(self, zone: Zone) -> dict[str, Counts]:
        """The transfers of a zone that each server has received or the signer has sent."""

        def log(server: Server) -> str:
            return "\n".join(line for line in server.logs().split("\n") if zone.name[:-1] in line)

        found = {"the signer received": counting.of_xfer(log(self.signer), "in")}
        count = {"BIND": counting.of_bind, "Knot": counting.of_knot, "NSD": counting.of_nsd}
        for number, (name, server) in enumerate(self.below.items()):
            if name in count:
                found[f"{name} received"] = count[name](log(server))
            else:
                found[f"{name} received"] = counting.of_xfer(log(server), "in")
            # The fixture names a zone's peers in order, secondaries first.
            peer = f"peer-{self.zones.index(zone) * (len(self.below) + 1) + number}"
            found[f"{name} was sent"] = counting.of_xfer(log(self.signer), "out", peer)
        return found

    def judge_transfers(self, zone: Zone) -> None:
        """Nobody got the whole zone after the first time, and each got each version waited for."""
        for what, counts in self.counts(zone).items():
            assert not counts.problem(), f"{zone.name}: {what} {counts.problem()}"
            assert counts.distinct >= zone.settled, f"{zone.name}: {what} {counts}"


def fold(records: Sequence[Record]) -> list[Record]:
    """All in lower case, also keys and signatures, so that servers which fold names compare."""
    return sorted(
        record._replace(owner=record.owner.lower(), rdata=record.rdata.lower())
        for record in records
    )


def anchor_of(zone: str, records: Sequence[Record]) -> str:
    """The zone's DNSKEY with the SEP flag, as a trust anchor."""
    keys = [r.rdata for r in records if r.rtype == "DNSKEY" and r.rdata.startswith("257 ")]
    assert len(keys) == 1, keys
    return f"{zone} DNSKEY {keys[0]}"


def verify(zone: Zone, text: str, server: Server) -> str:
    """What `dnssec-verify` and `ldns-verify-zone` have against a zone file; "" for nothing."""
    file = server.directory / f"{zone.name}verify"
    file.write_text(text)
    flags = ["-z"] if zone.kind.csk else []  # a key with SEP may sign all
    commands = (
        ["dnssec-verify", *flags, "-o", zone.name, str(file)],
        ["ldns-verify-zone", str(file)],
    )
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    problems = []
    for command, one in zip(commands, running, strict=True):
        said, _ = one.communicate(timeout=60)
        if one.returncode != 0:
            problems.append(f"{command[0]} ended with {one.returncode}: {said[-2000:]}")
    return "\n".join(problems)


def wrong(answer: dns.message.Message, question: Question) -> str:
    """What is wrong with a validating resolver's answer; "" for nothing."""
    rcode = dns.rcode.NOERROR if question.exists else dns.rcode.NXDOMAIN
    if answer.rcode() != rcode:
        return f"expected {dns.rcode.to_text(rcode)}, got {dns.rcode.to_text(answer.rcode())}"
    secure = bool(answer.flags & dns.flags.AD)
    if question.secure is not None and secure is not question.secure:
        return f"expected {'secure' if question.secure else 'insecure'}, got the other"
    rtype = dns.rdatatype.from_text(question.rtype)
    found = {
        rdata.to_text().lower()
        for rrset in answer.answer
        if rrset.rdtype == rtype
        for rdata in rrset
    }
    expected = {rdata.lower() for rdata in question.rdata}
    if rtype == dns.rdatatype.SOA:  # the serial may be of another version of the same content
        found, expected = (
            {" ".join(r.split()[:2] + r.split()[3:]) for r in s} for s in (found, expected)
        )
    return "" if found == expected else f"expected {sorted(expected)}, got {sorted(found)}"


@contextlib.contextmanager
def running(kinds: Sequence[Kind], seed: int, below: Sequence[str]) -> Iterator[World]:
    """The servers with a zone of each kind, and resolvers that trust each zone's keys."""
    port = free_port(SIGNER)
    told = [Remote(BELOW[name], free_port(BELOW[name]), OUT) for name in below]
    zones = []
    for number, kind in enumerate(kinds):
        editor = Editor(kind.zone, seed + number)
        zones.append(Zone(kind, editor, Content(kind.zone, [])))
    plain = [
        PrimaryZone(
            kind.zone, zone_text(kind.zone), keys=[IN], updaters=[IN],
            notify=[Remote(SIGNER, port, IN)],
        )
        for kind in kinds
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(Named(plain, address=PRIMARY))
        signed = [
            SecondaryZone(k.zone, [primary.remote(IN)], keys=[OUT], notify=told, policy=k.name)
            for k in kinds
        ]
        policies = "".join(kind.policy for kind in kinds)
        # Where the negative TTL changes, nearly all of a zone does: also as a difference.
        limits = "[limits]\nixfr_share = 10.0\n"
        signer = Xferd(signed, address=SIGNER, port=port, extra=policies + limits)
        behind = [SecondaryZone(k.zone, [signer.remote(OUT)], keys=[OUT]) for k in kinds]
        servers = {
            name: secondary(name, behind, remote.port, limits)
            for name, remote in zip(below, told, strict=True)
        }
        world = World(zones, primary, signer, servers, {})
        start(stack, [signer, *servers.values()])
        for zone in zones:
            signer.wait_serving(zone.name, SERIAL, PATIENCE)
            world.settle(zone)
        for zone in zones:
            world.judge(zone)
        anchors = [zone.anchor for zone in zones]
        options = [
            'local-zone: "test." nodefault',
            "cache-max-ttl: 0",
            "cache-max-negative-ttl: 0",
            "aggressive-nsec: no",
        ]
        for name, server in world.servers.items():
            stubs = {zone.name: (server.address, server.port) for zone in zones}
            world.resolvers[name] = Unbound(stubs, anchors, options=options)
        start(stack, list(world.resolvers.values()))
        yield world


def start(stack: contextlib.ExitStack, servers: Sequence[Server]) -> None:
    """Start all at once; the stack stops them."""
    for server in servers:
        stack.push(server)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: server.start(), servers))


def secondary(name: str, zones: Sequence[SecondaryZone], port: int, limits: str) -> Server:
    """An ordinary secondary."""
    address = BELOW[name]
    match name:
        case "BIND":
            return Named(zones, address=address, port=port, debug=3)
        case "Knot":
            return Knot(zones, address=address, port=port)
        case "NSD":
            return Nsd(zones, address=address, port=port)
        case _:
            return Xferd(zones, address=address, port=port, extra=limits)
