"""Serving the control API on its Unix socket, inside the daemon's nursery.

Importing FastAPI takes half a second in which other threads crawl, so it waits for the first client
or for a moment in which no transfer runs; until then clients wait in the socket's backlog.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import structlog
import trio

from xfer.control.engine import EngineApi
from xfer.control.sockets import ControlSocket

QUIET = 10.0  # seconds after which, without a client, it is looked whether transfers run
IDLE = 60.0  # seconds a connection may stay open without a request
BODY_LIMIT = 1 << 20
IMPORT_LIMIT = 256 << 20


async def serve_control(
    engine: EngineApi,
    control: Path | ControlSocket,
    *,
    body_limit: int = BODY_LIMIT,
    import_limit: int = IMPORT_LIMIT,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; the socket is then removed.

    control: the path, or the right to it where the daemon claimed it before doing anything else.
    Started once clients can connect. Raises ControlError where another daemon holds the path.
    """
    claimed = ControlSocket(control) if isinstance(control, Path) else control
    with claimed:
        listener = claimed.bind()
        task_status.started()
        await _until_wanted(listener, engine)
        app, config, serve = await trio.to_thread.run_sync(
            _prepare, engine, body_limit, import_limit
        )
        # hypercorn closes what it is given; the file stays ours to remove.
        config.bind = [f"fd://{listener.dup().detach()}"]
        await serve(app, config)


async def _until_wanted(listener: socket.socket, engine: EngineApi) -> None:
    while True:
        with trio.move_on_after(QUIET) as scope:
            await trio.lowlevel.wait_readable(listener)
        if not scope.cancelled_caught or not engine.busy():
            return


def _prepare(engine: EngineApi, body_limit: int, import_limit: int) -> tuple[Any, Any, Any]:
    """The slow imports, in a worker thread."""
    from functools import partial

    from hypercorn.config import Config
    from hypercorn.trio import serve

    from xfer.control.app import make_app

    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.logger_class = _quiet_logger()
    config.keep_alive_timeout = IDLE
    config.graceful_timeout = 1.0
    config.include_server_header = False
    return make_app(engine, body_limit, import_limit), config, partial(serve, mode="asgi")


def _quiet_logger() -> Any:
    """hypercorn's log interface over structlog: what goes wrong, and nothing of what goes well."""
    from hypercorn.logging import Logger

    log = structlog.get_logger()

    class StructLogger(Logger):
        async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:
            log.exception("control.exception", problem=message)

        async def error(self, message: str, *args: Any, **kwargs: Any) -> None:
            log.error("control.error", problem=message)

        async def warning(self, message: str, *args: Any, **kwargs: Any) -> None:
            log.warning("control.warning", problem=message)

    return StructLogger
