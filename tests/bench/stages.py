"""One server's life in the benchmark, stage by stage, each with its figures.

    start ─ first transfer ─ serve it (cold, warm) ─ replacing transfer ─ replacing transfer and
    at once serve it (cold) ─ replacing transfer under SOA queries ─ restart ─ serve it (cold)

*Receiving* counts from the first query the primary sees (the SOA check, where one is made)
until the new serial is answered over UDP; xfer answers it only when it is durable. CPU and memory
go on until the server is quiet, so that a zone file written afterwards is in them. *Sending*
counts from the request to the last octet.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
import time
from pathlib import Path

import attrs

from tests.bench import zone
from tests.bench.drain import drain, wait_served
from tests.bench.load import Load, percentile
from tests.bench.proc import Meter
from tests.bench.replay import Replay
from tests.bench.servers import Contestant
from tests.peers import Server

RECEIVE_FIRST = "receive: first transfer"
RECEIVE_REPLACING = "receive: replacing transfer"
SEND_COLD_FIRST = "send: cold, first version"
SEND_COLD_REPLACED = "send: cold, replaced version"
SEND_COLD_RESTARTED = "send: cold, restarted"
SEND_WARM = "send: warm"
STARTUP = "start with the zone stored"
UDP = "SOA queries meanwhile"
LIFE = "whole life"
VERSIONS = (1, 2, 3, 4)
_WARM_TRANSFERS = 5


@attrs.frozen
class Figures:
    """What one stage cost: seconds, CPU seconds, peak bytes; latencies in seconds where asked."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    latency_p50: float | None = None
    latency_p99: float | None = None
    latency_max: float | None = None
    lost: int | None = None


class Life:
    """Runs the stages for one server and size; `figures` holds a list for each stage's name."""

    def __init__(
        self, contestant: Contestant, replay: Replay, count: int, only: str | None
    ) -> None:
        self._contestant = contestant
        self._replay = replay
        self._count = count
        self._only = only
        self._directory = Path(tempfile.mkdtemp(prefix="xfer-bench-"))
        self._server: Server = contestant.server(replay.remote, replay.key, self._directory)
        self.figures: dict[str, list[Figures]] = {}

    def run(self) -> dict[str, list[Figures]]:
        """Take the server through its life; its processes and files are gone afterwards."""
        sender = self._only in (None, "sender", "pure")
        try:
            self._first()
            if sender:
                self._send(SEND_COLD_FIRST)
                for _ in range(_WARM_TRANSFERS):
                    self._send(SEND_WARM)
            if self._only != "udp":
                self._replace(2)
            if sender:
                self._replace_and_send(3)
            if self._only in (None, "udp"):
                self._replace_under_queries(4)
            if sender:
                self._restart()
                self._send(SEND_COLD_RESTARTED)
        except BaseException:
            print(f"--- {self._contestant.name} ---\n{self._server.logs()[-6000:]}")
            raise
        finally:
            self._server.stop()
            shutil.rmtree(self._directory, ignore_errors=True)
        peak = max(f.peak_bytes for stage in self.figures.values() for f in stage)
        cpu = sum(f.cpu_seconds for stage in self.figures.values() for f in stage)
        seconds = sum(f.seconds for stage in self.figures.values() for f in stage)
        self._add(LIFE, Figures(seconds, cpu, peak))
        return self.figures

    def _add(self, stage: str, figures: Figures) -> None:
        self.figures.setdefault(stage, []).append(figures)

    def _served(self, version: int) -> float:
        """Wait for the version; seconds since the primary was first asked."""
        server = self._server
        end = wait_served(server.address, server.port, zone.serial_of(version))
        return end - self._replay.events()[0][1]

    def _first(self) -> None:
        self._replay.use(1)
        self._server.prepare()
        self._server.launch()
        with Meter(self._server.pid) as meter:
            seconds = self._served(1)
            meter.settle()
        self._add(RECEIVE_FIRST, Figures(seconds, meter.cpu_seconds, meter.peak_bytes))

    def _send(self, stage: str) -> None:
        with Meter(self._server.pid, sampling=False) as meter:
            drained = drain(self._server.remote(), self._replay.key, self._count)
            meter.settle(0.1)
        self._add(stage, Figures(drained.seconds, meter.cpu_seconds, meter.peak_bytes))

    def _replaced(self, version: int) -> float:
        """Put a new version on the primary, have it fetched; seconds as in `_served`."""
        self._replay.use(version)
        # xfer's command returns when the transfer is done; theirs return at once.
        check = threading.Thread(target=self._contestant.check, args=[self._server])
        check.start()
        seconds = self._served(version)
        check.join()
        return seconds

    def _replace(self, version: int) -> None:
        with Meter(self._server.pid) as meter:
            seconds = self._replaced(version)
            meter.settle()
        self._add(RECEIVE_REPLACING, Figures(seconds, meter.cpu_seconds, meter.peak_bytes))

    def _replace_and_send(self, version: int) -> None:
        # No receiver's figure: the client's transfer runs into what follows the swap.
        self._replaced(version)
        # Of several processes, those that have the version before may take the connection.
        self._server.wait_serving(zone.ZONE, zone.serial_of(version))
        self._send(SEND_COLD_REPLACED)

    def _replace_under_queries(self, version: int) -> None:
        server = self._server
        with Load(server.address, server.port) as load, Meter(server.pid) as meter:
            threading.Event().wait(0.5)
            seconds = self._replaced(version)
            threading.Event().wait(0.5)
            latencies = load.finish()
        self._add(
            UDP,
            Figures(
                seconds,
                meter.cpu_seconds,
                meter.peak_bytes,
                percentile(latencies, 0.5),
                percentile(latencies, 0.99),
                max(latencies),
                sum(math.isinf(value) for value in latencies),
            ),
        )

    def _restart(self) -> None:
        server = self._server
        self._contestant.flush(server)
        serial = server.serial(zone.ZONE)
        assert serial is not None
        server.stop()
        start = time.monotonic()
        server.launch()
        with Meter(server.pid) as meter:
            seconds = wait_served(server.address, server.port, serial) - start
            meter.settle()
        self._add(STARTUP, Figures(seconds, meter.cpu_seconds, meter.peak_bytes))
