"""The kernel's form is what was asked for, and a stale compiled module never runs."""

from __future__ import annotations

import importlib.machinery
import os
import subprocess
import sys
from pathlib import Path

import pytest

import xfer.wire.names
from xfer import kernel

SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]
PRINT_FILES = (
    "import xfer.kernel, xfer.wire.names, xfer.zone.block as b;"
    "print(xfer.kernel.form(), xfer.wire.names.__file__, b.__file__)"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package with two kernel modules that look compiled, and a manifest that fits."""
    wire = tmp_path / "xfer" / "wire"
    wire.mkdir(parents=True)
    (wire / "__init__.py").touch()
    for name in ("names", "parse"):
        (wire / f"{name}.py").write_text(f"# {name}\n")
        (wire / f"{name}{SUFFIX}").touch()
    (tmp_path / "xfer" / kernel.MANIFEST).write_text(kernel.manifest_text(tmp_path))
    return tmp_path


@pytest.fixture
def form_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever form these tests run in, the environment asks for none."""
    monkeypatch.delenv("XFER_PURE", raising=False)


def test_this_process_runs_the_form_it_says() -> None:
    compiled = not xfer.wire.names.__file__.endswith(".py")
    assert kernel.form() == ("compiled" if compiled else "pure")
    kernel.check()


def test_pure_form_is_imported_although_compiled_modules_lie_there() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRINT_FILES],
        env={**os.environ, "XFER_PURE": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    form, *files = done.stdout.split()
    assert form == "pure"
    assert all(file.endswith(".py") for file in files)


@pytest.mark.usefixtures("form_not_asked")
class TestCheck:
    def test_accepts_what_was_built_from_these_sources(self, tree: Path) -> None:
        assert kernel.form(tree) == "compiled"
        kernel.check(tree)

    def test_refuses_an_edited_source(self, tree: Path) -> None:
        (tree / "xfer/wire/names.py").write_text("# edited\n")
        with pytest.raises(
            kernel.KernelMismatch, match=r"xfer\.wire\.names was built from another"
        ):
            kernel.check(tree)

    def test_refuses_a_new_module_that_is_not_compiled(self, tree: Path) -> None:
        (tree / "xfer/wire/tsig.py").write_text("# new\n")
        with pytest.raises(kernel.KernelMismatch, match=r"xfer\.wire\.tsig is not compiled"):
            kernel.check(tree)

    @pytest.mark.parametrize("text", [None, "not JSON", "{}"])
    def test_refuses_a_build_without_a_record(self, tree: Path, text: str | None) -> None:
        manifest = tree / "xfer" / kernel.MANIFEST
        manifest.unlink()
        if text is not None:
            manifest.write_text(text)
        with pytest.raises(kernel.KernelMismatch, match="without a usable record"):
            kernel.check(tree)

    def test_edited_source_is_no_matter_where_nothing_is_compiled(self, tree: Path) -> None:
        for built in tree.rglob(f"*{SUFFIX}"):
            built.unlink()
        (tree / "xfer/wire/names.py").write_text("# edited\n")
        assert kernel.form(tree) == "pure"
        kernel.check(tree)

    def test_pure_form_asked_for_is_never_refused(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XFER_PURE", "1")
        (tree / "xfer/wire/names.py").write_text("# edited\n")
        kernel.check(tree)
        assert kernel.warning() == ""


def test_an_import_of_a_stale_module_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "xfer"
    (package / "wire").mkdir(parents=True)
    for name in ("__init__", "errors", "kernel"):
        source = Path(kernel.__file__).with_name(f"{name}.py")
        (package / f"{name}.py").write_text(source.read_text())
    (package / "wire/__init__.py").touch()
    (package / "wire/names.py").write_text("")
    (package / f"wire/names{SUFFIX}").touch()
    (package / kernel.MANIFEST).write_text('{"modules": {"xfer.wire.names": "00"}}')
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    env.pop("XFER_PURE", None)
    done = subprocess.run(
        [sys.executable, "-c", "import xfer.wire.names"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "KernelMismatch: compiled kernel module xfer.wire.names was built" in done.stderr
    assert "XFER_PURE=1" in done.stderr
