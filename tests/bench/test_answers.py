"""The parts of the benches of answers that can be wrong without anybody seeing it."""

from __future__ import annotations

import struct
from pathlib import Path

import dns.message
import dns.rrset

from tests.bench import answers, replacing, zone
from tests.bench.answers import COLD, HOT, Rate


def rate(completed: int, cpu_seconds: float, lost: int = 0) -> Rate:
    return Rate(completed, lost, 10.0, cpu_seconds, [0.001])


def test_questions_are_different_and_the_same_each_time() -> None:
    found = answers.questions(10_000, 500)
    assert found == answers.questions(10_000, 500)
    assert len(set(found)) == 500


def test_a_core_is_counted_by_the_servers_own_time() -> None:
    assert rate(1000, 5.0).per_core == 200
    assert rate(1000, 5.0).per_second == 100


def test_the_goal_is_seven_tenths_of_bind() -> None:
    def holds(ours: int) -> bool:
        results = {HOT: {"xfer": [rate(ours, 1.0)], "BIND": [rate(1000, 1.0)]}, COLD: {}}
        return all(verdict.holds for verdict in answers.verdicts(results, 1.0))

    assert holds(700)
    assert not holds(699)


def test_versions_have_their_serials_and_two_contents_in_turn(tmp_path: Path) -> None:
    files = replacing.write_versions(tmp_path, 2000, 4)
    contents = {number: path.read_bytes() for number, path in files.items()}
    for number, content in contents.items():
        assert content.count(zone.soa_fields(number)) == 2
        plain = content.replace(zone.soa_fields(number), b"")
        assert plain == contents[2 - number % 2].replace(zone.soa_fields(2 - number % 2), b"")
    assert len({content[200:] for content in contents.values()}) == 4


def answer(*lines: str, rcode: int = 0) -> bytes:
    query = dns.message.make_query("host-0000000.bench.test.", "A")
    message = dns.message.make_response(query)
    message.flags |= 0x0400
    message.set_rcode(rcode)  # type: ignore[arg-type]
    message.answer = [dns.rrset.from_text("host-0000000.bench.test.", 60, "IN", "A", *lines)]
    return message.to_wire()


def test_addresses_of_an_answer() -> None:
    found = replacing.addresses(answer("192.0.2.1", "192.0.2.254"))
    assert sorted(found) == [0xC0000201, 0xC00002FE]


def test_an_answer_with_tc_or_an_rcode_has_no_addresses() -> None:
    good = answer("192.0.2.1", "192.0.2.254")
    (flags,) = struct.unpack_from("!H", good, 2)
    assert replacing.addresses(good[:2] + struct.pack("!H", flags | 0x0200) + good[4:]) == []
    assert replacing.addresses(answer("192.0.2.1", rcode=2)) == []
