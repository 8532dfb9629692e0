"""`xfer pull` against BIND: the zone, the summary, and a diagnosis for every way to fail."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.peers import Named, PrimaryZone, Remote, SecondaryZone, TsigKey, file_records
from tests.peers.ports import free_port

pytestmark = pytest.mark.lab

ZONE = """$TTL 3600
@ SOA ns.example. Admin.example. 2026112201 7200 900 604800 300
@ NS ns.example.
ns A 192.0.2.53
Mixed.Case TXT "kept; as it is"
"""
K1 = TsigKey.make("k1.")
ELSEWHERE = TsigKey("k1.", "hmac-sha256", TsigKey.make("other.").secret)
OTHER_ALGORITHM = TsigKey("k1.", "hmac-sha512", K1.secret)
UNKNOWN = TsigKey.make("k9.")


@pytest.fixture(scope="module")
def bind() -> Iterator[Named]:
    """open.: for everyone; closed.: with K1 alone; edited.: with one edit behind it; never.: a
    secondary whose primary is silent."""
    nowhere = Remote("127.0.0.1", free_port("127.0.0.1"))
    zones: list[PrimaryZone | SecondaryZone] = [
        PrimaryZone("open.", ZONE),
        PrimaryZone("closed.", ZONE, keys=[K1]),
        # Large enough for BIND to think changes worth while.
        PrimaryZone(
            "edited.", ZONE + "".join(f"host{n} A 192.0.2.9\n" for n in range(50)), updaters=[K1]
        ),
        SecondaryZone("never.", [nowhere]),
    ]
    with Named(zones) as server:
        server.wait_serving("open.", 2026112201)
        server.wait_serving("edited.", 2026112201)
        edit = "delete ns.edited. A\nupdate add NS.edited. 60 A 192.0.2.54"
        subprocess.run(
            ["nsupdate", "-y", f"{K1.algorithm}:{K1.name}:{K1.secret}"],
            input=f"server {server.address} {server.port}\nzone edited.\nupdate {edit}\nsend\n",
            text=True,
            check=True,
            timeout=30,
        )
        yield server


def where(bind: Named) -> tuple[str, str]:
    return ("--from", f"{bind.address}:{bind.port}")


def triple(key: TsigKey) -> str:
    return f"{key.name}:{key.algorithm}:{key.secret}"


def test_the_zone_goes_to_stdout_and_the_summary_to_stderr(xfer: Xfer, bind: Named) -> None:
    result = xfer("pull", "open", *where(bind))
    assert result.exit_code == 0
    assert 'Mixed.Case.open.\t3600\tIN\tTXT\t"kept; as it is"' in result.stdout
    assert (
        f"open. serial 2026112201 from 127.0.0.1#{bind.port}, unsigned: 4 records in 1 message"
        in (result.stderr)
    )
    assert "records/s" in result.stderr


def test_a_signed_zone_goes_into_a_file(xfer: Xfer, bind: Named, tmp_path: Path) -> None:
    out = tmp_path / "closed.zone"
    result = xfer("pull", "closed.", *where(bind), "--tsig", triple(K1), "-o", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "signed by k1. with hmac-sha256" in result.stderr
    assert file_records(out, "closed.") == bind.axfr("closed.", K1)


def test_the_key_may_come_from_a_file_or_the_environment(
    xfer: Xfer, bind: Named, tmp_path: Path
) -> None:
    key_file = tmp_path / "k1.key"
    key_file.write_text(f'key "{K1.name}" {{ algorithm {K1.algorithm}; secret "{K1.secret}"; }};')
    assert xfer("pull", "closed", *where(bind), "-k", str(key_file)).exit_code == 0
    from_environment = xfer("pull", "closed", *where(bind), env={"XFER_TSIG": triple(K1)})
    assert from_environment.exit_code == 0


def test_json_has_the_figures(xfer: Xfer, bind: Named) -> None:
    result = xfer("pull", "open", *where(bind), "--json")
    found = json.loads(result.stdout)
    assert found["ok"]
    assert (found["serial"], found["records"], found["messages"]) == (2026112201, 4, 1)
    assert found["source"] == "127.0.0.1"
    assert found["bytes"] > 100


def test_changes_are_printed_as_they_came(xfer: Xfer, bind: Named, tmp_path: Path) -> None:
    out = tmp_path / "changes"
    words = ["pull", "edited", *where(bind), "--ixfr", "2026112201"]
    result = xfer(*words)
    assert result.exit_code == 0
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [(line[0].lower(), line[3]) for line in lines] == [
        ("-edited.", "SOA"), ("-ns.edited.", "A"), ("+edited.", "SOA"), ("+ns.edited.", "A"),
    ]  # fmt: skip
    assert lines[3][1:] == ["60", "IN", "A", "192.0.2.54"]
    assert "edited. serial 2026112202" in result.stderr
    assert "2 records removed, 2 added, in 1 message" in result.stderr
    assert (xfer(*words, "-o", str(out)).stdout, out.read_text()) == ("", result.stdout)
    found = json.loads(xfer(*words, "--json").stdout)
    assert (found["kind"], found["serial_from"], found["serial"], found["removed"]) == (
        "ixfr", 2026112201, 2026112202, 2,
    )  # fmt: skip


def test_nothing_newer_leaves_the_file_alone(xfer: Xfer, bind: Named, tmp_path: Path) -> None:
    out = tmp_path / "zone"
    out.write_text("as it was")
    words = ["pull", "edited", *where(bind), "--ixfr", "2026112202"]
    result = xfer(*words, "-o", str(out))
    assert (result.exit_code, out.read_text()) == (0, "as it was")
    assert "nothing newer than serial 2026112202" in result.stderr
    assert xfer(*words).stdout == ""
    assert json.loads(xfer(*words, "--json").stdout)["kind"] == "soa"


def test_the_whole_zone_may_come_for_changes(xfer: Xfer, bind: Named) -> None:
    result = xfer("pull", "open", *where(bind), "--ixfr", "7")
    assert result.exit_code == 0
    assert 'Mixed.Case.open.\t3600\tIN\tTXT\t"kept; as it is"' in result.stdout
    assert "4 records in 1 message" in result.stderr


@pytest.mark.parametrize(
    ("zone", "key", "failure", "parts"),
    [
        (
            "closed",
            None,
            "denied",
            [
                "we asked from 127.0.0.1: the transfer ACL of closed. on the peer must hold that",
                "the request was not signed: the peer may ask for a key",
            ],
        ),
        ("closed", UNKNOWN, "auth", ["BADKEY", "peer does not know k9. with hmac-sha256"]),
        ("closed", OTHER_ALGORITHM, "auth", ["peer does not know k1. with hmac-sha512"]),
        ("closed", ELSEWHERE, "auth", ["BADSIG", "may have another secret"]),
        ("nothere", None, "denied", ["the peer is not authoritative for nothere."]),
        ("never", None, "denied", ["SERVFAIL"]),
    ],
    ids=["no key", "key name", "algorithm", "secret", "not authoritative", "not loaded"],
)
def test_a_failure_is_diagnosed(
    xfer: Xfer,
    bind: Named,
    zone: str,
    key: TsigKey | None,
    failure: str,
    parts: list[str],
) -> None:
    words = ["pull", zone, *where(bind), *(["--tsig", triple(key)] if key else [])]
    result = xfer(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"xfer: {failure}: 127.0.0.1#{bind.port} from 127.0.0.1: exp")
    for part in parts:
        assert part in result.stderr
    if key is not None:
        assert key.secret not in result.stderr
    as_json = json.loads(xfer(*words, "--json").stdout)
    assert as_json["failure"] == failure


def test_an_unreachable_server_is_said_to_be_so(xfer: Xfer) -> None:
    port = free_port("127.0.0.1")
    result = xfer("pull", "open", "--from", f"127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "transport: 127.0.0.1#" in result.stderr
    assert "connection refused" in result.stderr
    assert f"a DNS server listens on TCP at 127.0.0.1 port {port}" in result.stderr


def test_a_source_that_is_not_ours_is_said_to_be_so(xfer: Xfer) -> None:
    result = xfer("pull", "open", "--from", "127.0.0.1:1", "--source", "192.0.2.1")
    assert result.exit_code == 1
    assert "not one of this machine" in result.stderr


def test_an_old_output_file_survives_a_failure(xfer: Xfer, bind: Named, tmp_path: Path) -> None:
    out = tmp_path / "zone"
    out.write_text("old")
    assert xfer("pull", "nothere", *where(bind), "-o", str(out)).exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["zone"]
    assert out.read_text() == "old"


def test_a_silent_server_meets_the_timeout(xfer: Xfer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = xfer("pull", "a", "--from", f"127.0.0.1:{port}", "--timeout", "0.2")
    assert result.exit_code == 1
    assert "within 0.2 s" in result.stderr


def test_an_empty_answer_is_explained(xfer: Xfer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                request = sock.recv(4096)[2:]
                reply = request[:2] + b"\x84\0\0\1" + b"\0\0\0\0\0\0" + request[12:19]
                sock.sendall(len(reply).to_bytes(2, "big") + reply)
                sock.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        result = xfer("pull", "a", "--from", f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert result.exit_code == 1
    assert "the peer answered with nothing: it may have no data for a. yet" in result.stderr
