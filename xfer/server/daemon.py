"""The daemon: from a config to a clean end (DESIGN §3).

The order at the start: `launch`, the right to the control socket, journal, DNS sockets, versions
from the journal; DNS is answered before the control API is imported. SIGHUP reloads. SIGTERM and
SIGINT stop listening, give running transfers `shutdown_grace` to finish, and end.
"""

from __future__ import annotations

import contextlib
import gc
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
import trio

from xfer import kernel
from xfer.clock import SystemClock
from xfer.config import Config
from xfer.errors import ConfigError, JournalError, XferError
from xfer.journal import GroupCommitter, Journal
from xfer.peers import IPAddress, address_of
from xfer.server.core import Core
from xfer.server.engine import Engine
from xfer.server.executor import ThreadExecutor
from xfer.server.pipeline import Parsers
from xfer.server.settings import retention
from xfer.server.soa_probe import SoaProber
from xfer.server.target import system_text
from xfer.server.tcp import TcpService
from xfer.server.udp import serve_udp, shares

log = structlog.get_logger()

C = TypeVar("C", bound="Claim")

# Worker threads and the event loop share the interpreter, and every system call hands it over: the
# event loop waits this long, or until the end of the kernel call that runs, to get it back. At the
# default of 5 ms a batch of UDP answers would wait for as many times 5 ms.
SWITCH_INTERVAL = 0.0001
SWEEP_INTERVAL = 3600.0
NOTSENT = 1 << 20  # octets the kernel may hold unsent: trio's 16 kB would wake us for each message
BACKLOG = 512


class Claim(Protocol):
    """The right to the control socket (`xfer.control.sockets.ControlSocket`)."""

    def close(self) -> None: ...


class Control(Protocol[C]):
    """The control API, which lies above this layer and is handed in."""

    def claim(self, path: Path) -> C:
        """Take the right to the socket; raises ControlError where another daemon has it."""

    async def serve(self, engine: Engine, claim: C, body_limit: int, import_limit: int) -> None:
        """Serve until cancelled."""


def run(config: Config, read: Callable[[], Config], control: Control[C], parsers: Parsers) -> None:
    """Run until a signal ends it.

    read: reads the config again, for a reload. Raises XferError, alone or in a group, where what
    the config names cannot be had.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    with (
        contextlib.closing(control.claim(config.server.control)) as claim,
        Journal.open(config.server.journal, SystemClock()) as journal,
        GroupCommitter.start(journal, retention(config.limits), _journal_trouble) as committer,
    ):
        # What is imported stays: looking through it again and again is work for nothing.
        gc.freeze()

        async def serve(engine: Engine) -> None:
            limits = config.limits
            await control.serve(engine, claim, limits.control_body, limits.import_body)

        trio.run(_Daemon(config, serve, journal, committer, parsers, read).run)


def _journal_trouble(error: JournalError) -> None:
    log.error("journal upkeep failed", error=str(error))


def _listen_text(config: Config) -> str:
    return ", ".join(str(endpoint) for endpoint in config.server.listen)


class _Daemon:
    def __init__(
        self,
        config: Config,
        serve_control: Callable[[Engine], Awaitable[None]],
        journal: Journal,
        committer: GroupCommitter,
        parsers: Parsers,
        read: Callable[[], Config],
    ) -> None:
        self._config = config
        self._serve_control = serve_control
        self._journal = journal
        self._committer = committer
        self._parsers = parsers
        self._read = read

    async def run(self) -> None:
        """The nursery tree: signals, listeners, schedule and control beside the work itself."""
        limits = self._config.limits
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as work, trio.open_nursery() as services:
                core = Core(
                    self._config,
                    self._journal,
                    self._committer,
                    work,
                    clock=SystemClock(),
                    rng=random.SystemRandom(),
                    # A thread waits for each process that parses.
                    executor=ThreadExecutor(limits.worker_threads + limits.parser_processes),
                    load=self._read,
                    parsers=self._parsers,
                )
                core.probe_by(SoaProber(work, core.clock, random.SystemRandom()))
                tcp = TcpService(
                    core.dispatcher,
                    core.outgoing.run,
                    core.notified,
                    limits.tcp_idle_timeout,
                    limits.idle_timeout,
                    limits.tcp_clients,
                )
                await self._listen(core, tcp, work, services)
                log.info(
                    "listening",
                    listen=_listen_text(self._config),
                    zones=len(core.table.zones),
                    kernel=kernel.form(),
                )
                work.start_soon(core.load_all)
                services.start_soon(core.schedule.run)
                services.start_soon(core.signers.reminders.run)
                services.start_soon(core.came_signed.run)
                services.start_soon(core.came_signed.reminders.run)
                services.start_soon(core.removed.run)
                services.start_soon(_sweep, self._committer)
                services.start_soon(self._serve_control, Engine(core, tcp))
                async for number in signals:
                    if number == signal.SIGHUP:
                        await _reload(core)
                    else:
                        break
                await self._stop(core, work, services)

    async def _listen(
        self, core: Core, tcp: TcpService, work: trio.Nursery, services: trio.Nursery
    ) -> None:
        """Bind every address before any is served: all or nothing."""
        bound = []
        for endpoint in self._config.server.listen:
            address = str(endpoint.address)
            try:
                listeners = [await _tcp_listener(address, endpoint.port)]
                sockets = shares(address, endpoint.port, self._config.server.workers)
                bound.append((sockets, listeners))
            except OSError as error:
                got = system_text(error, "that address")
                raise XferError(
                    f"expected to listen on {endpoint} over TCP and UDP, got {got}"
                ) from error

        async def serve(stream: trio.SocketStream) -> None:
            client = _prepare(stream)
            if client is None:
                return
            try:
                await tcp.serve(stream, client)
            except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                pass  # reader and writer may find it broken in the same moment
            except* Exception as errors:
                # A mistake of ours costs one connection, not the daemon.
                log.error("internal error", peer=str(client), error=str(errors), exc_info=errors)

        batch = self._config.limits.udp_batch
        for sockets, listeners in bound:
            services.start_soon(_accept, serve, listeners, work)
            if core.workers is None:
                services.start_soon(serve_udp, sockets[0], core.answers, core.clock, batch)
        if core.workers is not None:
            # Of each address one socket for each process.
            own = list(zip(*(sockets for sockets, _ in bound), strict=True))
            services.start_soon(core.workers.run, own)

    async def _stop(self, core: Core, work: trio.Nursery, services: trio.Nursery) -> None:
        grace = core.config.limits.shutdown_grace
        log.info("stopping", transfers=core.active, grace=grace)
        core.attempts.stopping = True
        services.cancel_scope.cancel()
        with trio.CancelScope(shield=True), trio.move_on_after(grace):
            await core.until_idle()
        with trio.CancelScope(shield=True):
            await core.attempts.saving.last(core.table.zones.values())
        abandoned = core.active
        work.cancel_scope.cancel()
        log.info("stopped", abandoned=abandoned)


async def _tcp_listener(address: str, port: int) -> trio.SocketListener:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    await sock.bind((address, port))
    sock.listen(BACKLOG)
    return trio.SocketListener(sock)


async def _accept(
    serve: Callable[[trio.SocketStream], Awaitable[None]],
    listeners: list[trio.SocketListener],
    work: trio.Nursery,
) -> None:
    await trio.serve_listeners(serve, listeners, handler_nursery=work)


async def _sweep(committer: GroupCommitter) -> None:
    """Versions older than keep_age go though their zone does not change."""
    while True:
        await trio.sleep(SWEEP_INTERVAL)
        committer.sweep()


def _prepare(stream: trio.SocketStream) -> IPAddress | None:
    """The client's address, and a socket that takes large writes; None where it has gone."""
    try:
        host = stream.socket.getpeername()[0]
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT)
    except OSError:
        return None
    return address_of(host.partition("%")[0])


async def _reload(core: Core) -> None:
    try:
        await core.reload()
    except ConfigError as error:
        log.error("reload refused", error=str(error))
    except Exception as error:
        # A file that our reader stumbles over must not end what runs.
        log.error("internal error", error=f"reload: {type(error).__name__}", exc_info=error)
