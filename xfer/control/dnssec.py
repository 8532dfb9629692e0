"""The control API's part for signing: what is known of a zone's keys, and orders to them.

Public parts only: private keys travel between files of the daemon's machine, which the orders name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from xfer.control.editing import printable
from xfer.control.engine import EngineApi, Ordered
from xfer.control.values import to_json
from xfer.errors import KeyRefused
from xfer.idn import absolute

MOST_KEYS = 100  # in one order
MOST_TEXT = 1 << 18  # characters of records in one order
Ident = Annotated[str, Field(max_length=100)]
FilePath = Annotated[str, Field(max_length=4096, min_length=1)]


class Plain(BaseModel):
    """by: who orders, for the log; dry_run: only say what would follow."""

    model_config = ConfigDict(extra="forbid")
    by: Annotated[str, Field(max_length=256)] = ""
    dry_run: bool = False

    def order(self) -> Ordered:
        return Ordered(printable(self.by, "somebody"), self.dry_run)


class Enable(Plain):
    """joining: another signer serves the zone now."""

    joining: bool = False


class Disable(Plain):
    """cancel: take back what was begun."""

    cancel: bool = False


class Roll(Plain):
    """compromised: somebody else may have the key; key: which, where there are several."""

    what: Literal["ksk", "zsk", "csk", "algorithm"]
    compromised: bool = False
    key: Ident = ""


class DsSeen(Plain):
    """keys: idents of those whose DS was seen; none: of those that are wanted."""

    keys: Annotated[list[Ident], Field(max_length=MOST_KEYS)] = []


class OneKey(Plain):
    """key: its ident, or its tag."""

    key: Ident


class Import(Plain):
    """files: paths on this machine."""

    files: Annotated[list[FilePath], Field(min_length=1, max_length=MOST_KEYS)]


class ImportDnskey(Plain):
    """records: the DNSKEY RRset with its RRSIGs, as lines of a zone file; force: even where it is
    older than the one that is served."""

    records: Annotated[str, Field(max_length=MOST_TEXT)]
    force: bool = False


class Export(Plain):
    """directory: on this machine; keys: idents, all where none is given."""

    directory: FilePath
    keys: Annotated[list[Ident], Field(max_length=MOST_KEYS)] = []


def add_dnssec(app: FastAPI, engine: EngineApi, base: str) -> None:
    """Add the routes below `base`; their errors are the app's."""
    _add_questions(app, engine, base + "/zones/{name}/dnssec")
    _add_orders(app, engine, base + "/zones/{name}/dnssec")


def _add_questions(app: FastAPI, engine: EngineApi, base: str) -> None:
    @app.get(base)
    async def status(name: str) -> JSONResponse:
        """Everything known of the zone's signing."""
        return _answer(await engine.dnssec_status(absolute(name)))

    @app.get(base + "/ds")
    async def ds(
        name: str, digest: Annotated[int, Query(ge=0, le=255)] = 2, every: bool = False
    ) -> JSONResponse:
        """The DS that are to be at the parent; every: of all keys that may have one."""
        return _answer(await engine.dnssec_ds(absolute(name), digest, every))

    @app.get(base + "/dnskey")
    async def dnskey(name: str) -> JSONResponse:
        """The DNSKEYs of ours that are published."""
        return _answer(await engine.dnssec_dnskey(absolute(name)))

    @app.get(base + "/zsk")
    async def zsk(name: str) -> JSONResponse:
        """The DNSKEYs that other signers of the zone have to publish."""
        return _answer(await engine.dnssec_zsk(absolute(name)))


def _add_orders(app: FastAPI, engine: EngineApi, base: str) -> None:
    @app.post(base + "/ask-parent")
    async def ask_parent(name: str) -> JSONResponse:
        """Ask the parent for the DS now."""
        return _answer(await engine.dnssec_ask_parent(absolute(name)))

    @app.post(base + "/enable")
    async def enable(name: str, body: Enable | None = None) -> JSONResponse:
        """Sign a zone again whose signing was ended."""
        asked = body or Enable()
        return _answer(await engine.dnssec_enable(absolute(name), asked.order(), asked.joining))

    @app.post(base + "/disable")
    async def disable(name: str, body: Disable | None = None) -> JSONResponse:
        """Begin to end its signing, or cancel that."""
        asked = body or Disable()
        return _answer(await engine.dnssec_disable(absolute(name), asked.order(), asked.cancel))

    @app.post(base + "/delete")
    async def delete(name: str, body: Plain | None = None) -> JSONResponse:
        """Serve it without DNSSEC."""
        return _answer(await engine.dnssec_delete(absolute(name), (body or Plain()).order()))

    @app.post(base + "/roll")
    async def roll(name: str, body: Roll) -> JSONResponse:
        """Begin a rollover."""
        return _answer(
            await engine.dnssec_roll(
                absolute(name), body.order(), body.what, body.compromised, body.key
            )
        )

    @app.post(base + "/ds-seen")
    async def ds_seen(name: str, body: DsSeen | None = None) -> JSONResponse:
        """The operator has seen the DS at all of the parent's servers."""
        asked = body or DsSeen()
        return _answer(await engine.dnssec_ds_seen(absolute(name), asked.order(), asked.keys))

    @app.post(base + "/ds-gone")
    async def ds_gone(name: str, body: Plain | None = None) -> JSONResponse:
        """The operator has seen no DS of ours at any of the parent's servers."""
        return _answer(await engine.dnssec_ds_gone(absolute(name), (body or Plain()).order()))

    @app.post(base + "/shared")
    async def shared(name: str, body: OneKey) -> JSONResponse:
        """All other signers of the zone publish this key of ours."""
        return _answer(await engine.dnssec_shared(absolute(name), body.order(), body.key))

    @app.post(base + "/remove-key")
    async def remove_key(name: str, body: OneKey) -> JSONResponse:
        """Forget a key that nobody can need."""
        return _answer(await engine.dnssec_remove_key(absolute(name), body.order(), body.key))

    @app.post(base + "/import")
    async def import_keys(name: str, body: Import) -> JSONResponse:
        """Take keys over from BIND's key files on this machine."""
        files = [_path(file) for file in body.files]
        return _answer(await engine.dnssec_import(absolute(name), body.order(), files))

    @app.post(base + "/import-dnskey")
    async def import_dnskey(name: str, body: ImportDnskey) -> JSONResponse:
        """Publish a DNSKEY RRset that somebody else has signed (RFC 8901 model 1)."""
        return _answer(
            await engine.dnssec_import_dnskey(
                absolute(name), body.order(), body.records, body.force
            )
        )

    @app.post(base + "/export")
    async def export(name: str, body: Export) -> JSONResponse:
        """Copy keys as BIND's key files into a directory of this machine, mode 0600."""
        directory = _path(body.directory)
        return _answer(
            await engine.dnssec_export(absolute(name), body.order(), directory, body.keys)
        )


def _path(text: str) -> Path:
    """Raises KeyRefused for what names no place of the whole machine."""
    if not text.startswith("/") or not text.isprintable():
        raise KeyRefused("an absolute path of printable characters", repr(text[:80]))
    return Path(text)


def _answer(value: object) -> JSONResponse:
    return JSONResponse(to_json(value))
