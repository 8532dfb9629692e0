"""Servers with very many small zones: one primary, and each contestant as its secondary.

The zones are alike, ten records each, so that the primary needs one zone file for all of them.
The primary is Knot, which counts the queries that come. The secondaries' rates and quotas are
raised as far as an operator of so many zones would.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from tests.peers import Knot, Named, Nsd, Remote, Server, TsigKey, Xferd
from tests.peers.named import RNDC_KEY

EXPIRE = 86400
RETRY = 5
PROBED = 64
"""So many of the zones, the first ones, take updates; the primary keeps a journal of them."""

ZONE_TEXT = """$TTL 300
@ SOA ns1 hostmaster 1 {refresh} {retry} {expire} 60
@ NS ns1
@ NS ns2
@ MX 10 www
ns1 A 192.0.2.1
ns2 A 192.0.2.2
www A 192.0.2.3
www AAAA 2001:db8::3
www TXT "one of many"
ftp CNAME www
"""


def zone_name(number: int) -> str:
    return f"z{number:07d}.test."


@attrs.frozen
class Layout:
    """How many zones, their REFRESH in seconds, and the key for everything."""

    count: int
    refresh: int
    key: TsigKey

    def names(self) -> list[str]:
        return [zone_name(number) for number in range(self.count)]


class ManyPrimary(Knot):
    """Knot with all zones from one file. It sends no NOTIFY: the benchmark does, at its moment."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    def configure(self) -> None:
        key = self.layout.key
        (self.directory / "db").mkdir(exist_ok=True)
        (self.directory / "shared.zone").write_text(
            ZONE_TEXT.format(refresh=self.layout.refresh, retry=RETRY, expire=EXPIRE)
        )
        common = (
            f"    storage: {self.directory}\n    file: shared.zone\n    zonefile-sync: -1\n"
            "    semantic-checks: off\n    acl: [all]\n"
        )
        zones = "".join(
            f"  - domain: {name}\n" + ("    template: probed\n" if number < PROBED else "")
            for number, name in enumerate(self.layout.names())
        )
        (self.directory / "knot.conf").write_text(
            f"server:\n  rundir: {self.directory}\n  listen: {self.address}@{self.port}\n"
            "  tcp-max-clients: 2000\n"
            f"database:\n  storage: {self.directory}/db\n"
            f"control:\n  listen: {self.directory}/knot.sock\n"
            "log:\n  - target: stderr\n    any: warning\n"
            f"key:\n  - id: {key.name}\n    algorithm: {key.algorithm}\n    secret: {key.secret}\n"
            f"acl:\n  - id: all\n    action: [transfer, update]\n    key: {key.name}\n"
            "mod-stats:\n  - id: all\n    query-type: on\n    server-operation: on\n"
            f"template:\n  - id: default\n    global-module: mod-stats/all\n{common}"
            f"    journal-content: none\n  - id: probed\n{common}    journal-content: changes\n"
            f"zone:\n{zones}"
        )

    def checks(self) -> int:
        """How many queries for a serial have come so far: SOA, and IXFR, which NSD asks at once."""
        found = 0
        for line in self.knotc("stats", "mod-stats").splitlines():
            name, _, value = line.partition(" = ")
            if name.endswith(("query-type[SOA]", "server-operation[ixfr]")):
                found += int(value)
        return found


class ManyXfer(Xferd):
    """xfer with a template and a list of names."""

    def __init__(self, layout: Layout, primary: Remote, directory: Path) -> None:
        super().__init__(directory=directory)
        names = directory / "zones.list"
        names.write_text("\n".join(layout.names()) + "\n")
        key = layout.key
        self.config = (
            '[server]\nlisten = ["{listen}"]\njournal = "{journal}"\ncontrol = "{control}"\n'
            'log_level = "warning"\n'
            "[limits]\nsoa_rate = 20000\nsoa_rate_per_peer = 20000\nsoa_checks = 512\n"
            "soa_checks_per_peer = 512\ntransfers_in = 64\ntransfers_in_per_peer = 64\n"
            f'[[tsig]]\nname = "{key.name}"\nalgorithm = "{key.algorithm}"\n'
            f'secret = "{key.secret}"\n'
            f'[[peer]]\nname = "primary"\naddress = "{primary.address}"\nport = {primary.port}\n'
            f'source = "{self.address}"\ntsig = "{key.name}"\n'
            '[template.many]\nprimaries = ["primary"]\n'
            f'[[zones_from]]\nfile = "{names}"\ntemplate = "many"\n'
        )


class ManyNamed(Named):
    """BIND with a statement for each zone, in its raw format."""

    def __init__(self, layout: Layout, primary: Remote, directory: Path) -> None:
        super().__init__(directory=directory)
        self._layout = layout
        self._primary = primary

    def configure(self) -> None:
        key = self._layout.key
        (self.directory / "s").mkdir(exist_ok=True)
        keys = "".join(
            f'key "{k.name}" {{ algorithm {k.algorithm}; secret "{k.secret}"; }};\n'
            for k in (key, RNDC_KEY)
        )
        primary = f'{self._primary.address} port {self._primary.port} key "{key.name}";'
        zones = "".join(
            f'zone "{name}" {{ type secondary; file "s/{name}"; primaries {{ {primary} }}; }};\n'
            for name in self._layout.names()
        )
        (self.directory / "named.conf").write_text(
            f"""options {{
    directory "{self.directory}"; listen-on port {self.port} {{ {self.address}; }};
    listen-on-v6 {{ none; }}; pid-file none; lock-file none;
    session-keyfile "{self.directory}/session.key"; recursion no; dnssec-validation no;
    empty-zones-enable no; querylog no; notify no; transfer-source {self.address};
    allow-transfer {{ none; }}; max-cache-size 4M; serial-query-rate 20000; transfers-in 500;
    transfers-per-ns 500; tcp-clients 1000; min-retry-time 1;
}};
logging {{ category default {{ stderr; }}; channel stderr {{ stderr; severity warning; }}; }};
controls {{ }};
{keys}{zones}"""
        )


class ManyKnot(Knot):
    """Knot with a template; everything in its journal, no zone files."""

    def __init__(self, layout: Layout, primary: Remote, directory: Path) -> None:
        super().__init__(directory=directory)
        self._layout = layout
        self._primary = primary

    def configure(self) -> None:
        key = self._layout.key
        (self.directory / "db").mkdir(exist_ok=True)
        zones = "".join(f"  - domain: {name}\n" for name in self._layout.names())
        (self.directory / "knot.conf").write_text(
            f"server:\n  rundir: {self.directory}\n  listen: {self.address}@{self.port}\n"
            "  background-workers: 4\n"
            f"database:\n  storage: {self.directory}/db\n"
            f"control:\n  listen: {self.directory}/knot.sock\n"
            "log:\n  - target: stderr\n    any: warning\n"
            f"key:\n  - id: {key.name}\n    algorithm: {key.algorithm}\n    secret: {key.secret}\n"
            f"remote:\n  - id: primary\n    address: {self._primary.address}@{self._primary.port}\n"
            f"    via: {self.address}\n    key: {key.name}\n"
            f"acl:\n  - id: notify\n    action: notify\n    address: {self._primary.address}\n"
            f"    key: {key.name}\n"
            f"template:\n  - id: default\n    storage: {self.directory}\n    master: primary\n"
            "    acl: notify\n    semantic-checks: off\n    zonefile-sync: -1\n"
            "    zonefile-load: none\n    journal-content: all\n"
            f"zone:\n{zones}"
        )


class ManyNsd(Nsd):
    """NSD with a pattern; it keeps no journal, its zones are written before it ends."""

    def __init__(self, layout: Layout, primary: Remote, directory: Path) -> None:
        super().__init__(directory=directory)
        self._layout = layout
        self._primary = primary

    def configure(self) -> None:
        super().configure()
        key = self._layout.key
        (self.directory / "s").mkdir(exist_ok=True)
        primary = f"{self._primary.address}@{self._primary.port} {key.name}"
        zones = "".join(
            f'zone:\n    name: "{name}"\n    include-pattern: "many"\n'
            for name in self._layout.names()
        )
        with (self.directory / "nsd.conf").open("a") as file:
            file.write(
                f'key:\n    name: "{key.name}"\n    algorithm: {key.algorithm}\n'
                f'    secret: "{key.secret}"\n'
                f'pattern:\n    name: "many"\n    zonefile: "s/%s"\n'
                f"    outgoing-interface: {self.address}\n    request-xfr: {primary}\n"
                f"    allow-notify: {self._primary.address} {key.name}\n{zones}"
            )


Make = Callable[[Layout, Remote, Path], Server]


@attrs.frozen
class Contestant:
    """make: the server; sweep: make it check every zone now, where it does not by itself after a
    start; flush: make it store its zones."""

    make: Make
    sweep: Callable[[Server], object]
    flush: Callable[[Server], object]


def _nothing(server: Server) -> None:
    pass


def _knotc_refresh(server: Server) -> None:
    assert isinstance(server, Knot)
    server.knotc("zone-refresh")


def _nsd_transfer(server: Server) -> None:
    assert isinstance(server, Nsd)
    server.control("transfer")


def _nsd_write(server: Server) -> None:
    assert isinstance(server, Nsd)
    server.control("write")


MANY: dict[str, Contestant] = {
    "xfer": Contestant(ManyXfer, _nothing, _nothing),
    "BIND": Contestant(ManyNamed, _nothing, _nothing),
    "Knot": Contestant(ManyKnot, _knotc_refresh, _nothing),
    "NSD": Contestant(ManyNsd, _nsd_transfer, _nsd_write),
}
