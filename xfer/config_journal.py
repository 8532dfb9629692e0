"""The journal in the config: the one rule for where it lies, and how much it keeps by default.

    sqlite:///var/lib/xfer/journal.db     absolute: /var/lib/xfer/journal.db; so are four slashes
    /var/lib/xfer/journal.db              the same
    sqlite:state/journal.db               relative, and so is a path without `sqlite:`

What relative paths start from is for the caller to say: the config file's directory in the config,
the working directory on the command line. SQLAlchemy's URLs differ: three slashes are relative.
"""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "sqlite:///var/lib/xfer/journal.db"
KEEP_VERSIONS = 100
JOURNAL_SHARE = 2.0  # times the size of a zone's largest kept version
JOURNAL_FLOOR = 1 << 20  # octets
KEEP_AGE = 0.0  # seconds since a version was replaced; 0: no limit


class NoJournal(ValueError):
    """Text that names no journal; `str()` says what was expected and what came."""


def sqlite_path(given: str) -> Path:
    """The file that a path or URL names. Raises NoJournal."""
    scheme, colon, rest = given.partition(":")
    if colon and scheme == "sqlite":
        if rest.startswith("///"):
            rest = "/" + rest.lstrip("/")
        elif rest.startswith("/"):
            raise NoJournal(f"expected a journal like {EXAMPLE!r}, got {given!r}")
    elif "://" in given or scheme.partition("+")[0] in ("postgresql", "postgres", "sqlite"):
        raise NoJournal(f"expected a journal like {EXAMPLE!r}, got the scheme {scheme!r}")
    else:
        rest = given
    path = Path(rest)
    if path.name in ("", ":memory:"):
        raise NoJournal(f"expected a file for the journal, like {EXAMPLE!r}, got {given!r}")
    return path


def sqlite_url(path: Path) -> str:
    """The URL of an absolute path, with three slashes."""
    return f"sqlite://{path}"
