"""What a zone looks like from outside: SOA queries, AXFR, zone files, as comparable records.

A `Record` is (owner, TTL, type, rdata) in presentation form, names absolute, with the case they
arrived in, or lower-cased owners and rdata names (`exact_case=False`) to compare with servers
that fold case. Read with dnspython, whose own code has no part in what is tested; `kdig_axfr`
asks kdig as a second opinion.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.tsig
import dns.zone

if TYPE_CHECKING:
    from tests.peers.process import TsigKey


class Record(NamedTuple):
    """One resource record in presentation form."""

    owner: str
    ttl: int
    rtype: str
    rdata: str


@attrs.frozen
class SoaAnswer:
    """What came back for an SOA query: the rcode, and the serial where the answer holds an SOA."""

    rcode: str
    serial: int | None
    authoritative: bool


class TransferFailed(Exception):
    """The AXFR ended otherwise than with the closing SOA; says how."""


def query_soa(
    address: str, port: int, zone: str, *, timeout: float = 1.0, key: TsigKey | None = None
) -> SoaAnswer | None:
    """Ask once over UDP; None where no answer came in `timeout` seconds."""
    query = dns.message.make_query(dns.name.from_text(zone), "SOA")
    query.flags &= ~dns.flags.RD
    if key is not None:
        query.use_tsig(_keyring(key))
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect((address, port))
            sock.send(query.to_wire())
            wire = sock.recv(65535)
        except OSError:
            # A closed port answers at once; do not spin on it.
            time.sleep(max(0.0, min(0.02, deadline - time.monotonic())))
            return None
    answer = dns.message.from_wire(wire, keyring=query.keyring, request_mac=query.mac)
    serials = [
        rdata.serial
        for rrset in answer.answer
        for rdata in rrset
        if rdata.rdtype == dns.rdatatype.SOA
    ]
    return SoaAnswer(
        dns.rcode.to_text(answer.rcode()),
        serials[0] if serials else None,
        bool(answer.flags & dns.flags.AA),
    )


def wait_serial(address: str, port: int, zone: str, serial: int, timeout: float = 60.0) -> None:
    """Wait until SOA queries at this address are answered with `serial`."""
    deadline = time.monotonic() + timeout
    answer: SoaAnswer | None = None
    while time.monotonic() < deadline:
        answer = query_soa(address, port, zone)
        if answer is not None and answer.serial == serial:
            return
        time.sleep(0.01)
    raise TimeoutError(f"{zone} at {address}:{port}: expected serial {serial}, got {answer}")


def axfr(
    address: str,
    port: int,
    zone: str,
    key: TsigKey | None = None,
    *,
    exact_case: bool = True,
    source: str | None = None,
    timeout: float = 60.0,
) -> list[Record]:
    """Transfer the zone (from the `source` address); its records, sorted, closing SOA left out.

    Raises TransferFailed on any rcode but NOERROR and on a stream that ends early; dnspython's
    own exceptions where TSIG does not hold.
    """
    records = [
        _record(rrset_name, ttl, rdata, exact_case)
        for message in axfr_messages(address, port, zone, key, source=source, timeout=timeout)
        for rrset_name, ttl, rdata in message_records(message)
    ]
    return sorted(records[:-1])


def axfr_messages(
    address: str,
    port: int,
    zone: str,
    key: TsigKey | None = None,
    *,
    source: str | None = None,
    timeout: float = 60.0,
) -> Iterator[dns.message.Message]:
    """The messages of an AXFR, up to the one that holds the closing SOA."""
    query = dns.message.make_query(dns.name.from_text(zone), "AXFR")
    query.flags &= ~dns.flags.RD
    if key is not None:
        query.use_tsig(_keyring(key))
    wire = query.to_wire()
    soas = 0
    context: Any = None
    with socket.create_connection(
        (address, port), timeout, source_address=(source, 0) if source else None
    ) as sock:
        sock.sendall(struct.pack("!H", len(wire)) + wire)
        while soas < 2:
            (length,) = struct.unpack("!H", _exactly(sock, 2))
            message = dns.message.from_wire(
                _exactly(sock, length),
                keyring=query.keyring,
                request_mac=query.mac,
                xfr=True,
                tsig_ctx=context,
                multi=True,
                one_rr_per_rrset=True,
            )
            context = message.tsig_ctx
            if message.rcode() != dns.rcode.NOERROR:
                raise TransferFailed(f"AXFR of {zone}: {dns.rcode.to_text(message.rcode())}")
            soas += sum(rrset.rdtype == dns.rdatatype.SOA for rrset in message.answer)
            if soas == 0:
                raise TransferFailed(f"AXFR of {zone}: the first record is not an SOA")
            if soas == 2 and key is not None and not message.had_tsig:
                raise TransferFailed(f"AXFR of {zone}: the last message is not signed")
            yield message


def message_records(
    message: dns.message.Message,
) -> Iterator[tuple[dns.name.Name, int, dns.rdata.Rdata]]:
    """The answer section, record by record."""
    for rrset in message.answer:
        for rdata in rrset:
            yield rrset.name, rrset.ttl, rdata


def file_records(source: Path | str, zone: str, *, exact_case: bool = True) -> list[Record]:
    """The records of a zone file (a path, or its text), sorted."""
    text = source.read_text() if isinstance(source, Path) else source
    parsed = dns.zone.from_text(
        text, dns.name.from_text(zone), relativize=False, check_origin=False
    )
    return sorted(
        _record(owner, rdataset.ttl, rdata, exact_case)
        for owner, rdataset in parsed.iterate_rdatasets()
        for rdata in rdataset
    )


def records_text(records: Iterable[Record]) -> str:
    """The records as a zone file, one a line, names absolute, the SOA first."""
    ordered = sorted(records, key=lambda record: (record.rtype != "SOA", record))
    return "".join(f"{r.owner} {r.ttl} IN {r.rtype} {r.rdata}\n" for r in ordered)


def verify_dnssec(records: Iterable[Record], when: str) -> tuple[int, str]:
    """What `ldns-verify-zone` says of the records at `when` (YYYYMMDDHHMMSS): exit code, output.

    The records are written sorted, so that the same zone gets the same words.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".zone") as file:
        file.write(records_text(records))
        file.flush()
        done = subprocess.run(
            ["ldns-verify-zone", "-t", when, file.name],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    return done.returncode, (done.stdout + done.stderr).replace(file.name, "ZONE")


def kdig_axfr(address: str, port: int, zone: str, key: TsigKey | None = None) -> list[str]:
    """The lines that kdig prints for an AXFR, sorted, the closing SOA once."""
    command = ["kdig", f"@{address}", "-p", str(port), zone, "AXFR", "+noall", "+answer"]
    if key is not None:
        command += ["-y", f"{key.algorithm}:{key.name}:{key.secret}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise TransferFailed(f"kdig: {done.stdout[-400:]}{done.stderr[-400:]}")
    lines = [
        " ".join(line.split()) for line in done.stdout.splitlines() if line[:1] not in ("", ";")
    ]
    return sorted(lines[:-1])


def _record(owner: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata, exact_case: bool) -> Record:
    if not exact_case:
        owner = owner.canonicalize()
        rdata = _fold(rdata)
    return Record(owner.to_text(), ttl, dns.rdatatype.to_text(rdata.rdtype), rdata.to_text())


def _fold(rdata: dns.rdata.Rdata) -> dns.rdata.Rdata:
    """The rdata with every name in it lower-cased."""
    names = {
        slot: value.canonicalize()
        for kind in type(rdata).__mro__
        for slot in getattr(kind, "__slots__", ())
        if isinstance(value := getattr(rdata, slot, None), dns.name.Name)
    }
    return rdata.replace(**names) if names else rdata


def _keyring(key: TsigKey) -> dict[dns.name.Name, dns.tsig.Key]:
    name = dns.name.from_text(key.name)
    algorithm = "hmac-md5.sig-alg.reg.int" if key.algorithm == "hmac-md5" else key.algorithm
    return {name: dns.tsig.Key(name, key.secret, algorithm)}


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(size - len(parts))
        if not part:
            raise TransferFailed(f"the connection ended after {len(parts)} of {size} octets")
        parts += part
    return bytes(parts)
