"""The daemon of `launcher`, whose plan may also name what happens while zones are signed.

key begin ─ file linked (.private) ─ file linked (.key) ─ key end
step KINDS (keys move) ─ sign begin ─ portion (of a whole zone)… ─ sign end ─ flip … committed
mark begin ─ mark set
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kill.launcher import Killer, Notes, watch, wrapped
from tests.kill.plan import Plan
from xfer.control.daemon import UnixControl
from xfer.dnssec import lifecycle
from xfer.journal import Journal
from xfer.server import keydir, launch
from xfer.server.keystore import KeyStore
from xfer.server.sign_work import SignWork
from xfer.server.signpool import Job


def watch_signing(notes: Notes) -> None:
    """Wrap what signing goes through."""

    def noting(event: str) -> Callable[[], None]:
        return lambda: notes.reached(event)

    def around(owner: Any, name: str, before: str, after: str) -> None:
        setattr(owner, name, wrapped(getattr(owner, name), noting(before), noting(after)))

    around(KeyStore, "generate", "key begin", "key end")
    around(keydir, "_link", "file link", "file linked")
    around(Journal, "set_mark", "mark begin", "mark set")
    advance = lifecycle.advance

    @functools.wraps(advance)
    def noted(*args: Any, **keywords: Any) -> lifecycle.Step:
        step = advance(*args, **keywords)
        kinds = [event.kind.replace(" ", "-") for event in step.events]
        if step.publish or kinds:
            notes.reached("step", " " + ",".join(kinds or ["published"]))
        return step

    lifecycle.advance = noted
    sign, portion = SignWork._sign, Job.sign

    async def signing(*args: Any, **keywords: Any) -> None:
        notes.reached("sign begin")
        await sign(*args, **keywords)
        notes.reached("sign end")

    async def signing_portion(*args: Any, **keywords: Any) -> Any:
        notes.reached("portion")
        return await portion(*args, **keywords)

    SignWork._sign = signing  # type: ignore[method-assign]
    Job.sign = signing_portion  # type: ignore[method-assign]


def main() -> int:
    notes = Notes(Plan.from_text(sys.argv[2]), Killer())
    watch(notes)
    watch_signing(notes)
    return launch.run(Path(sys.argv[1]), UnixControl)


if __name__ == "__main__":
    sys.exit(main())
