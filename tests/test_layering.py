"""Imports go down only, and only `server/` and what is above it meets the world (DESIGN §3).

Read from the AST, so that an import inside a function or under TYPE_CHECKING counts too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xfer import kernel

ROOT = Path(__file__).resolve().parent.parent

#: Layers from the bottom up. A name is a package below xfer/, or a module `NAME.py` or `NAME_*.py`.
LAYERS = (
    ("errors", "clock", "log", "kernel"),
    ("wire",),
    ("zone", "idn"),
    ("peers", "config"),
    ("transfer", "dnssec", "answer"),
    ("journal",),
    ("server",),
    ("control",),
    ("cli",),
    ("__main__",),
)
SERVER = next(rank for rank, names in enumerate(LAYERS) if "server" in names)

#: What needs the world: I/O loops, sockets, sleeping and the clock.
WORLDLY = {"asyncio", "select", "selectors", "socket", "ssl", "trio"}
CLOCK_CALLS = {
    ("time", "monotonic"),
    ("time", "monotonic_ns"),
    ("time", "perf_counter"),
    ("time", "sleep"),
    ("time", "time"),
    ("time", "time_ns"),
    ("date", "today"),
    ("datetime", "now"),
    ("datetime", "today"),
    ("datetime", "utcnow"),
}
#: What a kernel module may import besides the standard library and the kernel itself.
KERNEL_IMPORTS = {"librt", "mypy_extensions", "xfer.errors"}

MODULES = sorted((ROOT / "xfer").rglob("*.py"))


def module_name(path: Path) -> str:
    """xfer/wire/names.py → xfer.wire.names; xfer/wire/__init__.py → xfer.wire."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def rank(module: str) -> int:
    """The layer of an xfer module; the package itself is at the bottom."""
    parts = module.split(".")
    if len(parts) == 1:
        return 0
    for number, names in enumerate(LAYERS):
        if parts[1] in names or parts[1].split("_")[0] in names:
            return number
    pytest.fail(f"{module} has no layer: give it one in LAYERS, as DESIGN §3 draws them")


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names of what a module imports, with line numbers."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from xfer import wire` imports a module, `from xfer.wire import names` too.
                full = f"{base}.{alias.name}"
                is_module = (ROOT / (full.replace(".", "/") + ".py")).exists()
                is_package = (ROOT / full.replace(".", "/")).is_dir()
                yield (full if is_module or is_package else base), node.lineno


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_down_only(path: Path) -> None:
    own = rank(module_name(path))
    wrong = [
        f"line {line}: {name} is above"
        for name, line in imported(path)
        if name.split(".")[0] == "xfer" and rank(name) > own
    ]
    assert not wrong


@pytest.mark.parametrize(
    "path", [path for path in MODULES if rank(module_name(path)) < SERVER], ids=module_name
)
def test_nothing_below_server_meets_the_world(path: Path) -> None:
    wrong = [
        f"line {n}: imports {name}" for name, n in imported(path) if name.split(".")[0] in WORLDLY
    ]
    if module_name(path) != "xfer.clock":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wrong += [
            f"line {node.lineno}: {ast.unparse(node)} reads the clock or sleeps"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and (ast.unparse(node.value).split(".")[-1], node.attr) in CLOCK_CALLS
        ]
        wrong += [
            f"line {node.lineno}: from time import …: import the module, so that uses are seen"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "time"
        ]
    assert not wrong


@pytest.mark.parametrize(("name", "path"), kernel.sources(ROOT).items(), ids=kernel.sources(ROOT))
def test_kernel_modules_import_little(name: str, path: Path) -> None:
    allowed = KERNEL_IMPORTS | set(kernel.sources(ROOT))
    wrong = [
        f"line {line}: {module}"
        for module, line in imported(path)
        if module not in allowed and module.split(".")[0] not in sys.stdlib_module_names | {"librt"}
    ]
    assert not wrong


def test_kernel_globs_name_real_modules() -> None:
    assert {"xfer.wire.names", "xfer.wire.records", "xfer.zone.block"} <= set(kernel.sources(ROOT))
