"""`make demo` ends well, with containers and with what it falls back to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bindservers import Lab

pytestmark = pytest.mark.lab

DEMO = Path(__file__).parents[2] / "bind-lab" / "demo"


def demo(**environment: str) -> str:
    """The demo's output; `environment` changes what it finds."""
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_zone_and_edit_travel_between_binds(bind_lab: Lab) -> None:
    told = demo()
    assert bind_lab.note in told
    assert "31 records, equal at primary, xfer and secondary (dig axfr)" in told
    assert "make bind-lab-up" in told


def test_falls_back_to_named_as_a_process() -> None:
    told = demo(CI="", XFER_LAB_ENGINE="process")
    assert "NO CONTAINERS" in told
    assert "equal at primary, xfer and secondary (dig axfr)" in told


def test_falls_back_to_xfer_in_all_roles() -> None:
    told = demo(CI="", XFER_LAB_ENGINE="process", PATH="/nowhere")
    assert "NO BIND AT ALL" in told
    assert "31 records, equal at primary, xfer and secondary (xfer pull)" in told


def test_ci_wants_containers() -> None:
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        env={**os.environ, "CI": "true", "XFER_LAB_ENGINE": "process"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "XFER_LAB_ENGINE=process" in done.stderr
