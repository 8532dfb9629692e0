"""When the parent is asked for a zone's DS."""

from __future__ import annotations

import attrs
import pytest

from xfer.config_dnssec import DAY, HOUR, DnssecPolicy
from xfer.config_parse import Endpoint
from xfer.dnssec.keystate import FOREIGN, ZoneKeys, ZoneState
from xfer.dnssec.looks import next_look, waits_for_parent
from xfer.peers import address_of
from xfer.wire import names

NOW = 1_790_000_000.0
POLICY = DnssecPolicy(parent=(Endpoint(address_of("192.0.2.1"), 53),), parent_check=600)
ONE, TWO = frozenset({"013+00001"}), frozenset({"013+00002"})
ELSE = f"{FOREIGN}013+00009:0123456789abcdef"
SETTLED = ZoneKeys(
    names.from_text("example.com."),
    ZoneState.ACTIVE,
    ds=ONE,
    ds_at=NOW - HOUR,
    wanted=ONE,
    wanted_at=NOW - DAY,
    wanted_serial=1,
    wanted_everywhere=NOW - DAY,
)
NONE: frozenset[str] = frozenset()
WAITING = {
    "pending, and nothing asked for yet": ZoneKeys(SETTLED.origin, ZoneState.PENDING),
    "the first DS is to come": attrs.evolve(SETTLED, state=ZoneState.PENDING, ds=NONE),
    "another DS is to come": attrs.evolve(SETTLED, wanted=TWO),
    "a second DS is to come": attrs.evolve(SETTLED, wanted=ONE | TWO),
    "one of two is to go": attrs.evolve(SETTLED, ds=ONE | TWO),
    "not looked at since it was asked for": attrs.evolve(SETTLED, wanted_at=NOW - 1),
    "a slow parent may have an older wish": attrs.evolve(SETTLED, asked=(TWO,)),
    "the DS is to go": attrs.evolve(SETTLED, state=ZoneState.PENDING_DISABLED, wanted=NONE),
    "the delegation is to come to us": attrs.evolve(SETTLED, joining=True, ds=frozenset({ELSE})),
}


@pytest.mark.parametrize("zone", WAITING.values(), ids=WAITING.keys())
def test_what_is_waited_for_is_looked_at_often(zone: ZoneKeys) -> None:
    assert waits_for_parent(zone)
    assert next_look(zone, POLICY, NOW - 100, True, NOW) == NOW + 500


@pytest.mark.parametrize(
    "zone",
    [
        SETTLED,
        attrs.evolve(SETTLED, ds=ONE | {ELSE}, multi_signer=True),
        attrs.evolve(SETTLED, state=ZoneState.DISABLED, ds=NONE, wanted=NONE),
        ZoneKeys(SETTLED.origin, ZoneState.DELETED),
    ],
)
def test_where_nothing_is_waited_for_a_look_a_day_is_enough(zone: ZoneKeys) -> None:
    assert not waits_for_parent(zone)
    found = next_look(zone, POLICY, NOW, True, NOW)
    assert found is not None
    assert DAY * 7 / 8 <= found - NOW <= DAY
    assert next_look(zone, POLICY, NOW - 100, False, NOW) == NOW + 500


def test_daily_looks_of_many_zones_drift_apart() -> None:
    found = set()
    for number in range(1000):
        zone = attrs.evolve(SETTLED, origin=names.from_text(f"zone{number}.example."))
        found.add(next_look(zone, POLICY, NOW, True, NOW))
    assert len(found) > 900


def test_after_a_restart_the_kept_state_says_when_it_was_looked_at() -> None:
    assert next_look(SETTLED, POLICY, None, True, NOW) == (
        next_look(SETTLED, POLICY, SETTLED.ds_at, True, NOW)
    )
    waiting = attrs.evolve(SETTLED, wanted=TWO, ds_at=NOW - 100)
    assert next_look(waiting, POLICY, None, True, NOW) == NOW + 500


def test_the_first_look_a_late_one_and_one_after_the_clock_went_back_are_due_now() -> None:
    assert next_look(attrs.evolve(SETTLED, ds_at=0.0), POLICY, None, True, NOW) == NOW
    assert next_look(SETTLED, POLICY, NOW - 30 * DAY, True, NOW) == NOW
    assert next_look(SETTLED, POLICY, NOW + 30 * DAY, True, NOW) == NOW


def test_a_longer_time_between_looks_holds_for_all_of_them() -> None:
    policy = attrs.evolve(POLICY, parent_check=3 * DAY)
    assert next_look(SETTLED, policy, NOW, True, NOW) == NOW + 3 * DAY


def test_nobody_is_asked_without_a_parent() -> None:
    assert next_look(SETTLED, DnssecPolicy(), None, True, NOW) is None
    root = attrs.evolve(SETTLED, origin=names.from_text("."))
    assert next_look(root, POLICY, None, True, NOW) is None
