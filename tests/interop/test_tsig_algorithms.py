"""Each HMAC algorithm that BIND, Knot and NSD know signs both hops through xfer."""

from __future__ import annotations

import contextlib

import pytest

from tests.interop.chain import key_of
from tests.peers import (
    Knot,
    Named,
    Nsd,
    PrimaryZone,
    SecondaryZone,
    Server,
    Xferd,
    file_records,
)

pytestmark = pytest.mark.lab

ALGORITHMS = ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]


def zone_for(algorithm: str) -> str:
    """A zone of a few messages, so that MACs chain: TXT records of 250 octets."""
    filling = "".join(f'text{i} TXT "{i:0250d}"\n' for i in range(400))
    return (
        f"$ORIGIN {algorithm}.test.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n"
        f"@ NS ns\nns A 192.0.2.1\n{filling}"
    )


@pytest.mark.parametrize("peer", [Named, Knot, Nsd], ids=lambda kind: kind.program)
def test_every_algorithm_signs_both_hops(peer: type[Server]) -> None:
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(
            peer(
                [
                    PrimaryZone(f"{name}.test.", zone_for(name), keys=[key_of(0, name)])
                    for name in ALGORITHMS
                ]
            )
        )
        xfer = stack.enter_context(
            Xferd(
                [
                    SecondaryZone(
                        f"{name}.test.", [primary.remote(key_of(0, name))], keys=[key_of(1, name)]
                    )
                    for name in ALGORITHMS
                ]
            )
        )
        for name in ALGORITHMS:
            xfer.wait_serving(f"{name}.test.", 1)
        secondary = stack.enter_context(
            peer(
                [
                    SecondaryZone(
                        f"{name}.test.", [xfer.remote(key_of(1, name))], keys=[key_of(2, name)]
                    )
                    for name in ALGORITHMS
                ]
            )
        )
        for name in ALGORITHMS:
            zone = f"{name}.test."
            secondary.wait_serving(zone, 1)
            assert secondary.axfr(zone, key_of(2, name)) == file_records(zone_for(name), zone), name
