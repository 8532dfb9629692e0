"""The control API as the daemon is handed it: `xfer.server` lies below, and must not import us."""

from __future__ import annotations

from pathlib import Path

from xfer.control.engine import EngineApi
from xfer.control.serve import serve_control
from xfer.control.sockets import ControlSocket


class UnixControl:
    """Implements `xfer.server.daemon.Control` over a Unix socket."""

    def claim(self, path: Path) -> ControlSocket:
        """Take the right to the socket. Raises ControlError where another daemon has it."""
        return ControlSocket(path)

    async def serve(
        self, engine: EngineApi, claim: ControlSocket, body_limit: int, import_limit: int
    ) -> None:
        """Serve until cancelled; the socket is then removed."""
        await serve_control(engine, claim, body_limit=body_limit, import_limit=import_limit)
