"""The control API's part for zones with several signers, and for moves from one to another."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import Field

from xfer.control.dnssec import MOST_TEXT, Ident, Plain
from xfer.control.engine import EngineApi
from xfer.control.values import to_json
from xfer.idn import absolute

MOST_SERVERS = 100
ServerName = Annotated[str, Field(max_length=255, min_length=1)]
Step = Literal[
    "",
    "keys-there",
    "keys-here",
    "ds-added",
    "servers-added",
    "servers-moved",
    "ds-taken",
    "keys-taken",
]


class Next(Plain):
    """step: the one that is meant, "" for whichever comes next; servers: names of those that were
    added to the zone's NS, or taken from it."""

    step: Step = ""
    servers: list[ServerName] = Field(default_factory=list, max_length=MOST_SERVERS)


class Leave(Plain):
    """servers: names of ours, which have left the zone's NS."""

    servers: list[ServerName] = Field(default_factory=list, max_length=MOST_SERVERS)


class AddForeign(Plain):
    """records: DNSKEYs as lines of a zone file."""

    records: Annotated[str, Field(max_length=MOST_TEXT)]


class RemoveForeign(Plain):
    """key: its ident, or its tag."""

    key: Ident


def add_migration(app: FastAPI, engine: EngineApi, base: str) -> None:
    """Add the routes below `base`; their errors are the app's."""
    base += "/zones/{name}/dnssec"

    @app.get(base + "/migration")
    async def status(name: str) -> JSONResponse:
        """Where the zone is between two signers, after asking both and the parent."""
        return JSONResponse(to_json(await engine.migration_status(absolute(name))))

    @app.post(base + "/migration/join")
    async def join(name: str, body: Plain | None = None) -> JSONResponse:
        """Begin to sign a zone that another signer serves."""
        order = (body or Plain()).order()
        return JSONResponse(to_json(await engine.migration_join(absolute(name), order)))

    @app.post(base + "/migration/next")
    async def step(name: str, body: Next | None = None) -> JSONResponse:
        """Take the next step."""
        asked = body or Next()
        done = await engine.migration_next(absolute(name), asked.order(), asked.step, asked.servers)
        return JSONResponse(to_json(done))

    @app.post(base + "/migration/leave")
    async def leave(name: str, body: Leave) -> JSONResponse:
        """Our servers have left the delegation: leave the zone to its other signer."""
        done = await engine.migration_leave(absolute(name), body.order(), body.servers)
        return JSONResponse(to_json(done))

    @app.post(base + "/foreign/add")
    async def add(name: str, body: AddForeign) -> JSONResponse:
        """Publish DNSKEYs of another signer."""
        done = await engine.foreign_add(absolute(name), body.order(), body.records)
        return JSONResponse(to_json(done))

    @app.post(base + "/foreign/remove")
    async def remove(name: str, body: RemoveForeign) -> JSONResponse:
        """Take out a DNSKEY of another signer."""
        done = await engine.foreign_remove(absolute(name), body.order(), body.key)
        return JSONResponse(to_json(done))
