"""What goes into the journal and comes out of it: values only, nothing of the database.

Times are Unix seconds of the wall clock, because they are compared after a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from xfer.config_journal import JOURNAL_FLOOR, JOURNAL_SHARE, KEEP_VERSIONS
from xfer.wire import names

PUBLISHED: Final = "published"
"""The chain of versions that were served. A zone whose received content differs from what it
publishes keeps the received versions in a chain of their own (DESIGN §1)."""

DIGEST_SIZE: Final = 32


class StoredBlock(Protocol):
    """What the journal needs of a block: its encoded bytes and their SHA-256."""

    @property
    def data(self) -> bytes: ...

    @property
    def digest(self) -> bytes: ...


class StoredContent(Protocol):
    """What the journal needs of a snapshot."""

    @property
    def blocks(self) -> Sequence[StoredBlock]: ...

    @property
    def count(self) -> int: ...

    @property
    def root(self) -> bytes: ...


@attrs.frozen
class NewVersion:
    """A version to commit.

    origin: lower-case wire name; serial: of its SOA; parent: id of the version it follows, None for
    a zone's first; snapshot: the content; source: for the operator, e.g. "axfr from 192.0.2.1#53";
    kind: "axfr", "import", …; received_at: when it was complete, None for now; expire_at: when the
    zone expires unless a check succeeds before, None where the zone has no such time. With
    expire_at or received_at given, the zone's state says that this was a successful check.
    """

    origin: bytes
    serial: int
    parent: int | None
    snapshot: StoredContent = attrs.field(repr=False)
    source: str
    kind: str
    received_at: float | None = None
    expire_at: float | None = None
    chain: str = PUBLISHED

    @property
    def sets_state(self) -> bool:
        """Whether the commit also stores the zone's state."""
        return self.received_at is not None or self.expire_at is not None


@attrs.frozen
class Version:
    """A committed version, without its content.

    id: rises through the whole journal and is never given twice; parent: the version it follows,
    which may have been pruned since; root: 32 octets over its block digests; count: records;
    size: octets of its blocks; replaced: octets of the previous version's blocks that this one has
    no more, which is what keeping the previous one costs; created: when it was committed.
    """

    id: int
    origin: bytes
    chain: str
    parent: int | None
    serial: int
    root: bytes = attrs.field(repr=bytes.hex)
    count: int
    size: int
    replaced: int
    source: str
    kind: str
    created: float

    def __str__(self) -> str:
        return f"{names.to_text(self.origin)} version {self.id} (serial {self.serial})"


@attrs.frozen
class ZoneState:
    """What a zone has to remember over a restart besides its content; saved as a whole.

    last_check_ok: last time a primary answered a check (RFC 1035: EXPIRE counts from there);
    expire_at: when it expires; last_attempt: last time anything was tried; failures: failed
    attempts since the last success; error_class, error, error_peer: of the last failure, "" after
    a success.
    """

    origin: bytes
    last_check_ok: float | None = None
    expire_at: float | None = None
    last_attempt: float | None = None
    failures: int = 0
    error_class: str = ""
    error: str = ""
    error_peer: str = ""


@attrs.frozen
class Retention:
    """How much history a zone keeps (REQUIREMENTS C9); the newest version always stays.

    versions: at most so many, the newest included; share: older versions may cost at most so many
    times the size of the largest one that stays; floor: octets that they may cost whatever the
    share says, so that a tiny zone has a history too.
    """

    versions: int = attrs.field(default=KEEP_VERSIONS, validator=attrs.validators.ge(1))
    share: float = attrs.field(default=JOURNAL_SHARE, validator=attrs.validators.ge(0))
    floor: int = attrs.field(default=JOURNAL_FLOOR, validator=attrs.validators.ge(0))
