"""The benchmark's zones and signatures are what they claim to be, by dnspython's judgement."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import zone
from tests.bench.drain import drain, serial_in, soa_query, wait_served
from tests.bench.load import percentile
from tests.bench.replay import Replay
from tests.peers import TsigKey, axfr, file_records, query_soa

COUNT = 1234
KEY = TsigKey.make("k1.")


@pytest.fixture
def files(tmp_path: Path) -> dict[int, Path]:
    paths = {number: tmp_path / f"{number}.messages" for number in (1, 2)}
    for number, path in paths.items():
        zone.write_messages(path, zone.records(COUNT, number))
    return paths


def test_a_zone_has_the_number_of_records_asked_for() -> None:
    assert len(list(zone.records(COUNT))) == COUNT


def test_the_same_seed_gives_the_same_zone_and_a_new_version_a_few_changes() -> None:
    first = set(zone.records(COUNT, 1))
    assert first == set(zone.records(COUNT, 1))
    assert 0 < len(first ^ set(zone.records(COUNT, 2))) < COUNT / 20


def test_the_replay_sends_what_the_zone_file_holds(files: dict[int, Path], tmp_path: Path) -> None:
    file = tmp_path / "zone"
    zone.write_zone_file(file, zone.records(COUNT, 2))
    with Replay(KEY, files) as replay:
        replay.use(2)
        at = replay.remote
        assert axfr(at.address, at.port, zone.ZONE, KEY) == file_records(file, zone.ZONE)
        assert [kind for kind, _ in replay.events()][:2] == ["transfer", "generated"]


def test_the_drain_counts_a_signed_transfer(files: dict[int, Path]) -> None:
    with Replay(KEY, files) as replay:
        drained = drain(replay.remote, KEY, COUNT)
        assert drained.messages == len(zone.read_messages(files[1]))


def test_the_replay_answers_signed_soa_queries(files: dict[int, Path]) -> None:
    with Replay(KEY, files) as replay:
        at = replay.remote
        answer = query_soa(at.address, at.port, zone.ZONE, key=KEY)
        assert answer is not None and answer.serial == zone.serial_of(1)
        wait_served(at.address, at.port, zone.serial_of(1), timeout=5)


def test_an_answer_without_records_has_no_serial() -> None:
    assert serial_in(soa_query()) is None


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.99, 4.0), (0.0, 1.0)])
def test_percentiles_are_values_that_occurred(share: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 2.0, 3.0], share) == expected
