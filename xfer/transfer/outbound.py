"""Zone transfers from the answering side, without I/O (RFC 5936 §2.2–3, RFC 1995 §2–4).

`decide` says what a transfer request gets; `ZoneOut` turns the answer into octets for the stream:
length in front, the request's ID, TSIG where the request was signed. The messages of the blocks
come ready-made from an image (`xfer.server.image`) and are only patched here.

                   opening()                 closing()
        ┌───────┐ ───────────► ┌───────────┐ ───────────► ┌──────┐
        │ READY │              │ STREAMING │ ◄─┐ block()  │ DONE │
        └───────┘              └───────────┘ ──┘          └──────┘
            │          only()                                ▲
            └────────────────────────────────────────────────┘

A full transfer is the SOA, everything else, and the SOA again, in three kinds of message: the
opening one has the question as it was asked (letter by letter: DNS 0x20), the SOA, and an OPT
where the request had one; those of the blocks have records alone; the closing one has the SOA. An
IXFR request may be answered so too (RFC 1995 §4), or, where the client is up to date, with the SOA
alone (`only`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from xfer.errors import ZoneError
from xfer.wire import records
from xfer.wire.render import Renderer
from xfer.zone.snapshot import Snapshot

AXFR, IXFR = 252, 251
IN = 1
MAX_MESSAGE = 65_535
_QR_AA, _RD = 0x8400, 0x0100


class FrameSigner(Protocol):
    """Signs the messages of one response in turn (`xfer.wire.tsig.ResponseSigner`)."""

    def frame(self, msg: bytes, now: int, msg_id: int, out: list[bytes | memoryview]) -> None: ...


class Decision(enum.Enum):
    """What an authorised transfer request gets."""

    FULL = "full"  # the whole zone
    SOA_ONLY = "soa only"  # IXFR of a client that has this version already, or a newer one
    SERVFAIL = "servfail"  # there is nothing valid to send


def decide(qtype: int, client_serial: int | None, serial: int | None) -> Decision:
    """qtype: AXFR or IXFR; client_serial: from an IXFR's authority section; serial: of the version
    that serves, None where there is none or it expired."""
    if serial is None:
        return Decision.SERVFAIL
    if qtype == IXFR and client_serial is not None and not newer(serial, client_serial):
        return Decision.SOA_ONLY
    return Decision.FULL


def newer(a: int, b: int) -> bool:
    """Whether serial a is greater than b in the arithmetic of RFC 1982 §3.2."""
    return a != b and (a - b) & 0xFFFFFFFF < 0x80000000


class State(enum.Enum):
    """How far the answer is."""

    READY = "ready"
    STREAMING = "streaming"
    DONE = "done"


class Step(enum.Enum):
    """What can be asked of the machine."""

    OPENING = "opening"
    BLOCK = "block"
    CLOSING = "closing"
    ONLY = "only"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.READY, Step.OPENING): State.STREAMING,
    (State.READY, Step.ONLY): State.DONE,
    (State.STREAMING, Step.BLOCK): State.STREAMING,
    (State.STREAMING, Step.CLOSING): State.DONE,
}


class ZoneOut:
    """The answer to one transfer request.

    snapshot: the version to send; msg_id, rd: from the request; question: its name as asked and its
    type; opt: an OPT record to put in the first message, b"" for none; signer: None where the
    request was unsigned. `messages` and `octets` count what was made, lengths and TSIG included.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        msg_id: int,
        rd: bool,
        question: tuple[bytes, int],
        opt: bytes = b"",
        signer: FrameSigner | None = None,
    ) -> None:
        self.state = State.READY
        self.messages = 0
        self.octets = 0
        self._id = msg_id
        self._rd = rd
        self._question = question
        self._opt = opt
        self._signer = signer
        self._soa = snapshot.spelled(snapshot.soa)
        self._ttl = records.split(snapshot.soa)[3]

    def opening(self, now: int) -> bytes:
        """The first message: question and SOA. now: Unix seconds, for the signature."""
        self._step(Step.OPENING)
        return self._frame([self._soa_message(True)], now)

    def block(self, messages: Sequence[bytes], now: int) -> bytes:
        """Ready-made messages of the zone's blocks, framed, patched, signed and joined."""
        self._step(Step.BLOCK)
        return self._frame(messages, now)

    def closing(self, now: int) -> bytes:
        """The last message: the SOA."""
        self._step(Step.CLOSING)
        return self._frame([self._soa_message(False)], now)

    def only(self, now: int) -> bytes:
        """The SOA as the whole answer to an IXFR request (RFC 1995 §2)."""
        self._step(Step.ONLY)
        return self._frame([self._soa_message(True)], now)

    def _step(self, step: Step) -> None:
        following = TRANSITIONS.get((self.state, step))
        if following is None:
            raise ZoneError(f"a transfer that is {self.state.value} has no {step.value}")
        self.state = following

    def _soa_message(self, first: bool) -> bytes:
        flags = _QR_AA | (_RD if self._rd and first else 0)
        renderer = Renderer(self._id, flags, MAX_MESSAGE)
        if first:
            name, rtype = self._question
            renderer.question(name, rtype, IN)
        owner, rdata = self._soa
        renderer.record(1, owner, records.SOA, self._ttl, rdata)
        if first and self._opt:
            renderer.raw(3, self._opt)
        return renderer.message()

    def _frame(self, messages: Sequence[bytes], now: int) -> bytes:
        msg_id = self._id
        signer = self._signer
        parts: list[bytes | memoryview] = []
        if signer is not None:
            for message in messages:
                signer.frame(message, now, msg_id, parts)
        else:
            head = msg_id.to_bytes(2, "big")
            for message in messages:
                parts.append(len(message).to_bytes(2, "big") + head)
                parts.append(memoryview(message)[2:])
        joined = b"".join(parts)
        self.messages += len(messages)
        self.octets += len(joined)
        return joined
