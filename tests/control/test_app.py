"""The HTTP API over the real server: statuses, one-sentence errors, bounded bodies and streams."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import pytest

from tests.control.conftest import Control
from xfer.errors import ConfigError


def ask(
    control: Control, method: str, path: str, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a plain HTTP request."""
    connection = http.client.HTTPConnection("xfer")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(control.path))
    try:
        connection.request(method, "/xfer/v1" + path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_server_status(control: Control) -> None:
    status, answer = ask(control, "GET", "/server")
    assert status == 200
    assert answer["kernel"] == "compiled"


def test_zones_come_in_pages_in_order(control: Control) -> None:
    status, answer = ask(control, "GET", "/zones?limit=2")
    assert status == 200
    assert [zone["name"] for zone in answer["zones"]] == ["busy.example.", "empty.example."]
    assert answer["next"] == "empty.example."
    _, rest = ask(control, "GET", "/zones?limit=2&after=empty.example.")
    assert [zone["name"] for zone in rest["zones"]] == ["example.com."]
    assert rest["next"] is None


@pytest.mark.parametrize("name", ["example.com", "EXAMPLE.com.", "ex%61mple.com"])
def test_a_zone_is_found_however_its_name_is_typed(control: Control, name: str) -> None:
    status, answer = ask(control, "GET", f"/zones/{name}")
    assert status == 200
    assert answer["state"] == "current"
    assert answer["primaries"][1]["error"]["failure"] == "auth"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("GET", "/zones/no.example", None, 404, "zone no.example. is not configured here"),
        ("GET", "/zones/a..b", None, 400, "expected labels that are not empty"),
        ("GET", "/zones?limit=0", None, 422, "query.limit: Input should be greater than"),
        ("GET", "/zones/empty.example/zonefile", None, 409, "has no version yet"),
        ("GET", "/none", None, 404, "GET /xfer/v1/none: Not Found"),
        ("DELETE", "/server", None, 405, "DELETE /xfer/v1/server: Method Not Allowed"),
        ("POST", "/zones/busy.example/force-axfr", b"{}", 409, "is being transferred already"),
        (
            "POST",
            "/zones/example.com/force-axfr",
            b'{"peer": "three"}',
            404,
            "three is no primary of example.com.",
        ),
        ("POST", "/zones/example.com/refresh", b'{"wiat": 1}', 422, "wiat: Extra inputs are not"),
        ("POST", "/zones/example.com/refresh", b"{", 422, "JSON decode error"),
    ],
)
def test_an_error_is_one_sentence_with_its_status(
    control: Control, method: str, path: str, body: bytes | None, status: int, sentence: str
) -> None:
    got, answer = ask(control, method, path, body)
    assert got == status
    assert sentence in answer["error"]["message"]
    assert "\n" not in answer["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "order"),
    [
        (None, 202, ("force-axfr", "example.com.", None, False)),
        (b"{}", 202, ("force-axfr", "example.com.", None, False)),
        (b'{"wait": true, "peer": "two"}', 200, ("force-axfr", "example.com.", "two", True)),
    ],
    ids=["no body", "empty object", "peer and wait"],
)
def test_force_axfr_hands_on_what_was_asked(
    control: Control, body: bytes | None, status: int, order: tuple[object, ...]
) -> None:
    got, answer = ask(control, "POST", "/zones/example.com/force-axfr", body)
    assert got == status
    assert answer["ok"]
    assert control.engine.orders == [order]


def test_a_failed_operation_answers_502_with_its_outcome(control: Control) -> None:
    control.engine.fails = True
    status, answer = ask(control, "POST", "/zones/example.com/force-axfr", b'{"wait": true}')
    assert status == 502
    assert not answer["ok"]
    assert answer["failure"]["hint"] == "compare it"


def test_a_body_over_the_limit_is_refused_before_it_is_read(control: Control) -> None:
    body = b'{"peer": "' + b"x" * (1 << 20) + b'"}'
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(control.path))
        head = "POST /xfer/v1/zones/example.com/refresh HTTP/1.1\r\nHost: x\r\n"
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_over_the_limit_is_refused(control: Control) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(control.path))
        sock.sendall(
            b"POST /xfer/v1/zones/example.com/refresh HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        try:
            for _ in range(40):
                sock.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sock.recv(4096).startswith(b"HTTP/1.1 413")


def test_the_zone_file_is_streamed(control: Control) -> None:
    control.engine.pieces = 20_000
    pieces = list(control.daemon.stream("/zones/example.com/zonefile"))
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= 1 << 17
    assert len(b"".join(pieces).splitlines()) == 20_000


def test_reload_reports_every_config_error(control: Control) -> None:
    status, answer = ask(control, "POST", "/reload")
    assert (status, answer["added"]) == (200, 1)
    control.engine.config_error = ConfigError("xfer.toml", "zone[a]", "wrong", "mend it")
    status, answer = ask(control, "POST", "/reload")
    assert status == 422
    assert answer["error"]["message"] == "xfer.toml: zone[a]: wrong; mend it"


def test_the_api_describes_itself(control: Control) -> None:
    connection = http.client.HTTPConnection("xfer")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(control.path))
    connection.request("GET", "/openapi.json")
    paths = json.loads(connection.getresponse().read())["paths"]
    connection.close()
    assert "/xfer/v1/zones/{name}/force-axfr" in paths
