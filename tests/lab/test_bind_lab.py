"""The lab itself: two BINDs, without xfer, do what the other tests rely on."""

from __future__ import annotations

from pathlib import Path

import pytest
from bindlab import LabError, TsigKey

from tests.peers.bind_container import PRIMARY, SECONDARY, BindFactory

pytestmark = pytest.mark.lab

ZONE = Path(__file__).parents[2] / "fixtures" / "example.com.zone"
SERIAL = 2026112201


def test_secondary_gets_the_zone_and_an_edit(bind: BindFactory) -> None:
    key, text = TsigKey.random("k1"), ZONE.read_text()
    primary = bind.primary(text, key=key)
    secondary = bind.secondary((primary.address, primary.port), key=key)
    secondary.wait_serial(SERIAL)
    assert secondary.axfr() == primary.axfr()

    primary.edit(text.replace(str(SERIAL), str(SERIAL + 1)) + "new IN A 192.0.2.1\n")
    primary.wait_serial(SERIAL + 1)
    secondary.rndc("refresh", "example.com")
    secondary.wait_serial(SERIAL + 1)
    assert "new.example.com. 3600 IN A 192.0.2.1" in secondary.axfr()


def test_transfer_needs_the_key(bind: BindFactory) -> None:
    primary = bind.primary(ZONE.read_text(), key=TsigKey.random("k1"))
    with pytest.raises(LabError, match="Transfer failed"):
        primary.axfr(key=TsigKey.random("k1"))


def test_transfer_needs_the_address_too_where_one_is_set(bind: BindFactory) -> None:
    primary = bind.primary(ZONE.read_text(), key=TsigKey.random("k1"), allow_from=(SECONDARY,))
    assert primary.address == PRIMARY
    with pytest.raises(LabError, match="Transfer failed"):
        primary.axfr()
    assert primary.dig("-b", SECONDARY, "example.com", "AXFR", key=primary.key).count("SOA") == 2


def test_parallel_servers_do_not_meet(bind: BindFactory) -> None:
    first = bind.primary(ZONE.read_text())
    second = bind.primary(ZONE.read_text().replace(str(SERIAL), "7"))
    first.wait_serial(SERIAL)
    second.wait_serial(7)


def test_restarted_secondary_keeps_its_zone(bind: BindFactory) -> None:
    primary = bind.primary(ZONE.read_text())
    secondary = bind.secondary((primary.address, primary.port))
    secondary.wait_serial(SERIAL)
    secondary.stop()
    secondary.start()
    secondary.wait_serial(SERIAL)
    assert "loaded serial" in secondary.logs()
