"""Every error that xfer raises on purpose, in one tree.

    XferError
    ├── ConfigError             the config file: names file, key and fix
    ├── WireError               bytes that are not a DNS message, name or record
    │   └── OutOfZoneError      a name that is not at or below the zone's apex
    ├── TsigError               RFC 8945; its `kind` tells name, algorithm, MAC and clock apart
    ├── ZoneError               zone content that is refused
    │   ├── ZoneRejected        the checks refuse it; names the rule
    │   ├── ChangeRefused       a change that does not fit the version it is for
    │   └── ZoneFileError       a zone file: names file and line
    ├── DnssecError             keys and signing
    │   ├── KeyRefused          a key, key file or key directory that cannot be used
    │   ├── StepRefused         a step of a zone's keys that would break it, or comes too early
    │   ├── SigningBusy         an answer that would have to be signed, when that many may not be
    │   └── KeyStateDamaged     what was kept of a zone's keys is not what was kept
    ├── JournalError            the database under the journal
    │   ├── JournalDamaged      a stored blob does not match its checksum
    │   ├── JournalLocked       another process writes to it
    │   └── JournalSchemaError  made by a newer xfer, or no journal at all
    ├── TransferError           a transfer failed; its `failure` is the class
    └── ControlError            the daemon refused, or cannot be reached

Every message is one sentence that says what was expected and what came.
Kernel modules raise these too, so nothing here needs more than the standard library.
"""

from __future__ import annotations

import enum


class XferError(Exception):
    """Root of the tree; `str()` is a sentence for the operator."""


class ConfigError(XferError):
    """The configuration is not usable.

    file: path of the TOML file; key: dotted key, e.g. `zone[example.com].primaries`;
    problem: what is wrong; fix: what to write instead.
    """

    def __init__(self, file: str, key: str, problem: str, fix: str = "") -> None:
        self.file = file
        self.key = key
        self.problem = problem
        self.fix = fix
        where = f"{file}: {key}" if key else file
        super().__init__(f"{where}: {problem}" + (f"; {fix}" if fix else ""))


class WireError(XferError):
    """Bytes that are not what RFC 1035 §4 or an RR type's RFC describes.

    expected, got: two halves of the sentence; offset: octets into the message, -1 where unknown.
    """

    def __init__(self, expected: str, got: str, offset: int = -1) -> None:
        self.expected = expected
        self.got = got
        self.offset = offset
        at = f" at octet {offset}" if offset >= 0 else ""
        super().__init__(f"expected {expected}, got {got}{at}")


class OutOfZoneError(WireError):
    """A name that is not at or below the apex of the zone it came in."""


class TsigKind(enum.Enum):
    """What exactly was wrong with a TSIG (RFC 8945 §5.2, REQUIREMENTS C4)."""

    MISSING = "missing"  # a signature was required, none came
    UNKNOWN_KEY = "unknown-key"  # the key name is not one of ours
    WRONG_KEY = "wrong-key"  # a key we know, but not the one of this exchange
    WRONG_ALGORITHM = "wrong-algorithm"
    BAD_MAC = "bad-mac"
    BAD_TRUNCATION = "bad-truncation"
    BAD_TIME = "bad-time"
    MALFORMED = "malformed"
    UNSIGNED_TAIL = "unsigned-tail"  # the last message of a stream was not signed
    TOO_MANY_UNSIGNED = "too-many-unsigned"  # more than 99 in a row
    PEER_BADKEY = "peer-badkey"  # the peer answered with that TSIG error
    PEER_BADSIG = "peer-badsig"
    PEER_BADTIME = "peer-badtime"
    PEER_BADTRUNC = "peer-badtrunc"


class TsigError(XferError):
    """A TSIG check failed.

    kind: which of name, algorithm, secret, clock or missing signature it was;
    expected, got: the halves of the sentence; their_time, our_time: Unix seconds, 0 where unknown.
    """

    def __init__(
        self, kind: TsigKind, expected: str, got: str, our_time: int = 0, their_time: int = 0
    ) -> None:
        self.kind = kind
        self.expected = expected
        self.got = got
        self.our_time = our_time
        self.their_time = their_time
        super().__init__(f"TSIG {kind.value}: expected {expected}, got {got}")


class ZoneError(XferError):
    """Zone content that the checks refuse."""


class ZoneRejected(ZoneError):
    """The zone checks refuse the content.

    rule: its name in `[checks]`; expected, got: the halves of the sentence.
    """

    def __init__(self, rule: str, expected: str, got: str) -> None:
        self.rule = rule
        self.expected = expected
        self.got = got
        super().__init__(f"{rule}: expected {expected}, got {got}")


class ChangeRefused(ZoneError):
    """A change that does not fit what it is applied to: another version, a record that is to be
    removed and is not there, or to be added and is.

    expected, got: the halves of the sentence.
    """

    def __init__(self, expected: str, got: str) -> None:
        self.expected = expected
        self.got = got
        super().__init__(f"expected {expected}, got {got}")


class ZoneFileError(ZoneError):
    """A zone file that cannot be read. file: its path; line: 1-based, 0 where unknown."""

    def __init__(self, file: str, line: int, problem: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        super().__init__(f"{file}:{line}: {problem}" if line else f"{file}: {problem}")


class DnssecError(XferError):
    """Keys and signing (RFC 4033–4035)."""


class KeyRefused(DnssecError):
    """A key, key file or key directory that cannot be used; never says what is in a private key.

    expected, got: the halves of the sentence; file: path of the file, "" for none; fix: what to do.
    """

    def __init__(self, expected: str, got: str, file: str = "", fix: str = "") -> None:
        self.expected = expected
        self.got = got
        self.file = file
        self.fix = fix
        head = f"{file}: " if file else ""
        super().__init__(f"{head}expected {expected}, got {got}" + (f"; {fix}" if fix else ""))


class StepRefused(DnssecError):
    """A step of a zone's keys that would break the zone, or comes too early.

    step: what was asked for; reason: what would break, or what it has to wait for; first: what the
    operator has to do before, "" for nothing; at: when it will be possible (Unix seconds), None
    where that depends on something that has not happened yet.
    """

    def __init__(self, step: str, reason: str, first: str = "", at: float | None = None) -> None:
        self.step = step
        self.reason = reason
        self.first = first
        self.at = at
        super().__init__(f"cannot {step}: {reason}" + (f"; {first}" if first else ""))


class KeyStateDamaged(DnssecError):
    """The kept state of a zone's keys is not one that this program wrote.

    where: path of the field, like `keys[1].role`; expected, got: the halves of the sentence.
    """

    def __init__(self, where: str, expected: str, got: str) -> None:
        self.where = where
        self.expected = expected
        self.got = got
        super().__init__(f"state of the zone's keys: {where}: expected {expected}, got {got}")


class SigningBusy(DnssecError):
    """An answer would have to be signed, and as many are signed as may be; key: the setting that
    says how many."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"expected fewer answers to sign, got more than {key} allows")


class JournalError(XferError):
    """The journal's database failed or refused."""


class JournalDamaged(JournalError):
    """A stored blob does not match the checksum it is stored under."""


class JournalLocked(JournalError):
    """Another process holds the journal for writing."""


class JournalSchemaError(JournalError):
    """The file is not a journal, or its schema is newer than this program."""


class Failure(enum.Enum):
    """The class of a transfer failure: where the operator has to look (DESIGN §3)."""

    TRANSPORT = "transport"  # unreachable, closed, stalled, too slow
    AUTH = "auth"  # TSIG
    DENIED = "denied"  # REFUSED, NOTAUTH, SERVFAIL … from the peer
    PROTOCOL = "protocol"  # not a well-formed transfer
    CONTENT = "content"  # well-formed, but not a zone we may serve
    POLICY = "policy"  # a limit or guard of ours


class TransferError(XferError):
    """A transfer failed; nothing of it was published.

    failure: the class; expected, got: halves of the sentence; peer: "name address#port", "" until
    the server layer fills it in; hint: what the operator should look at, "" for none;
    try_axfr: an AXFR from the same peer may work; try_next: the next primary may work.
    """

    def __init__(
        self,
        failure: Failure,
        expected: str,
        got: str,
        *,
        peer: str = "",
        hint: str = "",
        try_axfr: bool = False,
        try_next: bool = True,
    ) -> None:
        self.failure = failure
        self.expected = expected
        self.got = got
        self.peer = peer
        self.hint = hint
        self.try_axfr = try_axfr
        self.try_next = try_next
        super().__init__(expected, got)

    def __str__(self) -> str:
        head = f"{self.failure.value}: " + (f"{self.peer}: " if self.peer else "")
        tail = f" ({self.hint})" if self.hint else ""
        return f"{head}expected {self.expected}, got {self.got}{tail}"


class ControlError(XferError):
    """The control socket cannot be reached (`unreachable`), or the daemon said no.

    kind: the daemon's word for the error, "" where it said none.
    """

    def __init__(self, message: str, *, unreachable: bool = False, kind: str = "") -> None:
        self.unreachable = unreachable
        self.kind = kind
        super().__init__(message)
