"""What goes into the journal and comes out of it: values only, nothing of the database.

Times are Unix seconds of the wall clock, because they are compared after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import attrs

from xfer.config_journal import JOURNAL_FLOOR, JOURNAL_SHARE, KEEP_AGE, KEEP_VERSIONS
from xfer.wire import names

if TYPE_CHECKING:
    from xfer.zone.changeset import Changeset

PUBLISHED: Final = "published"
"""The chain of versions that were served."""

RECEIVED: Final = "received"
"""The chain of what came to a zone that publishes something else, as one that is signed here does
(DESIGN §1)."""

PRIMARY: Final = "primary"
SECONDARY: Final = "secondary"
ROLES: Final = (PRIMARY, SECONDARY)
"""What a peer is for a zone, in PeerState."""

DIGEST_SIZE: Final = 32

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None


class StoredBlock(Protocol):
    """What the journal needs of a block: its encoded bytes and their SHA-256.

    patch: how to make it of the block with the digest `base`, b"" where there is no short way.
    """

    @property
    def data(self) -> bytes: ...

    @property
    def digest(self) -> bytes: ...

    @property
    def base(self) -> bytes: ...

    @property
    def patch(self) -> bytes: ...


class StoredContent(Protocol):
    """What the journal needs of a snapshot."""

    @property
    def blocks(self) -> Sequence[StoredBlock]: ...

    @property
    def count(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def root(self) -> bytes: ...


@attrs.frozen
class Mark:
    """A fact about a zone that outlasts a restart, e.g. that it is held at a version.

    name: what kind of fact, one of each a zone; data: what belongs to it.
    """

    origin: bytes
    name: str
    data: Mapping[str, JSON] = attrs.field(factory=dict)


@attrs.frozen
class PeerState:
    """What is known of a peer in one zone: advice for after a restart, nothing to rely on.

    peer: its name in the config; role: PRIMARY or SECONDARY, what the peer is for the zone; data:
    as its owner likes, empty to forget the peer.
    """

    origin: bytes
    peer: str
    role: str = attrs.field(validator=attrs.validators.in_(ROLES))
    data: Mapping[str, JSON]


@attrs.frozen
class NewVersion:
    """A version to commit.

    origin: lower-case wire name; serial: of its SOA; parent: id of the version it follows, None for
    a zone's first; snapshot: the content; source: for the operator, e.g. "axfr from 192.0.2.1#53";
    kind: "axfr", "import", …; received_at: when it was complete, None for now; expire_at: when the
    zone expires unless a check succeeds before, None where the zone has no such time. With
    expire_at or received_at given, the zone's state says that this was a successful check.
    added, removed: records by which it differs from its parent, None where nobody counted;
    changes: what these are, where that is known: stored too, where they are few;
    marks: of the same zone, set in the same transaction.
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
    added: int | None = None
    removed: int | None = None
    changes: Changeset | None = attrs.field(default=None, repr=False)
    marks: Sequence[Mark] = ()

    @property
    def sets_state(self) -> bool:
        """Whether the commit also stores the zone's state."""
        return self.received_at is not None or self.expire_at is not None


@attrs.frozen
class Version:
    """A committed version, without its content.

    id: rises through the whole journal and is never given twice; parent: the version it follows,
    which may have been pruned since; root: 32 octets over its block digests; count: records;
    size: octets of its blocks; replaced: octets stored for the previous version's blocks that this
    one has no more, and for the changes from there to here, which is what keeping the previous one
    costs; created: when it was committed; added,
    removed: records by which it differs from its parent, None where nobody counted.
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
    added: int | None = None
    removed: int | None = None

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
    share says, so that a tiny zone has a history too; age: seconds for which a version stays after
    it was replaced, 0 for no such limit. What any of them excludes goes.
    """

    versions: int = attrs.field(default=KEEP_VERSIONS, validator=attrs.validators.ge(1))
    share: float = attrs.field(default=JOURNAL_SHARE, validator=attrs.validators.ge(0))
    floor: int = attrs.field(default=JOURNAL_FLOOR, validator=attrs.validators.ge(0))
    age: float = attrs.field(default=KEEP_AGE, validator=attrs.validators.ge(0))
