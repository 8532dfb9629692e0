"""A zone's keys as JSON: what was kept comes back, and nothing else is taken."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dnssec.walk import POLICY, Walk
from xfer.config_dnssec import DAY
from xfer.dnssec import commands, keyjson, migration
from xfer.dnssec.keystate import Role, ZoneKeys
from xfer.errors import KeyStateDamaged


def busy() -> ZoneKeys:
    """A zone with something in every field: two rollovers and another signer."""
    walk = Walk().active()
    walk.zone = commands.roll(walk.zone, Role.KSK, POLICY)
    walk.rest()
    walk.give_ds()
    foreign = walk.public(Role.ZSK)
    walk.zone = migration.add_foreign(walk.zone, foreign, walk.now, POLICY)
    walk.zone = migration.share(walk.zone, walk.ident(Role.ZSK), walk.now)
    walk.look()
    return attrs.evolve(
        commands.roll(walk.zone, Role.ZSK, POLICY),
        delegated_at=walk.now,
        moved_at=walk.now + DAY,
        moved_ttl=300,
    )


ZONE = busy()
LATER = ("imported", "elsewhere", "their_ttl")
DATA = json.loads(json.dumps(keyjson.encoded(ZONE)))


def paths(data: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where there is anything."""
    found = [at] if at else []
    if isinstance(data, dict):
        for name in data:
            found += paths(data[name], (*at, name))
    elif isinstance(data, list):
        for number in range(len(data)):
            found += paths(data[number], (*at, number))
    return found


def with_other(path: tuple[str | int, ...], value: Any) -> Any:
    """The kept state with another value there; `...` takes it out."""
    data = json.loads(json.dumps(DATA))
    inner = data
    for part in path[:-1]:
        inner = inner[part]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data


def test_the_state_is_of_some_size() -> None:
    assert ZONE.past_ds and ZONE.foreign and ZONE.requests and ZONE.past_keysets
    assert len(json.dumps(DATA)) < 8000  # a mark of the journal holds 65,536 characters
    assert len(paths(DATA)) > 80


def test_it_comes_back() -> None:
    assert keyjson.decoded(DATA) == ZONE
    assert keyjson.decoded(json.loads(json.dumps(keyjson.encoded(ZoneKeys(b"\0"))))) == ZoneKeys(
        b"\0"
    )


def test_no_private_part_is_in_it() -> None:
    assert "private" not in json.dumps(DATA).lower()


def test_fields_that_came_later_may_be_missing() -> None:
    for path in paths(DATA):
        if path[-1] in LATER:
            keyjson.decoded(with_other(path, ...))


def test_a_missing_field_is_refused() -> None:
    for path in paths(DATA):
        if isinstance(path[-1], str) and path[-1] not in LATER:
            with pytest.raises(KeyStateDamaged, match=path[-1]):
                keyjson.decoded(with_other(path, ...))


@pytest.mark.parametrize(
    "value", [{}, [{}], "?", -1, 1.5e300, float("nan"), [["x"]], {"a": 1}, "00" * 5000]
)
def test_a_wrong_value_is_refused_with_its_path(value: object) -> None:
    for path in paths(DATA):
        with pytest.raises(KeyStateDamaged) as refusal:
            keyjson.decoded(with_other(path, value))
        assert str(path[0]) in refusal.value.where
        assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("version",), 2, "version"),
        (("later",), 1, "later"),
        (("keys", 0, "private"), "x", "private"),
        (("keyset", "keys"), ["013+00001"], "keyset"),
        (("keyset", "signers"), [ZONE.serving()[0].ident, "013+00001"], "keyset.signers"),
        (("wanted",), ["013+00001"], "wanted"),
        (("wanted_serial",), None, "wanted_at"),
        (("keys",), [DATA["keys"][0]] * 2, "keys"),
        (("keys",), [DATA["keys"][0]] * 5000, "keys"),
        (("keys", 0, "ident"), "008+00001", "keys[0].ident"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    path: tuple[str | int, ...], value: object, where: str
) -> None:
    with pytest.raises(KeyStateDamaged) as refusal:
        keyjson.decoded(with_other(path, value))
    assert where in refusal.value.where


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_anything_else_is_refused(data: object) -> None:
    with pytest.raises(KeyStateDamaged):
        keyjson.decoded(data)
