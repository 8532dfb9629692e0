"""Private keys whose zone is not configured: told of, with their place, and never deleted.

A zone that comes back while its DS is still at the parent is bogus unless it goes on with the keys
that the DS is of (`xfer.server.found_keys`), so the engine keeps them for longer than the zone's
versions. That they are no longer needed only an operator knows, who then removes the directory.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Final

import attrs

from xfer.dnssec.keyfiles import ident_in
from xfer.errors import XferError
from xfer.server import keydir
from xfer.server.keystore import MOST_FILES, REMOVED, ROOT, KeyStore
from xfer.wire import names

_ESCAPED: Final = re.compile("%([0-9A-F]{2})")
_PRIVATE: Final = ".private"


@attrs.frozen
class LeftKeys:
    """keys: private ones in the directory of a zone, those among them that were put aside."""

    zone: str
    directory: Path
    keys: int


def in_directory(place: Path) -> int:
    """How many private keys a zone's directory holds, up to `MOST_FILES`. Raises KeyRefused."""
    found = 0
    for directory in (place, place / REMOVED):
        if keydir.is_directory(directory):
            with keydir.explained(directory, "a directory of keys that can be read"):
                found += sum(
                    file.suffix == _PRIVATE and bool(ident_in(file.name.removesuffix(_PRIVATE)))
                    for file in islice(directory.iterdir(), MOST_FILES)
                )
    return found


def left_keys(store: KeyStore, configured: Collection[bytes], most: int) -> list[LeftKeys]:
    """Up to `most` directories with private keys of zones that are not configured, by their names.

    For worker threads. A directory that is no zone's is passed over. Raises KeyRefused.
    """
    if not keydir.is_directory(store.directory):
        return []
    ours = {store.zone_directory(origin).name for origin in configured}
    with keydir.explained(store.directory, "a directory of keys that can be read"):
        there = sorted(one for one in store.directory.iterdir() if one.name not in ours)
    found: list[LeftKeys] = []
    for place in there:
        if len(found) == most:
            break
        origin = _zone_of(place.name)
        count = in_directory(place) if origin is not None and place.is_dir() else 0
        if origin is not None and count:
            found.append(LeftKeys(names.to_text(origin), place, count))
    return found


def _zone_of(directory: str) -> bytes | None:
    """The zone whose directory has that name; None where there is none."""
    if directory == ROOT:
        return names.from_text(".")
    text = _ESCAPED.sub(lambda found: f"\\{int(found[1], 16):03}", directory)
    try:
        return names.from_text(f"{text}.")
    except (XferError, ValueError):
        return None
