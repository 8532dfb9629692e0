"""CPU time and memory of a server, over all of its processes, from /proc.

Processes belong to a server by their session, so that those which outlive their parent (NSD's
reload) are found too. Sampled by a thread; what a process used after its last sample is lost,
at most one interval's worth.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.peers import sessions

_TICK = os.sysconf("SC_CLK_TCK")
_INTERVAL = 0.05


class Meter:
    """Watches all processes of session `leader` from now on.

    After `stop`: `cpu_seconds` (user and system), `peak_bytes` (the largest sum, over one sample's
    processes, of each one's VmHWM; pages that several share count for each). `sampling` may be
    off where no process comes or goes: then nothing runs beside what is measured.
    """

    def __init__(self, leader: int, *, sampling: bool = True) -> None:
        self._leader = leader
        self._foreign: set[int] = set()
        self._ticks: dict[int, int] = {}
        self._base: dict[int, int] = {}
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        for pid in self._processes():
            # 5 resets VmHWM to what is resident now.
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                continue
        self._sample()
        self._base = dict(self._ticks)
        self._thread = threading.Thread(target=self._run, daemon=True)
        if not sampling:
            self._stop.set()
        self._thread.start()

    def _processes(self) -> list[int]:
        found = []
        for pid in sessions.pids():
            if pid in self._foreign:
                continue
            process = sessions.process(pid)
            if process is None:
                continue
            if process.session != self._leader:
                # A new process is in its parent's session for a moment: look at it again.
                if process.parent != self._leader:
                    self._foreign.add(pid)
                continue
            found.append(pid)
            self._ticks[pid] = process.ticks
        return found

    def _sample(self) -> None:
        with self._lock:
            total = 0
            for pid in self._processes():
                status = sessions.read(f"/proc/{pid}/status")
                at = status.find(b"VmHWM:")
                if at >= 0:
                    total += int(status[at + 6 :].split(None, 1)[0]) * 1024
            self.peak_bytes = max(self.peak_bytes, total)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._sample()

    @property
    def cpu_seconds(self) -> float:
        """CPU time since the meter began, of ended processes too."""
        used = sum(ticks - self._base.get(pid, 0) for pid, ticks in self._ticks.items())
        return used / _TICK

    def settle(self, quiet: float = 0.3, timeout: float = 20.0) -> None:
        """Wait until the server has used no CPU worth mentioning for `quiet` seconds."""
        pause = threading.Event()
        for _ in range(int(timeout / quiet)):
            before = self.cpu_seconds
            pause.wait(quiet)
            self._sample()
            if self.cpu_seconds - before <= 0.02:
                return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
