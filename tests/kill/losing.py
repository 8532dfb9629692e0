"""A power failure that eats what was not synced: the journal's writes recorded, and played back.

`recorder.c`, compiled here and preloaded into the daemon, notes every write, truncation and sync of
the journal's files while edits flow. Afterwards any moment can be made the last: what was synced
by then is on the disk; of what was written later, nothing is (`Loss.ALL`), or any sectors of it
(`Loss.SOME`), or all of it (`Loss.NOTHING`, which is what `kill -9` leaves). On each such disk the
journal must open, verify, and hold every version that anyone had seen by then, with its records.
One such disk is then the daemon's own, and everything goes on from there.

That a file's name is on the disk once it was opened is taken for granted, and so is a removal.
SQLite's `-shm` holds nothing that must survive, and is left out.
"""

from __future__ import annotations

import enum
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from tests.kill.edits import ORIGIN, EditRounds, check_journal
from tests.kill.harness import Broken
from xfer.clock import SystemClock
from xfer.errors import JournalError
from xfer.journal import Journal

_HEADER = struct.Struct("=QQIHBB")
_SECTOR = 512
SECONDS = 8.0  # of edits that are recorded


def _all(sync: Note) -> bool:
    return True


class Loss(enum.Enum):
    """What becomes of writes that were not synced."""

    ALL = "all"
    SOME = "some"
    NOTHING = "nothing"


@attrs.frozen
class Note:
    """One thing done. when: seconds, monotonic; offset: of a write, or the new length."""

    when: float
    kind: str
    path: str
    offset: int
    data: bytes


def build(directory: Path) -> Path:
    """Compile the recorder."""
    library = directory / "recorder.so"
    source = Path(__file__).with_name("recorder.c")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


def read_notes(path: Path) -> Iterator[Note]:
    """The notes in order; one that the kill cut short does not count."""
    data = path.read_bytes()
    at = 0
    while at + _HEADER.size <= len(data):
        when, offset, length, name, kind, _ = _HEADER.unpack_from(data, at)
        end = at + _HEADER.size + name + length
        if end > len(data):
            return
        start = at + _HEADER.size
        rest = data[start : start + name].decode()
        yield Note(when / 1e9, chr(kind), rest, offset, data[start + name : end])
        at = end


class File:
    """One file on the disk that fails: what is synced, and what is not yet."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[Note] = []

    def sync(self) -> None:
        for note in self.pending:
            apply(self.synced, note)
        self.pending = []

    def after(self, loss: Loss, draw: random.Random) -> bytes:
        """What is found after the failure."""
        left = bytearray(self.synced)
        if loss is Loss.NOTHING:
            for note in self.pending:
                apply(left, note)
        elif loss is Loss.SOME:
            for note in self.pending:
                for piece in sectors(note):
                    if draw.random() < 0.5:
                        apply(left, piece)
        return bytes(left)


def apply(content: bytearray, note: Note) -> None:
    """Do to the content what the note says."""
    if note.kind == "t":
        del content[note.offset :]
        content.extend(bytes(note.offset - len(content)))
        return
    if len(content) < note.offset:
        content.extend(bytes(note.offset - len(content)))
    content[note.offset : note.offset + len(note.data)] = note.data


def sectors(note: Note) -> Iterator[Note]:
    """A write in pieces that a disk writes whole; a truncation is one piece."""
    if note.kind == "t":
        yield note
        return
    at = 0
    while at < len(note.data):
        size = _SECTOR - (note.offset + at) % _SECTOR
        yield attrs.evolve(note, offset=note.offset + at, data=note.data[at : at + size])
        at += size


class Disk:
    """The journal's files, as they come about note by note."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}

    def take(self, note: Note) -> None:
        if note.path.endswith("-shm"):
            return
        if note.kind == "u":
            self.files.pop(note.path, None)
            return
        file = self.files.setdefault(note.path, File())
        if note.kind == "s":
            file.sync()
        elif note.kind in "wt":
            file.pending.append(note)

    def write(self, directory: Path, name: str, loss: Loss, draw: random.Random) -> Path:
        """The files as a failure now would leave them; the database's path."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for rest, file in self.files.items():
            (directory / f"{name}{rest}").write_bytes(file.after(loss, draw))
        return directory / name


def record(rounds: EditRounds, seconds: float) -> tuple[float, list[tuple[float, int]]]:
    """Let edits flow; then kill. From when on the journal exists; who saw which serial when."""
    begin = rounds.watchers[0].seen[0][0] if rounds.watchers[0].seen else time.monotonic()
    time.sleep(seconds)
    rounds.daemon.kill()
    seen = sorted(entry for watcher in rounds.watchers for entry in watcher.seen)
    return begin, seen


def examine(
    path: Path, wanted: set[int], rounds: EditRounds, known: dict[bytes, int], said: str
) -> int:
    """One disk after a failure: how many versions it has. Raises Broken."""
    try:
        count = check_journal(path, rounds.edits.contents, known, writable=True)
        with Journal.open(str(path), SystemClock()) as journal:
            kept = {version.serial for version in journal.versions(ORIGIN)}
    except (Broken, JournalError) as error:
        raise Broken(f"{said}: {error}") from None
    if lost := wanted - kept:
        raise Broken(f"{said}: serials {sorted(lost)} had been seen and are gone")
    return count


def run(
    directory: Path, times: int, seconds: float = SECONDS, synced: Callable[[Note], bool] = _all
) -> list[str]:
    """Record edits, fail at `times` moments in each way, go on from the last one. Raises Broken.

    synced: which syncs are believed; the others are taken as never done, as a disk may lie.
    """
    notes_file = directory / "recorded"
    journal = directory / "xfer" / "journal.db"
    environment = {
        "LD_PRELOAD": str(build(directory)),
        "XFER_RECORD": str(notes_file),
        "XFER_RECORD_OF": str(journal),
    }
    with EditRounds(directory, environment) as rounds:
        begin, seen = record(rounds, seconds)
        notes = [note for note in read_notes(notes_file) if note.kind != "s" or synced(note)]
        lines, disk = fail(directory, rounds, notes, begin, seen, times)
        # The last disk becomes the daemon's own, and life goes on.
        left = disk.write(directory / "left", journal.name, Loss.ALL, random.Random(0))
        for old in journal.parent.glob("journal.db*"):
            old.unlink()
        for new in left.parent.iterdir():
            shutil.move(os.fspath(new), journal.parent / new.name)
        return [*lines, *rounds.finish()]


def fail(
    directory: Path,
    rounds: EditRounds,
    notes: list[Note],
    begin: float,
    seen: list[tuple[float, int]],
    times: int,
) -> tuple[list[str], Disk]:
    """Examine the disk at `times` moments, a third of them just after somebody saw a serial."""
    span = [number for number, note in enumerate(notes) if note.when > begin]
    if not span or not seen:
        raise Broken("nothing was recorded: is the recorder preloaded?")
    moments = set(random.sample(span, min(len(span), times - times // 3)))
    for when, _ in random.sample(seen, min(len(seen), times // 3)):
        moments.add(max(n for n, note in enumerate(notes) if note.when <= when))
    disk = Disk()
    known: dict[bytes, int] = {}
    least = most = 0
    for number, note in enumerate(notes):
        disk.take(note)
        if number not in moments:
            continue
        later = notes[number + 1].when if number + 1 < len(notes) else note.when
        wanted = {serial for when, serial in seen if when < later}
        for loss in Loss:
            path = disk.write(directory / "failed", "journal.db", loss, random.Random(number))
            said = (
                f"after note {number} ({note.kind} {note.path or 'database'}), lost: {loss.value}"
            )
            most = max(most, examine(path, wanted, rounds, known, said))
        least = max(least, len(wanted))
    syncs = sum(note.kind == "s" for note in notes)
    return [
        f"{len(notes)} notes, {syncs} syncs; failed at {len(moments)} moments in {len(Loss)} ways",
        f"up to {most} versions on a disk, {least} of them seen by somebody; none was lost or torn",
    ], disk
