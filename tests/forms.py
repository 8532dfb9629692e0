"""`python -m tests.forms [arguments of pytest]`: all tests in both forms of the kernel at once.

Those with the mark `lab` are a run of their own in each form: most of the time they wait for
servers and for TTLs, so four runs take hardly longer than the two that compute. What the compiled
kernel prints without the lab is seen as it comes, the other output follows it. Exit status 0 where
all passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import IO, Final

NOTHING: Final = 5  # pytest's exit status where it found no test
LAB: Final = ("lab", "not lab")


def main(arguments: list[str]) -> int:
    """Run all; the exit status of the first that failed, else 0."""
    marks = [()] if "-m" in arguments else [("-m", mark) for mark in LAB]
    *others, shown = [(form, mark) for form in ("pure", "compiled") for mark in marks]
    behind: list[tuple[str, subprocess.Popen[bytes], IO[bytes]]] = []
    try:
        for form, mark in others:
            output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
            behind.append(
                (" ".join((form, *mark[1:])), _start(form, mark, arguments, output), output)
            )
        statuses = [_start(*shown, arguments, None).wait()]
        for name, process, output in behind:
            statuses.append(process.wait())
            output.seek(0)
            sys.stdout.flush()
            print(f"\n=== {name} ===", flush=True)
            sys.stdout.buffer.write(output.read())
            sys.stdout.flush()
    finally:
        for _, process, output in behind:
            if process.poll() is None:
                process.terminate()
                process.wait()
            output.close()
    failed = [status for status in statuses if status not in (0, NOTHING)]
    return failed[0] if failed else (0 if 0 in statuses else NOTHING)


def _start(
    form: str, mark: tuple[str, ...], arguments: list[str], output: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", *mark, *arguments]
    environment = dict(os.environ)
    if output is not None:
        command += ["-p", "no:cacheprovider"]  # which is for one at a time
    if form == "pure":
        environment["XFER_PURE"] = "1"
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
