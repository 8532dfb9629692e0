"""`xfer status ZONE`: what each secondary was told, fetched and has, in words."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from tests.cli.conftest import Xfer
from tests.control.engine import EXAMPLE, SmallEngine
from xfer.control.engine import SecondaryStatus

SEC = SecondaryStatus("public", "192.0.2.9#53")
HEAD = "secondary  public 192.0.2.9#53"


@pytest.mark.parametrize(
    ("known", "lines"),
    [
        ({}, [HEAD]),
        (
            {"pending": 7, "notify_result": "REFUSED", "tries": 2, "next_at": 1000.0},
            [HEAD, "told       not yet of serial 7 after 2 attempts, next WHEN: REFUSED"],
        ),
        ({"pending": 7}, [HEAD, "told       not yet of serial 7"]),
        (
            {"pending": 7, "notify_result": "none", "tries": 1, "given_up_at": 1000.0},
            [HEAD, "told       not of serial 7, given up after 1 attempt WHEN: none"],
        ),
        (
            {"fetched_serial": 7, "fetched_kind": "ixfr", "fetched_from": 5, "fetched_at": 1000.0},
            [HEAD, "fetched    serial 7 by ixfr from 5, WHEN"],
        ),
        (
            {"fetched_serial": 7, "fetched_kind": "soa", "fetched_at": 1000.0},
            [HEAD, "fetched    serial 7: it asked, and had it already, WHEN"],
        ),
        (
            {"asked_at": 1000.0},
            [HEAD, "asked      for a transfer WHEN, and has not got it whole"],
        ),
        (
            {"seen_serial": 7, "seen_at": 1000.0, "lag_serials": 0, "lag_versions": 0},
            [HEAD + ", up to date", "has        serial 7 by its own word, WHEN"],
        ),
        (
            {"lag_serials": 4, "lag_versions": 3, "lag_seconds": 90.0},
            [HEAD + ", 3 versions behind for 2 min"],
        ),
        ({"lag_serials": 4, "lag_seconds": 9.0}, [HEAD + ", 4 behind in serial for 9 s"]),
        (
            {"probe_error": "does not answer SOA queries (REFUSED)", "probed_at": 1000.0},
            [HEAD, "has        does not answer SOA queries (REFUSED), WHEN"],
        ),
    ],
)
def test_what_is_known_of_a_secondary_is_said(
    known: dict[str, object],
    lines: list[str],
    xfer: Xfer,
    engine: SmallEngine,
    tmp_path: Path,
) -> None:
    status = attrs.evolve(SEC, **known)  # type: ignore[arg-type]
    engine.zones[EXAMPLE.name] = attrs.evolve(EXAMPLE, secondaries=(status,))
    told = xfer("status", "example.com", "--control", str(tmp_path / "control.sock")).stdout
    told = re.sub(r"1970-01-01 \S+Z \([^)]*\)", "WHEN", told)
    assert told[told.index("secondary ") :].splitlines() == lines
