"""The control API under /xfer/v1, over any EngineApi.

Answers are the engine's values as JSON; errors are `{"error": {kind, message, details}}` with one
sentence. An operation answers 200 when done, 202 when started, 502 when it was tried and failed
(the body is the outcome all the same).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

import xfer
from xfer.control.body import BodyLimit
from xfer.control.dnssec import add_dnssec
from xfer.control.editing import add_editing
from xfer.control.engine import (
    EngineApi,
    NoContent,
    NoSuchKey,
    NoSuchPeer,
    NoSuchVersion,
    NoSuchZone,
    Outcome,
    Refused,
)
from xfer.control.metrics import MEDIA_TYPE, exposition
from xfer.control.migrate import add_migration
from xfer.control.values import Problem, to_json
from xfer.errors import (
    ConfigError,
    KeyRefused,
    StepRefused,
    WireError,
    XferError,
    ZoneError,
)
from xfer.idn import absolute

BASE = "/xfer/v1"
MOST_ZONES = 5000  # in one answer
MOST_VERSIONS = 10_000
BODY_LIMIT = 1 << 20
IMPORT_LIMIT = 256 << 20
PIECE = 1 << 16  # octets of a streamed answer sent at once


class Wait(BaseModel):
    """wait: answer when the work is done, not when it is started."""

    model_config = ConfigDict(extra="forbid")
    wait: bool = False


class ForceAxfr(Wait):
    """peer: the primary to transfer from; the first that can when left out."""

    peer: str | None = None


class Rollback(BaseModel):
    """version: a serial, or "v17"."""

    model_config = ConfigDict(extra="forbid")
    version: str


class Release(BaseModel):
    """follow: take what a primary has now, under a serial above ours."""

    model_config = ConfigDict(extra="forbid")
    follow: bool = False


def make_app(
    engine: EngineApi, body_limit: int = BODY_LIMIT, import_limit: int = IMPORT_LIMIT
) -> FastAPI:
    """The API over `engine`; body_limit: octets of a request body; import_limit: of a zone file."""
    app = FastAPI(title="xfer control API", version=xfer.__version__, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, limit=body_limit, import_limit=import_limit)
    _add_errors(app)
    _add_routes(app, engine)
    add_editing(app, engine, BASE)
    add_dnssec(app, engine, BASE)
    add_migration(app, engine, BASE)
    return app


def _add_routes(app: FastAPI, engine: EngineApi) -> None:
    @app.get("/metrics")
    async def metrics() -> Response:
        """The daemon's figures as Prometheus reads them."""
        return Response(exposition(await engine.server_status()), media_type=MEDIA_TYPE)

    @app.get(BASE + "/server")
    async def server() -> JSONResponse:
        """The daemon itself."""
        return _answer(await engine.server_status())

    @app.get(BASE + "/zones")
    async def zones(
        after: str = "", limit: Annotated[int, Query(ge=1, le=MOST_ZONES)] = 1000
    ) -> JSONResponse:
        """Zones in order of their names, those behind `after`; `next` is None at the end."""
        found = await engine.status(absolute(after) if after else "", limit)
        last = found[-1].name if len(found) == limit else None
        return JSONResponse({"zones": to_json(found), "next": last})

    @app.get(BASE + "/schedule")
    async def schedule(
        limit: Annotated[int, Query(ge=1, le=MOST_ZONES)] = 100,
    ) -> JSONResponse:
        """What is planned next for secondary zones, soonest first."""
        return JSONResponse({"schedule": to_json(await engine.upcoming(limit))})

    @app.get(BASE + "/zones/{name}")
    async def zone(name: str) -> JSONResponse:
        """Everything known about a zone."""
        return _answer(await engine.zone_status(absolute(name)))

    @app.get(BASE + "/zones/{name}/zonefile")
    async def zone_file(name: str, version: str = "") -> StreamingResponse:
        """A version as a zone file, in canonical order (RFC 4027 names the type).

        version: a serial, "v17", or "@" and a Unix time; the served one when left out.
        """
        return await _streamed(engine.zone_file(absolute(name), version), "text/dns")

    @app.get(BASE + "/zones/{name}/versions")
    async def versions(
        name: str, limit: Annotated[int, Query(ge=1, le=MOST_VERSIONS)] = MOST_VERSIONS
    ) -> JSONResponse:
        """The kept versions, newest first."""
        return JSONResponse({"versions": to_json(await engine.versions(absolute(name), limit))})

    @app.get(BASE + "/zones/{name}/diff")
    async def diff(name: str, old: str, new: str) -> StreamingResponse:
        """What changed from one version to another, named as for the zone file."""
        return await _streamed(engine.diff(absolute(name), old, new), "text/plain")

    @app.post(BASE + "/zones/{name}/force-axfr")
    async def force_axfr(name: str, body: ForceAxfr | None = None) -> JSONResponse:
        """Transfer the whole zone now, whatever its serial."""
        asked = body or ForceAxfr()
        return _outcome(await engine.force_axfr(absolute(name), asked.peer, asked.wait))

    @app.post(BASE + "/zones/{name}/refresh")
    async def refresh(name: str, body: Wait | None = None) -> JSONResponse:
        """Ask the primaries for their serial now."""
        return _outcome(await engine.refresh(absolute(name), (body or Wait()).wait))

    @app.post(BASE + "/zones/{name}/notify")
    async def notify(name: str) -> JSONResponse:
        """Send NOTIFY to the secondaries now."""
        return _outcome(await engine.notify(absolute(name)))

    @app.get(BASE + "/zones/{name}/why")
    async def why(name: str) -> JSONResponse:
        """Why the zone is, or is not, current: sentences, most important first."""
        found = await engine.why(absolute(name))
        return JSONResponse({"zone": absolute(name), "reasons": to_json(found)})

    @app.post(BASE + "/zones/{name}/rollback")
    async def rollback(name: str, body: Rollback) -> JSONResponse:
        """Serve the content of a kept version again, under a higher serial."""
        return _outcome(await engine.rollback(absolute(name), body.version))

    @app.post(BASE + "/zones/{name}/release")
    async def release(name: str, body: Release | None = None) -> JSONResponse:
        """Follow the primaries again after a rollback."""
        return _outcome(await engine.release(absolute(name), (body or Release()).follow))

    @app.post(BASE + "/reload")
    async def reload() -> JSONResponse:
        """Read the config again."""
        return _answer(await engine.reload())


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(XferError)
    async def failed(_request: Request, error: XferError) -> JSONResponse:
        return _problem(_status_of(error), type(error).__name__, str(error), _details(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        sentences = tuple(_sentence(item) for item in error.errors())
        return _problem(422, "Invalid", sentences[0], sentences[1:])

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        return _problem(error.status_code, "Http", message)

    @app.exception_handler(Exception)
    async def broken(_request: Request, error: Exception) -> JSONResponse:
        message = f"{type(error).__name__} inside the daemon, see its log"
        return _problem(500, "Internal", message)


def _status_of(error: XferError) -> int:
    if isinstance(error, (NoSuchZone, NoSuchPeer, NoSuchVersion, NoSuchKey)):
        return 404
    if isinstance(error, (NoContent, Refused, StepRefused)):
        return 409
    if isinstance(error, WireError):
        return 400
    if isinstance(error, (ConfigError, ZoneError, KeyRefused)):
        return 422
    return 500


def _details(error: XferError) -> tuple[str, ...]:
    return tuple(str(item) for item in getattr(error, "errors", ()))


def _sentence(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"] if part != "body")
    got = repr(item.get("input"))
    return f"{where or 'body'}: {item['msg']}, got {got if len(got) < 80 else got[:80] + '…'}"


def _problem(status: int, kind: str, message: str, details: tuple[str, ...] = ()) -> JSONResponse:
    return JSONResponse({"error": to_json(Problem(kind, message, details))}, status)


def _answer(value: object) -> JSONResponse:
    return JSONResponse(to_json(value))


def _outcome(outcome: Outcome) -> JSONResponse:
    status = 200 if outcome.done else 202
    return JSONResponse(to_json(outcome), status if outcome.ok else 502)


async def _streamed(pieces: AsyncIterator[bytes], media_type: str) -> StreamingResponse:
    """What fails before the first piece is an error; later it breaks the answer off."""
    first = await anext(pieces, b"")
    return StreamingResponse(_joined(first, pieces), media_type=media_type)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, small ones put together."""
    pending = [first]
    size = len(first)
    async for piece in rest:
        pending.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(pending)
            pending, size = [], 0
    yield b"".join(pending)
