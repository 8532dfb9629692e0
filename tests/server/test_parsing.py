"""Receptions in child processes: they say what one in this process says, and may die any time."""

from __future__ import annotations

import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from tests.badinput.primary import (
    CNAME,
    KEY,
    NOW,
    NS,
    OPT,
    ORIGIN,
    OTHER_SECRET,
    A,
    Draft,
    Fault,
    Pause,
    Piece,
    Primary,
    Script,
    Signature,
    Signer,
    TcpPrimary,
    name,
    rr,
    soa,
)
from tests.badinput.secondary import ADDRESS, TestClock, memory_dial
from tests.peers import free_port
from tests.peers.xferd import Xferd
from xfer.errors import Failure, TransferError
from xfer.server.executor import Executor, InlineExecutor, ThreadExecutor
from xfer.server.job import Job, Progress
from xfer.server.parsing import LARGE, Child, LocalReception, Parsers, RemoteReception, run_in
from xfer.server.pull import PullLimits, PullResult, pull_zone
from xfer.server.reception import Received
from xfer.server.target import Target
from xfer.transfer.inbound import StreamLimits
from xfer.wire.tsig import Key
from xfer.zone.block import Block
from xfer.zone.check import Grade, Policy
from xfer.zone.snapshot import Snapshot

ROOT = Path(__file__).resolve().parent.parent.parent
MSG_ID = 7
MAC = b"\5" * 32  # of the request
HOSTS = [rr(name(f"host-{n:05d}"), A, struct.pack("!I", n)) for n in range(6000)]
SPELLED = [rr(name(f"HOST-{n:05d}x"), NS, name(f"Ns{n}")) for n in range(0, 6000, 7)]
BEFORE_ANYTHING = Progress(False, None, 0, 0, None, "before the first octet of an answer")
LARGE_SCRIPT = Script(2, messages=3000)  # 400 kB unsigned

SIGNED = pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])


@pytest.fixture(scope="module")
def shared() -> Iterator[Child]:
    """A child for tests that leave it alive."""
    with closing(Child()) as child:
        yield child


def drafts(hosts: list[bytes], serial: int = 1, per_message: int = 100) -> list[Draft]:
    apex = [soa(serial), rr(ORIGIN, NS, name("ns1")), rr(name("ns1"), A, b"\xc0\0\2\1")]
    out = [Draft(MSG_ID, questions=[ORIGIN + b"\0\xfc\0\1"], answers=apex)]
    for at in range(0, len(hosts), per_message):
        out.append(Draft(MSG_ID, answers=hosts[at : at + per_message]))
    out[-1].answers.append(soa(serial))
    out[-1].additional.append(rr(b"\0", OPT, b"\0\x09\0\4\0\0\x0e\x10", rclass=1232, ttl=0))
    return out


def framed(messages: list[Draft], key: Key | None) -> bytes:
    """The octets of the TCP stream, signed where there is a key."""
    signer = Signer(key, MAC) if key is not None else None
    out = b""
    for draft in messages:
        wire = draft.wire()
        if signer is not None:
            wire = signer.sign(wire, Signature(signer.key, signer.now))
        out += struct.pack("!H", len(wire)) + wire
    return out


def job(
    key: Key | None = None, previous: Snapshot | None = None, limits: StreamLimits | None = None
) -> Job:
    signed = (key, MAC) if key is not None else None
    return Job.of(ORIGIN, MSG_ID, limits or StreamLimits(), signed, 99, Policy(), previous)


@attrs.frozen
class Told:
    """All that a reception says about a stream."""

    root: bytes
    digests: list[bytes]
    findings: list[tuple[str, Grade, bytes, int, str]]
    progress: list[Progress]
    blocks: list[list[tuple[bytes, bytes]]]
    snapshot: Snapshot = attrs.field(eq=False)


def told(reception: LocalReception | RemoteReception, stream: bytes, piece: int = 70_001) -> Told:
    progress, blocks = [reception.progress], []

    def note(ready: list[Block]) -> None:
        progress.append(reception.progress)
        blocks.append([(block.data, block.digest) for block in ready])

    for at in range(0, len(stream), piece):
        note(reception.take([stream[at : at + piece]], NOW))
    received, rest = reception.finish()
    note(rest)
    snapshot = received.snapshot
    findings = [(f.rule, f.grade, f.owner, f.rtype, f.detail) for f in received.findings]
    digests = [block.digest for block in snapshot.blocks]
    return Told(snapshot.root, digests, findings, progress, blocks, snapshot)


def both(child: Child, work: Job, stream: bytes) -> Told:
    """What both kinds of reception say, which is the same."""
    here = told(LocalReception(work), stream)
    there = told(RemoteReception(child, work, BEFORE_ANYTHING), stream)
    assert there == here
    assert there.snapshot.spelling() == here.snapshot.spelling()
    assert list(there.snapshot.records()) == list(here.snapshot.records())
    return here


def shuffled(listed: list[bytes]) -> list[bytes]:
    return random.Random(1).sample(listed, len(listed))


@SIGNED
@pytest.mark.parametrize(
    "hosts",
    [HOSTS, shuffled(HOSTS), sorted(HOSTS + SPELLED, key=bytes.lower), shuffled(HOSTS + SPELLED)],
    ids=["in-order", "disordered", "spelled", "spelled-disordered"],
)
def test_a_child_receives_what_this_process_does(
    shared: Child, hosts: list[bytes], key: Key | None
) -> None:
    found = both(shared, job(key), framed(drafts(hosts), key))
    assert found.snapshot.count == len(hosts) + 3
    assert len(found.digests) > 2
    assert bool(found.snapshot.spelling()) == (len(hosts) > len(HOSTS))
    assert found.progress[-1].complete
    assert found.progress[-1].expire == 3600


def test_a_child_shares_the_blocks_of_the_version_before(shared: Child) -> None:
    before = both(shared, job(), framed(drafts(HOSTS), None)).snapshot
    hosts = [HOSTS[0], rr(name("host-00000a"), A, b"\1\2\3\4"), *HOSTS[1:]]
    after = both(shared, job(previous=before), framed(drafts(hosts, serial=2), None))
    known = {block.digest for block in before.blocks}
    assert len(known & set(after.digests)) == len(known) - 1


def test_a_child_tells_what_the_checks_found(shared: Child) -> None:
    outside = [rr(name("www.example.org."), A, b"\1\2\3\4")]
    found = both(shared, job(), framed(drafts(outside + HOSTS[:300]), None))
    assert [finding[0] for finding in found.findings] == ["out-of-zone"]


def edited(edit: Callable[[list[Draft]], object]) -> bytes:
    messages = drafts(HOSTS[:3000])
    edit(messages)
    return framed(messages, None)


def outcome(reception: LocalReception | RemoteReception, stream: bytes) -> TransferError:
    with pytest.raises(TransferError) as caught:
        told(reception, stream)
    return caught.value


def parts(error: TransferError) -> tuple[object, ...]:
    return (
        error.failure, error.expected, error.got, error.hint, error.try_axfr, error.try_next,
        error.peer, str(error),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("work", "stream", "failure"),
    [
        (job(KEY), framed(drafts(HOSTS[:3000]), OTHER_SECRET), Failure.AUTH),
        (job(KEY), framed(drafts(HOSTS[:3000]), None), Failure.AUTH),
        (job(), edited(lambda m: setattr(m[9], "flags", 0x8405)), Failure.DENIED),
        (job(), edited(lambda m: setattr(m[9], "msg_id", 8)), Failure.PROTOCOL),
        (job(), edited(lambda m: setattr(m[9], "cut", 3)), Failure.PROTOCOL),
        (job(), framed(drafts(HOSTS[:300]), None) + b"\0\1x", Failure.PROTOCOL),
        (
            job(),
            edited(lambda m: m[9].put(rr(name("host-00001"), CNAME, name("www")))),
            Failure.CONTENT,
        ),
        (job(limits=StreamLimits(records=999)), edited(len), Failure.POLICY),
        (job(limits=StreamLimits(octets=50_000)), edited(len), Failure.POLICY),
    ],
    ids=["mac", "unsigned", "refused", "id", "cut", "tail", "cname", "records", "octets"],
)
def test_an_error_comes_from_the_child_as_it_is(
    shared: Child, work: Job, stream: bytes, failure: Failure
) -> None:
    here = outcome(LocalReception(work), stream)
    there = outcome(RemoteReception(shared, work, BEFORE_ANYTHING), stream)
    assert parts(there) == parts(here)
    assert there.failure is failure
    both(shared, job(), framed(drafts(HOSTS[:300]), None))


@attrs.frozen
class FailingJob:
    """Fails in the child, in every part of an error that a reception might set."""

    def reception(self) -> None:
        raise TransferError(Failure.CONTENT, "a", "b", hint="c", try_axfr=True, try_next=False)


def test_every_part_of_an_error_comes_from_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with closing(Child()) as child:
        with pytest.raises(TransferError) as caught:
            child.ask("begin", FailingJob())
        error = caught.value
        assert parts(error)[:6] == (Failure.CONTENT, "a", "b", "c", True, False)
        assert not child.broken


# -- children that die


def wait_for_end(pid: int) -> None:
    """Until the process is dead; it stays a zombie."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_child_that_is_killed_at_work_fails_its_transfer_and_no_other() -> None:
    stream = framed(drafts(HOSTS[:3000]), None)
    with closing(Parsers(1)) as parsers, ThreadPoolExecutor(1) as pool:
        child = parsers.acquire()
        assert child is not None
        reception = RemoteReception(child, job(), BEFORE_ANYTHING)
        os.kill(child.pid, signal.SIGSTOP)  # so that it is at work when it is killed
        taking = pool.submit(reception.take, [stream], NOW)
        os.kill(child.pid, signal.SIGKILL)
        error = taking.exception(10)
        assert isinstance(error, TransferError)
        assert error.failure is Failure.POLICY
        assert error.expected == "the process that reads the transfer to answer"
        assert error.got.startswith("its end (")
        parsers.release(child)
        after = parsers.acquire()
        assert after is not None
        assert after.pid != child.pid
        told(RemoteReception(after, job(), BEFORE_ANYTHING), stream)


def test_a_child_that_was_killed_idle_is_replaced() -> None:
    with closing(Parsers(1)) as parsers:
        first = parsers.acquire()
        assert first is not None
        parsers.release(first)
        os.kill(first.pid, signal.SIGKILL)
        wait_for_end(first.pid)
        second = parsers.acquire()
        assert second is not None
        assert second.pid != first.pid
        told(RemoteReception(second, job(), BEFORE_ANYTHING), framed(drafts(HOSTS[:300]), None))


def test_a_child_ends_with_its_parent() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom xfer.server.parsing import Child\nchild = Child()\n"
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


def resident(pid: int, what: str = "VmRSS") -> int:
    """Octets; VmRSS: now; VmHWM: at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) << 10
    raise AssertionError(what)


def test_a_child_keeps_no_memory_of_a_job() -> None:
    stream = framed(drafts(shuffled([
        rr(name(f"{n:06d}"), 16, b"\xc8" + random.Random(n).randbytes(200)) for n in range(60_000)
    ]), per_message=200), None)  # fmt: skip
    with closing(Child()) as child:
        told(RemoteReception(child, job(), BEFORE_ANYTHING), framed(drafts(HOSTS), None))
        child.drop()
        child.ask("begin", job())  # answered once the drop is done
        before = resident(child.pid)
        told(RemoteReception(child, job(), BEFORE_ANYTHING), stream)
        assert resident(child.pid, "VmHWM") > before + (12 << 20)
        child.drop()
        child.ask("begin", job())
        assert resident(child.pid) < before + (4 << 20)


# -- pulls


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

    def acquire(self) -> Child | None:
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


def test_a_call_that_is_done_leaves_its_child_alone(shared: Child) -> None:
    async def main() -> Received:
        work = job()
        threads = ThreadExecutor(1)
        reception = await run_in(shared, threads, RemoteReception, shared, work, BEFORE_ANYTHING)
        stream = framed(drafts(HOSTS[:300]), None)
        await run_in(shared, threads, reception.take, [stream], NOW)
        return (await run_in(shared, threads, reception.finish))[0]

    assert trio.run(main).snapshot.count == 303
    assert shared.usable()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_daemon_ends_although_its_child_does_not_answer() -> None:
    port = free_port("127.0.0.1")
    with TcpPrimary([LARGE_SCRIPT]) as primary:
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
            deadline = time.monotonic() + 20
            while primary.asked < 1:
                assert time.monotonic() < deadline
                os.sched_yield()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert '"abandoned": 0' not in xfer.logs()
