"""A journal in a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journal.contents import StillClock
from xfer.journal import Journal


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/journal.db"


@pytest.fixture
def journal(url: str, clock: StillClock) -> Iterator[Journal]:
    with Journal.open(url, clock) as opened:
        yield opened
