"""Processes of xfer by fork from one that has imported all of it, where tests start many.

An import of all that a daemon needs takes a second of CPU time, more than most tests do with it.
Here one process has done that, and forks for each start; what it forks is what `python -m MODULE`
would be from there on. `pytest` uses it (`use`, in conftest.py). Benchmarks, for which start and
memory count, start real processes, and so do `make kill` and tests of the start itself.
"""

from __future__ import annotations

import json
import os
import pkgutil
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import attrs

_LARGEST: Final = 1 << 20  # octets of a request
_FORM: Final = "XFER_PURE"  # of the kernel, chosen at import
_ready: dict[str | None, _Ready] = {}
_starting = threading.Lock()
_in_use = False


def use() -> None:
    """From now on, fork."""
    global _in_use
    _in_use = True


def forks(environment: Mapping[str, str]) -> bool:
    """Whether a process with this environment is forked: what the linker reads needs a real one."""
    return _in_use and "LD_PRELOAD" not in environment


def close() -> None:
    """End the processes that fork; what they have forked stays."""
    while _ready:
        _ready.popitem()[1].close()


@attrs.define(eq=False)
class Started:
    """A process that was forked: what tests use of `subprocess.Popen`."""

    pid: int
    args: Sequence[str]
    returncode: int | None = None
    _end: socket.socket = attrs.field(kw_only=True)  # where its exit status comes from

    def poll(self) -> int | None:
        """The exit status, negative where a signal ended it, or None while it runs."""
        if self.returncode is None:
            self._receive(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._receive(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def _receive(self, timeout: float | None) -> None:
        self._end.settimeout(timeout)
        try:
            told = self._end.recv(64)
        except (BlockingIOError, TimeoutError):
            return
        self._end.close()
        self.returncode = int(told) if told else -signal.SIGKILL  # told nothing: the forker ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path | None,
    stdout: IO[Any],
    stderr: IO[Any],
) -> Started:
    """Start the command, which is `python -m MODULE …`, in a session of its own, without input."""
    form = environment.get(_FORM)
    with _starting:  # several threads may want the first process of a form
        if form not in _ready:
            _ready[form] = _Ready(environment)
    return _ready[form].start(command, environment, cwd, stdout, stderr)


def run(
    command: Sequence[str], environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run such a command to its end; raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = start(command, environment, None, out, err)
        try:
            code = started.wait(timeout)
        except BaseException:
            started.kill()
            started.wait()
            raise
        for output in (out, err):
            output.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), err.read())


class _Ready:
    """A process that forks when it is asked to, as tests see it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.peers.ready", str(theirs.fileno())],
                env=dict(environment),
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket = ours

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path | None,
        stdout: IO[Any],
        stderr: IO[Any],
    ) -> Started:
        end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            request = json.dumps([command[2:], dict(environment), str(cwd or Path.cwd())])
            handles = [stdout.fileno(), stderr.fileno(), theirs.fileno()]
            socket.send_fds(self._socket, [request.encode()], handles)
        return Started(int(end.recv(64)), command, end=end)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


# In the process that forks.


def _fork_on_request(requests: socket.socket) -> list[str] | None:
    """Serve until the other side ends (None), or returns in a forked process: module and words."""
    ends: dict[int, socket.socket] = {}
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for ready, _ in selector.select():
                if ready.fileobj is woken:
                    woken.recv(4096)
                    _reap(ends)
                    continue
                request, handles, _, _ = socket.recv_fds(requests, _LARGEST, 3)
                if not request:
                    return None
                stdout, stderr, end = handles
                pid = os.fork()
                if pid == 0:
                    break
                os.close(stdout)
                os.close(stderr)
                ends[pid] = socket.socket(fileno=end)
                ends[pid].send(str(pid).encode())
            else:
                continue
            break
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for other in (*ends.values(), woken, wake, requests):
        other.close()
    os.close(end)
    return _become(request, stdout, stderr)


def _reap(ends: dict[int, socket.socket]) -> None:
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with ends.pop(pid) as end:
            try:
                end.send(str(os.waitstatus_to_exitcode(status)).encode())
            except OSError:  # nobody waits for it any more
                pass


def _become(request: bytes, stdout: int, stderr: int) -> list[str]:
    """Be a new process in all that one does not share with others; its module and words."""
    words, environment, cwd = json.loads(request)
    os.setsid()
    for number, handle in ((1, stdout), (2, stderr)):
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    found: list[str] = words
    return found


def main() -> None:
    """`python -m tests.peers.ready DESCRIPTOR`: import all, then fork on request."""
    import xfer

    for found in pkgutil.walk_packages(xfer.__path__, "xfer."):
        if not found.name.endswith("__main__"):
            __import__(found.name)
    words = _fork_on_request(socket.socket(fileno=int(sys.argv[1])))
    if words is not None:
        module, *sys.argv[1:] = words
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
