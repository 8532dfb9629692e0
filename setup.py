"""Compiles the kernel modules (DESIGN §2) with mypyc and records what they were compiled from.

Without a C compiler, without Python's headers, or with XFER_PURE=1 nothing is compiled and the
package runs the same sources as plain Python; `xfer.kernel` says so once at run time. A kernel
module that a present compiler cannot compile fails the build: that is a mistake, not a machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

if TYPE_CHECKING:
    from distutils.ccompiler import CCompiler

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from xfer import kernel  # noqa: E402


def compiler_works() -> bool:
    """Whether a file that includes Python.h compiles here."""
    import sysconfig

    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.errors import CompileError, DistutilsPlatformError
    from setuptools._distutils.sysconfig import customize_compiler

    compiler: CCompiler = new_compiler()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "probe.c")
        source.write_text("#include <Python.h>\nint main(void) { return 0; }\n")
        try:
            customize_compiler(compiler)
            compiler.compile(
                [str(source)],
                output_dir=scratch,
                include_dirs=[sysconfig.get_path("include"), sysconfig.get_path("platinclude")],
            )
        except (CompileError, DistutilsPlatformError, OSError):
            return False
    return True


def extensions() -> list[Extension]:
    """The kernel as one mypyc group, so that calls between its modules stay native."""
    if os.environ.get("XFER_PURE") == "1":
        print("xfer: XFER_PURE=1, the kernel stays pure Python", file=sys.stderr)
        return []
    sources = kernel.sources(ROOT)
    if not sources:
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        print("xfer: mypyc is not installed, the kernel stays pure Python", file=sys.stderr)
        return []
    if not compiler_works():
        print("xfer: no C compiler with Python.h, the kernel stays pure Python", file=sys.stderr)
        return []
    paths = [str(path.relative_to(ROOT)) for path in sources.values()]
    return list(mypycify(["--strict", *paths], opt_level="3", debug_level="0", group_name="xfer"))


class BuildKernel(build_ext):
    """build_ext that leaves the manifest which `xfer.kernel` checks beside the compiled modules."""

    def run(self) -> None:
        super().run()
        if self.extensions:
            where = ROOT if self.inplace else Path(self.build_lib)
            manifest = where / "xfer" / kernel.MANIFEST
            manifest.write_text(kernel.manifest_text(ROOT), encoding="utf-8")

    def get_outputs(self) -> list[str]:
        manifest = Path(self.build_lib, "xfer", kernel.MANIFEST)
        return [*super().get_outputs(), *([str(manifest)] if self.extensions else [])]


# Only commands that build need the extensions; `egg_info` and friends run without a compiler.
BUILDS = {"build", "build_ext", "bdist_wheel", "editable_wheel", "install", "develop"}

setup(
    ext_modules=extensions() if BUILDS & set(sys.argv) else [],
    cmdclass={"build_ext": BuildKernel},
)
