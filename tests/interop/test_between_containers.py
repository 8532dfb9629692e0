"""A zone goes BIND in a container → xfer → BIND in a container, and `xfer pull` takes it as well.

Every server has an address of its own, every hop its own key; the primary wants the first xfer's
address and its key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.chain import key_of, pull
from tests.interop.test_mixed_case import TEXT, ZONE
from tests.interop.test_root_zone import FILE, SERIAL, same_and_valid
from tests.peers import (
    Record,
    Remote,
    SecondaryZone,
    Xferd,
    axfr,
    file_records,
    records_text,
)
from tests.peers import TsigKey as PeerKey
from tests.peers.bind_container import MIDDLE, BindFactory, TsigKey

pytestmark = pytest.mark.lab

SECOND_XFER = "127.0.0.14"


@contextlib.contextmanager
def travel(
    bind: BindFactory, zone: str, text: str, serial: int, xfers: tuple[str, ...] = (MIDDLE,)
) -> Iterator[tuple[Xferd, list[Record]]]:
    """Send the zone through an xfer at each address; the last one, and what the secondary has."""
    keys = [key_of(position) for position in range(len(xfers) + 1)]
    primary = bind.primary(text, origin=zone, key=_for_bind(keys[0]), allow_from=xfers[:1])
    before = Remote(primary.address, primary.port, keys[0])
    with contextlib.ExitStack() as stack:
        for address, key in zip(xfers, keys[1:], strict=True):
            here = SecondaryZone(zone, [before], keys=[key])
            xfer = stack.enter_context(Xferd([here], address=address))
            xfer.wait_serving(zone, serial)
            before = xfer.remote(key)
        secondary = bind.secondary((xfer.address, xfer.port), origin=zone, key=_for_bind(keys[-1]))
        secondary.wait_serial(serial, timeout=60)
        yield xfer, axfr(secondary.address, secondary.port, zone, keys[-1])


def _for_bind(key: PeerKey) -> TsigKey:
    return TsigKey(key.name.rstrip("."), key.algorithm, key.secret)


def test_root_zone_arrives_identical_and_verifies(bind: BindFactory, tmp_path: Path) -> None:
    published = file_records(FILE, ".")
    assert len(published) == 25_047
    with travel(bind, ".", records_text(published), SERIAL) as (xfer, arrived):
        pulled = pull(xfer, ".", key_of(1), tmp_path)
    same_and_valid(published, arrived, pulled)


def test_two_xfers_keep_every_letter(bind: BindFactory, tmp_path: Path) -> None:
    written = file_records(TEXT, ZONE)
    with travel(bind, ZONE, TEXT, 7, (MIDDLE, SECOND_XFER)) as (xfer, arrived):
        assert arrived == written
        assert pull(xfer, ZONE, key_of(2), tmp_path) == written
