"""The worlds: which zones one run of servers has, and what stands in each.

`generated` are zones of all shapes in every form with their children, and two like a TLD; `real`
are the root and arpa (`../shared/zones`), beside which nothing is REFUSED.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tests.answers import zones
from tests.answers.client import transfer
from tests.answers.message import AAAA, DNAME, NS, A, Record, ancestors, name_wire, parent
from tests.answers.signing import Form, Key, sign
from tests.peers import Knot, Named, Nsd, PrimaryZone, Server, Xferd

SHARED = Path(__file__).resolve().parents[3] / "shared" / "zones"
REAL_TIMES = {b"\0": 1728907200.0, b"\x04arpa\0": 1621900800.0}
"""When their signatures hold: 2024-10-14, 2021-05-25 (UTC)."""
PEERS = ("BIND", "Knot", "NSD")
COMPARABLE = "minimal-responses no-auth; minimal-any yes; answer-cookie no;"
"""BIND's options: what Knot and NSD do by themselves, or nearly."""


@attrs.frozen
class ZoneFile:
    """A zone to load: its name (absolute, presentation form), form, text.

    refused_by: the peers that do not load such a zone.
    """

    name: str
    form: Form
    text: str
    refused_by: frozenset[str] = frozenset()


@attrs.frozen(eq=False)
class ZoneIndex:
    """What stands in a zone.

    apex: wire form, lower case, as all names here; types: owner → its types, occluded ones too;
    nodes: owners and empty non-terminals; cuts: owners of NS below the apex; dnames: of DNAME;
    addresses: owner → its A and AAAA records.
    """

    apex: bytes
    form: Form
    refused_by: frozenset[str]
    records: Sequence[Record]
    types: dict[bytes, frozenset[int]]
    nodes: frozenset[bytes]
    cuts: frozenset[bytes]
    dnames: frozenset[bytes]
    addresses: dict[bytes, frozenset[Record]]

    @classmethod
    def of(cls, file: ZoneFile, records: Sequence[Record]) -> ZoneIndex:
        apex = name_wire(file.name).lower()
        types: dict[bytes, set[int]] = {}
        addresses: dict[bytes, set[Record]] = {}
        for record in records:
            types.setdefault(record.owner, set()).add(record.rtype)
            if record.rtype in (A, AAAA):
                addresses.setdefault(record.owner, set()).add(record)
        nodes: set[bytes] = set()
        for owner in types:
            name = owner
            while name not in nodes:
                nodes.add(name)
                if name == apex:
                    break
                name = parent(name)
        return cls(
            apex,
            file.form,
            file.refused_by,
            records,
            {owner: frozenset(found) for owner, found in types.items()},
            frozenset(nodes),
            frozenset(owner for owner, found in types.items() if NS in found and owner != apex),
            frozenset(owner for owner, found in types.items() if DNAME in found),
            {owner: frozenset(found) for owner, found in addresses.items()},
        )

    def cut_above(self, name: bytes) -> bytes | None:
        """The topmost delegation at or above `name`."""
        found = None
        for above in ancestors(name):
            if above == self.apex:
                break
            if above in self.cuts:
                found = above
        return found


REFUSED_BY = {Form.TWO_CHAINS: frozenset({"Knot"})}
"""Knot takes one NSEC3PARAM at most."""
NOT_BELOW_DNAME = frozenset({"Knot", "NSD"})
"""Neither loads a zone with data below a DNAME (RFC 6672 §2.4)."""


def generated(directory: Path, seed: int, forms: Sequence[Form] = tuple(Form)) -> list[ZoneFile]:
    """The generated zones, parents and children."""
    found = []
    for form in forms:
        origin = f"{form.name.lower().replace('_', '-')}.test."
        found += _family(origin, form, seed, directory)
    for form in (Form.OPT_OUT, Form.NSEC):
        if form in forms:
            origin = f"{form.name.lower().replace('_', '-')}-tld."
            found.append(ZoneFile(origin, form, sign(zones.tld(seed), origin, form, directory)))
    for form in (Form.UNSIGNED, Form.NSEC, Form.NSEC3):
        if form in forms:
            origin = f"occluded-{form.name.lower()}.test."
            text = sign(zones.shapes(seed, occluded=True), origin, form, directory)
            found.append(ZoneFile(origin, form, text, NOT_BELOW_DNAME))
    return found


def _family(origin: str, form: Form, seed: int, directory: Path) -> list[ZoneFile]:
    """The zone of all shapes and its children."""
    text = zones.shapes(seed)
    refused_by = REFUSED_BY.get(form, frozenset())
    found = []
    for label, signed in zones.CHILDREN.items():
        name = f"{label}.{origin}"
        own = form if signed else Form.UNSIGNED
        child = sign(zones.child(seed), name, own, directory)
        found.append(ZoneFile(name, own, child, refused_by))
        if own is not Form.UNSIGNED:
            text += Key.of(name).ds(label)
    return [ZoneFile(origin, form, sign(text, origin, form, directory), refused_by), *found]


def real() -> list[ZoneFile]:
    """The root and arpa."""
    files = {
        ".": ("root-2024101100.zone", Form.NSEC),
        "arpa.": ("arpa-2021051902-nsec3.zone", Form.NSEC3),
    }
    found = []
    for name, (file, form) in files.items():
        lines = (SHARED / file).read_text().splitlines(keepends=True)
        # The SOA that closes the root's file as it closes a transfer is one too many for NSD.
        soas = [number for number, line in enumerate(lines) if "SOA" in line.split()[2:4]]
        text = "".join(line for number, line in enumerate(lines) if number not in soas[1:])
        found.append(ZoneFile(name, form, text))
    return found


@contextlib.contextmanager
def running(
    files: Sequence[ZoneFile], *, xfer: bool, workers: int = 0
) -> Iterator[dict[str, Server]]:
    """The servers, started, each with all of the zones; "xfer" last, with so many workers."""

    def served(name: str) -> list[PrimaryZone]:
        return [PrimaryZone(f.name, f.text) for f in files if name not in f.refused_by]

    servers: dict[str, Server] = {
        "BIND": Named(served("BIND"), options=COMPARABLE),
        "Knot": Knot(served("Knot")),
        "NSD": Nsd(served("NSD")),
    }
    if xfer:
        servers["xfer"] = Xferd(served("xfer"), server=f"workers = {workers}\n")
    with contextlib.ExitStack() as stack:
        for server in servers.values():
            stack.enter_context(server)
        serials = {file.name: servers["BIND"].wait_loaded(file.name) for file in files}
        for name, server in servers.items():
            for file in files:
                if name not in file.refused_by:
                    server.wait_serving(file.name, serials[file.name])
        yield servers


def indexes(server: Server, files: Sequence[ZoneFile]) -> list[ZoneIndex]:
    """The zones' contents, as this server transfers them."""
    found = []
    for file in files:
        records = transfer(server.address, server.port, name_wire(file.name))
        found.append(ZoneIndex.of(file, records))
    return found
