"""Peers and access lists: who we talk to, and who may talk to us.

Frozen values made by the config; the decisions on them are pure functions. RFC 8945 keys are bound
to peers; addresses are compared as addresses, with IPv4-mapped IPv6 taken for the IPv4 it is.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Sequence

import attrs

from xfer.wire.tsig import Key

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_PEERS_PER_ZONE = 30  # REQUIREMENTS A3
MAX_UNSIGNED_MESSAGES = 99  # RFC 8945 §5.3.1


def address_of(text: str) -> IPAddress:
    """The address a socket or the config names; ::ffff:192.0.2.1 is 192.0.2.1. ValueError."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@attrs.frozen
class Peer:
    """A server we transfer with, in either direction.

    keys: the first signs, all are accepted (a key being rolled); empty: unsigned.
    unsigned_messages: how many unsigned messages in a row a signed stream may hold; ixfr_udp: ask
    it for IXFR over UDP first.
    """

    name: str
    address: IPAddress
    port: int = 53
    source: IPAddress | None = None
    keys: tuple[Key, ...] = ()
    ixfr: bool = True
    unsigned_messages: int = MAX_UNSIGNED_MESSAGES
    ixfr_udp: bool = False
    endpoint: str = attrs.field(init=False, eq=False, repr=False)
    """ "192.0.2.1#53", as BIND and dig write it."""

    @endpoint.default
    def _endpoint(self) -> str:
        return f"{self.address}#{self.port}"

    @property
    def key(self) -> Key | None:
        """The key that signs what we send to it."""
        return self.keys[0] if self.keys else None

    def __str__(self) -> str:
        return f"{self.name} {self.endpoint}"


class Action(enum.Enum):
    """What an access list entry does when it matches."""

    ALLOW = "allow"
    DENY = "deny"
    KEY_ONLY = "key-only"  # allow, from any address, who signs with the key


@attrs.frozen
class AclEntry:
    """One line of an access list. network None: any address; key None: signed or not."""

    action: Action
    network: IPNetwork | None = None
    key: Key | None = None

    def covers(self, address: IPAddress) -> bool:
        """Whether the address is in the range."""
        return self.network is None or address in self.network


@attrs.frozen
class Acl:
    """A named list of entries; the first that matches decides."""

    name: str
    entries: tuple[AclEntry, ...]


@attrs.frozen
class Admission:
    """Whether a request may pass, through which peer if any, and a reason for log and counters."""

    allowed: bool
    reason: str
    peer: Peer | None = None


def admit(
    address: IPAddress, key: Key | None, peers: Sequence[Peer], acls: Sequence[Acl]
) -> Admission:
    """Decide on a request from `address`, signed (and verified) with `key` or unsigned.

    A peer must ask from the address configured for it and, where it has keys, sign with one of
    them (REQUIREMENTS A17). Otherwise the lists are asked in order: the first entry that matches
    address and key decides. A deny entry does not shut out a configured peer, and an entry that
    asks for no key does not let in a peer's address without the key configured for it.
    """
    near = ""
    for peer in peers:
        if peer.address != address:
            continue
        if not peer.keys or (key is not None and _same(key, peer.keys)):
            return Admission(True, f"peer {peer.name}", peer)
        near = near or (
            f"peer {peer.name} must sign with its key, and the request was not signed"
            if key is None
            else f"peer {peer.name} signed with a key that is not its own"
        )
    keyed = bool(near)
    for acl in acls:
        for entry in acl.entries:
            if not entry.covers(address):
                continue
            if entry.key is not None and (key is None or not _same(key, (entry.key,))):
                if entry.action is not Action.DENY:
                    near = near or f"acl {acl.name} asks for its key"
                continue
            if entry.action is Action.DENY:
                return Admission(False, f"acl {acl.name} denies {address}")
            if entry.key is None and keyed:
                continue
            return Admission(True, f"acl {acl.name}")
    return Admission(False, near or f"{address} is no peer of this zone and in no acl of it")


def _same(key: Key, keys: Sequence[Key]) -> bool:
    return any(key.name == other.name and key.algorithm == other.algorithm for other in keys)
