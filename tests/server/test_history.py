"""Versions out of a real journal: found by serial, number and time, shown and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import pytest
import trio

from tests.server.fakes import HandClock, snapshot, zone_config
from tests.transfer.zone import ORIGIN
from xfer.journal import Journal, NewVersion
from xfer.server.history import History, Named
from xfer.server.status import NoSuchVersion
from xfer.server.zones import Zone

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Here:
    """An executor without threads."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        await trio.lowlevel.checkpoint()
        return function(*args)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Serials 1, 2, 3 and 2 again, one a second from the clock's start."""
    clock = HandClock()
    with Journal.open(f"sqlite://{tmp_path}/journal.db", clock) as opened:
        parent = None
        for serial, hosts in ((1, 3), (2, 4), (3, 2), (2, 5)):
            clock.now += 1
            new = NewVersion(ORIGIN, serial, parent, snapshot(serial, hosts), "a test", "axfr")
            parent = opened.commit([new])[0].id
        yield opened


@pytest.fixture
def zone(journal: Journal) -> Zone:
    version = journal.latest(ORIGIN)
    assert version is not None
    return Zone(zone_config(), snapshot=journal.load(version), version=version)


def text(journal: Journal, zone: Zone, old: str, new: str) -> list[str]:
    async def main() -> list[bytes]:
        history = History(journal, Here())
        return [piece async for piece in history.diff(zone, Named.parse(old), Named.parse(new))]

    return b"".join(trio.run(main)).decode().splitlines()


def test_versions_newest_first(journal: Journal, zone: Zone) -> None:
    history = History(journal, Here())
    listed = trio.run(history.versions, zone, -1)
    assert [(item.version, item.serial, item.served) for item in listed] == [
        (4, 2, True), (3, 3, False), (2, 2, False), (1, 1, False)
    ]  # fmt: skip
    assert [item.version for item in trio.run(history.versions, zone, 2)] == [4, 3]


@pytest.mark.parametrize(
    ("named", "number"),
    [("1", 1), ("2", 4), ("v2", 2), ("@{2.5}", 2), ("@{2}", 2), ("@{99}", 4), ("3", 3)],
)
def test_a_version_is_found(journal: Journal, zone: Zone, named: str, number: int) -> None:
    if named.startswith("@"):
        named = f"@{HandClock().wall() + float(named[2:-1])}"
    history = History(journal, Here())
    version = trio.run(history.find, zone, Named.parse(named))
    assert version.id == number
    assert trio.run(history.load, zone, version).root == version.root


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("7", "expected serial 7 among the kept versions of example.com., got none; there are: "
              "2 (v4), 3 (v3), 2 (v2), 1 (v1)"),
        ("v9", "expected version v9 among"),
        ("@5", "expected a version served at 1970-01-01 00:00:05Z among"),
        ("@-1e300", "expected a version at -1e+300 among"),
        ("", "expected a serial, a version like v17 or a time like @1729512000, got ''"),
        ("-1", "got '-1'"),
        ("v", "got 'v'"),
        ("@x", "got '@x'"),
        ("4294967296", "got '4294967296'"),
        ("٣", "got '٣'"),
    ],
)  # fmt: skip
def test_a_version_that_is_not_there(
    journal: Journal, zone: Zone, named: str, expected: str
) -> None:
    with pytest.raises(NoSuchVersion) as caught:
        trio.run(History(journal, Here()).find, zone, Named.parse(named))
    assert expected in str(caught.value)


def test_versions_of_another_zone_are_not_found_by_their_number(
    journal: Journal, zone: Zone
) -> None:
    other = Zone(zone_config(name="example.org."))
    with pytest.raises(NoSuchVersion, match="none at all"):
        trio.run(History(journal, Here()).find, other, Named.parse("v1"))


def test_what_changed(journal: Journal, zone: Zone) -> None:
    lines = text(journal, zone, "1", "v2")
    assert lines[:2] == [
        "--- example.com. serial 1, version v1",
        "+++ example.com. serial 2, version v2",
    ]
    assert [line[0] for line in lines[2:]] == ["-", "+", "+"]
    assert "\tSOA\t" in lines[2]
    assert lines[4] == "+h000003.p0000.example.com.\t3600\tIN\tA\t0.0.0.3"
    back = text(journal, zone, "v2", "v1")
    assert {line[1:] for line in back[2:] if line[0] == "-"} == {
        line[1:] for line in lines[2:] if line[0] == "+"
    }


def test_nothing_changed(journal: Journal, zone: Zone) -> None:
    assert len(text(journal, zone, "3", "3")) == 2
