"""Processes that sign: real ones, killed too; and how the daemon goes on without."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.dnssec.signed import NOW, check_signatures, terms, unsigned, zone
from tests.server.test_core import until
from xfer.dnssec.signing import Denial, Portion, Signer, Terms, WholeSigner, finish
from xfer.dnssec.signing import sign as sign_here
from xfer.server import signpool
from xfer.server.signing_process import Jobs, packed_forget, packed_job, packed_portion
from xfer.server.signpool import FEW, Process, SignPool
from xfer.server.values import Frames
from xfer.zone.snapshot import Snapshot

TEXT = "@ 300 SOA ns1 h 1 3600 600 86400 60\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n" + "".join(
    f"h{i} 300 A 192.0.2.{i % 250}\n" for i in range(5_000)
)
CONTENT = zone(TEXT)
ON = terms()


def signer_of(on: Terms = ON, content: Snapshot = CONTENT) -> WholeSigner:
    return WholeSigner(content, on, 2, NOW, random.Random(1))


async def drive(pool: SignPool, signer: Signer, on: Terms, here: list[int]) -> Snapshot:
    """As `Signers` do; here: gets the numbers of portions that were the daemon's to sign."""

    async def one(portion: Portion) -> None:
        signed = await job.sign(signer.recipe, portion)
        if signed is None:
            here.append(portion.number)
            signed = sign_here(signer.recipe, signer.signs, portion)
        signer.give(signed)

    with pool.job(on.keys) as job:
        while signer.step() or signer.waiting:
            async with trio.open_nursery() as nursery:
                for portion in signer.take():
                    nursery.start_soon(one, portion)
    return signer.snapshot()


def run(use: Callable[[SignPool], Awaitable[None]], most: int = 2, idle: float = 30.0) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                pool = SignPool(nursery, most, idle)
                await use(pool)
                nursery.cancel_scope.cancel()
        assert not pool.processes

    trio.run(main)


def told_of(pid: int, name: str = "") -> Path:
    return Path(f"/proc/{pid}/{name}")


async def gone(pids: list[int]) -> None:
    await until(lambda: not any(told_of(pid).exists() for pid in pids))


@pytest.mark.parametrize("denial", [Denial(), Denial("nsec3", opt_out=True)], ids=lambda d: d.kind)
def test_processes_make_what_the_daemon_would(denial: Denial) -> None:
    on = terms(denial)
    pids: list[int] = []

    async def use(pool: SignPool) -> None:
        here: list[int] = []
        made = await drive(pool, signer_of(on), on, here)
        assert here == list(range(FEW))
        assert unsigned(made) == unsigned(finish(signer_of(on)))
        assert check_signatures(made, NOW, each=20) > 5_000
        pids.extend(process.pid for process in pool.processes)
        assert len(pids) == 2
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids] == [
            min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        ] * 2

    run(use)
    assert not any(told_of(pid).exists() for pid in pids)


def test_a_small_zone_starts_no_process_and_0_none_at_all() -> None:
    async def use(pool: SignPool) -> None:
        here: list[int] = []
        small = zone("\n".join(TEXT.splitlines()[:1_500]))
        await drive(pool, signer_of(content=small), ON, here)
        assert here == [0, 1]
        assert not pool.processes

    async def never(pool: SignPool) -> None:
        here: list[int] = []
        await drive(pool, signer_of(), ON, here)
        assert len(here) == 6

    run(use)
    run(never, most=0)


def test_what_a_killed_process_had_in_hand_is_signed_here() -> None:
    """Killed while it is stopped in the middle of a job, so that it surely has something."""

    async def use(pool: SignPool) -> None:
        here: list[int] = []
        await drive(pool, signer_of(), ON, here)
        first = [process.pid for process in pool.processes]
        for pid in first:
            os.kill(pid, signal.SIGSTOP)

        async def kill() -> None:
            await until(lambda: any(process.wanted for process in pool.processes))
            for pid in first:
                os.kill(pid, signal.SIGKILL)

        here.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            made = await drive(pool, signer_of(), ON, here)
        assert len(here) > FEW
        assert unsigned(made) == unsigned(finish(signer_of()))
        here.clear()
        await drive(pool, signer_of(), ON, here)  # by new ones
        assert here == list(range(FEW))
        assert not {process.pid for process in pool.processes} & set(first)

    run(use)


def test_a_process_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signpool, "PATIENCE", 0.2)

    async def use(pool: SignPool) -> None:
        process = Process()
        pool.processes.append(process)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool._run, process)
            os.kill(process.pid, signal.SIGSTOP)
            here: list[int] = []
            await drive(pool, signer_of(), ON, here)
            assert len(here) > FEW
        await gone([process.pid])

    run(use, most=1)


@pytest.mark.parametrize("command", ["raise SystemExit(1)", "import no_such_module"])
def test_where_processes_cannot_run_the_daemon_signs(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signpool, "COMMAND", command)

    async def use(pool: SignPool) -> None:
        here: list[int] = []
        made = await drive(pool, signer_of(), ON, here)
        assert sorted(here) == list(range(6))
        assert unsigned(made) == unsigned(finish(signer_of()))

    run(use)


def test_where_processes_cannot_be_started_the_daemon_signs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/program")

    async def use(pool: SignPool) -> None:
        here: list[int] = []
        await drive(pool, signer_of(), ON, here)
        assert sorted(here) == list(range(6))

    run(use)


def test_they_end_when_idle_whatever_small_jobs_there_are() -> None:
    async def use(pool: SignPool) -> None:
        await drive(pool, signer_of(), ON, [])
        pids = [process.pid for process in pool.processes]
        with pool.job(ON.keys):
            await gone(pids)
        assert not pool.processes

    run(use, idle=0.1)


def test_they_stay_while_there_is_a_large_job() -> None:
    async def use(pool: SignPool) -> None:
        signer = signer_of()
        portions: list[Portion] = []
        while len(portions) <= FEW:
            signer.step()
            portions += signer.take()
        with pool.job(ON.keys) as job:
            for portion in portions:
                await job.sign(signer.recipe, portion)
            pids = [process.pid for process in pool.processes]
            await drive(pool, signer_of(), ON, [])
            await trio.sleep(0.3)
            assert [process.pid for process in pool.processes] == pids
        await gone(pids)

    run(use, idle=0.1)


def test_keys_are_in_no_command_line_and_no_environment() -> None:
    secrets = [key.private_octets().reveal() for key in ON.keys]
    secrets += [key.private_der().reveal() for key in ON.keys]

    async def use(pool: SignPool) -> None:
        await drive(pool, signer_of(), ON, [])
        for process in pool.processes:
            for name in ("cmdline", "environ"):
                told = told_of(process.pid, name).read_bytes()
                assert not any(
                    secret in told or secret.hex().encode() in told for secret in secrets
                )
            assert not process.jobs

    run(use)


def test_a_job_that_is_given_up_leaves_the_processes_to_others() -> None:
    async def use(pool: SignPool) -> None:
        await drive(pool, signer_of(), ON, [])
        pids = [process.pid for process in pool.processes]
        signer = signer_of()
        with trio.move_on_after(0.05):
            await drive(pool, signer, ON, [])
        here: list[int] = []
        made = await drive(pool, signer_of(), ON, here)
        assert here == list(range(FEW))
        assert unsigned(made) == unsigned(finish(signer_of()))
        assert [process.pid for process in pool.processes] == pids

    run(use)


def test_a_process_forgets_keys_with_their_job_and_answers_what_it_cannot_do() -> None:
    signer = signer_of()
    while not (portions := signer.take()):
        signer.step()
    (portion,) = portions
    jobs, frames = Jobs(), Frames()

    def answer(command: bytes) -> list[Any]:
        (values,) = Frames().feed(command)
        return [told for octets in jobs.take(*values) for told in frames.feed(octets)]

    assert answer(packed_job(7, signer.recipe, ON.keys)) == []
    ((job, number, records, made),) = answer(packed_portion(7, portion))
    assert (job, number, made) == (7, 0, sign_here(signer.recipe, signer.signs, portion).made)
    assert len(records) > 1_000
    assert answer(packed_forget(7)) == []
    assert answer(packed_portion(7, portion)) == [(7, 0, None, "KeyError")]
