"""A lock that is granted in the order of asking.

`threading.Lock` lets a thread that releases it take it again at once, so a large zone that writes
ahead piece by piece would shut out the commits of all others between its pieces.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

import attrs


@attrs.define(eq=False)
class Turns:
    """`with turns:` waits for its turn."""

    _mutex: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _queue: deque[threading.Lock] = attrs.field(factory=deque, init=False)
    _busy: bool = attrs.field(default=False, init=False)

    def __enter__(self) -> None:
        with self._mutex:
            if not self._busy:
                self._busy = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._queue.append(gate)
        gate.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._busy = False
