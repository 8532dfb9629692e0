"""The key directory: private keys of live-signed zones, in BIND's files, a directory a zone.

    KEYS/                                     [server] keys, mode 0700
      example.com/                            the zone, as BIND writes names into file names
        Kexample.com.+013+09394.private       mode 0600, written first
        Kexample.com.+013+09394.key           once this is there, the key is
        removed/                              keys that are in use no more; nothing is unlinked

A key is on disk, synced, before `generate` or `take_in` return it. `dnssec-signzone -K` and others
may read here; one daemon writes. All calls do file I/O: call them from worker threads.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import attrs

from xfer.dnssec.idents import tag_in, tags_of
from xfer.dnssec.keyfiles import (
    KeyPair,
    file_text,
    ident_in,
    read_pair,
    read_public,
    stem_of,
    write_private,
    write_public,
)
from xfer.dnssec.keys import SigningKey, make_key
from xfer.errors import KeyRefused
from xfer.log import Secret
from xfer.server import keydir
from xfer.wire import names

REMOVED: Final = "removed"
BEGUN: Final = ("Created", "Publish", "Activate")  # times of a key that others can sign with
ROOT: Final = "@"  # the directory of the root's keys
MOST_FILES: Final = 10_000  # in a zone's directory; a zone has a handful of keys
TRIES: Final = 100  # at a key whose tag is free
LOCKS: Final = 64  # each of some of the zones; work on one zone takes turns
_ENDINGS: Final = (".key", ".private")
_LONGEST: Final = 255  # octets of a file name

Make = Callable[[int, bool, int], SigningKey]


@attrs.frozen
class Loaded:
    """A zone's keys by ident ("013+09394"), and what is wrong with files that hold none."""

    keys: Mapping[str, KeyPair]
    problems: tuple[KeyRefused, ...] = ()


def _make(algorithm: int, sep: bool, bits: int) -> SigningKey:
    return make_key(algorithm, sep, bits=bits)


class KeyStore:
    """Reads and writes the key directory. All of it raises KeyRefused; safe between threads."""

    def __init__(self, directory: Path, make: Make = _make) -> None:
        self.directory: Final = directory
        self._make: Final = make
        # Writing waits for disks, so that one zone's keys are not made to wait for another's.
        self._writing: Final = tuple(threading.Lock() for _ in range(LOCKS))

    def zone_directory(self, owner: bytes) -> Path:
        """Where the keys of a zone are; the root's in `ROOT`, which no other name is written as."""
        return self.directory / (file_text(owner)[:-1] or ROOT)

    def _turn(self, owner: bytes) -> threading.Lock:
        return self._writing[hash(names.lower(owner)) % LOCKS]

    def check(self) -> None:
        """Make the key directory where it is missing; refuse one that others can look into."""
        keydir.make_directory(self.directory)
        keydir.check_directory(self.directory)

    def load(self, owner: bytes) -> Loaded:
        """All keys of a zone.

        Tidies up first after a process that was killed. A key whose files are damaged does not keep
        others from being loaded: it is among the problems.
        """
        with self._turn(names.lower(owner)):
            return self._load(names.lower(owner), tidy=True)

    def look(self, owner: bytes) -> Loaded:
        """As `load`, and changes nothing: for a process beside the one that writes here."""
        return self._load(names.lower(owner), tidy=False)

    def _load(self, owner: bytes, *, tidy: bool) -> Loaded:
        place = self.zone_directory(owner)
        if not keydir.is_directory(self.directory):
            return Loaded({})
        keydir.check_directory(self.directory)
        if not keydir.is_directory(place):
            return Loaded({})
        keydir.check_directory(place)
        if tidy:
            self._tidy(place)
        found: dict[str, KeyPair] = {}
        problems: list[KeyRefused] = []
        for stem in _stems(place):
            try:
                pair = _read(place / stem, owner)
            except KeyRefused as problem:
                problems.append(problem)
            else:
                found[pair.key.ident] = pair
        return Loaded(found, tuple(problems))

    def ever(self, owner: bytes) -> frozenset[bytes]:
        """DNSKEY rdata of all keys of a zone that have files here, those put aside too.

        Files that hold no key are passed over. Raises KeyRefused where they cannot be listed.
        """
        owner = names.lower(owner)
        place = self.zone_directory(owner)
        found = set()
        for directory in (place, place / REMOVED):
            for stem in _stems(directory) if keydir.is_directory(directory) else ():
                with contextlib.suppress(KeyRefused):
                    of, _, key = read_public(keydir.read_public(directory / f"{stem}.key"))
                    if of == owner:
                        found.add(key.rdata)
        return frozenset(found)

    def generate(
        self,
        owner: bytes,
        algorithm: int,
        sep: bool,
        now: float,
        *,
        bits: int = 2048,
        taken: Collection[int] = (),
    ) -> KeyPair:
        """A new key of a zone, on disk.

        taken: key tags that the zone's DNSKEY RRset has besides (of other signers). The new key
        has a tag unlike all known ones, removed keys' too, also where either is revoked (RFC 5011).
        """
        owner = names.lower(owner)
        with self._turn(owner):
            place = self._ready(owner)
            avoid = {near for tag in taken for near in _near(tag)}
            for directory in (place, place / REMOVED):
                if keydir.is_directory(directory):
                    avoid.update(
                        near for stem in _stems(directory) for near in _near(tag_in(ident_in(stem)))
                    )
            for _ in range(TRIES):
                key = self._make(algorithm, sep, bits)
                if avoid.isdisjoint(tags_of(key.public)):
                    pair = KeyPair(owner, key, None, {"Created": int(now)})
                    _write(place, pair)
                    return pair
        raise KeyRefused("a key tag that is free", f"{TRIES} keys without one", str(place))

    def take_in(self, owner: bytes, pair: KeyPair) -> KeyPair:
        """Keep a key that was made elsewhere; again where it is here already changes nothing."""
        owner = names.lower(owner)
        if pair.owner != owner:
            raise KeyRefused(
                f"a key of {names.to_text(owner)}", f"one of {names.to_text(pair.owner)}"
            )
        with self._turn(owner):
            place = self._ready(owner)
            if (place / f"{pair.stem}.key").exists():
                there = _read(place / pair.stem, owner)
                if there.key.public == pair.key.public:
                    return there
                raise KeyRefused(
                    f"a tag other than {pair.key.tag}",
                    f"another key of {names.to_text(owner)} with it",
                    str(place / pair.stem),
                )
            _write(place, pair)
        return pair

    def read_files(self, path: Path) -> KeyPair:
        """The key of a pair of files anywhere; path: either of them, or their common part.

        Others may be able to read them: they are on their way, and not kept like that.
        """
        stem = path.with_suffix("") if path.suffix in _ENDINGS else path
        public, private = (stem.with_name(stem.name + ending) for ending in _ENDINGS)
        return read_pair(
            keydir.read_public(public), keydir.read_private_anywhere(private), str(stem)
        )

    def read_for(self, owner: bytes, path: Path) -> KeyPair:
        """Like `read_files`, of a key of that zone and no other."""
        pair = self.read_files(path)
        if pair.owner != names.lower(owner):
            raise KeyRefused(
                f"a key of {names.to_text(owner)}", f"one of {names.to_text(pair.owner)}", str(path)
            )
        return pair

    def export_all(
        self, owner: bytes, idents: Collection[str], directory: Path, now: float
    ) -> list[Path]:
        """`export` each of the keys, none where a file of one of them is there already; the
        directory is made where it is missing."""
        keydir.make_directory(directory)
        for ident in idents:
            for ending in _ENDINGS:
                file = directory / (stem_of(owner, ident) + ending)
                if file.exists():
                    raise KeyRefused("a new file", "one that exists already", str(file))
        return [self.export(owner, ident, directory, now) for ident in idents]

    def export(self, owner: bytes, ident: str, directory: Path, now: float) -> Path:
        """Copy a key to a directory, mode 0600, never over another file; returns the common part.

        Other signers use a key only within its times, and ours are the policy's: it is published
        and active, and has no end, whatever its file said when it was imported.
        """
        with self._turn(owner):
            pair = _read(self.zone_directory(owner) / stem_of(owner, ident), names.lower(owner))
            begun = {name: min(pair.times.get(name, int(now)), int(now)) for name in BEGUN}
            _write(directory, attrs.evolve(pair, times=begun))
        return directory / pair.stem

    def remove(self, owner: bytes, ident: str, needed: Collection[str]) -> None:
        """Move a key's files to `removed`; needed: idents that the zone's state still names.

        Raises KeyRefused for one of those. Nothing happens where the key is not there.
        """
        if ident in needed:
            raise KeyRefused(
                f"a key of {names.to_text(owner)} that is not in use", f"{ident}, which is"
            )
        place = self.zone_directory(owner)
        with self._turn(owner):
            if keydir.is_directory(place):
                self._remove(place, stem_of(owner, ident))

    def _remove(self, place: Path, stem: str) -> None:
        away = place / REMOVED
        to = _free(place / f"{stem}.private", away, stem)
        for ending in _ENDINGS:
            if (place / (stem + ending)).exists():
                keydir.make_directory(away)
                keydir.move_new(place / (stem + ending), away / (to + ending))

    def _tidy(self, place: Path) -> None:
        """End what a killed process has begun: half-written files, and half-removed keys."""
        keydir.sweep(place)
        for stem in _stems(place):
            if not (place / f"{stem}.key").exists() and (place / REMOVED / f"{stem}.key").exists():
                self._remove(place, stem)

    def _ready(self, owner: bytes) -> Path:
        place = self.zone_directory(owner)
        longest = len(stem_of(owner, "000+00000")) + len(keydir.NEW) + len(".private")
        if longest > _LONGEST:
            raise KeyRefused(
                f"a zone whose key files have names of at most {_LONGEST} octets", str(longest)
            )
        self.check()
        keydir.make_directory(place)
        keydir.check_directory(place)
        return place


def _free(private: Path, away: Path, stem: str) -> str:
    """The name for a key among those removed: `stem`, `stem~2` where one of its name was before,
    imported anew since. The same again after a kill amid the removal: the .private goes last."""
    for count in range(1, MOST_FILES):
        name = stem if count == 1 else f"{stem}~{count}"
        there = away / f"{name}.private"
        if not there.exists() or (private.exists() and there.samefile(private)):
            return name
    raise KeyRefused(f"fewer than {MOST_FILES} removed keys of a name", "more", str(away / stem))


def _stems(directory: Path) -> list[str]:
    """Names of the keys with at least one of their files here, in order."""
    found: set[str] = set()
    with keydir.explained(directory, "a directory of keys that can be read"):
        for count, file in enumerate(directory.iterdir()):
            if count >= MOST_FILES:
                raise KeyRefused(f"at most {MOST_FILES} files", "more", str(directory))
            if file.suffix in _ENDINGS and ident_in(file.name.removesuffix(file.suffix)):
                found.add(file.name.removesuffix(file.suffix))
    return sorted(found)


def _read(stem: Path, owner: bytes) -> KeyPair:
    public, private = (stem.with_name(stem.name + ending) for ending in _ENDINGS)
    for file in (public, private):
        if not file.exists():
            raise KeyRefused(
                "both files of a key",
                f"no {file.name}",
                str(stem),
                "bring it back from a backup, or move the other one away",
            )
    pair = read_pair(keydir.read_public(public), keydir.read_private(private), str(stem))
    if pair.owner != owner:
        raise KeyRefused(
            f"a key of {names.to_text(owner)}", f"one of {names.to_text(pair.owner)}", str(stem)
        )
    if pair.stem != stem.name:
        raise KeyRefused(f"the name {pair.stem}", stem.name, str(stem), "rename both files")
    return pair


def _write(directory: Path, pair: KeyPair) -> None:
    """The .private first: a key is there when its .key is."""
    private = directory / f"{pair.stem}.private"
    public = directory / f"{pair.stem}.key"
    if public.exists():
        raise KeyRefused("a new file", "one that exists already", str(public))
    text = write_public(pair)
    if private.exists():  # of a write that was cut short, or of another key
        read_pair(text, keydir.read_private(private), str(private.with_suffix("")))
    else:
        keydir.write_new(private, write_private(pair))
    keydir.write_new(public, Secret(text.encode("ascii")))


def _near(tag: int) -> tuple[int, ...]:
    """A tag, and what it may be with the REVOKE bit turned over: 128 more or less, and a carry."""
    return tuple((tag + by) & 0xFFFF for by in (-129, -128, 0, 128, 129))
