"""Files of private keys: only their owner reads them, and they come into being whole or not at all.

A new file is written under another name, synced, and then linked to its own name, which fails where
that exists already: nothing is ever overwritten. A process that is killed leaves at most a file
`.new-…`, which nobody reads.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from xfer.dnssec.keyfiles import MOST_OCTETS
from xfer.errors import KeyRefused
from xfer.log import Secret

NEW: Final = ".new-"
_OTHERS: Final = 0o077
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


@contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """OSError → KeyRefused with the path and the system's reason; what: what was to happen."""
    try:
        yield
    except OSError as error:
        raise KeyRefused(what, error.strerror or type(error).__name__, str(path)) from None


def check_directory(path: Path) -> None:
    """Raises KeyRefused where it is no directory, somebody else's, or open to others."""
    with explained(path, "a directory of keys"):
        found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise KeyRefused("a directory of keys", "something else", str(path))
    _check_owner(path, found)
    if found.st_mode & _OTHERS:
        raise KeyRefused(
            "mode 0700, so that nobody else gets at private keys",
            f"{stat.S_IMODE(found.st_mode):04o}",
            str(path),
            f"run: chmod 700 {shlex.quote(str(path))}",
        )


def is_directory(path: Path) -> bool:
    """Whether there is a directory of keys; raises KeyRefused where that cannot be told."""
    with explained(path, "a directory of keys that can be looked into"):
        return path.is_dir()


def make_directory(path: Path) -> None:
    """The directory, with mode 0700, where it is not there yet."""
    if is_directory(path):
        return
    with explained(path, "a directory of keys that can be made"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        _sync(path.parent)


def read_private(path: Path) -> Secret:
    """A file of a private key. Raises KeyRefused where others may read it, or it is no file."""
    return Secret(_read(path, private=True))


def read_private_anywhere(path: Path) -> Secret:
    """A file of a private key that is not kept here: with any mode."""
    return Secret(_read(path, private=False))


def read_public(path: Path) -> str:
    """A file of a public key."""
    try:
        return _read(path, private=False).decode()
    except UnicodeDecodeError:
        raise KeyRefused("text", "other octets", str(path)) from None


def _read(path: Path, *, private: bool) -> bytes:
    # O_NONBLOCK: opening a pipe that somebody put there does not hang.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    with explained(path, "a key file that can be read"):
        number = os.open(path, flags)
        with os.fdopen(number, "rb") as file:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode):
                raise KeyRefused("a key file", "something else", str(path))
            if private:
                _check_owner(path, found)
            if private and found.st_mode & _OTHERS:
                raise KeyRefused(
                    "mode 0600, so that nobody else reads the private key",
                    f"{stat.S_IMODE(found.st_mode):04o}",
                    str(path),
                    f"run: chmod 600 {shlex.quote(str(path))}",
                )
            octets = file.read(MOST_OCTETS + 1)
    if len(octets) > MOST_OCTETS:
        raise KeyRefused(f"at most {MOST_OCTETS} octets", f"{found.st_size}", str(path))
    return octets


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise KeyRefused(
            f"an owner of uid {os.geteuid()} or root",
            f"uid {found.st_uid}",
            str(path),
            f"run: chown {os.geteuid()} {shlex.quote(str(path))}",
        )


def write_new(path: Path, octets: Secret) -> None:
    """A new file with mode 0600, on disk when this returns. Raises KeyRefused where it exists."""
    partial = path.with_name(NEW + path.name)
    with explained(path, "a key file that can be written"):
        partial.unlink(missing_ok=True)
        number = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(octets.reveal())
                file.flush()
                os.fsync(number)
            _link(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        _sync(path.parent)


def move_new(source: Path, target: Path) -> None:
    """A file to a name that nothing has yet; done again after a kill, it ends what was begun."""
    with explained(source, "a key file that can be moved"):
        if not (target.exists() and target.samefile(source)):
            _link(source, target)
            _sync(target.parent)
        source.unlink(missing_ok=True)
        _sync(source.parent)


def sweep(directory: Path) -> None:
    """Remove what writes that were cut short have left."""
    with explained(directory, "a directory of keys"):
        for left in directory.glob(NEW + "*"):
            left.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise KeyRefused("a new file", "one that exists already", str(target)) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without links: one process writes here, so looking first is enough.
        if target.exists():
            raise KeyRefused("a new file", "one that exists already", str(target)) from None
        source.rename(target)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
