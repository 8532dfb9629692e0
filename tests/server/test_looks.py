"""Looks: checks without a task of their own, and what ends them."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from tests.server.fakes import peer, snapshot
from tests.server.upstream import Secondary, Upstream, simulate
from xfer.errors import Failure, TransferError
from xfer.server.hints import Hint
from xfer.server.soa import SoaAnswer
from xfer.server.soa_probe import Came
from xfer.server.target import Target

A = peer("a", "192.0.2.1")


@attrs.define(eq=False)
class _Query:
    scope: trio.CancelScope

    def cancel(self) -> None:
        self.scope.cancel()


@attrs.define(eq=False)
class Prober:
    """Asks the upstream over a network of its own; silent: no answer ever comes."""

    upstream: Upstream
    nursery: trio.Nursery
    silent: bool = False
    sent: int = 0

    def send(
        self,
        target: Target,
        origin: bytes,
        timeouts: tuple[float, ...],
        came: Came,
        lost: Callable[[], None] | None = None,
    ) -> _Query:
        self.sent += 1
        query = _Query(trio.CancelScope())

        async def ask() -> None:
            with query.scope:
                if self.silent:
                    await trio.sleep(sum(timeouts))
                    assert lost is not None
                    lost()
                    came(TransferError(Failure.TRANSPORT, "an answer over UDP", "none"))
                    return
                content = self.upstream.served["a"]
                assert content is not None
                await trio.sleep(0.001)
                came(SoaAnswer(content.serial, None, "192.0.2.99", 0.001))

        self.nursery.start_soon(ask)
        return query


def prober_of(secondary: Secondary) -> Prober:
    nursery = secondary.upstream.nursery
    assert nursery is not None
    prober = Prober(secondary.upstream, nursery)
    secondary.refresher.prober = prober  # type: ignore[assignment]
    return prober


def test_a_look_without_news_plans_the_next_and_one_with_news_transfers() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        prober = prober_of(secondary)
        zone = secondary.zone([A])
        await trio.sleep(60)
        assert (zone.serial, prober.sent) == (5, 0), "a first version needs no look"
        before = len(upstream.asked)
        await trio.sleep(2 * 3600)
        assert prober.sent >= 1
        assert upstream.told(before) == []
        assert zone.checked_at is not None
        assert (zone.busy, zone.error, secondary.attempts.working) == (False, None, set())
        assert zone.primary(A).checks == prober.sent
        upstream.served["a"] = snapshot(6)
        await trio.sleep(2 * 3600)
        assert zone.serial == 6
        assert upstream.told(before) == ["a ixfr"], "the answer is not asked for twice"
        assert secondary.attempts.schedule.pace.running == 0

    simulate(upstream, session)


def test_a_look_that_nothing_answers_goes_on_over_tcp_and_fails() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        prober = prober_of(secondary)
        zone = secondary.zone([A])
        await trio.sleep(60)
        prober.silent = True
        upstream.served["a"] = None
        await trio.sleep(2 * 3600)
        assert zone.error is not None
        assert zone.error.failure == "transport"
        assert "over UDP" in zone.error.sentence
        assert zone.failures > 0

    simulate(upstream, session)


def test_a_look_gives_way_to_a_notify() -> None:
    upstream = Upstream(a=snapshot(5))

    async def session(secondary: Secondary) -> None:
        prober = prober_of(secondary)
        zone = secondary.zone([A])
        await trio.sleep(60)
        prober.silent = True
        while not zone.busy:  # noqa: ASYNC110 - what is waited for sets no event
            await trio.sleep(0.5)
        upstream.served["a"] = snapshot(6)
        secondary.attempts.notified(zone, Hint(6, "192.0.2.1"))
        await trio.sleep(0.1)
        assert (zone.serial, zone.busy) == (6, False)
        assert secondary.attempts.schedule.pace.running == 0

    simulate(upstream, session)
