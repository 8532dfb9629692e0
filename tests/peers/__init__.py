"""Real nameservers as test fixtures: BIND, Knot DNS, NSD and xfer as processes on loopback.

`Named`, `Knot`, `Nsd` and `Xferd` share one interface (`process.Server`). Each is given zones as
values (`PrimaryZone`, `SecondaryZone`), listens on a loopback address and a free port, and is a
context manager that stops the process, by its id, and prints its log where the block failed::

    key = TsigKey.make("k1.")
    with Named([PrimaryZone("example.", text, keys=[key])]) as primary:
        primary.wait_serving("example.", 1)
        with Knot([SecondaryZone("example.", [primary.remote(key)])]) as secondary:
            secondary.wait_serving("example.", 1)
            assert secondary.axfr("example.") == primary.axfr("example.", key)
"""

from __future__ import annotations

from tests.peers.knot import Knot
from tests.peers.named import Named
from tests.peers.nsd import Nsd
from tests.peers.ports import free_port
from tests.peers.process import (
    PeerError,
    PrimaryZone,
    Remote,
    SecondaryZone,
    Server,
    TsigKey,
)
from tests.peers.xferd import Xferd, events, run_xfer, tsig_option
from tests.peers.zones import (
    Record,
    axfr,
    file_records,
    kdig_axfr,
    query_soa,
    records_text,
    verify_dnssec,
    wait_serial,
)

__all__ = [
    "Knot",
    "Named",
    "Nsd",
    "PeerError",
    "PrimaryZone",
    "Record",
    "Remote",
    "SecondaryZone",
    "Server",
    "TsigKey",
    "Xferd",
    "axfr",
    "events",
    "file_records",
    "free_port",
    "kdig_axfr",
    "query_soa",
    "records_text",
    "run_xfer",
    "tsig_option",
    "verify_dnssec",
    "wait_serial",
]
