"""The daemon as a process: start, answers from the address asked, signals, restart."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import dns.message
import pytest

from tests.peers import Named, PrimaryZone, SecondaryZone, TsigKey, free_port
from tests.peers.xferd import Xferd

pytestmark = pytest.mark.lab

KEY = TsigKey.make("k1.")


def zone_text(serial: int, hosts: int = 5) -> str:
    lines = [
        "$TTL 3600",
        f"@ SOA ns1.example.com. hostmaster.example.com. {serial} 300 60 86400 300",
        "@ NS ns1.example.com.",
        "ns1 A 192.0.2.1",
        *(f"h{number} A 10.0.{number // 256}.{number % 256}" for number in range(hosts)),
    ]
    return "$ORIGIN example.com.\n" + "\n".join(lines) + "\n"


def ask(address: str, port: int, name: str = "example.com.", tcp: bool = False) -> bytes:
    """The answer to an SOA query; over UDP it must come from the address asked."""
    query = dns.message.make_query(name, "SOA").to_wire()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(family, kind) as sock:
        sock.settimeout(5)
        if tcp:
            sock.connect((address, port))
            sock.sendall(struct.pack("!H", len(query)) + query)
            return sock.recv(65535)[2:]
        sock.sendto(query, (address, port))
        answer, source = sock.recvfrom(65535)
        assert source[:2] == (address, port)
        return answer


def test_a_zone_file_is_served_and_a_reload_brings_its_next_version() -> None:
    with Xferd([PrimaryZone("example.com.", zone_text(1))]) as xfer:
        xfer.wait_serving("example.com.", 1)
        xfer.edit_zone("example.com.", zone_text(2))
        xfer.wait_serving("example.com.", 2)
        xfer.zone_file("example.com.").write_text("nonsense\n")
        xfer.reload("example.com.")
        deadline = time.monotonic() + 10
        while "zone file refused" not in xfer.logs():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert xfer.serial("example.com.") == 2


def test_answers_leave_from_the_address_that_was_asked(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    config = f"""
[server]
listen = ["0.0.0.0:{port}", "[::]:{port}"]
journal = "{{journal}}"
control = "{{control}}"
[[acl]]
name = "all"
ip_range = ["0.0.0.0/0"]
[[zone]]
name = "example.com"
role = "primary"
file = "{tmp_path}/zone"
allow_transfer = "all"
"""
    (tmp_path / "zone").write_text(zone_text(7))
    with Xferd(config=config, port=port) as xfer:
        xfer.wait_serving("example.com.", 7)
        for address in ("127.0.0.1", "127.0.0.2", "127.9.9.9", "::1"):
            for tcp in (False, True):
                answer = dns.message.from_wire(ask(address, port, tcp=tcp))
                assert answer.answer[0][0].serial == 7


def test_a_restart_serves_from_the_journal_without_the_primary() -> None:
    with Named([PrimaryZone("example.com.", zone_text(3), keys=[KEY])]) as primary:
        xfer = Xferd([SecondaryZone("example.com.", [primary.remote(KEY)])])
        xfer.start()
        try:
            xfer.wait_serving("example.com.", 3)
            xfer.stop()
            primary.stop()
            xfer.launch()
            xfer.wait_serving("example.com.", 3)
        finally:
            xfer.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_cleanly(number: signal.Signals) -> None:
    with Xferd([PrimaryZone("example.com.", zone_text(1))]) as xfer:
        xfer.wait_serving("example.com.", 1)
        process = xfer._process
        assert process is not None
        process.send_signal(number)
        assert process.wait(10) == 0
        assert '"stopped"' in xfer.logs() or "stopped" in xfer.logs()


def test_a_transfer_that_runs_is_finished_before_the_end() -> None:
    with Xferd([PrimaryZone("example.com.", zone_text(1, 60_000))]) as xfer:
        xfer.wait_serving("example.com.", 1)
        query = dns.message.make_query("example.com.", "AXFR").to_wire()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            sock.settimeout(10)
            sock.connect((xfer.address, xfer.port))
            sock.sendall(struct.pack("!H", len(query)) + query)
            data = sock.recv(1000)
            process = xfer._process
            assert process is not None
            process.send_signal(signal.SIGTERM)
            while piece := sock.recv(1 << 16):
                data += piece
        assert process.wait(10) == 0
        messages = 0
        last = b""
        while data:
            (size,) = struct.unpack_from("!H", data)
            last, data = data[2 : 2 + size], data[2 + size :]
            assert len(last) == size
            messages += 1
        assert last[6:8] == b"\0\1", "the closing SOA came"
        assert messages > 10


def test_a_second_daemon_on_the_same_journal_is_refused() -> None:
    with Xferd([PrimaryZone("example.com.", zone_text(1))]) as xfer:
        done = subprocess.run(
            xfer.command(),
            capture_output=True,
            text=True,
            timeout=30,
            cwd=xfer.directory,
            env={"PATH": "/usr/bin:/bin", **xfer.environment()},
        )
        assert done.returncode == 1
        assert str(xfer.pid) in done.stderr
        assert xfer.serial("example.com.") == 1


def test_clients_that_reset_the_connection_in_the_middle_of_a_transfer_harm_nobody() -> None:
    with Xferd([PrimaryZone("example.com.", zone_text(1, 60_000))]) as xfer:
        xfer.wait_serving("example.com.", 1)
        query = dns.message.make_query("example.com.", "AXFR").to_wire()
        for _ in range(16):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.settimeout(10)
                sock.connect((xfer.address, xfer.port))
                sock.sendall(struct.pack("!H", len(query)) + query)
                # Until the buffers are full: the daemon then waits to read and to write at once.
                time.sleep(0.15)
        assert xfer.serial("example.com.") == 1
        assert "internal error" not in xfer.logs()


@pytest.mark.parametrize(
    ("address", "got"),
    [
        ("127.0.0.1", "address already in use"),
        ("192.0.2.77", "that address is not one of this machine"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_one_sentence(address: str, got: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        xfer = Xferd([PrimaryZone("example.com.", zone_text(1))], address=address, port=port)
        xfer.configure()
        done = subprocess.run(
            xfer.command(),
            capture_output=True,
            text=True,
            timeout=30,
            cwd=xfer.directory,
            env={"PATH": "/usr/bin:/bin", **xfer.environment()},
        )
        xfer.stop()
    assert done.returncode == 1
    expected = f"xfer: expected to listen on {address}:{port} over TCP and UDP, got {got}\n"
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_no_config_file_that_a_reload_finds_ends_the_daemon() -> None:
    with Xferd([PrimaryZone("example.com.", zone_text(1))]) as xfer:
        xfer.wait_serving("example.com.", 1)
        for number, bad in enumerate((b"\xff\xfe", b"a =", b"a = " + b"[" * 5000, b"")):
            xfer.config_file.write_bytes(bad)
            xfer.reload("example.com.")
            deadline = time.monotonic() + 10
            while xfer.logs().count('"event": "reload refused"') <= number:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert xfer.serial("example.com.") == 1
