"""Every key of the config file: its type, range, default and documentation (DESIGN §4).

One attrs class a table. The values here are as written; `config.py` resolves names between them.
`reference()` prints all of it, and is the only place where keys are documented.
"""

# ruff: noqa: RUF009 - `setting` is attrs.field with documentation

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from xfer import config_parse as parse
from xfer.config_journal import (
    EXAMPLE,
    JOURNAL_FLOOR,
    JOURNAL_SHARE,
    KEEP_AGE,
    KEEP_VERSIONS,
)
from xfer.config_parse import Endpoint
from xfer.config_read import REQUIRED, Unfit, setting
from xfer.config_socket import DEFAULT_CONTROL
from xfer.log import FORMATS, LEVELS, Secret
from xfer.peers import MAX_UNSIGNED_MESSAGES, Action, IPAddress, IPNetwork
from xfer.zone.check import RULES

DAY = 86400
MILLION = 1_000_000


class Role(enum.Enum):
    """Where a zone's content comes from."""

    SECONDARY = "secondary"
    PRIMARY = "primary"


class Dnssec(enum.Enum):
    """How a zone is signed (REQUIREMENTS A22)."""

    UNSIGNED = "unsigned"
    PRE_SIGNED = "pre-signed"


class SerialPolicy(enum.Enum):
    """How a version that is made here gets its serial."""

    INCREMENT = "increment"
    UNIXTIME = "unixtime"
    DATE = "date"


def _dnssec(value: object, base: Path) -> object:
    if value == "live-signed":
        raise Unfit("live signing comes with a later version", 'write "unsigned" or "pre-signed"')
    return parse.member(Dnssec)(value, base)


def _secret(value: object, base: Path) -> Secret:
    try:
        return Secret.from_base64(parse.text(value, base))
    except ValueError:
        raise Unfit("the secret is not base64", "paste what `xfer tsig generate` prints") from None


@attrs.frozen
class Server:
    """[server]: the daemon."""

    listen: tuple[Endpoint, ...] = setting(
        parse.several(parse.endpoint),
        "addresses to answer DNS on, UDP and TCP",
        attrs.Factory(lambda: (parse.endpoint("127.0.0.1:53", Path()),)),
        '["127.0.0.1:53"]',
    )
    journal: str = setting(
        parse.journal_url,
        "where every version of every zone is kept: a path, or a URL with three slashes in front "
        "of an absolute one; a path or `sqlite:path` without a slash in front is relative to this "
        "file",
        EXAMPLE,
    )
    control: Path = setting(
        parse.path,
        "Unix socket that the command line asks, mode 0600",
        Path(DEFAULT_CONTROL),
    )
    log_level: str = setting(parse.word(*LEVELS), "least level that is logged", "info")
    log_format: str = setting(
        parse.word(*FORMATS), "json lines, console, or auto (console on a terminal)", "auto"
    )


@attrs.frozen
class Limits:
    """[limits]: every limit, quota and time-out."""

    connect_timeout: float = setting(
        parse.seconds(0.1, 600), "seconds until a TCP connection to a peer must stand", 10.0
    )
    idle_timeout: float = setting(
        parse.seconds(0.1, 3600),
        "seconds a transfer may go without a byte moving, in either direction",
        30.0,
    )
    total_timeout: float = setting(
        parse.seconds(1, 7 * DAY), "seconds a whole transfer may take, in either direction", 7200.0
    )
    min_rate: int = setting(
        parse.integer(0, 1 << 40),
        "bytes per second an incoming transfer must reach on average after idle_timeout; 0: any",
        1024,
    )
    max_zone_bytes: int = setting(
        parse.size(512), "size of an incoming transfer on the wire", 2 << 30, '"2 GiB"'
    )
    max_zone_records: int = setting(
        parse.integer(2, 1 << 32), "records of an incoming transfer", 20 * MILLION
    )
    max_message_count: int = setting(
        parse.integer(1, 1 << 32), "DNS messages of an incoming transfer", 20 * MILLION
    )
    transfers_in: int = setting(
        parse.integer(1, 10000),
        "incoming transfers running at once; a fifth of them is kept for what NOTIFYs ask for",
        10,
    )
    transfers_in_per_peer: int = setting(
        parse.integer(1, 10000),
        "incoming transfers running at once from one peer; a fifth, at least one of two or more, "
        "is kept for what NOTIFYs ask for",
        4,
    )
    transfers_out: int = setting(parse.integer(1, 10000), "outgoing transfers running at once", 64)
    transfers_out_per_peer: int = setting(
        parse.integer(1, 10000), "outgoing transfers running at once to one address", 16
    )
    tcp_clients: int = setting(parse.integer(1, 100000), "TCP connections held open at once", 512)
    tcp_idle_timeout: float = setting(
        parse.seconds(0.1, 3600), "seconds a TCP connection may stay silent between queries", 15.0
    )
    image_memory: int = setting(
        parse.size(1 << 20),
        "memory for ready-made AXFR messages of all zones together",
        128 << 20,
        '"128 MiB"',
    )
    changes_memory: int = setting(
        parse.size(0),
        "memory for recent differences of all zones together; older ones come from the journal",
        64 << 20,
        '"64 MiB"',
    )
    ixfr_share: float = setting(
        parse.ratio(0, 1000),
        "largest size of the differences that IXFR sends, in times the size of the zone; beyond "
        "that, the whole zone is sent",
        1.0,
    )
    udp_batch: int = setting(
        parse.integer(1, 10000), "UDP queries answered between two looks at other work", 64
    )
    udp_payload: int = setting(
        parse.integer(512, 4096), "largest UDP answer in bytes, and the EDNS size we offer", 1232
    )
    notify_timeout: float = setting(
        parse.seconds(0.1, 60),
        "seconds to wait for the answer to a NOTIFY over UDP; each time it is sent again, twice as "
        "long as before",
        1.0,
    )
    notify_attempts: int = setting(
        parse.integer(1, 20),
        "times a NOTIFY is sent over UDP to a secondary that does not answer; then once over TCP",
        3,
    )
    notify_ladder: tuple[float, ...] = setting(
        parse.several(parse.seconds(1, 7 * DAY)),
        "seconds until a NOTIFY that was not answered with NOERROR is tried again: after the first "
        "failure, the second, and so on; the last one is used from then on",
        (10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
        "[10, 30, 60, 300, 900, 3600]",
    )
    notify_give_up: float = setting(
        parse.seconds(0, 365 * DAY),
        "seconds after which a NOTIFY is not tried again, until there is a newer version",
        float(DAY),
    )
    notifies_out: int = setting(
        parse.integer(1, 10000),
        "NOTIFYs waiting for their answer at once; each holds a socket",
        256,
    )
    notifies_out_per_peer: int = setting(
        parse.integer(1, 10000), "NOTIFYs waiting for their answer at once from one secondary", 64
    )
    probe_ladder: tuple[float, ...] = setting(
        parse.several(parse.seconds(0.1, 7 * DAY)),
        "seconds of quiet after a secondary was told of a version until it is asked which serial "
        "it has (at the latest after ten times that), then between further questions while it "
        "lacks the version; []: never asked",
        (1.0, 3.0, 10.0, 30.0, 120.0, 600.0),
        "[1, 3, 10, 30, 120, 600]",
    )
    probes_out: int = setting(
        parse.integer(1, 10000),
        "such questions waiting for their answer at once; a quarter of them to one secondary",
        32,
    )
    probe_rate: float = setting(
        parse.seconds(0.1, 100_000), "such questions asked a second at most", 100.0
    )
    notify_retries: tuple[float, ...] = setting(
        parse.several(parse.seconds(0.1, DAY)),
        "seconds between tries for what a NOTIFY told of and could not be had, besides RETRY",
        (1.0, 3.0, 10.0, 30.0),
        "[1, 3, 10, 30]",
    )
    retry_max: float = setting(
        parse.seconds(1, 7 * DAY),
        "seconds between tries at most, as RETRY doubles with each failure; never below RETRY",
        3600.0,
    )
    soa_rate: int = setting(
        parse.integer(1, MILLION),
        "scheduled SOA checks per second, of all primaries; what a NOTIFY asks for is not counted",
        20_000,
    )
    soa_rate_per_peer: int = setting(
        parse.integer(1, MILLION), "scheduled SOA checks per second of one primary", 12_000
    )
    soa_checks: int = setting(
        parse.integer(1, 10000),
        "scheduled checks running at once, and as many again that NOTIFYs asked for",
        512,
    )
    soa_checks_per_peer: int = setting(
        parse.integer(1, 10000),
        "scheduled checks of one primary running at once; fewer while it leaves some unanswered",
        256,
    )
    keep_versions: int = setting(
        parse.integer(1, MILLION),
        "versions of a zone kept in the journal at most, the newest included",
        KEEP_VERSIONS,
    )
    keep_age: float = setting(
        parse.seconds(0, 100 * 366 * DAY),
        "seconds for which a version of a zone is kept after a newer one replaced it; 0: as long "
        "as keep_versions and journal_share let it",
        KEEP_AGE,
    )
    journal_share: float = setting(
        parse.ratio(0, 1000),
        "size that a zone's older versions may have in the journal, in times its largest kept "
        "version; blocks that versions share count once",
        JOURNAL_SHARE,
    )
    journal_floor: int = setting(
        parse.size(0),
        "size that a zone's older versions may have whatever journal_share says, so that a tiny "
        "zone has a history too",
        JOURNAL_FLOOR,
        '"1 MiB"',
    )
    worker_threads: int = setting(
        parse.integer(1, 64), "threads for small transfers, checks and the journal", 2
    )
    parser_processes: int = setting(
        parse.integer(0, 64), "processes that parse large transfers; 0: threads do", 1
    )
    shutdown_grace: float = setting(
        parse.seconds(0, 3600), "seconds that running transfers get to finish on SIGTERM", 10.0
    )
    control_body: int = setting(
        parse.size(1024), "largest request body on the control socket", 1 << 20, '"1 MiB"'
    )
    import_body: int = setting(
        parse.size(1024), "largest zone file that is imported", 256 << 20, '"256 MiB"'
    )
    edit_records: int = setting(
        parse.integer(1, MILLION), "records of a zone that `xfer zone edit` opens", 20_000
    )
    keep_removed: float = setting(
        parse.ratio(0, 36500),
        "days for which the versions of a zone that left the config are kept; back in the config "
        "within that time, it serves what it had",
        7.0,
    )


@attrs.frozen
class TsigTable:
    """[[tsig]]: a key that signs messages (RFC 8945)."""

    name: str = setting(parse.domain, "name of the key, the same on both sides")
    algorithm: str = setting(
        parse.text, "e.g. hmac-sha256; truncated: hmac-sha256-128", "hmac-sha256"
    )
    secret: Secret | None = setting(_secret, "the secret in base64", None, "none")
    secret_file: Path | None = setting(
        parse.path, "file that holds the secret in base64, instead of `secret`", None, "none"
    )


@attrs.frozen
class AclTable:
    """[[acl]]: an access list; tables of one name follow each other, the first match decides."""

    name: str = setting(parse.text, "name of the list")
    ip_range: tuple[IPNetwork, ...] = setting(
        parse.several(parse.network), "range or list of ranges; left out: any address", (), "any"
    )
    action: Action = setting(
        parse.member(Action),
        "allow, deny, or key-only (any address that signs with `key`)",
        Action.ALLOW,
    )
    key: str | None = setting(
        parse.domain, "TSIG key that the request must be signed with", None, "none"
    )


@attrs.frozen
class PeerTable:
    """[[peer]]: a server we transfer with; one peer serves many zones, either direction."""

    name: str = setting(parse.text, "name of the peer")
    address: IPAddress = setting(parse.address, "its address")
    port: int = setting(
        parse.integer(1, 65535), "its port for transfers, SOA checks and NOTIFY", 53
    )
    source: IPAddress | None = setting(
        parse.address, "our own address towards it", None, "what the system picks"
    )
    tsig: tuple[str, ...] = setting(
        parse.several(parse.domain),
        "TSIG key, or a list while keys roll: the first signs, all are accepted",
        (),
        "unsigned",
    )
    ixfr: bool = setting(parse.boolean, "ask it for IXFR; false: AXFR only", True)
    ixfr_udp: bool = setting(
        parse.boolean, "ask for IXFR over UDP first, and over TCP where that does not fit", False
    )
    unsigned_messages: int = setting(
        parse.integer(0, MAX_UNSIGNED_MESSAGES),
        "messages in a row that it may leave unsigned within a signed transfer",
        MAX_UNSIGNED_MESSAGES,
    )


@attrs.frozen
class ZoneTable:
    """[[zone]]: a zone; [defaults] and [template.NAME] take the same keys but `name`."""

    name: str = setting(parse.domain, "name of the zone; U-labels are taken too")
    role: Role = setting(
        parse.member(Role), "secondary (pulled from primaries) or primary", Role.SECONDARY
    )
    primaries: tuple[str, ...] = setting(
        parse.several(parse.text), "peers to pull from, tried in this order", ()
    )
    secondaries: tuple[str, ...] = setting(
        parse.several(parse.text), "peers that get NOTIFY, and may transfer", ()
    )
    allow_notify: tuple[str, ...] = setting(
        parse.several(parse.text), "access lists that may send NOTIFY besides the primaries", ()
    )
    allow_transfer: tuple[str, ...] = setting(
        parse.several(parse.text), "access lists that may transfer besides the secondaries", ()
    )
    allow_query: tuple[str, ...] = setting(
        parse.several(parse.text),
        "access lists that may ask for its records, besides its primaries and secondaries; empty: "
        "anyone",
        (),
    )
    refresh: int | None = setting(
        parse.integer(1, 2**31 - 1),
        "seconds between checks of the primaries, instead of the SOA's REFRESH",
        None,
        "the SOA's",
    )
    dnssec: Dnssec = setting(_dnssec, "unsigned or pre-signed", Dnssec.UNSIGNED)
    template: str | None = setting(parse.text, "template whose keys apply here", None, "none")
    file: str | None = setting(
        parse.text,
        "zone file of a primary zone, relative to this file; {zone} stands for the name; published "
        "when it has changed, unless the zone was edited meanwhile: then the zone stays as it is, "
        "and `xfer status` says how to take either",
        None,
        "none",
    )
    serial: SerialPolicy = setting(
        parse.member(SerialPolicy),
        "serial of a version made by an edit, an import or a file whose own is not newer: "
        "increment, unixtime, or date (YYYYMMDDnn, UTC); one more than the served one where the "
        "time is not newer",
        SerialPolicy.INCREMENT,
    )


@attrs.frozen
class ZonesFromTable:
    """[[zones_from]]: many zones that differ only by name."""

    file: Path = setting(parse.path, "list of zone names, one a line, # starts a comment")
    template: str | None = setting(parse.text, "template for all of them", None, "[defaults] alone")


API_REFUSAL = "the REST API over TCP comes with a later version"

TABLES: dict[str, type] = {
    "server": Server,
    "limits": Limits,
    "tsig": TsigTable,
    "acl": AclTable,
    "peer": PeerTable,
    "zone": ZoneTable,
    "zones_from": ZonesFromTable,
}


HEADINGS = {
    "": "Top level",
    "checks": "[checks]: what a broken rule does: reject the version, drop the records, or warn",
}


def documented() -> Iterator[tuple[str, str, str, str]]:
    """(table, key, default as TOML or words, sentence) of every key."""
    for table, kind in TABLES.items():
        for field in attrs.fields(kind):
            yield table, field.name, _default(field), field.metadata["doc"]
    yield (
        "",
        "include",
        "none",
        "files to read as well, relative to this one, wildcards allowed; text or list",
    )
    for name, rule in RULES.items():
        grades = " or ".join(str(grade.value) for grade in rule.grades)
        yield "checks", name, f'"{rule.default.value}"', f"{rule.what}; {grades}"


def reference() -> str:
    """All keys as a Markdown document."""
    lines: list[str] = []
    heading = None
    for table, key, default, doc in documented():
        if table != heading:
            heading = table
            kind = TABLES.get(table)
            title = (kind.__doc__ or "") if kind else HEADINGS[table]
            lines += [
                "",
                f"### {title.rstrip('.')}",
                "",
                "| key | default | what |",
                "|---|---|---|",
            ]
        lines.append(f"| `{key}` | {default} | {doc} |")
    return "\n".join(lines[1:]) + "\n"


def _default(field: Any) -> str:
    if field.metadata["shown"]:
        shown: str = field.metadata["shown"]
        return shown
    value = field.default
    if value is REQUIRED:
        return "required"
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, Path)):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[]"
    return f"{value:g}" if isinstance(value, float) else str(value)
