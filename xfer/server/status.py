"""What the running engine tells about itself: the values that the control API hands out.

`xfer.control.engine` names the methods that return them. All are frozen, made of text, numbers and
enums, so that one function turns them into JSON. Times are Unix seconds (wall clock);
zone names are absolute, lower-case text ("example.com."); None means "not known" or "not yet".
"""

from __future__ import annotations

import enum

import attrs

from xfer.errors import ControlError
from xfer.server.dnssec_status import DnssecStatus
from xfer.server.statistics import QueryStatus


class NoSuchZone(ControlError):
    """The zone is not configured here (HTTP 404)."""


class NoSuchPeer(ControlError):
    """The peer is not configured, or not a peer of this zone (HTTP 404)."""


class NoSuchKey(ControlError):
    """The zone has no such DNSSEC key (HTTP 404)."""


class NoSuchVersion(ControlError):
    """No kept version of the zone is meant (HTTP 404)."""


class NoContent(ControlError):
    """The zone is configured, but has no version to show yet (HTTP 409)."""


class Refused(ControlError):
    """The request makes no sense for this zone, e.g. force-axfr of a primary zone (HTTP 409)."""


class ZoneState(enum.Enum):
    """One word for how a zone is; `ZoneStatus` says why."""

    LOADING = "loading"  # its latest version is being read from the journal or its file
    EMPTY = "empty"  # configured, and nothing was ever received
    CURRENT = "current"  # the last check or transfer succeeded, or the zone is edited here
    STALE = "stale"  # a primary has a newer serial, or no check succeeded in time
    TRANSFERRING = "transferring"
    FAILING = "failing"  # the last attempt failed with every primary; the old version serves
    EXPIRED = "expired"  # no successful check within the SOA's EXPIRE; answers are SERVFAIL


class Phase(enum.Enum):
    """Where a running transfer is, in the order of the one publishing function (DESIGN §1)."""

    QUEUED = "queued"  # waits for a transfer slot
    CONNECTING = "connecting"
    RECEIVING = "receiving"
    CHECKING = "checking"
    WRITING = "writing"  # blocks are written ahead to the journal
    FLIPPING = "flipping"  # the version becomes durable
    SWAPPING = "swapping"  # the new snapshot starts to serve
    NOTIFYING = "notifying"


@attrs.frozen
class FailureReport:
    """A failed attempt: its class (`xfer.errors.Failure` values), its sentence and when."""

    failure: str
    sentence: str
    at: float
    hint: str = ""


@attrs.frozen
class Progress:
    """A running transfer. serial: the one on its way, None until the first SOA came."""

    peer: str
    kind: str  # "axfr", later "ixfr"
    phase: Phase
    started: float
    serial: int | None = None
    messages: int = 0
    records: int = 0
    bytes: int = 0


class IxfrState(enum.Enum):
    """What a primary makes of IXFR."""

    UNKNOWN = "unknown"  # not asked yet
    WORKS = "works"
    FULL = "full"  # it answers with the whole zone
    BROKEN = "broken"  # the last one failed; AXFR took its place


@attrs.frozen
class PrimaryStatus:
    """What is known of one primary of a zone."""

    peer: str
    address: str  # "192.0.2.1#53"
    serial: int | None = None  # the serial it last told us
    checked_at: float | None = None  # last answer of any kind
    transferred_at: float | None = None  # last transfer from it that was published
    error: FailureReport | None = None  # of the last attempt; None when that succeeded
    failures: int = 0  # in a row
    rtt: float | None = None  # seconds until it answered the last SOA query
    behind: bool = False  # it told a lower serial than ours, which we do not follow
    diverged: int | None = None  # the serial under which its content was not what we served
    diverged_here: bool = False  # and that no primary had given: a rollback, maybe
    ixfr: IxfrState = IxfrState.UNKNOWN
    ixfr_broken: int | None = None  # the serial from which IXFR failed, and is not asked again
    ixfr_timeouts: int = 0  # in a row
    ixfr_error: FailureReport | None = None  # why AXFR took the place of IXFR; None since it works
    notified_serial: int | None = None  # what its last NOTIFY hinted at
    notified_at: float | None = None
    notifies: int = 0  # NOTIFYs from it since the start
    checks: int = 0  # SOA queries that it answered since the start
    transfers: int = 0  # transfers from it since the start


@attrs.frozen
class Planned:
    """What is planned for a zone. action: "check the primaries", "retry", "expires", …"""

    at: float
    zone: str
    action: str


@attrs.frozen
class SecondaryStatus:
    """What is known of one secondary of a zone: what it was told, what it fetched, what it has.

    The lag is what separates it from the served version by the best that is known: what it last
    fetched, or what it said when we asked for its SOA. None where nothing is known.
    """

    peer: str
    address: str
    notified_serial: int | None = None  # the newest serial it was sent NOTIFY for
    notified_at: float | None = None  # when that was answered, or given up for the time being
    notify_result: str = ""  # "NOERROR", "REFUSED", … or a sentence
    fetched_serial: int | None = None  # the last version it transferred whole
    fetched_at: float | None = None
    delivered_serial: int | None = None  # the newest serial of a NOTIFY answered with NOERROR
    pending: int | None = None  # the serial it is still to be told of
    tries: int = 0  # rounds of NOTIFYs for that which failed
    next_at: float | None = None  # when the next round begins
    given_up_at: float | None = None  # no further round follows
    asked_at: float | None = None  # when it last asked for a transfer
    fetched_kind: str = ""  # "axfr", "ixfr", or "soa" where it had the serial already
    fetched_from: int | None = None  # the serial that its IXFR started from
    seen_serial: int | None = None  # in its answer to our last SOA query that it answered
    seen_at: float | None = None
    probed_at: float | None = None  # when we last asked for its SOA
    probe_error: str = ""  # why that gave no serial
    lag_serials: int | None = None  # 0: it has what we serve
    lag_versions: int | None = None  # kept versions that are newer than what it has
    lag_seconds: float | None = None  # since the first of those was published


def has(status: SecondaryStatus) -> int | None:
    """The serial the secondary has, by what was learnt last; None where nothing is known."""
    if status.seen_serial is None or status.seen_at is None:
        return status.fetched_serial
    if status.fetched_serial is None or (status.fetched_at or 0.0) <= status.seen_at:
        return status.seen_serial
    return status.fetched_serial


@attrs.frozen
class ZoneStatus:
    """Everything known about a zone; the first few fields make its line in `xfer status`."""

    name: str
    role: str  # "primary" | "secondary"
    state: ZoneState
    serial: int | None = None
    records: int = 0
    version: int | None = None  # journal id of what is served
    versions: int = 0  # kept in the journal
    source: str = ""  # where the served version came from: "axfr from 192.0.2.1#53"
    published_at: float | None = None  # when the served version was made durable
    checked_at: float | None = None  # last successful check of any primary
    expires_at: float | None = None
    next_action: str = ""  # "check the primaries", "retry", "" for none
    next_at: float | None = None
    transfer: Progress | None = None
    error: FailureReport | None = None  # of the last attempt as a whole
    primaries: tuple[PrimaryStatus, ...] = ()
    secondaries: tuple[SecondaryStatus, ...] = ()
    findings: tuple[str, ...] = ()  # what the checks said about the served version
    zonemd: str = ""  # what came of the ZONEMD of what came: "verified (SHA-384)"; "": it has none
    held: Held | None = None
    damaged: tuple[str, ...] = ()  # newer versions that could not be read from the journal
    made_here: bool = False  # a secondary zone that serves what no primary gave, a rollback maybe
    raised: bool = False  # which is a primary's content nevertheless, under a serial of our own
    queries: int = 0  # since the start, transfers and NOTIFYs not among them
    dnssec: DnssecStatus | None = None  # None: unsigned, here and in the config

    @property
    def content_serial(self) -> int | None:
        """The serial under which what is served came here: that of `serial`, unless it is signed
        here."""
        dnssec = self.dnssec
        if dnssec is None or dnssec.state is None:
            return self.serial
        return dnssec.received_serial


@attrs.frozen
class Held:
    """A secondary zone that does not follow its primaries, after a rollback.

    serial: what it was published under; content_serial, content_version: the version whose content
    that is; at: since when; published_serial: under which that version was served, None where under
    content_serial. In a zone that is signed here, the first two are serials of content.
    """

    serial: int
    content_serial: int
    content_version: int
    at: float
    published_serial: int | None = None

    def where(self, served: int | None) -> str:
        """At which serial it is held; served: the one it serves, which is another where it is
        signed here."""
        return told_serials(self.serial if served is None else served, self.serial)

    @property
    def what(self) -> str:
        """The serial whose content it has."""
        published = self.published_serial
        return told_serials(
            self.content_serial if published is None else published, self.content_serial
        )


def told_serials(published: int, content: int) -> str:
    """Of a zone that is signed here, an operator knows one serial from its secondaries, the other
    from where it comes from."""
    return f"serial {published}" + ("" if published == content else f" (content serial {content})")


@attrs.frozen
class VersionStatus:
    """One kept version of a zone. kind: "axfr", "ixfr", "import", …; added, removed: records that
    it has and the one before has not, and the other way round, None where that is not known."""

    version: int  # its number in the journal
    serial: int
    at: float  # when it was published
    source: str
    kind: str
    records: int
    added: int | None = None
    removed: int | None = None
    served: bool = False


@attrs.frozen
class RefusedSource:
    """Requests refused from one address (REQUIREMENTS A17).

    reason and zone are the last one's; zone "" where the request's TSIG already failed.
    """

    source: str
    count: int
    last_at: float
    reason: str
    zone: str = ""


@attrs.frozen
class WorkerStatus:
    """A worker process. pid: None while none runs; state: "starting" (the daemon answers in its
    place) or "serving"; starts: how often it was started; behind: zones of which it lacks news."""

    pid: int | None
    state: str
    starts: int
    behind: int


@attrs.frozen
class SignatureStatus:
    """When signatures end, of zones signed here and of those that come signed.

    near, ended: how many zones are to be worried about, whose first signature ends soon and is not
    renewed, or has ended; ends_at: the first's end by zone, of these zones and of others as far as
    limits.statistics_zones goes.
    """

    near: int = 0
    ended: int = 0
    ends_at: dict[str, float] = attrs.Factory(dict)


@attrs.frozen
class ServerStatus:
    """The daemon itself."""

    version: str
    pid: int
    started_at: float
    kernel: str  # "compiled" | "pure Python"
    config: str
    journal: str
    listen: tuple[str, ...] = ()
    zones: int = 0
    states: dict[str, int] = attrs.Factory(dict)  # ZoneState value → number of zones
    transfers_in: int = 0  # running now
    transfers_out: int = 0
    tcp_clients: int = 0
    image_bytes: int = 0  # held by AXFR images
    image_limit: int = 0
    refused: tuple[RefusedSource, ...] = ()
    queries: QueryStatus = attrs.Factory(QueryStatus)
    workers: tuple[WorkerStatus, ...] = ()
    signatures: SignatureStatus = attrs.Factory(SignatureStatus)


@attrs.frozen
class Outcome:
    """What came of force-axfr, refresh or notify.

    done: False where the work was only started (`wait` not asked for); ok: it did what was asked,
    or was started. message: one sentence for the operator. The figures are of the transfer, 0
    where there was none. findings: warnings of the checks.
    """

    ok: bool
    done: bool
    message: str
    zone: str
    peer: str = ""
    kind: str = ""
    serial_from: int | None = None
    serial_to: int | None = None
    records: int = 0
    messages: int = 0
    bytes: int = 0
    seconds: float = 0.0
    failure: FailureReport | None = None
    findings: tuple[str, ...] = ()


@attrs.frozen
class RefusedFile:
    """A zone file that was not published; the zone goes on serving what it had."""

    zone: str
    sentence: str
    hint: str = ""


@attrs.frozen
class ReloadOutcome:
    """What a reload changed, by zone and peer name; restart: keys that only a restart applies;
    refused: zone files that were not published; refused_more: how many it leaves out."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    restart: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    refused: tuple[RefusedFile, ...] = ()
    refused_more: int = 0
