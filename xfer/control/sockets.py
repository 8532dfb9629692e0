"""The control socket: whose it is, and how it comes to be.

A lock file beside the socket decides who may bind it; the socket file itself says nothing, since a
daemon that was killed leaves it behind. Whoever holds the lock may remove what lies there.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path
from types import TracebackType

from xfer.errors import ControlError

LONGEST = 107  # octets of a path in sockaddr_un, without the final zero
BACKLOG = 64


class ControlSocket:
    """The right to a control socket path, and the listening socket once `bind` was called.

    Raises ControlError where another process holds it. A context manager; leaving it removes the
    socket. The lock file stays: removing it would let two daemons hold two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket: socket.socket | None = None
        if len(os.fsencode(path)) > LONGEST:
            raise ControlError(
                f"the control socket {path} has a longer path than the {LONGEST} octets that "
                "Unix sockets can have: set a shorter `control` in [server]"
            )
        lock = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ControlError(
                f"the lock {lock} cannot be made ({error.strerror}): set `control` in [server] to "
                "a path in a directory this user may write"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._lock)
            raise ControlError(
                f"another xfer daemon (process {holder}) holds the control socket {path}"
            ) from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    def bind(self) -> socket.socket:
        """Listen on the path, mode 0600 from its first moment; a stale socket is replaced."""
        try:
            if stat.S_ISSOCK(self.path.lstat().st_mode):
                self.path.unlink()
        except FileNotFoundError:
            pass
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            os.fchmod(listener.fileno(), 0o600)  # what bind gives the file, without an umask
            listener.bind(str(self.path))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise ControlError(
                f"the control socket {self.path} cannot be made: {error.strerror}"
            ) from error
        self._socket = listener
        return listener

    def close(self) -> None:
        """Remove the socket and give up the right to it. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self.path.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> ControlSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
