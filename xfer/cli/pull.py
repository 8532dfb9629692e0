"""`xfer pull`: one AXFR by hand, with a diagnosis where it fails (REQUIREMENTS A12, A13).

With `--ixfr` it asks for the changes since a serial, and prints what comes: records that went with
"-" in front and those that came with "+", or the whole zone, or nothing but a remark.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.cli.common import (
    FAILED,
    JsonOption,
    ZoneArgument,
    fail,
    many,
    note,
    print_json,
    reported,
    usage,
)
from xfer.cli.zone import OutOption
from xfer.errors import TransferError, XferError, ZoneError

if TYPE_CHECKING:
    from xfer.server.pull import PullLimits, PullProgress, PullResult
    from xfer.server.target import Target
    from xfer.wire.tsig import Key

SHOWN_FINDINGS = 20
_FROM = re.compile(
    r"\[([^\]]+)\](?::(\d+))?|([^:@#]+)(?:[:@#](\d+))?|([0-9a-fA-F:]*:[0-9a-fA-F:.]*)"
)


def pull(
    zone: ZoneArgument,
    peer: Annotated[
        str,
        typer.Option("--from", help="The server to ask; IPv6 in brackets.", metavar="ADDR[:PORT]"),
    ],
    tsig: Annotated[
        str | None,
        typer.Option(
            "--tsig",
            help="Sign with this key; prefer -k or the environment, which others cannot see.",
            metavar="NAME:ALG:SECRET",
            envvar="XFER_TSIG",
            show_default=False,
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "-k",
            "--key-file",
            help="Sign with the key of this file, as tsig-keygen writes it.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    output: OutOption = None,
    ixfr: Annotated[
        int | None,
        typer.Option(
            "--ixfr",
            help="Ask for the changes since this serial (IXFR); they are printed as - and + lines.",
            metavar="SERIAL",
            min=0,
            max=0xFFFFFFFF,
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", help="Ask from this address.", metavar="ADDR", show_default=False),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", help="Seconds to connect, or without a byte.", min=0.1),
    ] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Transfer a zone once and print it as a zone file, or its changes; the summary goes to
    stderr."""
    from xfer.cli.diagnosis import advice
    from xfer.cli.keys import KeyUsage, key_of_file, key_of_triple
    from xfer.errors import WireError
    from xfer.idn import wire_name
    from xfer.server.pull import PullLimits
    from xfer.server.target import Target

    key: Key | None = None
    try:
        if key_file is not None:
            key = key_of_file(key_file)
        elif tsig is not None:
            key = key_of_triple(tsig)
        origin = wire_name(zone)
    except (KeyUsage, WireError) as error:
        raise usage(str(error)) from None
    address, port = _from(peer)
    target = Target(address, port, None if source is None else _address(source), key)
    limits = PullLimits(connect=timeout, idle=timeout)
    try:
        result = _transfer(target, origin, limits, ixfr)
    except (TransferError, ZoneError) as error:
        lines = advice(error, target, origin)
        if isinstance(error, TransferError) and error.try_axfr:
            lines.append("the whole zone may come all the same: ask without --ixfr")
        if as_json:
            print_json(_failed(error, lines))
        fail(str(error))
        for line in lines:
            note(f"  {line}")
        raise typer.Exit(FAILED) from None
    with reported():
        if output is not None or not as_json:
            _write(result, origin, output)
    if result.content is not None:
        _summary(result, target, as_json)
    else:
        _changes_summary(result, origin, target, ixfr or 0, as_json)


def _from(text: str) -> tuple[str, int]:
    match = _FROM.fullmatch(text)
    if match is None:
        raise usage(f"expected --from ADDR[:PORT], got {text!r}")
    port = int(match[2] or match[4] or 53)
    if not 1 <= port <= 65535:
        raise usage(f"expected a port from 1 to 65535, got {port}")
    return _address(match[1] or match[3] or match[5]), port


def _address(text: str) -> str:
    """An address; a host name is looked up, as dig does."""
    import ipaddress
    import socket

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no domain name"
        raise usage(f"expected an address or a host name, got {text!r}: {reason}") from None


def _transfer(
    target: Target, origin: bytes, limits: PullLimits, ixfr_from: int | None
) -> PullResult:
    import random

    import trio

    from xfer.clock import SystemClock
    from xfer.server.executor import ThreadExecutor
    from xfer.server.pull import pull_zone
    from xfer.zone.check import Policy

    async def main() -> PullResult:
        with _progress() as progress:
            return await pull_zone(
                target,
                origin,
                policy=Policy(),
                clock=SystemClock(),
                rng=random.SystemRandom(),
                executor=ThreadExecutor(2),
                limits=limits,
                progress=progress,
                ixfr_from=ixfr_from,
            )

    return trio.run(main)


@contextmanager
def _progress() -> Iterator[Any]:
    """A line on stderr with records and records/s, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("connecting") as line:

        def show(now: PullProgress) -> None:
            rate = now.records / now.seconds if now.seconds > 0 else 0.0
            line.update(
                f"serial {now.serial}: {many(now.records, 'record')}, {now.octets / 1e6:,.1f} MB, "
                f"{rate:,.0f} records/s"
            )

        yield show


def _write(result: PullResult, origin: bytes, output: Path | None) -> None:
    from xfer.cli.files import replacing
    from xfer.zone.zonefile import zone_file_pieces

    if result.kind == "soa":
        return  # a file that is there may hold what is still current
    with replacing(output) as out:
        pieces = (
            zone_file_pieces(result.snapshot)
            if result.content is not None
            else _lines(result, origin)
        )
        for piece in pieces:
            out.write(piece.encode())


def _lines(result: PullResult, origin: bytes) -> Iterator[str]:
    """The differences in the order in which they came, a message at a time."""
    from xfer.transfer.updates import Add
    from xfer.zone.difftext import record_line

    for part in result.differences:
        sign = "+" if isinstance(part, Add) else "-"
        batch = part.batch
        yield "".join(
            f"{sign}{record_line(record, batch.spelling, origin)}\n" for record in batch.records
        )


def _changes_summary(
    result: PullResult, origin: bytes, target: Target, since: int, as_json: bool
) -> None:
    from xfer.transfer.updates import Add
    from xfer.wire import names

    zone = names.to_text(origin)
    added = removed = 0
    for part in result.differences:
        if isinstance(part, Add):
            added += len(part.batch.records)
        else:
            removed += len(part.batch.records)
    if as_json:
        print_json(
            {
                "ok": True,
                "kind": result.kind,
                "zone": zone,
                "serial_from": since,
                "serial": result.serial,
                "peer": f"{target.address}#{target.port}",
                "source": result.source,
                "tsig": target.key.text() if target.key is not None else None,
                "removed": removed,
                "added": added,
                "messages": result.messages,
                "bytes": result.octets,
                "seconds": round(result.seconds, 6),
            }
        )
        return
    what = (
        f"{many(removed, 'record')} removed, {added:,} added"
        if result.kind == "ixfr"
        else f"nothing newer than serial {since}"
    )
    note(
        f"{zone} serial {result.serial} from {target.address}#{target.port}, {_signed(target)}: "
        f"{what}, in {many(result.messages, 'message')}, {many(result.octets, 'byte')}, "
        f"{result.seconds:.2f} s"
    )


def _signed(target: Target) -> str:
    return f"signed by {target.key.text()}" if target.key is not None else "unsigned"


def _summary(result: PullResult, target: Target, as_json: bool) -> None:
    from xfer.wire import names

    rate = result.records / result.seconds if result.seconds > 0 else 0.0
    zone = names.to_text(result.snapshot.origin)
    findings = [str(finding) for finding in result.findings]
    if as_json:
        print_json(
            {
                "ok": True,
                "kind": result.kind,
                "zone": zone,
                "serial": result.snapshot.serial,
                "peer": f"{target.address}#{target.port}",
                "source": result.source,
                "tsig": target.key.text() if target.key is not None else None,
                "records": result.snapshot.count,
                "messages": result.messages,
                "bytes": result.octets,
                "seconds": round(result.seconds, 6),
                "records_per_second": round(rate),
                "zonemd": result.snapshot.zonemd,
                "findings": findings,
            }
        )
    for finding in findings[:SHOWN_FINDINGS]:
        note(f"xfer: warning: {finding}")
    if len(findings) > SHOWN_FINDINGS:
        note(f"xfer: warning: {len(findings) - SHOWN_FINDINGS} more, see --json")
    if as_json:
        return
    note(
        f"{zone} serial {result.serial} from {target.address}#{target.port}, {_signed(target)}: "
        f"{many(result.snapshot.count, 'record')} in {many(result.messages, 'message')}, "
        f"{many(result.octets, 'byte')}, {result.seconds:.2f} s, {rate:,.0f} records/s"
        + (f", ZONEMD {result.snapshot.zonemd}" if result.snapshot.zonemd else "")
    )


def _failed(error: XferError, lines: list[str]) -> dict[str, Any]:
    if isinstance(error, TransferError):
        return {
            "ok": False,
            "failure": error.failure.value,
            "expected": error.expected,
            "got": error.got,
            "message": str(error),
            "advice": lines,
        }
    return {"ok": False, "failure": "content", "message": str(error), "advice": lines}
