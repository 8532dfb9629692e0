"""Streams of a transfer and what receptions say about them, for the tests of both kinds."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import attrs
import pytest

from tests.badinput.primary import (
    KEY,
    NOW,
    NS,
    OPT,
    ORIGIN,
    A,
    Draft,
    Signature,
    Signer,
    name,
    rr,
    soa,
)
from xfer.errors import TransferError
from xfer.server.framing import Framing
from xfer.server.job import Job, Progress
from xfer.server.parsing import LocalReception, RemoteReception
from xfer.transfer.envelope import StreamLimits
from xfer.transfer.updates import Kind
from xfer.wire.tsig import Key, ResponseVerifier
from xfer.zone.block import Block
from xfer.zone.check import Grade, Policy
from xfer.zone.snapshot import Snapshot

ROOT = Path(__file__).resolve().parent.parent.parent
MSG_ID = 7
MAC = b"\5" * 32  # of the request
HOSTS = [rr(name(f"host-{n:05d}"), A, struct.pack("!I", n)) for n in range(6000)]
SPELLED = [rr(name(f"HOST-{n:05d}x"), NS, name(f"Ns{n}")) for n in range(0, 6000, 7)]
BEFORE_ANYTHING = Progress(False, None, 0, 0, None, Kind.AXFR)

SIGNED = pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])


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


def framing(key: Key | None = None) -> Framing:
    """Of the answer to a request that was signed with that key."""
    return Framing(ResponseVerifier(key, MAC) if key is not None else None)


def job(previous: Snapshot | None = None, limits: StreamLimits | None = None) -> Job:
    return Job.of(ORIGIN, MSG_ID, limits or StreamLimits(), Policy(), previous)


@attrs.frozen
class Told:
    """All that a reception says about a stream."""

    root: bytes
    digests: list[bytes]
    findings: list[tuple[str, Grade, bytes, int, str]]
    progress: list[tuple[Progress, str]]
    blocks: list[list[tuple[bytes, bytes]]]
    snapshot: Snapshot = attrs.field(eq=False)


def told(reception: LocalReception | RemoteReception, stream: bytes, piece: int = 70_001) -> Told:
    progress, blocks = [(reception.progress, reception.where)], []

    def note(ready: list[Block]) -> None:
        progress.append((reception.progress, reception.where))
        blocks.append([(block.data, block.digest) for block in ready])

    for at in range(0, len(stream), piece):
        ready = reception.take([stream[at : at + piece]], NOW)
        while reception.behind:
            ready += reception.catch_up()
        note(ready)
    received, rest = reception.finish()
    note(rest)
    snapshot = received.snapshot
    assert snapshot is not None, "a whole zone"
    findings = [(f.rule, f.grade, f.owner, f.rtype, f.detail) for f in received.findings]
    digests = [block.digest for block in snapshot.blocks]
    return Told(snapshot.root, digests, findings, progress, blocks, snapshot)


def shuffled(listed: list[bytes]) -> list[bytes]:
    return random.Random(1).sample(listed, len(listed))


def parts(error: TransferError) -> tuple[object, ...]:
    return (
        error.failure, error.expected, error.got, error.hint, error.try_axfr, error.try_next,
        error.peer, str(error),
    )  # fmt: skip


def children(pid: int) -> list[int]:
    """The processes that one has started, and that have not been waited for."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
