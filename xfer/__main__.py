"""`xfer` and `python -m xfer`: check the kernel's form, then hand over to the command line."""

from __future__ import annotations

import sys

from xfer import kernel


def main() -> None:
    """Entry point. Exits 1, with one line on stderr, where the compiled kernel is stale."""
    try:
        kernel.check()
    except kernel.KernelMismatch as err:
        print(f"xfer: {err}", file=sys.stderr)
        raise SystemExit(1) from None
    if sys.argv[1:2] in (["serve"], ["pull"]) and (sentence := kernel.warning()):
        print(f"xfer: warning: {sentence}", file=sys.stderr)

    from xfer.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
