"""The changing primary sends what it says, and the figures of a change are taken from it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
import pytest

from tests.bench import changes, zone
from tests.bench.changing import Changing
from tests.bench.drain import serial_in, soa_query
from tests.bench.zones import serial_of
from tests.bench.zones import soa_query as query_for
from tests.peers import Remote, TsigKey, axfr, file_records, free_port

COUNT = 1234
KEY = TsigKey.make("k1.")
NAME = dns.name.from_text(KEY.name)
KEYRING = {NAME: dns.tsig.Key(NAME, KEY.secret, KEY.algorithm)}


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Changing]:
    path = tmp_path / "1.messages"
    zone.write_messages(path, zone.records(COUNT))
    with Changing(KEY, path, COUNT) as changing:
        yield changing


def follow(primary: Changing, content: dns.zone.Zone) -> None:
    """Bring the zone up to date as dnspython does, by IXFR."""
    query, serial = dns.xfr.make_query(content, keyring=KEYRING)
    with socket.create_connection((primary.remote.address, primary.remote.port)) as sock:
        wire = query.to_wire()
        sock.sendall(struct.pack("!H", len(wire)) + wire)
        context = None
        with dns.xfr.Inbound(content, dns.rdatatype.IXFR, serial) as inbound:
            done = False
            while not done:
                (length,) = struct.unpack("!H", sock.recv(2, socket.MSG_WAITALL))
                message = dns.message.from_wire(
                    sock.recv(length, socket.MSG_WAITALL),
                    keyring=KEYRING,
                    request_mac=query.mac,
                    xfr=True,
                    origin=content.origin,
                    tsig_ctx=context,
                    multi=True,
                    one_rr_per_rrset=True,
                )
                context = message.tsig_ctx
                done = inbound.process_message(message)


@pytest.mark.parametrize("edits", [[1], [3, 1], [60]], ids=str)
def test_its_deltas_fit_its_zone(primary: Changing, tmp_path: Path, edits: list[int]) -> None:
    at = primary.remote
    file = tmp_path / "zone"
    zone.write_zone_file(file, zone.records(COUNT))
    assert axfr(at.address, at.port, zone.ZONE, KEY) == file_records(file, zone.ZONE)
    content = dns.zone.from_file(str(file), zone.ZONE)
    before = set(content.iterate_rdatas())
    for count in edits:
        serial, _ = primary.edit(count)
    follow(primary, content)
    assert content.get_soa().serial == serial
    changed = set(content.iterate_rdatas()) - before
    assert len(changed) == sum(edits) + 1  # and the SOA


def test_it_tells_the_target_of_each_change(primary: Changing) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        port = free_port("127.0.0.1")
        sock.bind(("127.0.0.1", port))
        sock.settimeout(5)
        primary.tell(Remote("127.0.0.1", port))
        serial, _ = primary.edit()
        message = dns.message.from_wire(sock.recv(4096), keyring=KEYRING)
    assert message.opcode() == 4
    assert message.answer[0][0].serial == serial


def test_a_delta_asked_for_is_told_from_a_whole_zone(primary: Changing) -> None:
    serial, _ = primary.edit(10)
    _, delta = changes.ask_ixfr(primary.remote, KEY, serial - 1, 24)
    assert delta
    assert [kind for kind, _ in primary.events()] == ["ixfr"]


def test_an_answer_without_an_soa_has_no_serial() -> None:
    query = query_for("z1.test.")
    assert serial_of(query, query) is None
    assert serial_in(soa_query()) is None
