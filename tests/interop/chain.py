"""A chain of servers, each the secondary of the one before, TSIG with its own key on every hop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.peers import (
    PrimaryZone,
    Record,
    SecondaryZone,
    Server,
    TsigKey,
    file_records,
    run_xfer,
    tsig_option,
)
from tests.peers.xferd import ROOT

SHARED_ZONES = ROOT.parent / "shared" / "zones"


@contextlib.contextmanager
def chain(
    kinds: Sequence[type[Server]],
    zone: str,
    text: str,
    serial: int,
    *,
    algorithm: str = "hmac-sha256",
    primary: Server | None = None,
) -> Iterator[list[Server]]:
    """Start a server of each kind, the first as the zone's primary, and wait for the last.

    Each lets who signs with `key_of(position)` transfer. With `primary`, that one (not started)
    stands first instead of a plain server of the first kind.
    """
    with contextlib.ExitStack() as stack:
        servers: list[Server] = []
        for position, kind in enumerate(kinds):
            keys = [key_of(position, algorithm)]
            if position == 0:
                server = primary or kind([PrimaryZone(zone, text, keys=keys)])
            else:
                before = servers[-1].remote(key_of(position - 1, algorithm))
                server = kind([SecondaryZone(zone, [before], keys=keys)])
            servers.append(stack.enter_context(server))
            server.wait_serving(zone, serial)
        yield servers


def key_of(position: int, algorithm: str = "hmac-sha256") -> TsigKey:
    """The key to transfer with from the server at this position of a chain."""
    return TsigKey.make(f"hop{position}-{algorithm}.", algorithm)


def pull(server: Server, zone: str, key: TsigKey, directory: Path) -> list[Record]:
    """The records of the zone file that `xfer pull` writes, spelled as they are there."""
    file = directory / "pulled.zone"
    done = run_xfer(
        "pull",
        zone,
        "--from",
        f"{server.address}:{server.port}",
        "--tsig",
        tsig_option(key),
        "-o",
        str(file),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return file_records(file, zone)
