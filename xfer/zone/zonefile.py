"""Zone files in and out, by dnspython (RFC 1035 §5).

Reading takes BIND's format with $ORIGIN, $TTL and $GENERATE. $INCLUDE is refused, because a zone
file may come from someone who should not choose which files are read here. Writing is canonical:
one record a line, absolute names, canonical order, the case in which names arrived. Comments after
a record go in and out with it, where the caller keeps them (`xfer.zone.comments`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import dns.exception
import dns.grange
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.zonefile

from xfer.errors import TransferError, WireError, ZoneError, ZoneFileError
from xfer.wire import names, records
from xfer.wire.parse import Batch
from xfer.zone.block import Block
from xfer.zone.build import Builder
from xfer.zone.check import Finding, Policy
from xfer.zone.comments import Collector, identity
from xfer.zone.snapshot import Snapshot

_DIRECTIVES: Final = ("$ORIGIN", "$TTL", "$GENERATE")
_BATCH: Final = 1_000
_NONE: Final[Mapping[bytes, str]] = {}
_SHOWN: Final = 120  # characters of a line in an error


class _Tokenizer(dns.tokenizer.Tokenizer):
    """Knows the line of the last word that was read.

    dnspython's own number is the next line's as soon as it has seen the end of this one.
    """

    seen = 1

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        token = super().get(want_leading, want_comment)
        if token.ttype > dns.tokenizer.EOL:
            self.seen = self.line_number - (self.ungotten_char == "\n")
        return token


class _Reader(dns.zonefile.Reader):
    """Refuses a $GENERATE of more records than `most` (0: of any number) before it makes the first:
    making those that are too many takes minutes, and their memory."""

    most = 0

    def _generate_line(self) -> None:
        token = self.tok.get()
        self.tok.unget(token)
        try:
            start, stop, step = dns.grange.from_text(token.value)
        except (dns.exception.DNSException, AssertionError, ValueError):
            start, stop, step = 1, 0, 1  # no range, which dnspython tells
        count = (stop - start) // step + 1
        if self.most and count > self.most:
            raise ValueError(
                f"expected at most {self.most} records (limits.max_zone_records), got {count} of "
                "$GENERATE"
            )
        super()._generate_line()  # type: ignore[no-untyped-call]


class _Sink:
    """What dnspython's reader writes to: it hands over record by record and keeps nothing.

    It stands where dnspython expects a transaction and that transaction's manager.
    """

    def __init__(self, origin: bytes, builder: Builder, comments: Collector | None) -> None:
        self.manager = self
        self.origin = origin
        self.name = dns.name.from_wire(origin, 0)[0]
        self.builder = builder
        self.comments = comments
        self.batch = Batch()
        self.count = 0

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self.name, False, self.name

    def check_put_rdataset(self, check: Callable[..., None]) -> None:
        """The checks are ours (`xfer.zone.check`)."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """$ORIGIN changes how names are read, not which zone this is."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        self.count += 1
        rtype = int(rdata.rdtype)
        if not records.is_data_type(rtype):
            raise WireError("a type that is data", records.type_text(rtype))
        owner = name.to_wire()
        spelled = rdata.to_wire()
        assert owner is not None
        assert spelled is not None
        batch = self.batch
        low = names.lower(owner)
        if not names.is_below(low, self.origin):
            batch.outside.append((owner, rtype, len(batch.records)))
            if len(batch.outside) >= _BATCH:  # they count against the limit as well
                self.flush()
            return
        canonical = records.canonical_rdata(rtype, spelled)
        record = records.make(names.key_of(low, self.origin), rtype, ttl, canonical)
        plain = low == owner and canonical == spelled
        batch.add(record, None if plain else (owner, spelled))
        if self.comments is not None and rdata.rdcomment:
            self.comments.add(record, rdata.rdcomment)
        if len(batch.records) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        batch = self.batch
        self.batch = Batch()
        self.builder.add(batch)


def read_zone_file(
    path: str | Path,
    origin: bytes,
    policy: Policy,
    previous: Snapshot | None = None,
    max_records: int = 0,
    comments: Collector | None = None,
) -> tuple[Snapshot, list[Finding]]:
    """The zone in a file, and what the checks found.

    origin: lower-case wire name; previous: version to share blocks with; max_records: limit that
    also bounds $GENERATE, 0 for none; comments: takes those of the records.
    Raises ZoneFileError (file and line) where it cannot be read, ZoneRejected by the checks.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            return read_zone_text(file, str(path), origin, policy, previous, max_records, comments)
    except OSError as error:
        raise ZoneFileError(str(path), 0, error.strerror or str(error)) from None


def read_zone_text(
    text: TextIO | str,
    source: str,
    origin: bytes,
    policy: Policy,
    previous: Snapshot | None = None,
    max_records: int = 0,
    comments: Collector | None = None,
) -> tuple[Snapshot, list[Finding]]:
    """The same from an open file or a string; `source` names it in errors."""
    builder = Builder(origin, policy, previous, max_records)
    sink = _Sink(origin, builder, comments)
    tokens = _Tokenizer(text, source)
    # The transaction's interface is all that the reader needs of a transaction.
    transaction: Any = sink
    reader = _Reader(tokens, dns.rdataclass.IN, transaction, allow_directives=_DIRECTIVES)
    reader.most = max_records
    # Records outside the zone would be passed over in silence; the checks shall see them.
    reader.zone_origin = dns.name.root
    try:
        reader.read()
        sink.flush()
    except (dns.exception.DNSException, WireError, TransferError, ValueError) as error:
        line = tokens.seen
        problem = str(error).removeprefix(f"{source}:{tokens.where()[1]}: ").removesuffix(".")
        if "$INCLUDE" in problem:
            problem = "$INCLUDE is refused: put the included records into this file"
        elif isinstance(error, UnicodeError):
            problem = f"expected UTF-8 text, got {error}"
        problem = (problem or "not a record") + _quoted(text, line)
        raise ZoneFileError(source, line, problem) from None
    if sink.count == 0:
        raise ZoneFileError(source, 0, "expected the records of a zone, got none")
    while builder.step():
        pass
    findings = builder.findings()
    if comments is not None:
        findings += comments.findings(origin)
    return builder.snapshot(), findings


def _quoted(text: TextIO | str, line: int) -> str:
    """That line, for an error about it; a record in parentheses may have begun further up."""
    lines: Iterable[str] = text.splitlines() if isinstance(text, str) else text
    try:
        if not isinstance(text, str):
            if not text.seekable():
                return ""
            text.seek(0)
        found = next(itertools.islice(lines, line - 1, None), "").strip()
    except (OSError, UnicodeError, ValueError):
        return ""
    if len(found) > _SHOWN:
        found = found[:_SHOWN] + "…"
    return f', in "{found}"' if found else ""


def write_zone_file(snapshot: Snapshot, out: TextIO) -> None:
    """Write all records in canonical order to an open text file."""
    for lines in zone_file_pieces(snapshot):
        out.write(lines)


def zone_file_pieces(
    snapshot: Snapshot, comments: Callable[[Block], Mapping[bytes, str]] | None = None
) -> Iterator[str]:
    """The zone file in pieces, each a block's worth of lines, for whoever writes piece by piece.

    comments: those of a block's records, by their identities.
    """
    yield f"; {names.to_text(snapshot.origin)} serial {snapshot.serial}, {snapshot.count} records\n"
    for block in snapshot.blocks:
        yield block_lines(block, snapshot.origin, comments(block) if comments else {})


def block_lines(block: Block, origin: bytes, comments: Mapping[bytes, str] = _NONE) -> str:
    """The lines of a block's records: owner, TTL, class, type and rdata, separated by tabs, and
    their comments."""
    spelling = block.spelling()
    lines: list[str] = []
    last_key = b""
    owner = ""
    for record in block.records():
        key, rtype, _, ttl, rdata = records.split(record)
        found = spelling.get(record) if spelling else None
        if found is not None:
            last_key = b""
            owner = names.to_text(found[0])
            rdata = found[1]
        elif key != last_key:
            last_key = key
            owner = names.to_text(names.wire_of(key, origin))
        end = "\n"
        if comments and (comment := comments.get(identity(record))):
            end = f"\t; {comment}\n"
        lines.append(
            f"{owner}\t{ttl}\tIN\t{records.type_text(rtype)}\t{rdata_text(rtype, rdata)}{end}"
        )
    return "".join(lines)


def rdata_text(rtype: int, rdata: bytes) -> str:
    """Presentation form of uncompressed rdata; RFC 3597's for what cannot be parsed."""
    # The types that zones are mostly made of are written directly: seven times as fast.
    simple = records.simple_text(rtype, rdata)
    if simple:
        return simple
    try:
        parsed = dns.rdata.from_wire(
            dns.rdataclass.IN, dns.rdatatype.RdataType.make(rtype), rdata, 0, len(rdata)
        )
        return parsed.to_text()
    except (dns.exception.DNSException, ValueError):
        return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


def parse_origin(text: str) -> bytes:
    """The lower-case wire name of a zone given as text; raises ZoneError."""
    try:
        return names.lower(names.from_text(text))
    except WireError as error:
        raise ZoneError(f"zone name {text!r}: {error}") from None
