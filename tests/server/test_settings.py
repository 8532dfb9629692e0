"""What of the config becomes of the options and limits of answers, and what only a restart does."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import attrs
import pytest

from xfer.config import Config, load
from xfer.peers import address_of
from xfer.server.rrl import Rates
from xfer.server.settings import offer_of, rates_of, restart_keys

ONE, TWO = "000102030405060708090a0b0c0d0e0f", "f0e0d0c0b0a090807060504030201000"
OWN, CLIENT = b"clientck", bytes(4)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "xfer.toml"
    path.write_text(
        f'[server]\nnsid = "né"\ncookie_secret = ["{ONE}", "{TWO}"]\n'
        "[rrl]\nresponses_per_second = 20\nburst = 2\nslip = 3\nipv4_prefix = 25\n"
        'ipv6_prefix = 48\ntable_size = 5000\nexempt = ["192.0.2.0/24"]\n'
        '[[peer]]\nname = "one"\naddress = "::ffff:192.0.2.1"\n'
    )
    path.chmod(0o600)
    return load(path)


def test_the_options_that_are_offered(config: Config) -> None:
    offer = offer_of(config, 7.5, bytes(16))
    assert (offer.nsid, offer.idle) == ("né".encode(), 7.5)
    assert offer.cookies is not None
    bare = offer_of(attrs.evolve(config, server=type(config.server)()), 7.5, bytes.fromhex(ONE))
    assert bare.nsid == b""
    assert bare.cookies is not None
    assert bare.cookies.make(OWN, CLIENT, 7) == offer.cookies.make(OWN, CLIENT, 7)


def test_the_rates(config: Config) -> None:
    assert rates_of(config) == Rates(
        rate=20.0,
        burst=40.0,
        slip=3,
        prefix4=25,
        prefix6=48,
        table=5000,
        exempt=(ip_network("192.0.2.0/24"),),
        peers=frozenset([address_of("192.0.2.1")]),
    )


def test_nsid_and_cookies_need_no_restart(config: Config) -> None:
    server = attrs.evolve(config.server, nsid="x", cookie_secret=())
    assert restart_keys(config, attrs.evolve(config, server=server)) == ()
    server = attrs.evolve(server, log_level="debug")
    assert restart_keys(config, attrs.evolve(config, server=server)) == ("server.log_level",)
