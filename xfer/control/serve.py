"""Serving the control API on its Unix socket, inside the daemon's nursery.

Importing FastAPI takes half a second: it happens in a thread after the daemon answers DNS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog
import trio

from xfer.control.engine import EngineApi
from xfer.control.sockets import ControlSocket

IDLE = 60.0  # seconds a connection may stay open without a request
BODY_LIMIT = 1 << 20


async def serve_control(
    engine: EngineApi,
    control: Path | ControlSocket,
    *,
    body_limit: int = BODY_LIMIT,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; the socket is then removed.

    control: the path, or the right to it where the daemon claimed it before doing anything else.
    Started once requests are answered. Raises ControlError where another daemon holds the path.
    """
    claimed = ControlSocket(control) if isinstance(control, Path) else control
    with claimed:
        app, config, serve = await trio.to_thread.run_sync(_prepare, engine, body_limit)
        listener = claimed.bind()
        # hypercorn closes what it is given; the file stays ours to remove.
        config.bind = [f"fd://{listener.dup().detach()}"]
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, app, config)
            task_status.started()


def _prepare(engine: EngineApi, body_limit: int) -> tuple[Any, Any, Any]:
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
    return make_app(engine, body_limit), config, partial(serve, mode="asgi")


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
