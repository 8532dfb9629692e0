"""Every key of the config file: its type, range, default and documentation (DESIGN §4).

One attrs class a table, that of [limits] in `config_limits.py`. The values here are as written;
`config.py` resolves names between them. `reference()` prints all of it, and is the only place where
keys are documented.
"""

# ruff: noqa: RUF009 - `setting` is attrs.field with documentation

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from xfer import config_parse as parse
from xfer.config_cookies import parse_secret
from xfer.config_dnssec import DnssecPolicy
from xfer.config_journal import EXAMPLE
from xfer.config_limits import Limits
from xfer.config_parse import Endpoint
from xfer.config_read import REQUIRED, Unfit, setting
from xfer.config_rrl import Rrl
from xfer.config_socket import DEFAULT_CONTROL
from xfer.log import FORMATS, LEVELS, Secret
from xfer.peers import MAX_UNSIGNED_MESSAGES, Action, IPAddress, IPNetwork
from xfer.zone.check import RULES


class Role(enum.Enum):
    """Where a zone's content comes from."""

    SECONDARY = "secondary"
    PRIMARY = "primary"


class Dnssec(enum.Enum):
    """How a zone is signed (REQUIREMENTS A22)."""

    UNSIGNED = "unsigned"
    PRE_SIGNED = "pre-signed"
    LIVE_SIGNED = "live-signed"


class SerialPolicy(enum.Enum):
    """How a version that is made here gets its serial."""

    INCREMENT = "increment"
    UNIXTIME = "unixtime"
    DATE = "date"


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
    keys: Path = setting(
        parse.path,
        "directory of the keys that live-signed zones are signed with, mode 0700",
        Path("/var/lib/xfer/keys"),
    )
    log_level: str = setting(parse.word(*LEVELS), "least level that is logged", "info")
    log_format: str = setting(
        parse.word(*FORMATS), "json lines, console, or auto (console on a terminal)", "auto"
    )
    workers: int = setting(
        parse.integer(0, 256),
        "processes that answer queries over UDP in place of the daemon, each from a copy of the "
        "zones, so that no transfer delays an answer (with the right to, they run at nice -10); 0: "
        "the daemon answers itself. With [rrl] on they have nothing to do: the daemon has to see "
        "all clients of a network",
        0,
    )
    nsid: str = setting(
        parse.short_text(200),
        "what the server says of itself to who asks for its NSID, at most 200 characters; none: "
        "nothing",
        "",
        "none",
    )
    cookie_secret: tuple[Secret, ...] = setting(
        parse.several(parse_secret),
        "secret of DNS cookies (RFC 9018), 32 hexadecimal digits, the same on all servers of an "
        "address; a list while secrets roll: the first makes cookies, all are accepted",
        (),
        "random at each start",
    )
    cookie_secret_file: Path | None = setting(
        parse.path, "file that holds them, one a line, instead of `cookie_secret`", None, "none"
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
    dnssec: Dnssec = setting(
        parse.member(Dnssec),
        "unsigned, pre-signed (signatures are served as they came), or live-signed (xfer signs)",
        Dnssec.UNSIGNED,
    )
    dnssec_policy: str | None = setting(
        parse.text,
        "[dnssec_policy.NAME] by which a live-signed zone is signed",
        None,
        "the defaults of [dnssec_policy.NAME]",
    )
    other_signers: tuple[Endpoint, ...] = setting(
        parse.several(parse.endpoint),
        "servers of the zone's other signers (RFC 8901), asked for what they publish: "
        "`xfer dnssec migrate` checks each step by that",
        (),
    )
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
    "rrl": Rrl,
    "tsig": TsigTable,
    "acl": AclTable,
    "peer": PeerTable,
    "zone": ZoneTable,
    "zones_from": ZonesFromTable,
    "dnssec_policy": DnssecPolicy,
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
