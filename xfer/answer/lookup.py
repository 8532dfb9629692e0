"""From a question to the sections of its answer (RFC 1034 §4.3.2).

As clarified by RFC 2181 (delegations), RFC 2308 (negative answers), RFC 4592 (wildcards, empty
non-terminals), RFC 6672 (DNAME), RFC 9471 (glue), RFC 8482 (ANY) and, for signed zones, RFC 4035
§3.1, RFC 5155 §7.2 and RFC 9824 (proofs, see `denial.py` and `online.py`).

    walk down from the apex to the name
      a delegation on the way       referral                    (occluded data is never shown)
      a DNAME on the way            DNAME and a CNAME made of it; on with the target
      the way ends                  the wildcard beside it, else NXDOMAIN
    at the name
      the type                      the answer
      a CNAME                       the CNAME; on with its target, as long as that is in the zone
      neither                       NODATA

A pure function of question and version, so what it gives can be kept as long as the version.
"""

from __future__ import annotations

from typing import Final

from xfer.answer.denial import Denial
from xfer.answer.online import OnlineDenial
from xfer.answer.sections import Answer, Line, Reader
from xfer.wire.codes import NXDOMAIN, YXDOMAIN
from xfer.wire.names import is_below, key_of
from xfer.wire.records import AAAA, ANY, CNAME, DNAME, DS, MX, NS, NSEC, RRSIG, SRV, A
from xfer.zone.snapshot import APEX

LONGEST_CHAIN: Final = 16  # CNAMEs and DNAMEs that are followed in one answer
_MAX_NAME: Final = 255
# Where the name whose addresses may be wanted stands in the rdata.
_TARGET_AT: Final[dict[int, int]] = {NS: 0, MX: 2, SRV: 6}


def look_up(
    reader: Reader, name: bytes, qtype: int, do: bool, denial: Denial | None, co: bool = False
) -> Answer:
    """The answer to a question about a name at or below the apex.

    name: wire form, in the case it was asked in; do: whether DNSSEC records are wanted; denial: of
    the version, None where it has no proofs to give; co: with `do`, whether NXDOMAIN may come
    with a proof that looks like NODATA's (RFC 9824 §5.1).

    Raises SigningBusy where a proof would have to be signed and may not be.
    """
    return _LookUp(reader, qtype, do, denial, co).run(name)


class _LookUp:
    def __init__(
        self, reader: Reader, qtype: int, do: bool, denial: Denial | None, co: bool
    ) -> None:
        self._reader = reader
        self._origin = reader.snapshot.origin
        self._qtype = qtype
        self._do = do
        self._denial = denial if do else None
        self._compact = denial if isinstance(denial, OnlineDenial) and denial.compact else None
        self._co = co
        self._answer = Answer()
        self._seen: set[bytes] = set()

    def run(self, name: bytes) -> Answer:
        target: bytes | None = name
        while target is not None and len(self._seen) <= LONGEST_CHAIN:
            low = target.lower()
            if low in self._seen or not is_below(low, self._origin):
                break
            self._seen.add(low)
            target = self._step(target, key_of(low, self._origin))
        self._add_addresses()
        return self._answer

    def _step(self, name: bytes, key: bytes) -> bytes | None:
        """Answer for one name; the next one of a chain, None at its end."""
        reader = self._reader
        reader.asked(name, key)
        encloser = APEX
        end = 0
        if reader.apex_dname and len(key) > 1:
            return self._dname(name, key, APEX)
        while len(key) > 1 and end < len(key) - 2:
            end = key.index(b"\0", end) + 1
            above = key[:end] + b"\0"
            last = end == len(key) - 1
            if not reader.exists(above):
                return self._missing(name, key, encloser)
            if reader.has(above, NS) and not (last and self._qtype == DS):
                self._refer(above)
                return None
            if not last and reader.has(above, DNAME):
                return self._dname(name, key, above)
            encloser = above
        return self._at(name, key, b"")

    def _at(self, name: bytes, key: bytes, owner: bytes) -> bytes | None:
        """Answer from the records at `key`; owner: that they are shown with, b"" for their own."""
        reader, answer, qtype = self._reader, self._answer, self._qtype
        if qtype == ANY:
            # RFC 8482 §4.1: one RRset, any.
            qtype = CNAME if reader.has(key, CNAME) else reader.first_type(key)
        lines = self._given(key, qtype, owner) or self._claimed(key, qtype)
        if lines:
            answer.answer += lines
            return None
        alias = self._given(key, CNAME, owner)
        if alias:
            answer.answer += alias
            return alias[0][3]
        answer.authority += reader.soa(self._do)
        if self._denial is not None and owner == b"":
            self._prove(self._denial.no_data(key, qtype))
        return None

    def _given(self, key: bytes, qtype: int, owner: bytes) -> list[Line]:
        """The RRset at `key` with its RRSIGs; owner: as for `_at`."""
        reader, compact = self._reader, self._compact
        if not self._do or qtype == RRSIG or owner == b"" or compact is None:
            return reader.signed(key, qtype, self._do and qtype != RRSIG, owner=owner)
        lines = reader.rrset(key, qtype, owner=owner)
        if lines:
            lines += reader.made(compact.signatures(reader.key, reader.snapshot.rrset(key, qtype)))
        return lines

    def _claimed(self, source: bytes, qtype: int) -> list[Line]:
        """What compact denial says that each name has, where that is asked for: NSEC, and if
        nothing else is signed, its RRSIGs. source: as for `OnlineDenial.nsec`."""
        compact = self._compact
        if compact is None or qtype not in (NSEC, RRSIG):
            return []
        made = compact.nsec(self._reader.key, source, self._do or qtype == RRSIG)
        return self._reader.made(made if qtype == NSEC else made[1:])

    def _missing(self, name: bytes, key: bytes, encloser: bytes) -> bytes | None:
        """Answer for a name that the zone has not, whose nearest ancestor is `encloser`."""
        reader, answer, denial = self._reader, self._answer, self._denial
        wildcard = encloser[:-1] + b"*\0\0"
        if not reader.exists(wildcard):
            if self._do:
                claimed = self._claimed(b"", self._qtype)
                if claimed:
                    answer.answer += claimed
                    return None
            if denial is None or not denial.compact or self._co:
                answer.rcode = NXDOMAIN
            answer.authority += reader.soa(self._do)
            if denial is not None:
                self._prove(denial.name_error(key, encloser))
            return None
        before = len(answer.answer)
        target = self._at(name, wildcard, name)
        if denial is not None:
            if len(answer.answer) > before:
                self._prove(denial.expanded(key, encloser))
            else:
                self._prove(denial.wildcard_no_data(key, encloser))
        return target

    def _dname(self, name: bytes, key: bytes, above: bytes) -> bytes | None:
        """The DNAME above a name, and the CNAME that it makes of it (RFC 6672 §3.1)."""
        answer = self._answer
        lines = self._reader.signed(above, DNAME, self._do)
        answer.answer += lines
        _, _, ttl, target = lines[0]
        # The labels of the name below the DNAME's owner.
        p = 0
        for _ in range(key.count(b"\0") - above.count(b"\0")):
            p += 1 + name[p]
        made = name[:p] + target
        if len(made) > _MAX_NAME:
            answer.rcode = YXDOMAIN
            return None
        answer.answer.append((name, CNAME, ttl, made))
        return made if self._qtype not in (CNAME, ANY) else None

    def _refer(self, delegation: bytes) -> None:
        """A referral to the servers of a zone below (RFC 4035 §3.1.4.1, RFC 9471)."""
        reader, answer = self._reader, self._answer
        answer.aa = len(answer.answer) > 0
        servers = reader.rrset(delegation, NS)
        answer.authority += servers
        if self._denial is not None:
            # Without a signature, as in a zone that is not signed, DS would mean nothing.
            signatures = reader.signatures(delegation, DS)
            if signatures:
                answer.authority += reader.rrset(delegation, DS) + signatures
            else:
                self._prove(self._denial.insecure(delegation))
        needed: list[Line] = []
        others: list[Line] = []
        for server in servers:
            low = server[3].lower()
            if is_below(low, self._origin):
                key = key_of(low, self._origin)
                lines = reader.signed(key, A, self._do) + reader.signed(key, AAAA, self._do)
                if key.startswith(delegation[:-1]):
                    needed += lines
                else:
                    others += lines
        answer.additional = needed + others
        answer.needed = len(needed)

    def _add_addresses(self) -> None:
        """Addresses that a client is likely to ask for next (RFC 1034 §4.3.2, step 6)."""
        answer = self._answer
        if answer.additional or answer.authority:
            return
        seen: set[bytes] = set()
        for _, rtype, _, rdata in answer.answer:
            at = _TARGET_AT.get(rtype, -1)
            if at < 0:
                continue
            low = rdata[at:].lower()
            if low in seen or not is_below(low, self._origin):
                continue
            seen.add(low)
            key = key_of(low, self._origin)
            for wanted in (A, AAAA):
                answer.additional += self._reader.signed(key, wanted, self._do)

    def _prove(self, records: list[bytes]) -> None:
        answer = self._answer
        have = set(answer.authority)
        online = self._denial is not None and self._denial.online
        for line in self._reader.made(records) if online else self._reader.lines(records):
            if line not in have:
                have.add(line)
                answer.authority.append(line)
