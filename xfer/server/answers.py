"""The short way to answers, over the zones as they run (`xfer.answer.fast`).

    datagram ──▶ Answers ──plain query──▶ what was kept, or made from the version that is served
                    └────all else, and what no zone here may say ──▶ Dispatcher

What is kept is good for one version of a zone, as long as it has not expired; `Zone` ends it with
either. With a rate limit, each answer is judged before it goes.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from xfer.answer.fast import Fast, Service
from xfer.clock import Clock
from xfer.peers import IPAddress, address_of
from xfer.server.dispatch import Dispatcher
from xfer.server.handled import Handled
from xfer.server.rrl import Verdict
from xfer.server.statistics import BOUNDS, SAMPLED
from xfer.wire.codes import SERVFAIL
from xfer.wire.request import make_error

log = structlog.get_logger()

CLIENTS = 4096  # addresses whose parsed form is remembered


class Answers:
    """Answers over UDP.

    work: told what a request asks for besides its answer; budget: octets for answers that are kept.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        clock: Clock,
        work: Callable[[Handled], None],
        budget: int,
    ) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._work = work
        self._clients: dict[str, IPAddress] = {}
        self._long = 0  # of the batch that is answered
        self._untimed = 0
        self.fast = Fast(self._find, self._cookie, dispatcher.payload, budget)
        self.apply(budget)

    def apply(self, budget: int) -> None:
        """The config is another; zones may have come and gone."""
        self.count()
        self.fast.set(self._dispatcher.payload, budget)
        self.fast.cookies = self._dispatcher.offer.cookies is not None

    def answer(self, message: bytes, host: str, now: float) -> bytes | None:
        """What a datagram gets, None for nothing. host: its sender's address; now: monotonic."""
        try:
            limited = self._dispatcher.limiter.on
            reply = self.fast.again(message, now)
            if reply is not None and not limited:
                return reply
            client = self._clients.get(host) or self._client(host)
            if reply is None:
                reply = self.fast.answer(message, client.packed, now)
            if reply is not None:
                return self._limited(message, client, reply, now) if limited else reply
        except Exception as error:
            # As on the long way, a mistake of ours costs one request, not the daemon.
            log.error("internal error", peer=host, error=str(error), exc_info=error)
            return make_error(message, SERVFAIL)
        self._long += 1
        handled = self._dispatcher.handle(message, client, False)
        if handled.work is not None:
            self._work(handled)
        return handled.reply

    def _limited(self, message: bytes, client: IPAddress, reply: bytes, now: float) -> bytes | None:
        """The answer, or what the rate limit leaves of it."""
        dispatcher = self._dispatcher
        verdict = dispatcher.limiter.judge(client, reply, now)
        if verdict is Verdict.SEND:
            return reply
        heard = dispatcher.hear(message, client, False)
        if heard.genuine:
            return reply
        left = dispatcher.left(verdict, message, heard, reply)
        dispatcher.statistics.recount(heard.kind(), reply[3] & 15, heard.rcode(left))
        return left

    def count(self) -> None:
        """Hand what was counted to the statistics."""
        kinds, zones = self.fast.drain()
        buckets = [0] * (len(BOUNDS) + 1)
        self._dispatcher.statistics.absorb((kinds, zones, buckets, 0.0, {}, {}))

    def took(self, seconds: float, number: int) -> None:
        """A batch of so many took so long; those that took the long way are timed there."""
        self._untimed += number - self._long
        self._long = 0
        while self._untimed >= SAMPLED:
            self._untimed -= SAMPLED
            self._dispatcher.statistics.took(seconds / number)

    def _client(self, host: str) -> IPAddress:
        client = address_of(host.partition("%")[0])
        if len(self._clients) >= CLIENTS:
            self._clients.clear()
        self._clients[host] = client
        return client

    def _find(self, name: bytes, rtype: int) -> Service | None:
        zone = self._dispatcher.table.holding(name, rtype)
        return zone.service() if zone is not None else None

    def _cookie(self, option: bytes, client: bytes) -> bytes | None:
        cookies = self._dispatcher.offer.cookies
        if cookies is None:
            return None
        checked = cookies.check(option, client, int(self._clock.wall()))
        return checked.answer if checked is not None else None
