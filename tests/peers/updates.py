"""Dynamic updates to a primary, by a real client that stays connected to our pipe (RFC 2136)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from tests.peers.process import PeerError, Remote


class Updates:
    """`nsupdate` or `knsupdate`, fed one update after the other; a context manager.

    remote: the primary, whose key signs. `send` returns at once; on leaving the block the client
    ends, and PeerError says what it complained of.
    """

    def __init__(self, remote: Remote, zone: str, *, program: str = "nsupdate") -> None:
        assert remote.key is not None
        key = remote.key
        self._program = program
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the client
        self._process = subprocess.Popen(
            [program, "-y", f"{key.algorithm}:{key.name}:{key.secret}"],
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=self._said,
            text=True,
            bufsize=1,
        )
        self._write(f"server {remote.address} {remote.port}\nzone {zone}\nttl 300\n")

    def send(self, lines: Iterable[str]) -> None:
        """One update: lines like "add www.example. 300 A 192.0.2.1" and "del www.example. A"."""
        self._write("".join(f"update {line}\n" for line in lines) + "send\n")

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def close(self) -> None:
        """End the client when it has sent everything. PeerError where an update failed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._said.seek(0)
        said = self._said.read()
        self._said.close()
        if code or "failed" in said:
            raise PeerError(f"{self._program} ended with {code}: {said[-2000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._process.kill()
            self._process.wait()
            self._said.close()
