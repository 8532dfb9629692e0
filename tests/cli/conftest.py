"""`xfer` run in this process, against a small engine behind the real control server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.control.engine import SmallEngine, served
from xfer.cli.main import app

Xfer = Callable[..., Result]


@pytest.fixture
def xfer(monkeypatch: pytest.MonkeyPatch) -> Xfer:
    """Run a command; its result has exit_code, stdout and stderr. input: its standard input."""
    for name in ("XFER_CONTROL", "XFER_TSIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, env: dict[str, str] | None = None, input: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=input, env=env, catch_exceptions=False)

    return run


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SmallEngine]:
    """An engine whose control socket is `control.sock` in tmp_path."""
    small = SmallEngine()
    with served(small, tmp_path / "control.sock"):
        yield small
