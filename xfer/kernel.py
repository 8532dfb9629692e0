"""Which modules are the kernel, and in which form they run (DESIGN §2).

The kernel modules are plain Python that mypyc compiles when the package is built. This module
lists them for the build (`setup.py`), and guards their import:

- a compiled module that was not built from the source beside it is refused (`KernelMismatch`),
  so that an edit is never silently without effect;
- with XFER_PURE=1 the sources are imported although compiled modules lie beside them.

It imports nothing but the standard library and errors.py: the build runs it.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from xfer.errors import XferError

#: Sources of the kernel, as globs below the directory that holds the package.
PATTERNS = (
    "xfer/wire/*.py",
    "xfer/zone/block.py",
    "xfer/zone/snapshot.py",
    "xfer/zone/build.py",
    "xfer/zone/check.py",
    "xfer/zone/image.py",
    "xfer/zone/cut.py",
    "xfer/zone/changeset.py",
    "xfer/zone/deltas.py",
    "xfer/zone/order.py",
    "xfer/zone/apply.py",
    "xfer/zone/zonemd.py",
    "xfer/answer/denial.py",
    "xfer/answer/nsec3.py",
    "xfer/answer/online.py",
    "xfer/answer/sections.py",
    "xfer/answer/lookup.py",
    "xfer/answer/respond.py",
    "xfer/answer/plain.py",
    "xfer/answer/kept.py",
    "xfer/answer/fast.py",
    "xfer/dnssec/content.py",
    "xfer/dnssec/rrsig.py",
    "xfer/dnssec/portion.py",
    "xfer/dnssec/ring.py",
    "xfer/dnssec/hashed.py",
    "xfer/dnssec/expiry.py",
)
#: Name of the file, beside this one, that says what the compiled modules were built from.
MANIFEST = "_kernel.json"

_ROOT = Path(__file__).resolve().parent.parent
_REBUILD = "build again (`make`, or `pip install`), or set XFER_PURE=1 to run the sources"


class KernelMismatch(XferError, ImportError):
    """A compiled kernel module was not built from the source beside it."""


def sources(root: Path = _ROOT) -> dict[str, Path]:
    """Dotted module name → source path of every kernel module below `root`, sorted."""
    found = {}
    for pattern in PATTERNS:
        for path in root.glob(pattern):
            if path.name != "__init__.py":
                found[".".join(path.relative_to(root).with_suffix("").parts)] = path
    return dict(sorted(found.items()))


def digest(path: Path) -> str:
    """SHA-256 of a source file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest_text(root: Path = _ROOT) -> str:
    """The manifest of a build made now: JSON, `{"modules": {name: SHA-256}}`."""
    hashes = {name: digest(path) for name, path in sources(root).items()}
    return json.dumps({"modules": hashes}, indent=1) + "\n"


def compiled_path(source: Path) -> Path | None:
    """The extension module beside `source` that this interpreter would load, if any."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        candidate = source.with_name(source.stem + suffix)
        if candidate.exists():
            return candidate
    return None


def pure_asked() -> bool:
    """Whether the environment asks for the sources (XFER_PURE=1)."""
    return os.environ.get("XFER_PURE") == "1"


def form(root: Path = _ROOT) -> str:
    """ "compiled" or "pure": the form in which kernel modules are imported in this process."""
    if pure_asked() or not any(compiled_path(path) for path in sources(root).values()):
        return "pure"
    return "compiled"


def check(root: Path = _ROOT) -> None:
    """Refuse compiled kernel modules that do not match their sources.

    Raises KernelMismatch naming the first module that differs and the fix. Does nothing in the
    pure form.
    """
    if form(root) == "pure":
        return
    manifest = root / "xfer" / MANIFEST
    try:
        recorded = json.loads(manifest.read_text(encoding="utf-8"))["modules"]
    except (OSError, ValueError, KeyError) as err:
        raise KernelMismatch(
            f"compiled kernel modules without a usable record of their sources in {manifest} "
            f"({type(err).__name__}): {_REBUILD}"
        ) from err
    for name, path in sources(root).items():
        if compiled_path(path) is None:
            raise KernelMismatch(
                f"kernel module {name} is not compiled while others are: {_REBUILD}"
            )
        if (was := recorded.get(name)) != (now := digest(path)):
            raise KernelMismatch(
                f"compiled kernel module {name} was built from another source than {path}: "
                f"expected SHA-256 {now[:16]}…, got {str(was)[:16]}…: {_REBUILD}"
            )


def warning() -> str:
    """One sentence for the log where the kernel is pure and nobody asked for that; else ""."""
    if pure_asked() or form() == "compiled":
        return ""
    return (
        "the kernel is not compiled and runs as pure Python, several times slower: install a C "
        "compiler and Python's headers and build again (XFER_PURE=1 accepts it as it is)"
    )


class _KernelFinder:
    """Meta-path finder in front of the others that sees kernel modules only."""

    def __init__(self) -> None:
        self._checked = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The source's spec when XFER_PURE=1; None (go on as usual) once the form is checked."""
        if not fullname.startswith(("xfer.wire.", "xfer.zone.", "xfer.answer.", "xfer.dnssec.")):
            return None
        source = sources().get(fullname)
        if source is None:
            return None
        if pure_asked():
            return importlib.util.spec_from_file_location(fullname, source)
        if not self._checked:
            check()
            self._checked = True
        return None


def install() -> None:
    """Put the guard on `sys.meta_path`, once."""
    if not any(isinstance(finder, _KernelFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KernelFinder())
