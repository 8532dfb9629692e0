"""Large transfers take a child, which may die at any time; and pulls that have one."""

from __future__ import annotations

import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import attrs
import pytest
import structlog
import trio
import trio.testing

from tests.badinput.primary import (
    KEY,
    NOW,
    ORIGIN,
    OTHER_SECRET,
    A,
    Fault,
    Pause,
    Piece,
    Primary,
    Script,
    Signature,
    Signer,
    TcpPrimary,
    soa,
)
from tests.badinput.secondary import ADDRESS, TestClock, memory_dial
from tests.peers import free_port
from tests.peers.xferd import Xferd
from tests.server.receiving import (
    BEFORE_ANYTHING,
    HOSTS,
    MSG_ID,
    ROOT,
    SIGNED,
    children,
    drafts,
    framed,
    framing,
    job,
    parts,
    told,
)
from xfer.errors import Failure, TransferError
from xfer.server import pipeline, stages
from xfer.server.building import Received
from xfer.server.executor import Executor, InlineExecutor, ThreadExecutor
from xfer.server.parsing import LARGE, RemoteReception
from xfer.server.pipeline import Parsers, Pipeline, run_in
from xfer.server.pull import PullLimits, PullResult, pull_zone
from xfer.server.target import Target
from xfer.transfer.envelope import StreamLimits
from xfer.wire.tsig import Key
from xfer.zone.check import Policy

LONG_NAME = b"".join(b"\x3c" + b"x" * 60 for _ in range(3)) + ORIGIN
LARGE_SCRIPT = Script(2, messages=3000)  # 400 kB unsigned


@pytest.fixture(scope="module")
def shared() -> Iterator[Pipeline]:
    """A child for tests that leave it alive."""
    with closing(Pipeline()) as child:
        yield child


STAGES = pytest.mark.parametrize("stage", ["parser", "packer"])


def pid_of(child: Pipeline, stage: str) -> int:
    """The packer is started by the parser, once that has what it needs."""
    if stage == "parser":
        return child.pid
    child.begin(job())
    (packer,) = children(child.pid)
    return packer


@STAGES
def test_a_child_that_is_killed_at_work_fails_its_transfer_and_no_other(stage: str) -> None:
    stream = framed(drafts(HOSTS[:3000]), None)
    with closing(Parsers(1)) as parsers, ThreadPoolExecutor(1) as pool:
        child = parsers.acquire()
        assert child is not None
        pid = pid_of(child, stage)
        reception = RemoteReception(child, job(), framing(), BEFORE_ANYTHING)
        os.kill(pid, signal.SIGSTOP)  # so that it is at work when it is killed
        taking = pool.submit(lambda: (reception.take([stream], NOW), reception.finish()))
        os.kill(pid, signal.SIGKILL)
        error = taking.exception(10)
        assert isinstance(error, TransferError)
        assert error.failure is Failure.POLICY
        assert error.expected == "the process that reads the transfer to answer"
        assert error.got.startswith("its end (")
        parsers.release(child)
        after = parsers.acquire()
        assert after is not None
        assert after.pid != child.pid
        told(RemoteReception(after, job(), framing(), BEFORE_ANYTHING), stream)


@STAGES
def test_a_child_that_was_killed_idle_is_replaced_and_the_log_says_so(stage: str) -> None:
    with closing(Parsers(1)) as parsers:
        first = parsers.acquire()
        assert first is not None
        pid = pid_of(first, stage)
        parsers.release(first)
        with os.fdopen(os.pidfd_open(pid)) as end:
            os.kill(pid, signal.SIGKILL)
            assert select.select([end], [], [], 10)[0]
        with structlog.testing.capture_logs() as lines:
            second = parsers.acquire()
        assert [line["pid"] for line in lines] == [first.pid]
        assert second is not None
        assert second.pid != first.pid
        told(
            RemoteReception(second, job(), framing(), BEFORE_ANYTHING),
            framed(drafts(HOSTS[:300]), None),
        )


def test_messages_of_no_octets_behind_names_that_grow_do_not_hold_up_a_transfer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of the three waits for the next one then: we for room at the parser, it for room at the
    packer, and that for us to take blocks, where sockets hold what Linux gives them untold."""
    room = 212_992
    monkeypatch.setattr(stages, "BUFFER", room)
    command = f"from xfer.server import stages; stages.BUFFER = {room}; stages.main()"
    monkeypatch.setattr(pipeline, "COMMAND", command)
    last = compressed(9 * 2900)
    pieces = [b"".join(compressed(at * 2900) for at in (n, n + 1, n + 2)) for n in (0, 3, 6)]
    opening = drafts(HOSTS[:1])[:1]
    chunks = [framed(opening, None) + pieces[0], pieces[1], pieces[2] + last[:-1]]
    chunks.append(last[-1:] + b"\0" * 196_600)
    with closing(Pipeline()) as child, ThreadPoolExecutor(1) as pool:
        reception = RemoteReception(child, job(), framing(), BEFORE_ANYTHING)

        def take() -> None:
            reception.take(chunks, NOW)
            while reception.behind:
                reception.catch_up()

        taking = pool.submit(take)
        try:
            error = taking.exception(20)
        finally:
            child.kill()
    assert isinstance(error, TransferError)
    assert error.expected == "a message of at least 12 octets"


def compressed(first: int, count: int = 2900) -> bytes:
    """A message of nearly 64 kB, framed, whose owners fill ten times as many octets."""
    out = bytearray(struct.pack("!6H", MSG_ID, 0x8400, 0, count, 0, 0))
    for number in range(first, first + count):
        label = b"\5%05d" % number
        out += label + (b"\xc0\x12" if number > first else LONG_NAME)
        out += struct.pack("!HHIHI", A, 1, 3600, 4, number)
    return struct.pack("!H", len(out)) + bytes(out)


def test_a_child_ends_with_its_parent() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom xfer.server.pipeline import Pipeline\nchild = Pipeline()\n"
            "print(child.pid, flush=True)\nsys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with parent:
        assert parent.stdout is not None
        end = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            assert select.select([end], [], [], 10)[0], "the child outlives its parent"
        finally:
            os.close(end)


def test_no_child_is_started_beyond_the_number_or_where_there_are_none() -> None:
    with closing(Parsers(0)) as none, closing(Parsers(1)) as one:
        none.start()
        assert none.acquire() is None
        child = one.acquire()
        assert child is not None
        assert one.acquire() is None
        one.release(child)
        assert one.acquire() is child


def test_where_no_process_can_be_started_threads_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with closing(Parsers(1)) as parsers:
        parsers.start()
        assert parsers.acquire() is None


async def pull(
    primary: Primary,
    parsers: Parsers,
    key: Key | None = None,
    limits: PullLimits | None = None,
    executor: Executor | None = None,
    checking: Callable[[], None] | None = None,
) -> PullResult:
    failed: TransferError | None = None
    async with trio.open_nursery() as nursery:
        try:
            result = await pull_zone(
                Target(ADDRESS, key=key, name="primary"),
                ORIGIN,
                policy=Policy(),
                clock=TestClock(),
                rng=random.Random(1),
                executor=executor or InlineExecutor(),
                limits=limits,
                checking=checking,
                parsers=parsers,
                dial=memory_dial(primary, nursery),
            )
        except TransferError as error:
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return result


def failure_of(
    primary: Primary, parsers: Parsers, key: Key | None, limits: PullLimits
) -> TransferError:
    """Under a clock that jumps: the executor uses no threads here."""
    with pytest.raises(TransferError) as caught:
        trio.run(
            pull, primary, parsers, key, limits,
            clock=trio.testing.MockClock(autojump_threshold=0),
        )  # fmt: skip
    return caught.value


class Counted(Parsers):
    """Counts who asks."""

    asked = 0

    def acquire(self) -> Pipeline | None:
        self.asked += 1
        return super().acquire()


@SIGNED
def test_only_a_large_transfer_takes_a_child(key: Key | None) -> None:
    async def main() -> None:
        small = await pull(Primary([Script(1)]), parsers, key)
        assert small.octets < LARGE
        assert parsers.asked == 0
        large = await pull(Primary([LARGE_SCRIPT]), parsers, key)
        assert large.octets > LARGE
        assert parsers.asked == 1
        alone = await pull(Primary([LARGE_SCRIPT]), none, key)
        assert large.snapshot.root == alone.snapshot.root
        assert (large.messages, large.records) == (alone.messages, alone.records)

    with closing(Counted(1)) as parsers, closing(Parsers(0)) as none:
        trio.run(main)


def test_a_transfer_that_found_no_child_free_goes_on_without_one() -> None:
    """Also when one becomes free meanwhile, which has not seen the beginning."""

    async def main() -> None:
        child = parsers.acquire()
        assert child is not None

        def endless(msg_id: int, question: bytes, signer: Signer | None) -> Iterator[Piece]:
            pieces = b"".join(
                piece for piece in LARGE_SCRIPT.pieces(msg_id, question, signer)
                if isinstance(piece, bytes)
            )  # fmt: skip
            yield pieces[: LARGE + 1000]
            parsers.release(child)
            yield pieces[LARGE + 1000 :]

        primary = Primary([LARGE_SCRIPT], endless=endless, delay=1.0)
        result = await pull(primary, parsers)
        assert result.snapshot.count == 9000

    with closing(Parsers(1)) as parsers:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def closed(frames: list[bytes]) -> list[Piece]:
    return [b"".join(frames)[:-40]]


def stalled(frames: list[bytes]) -> list[Piece]:
    return [b"".join(frames)[:-40], Pause()]


def wrong_secret(signature: Signature) -> Signature:
    return Signature(OTHER_SECRET, signature.time)


@pytest.mark.parametrize(
    ("key", "fault", "limits", "failure", "expected", "got"),
    [
        (KEY, Fault(signature=wrong_secret), PullLimits(), Failure.AUTH, "", "message 3000"),
        (None, Fault(stream=closed), PullLimits(), Failure.TRANSPORT,
         "the transfer to go on to its closing SOA", "closed after "),
        (KEY, Fault(stream=stalled), PullLimits(idle=5), Failure.TRANSPORT, "octets within 5 s",
         "stopped after "),
        (None, Fault(stream=stalled), PullLimits(total=9), Failure.TRANSPORT,
         "the whole transfer within 9 s", "stopped after "),
        (None, Fault(), PullLimits(stream=StreamLimits(records=8000)), Failure.POLICY,
         "at most 8000 records", ""),
        (KEY, Fault(edit=lambda draft: draft.put(soa(3))), PullLimits(), Failure.PROTOCOL,
         "closing SOA", "message 3000"),
    ],
    ids=["bad-mac", "closed", "stalled", "total-time", "limit", "another-soa"],
)  # fmt: skip
def test_a_large_transfer_fails_in_a_child_as_it_should(
    key: Key | None, fault: Fault, limits: PullLimits, failure: Failure, expected: str, got: str
) -> None:
    script = attrs.evolve(LARGE_SCRIPT, fault=fault, at=LARGE_SCRIPT.messages - 1)
    with closing(Counted(1)) as parsers, closing(Parsers(0)) as none:
        error = failure_of(Primary([script]), parsers, key, limits)
        assert parsers.asked == 1
        assert error.failure is failure
        assert expected in error.expected
        assert got in error.got
        assert parts(error) == parts(failure_of(Primary([script]), none, key, limits))
        assert trio.run(pull, Primary([LARGE_SCRIPT]), parsers, key).snapshot.count == 9000


def test_a_child_that_dies_in_a_pull_fails_it_and_the_next_one_works() -> None:
    async def main() -> None:
        def kill() -> None:
            (child,) = parsers._busy
            os.kill(child.pid, signal.SIGKILL)

        with pytest.raises(TransferError, match=r"policy: .* the process that reads"):
            await pull(Primary([LARGE_SCRIPT]), parsers, executor=threads, checking=kill)
        result = await pull(Primary([LARGE_SCRIPT]), parsers, executor=threads)
        assert result.snapshot.count == 9000

    threads = ThreadExecutor(2)
    with closing(Parsers(1)) as parsers:
        trio.run(main)


def test_a_cancelled_pull_does_not_wait_for_its_child() -> None:
    """The child is stopped, as if it had years of work: no thread may be left waiting for it."""

    async def main() -> None:
        def stop() -> None:
            (child,) = parsers._busy
            os.kill(child.pid, signal.SIGSTOP)
            scope.cancel()

        with trio.fail_after(20):
            with trio.CancelScope() as scope:
                await pull(Primary([LARGE_SCRIPT]), parsers, executor=threads, checking=stop)
            assert scope.cancelled_caught
            result = await pull(Primary([LARGE_SCRIPT]), parsers, executor=threads)
            assert result.snapshot.count == 9000

    threads = ThreadExecutor(2)
    with closing(Parsers(1)) as parsers:
        trio.run(main)


def test_a_call_that_is_done_leaves_its_child_alone(shared: Pipeline) -> None:
    async def main() -> Received:
        work = job()
        threads = ThreadExecutor(1)
        reception = await run_in(
            shared, threads, RemoteReception, shared, work, framing(), BEFORE_ANYTHING
        )
        stream = framed(drafts(HOSTS[:300]), None)
        await run_in(shared, threads, reception.take, [stream], NOW)
        return (await run_in(shared, threads, reception.finish))[0]

    snapshot = trio.run(main).snapshot
    assert snapshot is not None
    assert snapshot.count == 303
    assert shared.usable()


def test_a_daemon_ends_although_its_child_does_not_answer() -> None:
    port = free_port("127.0.0.1")
    stopped = threading.Event()

    def held(msg_id: int, question: bytes, signer: Signer | None) -> Iterator[Piece]:
        """Nothing before the child is stopped, for it might be through with all of it else."""
        assert stopped.wait(20)
        yield from LARGE_SCRIPT.pieces(msg_id, question, signer)

    with TcpPrimary([LARGE_SCRIPT]) as primary:
        primary.endless = held
        config = f"""
[server]
listen = ["127.0.0.1:{port}"]
journal = "{{journal}}"
control = "{{control}}"
[limits]
shutdown_grace = 0.5
[[peer]]
name = "primary"
address = "127.0.0.1"
port = {primary.port}
[[zone]]
name = "example.com"
role = "secondary"
primaries = ["primary"]
"""
        with Xferd(config=config, port=port) as xfer:
            process = xfer._process
            assert process is not None
            (child,) = children(process.pid)
            os.kill(child, signal.SIGSTOP)
            stopped.set()
            deadline = time.monotonic() + 20
            while primary.asked < 1:
                assert time.monotonic() < deadline
                os.sched_yield()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert '"abandoned": 1' in xfer.logs()
