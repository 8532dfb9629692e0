"""The real control server on a Unix socket, with a small engine behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.control.engine import SmallEngine, served
from xfer.cli.client import Daemon


@attrs.frozen
class Control:
    """A running control server: its engine, its socket, and a client."""

    engine: SmallEngine
    path: Path
    daemon: Daemon


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    engine = SmallEngine()
    with served(engine, tmp_path / "c.sock") as path:
        yield Control(engine, path, Daemon(path))
