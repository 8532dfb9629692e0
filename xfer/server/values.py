"""Plain values on their way to another process of ours, and back.

Numbers, octets, strings, None, and lists, tuples and dictionaries of them, packed by `marshal`,
which is fast and makes nothing else. It trusts what it reads: only for sockets that nobody but our
own processes, of the same Python, can reach. Through a `Connection`, which keeps them apart, go
`send` and `receive`; through a bare socket go frames, each with its length before it.

Small processes import this: it imports nothing that they do not need.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_LENGTH = struct.Struct("!I")
_NO_REFERENCES = 2  # the version of `marshal` that does not look for values that occur twice


def send(connection: Connection, *values: Any) -> None:
    """Send values. Raises OSError."""
    connection.send_bytes(marshal.dumps(values, _NO_REFERENCES))


def receive(connection: Connection) -> Any:
    """The values of one `send`. Raises EOFError, OSError."""
    return marshal.loads(connection.recv_bytes())


def frame(*values: Any) -> bytes:
    """Values for the other side of a socket."""
    octets = marshal.dumps(values, _NO_REFERENCES)
    return _LENGTH.pack(len(octets)) + octets


class Frames:
    """What comes through a socket, put together again."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def feed(self, octets: bytes) -> Iterator[Any]:
        """The values of the frames that are now whole."""
        parts = self._parts
        parts += octets
        at = 0
        while len(parts) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(parts, at)
            begin = at + _LENGTH.size
            if len(parts) - begin < size:
                break
            yield marshal.loads(memoryview(parts)[begin : begin + size])
            at = begin + size
        del parts[:at]
