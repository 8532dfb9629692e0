"""Where work that would hold up the event loop runs: injected, so that tests meet no real thread.

Kernel calls are bounded to a block or a message each (DESIGN §2); what runs here is a loop over
them, so the interpreter switches back to the event loop between any two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, TypeVarTuple

import trio

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Executor(Protocol):
    """Runs a plain function outside the event loop and waits for it."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T: ...


class ThreadExecutor:
    """Worker threads, at most `threads` at a time. A call that runs is never abandoned."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._limiter: trio.CapacityLimiter | None = None

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(self._threads)
        return await trio.to_thread.run_sync(function, *args, limiter=self._limiter)


class InlineExecutor:
    """Runs the function at once in the calling task: for tests and for tiny programs."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        await trio.lowlevel.checkpoint()
        return function(*args)
