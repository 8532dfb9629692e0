"""Output that cannot be written is an error of one line."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from xfer.cli.files import OutputError, replacing


def test_a_full_device_behind_standard_output_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("sys.stdout", types.SimpleNamespace(buffer=full))
        with (
            pytest.raises(OutputError, match=r"^standard output cannot be written: No space left"),
            replacing(None) as out,
        ):
            out.write(b"example. 300 IN A 192.0.2.1\n")
