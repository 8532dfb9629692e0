"""The command line's way to the daemon: HTTP over its Unix socket.

The standard library's http.client is enough for one request at a time, and imports in 30 ms where
the usual HTTP packages take 100 to 300 ms of the 300 a command may take to start.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from xfer.cli.common import Misused
from xfer.errors import ControlError, WireError

BASE = "/xfer/v1"
PIECE = 1 << 16
QUICK = 30.0  # seconds for an answer that needs no network


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("xfer", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Daemon:
    """The daemon behind a control socket. Every method raises ControlError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, path: str) -> Any:
        """The JSON answer to GET."""
        return self._json("GET", path, None, QUICK)

    def post(self, path: str, body: dict[str, Any] | None = None, wait: bool = False) -> Any:
        """The JSON answer to POST; wait: the work itself may take hours."""
        return self._json("POST", path, body, None if wait else QUICK)

    def send(self, path: str, content: bytes) -> Any:
        """The JSON answer to POST of a zone file; however long its work takes."""
        return self._json("POST", path, content, None)

    def zones(self) -> Iterator[dict[str, Any]]:
        """Every zone's status, fetched page by page."""
        after = ""
        while True:
            page = self.get(f"/zones?limit=5000&after={quote(after)}")
            yield from page["zones"]
            if page["next"] is None:
                return
            after = page["next"]

    def stream(self, path: str) -> Iterator[bytes]:
        """The pieces of a long answer; ControlError also where it ends early."""
        connection = _UnixConnection(self.path, QUICK)
        try:
            response = self._ask(connection, "GET", path, None)
            if response.status != 200:
                self._fail(response.status, response.read())
            while piece := response.read1(PIECE):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise ControlError(
                f"the daemon broke off its answer: {_text(error)}; its log says why"
            ) from None
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: Any, timeout: float | None) -> Any:
        connection = _UnixConnection(self.path, timeout)
        try:
            response = self._ask(connection, method, path, body)
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ControlError(
                f"the daemon at {self.path} did not answer: {_text(error)}", unreachable=True
            ) from None
        finally:
            connection.close()
        if response.status in (200, 202):
            return json.loads(data)
        return self._fail(response.status, data)

    def _ask(
        self, connection: _UnixConnection, method: str, path: str, body: Any
    ) -> http.client.HTTPResponse:
        try:
            connection.connect()
        except OSError as error:
            raise ControlError(
                f"no daemon answers at {self.path} ({_text(error)}); start it with `xfer serve`, "
                "or name its socket with --control or XFER_CONTROL",
                unreachable=True,
            ) from None
        if body is None or isinstance(body, bytes):
            data, headers = body, {"Content-Type": "text/dns"} if body is not None else {}
        else:
            data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        try:
            connection.request(method, BASE + path, data, headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while we were still sending; the answer says why
        return connection.getresponse()

    def _fail(self, status: int, data: bytes) -> Any:
        """The outcome that a 502 carries; anything else is an error."""
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if status == 502 and isinstance(answer, dict) and "ok" in answer:
            return answer
        problem = answer.get("error") if isinstance(answer, dict) else None
        if not isinstance(problem, dict):
            raise ControlError(f"expected an answer of xfer, got HTTP status {status}")
        lines = [str(problem.get("message")), *map(str, problem.get("details", ()))]
        raise ControlError("\n".join(dict.fromkeys(lines)), kind=str(problem.get("kind", "")))


def zone_path(zone: str, rest: str = "") -> str:
    """The URL path of a zone as typed. Raises Misused where that is no domain name."""
    from xfer.idn import absolute

    if not zone:
        raise Misused("expected the name of a zone, got an empty one")
    try:
        absolute(zone)
    except WireError as error:
        raise Misused(f"the name of the zone: {error}") from None
    return f"/zones/{quote(zone, safe='')}{rest}"


def _text(error: BaseException) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "it ended early"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
