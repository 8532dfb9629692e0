"""One process writes to a journal: an advisory lock on a file beside it.

SQLite's own locks last for a transaction; a daemon holds its journal for its whole life, because
it keeps counts and pins in memory. The kernel drops the lock with the process, however it dies.
"""

from __future__ import annotations

import fcntl
import os

import attrs

from xfer.errors import JournalError, JournalLocked


@attrs.define(eq=False)
class WriterLock:
    """The lock on `path`, taken by `take` and held until `release`."""

    path: str
    _descriptor: int

    @classmethod
    def take(cls, path: str) -> WriterLock:
        """Raises JournalLocked, naming the holder, and JournalError where it cannot be made."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(
                f"{path}: expected a lock file to write, got {error.strerror}"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise JournalLocked(
                f"{path}: expected to be the only writer, got a lock held by process {holder}: "
                "stop that daemon first, or give each daemon a journal of its own"
            ) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except OSError:
            pass  # a full disk must not keep us from reading; only the name of the holder is lost
        return cls(path, descriptor)

    def release(self) -> None:
        """Let the next writer in; the file stays, since removing it would race with them."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
