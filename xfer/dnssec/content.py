"""The content of a zone as its signer sees it: what is signed, what stands in the denial chain.

RFC 4035 §2.2–2.3 and RFC 5155 §7.1: an authoritative name's RRsets are signed; of a delegation its
DS only; what lies below a delegation or a DNAME (RFC 6672 §2.4) is occluded, has no signature and
no part in a chain. The topmost cut counts. DNSSEC records that the content brings along do not
exist here, apart from keys: signing makes its own.

Names are owner keys. What is "in the chain" here are the names with records: authoritative ones and
delegations. Empty non-terminals are for `xfer.dnssec.hashed`.
"""

from __future__ import annotations

from typing import Final

from xfer.wire.records import (
    CDNSKEY,
    CDS,
    DNAME,
    DNSKEY,
    DS,
    NS,
    NSEC,
    NSEC3,
    NSEC3PARAM,
    RRSIG,
    SOA,
    ZONEMD,
    Spelling,
    key_end,
    make,
    rrset_end,
    split,
)
from xfer.zone.snapshot import APEX, Snapshot
from xfer.zone.zonemd import SHA384, SIMPLE

AUTHORITATIVE: Final = 0
DELEGATION: Final = 1
OCCLUDED: Final = 2

_DIGEST: Final = 48  # octets of SHA-384
_PRIVATE: Final = 255  # a ZONEMD scheme
_LEFT_OUT: Final = bytes(
    [rtype in (RRSIG, NSEC, NSEC3, NSEC3PARAM, ZONEMD) for rtype in range(256)]
)


def left_out(record: bytes, end: int) -> bool:
    """Whether a record of the content is not published; end: octets of its owner key."""
    return record[end] == 0 and _LEFT_OUT[record[end + 1]] != 0


def kept(records: list[bytes]) -> list[bytes]:
    """The records that are published; the same list where all are."""
    for i in range(len(records)):
        record = records[i]
        if left_out(record, key_end(record)):
            return records[:i] + [r for r in records[i:] if not left_out(r, key_end(r))]
    return records


def status_of(key: bytes, group: list[bytes]) -> tuple[int, bool]:
    """(AUTHORITATIVE or DELEGATION, whether what is below is occluded) of an owner name with these
    records, which is not occluded itself."""
    end = len(key)
    dname = False
    for record in group:
        if record[end] == 0:
            rtype = record[end + 1]
            if rtype == NS and end > 1:
                return DELEGATION, True
            if rtype == DNAME:
                dname = True
    return AUTHORITATIVE, dname


def zonemd_of(soa: bytes, digest: bytes) -> bytes:
    """The ZONEMD record of the version with this SOA record, of the same TTL (RFC 8976 §2.1).

    Without a digest it is of a scheme for private use, which nobody tries to verify.
    """
    rdata = soa[-20:-16] + bytes((SIMPLE if digest else _PRIVATE, SHA384))
    rdata += digest if digest else bytes(_DIGEST)
    return make(APEX, ZONEMD, split(soa)[3], rdata)


class Apex:
    """The apex's records as they are published.

    records: sorted; soa: the SOA record among them; spelling: of those that have one.
    """

    def __init__(
        self,
        content: Snapshot,
        extra: list[bytes],
        serial: int,
        zonemd: bool = False,
        presigned: bool = False,
        without: frozenset[bytes] = frozenset(),
    ) -> None:
        """extra: what comes to the records of the content; serial: that of the SOA record; zonemd:
        whether a ZONEMD record comes, without digest yet; presigned: whether the DNSKEY, CDS and
        CDNSKEY records among `extra` are all that there may be; without: rdata of those three that
        the content has and the version does not."""
        self.soa = b""
        self.spelling: Spelling = {}
        ttls: dict[bytes, bytes] = {}
        for record in extra:
            ttls[record[:3]] = record[3:7]
        number = bytes((serial >> 24, serial >> 16 & 255, serial >> 8 & 255, serial & 255))
        group = content.owner(APEX)
        spelled = spelling_of(content, APEX, group)
        out: set[bytes] = set()
        for record in kept(group):
            if record[1] == 0 and record[2] == DS:
                continue  # the parent's (RFC 4035 §2.4): validators' tools refuse a zone with it
            if (
                (presigned or without)
                and record[1] == 0
                and record[2] in (DNSKEY, CDS, CDNSKEY)
                and (presigned or split(record)[4] in without)
            ):
                continue
            found = spelled.get(record) if spelled else None
            if record[1] == 0 and record[2] == SOA:
                record = record[:-20] + number + record[-16:]
                self.soa = record
                if found is not None:
                    found = found[0], found[1][:-20] + number + found[1][-16:]
            elif record[:3] in ttls:
                record = record[:3] + ttls[record[:3]] + record[7:]
            out.add(record)
            if found is not None:
                self.spelling[record] = found
        out.update(extra)
        if zonemd:
            out.add(zonemd_of(self.soa, b""))
        self.records = list(out)
        self.records.sort()


def spelling_of(snapshot: Snapshot, key: bytes, group: list[bytes]) -> Spelling:
    """The spellings of all records of an owner name."""
    out: Spelling = {}
    at, index = snapshot.seek(key)
    left = len(group)
    while left > 0:
        block = snapshot.blocks[at]
        while index < block.count and left > 0:
            if block.spelled:
                found = block.spelled_at(index)
                if found is not None:
                    out[block.record(index)] = found
            index += 1
            left -= 1
        at += 1
        index = 0
    return out


class Content:
    """Look-ups in the content of a version that is to be signed.

    snapshot: the content; apex: what is to be published at the apex.
    """

    def __init__(self, snapshot: Snapshot, apex: Apex) -> None:
        self.snapshot = snapshot
        self.origin = snapshot.origin
        self.apex = apex
        self._apex_cut = status_of(APEX, apex.records)[1]

    def owner(self, key: bytes) -> list[bytes]:
        """The records of an owner name that are published."""
        return self.apex.records if key == APEX else kept(self.snapshot.owner(key))

    def spelling(self, key: bytes) -> Spelling:
        """The spellings of the records of an owner name."""
        if key == APEX:
            return self.apex.spelling
        return spelling_of(self.snapshot, key, self.snapshot.owner(key))

    def cut_above(self, key: bytes) -> bytes:
        """The topmost cut above a name, b"" where there is none: then it is not occluded."""
        if key == APEX:
            return b""
        if self._apex_cut:
            return APEX
        end = key.find(b"\0")
        while end + 2 < len(key):
            above = key[: end + 1] + b"\0"
            if self._has(above, NS) or self._has(above, DNAME):
                return above
            end = key.find(b"\0", end + 1)
        return b""

    def is_cut(self, key: bytes) -> bool:
        """Whether what is below a name that is not occluded is."""
        if key == APEX:
            return self._apex_cut
        return self._has(key, NS) or self._has(key, DNAME)

    def before(self, key: bytes) -> bytes:
        """The last name of the chain below one that is not the apex, in canonical order."""
        here = key
        while True:
            here = self._owner_before(here)
            if here == b"" or here == APEX:
                return APEX
            cut = self.cut_above(here)
            if cut:
                return cut
            if self.owner(here):
                return here

    def after(self, key: bytes) -> bytes:
        """The next name of the chain after one that is in it, b"" after the last."""
        if self.is_cut(key):
            if key == APEX:
                return b""
            return self._from(key[:-2] + b"\1")
        return self._from(key[:-1] + b"\1")

    def below(self, key: bytes) -> bool:
        """Whether any name below this one has records."""
        if key == APEX:
            return self._from(b"\1") != b""
        return self._from(key[:-1] + b"\1").startswith(key[:-1])

    def names_below(self, key: bytes, start: bytes, most: int) -> list[bytes]:
        """Owner names below `key`, occluded ones too, from behind `start` (`key` at first) on."""
        out: list[bytes] = []
        below = b"" if key == APEX else key[:-1]
        here = start
        while len(out) < most:
            here = self._from(here[:-1] + b"\1")
            if here == b"" or not here.startswith(below):
                break
            out.append(here)
        return out

    def _from(self, prefix: bytes) -> bytes:
        """The first owner name at or above a prefix that has records to publish; b"" if none."""
        blocks = self.snapshot.blocks
        at, index = self.snapshot.seek(prefix)
        while at < len(blocks):
            block = blocks[at]
            while index < block.count:
                record = block.record(index)
                end = key_end(record)
                if not left_out(record, end):
                    return record[:end]
                index += 1
            at += 1
            index = 0
        return b""

    def _has(self, key: bytes, rtype: int) -> bool:
        prefix = key + bytes((0, rtype))
        at, index = self.snapshot.seek(prefix)
        blocks = self.snapshot.blocks
        return at < len(blocks) and blocks[at].record(index).startswith(prefix)

    def _owner_before(self, name: bytes) -> bytes:
        at = self.snapshot.block_at(name)
        block = self.snapshot.blocks[at]
        index = block.find(name) - 1
        if index < 0:
            if at == 0:
                return b""
            block = self.snapshot.blocks[at - 1]
            index = block.count - 1
        record = block.record(index)
        return record[: key_end(record)]


def rrsets(group: list[bytes]) -> list[list[bytes]]:
    """The records of an owner name, RRset by RRset; one of RRSIGs is of one covered type."""
    if len(group) == 1:
        return [group]
    out: list[list[bytes]] = []
    prefix = b""
    for record in group:
        if prefix and record.startswith(prefix):
            out[-1].append(record)
        else:
            prefix = record[: rrset_end(record)]
            out.append([record])
    return out
