"""One reception as values, so that another process can do it (`stages.py`)."""

from __future__ import annotations

from typing import Any

import attrs

from xfer.server.building import Base, Building
from xfer.transfer.envelope import Inbound, State, StreamLimits
from xfer.transfer.inbound import AxfrIn
from xfer.transfer.ixfr_in import IxfrIn
from xfer.transfer.updates import Kind
from xfer.wire.edns import expire_of
from xfer.zone.build import Builder
from xfer.zone.check import Grade, Policy
from xfer.zone.snapshot import Snapshot


@attrs.frozen
class Job:
    """One reception, in values that can be sent to another process.

    grades: rule → grade of the checks; cuts: where the blocks of the present version begin
    (`Snapshot.cuts`); serial: of our version, where we asked for the changes since (IXFR), else
    None. No key is in it: what is read there has been verified (`framing.py`).
    """

    origin: bytes
    msg_id: int
    limits: StreamLimits
    grades: dict[str, str]
    cuts: list[bytes]
    serial: int | None = None

    @staticmethod
    def of(
        origin: bytes,
        msg_id: int,
        limits: StreamLimits,
        policy: Policy,
        previous: Snapshot | None,
        serial: int | None = None,
    ) -> Job:
        """previous: for its cuts, which an IXFR needs only where the whole zone comes in answer
        (`cut_as`)."""
        grades = {rule: grade.value for rule, grade in policy.grades.items()}
        job = Job(origin, msg_id, limits, grades, [], serial)
        return job if serial is not None else job.cut_as(previous)

    def cut_as(self, previous: Snapshot | None) -> Job:
        """The job with the cuts of that version, for a whole zone to share blocks with it."""
        return attrs.evolve(self, cuts=previous.cuts() if previous is not None else [])

    def machine(self) -> Inbound:
        """A new reader of the answer."""
        if self.serial is None:
            return AxfrIn(self.origin, self.msg_id, self.limits)
        return IxfrIn(self.origin, self.msg_id, self.serial, self.limits)

    def building(self, previous: Snapshot | None = None) -> Building:
        """What the answer is made into. previous: the version that an IXFR is applied to."""
        if self.serial is None:
            return Building(self.origin, self._new_builder)
        limits = self.limits
        base = Base(self.serial, previous, self._policy(), limits.records, limits.octets)

        def new_builder() -> Builder:
            return (self if previous is None else self.cut_as(previous))._new_builder()

        return Building(self.origin, new_builder, base)

    def _policy(self) -> Policy:
        return Policy({rule: Grade(grade) for rule, grade in self.grades.items()})

    def _new_builder(self) -> Builder:
        # Compression can make a small transfer a large zone: the limit holds for both.
        builder = Builder(self.origin, self._policy(), max_octets=self.limits.octets)
        builder.cut_at(self.cuts)
        return builder


@attrs.frozen
class Progress:
    """Where a reception stands. expire: seconds, None without one; kind: None until it is known."""

    complete: bool
    serial: int | None
    messages: int
    records: int
    expire: int | None
    kind: Kind | None

    @staticmethod
    def of(machine: Inbound) -> Progress:
        """Of a machine, as it is now."""
        return Progress(
            machine.state in (State.COMPLETE, State.CURRENT),
            machine.serial,
            machine.messages,
            machine.records,
            expire_of(machine.edns),
            machine.kind,
        )

    def packed(self) -> tuple[Any, ...]:
        """In plain values (`values.py`), for `unpacked`."""
        kind = self.kind.value if self.kind is not None else None
        return (self.complete, self.serial, self.messages, self.records, self.expire, kind)

    @staticmethod
    def unpacked(values: tuple[Any, ...]) -> Progress:
        """What was `packed`."""
        complete, serial, messages, records, expire, kind = values
        known = Kind(kind) if kind is not None else None
        return Progress(complete, serial, messages, records, expire, known)
