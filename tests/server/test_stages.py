"""Receptions in a child process say what one in this process says."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from tests.badinput.primary import (
    CNAME,
    KEY,
    OTHER_SECRET,
    A,
    Draft,
    name,
    rr,
)
from tests.server.receiving import (
    BEFORE_ANYTHING,
    HOSTS,
    ROOT,
    SIGNED,
    SPELLED,
    Told,
    children,
    drafts,
    framed,
    framing,
    job,
    parts,
    shuffled,
    told,
)
from xfer.errors import Failure, TransferError
from xfer.server.job import Job
from xfer.server.parsing import LocalReception, RemoteReception
from xfer.server.pipeline import Pipeline
from xfer.transfer.envelope import StreamLimits
from xfer.wire.tsig import Key


@pytest.fixture(scope="module")
def shared() -> Iterator[Pipeline]:
    """A child for tests that leave it alive."""
    with closing(Pipeline()) as child:
        yield child


def both(child: Pipeline, work: Job, stream: bytes, key: Key | None = None) -> Told:
    """What both kinds of reception say, which is the same."""
    here = told(LocalReception(work, framing(key)), stream)
    there = told(RemoteReception(child, work, framing(key), BEFORE_ANYTHING), stream)
    assert there == here
    assert there.snapshot.spelling() == here.snapshot.spelling()
    assert list(there.snapshot.records()) == list(here.snapshot.records())
    return here


@SIGNED
@pytest.mark.parametrize(
    "hosts",
    [HOSTS, shuffled(HOSTS), sorted(HOSTS + SPELLED, key=bytes.lower), shuffled(HOSTS + SPELLED)],
    ids=["in-order", "disordered", "spelled", "spelled-disordered"],
)
def test_a_child_receives_what_this_process_does(
    shared: Pipeline, hosts: list[bytes], key: Key | None
) -> None:
    found = both(shared, job(), framed(drafts(hosts), key), key)
    assert found.snapshot.count == len(hosts) + 3
    assert len(found.digests) > 2
    assert bool(found.snapshot.spelling()) == (len(hosts) > len(HOSTS))
    assert found.progress[-1][0].complete
    assert found.progress[-1][0].expire == 3600


def test_a_child_shares_the_blocks_of_the_version_before(shared: Pipeline) -> None:
    before = both(shared, job(), framed(drafts(HOSTS), None)).snapshot
    hosts = [HOSTS[0], rr(name("host-00000a"), A, b"\1\2\3\4"), *HOSTS[1:]]
    after = both(shared, job(previous=before), framed(drafts(hosts, serial=2), None))
    known = {block.digest for block in before.blocks}
    assert len(known & set(after.digests)) == len(known) - 1


def test_a_child_tells_what_the_checks_found(shared: Pipeline) -> None:
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


@pytest.mark.parametrize(
    ("work", "key", "stream", "failure"),
    [
        (job(), KEY, framed(drafts(HOSTS[:3000]), OTHER_SECRET), Failure.AUTH),
        (job(), KEY, framed(drafts(HOSTS[:3000]), None), Failure.AUTH),
        (job(), None, edited(lambda m: setattr(m[9], "flags", 0x8405)), Failure.DENIED),
        (job(), None, edited(lambda m: setattr(m[9], "msg_id", 8)), Failure.PROTOCOL),
        (job(), None, edited(lambda m: setattr(m[9], "cut", 3)), Failure.PROTOCOL),
        (job(), None, framed(drafts(HOSTS[:300]), None) + b"\0\1x", Failure.PROTOCOL),
        (
            job(),
            None,
            edited(lambda m: m[9].put(rr(name("host-00001"), CNAME, name("www")))),
            Failure.CONTENT,
        ),
        (job(limits=StreamLimits(records=999)), None, edited(len), Failure.POLICY),
        (job(limits=StreamLimits(octets=50_000)), None, edited(len), Failure.POLICY),
    ],
    ids=["mac", "unsigned", "refused", "id", "cut", "tail", "cname", "records", "octets"],
)
def test_an_error_comes_from_the_child_as_it_is(
    shared: Pipeline, work: Job, key: Key | None, stream: bytes, failure: Failure
) -> None:
    here = outcome(LocalReception(work, framing(key)), stream)
    there = outcome(RemoteReception(shared, work, framing(key), BEFORE_ANYTHING), stream)
    assert parts(there) == parts(here)
    assert there.failure is failure
    both(shared, job(), framed(drafts(HOSTS[:300]), None))


@attrs.frozen
class FailingJob:
    """Fails in one of the processes, in every part of an error that a reception might set."""

    stage: str

    def machine(self) -> None:
        self._begin("parser")

    def building(self) -> None:
        self._begin("packer")

    def _begin(self, stage: str) -> None:
        if stage == self.stage:
            raise TransferError(Failure.CONTENT, "a", "b", hint="c", try_axfr=True, try_next=False)


@pytest.mark.parametrize("stage", ["parser", "packer"])
def test_every_part_of_an_error_comes_from_the_child(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with closing(Pipeline()) as child:
        with pytest.raises(TransferError) as caught:
            child.begin(FailingJob(stage))  # type: ignore[arg-type]
        error = caught.value
        assert parts(error)[:6] == (Failure.CONTENT, "a", "b", "c", True, False)
        assert not child.broken
        child.begin(job())


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
    with closing(Pipeline()) as child:
        told(RemoteReception(child, job(), framing(), BEFORE_ANYTHING), framed(drafts(HOSTS), None))
        child.drop()
        child.begin(job())  # answered once the drop is done
        (packer,) = children(child.pid)
        before = resident(packer), resident(child.pid)
        told(RemoteReception(child, job(), framing(), BEFORE_ANYTHING), stream)
        assert resident(packer, "VmHWM") > before[0] + (12 << 20)
        child.drop()
        child.begin(job())
        assert resident(packer) < before[0] + (4 << 20)
        assert resident(child.pid) < before[1] + (4 << 20)
