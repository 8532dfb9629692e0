"""What `xfer status` prints of queries."""

from __future__ import annotations

import attrs
import pytest

from tests.control.engine import EXAMPLE
from xfer.cli.show import print_limited, print_signed, print_zone, print_zones
from xfer.control.values import to_json
from xfer.server.status import PrimaryStatus


def test_what_the_rate_limit_kept_back_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_limited({})
    assert capsys.readouterr().out == ""
    print_limited({"badcookie": 1, "dropped": 1200, "truncated": 30, "unchanged": 4})
    assert capsys.readouterr().out.strip() == (
        "limited    answers above [rrl] since the start: 1,200 dropped, 30 cut to TC, "
        "1 turned into BADCOOKIE, 4 without content sent as they were"
    )


def test_a_zone_says_how_often_it_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    print_zone(to_json(EXAMPLE))
    assert "queries" not in capsys.readouterr().out
    print_zone(to_json(attrs.evolve(EXAMPLE, queries=12345)))
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["queries", "12,345 since the start"] in lines


def test_signatures_are_worth_a_line_where_the_limit_kept_some_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_signed({"made": 5})
    assert capsys.readouterr().out == ""
    print_signed({"made": 12000, "refused": 1})
    assert capsys.readouterr().out.strip() == (
        "signing    1 answers were above limits.online_signatures since the start, 12,000 "
        "signatures were made"
    )


def test_a_zone_whose_primaries_went_back_in_serial_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    back = PrimaryStatus("one", "192.0.2.1#53", 5, behind=True)
    same = PrimaryStatus("two", "192.0.2.2#53", 7)
    zone = attrs.evolve(EXAMPLE, error=None, transfer=None, dnssec=None, primaries=(back,))
    print_zones([to_json(zone), to_json(attrs.evolve(zone, primaries=(back, same)))])
    _, lower, current = capsys.readouterr().out.splitlines()
    assert lower.endswith(f"its primaries have lower serials: see `xfer why {zone.name}`")
    assert "lower" not in current
