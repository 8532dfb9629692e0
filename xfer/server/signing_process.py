"""A process that signs for the daemon: `signpool.py` has the daemon's side.

`cryptography` holds the interpreter while it signs, so that threads sign no faster than one, and
answers wait for them. Keys come through the socket, of which nobody else has an end; they are never
on a command line, in the environment or on a disk, and go with the job that they came for.

    command                          answer
    job, number, recipe, keys        none
    portion, job, …                  job, number of the portion, records, signatures made;
                                     where it cannot be done None and why
    forget, job                      none

The process ends when the daemon does, because its socket then ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from xfer.dnssec.keys import SigningKey, from_der
from xfer.dnssec.recipe import Recipe, Sign
from xfer.dnssec.work import Portion, Task, sign
from xfer.log import Secret
from xfer.server.values import Frames, frame

COMMAND = f"from {__name__} import main; main()"
"""For `python -c`; the argument is the socket. Not -m: the classes would be `__main__`'s there."""

BEHIND = 5  # steps of priority behind the daemon, whose answers must not wait for signatures
READ = 1 << 18


def packed_job(number: int, recipe: Recipe, keys: tuple[SigningKey, ...]) -> bytes:
    """The command for a job. keys: all that the recipe names, in its order."""
    private = [(key.algorithm, key.flags, key.private_der().reveal()) for key in keys]
    return frame("job", number, pickle.dumps(recipe), private)


def packed_portion(job: int, portion: Portion) -> bytes:
    """The command for a portion of a job."""
    part = portion
    runs = (part.records, part.cut, part.before, part.after, part.old, part.entries)
    return frame("portion", job, part.number, part.task.value, *runs, part.following)


def packed_forget(job: int) -> bytes:
    """The command that ends a job."""
    return frame("forget", job)


class Jobs:
    """The jobs that a process has, and the commands of it."""

    def __init__(self) -> None:
        self._jobs: dict[int, tuple[Recipe, list[Sign]]] = {}

    def take(self, command: str, job: int, *arguments: Any) -> Iterator[bytes]:
        """Do a command; its answer, where it has one."""
        if command == "job":
            recipe, private = arguments
            keys = [from_der(number, flags, Secret(der)) for number, flags, der in private]
            self._jobs[job] = pickle.loads(recipe), [key.sign for key in keys]
        elif command == "portion":
            yield self._portion(job, *arguments)
        else:
            self._jobs.pop(job, None)

    def _portion(self, job: int, number: int, task: str, *runs: Any) -> bytes:
        try:
            signed = sign(*self._jobs[job], Portion(number, Task(task), *runs))
        except Exception as error:  # the daemon does it again, and tells what is wrong with it
            return frame(job, number, None, type(error).__name__)
        return frame(job, number, signed.records, signed.made)


def main() -> None:
    """The process. Signals are for the daemon, whose end is ours too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(BEHIND)
    gc.disable()  # what a portion makes has no cycles, and there is much of it to look through
    jobs, frames = Jobs(), Frames()
    with (
        socket.socket(fileno=int(sys.argv[1])) as control,
        contextlib.suppress(BrokenPipeError, ConnectionResetError),
    ):
        while octets := control.recv(READ):
            for values in frames.feed(octets):
                for answer in jobs.take(*values):
                    control.sendall(answer)
