"""The real daemon, in a process that dies where its plan says: `launcher CONFIG PLAN`.

Nothing of the daemon is replaced: functions of it are wrapped to note that they were entered or
left. Death at an event is the process's own SIGKILL there; death some time after an event comes
from the kernel, so that it meets the daemon anywhere, whoever holds the interpreter.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from tests.kill.plan import PHASES, Plan
from xfer.control.daemon import UnixControl
from xfer.journal import Journal, blocks, flip
from xfer.server import launch, parsing, phases, pipeline
from xfer.server.notify import Notifier
from xfer.server.refresh import Refresher
from xfer.server.status import Phase
from xfer.server.zones import Zone


class _Event(ctypes.Structure):
    """`struct sigevent`: value, signal, how; the rest is not ours."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("how", ctypes.c_int),
        ("rest", ctypes.c_byte * 48),
    )


class _Spec(ctypes.Structure):
    """`struct itimerspec`: the interval, none here, and the time until the signal."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("_1", "_2", "seconds", "nanoseconds"))


class Killer:
    """A timer of the kernel's that sends SIGKILL; other than a process, it is never late."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL("libc.so.6", use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _Event(None, signal.SIGKILL, 0)
        clock = time.CLOCK_MONOTONIC
        if self._libc.timer_create(clock, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), "timer_create")

    def kill_after(self, seconds: float) -> None:
        spec = ctypes.byref(_Spec(0, 0, int(seconds), max(1, int(seconds % 1 * 1e9))))
        if self._libc.timer_settime(self._timer, 0, spec, None):
            raise OSError(ctypes.get_errno(), "timer_settime")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    while True:
        signal.pause()


class Notes:
    """Notes what happens, and dies at the plan's event the first time that it happens."""

    def __init__(self, plan: Plan, killer: Killer) -> None:
        self._plan = plan
        self._killer = killer
        self._file = os.open(plan.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        self._doomed = False
        self._passed = 0
        self._octets = 0
        self.phase = ""
        self.inside = threading.local()

    def reached(self, event: str, detail: str = "") -> None:
        os.write(self._file, f"{time.monotonic()} {event}{detail}\n".encode())
        if event == self._plan.event and not self._doomed:
            self._passed += 1
            if self._passed <= self._plan.skip:
                return
            self._doomed = True
            if not self._plan.delay:
                die()
            self._killer.kill_after(self._plan.delay)

    def enter_phase(self, zone: Zone, phase: Phase) -> None:
        if phase is Phase.NOTIFYING:
            self.reached("swapped")
        self.phase = phase.value
        if self.phase in PHASES:
            self.reached(self.phase)

    def received(self, octets: int) -> None:
        if self.phase != "receiving":
            return
        before, self._octets = self._octets, self._octets + octets
        if before < self._plan.octets <= self._octets:
            self.reached("octets", f" at {self._octets}")


def wrapped(
    function: Callable[..., Any], before: Callable[[], None], after: Callable[[], None]
) -> Callable[..., Any]:
    """The function, with something done before it and after it has returned."""

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        before()
        result = function(*args, **keywords)
        after()
        return result

    return call


def of_versions(function: Callable[..., Any], noted: Callable[..., Any]) -> Callable[..., Any]:
    """`noted` for calls whose second argument has versions: a commit may be of states alone."""

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        return (noted if args[1] else function)(*args, **keywords)

    return call


def nothing() -> None:
    pass


def watch(notes: Notes) -> None:
    """Wrap what a transfer goes through; see `plan`."""

    def noting(event: str) -> Callable[[], None]:
        return lambda: notes.reached(event)

    def enter(what: str) -> Callable[[], None]:
        def begin() -> None:
            notes.inside.what = what
            notes.reached(f"{what} begin")

        return begin

    phases.enter_phase = wrapped_phase(notes)  # type: ignore[assignment]
    # Any of these in a module that no longer has it is an error at once.
    Journal.write_blocks = wrapped(Journal.write_blocks, enter("write"), noting("write end"))  # type: ignore[method-assign]
    inserting = wrapped(flip.flip, enter("flip"), noting("flip inserted"))
    flip.flip = of_versions(flip.flip, inserting)
    blocks.insert_numbered = wrapped(
        blocks.insert_numbered, nothing, lambda: notes.reached(f"{notes.inside.what} added")
    )
    for name in ("commit_each", "commit_along"):
        commit = getattr(Journal, name)
        committed = wrapped(commit, nothing, noting("flip committed"))
        setattr(Journal, name, of_versions(commit, committed))
    for kind in (parsing.LocalReception, parsing.RemoteReception):
        kind.finish = wrapped(kind.finish, nothing, noting("checked"))  # type: ignore[method-assign]
    pipeline.Parsers.acquire = wrapped(pipeline.Parsers.acquire, nothing, noting("child"))  # type: ignore[method-assign]
    Notifier.notify = wrapped(Notifier.notify, nothing, noting("notify queued"))  # type: ignore[method-assign]

    attempt = Refresher.attempt

    async def whole(*args: Any, **keywords: Any) -> Any:
        outcome = await attempt(*args, **keywords)
        notes.reached("done")
        return outcome

    Refresher.attempt = whole  # type: ignore[method-assign]
    receive_some = trio.SocketStream.receive_some

    async def receive(*args: Any, **keywords: Any) -> Any:
        data = await receive_some(*args, **keywords)
        notes.received(len(data))
        return data

    trio.SocketStream.receive_some = receive  # type: ignore[method-assign]


def wrapped_phase(notes: Notes) -> Callable[[Zone, Phase], None]:
    """`enter_phase`, noted before it is entered."""
    original = phases.enter_phase

    def enter(zone: Zone, phase: Phase) -> None:
        notes.enter_phase(zone, phase)
        original(zone, phase)

    return enter


def main() -> int:
    plan = Plan.from_text(sys.argv[2])
    killer = Killer()
    watch(Notes(plan, killer))
    return launch.run(Path(sys.argv[1]), UnixControl)


if __name__ == "__main__":
    sys.exit(main())
