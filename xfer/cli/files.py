"""Output files that appear whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from xfer.errors import XferError


class OutputError(XferError):
    """The output file cannot be written."""


@contextmanager
def replacing(path: Path | None) -> Iterator[BinaryIO]:
    """A binary stream that becomes `path` when the block ends well; None or "-": standard output.

    The content is on disk before the name changes; the file keeps the mode it had, or takes the
    umask's. Raises OutputError, and leaves the old file where anything fails.
    """
    if path is None or str(path) == "-":
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # who reads has enough
        except OSError as error:
            raise OutputError(f"standard output cannot be written: {error.strerror}") from error
        return
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe
        with _explained(path), path.open("wb") as device:
            yield device
        return
    with _explained(path):
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent or Path())
    partial = Path(name)
    try:
        with os.fdopen(number, "wb") as out:
            yield out
            with _explained(path):
                os.fchmod(out.fileno(), _mode(path))
                out.flush()
                os.fsync(out.fileno())
        with _explained(path):
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
