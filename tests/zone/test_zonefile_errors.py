"""Zone files that cannot be read: which line it was, and nothing that takes for ever."""

from __future__ import annotations

import io
import time

import pytest

from xfer.errors import XferError, ZoneFileError
from xfer.wire import names
from xfer.zone.check import Policy
from xfer.zone.zonefile import read_zone_text

ORIGIN = names.from_text("example.com.")
HEAD = "$TTL 300\n@ SOA ns1 h 5 3600 600 604800 300\n NS ns1\nns1 A 192.0.2.1\n"


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        ("x A 192.0.2.888\ny A 192.0.2.1\n", 5, ', in "x A 192.0.2.888"'),
        ("x A 192.0.2.888", 5, ', in "x A 192.0.2.888"'),
        ("x A\ny A 192.0.2.1\n", 5, ', in "x A"'),
        ("y BOGUS 1\n", 5, "unknown rdatatype 'BOGUS', in \"y BOGUS 1\""),
        ("x (\n A\n 1.1.1 )\ny A 192.0.2.1\n", 7, ', in "1.1.1 )"'),
        ('x TXT "a\nb"\n', 5, 'newline in quoted string, in "x TXT "a"'),
        ("x OPT 1\n", 5, "not a record, in"),
        (f"x TXT {'a' * 500}\n", 5, "…"),
        ("$INCLUDE /etc/passwd\n", 5, "$INCLUDE is refused"),
        ("$GENERATE 1-9 a${" + "9" * 5000 + "} A 192.0.2.1\n", 5, "4300 digits"),
        ("$GENERATE 1-9 a${0,999999} A 192.0.2.1\n", 5, "width is too large"),
        ("$GENERATE 0-99999999999 a$ A 192.0.2.1\n", 5, "limits.max_zone_records"),
        ("$GENERATE 0-99999999999 a$.other. A 192.0.2.1\n", 5, "limits.max_zone_records"),
    ],
)
def test_the_line_is_named_and_quoted(text: str, line: int, shown: str) -> None:
    for source in (HEAD + text, io.StringIO(HEAD + text)):
        with pytest.raises(ZoneFileError) as caught:
            read_zone_text(source, "f", ORIGIN, Policy({}), max_records=5000)
        assert str(caught.value).startswith(f"f:{line}: ")
        assert shown in str(caught.value)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["0-99999999999", "1-" + "9" * 40, "5-40000005/2"])
def test_a_generate_of_too_many_records_is_refused_before_the_first(text: str) -> None:
    """With the limit as it is by default, making those that are too many takes minutes."""
    before = time.process_time()
    with pytest.raises(ZoneFileError, match=r"at most 20000000 .*max_zone_records.*of \$GENERATE"):
        read_zone_text(
            HEAD + f"$GENERATE {text} a$ A 192.0.2.1\n",
            "f",
            ORIGIN,
            Policy({}),
            max_records=20_000_000,
        )
    assert time.process_time() - before < 1


@pytest.mark.parametrize("text", ["3", "3-1", "1-3/0", "-1-3", "a-b", ""])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ZoneFileError, match=r"^f:5: "):
        read_zone_text(HEAD + f"$GENERATE {text} a$ A 192.0.2.1\n", "f", ORIGIN, Policy({}))


def test_octets_that_are_no_text() -> None:
    with pytest.raises(XferError, match="expected UTF-8 text"):
        text = io.TextIOWrapper(io.BytesIO(HEAD.encode() + b"x TXT \xff\n"), encoding="utf-8")
        read_zone_text(text, "f", ORIGIN, Policy({}))
