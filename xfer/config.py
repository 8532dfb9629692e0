"""The configuration: one TOML file and what it includes, resolved into frozen values (DESIGN §4).

`load` reads, checks and links everything: peers carry their keys, zones their peers and access
lists. It collects every problem and raises them together as `ConfigErrors`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from xfer.config_cookies import all_secrets
from xfer.config_dnssec import DnssecPolicy
from xfer.config_keys import (
    API_REFUSAL,
    TABLES,
    AclTable,
    Dnssec,
    PeerTable,
    Role,
    Server,
    TsigTable,
)
from xfer.config_limits import Limits
from xfer.config_parse import word
from xfer.config_read import Raw, Reader, Unfit, Warned, nearest, read_files
from xfer.config_rrl import Rrl
from xfer.config_zones import ZoneConfig, build_zones
from xfer.errors import ConfigError, XferError
from xfer.idn import wire_name
from xfer.log import Secret
from xfer.peers import Acl, AclEntry, Action, Peer
from xfer.wire.tsig import ALGORITHMS, Algorithm, Key
from xfer.zone.check import RULES, Grade, Policy

__all__ = [
    "Config",
    "ConfigErrors",
    "Dnssec",
    "Limits",
    "Role",
    "Server",
    "ZoneConfig",
    "load",
]

_T = TypeVar("_T")

_SINGLE = ("server", "limits", "rrl", "checks", "defaults")
_NAMED = ("template", "dnssec_policy")
SHORT_SECRET = 16  # octets; RFC 8945 §8 wants secrets that cannot be guessed


class ConfigErrors(ConfigError):
    """All problems of a config file together; `errors` holds each, `str` is the first."""

    def __init__(self, errors: list[ConfigError]) -> None:
        first = errors[0]
        self.errors = tuple(errors)
        super().__init__(first.file, first.key, first.problem, first.fix)

    def __str__(self) -> str:
        more = len(self.errors) - 1
        tail = f" (and {more} more, see `xfer check`)" if more else ""
        return super().__str__() + tail


@attrs.frozen
class Config:
    """Everything the daemon is told.

    tsig: keys by lower-case wire name, ready for the verifier; zones: by absolute lower-case text,
    in plain text order; checks: rule → grade, only what was written; policy: all of them;
    server.cookie_secret: also what its file holds; empty: whether nothing was written at all.
    """

    file: Path
    server: Server
    limits: Limits
    checks: Mapping[str, Grade]
    tsig: Mapping[bytes, Key]
    acls: Mapping[str, Acl]
    peers: Mapping[str, Peer]
    zones: Mapping[str, ZoneConfig]
    warnings: tuple[Warned, ...] = ()
    rrl: Rrl = attrs.Factory(Rrl)
    empty: bool = False

    @property
    def policy(self) -> Policy:
        """The zone checks with the grades of [checks]."""
        return Policy(dict(self.checks))


def load(path: str | os.PathLike[str]) -> Config:
    """Read and check the config. Raises ConfigErrors with every problem found."""
    file = Path(path)
    reader = Reader()
    tables = _Tables(reader)
    empty = True
    for raw in read_files(file, reader):
        empty = empty and not raw.table
        tables.add(raw)
    server = _with_secrets(reader, tables, _single(reader, tables, "server", Server()))
    limits = _single(reader, tables, "limits", Limits())
    rrl = _single(reader, tables, "rrl", Rrl())
    checks = _checks(reader, tables.single.get("checks"))
    keys = _keys(reader, tables.lists["tsig"])
    acls = _acls(reader, tables.lists["acl"], keys)
    peers = _peers(reader, tables.lists["peer"], keys)
    zones = build_zones(
        reader,
        tables.single.get("defaults"),
        tables.templates,
        tables.lists["zone"],
        tables.lists["zones_from"],
        peers,
        acls,
        _policies(reader, tables.policies),
    )
    if reader.errors:
        raise ConfigErrors(reader.errors)
    return Config(
        file=file,
        server=server,
        limits=limits,
        checks=checks,
        tsig={key.name: key for key in keys.values() if key is not None},
        acls=acls,
        peers={name: peer for name, peer in peers.items() if peer is not None},
        zones=zones,
        warnings=tuple(reader.warnings),
        rrl=rrl,
        empty=empty,
    )


class _Tables:
    """The top-level tables of all files, sorted by kind."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.single: dict[str, Raw] = {}
        self.templates: dict[str, Raw] = {}
        self.policies: dict[str, Raw] = {}
        self.lists: dict[str, list[Raw]] = {
            name: [] for name in ("tsig", "acl", "peer", "zone", "zones_from")
        }

    def add(self, top: Raw) -> None:
        for name, value in top.table.items():
            if name in self.lists:
                self._add_list(name, value, top.file)
            elif name == "api":
                self.reader.error(top.file, name, API_REFUSAL, "leave [api] out")
            elif name not in (*_SINGLE, *_NAMED):
                known = [*TABLES, "checks", "defaults", "template", "include"]
                self.reader.error(top.file, name, "unknown table or key", nearest(name, known))
            elif not isinstance(value, dict):
                self.reader.error(top.file, name, "is not a table", f"write [{name}]")
            elif name in _NAMED:
                named = self.templates if name == "template" else self.policies
                self._add_named(name, value, top.file, named)
            elif name in self.single:
                first = self.single[name].file
                self.reader.error(
                    top.file, name, f"[{name}] stands in {first} already", "keep one of them"
                )
            else:
                self.single[name] = Raw(value, top.file, name)

    def _add_list(self, name: str, value: object, file: Path) -> None:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.reader.error(file, name, "is not a list of tables", f"write [[{name}]]")
            return
        for number, table in enumerate(value, 1):
            label = table.get("name", number)
            self.lists[name].append(Raw(table, file, f"{name}[{label}]"))

    def _add_named(
        self, kind: str, value: dict[str, Any], file: Path, known: dict[str, Raw]
    ) -> None:
        for name, table in value.items():
            key = f"{kind}.{name}"
            if not isinstance(table, dict):
                self.reader.error(file, key, "is not a table", f"write [{key}]")
            elif name in known:
                first = known[name].file
                self.reader.error(file, key, f"stands in {first} already", "rename one of them")
            else:
                known[name] = Raw(table, file, key)


def _single(reader: Reader, tables: _Tables, name: str, default: _T) -> _T:
    raw = tables.single.get(name)
    if raw is None:
        return default
    made: _T | None = reader.one(type(default), raw)
    return made if made is not None else default


def _with_secrets(reader: Reader, tables: _Tables, server: Server) -> Server:
    """The [server] table with the cookie secrets of its file."""
    raw = tables.single.get("server")
    if raw is None:
        return server
    return attrs.evolve(server, cookie_secret=all_secrets(reader, raw, server))


def _checks(reader: Reader, raw: Raw | None) -> dict[str, Grade]:
    found: dict[str, Grade] = {}
    for rule, grade in raw.table.items() if raw is not None else ():
        assert raw is not None
        key = f"checks.{rule}"
        if rule not in RULES:
            reader.error(raw.file, key, "unknown check", nearest(rule, RULES))
            continue
        try:
            allowed = word(*(str(item.value) for item in RULES[rule].grades))
            found[rule] = Grade(allowed(grade, raw.file.parent))
        except Unfit as error:
            reader.error(raw.file, key, error.problem, error.fix)
    return found


def _keys(reader: Reader, raws: list[Raw]) -> dict[str, Key | None]:
    """Keys by absolute name; None stands for one with errors, so that its users do not add more."""
    found: dict[str, Key | None] = {}
    for raw in raws:
        values = reader.values(TsigTable, raw)
        name = values.get("name")
        if name in found:
            reader.error(raw.file, raw.key, f"key {name} is there twice", "rename one of them")
            continue
        if name is not None:
            found[name] = None
        table: TsigTable | None = reader.make(TsigTable, raw, values)
        if table is None:
            continue
        try:
            algorithm = Algorithm.from_text(table.algorithm)
        except (XferError, ValueError, KeyError):
            reader.error(
                raw.file,
                f"{raw.key}.algorithm",
                f"unknown algorithm {table.algorithm!r}",
                nearest(table.algorithm.lower(), algorithm_names()),
            )
            continue
        secret = _secret_of(reader, raw, table)
        if secret is not None:
            found[table.name] = Key(wire_name(table.name), algorithm, secret.reveal())
    return found


def algorithm_names() -> list[str]:
    """What `algorithm` may be, as text."""
    return [algorithm.text for algorithm in ALGORITHMS]


def _secret_of(reader: Reader, raw: Raw, table: TsigTable) -> Secret | None:
    where = f"{raw.key}.secret"
    secret, file = table.secret, raw.file
    if (secret is None) == (table.secret_file is None):
        problem = "secret is missing" if secret is None else "has both secret and secret_file"
        reader.error(
            raw.file,
            raw.key,
            problem,
            "give either secret or secret_file; `xfer tsig generate` makes one",
        )
        return None
    if table.secret_file is not None:
        where, file = f"{raw.key}.secret_file", table.secret_file
        try:
            secret = Secret.from_base64(file.read_text())
        except OSError as error:
            reader.error(
                raw.file, where, f"{file}: {error.strerror}", "name a file the daemon can read"
            )
            return None
        except ValueError:
            reader.error(
                raw.file, where, f"{file} does not hold base64 alone", "put only the secret there"
            )
            return None
    assert secret is not None
    if len(secret) == 0:
        reader.error(raw.file, where, "the secret is empty", "make one: `xfer tsig generate`")
        return None
    if len(secret) < SHORT_SECRET:
        reader.warn(
            raw.file,
            where,
            f"the secret has {len(secret)} octets, and fewer than {SHORT_SECRET} can be guessed",
        )
    if file.stat().st_mode & 0o004:
        reader.warn(file, where, f"everyone on this machine can read the secret: chmod o-r {file}")
    return secret


def _policies(reader: Reader, raws: Mapping[str, Raw]) -> dict[str, DnssecPolicy | None]:
    """Policies by name; None stands for one with errors."""
    found: dict[str, DnssecPolicy | None] = {}
    for name, raw in raws.items():
        policy: DnssecPolicy | None = reader.one(DnssecPolicy, raw)
        for field, problem, fix in policy.problems() if policy is not None else ():
            reader.error(raw.file, f"{raw.key}.{field}", problem, fix)
        found[name] = policy
    return found


def _acls(reader: Reader, raws: list[Raw], keys: Mapping[str, Key | None]) -> dict[str, Acl]:
    entries: dict[str, list[AclEntry]] = {}
    for raw in raws:
        values = reader.values(AclTable, raw)
        if isinstance(values.get("name"), str):
            entries.setdefault(values["name"], [])
        table: AclTable | None = reader.make(AclTable, raw, values)
        if table is None:
            continue
        key = _key(reader, raw, "key", table.key, keys) if table.key is not None else None
        if table.action is Action.KEY_ONLY and (table.key is None or table.ip_range):
            reader.error(
                raw.file,
                raw.key,
                "a key-only entry has a key and no ip_range",
                'for a key within a range write action = "allow"',
            )
        elif table.action is Action.ALLOW and not table.ip_range and table.key is None:
            reader.error(
                raw.file,
                raw.key,
                "ip_range is missing",
                'write the range; everyone is ["0.0.0.0/0", "::/0"]',
            )
        entries[table.name] += [
            AclEntry(table.action, network, key) for network in table.ip_range or (None,)
        ]
    return {name: Acl(name, tuple(items)) for name, items in entries.items()}


def _peers(
    reader: Reader, raws: list[Raw], keys: Mapping[str, Key | None]
) -> dict[str, Peer | None]:
    found: dict[str, Peer | None] = {}
    for raw in raws:
        values = reader.values(PeerTable, raw)
        name = values.get("name")
        if name in found:
            reader.error(raw.file, raw.key, f"peer {name} is there twice", "rename one of them")
            continue
        if name is not None:
            found[name] = None
        table: PeerTable | None = reader.make(PeerTable, raw, values)
        if table is None:
            continue
        if table.source is not None and table.source.version != table.address.version:
            reader.error(
                raw.file,
                f"{raw.key}.source",
                f"{table.source} cannot reach {table.address}",
                f"give an IPv{table.address.version} source",
            )
        signing = [_key(reader, raw, "tsig", name, keys) for name in table.tsig]
        found[table.name] = Peer(
            name=table.name,
            address=table.address,
            port=table.port,
            source=table.source,
            keys=tuple(key for key in signing if key is not None),
            ixfr=table.ixfr,
            unsigned_messages=table.unsigned_messages,
            ixfr_udp=table.ixfr_udp,
        )
    return found


def _key(
    reader: Reader, raw: Raw, field: str, name: str, keys: Mapping[str, Key | None]
) -> Key | None:
    if name not in keys:
        reader.error(
            raw.file, f"{raw.key}.{field}", f"there is no [[tsig]] {name}", nearest(name, keys)
        )
    return keys.get(name)
