"""A primary zone in a real core behind the real control server, without DNS sockets."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog
import trio

from xfer.clock import SystemClock
from xfer.config import load
from xfer.control.serve import serve_control
from xfer.journal import GroupCommitter, Journal
from xfer.server.core import Core
from xfer.server.engine import Engine
from xfer.server.executor import ThreadExecutor
from xfer.server.tcp import TcpService

ZONE = """\
$TTL 300
@ IN SOA ns1 hostmaster 5 3600 600 604800 300
  NS ns1
ns1 A 192.0.2.1
www A 192.0.2.2
"""
CONFIG = """
[[zone]]
name = "example.com"
role = "primary"
file = "zone"
[[peer]]
name = "p"
address = "192.0.2.1"
[[zone]]
name = "second.example"
primaries = ["p"]
"""


def write(directory: Path, config: str = CONFIG, limits: str = "", zone: str | None = ZONE) -> Path:
    """The config in `directory`, and the zone file it names; returns the config's path."""
    path = directory / "xfer.toml"
    path.write_text(
        f'[server]\njournal = "sqlite://{directory}/journal.db"\n'
        f'control = "{directory}/control.sock"\nlisten = ["127.0.0.1:5300"]\n'
        f"[limits]\n{limits}\n{config}"
    )
    if zone is not None:
        (directory / "zone").write_text(zone)
    return path


@contextmanager
def running(path: Path) -> Iterator[Core]:
    """A core over that config, in a thread of its own, until the block ends."""
    ready = threading.Event()
    found: list[Core] = []
    tokens: list[trio.lowlevel.TrioToken] = []
    problems: list[BaseException] = []
    scope = trio.CancelScope()

    async def main(journal: Journal, committer: GroupCommitter) -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        config = load(path)
        with scope:
            async with trio.open_nursery() as nursery:
                core = Core(
                    config,
                    journal,
                    committer,
                    nursery,
                    clock=SystemClock(),
                    rng=random.Random(1),
                    executor=ThreadExecutor(2),
                    load=lambda: load(path),
                )
                await core.load_all()
                for zone in core.table.zones.values():
                    if not zone.secondary:
                        await core.read_file(zone)
                nursery.start_soon(core.removed.run)
                nursery.start_soon(core.signers.reminders.run)
                tcp = TcpService(core.dispatcher, core.outgoing.run, core.notified, 1, 1, 1)
                serve = partial(serve_control, import_limit=config.limits.import_body)
                await nursery.start(serve, Engine(core, tcp), config.server.control)
                found.append(core)
                ready.set()

    def run() -> None:
        try:
            config = load(path)
            with (
                Journal.open(config.server.journal, SystemClock()) as journal,
                GroupCommitter.start(journal) as committer,
            ):
                trio.run(main, journal, committer)
        except BaseException as error:
            problems.append(error)
        finally:
            ready.set()

    # What is logged would stand in the output of the commands under test.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        if problems:
            raise problems[0]
        yield found[0]
    finally:
        if not problems:
            tokens[0].run_sync_soon(scope.cancel)
        thread.join()
        structlog.reset_defaults()
        if problems:
            raise problems[0]
