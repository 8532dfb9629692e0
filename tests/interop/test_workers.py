"""A daemon with worker processes: killed and hung ones, new versions under load, and NOTIFY."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import pytest

from tests.peers import PrimaryZone, Remote, free_port
from tests.peers.xferd import Xferd
from tests.server.asking import Asking, ask

pytestmark = pytest.mark.lab

A, SOA, MX = 1, 6, 15
WORKERS = 2
SERVER = f"workers = {WORKERS}\n"
TIMEOUT = 1.0
HASTY = f"[limits]\nworker_timeout = {TIMEOUT}\n"
# Where none hangs, none is to be taken for one that does, however busy the machine is.
PATIENT = "[limits]\nworker_timeout = 30\n"
QUESTIONS = [
    ("alias.w.test", A),
    ("x.w.test", 15),
    ("w.test", SOA),
    ("no.w.test", A),
    ("s.w.test", A),
]


def text(version: int, fillers: int = 2000) -> str:
    """A zone in which every answer tells its version: in the SOA, or in an address."""
    address = f"10.{version >> 8}.{version & 255}.1"
    lines = [
        "$ORIGIN w.test.",
        "$TTL 300",
        f"@ SOA ns1 host {version} 3600 600 86400 60",
        "@ NS ns1",
        "alias CNAME www",
        "x MX 10 www",
        "s NS ns.s",
        *(f"{name} A {address}" for name in ("ns1", "www", "ns.s")),
        *(f"h{number} A 192.0.2.1" for number in range(fillers)),
    ]
    return "\n".join(lines) + "\n"


def versions(octets: bytes) -> set[int]:
    """The versions that an answer is from: one, if it is right."""
    message = dns.message.from_wire(b"\0\0" + octets)
    assert message.rcode() in (0, 2, 3)
    found = set()
    for rrset in (rrset for part in message.sections[1:] for rrset in part):
        for rdata in rrset:
            if rrset.rdtype == dns.rdatatype.A:
                numbers = [int(number) for number in rdata.address.split(".")]
                found.add(numbers[1] << 8 | numbers[2])
            elif rrset.rdtype == dns.rdatatype.SOA:
                found.add(rdata.serial)
    return found


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers_of(daemon: Xferd) -> list[int]:
    done = subprocess.run(
        ["pgrep", "-P", str(daemon.pid), "-f", "server.worker "],
        check=False,
        capture_output=True,
        text=True,
    )
    return sorted(map(int, done.stdout.split()))


def serving(daemon: Xferd) -> int:
    """How often a process has begun to serve."""
    return daemon.logs().count("worker process serves")


def serial(daemon: Xferd) -> int:
    octets = ask((daemon.address, daemon.port), "w.test", SOA)
    assert octets is not None
    return max(versions(octets[2:]), default=0)


def ready(daemon: Xferd) -> None:
    until(lambda: serving(daemon) == WORKERS)
    until(lambda: {serial(daemon) for _ in range(20)} == {1})


def publish(daemon: Xferd, version: int) -> None:
    daemon.zone_file("w.test.").write_text(text(version))
    daemon.reload("w.test.")


@pytest.fixture
def daemon(request: pytest.FixtureRequest) -> Iterator[Xferd]:
    extra = getattr(request, "param", PATIENT)
    with Xferd([PrimaryZone("w.test.", text(1))], server=SERVER, extra=extra) as made:
        ready(made)
        yield made


def test_a_killed_worker_costs_next_to_nothing(daemon: Xferd) -> None:
    with Asking((daemon.address, daemon.port), QUESTIONS) as load:
        for number in range(1, 4):
            until(lambda: len(load.seconds) > 500)
            (victim, *_) = workers_of(daemon)
            os.kill(victim, signal.SIGKILL)
            until(lambda n=number: serving(daemon) == WORKERS + n)  # type: ignore[misc]
            assert len(workers_of(daemon)) == WORKERS
    # What the process had read and not answered yet.
    assert load.lost <= 3 * 24
    assert {1} == set().union(*map(versions, load.answers))


@pytest.mark.parametrize("daemon", [HASTY], ids=["hasty"], indirect=True)
def test_a_hung_worker_is_replaced_and_holds_up_a_version_no_longer(daemon: Xferd) -> None:
    os.kill(workers_of(daemon)[0], signal.SIGSTOP)
    began = time.monotonic()
    publish(daemon, 2)
    until(lambda: "worker process hangs" in daemon.logs())
    until(lambda: {serial(daemon) for _ in range(20)} == {2})
    assert time.monotonic() - began < 10 * TIMEOUT


def test_new_versions_under_load_are_never_mixed_nor_lost(daemon: Xferd) -> None:
    with Asking((daemon.address, daemon.port), QUESTIONS) as load:
        for version in range(2, 12):
            publish(daemon, version)
            until(lambda v=version: serial(daemon) == v)  # type: ignore[misc]
    assert load.lost == 0
    found = [versions(octets) for octets in load.answers]
    assert all(len(one) == 1 for one in found)
    assert len(set().union(*found)) >= 8


def test_who_gets_notify_never_finds_the_version_before() -> None:
    port = free_port("127.0.0.1")
    told: list[int] = []
    stale: list[tuple[int, int]] = []
    end = threading.Event()

    def secondary(sock: socket.socket, address: tuple[str, int]) -> None:
        while not end.is_set():
            try:
                octets, peer = sock.recvfrom(4096)
            except TimeoutError:
                continue
            message = dns.message.from_wire(octets)
            if message.opcode() != dns.opcode.NOTIFY:
                continue  # it asks for our serial
            (hint,) = message.answer[0]
            for _ in range(12):  # from many ports: all processes are asked
                answer = ask(address, "w.test", SOA)
                assert answer is not None
                if max(versions(answer[2:])) < hint.serial:
                    stale.append((hint.serial, max(versions(answer[2:]))))
            told.append(hint.serial)
            reply = dns.message.make_response(message)
            reply.flags |= dns.flags.AA
            sock.sendto(reply.to_wire(), peer)

    zone = PrimaryZone("w.test.", text(1), notify=[Remote("127.0.0.1", port)])
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        Xferd([zone], server=SERVER, extra=PATIENT) as daemon,
    ):
        sock.bind(("127.0.0.1", port))
        sock.settimeout(0.1)
        address = (daemon.address, daemon.port)
        thread = threading.Thread(target=secondary, args=(sock, address))
        thread.start()
        try:
            ready(daemon)
            with Asking(address, QUESTIONS) as load:
                for version in range(2, 10):
                    publish(daemon, version)
                    until(lambda v=version: v in told)  # type: ignore[misc]
        finally:
            end.set()
            thread.join()
    assert stale == []
    assert load.lost == 0


def test_a_zone_that_a_reload_removes_or_brings(daemon: Xferd) -> None:
    before = daemon.config_file.read_text()
    more = before + '[[zone]]\nname = "s.w.test"\nrole = "primary"\nfile = "{file}"\n'
    path = daemon.directory / "child"
    path.write_text(text(7, 0).replace("$ORIGIN w.test.", "$ORIGIN s.w.test."))
    daemon.config_file.write_text(more.replace("{file}", str(path)))
    daemon.reload("")

    def serials(name: str) -> set[tuple[int, ...]]:
        """(RCODE, SOA serial or 0) of answers from many ports."""
        found: set[tuple[int, ...]] = set()
        for _ in range(20):
            octets = ask((daemon.address, daemon.port), name, SOA)
            assert octets is not None
            message = dns.message.from_wire(octets)
            sections = [rrset for part in message.sections[1:3] for rrset in part]
            soas = [rrset[0].serial for rrset in sections if rrset.rdtype == SOA]
            found.add((int(message.rcode()), *soas[:1]))
        return found

    until(lambda: serials("s.w.test") == {(0, 7)})
    daemon.config_file.write_text(before)
    daemon.reload("")
    until(lambda: serials("s.w.test") == {(0,)})  # a referral again
    daemon.config_file.write_text(before[: before.index("[[zone]]")])
    daemon.reload("")
    until(lambda: serials("w.test") == {(5,)})


def test_status_shows_the_processes_and_counts_what_they_answer(daemon: Xferd) -> None:
    def status() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(daemon.cli("status", "--json").stdout)["server"]
        return found

    before = status()
    assert sorted(worker["pid"] for worker in before["workers"]) == sorted(workers_of(daemon))
    assert {worker["state"] for worker in before["workers"]} == {"serving"}
    for _ in range(50):
        serial(daemon)
    counted = before["queries"]["zones"].get("w.test.", 0) + 50
    until(lambda: status()["queries"]["zones"].get("w.test.", 0) >= counted)


def test_processes_end_with_the_daemon(daemon: Xferd) -> None:
    pids = workers_of(daemon)
    assert len(pids) == WORKERS
    daemon.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
