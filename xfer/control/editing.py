"""The control API's part for editing zones: their text, imports, and zones that left the config."""

from __future__ import annotations

import hashlib
import io
import tempfile
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from xfer.control.engine import EngineApi, SoaChange
from xfer.control.values import to_json
from xfer.idn import absolute

MOST = 1000  # removed zones in one answer
NAME = 200  # characters of a file's name, or a user's, that go into the history


class Soa(BaseModel):
    """Fields of an SOA; those left out stay as they are. Numbers are seconds."""

    model_config = ConfigDict(extra="forbid")
    mname: str | None = None
    rname: str | None = None
    refresh: int | None = None
    retry: int | None = None
    expire: int | None = None
    negative_ttl: int | None = None
    ttl: int | None = None
    by: str = Field("", max_length=256)
    dry_run: bool = False
    if_version: int | None = Field(None, ge=0)


def add_editing(app: FastAPI, engine: EngineApi, base: str) -> None:
    """Add the routes below `base`; their errors are the app's."""

    @app.get(base + "/zones/{name}/edit")
    async def edit(name: str) -> JSONResponse:
        """The zone as text to be edited, and the version that it is."""
        return JSONResponse(to_json(await engine.edit_text(absolute(name))))

    @app.get(base + "/zones/{name}/soa")
    async def soa(name: str) -> JSONResponse:
        """The fields of the SOA that is served."""
        return JSONResponse(to_json(await engine.soa(absolute(name))))

    @app.post(base + "/zones/{name}/soa")
    async def set_soa(name: str, body: Soa) -> JSONResponse:
        """Set fields of a primary zone's SOA; by, dry_run, if_version: as for an import."""
        asked = body.model_dump(exclude={"by", "dry_run", "if_version"})
        edited = await engine.set_soa(
            absolute(name),
            SoaChange(**asked),
            by=printable(body.by, "somebody"),
            dry_run=body.dry_run,
            if_version=body.if_version,
        )
        return JSONResponse(to_json(edited))

    @app.get(base + "/removed")
    async def removed(limit: Annotated[int, Query(ge=1, le=MOST)] = MOST) -> JSONResponse:
        """Zones that left the config and are still kept, those that go first in front; then those
        of which only private keys are left."""
        return JSONResponse({"zones": to_json(await engine.removed_zones(limit))})

    @app.post(base + "/zones/{name}/import")
    async def import_zone(
        request: Request,
        name: str,
        source: Annotated[str, Query(max_length=4096)] = "",
        by: Annotated[str, Query(max_length=256)] = "",
        kind: Literal["import", "edit"] = "import",
        dry_run: bool = False,
        if_version: Annotated[int | None, Query(ge=0)] = None,
    ) -> JSONResponse:
        """Make the zone file in the body the zone's new content (text/dns).

        source: what errors and the history call it; by: who edits, for the history; dry_run: only
        say what would change; if_version: only where that version is served, 0 for none.
        """
        # On disk, because the framework's own buffer would be memory, twice.
        with tempfile.TemporaryFile() as spool:
            digest = hashlib.sha256()
            async for piece in request.stream():
                digest.update(piece)
                spool.write(piece)
            spool.seek(0)
            with io.TextIOWrapper(spool, encoding="utf-8") as text:
                edited = await engine.import_zone(
                    absolute(name),
                    text,
                    kind=kind,
                    source=printable(source, "the request"),
                    by=printable(by, "somebody"),
                    digest=digest.hexdigest(),
                    dry_run=dry_run,
                    if_version=if_version,
                )
        return JSONResponse(to_json(edited))


def printable(text: str, otherwise: str) -> str:
    """Text that may stand in the history and in the log."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return ("…" + shown[-NAME:] if len(shown) > NAME else shown) or otherwise
