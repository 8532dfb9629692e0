"""kill -9 at any moment: what was reported durable is there, whole, and nothing half is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.journal.contents import StillClock, held, snapshot, wide
from xfer.journal import GroupCommitter, Journal

ROOT = Path(__file__).parents[2]
ROUNDS = 12
WRITER = """
import os, sys
from tests.journal.contents import StillClock, new, snapshot, wide
from xfer.journal import GroupCommitter, Journal, Retention

journal = Journal.open(sys.argv[1], StillClock())
committer = GroupCommitter.start(journal, Retention(versions=2))
parents = {}
for origin in (b"\\1w\\0", b"\\1s\\0"):
    found = journal.latest(origin)
    parents[origin] = (found.id, found.serial) if found else (None, 0)
say = os.fdopen(1, "w", buffering=1)
say.write("ready\\n")
while True:
    for origin in parents:
        parent, serial = parents[origin]
        serial += 1
        if origin == b"\\1w\\0":
            content = wide(serial, origin, seed=serial)
        else:
            content = snapshot(serial, range(serial % 40), origin=origin)
        version = committer.commit(new(content, parent=parent))
        parents[origin] = version.id, serial
        say.write(f"{origin.hex()} {version.id} {serial}\\n")
"""


def test_nothing_durable_is_lost_by_kill_9(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    reported: dict[bytes, tuple[int, int]] = {}
    for round_ in range(ROUNDS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        lines = [writer.stdout.readline() for _ in range(round_ % 5)]  # die earlier and later
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        for line in lines:
            if line.endswith("\n"):
                words = line.split()
                reported[bytes.fromhex(words[0])] = int(words[1]), int(words[2])

        with Journal.open(path, StillClock()) as journal:
            for origin, (number, serial) in reported.items():
                version = journal.latest(origin)
                assert version is not None
                assert version.id >= number
                assert version.serial >= serial
                if origin == b"\1w\0":
                    expected = wide(version.serial, origin, seed=version.serial)
                else:
                    expected = snapshot(version.serial, range(version.serial % 40), origin=origin)
                assert held(journal.load(version)) == held(expected)
            result = journal.verify()
            assert result.ok, result.problems()
            with GroupCommitter.start(journal) as committer:
                committer.settle()
            assert journal.stats().orphans == 0
    assert len(reported) == 2
