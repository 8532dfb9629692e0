"""What an inbound transfer does to a zone, as a stream of values.

Every machine in this package (AXFR now, IXFR beside it) emits the same updates, in this order:

    Begin  ( Delete | Add )*  Finish        the transfer is complete and may be applied
    Begin  ( Delete | Add )*  Abandon       it failed; whatever was applied is to be dropped

The zone layer applies them all or nothing; the journal is written from the same stream.
"""

from __future__ import annotations

import enum

import attrs

from xfer.wire.parse import Batch


class Kind(enum.Enum):
    """How the content came: the whole zone, or the differences."""

    AXFR = "axfr"
    IXFR = "ixfr"


@attrs.frozen
class Begin:
    """A transfer starts. serial: of the version it brings; soa: that version's SOA record."""

    kind: Kind
    serial: int
    soa: bytes


@attrs.frozen
class Add:
    """Records to add, in the order they came; the opening SOA is among them once."""

    batch: Batch


@attrs.frozen
class Delete:
    """Records to remove; they match whatever their TTL and case (RFC 1995)."""

    batch: Batch


@attrs.frozen
class Finish:
    """The protocol's end was reached. serial: of the version now complete."""

    serial: int


@attrs.frozen
class Abandon:
    """The transfer failed; what was begun is void. reason: one sentence."""

    reason: str


Update = Begin | Add | Delete | Finish | Abandon
