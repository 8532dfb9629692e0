"""Zones of the config: defaults, templates, list files, and their links to peers and lists.

100,000 zones of one template share their peer and access list tuples, and cost one small object
each.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from xfer.config_dnssec import DenialChoice, DnssecPolicy
from xfer.config_keys import Dnssec, Role, SerialPolicy, ZonesFromTable, ZoneTable
from xfer.config_parse import Endpoint
from xfer.config_read import Raw, Reader, nearest
from xfer.errors import WireError
from xfer.idn import absolute, wire_name
from xfer.peers import MAX_PEERS_PER_ZONE, Acl, Peer

_DEFAULT = DnssecPolicy()


@attrs.frozen
class ZoneConfig:
    """One zone as configured. origin: lower-case wire name; refresh: seconds, None for the SOA's.

    file: the zone file of a primary zone; declared_in: the config file that names the zone;
    allow_query: empty for anyone; serial: how versions made here get theirs; policy: of a
    live-signed zone, and of others that name one; other_signers: servers of others who sign it.
    """

    name: str
    origin: bytes
    role: Role
    primaries: tuple[Peer, ...]
    secondaries: tuple[Peer, ...]
    allow_notify: tuple[Acl, ...]
    allow_transfer: tuple[Acl, ...]
    refresh: int | None
    dnssec: Dnssec
    file: Path | None
    declared_in: Path
    allow_query: tuple[Acl, ...] = ()
    serial: SerialPolicy = SerialPolicy.INCREMENT
    policy: DnssecPolicy | None = None
    other_signers: tuple[Endpoint, ...] = ()

    @property
    def signed_here(self) -> bool:
        """Whether it is live-signed."""
        return self.dnssec is Dnssec.LIVE_SIGNED

    def peer(self, name: str) -> Peer | None:
        """The primary of that name."""
        return next((peer for peer in self.primaries if peer.name == name), None)


def build_zones(
    reader: Reader,
    defaults: Raw | None,
    templates: Mapping[str, Raw],
    zones: list[Raw],
    lists: list[Raw],
    peers: Mapping[str, Peer | None],
    acls: Mapping[str, Acl],
    policies: Mapping[str, DnssecPolicy | None],
) -> dict[str, ZoneConfig]:
    """All zones by absolute name, sorted; problems go to the reader."""
    builder = _Builder(reader, peers, acls, policies)
    if defaults is not None:
        builder.defaults = builder.partial(defaults, ("name", "template"))
    for name, raw in templates.items():
        builder.templates[name] = builder.partial(raw, ("name", "template"))
    for raw in zones:
        builder.add_zone(raw)
    for raw in lists:
        builder.add_list(raw)
    return dict(sorted(builder.found.items()))


class _Builder:
    def __init__(
        self,
        reader: Reader,
        peers: Mapping[str, Peer | None],
        acls: Mapping[str, Acl],
        policies: Mapping[str, DnssecPolicy | None],
    ) -> None:
        self.reader = reader
        self.peers = peers
        self.acls = acls
        self.policies = policies
        self.defaults: dict[str, Any] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        self.found: dict[str, ZoneConfig] = {}
        self.seen: dict[str, str] = {}
        self.tuples: dict[tuple[Any, ...], Any] = {}  # linked names, shared by all zones

    def partial(self, raw: Raw, leave: tuple[str, ...] = ()) -> dict[str, Any]:
        """The table's values, with `file` made absolute by the file that names it."""
        values = self.reader.values(ZoneTable, raw, leave)
        if values.get("file") is not None:
            values["file"] = str(raw.file.parent / values["file"])
        return values

    def add_zone(self, raw: Raw) -> None:
        own = self.partial(raw)
        table = self._merged(raw, own.get("template"), own)
        if table is not None and self._is_new(table.name, raw.file, raw.key):
            zone = self._link(raw, table)
            if zone is not None:
                self.found[zone.name] = zone

    def add_list(self, raw: Raw) -> None:
        source: ZonesFromTable | None = self.reader.one(ZonesFromTable, raw)
        if source is None:
            return
        try:
            lines = source.file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            self.reader.error(
                raw.file, f"{raw.key}.file", f"cannot be read: {error}", "name a list of zones"
            )
            return
        model_raw = Raw({}, raw.file, raw.key)
        table = self._merged(model_raw, source.template, {"name": "."})
        model = None if table is None else self._link(model_raw, table)
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            where = f"line {number}"
            try:
                name = absolute(text)
                origin = wire_name(name)
            except WireError as error:
                self.reader.error(source.file, where, str(error), "one zone name a line")
                continue
            if self._is_new(name, source.file, where) and model is not None:
                file = model.file and _place(str(model.file), name)
                self.found[name] = attrs.evolve(model, name=name, origin=origin, file=file)

    def _is_new(self, name: str, file: Path, key: str) -> bool:
        place = f"{file}: {key}"
        first = self.seen.setdefault(name, place)
        if first is not place:
            self.reader.error(file, key, f"zone {name} is there twice", f"also in {first}")
        return first is place

    def _merged(self, raw: Raw, template: str | None, own: dict[str, Any]) -> ZoneTable | None:
        template = template or self.defaults.get("template")
        middle: dict[str, Any] = {}
        if template is not None:
            if template not in self.templates:
                self.reader.error(
                    raw.file,
                    f"{raw.key}.template",
                    f"there is no [template.{template}]",
                    nearest(template, self.templates),
                )
                return None
            middle = self.templates[template]
        made: ZoneTable | None = self.reader.make(
            ZoneTable, raw, {**self.defaults, **middle, **own}, lenient=True
        )
        return made

    def _link(self, raw: Raw, table: ZoneTable) -> ZoneConfig | None:
        before = len(self.reader.errors)
        primaries = self._peers(raw, "primaries", table.primaries)
        secondaries = self._peers(raw, "secondaries", table.secondaries)
        allow_notify = self._acls(raw, "allow_notify", table.allow_notify)
        allow_transfer = self._acls(raw, "allow_transfer", table.allow_transfer)
        allow_query = self._acls(raw, "allow_query", table.allow_query)
        if table.role is Role.SECONDARY and not table.primaries:
            self.reader.error(
                raw.file, raw.key, "a secondary zone needs primaries", "primaries = [a peer]"
            )
        if table.role is Role.SECONDARY and table.file is not None:
            self.reader.error(
                raw.file, f"{raw.key}.file", "a secondary zone has no file", "leave it out"
            )
        if table.role is Role.PRIMARY and table.primaries:
            self.reader.error(
                raw.file, f"{raw.key}.primaries", "a primary zone has none", 'role = "secondary"'
            )
        if table.role is Role.PRIMARY and table.file is None:
            self.reader.error(raw.file, raw.key, "a primary zone needs its zone file", "file = …")
        policy = self._policy(raw, table)
        if len(self.reader.errors) > before:
            return None
        return ZoneConfig(
            name=table.name,
            origin=wire_name(table.name),
            role=table.role,
            primaries=primaries,
            secondaries=secondaries,
            allow_notify=allow_notify,
            allow_transfer=allow_transfer,
            refresh=table.refresh,
            dnssec=table.dnssec,
            file=None if table.file is None else self._file(raw, table),
            declared_in=raw.file,
            serial=table.serial,
            allow_query=allow_query,
            policy=policy,
            other_signers=table.other_signers,
        )

    def _policy(self, raw: Raw, table: ZoneTable) -> DnssecPolicy | None:
        name = table.dnssec_policy
        if name is not None and name not in self.policies:
            self.reader.error(
                raw.file,
                f"{raw.key}.dnssec_policy",
                f"there is no [dnssec_policy.{name}]",
                nearest(name, self.policies),
            )
        if table.dnssec is not Dnssec.LIVE_SIGNED:
            # A zone that was live-signed goes on by its policy until its DNSSEC is deleted.
            return None if name is None else self.policies.get(name)
        policy = _DEFAULT if name is None else self.policies.get(name)
        online = (DenialChoice.COMPACT, DenialChoice.WHITE_LIES)
        if policy is not None and policy.denial in online:
            for key in ("secondaries", "allow_transfer"):
                if getattr(table, key):
                    self.reader.error(
                        raw.file,
                        f"{raw.key}.{key}",
                        f'denial = "{policy.denial.value}" makes proofs as answers are, which a '
                        "transfer has not",
                        'leave it out, or let the policy have denial = "nsec" or "nsec3"',
                    )
        return policy

    def _file(self, raw: Raw, table: ZoneTable) -> Path:
        assert table.file is not None
        if table.name == "." and "{zone}" in table.file:  # the model of a list: filled in per zone
            return Path(table.file)
        file = _place(table.file, table.name)
        if not file.is_file():
            self.reader.warn(raw.file, f"{raw.key}.file", f"{file} does not exist yet")
        return file

    def _peers(self, raw: Raw, field: str, given: tuple[str, ...]) -> tuple[Peer, ...]:
        if len(given) > MAX_PEERS_PER_ZONE:
            self.reader.error(
                raw.file,
                f"{raw.key}.{field}",
                f"{len(given)} peers are more than {MAX_PEERS_PER_ZONE}",
                "link fewer",
            )
        linked: tuple[Peer, ...] = self._linked(raw, field, given, self.peers, "peer")
        return linked

    def _acls(self, raw: Raw, field: str, given: tuple[str, ...]) -> tuple[Acl, ...]:
        linked: tuple[Acl, ...] = self._linked(raw, field, given, self.acls, "acl")
        return linked

    def _linked(
        self, raw: Raw, field: str, given: tuple[str, ...], known: Mapping[str, Any], kind: str
    ) -> Any:
        cached = self.tuples.get((kind, given))
        if cached is not None:
            return cached
        key = f"{raw.key}.{field}"
        found: list[Any] = []
        for name in given:
            if name not in known:
                self.reader.error(
                    raw.file, key, f"there is no [[{kind}]] {name}", nearest(name, known)
                )
            elif given.count(name) > 1:
                self.reader.error(raw.file, key, f"{name} is there twice", "name it once")
                break
            elif known[name] is not None:
                found.append(known[name])
        linked = tuple(found)
        if len(linked) == len(given):
            self.tuples[(kind, given)] = linked
        return linked


def _place(pattern: str, name: str) -> Path:
    """The path with {zone} replaced: no final dot, and a slash in a name cannot climb."""
    stem = name.rstrip(".").replace("/", "_") or "root"
    return Path(pattern.replace("{zone}", stem))
