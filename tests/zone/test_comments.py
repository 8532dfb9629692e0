"""Comments of records: what they are bound to, and what of them is kept."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from xfer.wire import names, records
from xfer.zone.check import Policy
from xfer.zone.comments import Collector, held, identity, reach
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonefile import read_zone_text, zone_file_pieces

ORIGIN = names.from_text("example.com.")
HEAD = "$TTL 300\n@ SOA ns1 h 5 3600 600 604800 300\n NS ns1\nns1 A 192.0.2.1\n"


def read(
    text: str, most: int = 100, longest: int = 100
) -> tuple[Snapshot, dict[str, str], list[str]]:
    """The zone, its comments by the owner and type of their records, and what the checks said."""
    found = Collector(most, longest)
    snapshot, findings = read_zone_text(
        io.StringIO(HEAD + text), "f", ORIGIN, Policy({}), comments=found
    )
    shown = {}
    for record in snapshot.records():
        key, rtype, *_ = records.split(record)
        if identity(record) in found.found:
            owner = names.to_text(names.wire_of(key, ORIGIN))
            shown[f"{owner} {records.type_text(rtype)}"] = found.found[identity(record)]
    assert len(shown) == len(found.found)
    return snapshot, shown, [str(finding) for finding in findings]


def test_what_stands_after_a_record_is_its_comment() -> None:
    text = """\
; on a line of its own
a A 192.0.2.1 ; one cf_tags=a,b:v
b TXT "no ; comment" ;  two ; with "quotes" \t
c TXT ( "x" ; inside
  "y" ) ; three
d A 192.0.2.1 ;
; after d
e A 192.0.2.1;four
$GENERATE 1-2 g$ A 192.0.2.1$ ; of no record
RSA TYPE65280 \\# 1 00 ; five
"""
    _, shown, findings = read(text + "f A 192.0.2.1 ; six")
    assert shown == {
        "a.example.com. A": "one cf_tags=a,b:v",
        "b.example.com. TXT": 'two ; with "quotes"',
        "c.example.com. TXT": "three",
        "e.example.com. A": "four",
        "rsa.example.com. TYPE65280": "five",
        "f.example.com. A": "six",
    }
    assert findings == []


def test_a_comment_outlives_ttl_case_and_an_soas_serial() -> None:
    before, after = Collector(9, 9), Collector(9, 9)
    text = "Www 60 A 192.0.2.1 ; w\n@ RRSIG A 13 2 300 20300101000000 20200101000000 1 @ AAAA ; s\n"
    for found, given_text in (
        (before, HEAD.replace("604800 300", "604800 300 ; soa") + text),
        (
            after,
            HEAD.replace("5 3600 600 604800 300", "6 7200 600 604800 300 ; soa")
            + text.replace("Www 60", "www 90"),
        ),
    ):
        read_zone_text(given_text, "f", ORIGIN, Policy({}), comments=found)
    assert before.found == after.found
    assert sorted(before.found.values()) == ["s", "soa", "w"]


def test_what_is_too_long_or_too_many_is_left_out_and_told() -> None:
    text = "".join(f"h{n} A 192.0.2.1 ; {'x' * (9 + n)}\n" for n in range(4))
    _, shown, findings = read(text, most=3, longest=10)
    assert list(shown.values()) == ["x" * 9, "x" * 10, "x" * 10]
    assert findings == [
        "comments (warn): example.com.: 2 comments were cut to 10 characters "
        "(limits.comment_length)",
        "comments (warn): example.com.: 1 comment was left out beyond the first 3 "
        "(limits.comments)",
    ]
    assert read(text, most=0)[1] == {}


def test_a_comment_cannot_speak_to_a_terminal() -> None:
    _, shown, _ = read("a A 192.0.2.1 ; \x1b[2Jx\u202ey\t\n")
    assert shown == {"a.example.com. A": "[2Jx y"}


@given(st.lists(st.text(max_size=20), max_size=8))
def test_comments_are_written_and_read_again(texts: list[str]) -> None:
    found = Collector(100, 100)
    lines = "".join(
        f"h{n} A 192.0.2.1 ; {text.replace(chr(10), '').replace(chr(13), '')}\n"
        for n, text in enumerate(texts)
    )
    snapshot, _ = read_zone_text(HEAD + lines, "f", ORIGIN, Policy({}), comments=found)
    written = "".join(zone_file_pieces(snapshot, lambda _: found.found))
    again = Collector(100, 100)
    other, _ = read_zone_text(written, "f", ORIGIN, Policy({}), comments=again)
    assert (other.root, again.found) == (snapshot.root, found.found)


def test_a_blocks_records_are_within_its_reach() -> None:
    hosts = "".join(f"h{n // 1500} A 192.0.{n // 250}.{n % 250}\n" for n in range(6000))
    snapshot, _, _ = read(hosts + "z TYPE65535 \\# 0\n")
    assert len(snapshot.blocks) > 1
    for block in snapshot.blocks:
        low, high = reach(block)
        assert all(low <= identity(record) < high for record in block.records())
    items = sorted(identity(record) for record in snapshot.records())
    absent = [item + b"x" for item in items[2:9]]
    assert held(snapshot, sorted([*items, *absent])) == items
