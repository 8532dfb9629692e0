"""`python -m tests.forms [arguments of pytest]`: all tests in both forms of the kernel at once.

Most of the time the tests wait for servers, so two runs take hardly longer than one. What the run
with the compiled kernel prints is seen as it comes, the other one's output follows it. Exit status
0 where both passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile


def main(arguments: list[str]) -> int:
    """Run both; the exit status of the first that failed, else 0."""
    command = [sys.executable, "-m", "pytest", *arguments]
    with tempfile.TemporaryFile() as output:
        pure = subprocess.Popen(
            [*command, "-p", "no:cacheprovider"],
            env={**os.environ, "XFER_PURE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            compiled = subprocess.run(command, check=False).returncode
        except BaseException:
            pure.terminate()
            pure.wait()
            raise
        status = pure.wait()
        output.seek(0)
        sys.stdout.flush()
        print("\n=== the same with the kernel pure ===", flush=True)
        sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    return compiled or status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
