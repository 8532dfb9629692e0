"""The keys of [limits]: every limit, quota and time-out, with its range and default (DESIGN §4)."""

from __future__ import annotations

import os

import attrs

from xfer import config_parse as parse
from xfer.config_journal import JOURNAL_FLOOR, JOURNAL_SHARE, KEEP_AGE, KEEP_VERSIONS
from xfer.config_read import setting

DAY = 86400
MILLION = 1_000_000


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
    answer_memory: int = setting(
        parse.size(0),
        "memory for answers that are ready to be given again, of all zones together, and an eighth "
        "of that besides for signatures made online; 0: none",
        32 << 20,
        '"32 MiB"',
    )
    online_signatures: int = setting(
        parse.integer(0, 10_000_000),
        "signatures that each process makes a second for answers of zones with compact or "
        "white-lies denial, in those of algorithm 13 (14: 10, RSA: 12, 16: 8 of them); a quarter "
        "is kept for names that exist, another for clients that come over TCP. Beyond that, "
        "clients are sent to TCP, and get SERVFAIL there; 0: any number",
        5000,
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
    statistics_zones: int = setting(
        parse.integer(0, MILLION),
        "zones whose queries `xfer status --json` and /metrics show one by one, those asked first; "
        "the queries of all others are one figure",
        1000,
    )
    signature_warning: float = setting(
        parse.ratio(0, 365),
        "days before the first signature of a zone that comes signed ends, from which on `status`, "
        "`why`, the log and /metrics warn; no earlier than when a quarter of its time is left",
        1.0,
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
    ds_queries_out: int = setting(
        parse.integer(1, 10000),
        "questions for the DS of signed zones waiting for the answers of `parent` servers at once; "
        "a quarter of them to one server",
        32,
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
    worker_timeout: float = setting(
        parse.seconds(0.5, 600),
        "seconds for which a worker process may say nothing before it is killed and started again; "
        "a version is published when all have it, or when they are given up",
        5.0,
    )
    worker_threads: int = setting(
        parse.integer(1, 64), "threads for small transfers, checks and the journal", 2
    )
    parser_processes: int = setting(
        parse.integer(0, 64),
        "pairs of processes that parse and pack large transfers; 0: threads do",
        1,
    )
    signing_processes: int = setting(
        parse.integer(0, 256),
        "processes that sign where a version needs more than some 2,000 signatures; they end when "
        "none was needed for 30 s; 0: the daemon signs, on one core",
        os.cpu_count() or 1,
        "one a core",
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
    comments: int = setting(
        parse.integer(0, 10 * MILLION),
        "records of a primary zone whose comments (`; text` after a record in a zone file) are "
        "kept; those of further ones are left out with a warning",
        100_000,
    )
    comment_length: int = setting(
        parse.integer(1, 65535), "characters of a comment that are kept", 1000
    )
    keep_removed: float = setting(
        parse.ratio(0, 36500),
        "days for which the versions of a zone that left the config are kept; back in the config "
        "within that time, it serves what it had",
        7.0,
    )
