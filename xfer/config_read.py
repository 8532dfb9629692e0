"""Reading TOML tables by their description: documented settings, and errors that are collected.

A table is described by an attrs class whose fields are made by `setting`: each carries the function
that turns the TOML value into ours, and the sentence that documents it. `Reader` walks raw tables
by these descriptions and keeps every problem, so that one `xfer check` shows them all.
"""

from __future__ import annotations

import difflib
import glob
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import attrs

from xfer.errors import ConfigError, XferError

Parse = Callable[[object, Path], Any]


class Unfit(XferError):
    """A value that a setting cannot take: the problem and the fix, without file and key."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}; {fix}")


REQUIRED: Final = attrs.NOTHING


def setting(parse: Parse, doc: str, default: Any = REQUIRED, shown: str = "") -> Any:
    """An attrs field that is a config key.

    parse: (TOML value, directory of the file) → our value, raising Unfit; doc: one sentence with
    the unit; shown: the default as the reference prints it, where that is not its TOML form.
    """
    metadata = {"parse": parse, "doc": doc, "shown": shown}
    return attrs.field(default=default, metadata=metadata)


@attrs.frozen
class Warned:
    """Something legal that the operator should know."""

    file: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.text}"


@attrs.frozen
class Raw:
    """One TOML table where it stands. key: dotted, with the name in brackets for lists."""

    table: dict[str, Any]
    file: Path
    key: str


def nearest(word: str, known: Iterable[str]) -> str:
    """ "did you mean 'peer'?", or the list of what there is when nothing is near."""
    choices = sorted(set(known))
    near = difflib.get_close_matches(word, choices[:5000], n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not choices:
        return "there is none yet"
    listed = ", ".join(choices[:20]) + (", …" if len(choices) > 20 else "")
    return f"known: {listed}"


class Reader:
    """Collects errors and warnings while tables become values."""

    def __init__(self) -> None:
        self.errors: list[ConfigError] = []
        self.warnings: list[Warned] = []

    def error(self, file: Path | str, key: str, problem: str, fix: str = "") -> None:
        """Note a problem and go on."""
        self.errors.append(ConfigError(str(file), key, problem, fix))

    def warn(self, file: Path | str, key: str, text: str) -> None:
        """Note something legal but questionable, once."""
        warned = Warned(str(file), key, text)
        if warned not in self.warnings:
            self.warnings.append(warned)

    def values(self, kind: type, raw: Raw, leave: tuple[str, ...] = ()) -> dict[str, Any]:
        """The values that the table gives; keys named in `leave` are refused here as unknown."""
        fields = {f.name: f for f in attrs.fields(kind) if f.metadata and f.name not in leave}
        found: dict[str, Any] = {}
        for key, value in raw.table.items():
            field = fields.get(key)
            where = f"{raw.key}.{key}" if raw.key else key
            if field is None:
                self.error(raw.file, where, "unknown key", nearest(key, fields))
                continue
            try:
                found[key] = field.metadata["parse"](value, raw.file.parent)
            except Unfit as error:
                self.error(raw.file, where, error.problem, error.fix)
                found[key] = None
        return found

    def make(self, kind: type, raw: Raw, found: dict[str, Any], lenient: bool = False) -> Any:
        """An instance of `kind`, or None where a required key is missing or a value was refused.

        found: what `values` gave, None for refused values; lenient: those take their default, so
        that the problems behind them are found as well.
        """
        whole = True
        given = {name: value for name, value in found.items() if value is not None}
        for field in attrs.fields(kind):
            refused = field.name in found and field.name not in given
            if refused and (field.default is REQUIRED or not lenient):
                whole = False
            elif field.name not in found and field.default is REQUIRED:
                self.error(raw.file, raw.key, f"{field.name} is missing", f"add {field.name} = …")
                whole = False
        return kind(**given) if whole else None

    def one(self, kind: type, raw: Raw) -> Any:
        """`values` and `make` in one step."""
        return self.make(kind, raw, self.values(kind, raw))


def read_files(path: Path, reader: Reader) -> list[Raw]:
    """The top-level tables of the file and of what it includes, depth first, in order."""
    found: list[Raw] = []
    _read_file(path, reader, (), set(), found)
    return found


def _read_file(
    path: Path, reader: Reader, above: tuple[Path, ...], seen: set[Path], found: list[Raw]
) -> None:
    real = path.resolve()
    seen.add(real)
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        reader.error(path, "", f"cannot be read: {error.strerror}", "name a readable TOML file")
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reader.error(path, "", f"is not TOML: {error}", "mend the syntax there")
        return
    except RecursionError:
        reader.error(path, "", "has values nested a thousand deep", "two levels are enough")
        return
    patterns = table.pop("include", [])
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, list) or not all(isinstance(p, str) for p in patterns):
        reader.error(path, "include", "is not text", 'write include = "zones.d/*.toml"')
        patterns = []
    found.append(Raw(table, path, ""))
    for pattern in patterns:
        # Not Path.glob, which refuses absolute patterns.
        matches = sorted(glob.glob(str(path.parent / pattern)))  # noqa: PTH207
        if not matches and not glob.has_magic(pattern):
            reader.error(path, "include", f"{pattern} does not exist", "name an existing file")
        for match in map(Path, matches):
            chain = (*above, real)
            if match.resolve() in chain:
                route = " → ".join(p.name for p in (*chain, match))
                reader.error(path, "include", f"includes go in a circle: {route}", "break it")
            elif match.resolve() in seen:
                reader.error(path, "include", f"{match} is included twice", "include it once")
            else:
                _read_file(match, reader, chain, seen, found)
