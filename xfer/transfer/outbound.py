"""Zone transfers from the answering side, without I/O (RFC 5936 §2.2–3, RFC 1995 §2–4).

`decide` says what a transfer request gets; `ZoneOut` and `ChangesOut` turn the answer into octets
for the stream: length in front, the request's ID, TSIG where the request was signed. The messages
of a zone's blocks come ready-made from an image (`xfer.server.image`) and are only patched here.

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

Differences are one condensed step (RFC 1995 §4, §5), message after message as `ChangesOut.message`
is called, or in a single one for UDP (`in_one_message`):

    new SOA · old SOA, removed records · new SOA, added records · new SOA
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from xfer.errors import ZoneError
from xfer.wire import records
from xfer.wire.records import Spelling
from xfer.wire.render import Renderer
from xfer.wire.serial import newer
from xfer.zone.image import MESSAGE, add_records
from xfer.zone.snapshot import Snapshot

if TYPE_CHECKING:
    from xfer.wire.tsig import Key
    from xfer.zone.changeset import Changeset

AXFR, IXFR = 252, 251
IN = 1
MAX_MESSAGE = 65_535
_QR_AA, _RD = 0x8400, 0x0100


class FrameSigner(Protocol):
    """Signs the messages of one response in turn (`xfer.wire.tsig.ResponseSigner`)."""

    @property
    def key(self) -> Key: ...

    def frame(self, msg: bytes, now: int, msg_id: int, out: list[bytes | memoryview]) -> None: ...


class Decision(enum.Enum):
    """What an authorised transfer request gets."""

    FULL = "full"  # the whole zone, or for IXFR the differences where they are known
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


class _Answer:
    """Frames, signs and counts the messages of one answer.

    `messages` and `octets` count what was made, lengths and TSIG included.
    """

    def __init__(
        self,
        msg_id: int,
        rd: bool,
        question: tuple[bytes, int],
        opt: bytes,
        signer: FrameSigner | None,
    ) -> None:
        self.state = State.READY
        self.messages = 0
        self.octets = 0
        self._id = msg_id
        self._rd = rd
        self._question = question
        self._opt = opt
        self._signer = signer

    def _renderer(self, first: bool, limit: int) -> Renderer:
        """For the next message; the first one has the question."""
        renderer = Renderer(self._id, _QR_AA | (_RD if self._rd and first else 0), limit)
        if first:
            name, rtype = self._question
            renderer.question(name, rtype, IN)
        return renderer

    def _finish(self, renderer: Renderer, first: bool) -> bytes:
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


class ZoneOut(_Answer):
    """The answer to one transfer request: the whole zone, or its SOA alone.

    snapshot: the version to send; msg_id, rd: from the request; question: its name as asked and its
    type; opt: an OPT record to put in the first message, b"" for none; signer: None where the
    request was unsigned.
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
        super().__init__(msg_id, rd, question, opt, signer)
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
        renderer = self._renderer(first, MAX_MESSAGE)
        owner, rdata = self._soa
        renderer.record(1, owner, records.SOA, self._ttl, rdata)
        return self._finish(renderer, first)


class ChangesOut(_Answer):
    """The answer to one IXFR request: the differences from what the client has.

    changes: from the client's version to the served one; the others as for `ZoneOut`.
    """

    def __init__(
        self,
        changes: Changeset,
        msg_id: int,
        rd: bool,
        question: tuple[bytes, int],
        opt: bytes = b"",
        signer: FrameSigner | None = None,
    ) -> None:
        super().__init__(msg_id, rd, question, opt, signer)
        self._records = _Difference(changes)
        tsig = signer.key.tsig_size() if signer is not None else 0
        self._largest = MAX_MESSAGE - tsig

    def message(self, now: int) -> bytes:
        """The next message, framed and signed; the state is DONE with the last one.

        now: Unix seconds, for the signature. Raises ZoneError after the last, and for a record
        that no message can hold.
        """
        if self.state is State.DONE:
            raise ZoneError("a transfer that is done has no further message")
        first = self.state is State.READY
        renderer = self._renderer(first, MESSAGE)
        before = self._records.position
        whole = self._records.add_to(renderer)
        if self._records.position == before:
            # A record that is larger than our messages has one of its own.
            renderer.limit = self._largest - (len(self._opt) if first else 0)
            whole = self._records.add_to(renderer)
            if self._records.position == before:
                raise ZoneError(
                    f"expected a record that fits a message of {renderer.limit} octets, "
                    "got a larger one"
                )
        self.state = State.DONE if whole else State.STREAMING
        return self._frame([self._finish(renderer, first)], now)


def in_one_message(
    changes: Changeset, msg_id: int, rd: bool, question: tuple[bytes, int], limit: int, opt: bytes
) -> bytes | None:
    """All of the differences in one unsigned message, None where they do not fit `limit` octets.

    For UDP (RFC 1995 §2); the others as for `ChangesOut`. The work is bounded by the limit.
    """
    answer = _Answer(msg_id, rd, question, opt, None)
    renderer = answer._renderer(True, limit - len(opt))
    return answer._finish(renderer, True) if _Difference(changes).add_to(renderer) else None


class _Difference:
    """The records of a changeset in the order of RFC 1995 §4, as far as they are written.

    position: (part, record of that part) that comes next.
    """

    def __init__(self, changes: Changeset) -> None:
        old, new = changes.spelling_removed, changes.spelling_added
        before, after = [changes.old_soa], [changes.new_soa]
        # (records, their spelling, whether an SOA among them is meant)
        self._parts: list[tuple[list[bytes], Spelling, bool]] = [
            (after, new, True),
            (before, old, True),
            (changes.removed, old, False),
            (after, new, True),
            (changes.added, new, False),
            (after, new, True),
        ]
        self._origin = changes.origin
        self.position = (0, 0)

    def add_to(self, renderer: Renderer) -> bool:
        """Add what fits; whether that was all."""
        part, at = self.position
        while part < len(self._parts):
            found, spelling, soa = self._parts[part]
            at = add_records(renderer, found, spelling, self._origin, at, soa)
            if at < len(found):
                break
            part, at = part + 1, 0
        self.position = (part, at)
        return part == len(self._parts)
