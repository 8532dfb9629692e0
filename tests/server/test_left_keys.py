"""Private keys of zones that are not configured are found by the names of their directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from xfer.server.keystore import KeyStore
from xfer.server.left_keys import LeftKeys, in_directory, left_keys
from xfer.wire import names

ZONES = ("example.com.", ".", "a\\/b\\%41.example.", "_x\\000.example.")


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


@pytest.mark.parametrize("text", ZONES)
def test_each_zone_is_found_unless_it_is_configured(store: KeyStore, text: str) -> None:
    origin = names.from_text(text)
    store.generate(origin, 13, True, 0)
    place = store.zone_directory(origin)
    assert left_keys(store, (), 9) == [LeftKeys(names.to_text(origin), place, 1)]
    assert left_keys(store, [origin], 9) == []


def test_keys_that_were_put_aside_count_too(store: KeyStore) -> None:
    origin = names.from_text("example.com.")
    old, _ = (store.generate(origin, 13, True, 0) for _ in range(2))
    store.remove(origin, old.key.ident, ())
    assert in_directory(store.zone_directory(origin)) == 2


def test_what_holds_no_keys_is_passed_over_and_the_list_ends(store: KeyStore) -> None:
    assert left_keys(store, (), 9) == []
    for text in ("a.example.", "b.example.", "c.example."):
        store.generate(names.from_text(text), 13, True, 0)
    (store.directory / "notes").mkdir()
    (store.directory / "a..b").mkdir()
    (store.directory / "file").write_text("")
    found = left_keys(store, (), 2)
    assert [left.zone for left in found] == ["a.example.", "b.example."]
    assert len(left_keys(store, (), 9)) == 3
