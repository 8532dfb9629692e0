"""Who takes part: how each server is started as a secondary of the replay, and told what to do.

Configured as their operators would on this machine: BIND keeps its secondary zones in its raw
format and logs no queries, Knot runs a worker per core and keeps journal and zone file as by
default, NSD has its rate limit off; see `tests/peers` for the files themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from tests.bench.zone import ZONE
from tests.peers import Knot, Named, Nsd, Remote, SecondaryZone, Server, TsigKey
from tests.peers.xferd import Xferd

Zones = list[SecondaryZone]


@attrs.frozen
class Contestant:
    """A server under test.

    make: its fixture, in a directory; check: make it ask the primary for its serial; flush: make
    it store the zone, where that is not done before the zone is served.
    """

    name: str
    make: Callable[[Zones, Path], Server]
    check: Callable[[Server], None]
    flush: Callable[[Server], None]

    def server(self, primary: Remote, key: TsigKey, directory: Path) -> Server:
        """The server, not started, as secondary of `primary`; `key` may transfer from it."""
        return self.make([SecondaryZone(ZONE, [primary], keys=[key])], directory)


def _refresh(server: Server) -> None:
    server.refresh(ZONE)


def _retransfer(server: Server) -> None:
    server.retransfer(ZONE)


def _sync(server: Server) -> None:
    assert isinstance(server, Named)
    server.rndc("sync", ZONE)


def _zone_flush(server: Server) -> None:
    assert isinstance(server, Knot)
    server.knotc("-b", "zone-flush", ZONE)


def _write(server: Server) -> None:
    assert isinstance(server, Nsd)
    server.control("write", ZONE)


def _stored_already(server: Server) -> None:
    pass


CONTESTANTS = {
    contestant.name: contestant
    for contestant in [
        Contestant("xfer", lambda z, d: Xferd(z, directory=d), _retransfer, _stored_already),
        Contestant(
            "xfer pure", lambda z, d: Xferd(z, directory=d, pure=True), _retransfer, _stored_already
        ),
        Contestant("BIND", lambda z, d: Named(z, directory=d), _refresh, _sync),
        Contestant("Knot", lambda z, d: Knot(z, directory=d), _refresh, _zone_flush),
        Contestant("NSD", lambda z, d: Nsd(z, directory=d), _refresh, _write),
    ]
}
PEERS = ("BIND", "Knot", "NSD")
